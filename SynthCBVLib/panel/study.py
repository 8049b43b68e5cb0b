"""The Study section: which volumes, and whether they are enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.panel.checks import apart, b_values_note
from SynthCBVLib.panel.selection import (
    ASL_PARTS,
    PARAMETERS,
    REQUIRED,
    USED,
    Selection,
    Workflow,
    selection_from,
)
from SynthCBVLib.scene import series_b_values
from SynthCBVLib.scene.glance import Glance, glance
from SynthCBVLib.scene.results import findings_of, input_of
from SynthCBVLib.scene.volumes import node_name

#: Maps, whose values may be below 0; the other images are signals.
SIGNED = (Modality.CBF, Modality.ADC)
#: Colours of the words beside the selectors; seen on light and on dark.
GOOD, BAD, IDLE = "#2e8b57", "#d0402b", "#808080"


class StudySection:
    """Shows the rows of the chosen workflow and says what is missing.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._parameters: Any = None
        self._seen: dict[str, tuple[object, Glance]] = {}
        self._places: dict[str, tuple[object, str]] = {}
        self.ui.bValuesButton.clicked.connect(self.on_edit_b_values)

    def update(self, parameters: Any) -> bool:
        """Bring the section up to date with the parameter node.

        Returns
        -------
        bool
            Whether a synthesis can be started.
        """
        self._parameters = parameters
        workflow = parameters.workflow
        self._show_rows(parameters)
        problems = [problem for row in self._rows(parameters) if (problem := self._show_status(*row))]
        try:
            selection = selection_from(parameters)
        except InputError as error:
            self._say_source("")
            self.ui.studyStatusLabel.setText(str(error))
            return False
        if workflow is Workflow.IVIM and (problem := self._show_b_values(selection)):
            if not problems:
                self._mark("dwi", _("problem"), BAD, problem)
            problems.append(problem)
        problems += _twice(selection)
        missing = selection.missing()
        if missing:
            text = _("Still needed: {volumes}.").format(volumes=", ".join(missing))
        elif problems:
            text = "\n".join(problems)
        else:
            chosen = [str(modality) for modality in selection.nodes] + (["ASL"] if selection.asl else [])
            text = _("Ready: {volumes}.").format(volumes=", ".join(chosen))
        self.ui.studyStatusLabel.setText(text)
        return not missing and not problems

    def on_edit_b_values(self) -> None:
        """Put the b-values of the DWI into the field, to be changed."""
        try:
            b_values = series_b_values(self._parameters.dwi)
        except (InputError, AttributeError):
            return  # none to take; the line below the field says so
        self._parameters.bValues = " ".join(f"{b:g}" for b in b_values)

    def _rows(self, parameters: Any) -> list[tuple[str, Any, str, Modality]]:
        """Give the visible rows: parameter, node, what to say where there is none, modality."""
        rows = []
        for modality in USED[parameters.workflow]:
            needed = modality in REQUIRED[parameters.workflow]
            node = getattr(parameters, PARAMETERS[modality])
            rows.append((PARAMETERS[modality], node, _("needed") if needed else _("optional"), modality))
        if parameters.workflow is Workflow.ASL and parameters.cbf is None:
            parts = {name: getattr(parameters, name) for name in ASL_PARTS}
            rows += [(name, node, _("or these"), Modality.CBF) for name, node in parts.items()]
            if all(node is not None for node in parts.values()):
                rows = [(n, node, _("optional") if n == "cbf" else word, m) for n, node, word, m in rows]
        return rows

    def _show_rows(self, parameters: Any) -> None:
        ivim = parameters.workflow is Workflow.IVIM
        if not ivim:
            self._say_source("")
        visible = {name for name, *_rest in self._rows(parameters)}
        for name in (*PARAMETERS.values(), *ASL_PARTS):
            for kind in ("Label", "Row"):
                getattr(self.ui, name + kind).setVisible(name in visible)
        self.ui.bValuesLabel.setVisible(ivim)
        self.ui.bValuesRow.setVisible(ivim)
        for widget in (
            self.ui.labellingLabel,
            self.ui.labellingSelector,
            self.ui.labelDurationLabel,
            self.ui.labelDurationBox,
            self.ui.postLabelDelayLabel,
            self.ui.postLabelDelayBox,
        ):
            widget.setVisible("aslM0" in visible)

    def _show_status(self, name: str, node: Any, absent: str, modality: Modality) -> str:
        """Show what is known of a row; give what is wrong with it, if anything."""
        if node is None:
            self._mark(name, absent, IDLE)
            return ""
        seen = self._look(name, node, modality)
        if seen.problem:
            self._mark(name, _("problem"), BAD, seen.problem)
            return seen.problem
        noted = (
            seen.note, self._place(name, node), self._b_values_noted(modality),
            _noted(self._parameters, node, modality),
        )  # fmt: skip
        if any(noted):
            self._mark(name, _("✓ note"), GOOD, "\n".join(filter(None, (seen.what, *noted))))
        else:
            self._mark(name, _("✓"), GOOD, seen.what)
        return ""

    def _mark(self, name: str, word: str, colour: str, tip: str = "") -> None:
        """Write the word beside a selector."""
        label = getattr(self.ui, name + "Status")
        label.setText(word)
        label.setToolTip(tip)
        label.setStyleSheet(f"color: {colour}")

    def _look(self, name: str, node: Any, modality: Modality) -> Glance:
        """Look at a node, unless it is as it was at the last look."""
        before, state = self._seen.get(name), _state(node)
        if before is None or before[0] != state:
            part = name in ASL_PARTS
            signal = part or modality not in SIGNED
            self._seen[name] = (state, glance(node, part or modality is Modality.DWI, signal))
        return self._seen[name][1]

    def _place(self, name: str, node: Any) -> str:
        """Say whether a node lies elsewhere than the image that the others are brought to."""
        first = REQUIRED[self._parameters.workflow]
        anatomy = next(one for one in first if one in (Modality.T1W, Modality.T2W))
        reference = getattr(self._parameters, PARAMETERS[anatomy])
        if reference is None or reference is node or not _has_voxels(reference):
            return ""
        before, state = self._places.get(name), (_state(node), _state(reference))
        if before is None or before[0] != state:
            self._places[name] = (state, apart(node, reference))
        return self._places[name][1]

    def _b_values_noted(self, modality: Modality) -> str:
        """Say what has to be done to the b-values of the DWI, if anything."""
        if modality is not Modality.DWI or self._parameters.workflow is not Workflow.IVIM:
            return ""
        node = self._parameters.dwi
        try:
            typed = selection_from(self._parameters).b_values
            return b_values_note(self._parameters, series_b_values(node, typed), node_name(node))
        except InputError:
            return ""  # told as a problem

    def _say_source(self, text: str) -> None:
        self.ui.bValuesSourceLabel.setText(text)
        self.ui.bValuesSourceLabel.setVisible(bool(text))

    def _show_b_values(self, selection: Selection) -> str:
        """Show the b-values that hold, and where they are from; give what is wrong, if anything."""
        node = selection.nodes.get(Modality.DWI)
        self.ui.bValuesButton.setEnabled(False)
        if node is None:
            self.ui.bValuesEdit.setPlaceholderText(_("from the DWI"))
            self._say_source("")
            return ""
        own = _own_b_values(node)
        self.ui.bValuesEdit.setPlaceholderText(" ".join(f"{b:g}" for b in own) or _("one b-value a volume"))
        self.ui.bValuesButton.setEnabled(bool(own) and selection.b_values is None)
        try:
            b_values = series_b_values(node, selection.b_values)
        except InputError as error:
            self._say_source(_("Type one b-value a volume, separated by spaces."))
            return str(error)
        try:
            b_values_note(self._parameters, b_values, node_name(node))
        except InputError as error:
            problem = str(error)
        else:
            problem = ""
        if selection.b_values is None:
            text = _("From the DWI: {unique} b-values in {count} volumes.")
        else:
            text = _("As typed: {unique} b-values in {count} volumes.")
        self._say_source(text.format(count=len(b_values), unique=len(set(b_values))))
        return problem


def _state(node: Any) -> tuple[object, ...]:
    """Give what changes whenever a node's voxels or place do."""
    data = None if node.IsA("vtkMRMLSequenceNode") else node.GetImageData()
    above = node.GetParentTransformNode() if node.IsA("vtkMRMLTransformableNode") else None
    return (
        node.GetID(), node.GetMTime(), None if data is None else data.GetMTime(),
        None if above is None else above.GetTransformToWorldMTime(),
    )  # fmt: skip


def _has_voxels(node: Any) -> bool:
    return node.GetImageData() is not None and node.GetImageData().GetNumberOfPoints() > 0


def _own_b_values(node: Any) -> tuple[float, ...]:
    try:
        return series_b_values(node)
    except InputError:
        return ()


def _twice(selection: Selection) -> list[str]:
    """Say which volumes are chosen in two rows."""
    rows: dict[str, list[str]] = {}
    nodes: Mapping[Any, Any] = selection.nodes
    if selection.asl is not None:
        parts = (selection.asl.control, selection.asl.label, selection.asl.m0)
        nodes = {**nodes, **dict(zip(("ASL control", "ASL label", "ASL M0"), parts, strict=True))}
    names = {}
    for row, node in nodes.items():
        rows.setdefault(node.GetID(), []).append(str(row))
        names[node.GetID()] = node.GetName()
    return [
        _("{name} is chosen as {rows}; choose another volume for one of them.").format(
            name=names[node], rows=" and ".join(chosen)
        )
        for node, chosen in rows.items()
        if len(chosen) > 1
    ]


def _noted(parameters: Any, node: Any, modality: Modality) -> str:
    """Give what the synthesis noticed about an image, if the map was made of this very node."""
    made = parameters.syntheticMap
    if made is None or input_of(made, str(modality)) is not node:
        return ""
    return "\n".join(
        f"{finding.what} {finding.remedy}".strip()
        for finding in findings_of(made)
        if finding.modality == str(modality) and finding.severity != "info"
    )
