"""The Regions section: tumour and white-matter regions drawn, stamped or proposed, and their ratio, live."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.editor import RegionEditor
from SynthCBVLib.panel.job_line import JobLine
from SynthCBVLib.panel.ratio_text import finding_text, ratio_text
from SynthCBVLib.panel.selection import parse_b_values
from SynthCBVLib.panel.stamping import Stamper
from SynthCBVLib.panel.ticker import Ticker
from SynthCBVLib.panel.watching import Watcher
from SynthCBVLib.scene.cases import anatomy_of
from SynthCBVLib.scene.region_placing import (
    OUTLINE,
    drawn_names,
    name_regions,
    outline_only,
    segment_ids,
)
from SynthCBVLib.scene.results import keep_findings

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding
    from SynthCBVLib.panel.analysis import AnalysisLogic

#: Milliseconds without a change after which the ratio is computed anew.
PAUSE = 300


class RegionsSection:
    """Makes regions and keeps the table of ratios up to date with them.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    logic : AnalysisLogic
        Does the work.
    parameters : callable
        Gives the parameter node, or None while the module is closed.
    ensure : callable
        Installs the packages that proposals need, or raises InputError.
    """

    def __init__(
        self, ui: Any, logic: AnalysisLogic, parameters: Callable[[], Any], ensure: Callable[[], None]
    ) -> None:
        self.ui, self._logic, self._parameters, self._ensure = ui, logic, parameters, ensure
        self.editor = RegionEditor(ui)
        self._watcher = Watcher(self._schedule)
        self._pause: Ticker | None = None
        self._computing = self._stale = False
        self.job = JobLine(
            self.ui.regionsProgressBar,
            self.ui.regionsCancelButton,
            self.ui.regionsStatusLabel,
            lambda: logic.proposals.cancel(wait=False),
            self._refresh_buttons,
        )
        self.ui.ratioLabel.setText("")
        self.ui.ratioLabel.setVisible(False)
        self.ui.proposeButton.clicked.connect(self.on_propose)
        self.ui.createRegionsButton.clicked.connect(self.on_name)
        self.stamper = Stamper(
            ui, self.editor, parameters, self._segmentation_made, self.job.say, self._guarded
        )

    def enter(self) -> None:
        """Take the mouse and the keyboard shortcuts of the Segment Editor."""
        self.editor.enter()

    def exit(self) -> None:
        """Give back the mouse and the keyboard, and watch nothing."""
        self.stamper.stop()
        self.editor.exit()
        self._watcher.watch([])
        if self._pause is not None:
            self._pause.stop()

    def close(self) -> None:
        """Let go of a scene that goes away."""
        self.exit()
        self.editor.release()
        self.job.forget()
        self._computing = self._stale = False
        self._show(None)

    def update(self, parameters: Any) -> None:
        """Bring the section up to date with the parameter node."""
        self.editor.show(_segmentation(parameters), parameters.syntheticMap)
        self._show(parameters.ratioTable)
        self._refresh_buttons()
        if self._watcher.watch([parameters.regions, *self.maps(parameters).values()]):
            self._schedule()

    @staticmethod
    def maps(parameters: Any) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Give the chosen maps by the names of their rows, which the cohort table knows too."""
        from SynthCBVLib.analysis.measured_ratio import FRACTION, REAL, SYNTHETIC

        chosen = {
            SYNTHETIC: parameters.syntheticMap,
            REAL: parameters.realMap,
            FRACTION: parameters.fractionMap,
        }
        return {name: node for name, node in chosen.items() if node is not None}

    def on_name(self) -> None:
        """Add the named segments that are missing."""
        self._guarded(self._name)

    def on_propose(self) -> None:
        """Look for regions inside the outline; ask for an outline where there is none."""
        self._guarded(self._propose)

    def _name(self) -> None:
        node = self._segmentation_made()
        added = name_regions(node)
        if added:
            self.job.say(_("Choose a segment below and paint it, or stamp it: {names}.").format(
                names=", ".join(added)
            ))  # fmt: skip
        else:
            self.job.say(_("All segments are there already."))

    def _propose(self) -> None:
        parameters = self._parameters()
        node, map = self._segmentation_made(), parameters.syntheticMap
        outline = self._outline(node)
        if outline is None and drawn_names(node):
            self._ask_for_outline(node, _("Regions are drawn already, and would be replaced."))
            return
        anatomy, contrast = anatomy_of(map)
        if anatomy is None:
            images = {"T2w": parameters.t2w, "T1w": parameters.t1w, "FLAIR": parameters.flair}
            contrast, anatomy = next(
                ((name, image) for name, image in images.items() if image is not None), (None, None)
            )
        if anatomy is None:
            raise InputError(
                _("Study"), _("no anatomical image"), _("T2w or T1w on which the map was made"),
                _("Choose it in the Study section."),
            )  # fmt: skip
        self._ensure()
        if not all(slicer.mrmlScene.IsNodePresent(one) for one in (node, map, anatomy)):
            return  # the scene was closed during an installation
        if outline is not None:
            outline_only(node, segment_ids(node)[outline])
        begun = _("Looking for regions ...") if outline else _("Looking for the tumour ...")
        self.job.begin(begun, self._proposed if outline else self._outlined)
        self._logic.proposeRegions(
            node, outline, map, anatomy, contrast, waitForCompletion=False, listener=self.job,
            finished=None if outline else self._not_outlined, bValues=_b_values(parameters),
        )  # fmt: skip

    def _proposed(self, findings: Sequence[Finding]) -> str:
        text = _("Six regions are proposed. Look at each, and move those that are not right.")
        return text + finding_text([one for one in findings if one.severity != "info"])

    def _outlined(self, findings: Sequence[Finding]) -> str:
        """Say what a proposal without a drawn outline gave."""
        if any(one.severity == "error" for one in findings):
            text = _("An outline of the tumour is proposed, but no regions.")
        else:
            text = _("An outline of the tumour and six regions are proposed.")
        parameters = self._parameters()
        node = None if parameters is None else _segmentation(parameters)
        drawn = {} if node is None else segment_ids(node)  # another may have been chosen meanwhile
        if OUTLINE in drawn:
            self.editor.choose(drawn[OUTLINE])  # not the brush: a click to look must not paint
        return text + finding_text([one for one in findings if one.severity != "info"])

    def _not_outlined(self, findings: object, problem: Exception | None) -> None:
        """Ask for an outline where the computer has found none."""
        parameters = self._parameters()
        node = None if parameters is None else _segmentation(parameters)
        if isinstance(problem, InputError) and node is not None:
            self._ask_for_outline(node, str(problem))

    def _ask_for_outline(self, node: slicer.vtkMRMLSegmentationNode, reason: str) -> None:
        name_regions(node)
        self.editor.paint(segment_ids(node)[OUTLINE])
        self.job.say(
            _(
                "{reason} Paint roughly over the solid tumour, in one slice or more (segment “{name}” and "
                "the brush are chosen below). Then click Propose regions again."
            ).format(reason=reason, name=OUTLINE)
        )

    def _outline(self, node: slicer.vtkMRMLSegmentationNode) -> str | None:
        """Give the segment that outlines the tumour: ours, or the only one drawn that is no region."""
        from SynthCBVLib.scene.drawn_regions import region_kind

        drawn = drawn_names(node)
        if OUTLINE in drawn:
            return OUTLINE
        others = sorted(name for name in drawn if region_kind(name) is None)
        if len(others) > 1:
            raise InputError(
                node.GetName(), _("several segments that may outline the tumour ({names})").format(
                    names=", ".join(others)
                ),
                _("one of them"), _("Call it “{name}”.").format(name=OUTLINE),
            )  # fmt: skip
        return others[0] if others else None

    def _segmentation_made(self) -> slicer.vtkMRMLSegmentationNode:
        """Give the chosen segmentation, made if there is none."""
        parameters = self._parameters()
        if parameters.syntheticMap is None:
            raise InputError(
                _("Regions"), _("no map"), _("a synthetic rCBV map"), _("Click Apply, or choose a map.")
            )
        node = parameters.regions
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", _("Regions"))
            node.SetReferenceImageGeometryParameterFromVolumeNode(parameters.syntheticMap)
            node.CreateDefaultDisplayNodes()
            parameters.regions = node
        elif _segmentation(parameters) is None:
            raise InputError(
                node.GetName(), _("a labelmap"), _("a segmentation to add regions to"),
                _("Choose None to begin a new one, or convert it in the Segmentations module."),
            )  # fmt: skip
        return node

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what a click asks for; what goes wrong is shown."""
        try:
            action()
        except InputError as error:
            self.job.refused(error)
            self.stamper.stop()
        except Exception as error:  # Qt would only print it
            logging.exception("SynthCBV: regions")
            self.job.refused(error)
            self.stamper.stop()

    def _refresh_buttons(self) -> None:
        parameters = self._parameters()
        ready = parameters is not None and parameters.syntheticMap is not None
        self.ui.proposeButton.setEnabled(ready and not self.job.running)
        self.ui.stampButton.setEnabled(ready)
        self.ui.createRegionsButton.setEnabled(ready)

    def _schedule(self) -> None:
        """Compute the ratio once nothing has changed for a moment."""
        if self._pause is not None:
            self._pause.stop()
        self._pause = Ticker(self._compute, PAUSE)

    def _compute(self) -> bool:
        parameters = self._parameters()
        if parameters is None:
            return False
        maps = self.maps(parameters)
        if parameters.regions is None or not maps:
            _clear(parameters.ratioTable)
            self._show(parameters.ratioTable)
        elif self._computing:
            self._stale = True  # again when this one is through
        else:
            self._computing, self._stale = True, False
            self._logic.computeRatios(
                parameters.regions, maps, _("T/WM ratios"), waitForCompletion=False, finished=self._computed,
                table=parameters.ratioTable,
            )  # fmt: skip
        return False

    def _computed(self, table: slicer.vtkMRMLTableNode | None, problem: Exception | None) -> None:
        self._computing = False
        parameters = self._parameters()
        if parameters is None:
            return
        if problem is None:
            parameters.ratioTable = table
            self._show(table)
        else:
            _clear(parameters.ratioTable)
            self._show(None, self._explained(problem))
        if self._stale:
            self._schedule()

    @staticmethod
    def _explained(problem: Exception) -> str:
        """Say what keeps the ratio from being computed."""
        if isinstance(problem, InputError) and problem.where == "regions":  # a kind is not drawn yet
            return _("The ratio appears once a tumour and a white-matter region are drawn.")
        return str(problem)

    def _show(self, table: slicer.vtkMRMLTableNode | None, instead: str = "") -> None:
        text = ratio_text(table) or instead
        self.ui.ratioLabel.setText(text)
        self.ui.ratioLabel.setVisible(bool(text))


def _segmentation(parameters: Any) -> slicer.vtkMRMLSegmentationNode | None:
    node = parameters.regions
    return node if node is not None and node.IsA("vtkMRMLSegmentationNode") else None


def _b_values(parameters: Any) -> tuple[float, ...] | None:
    """Give the b-values as typed in the Study section; None where there are none to go by."""
    try:
        return parse_b_values(parameters.bValues)
    except InputError:
        return None


def _clear(table: slicer.vtkMRMLTableNode | None) -> None:
    """Take the numbers out of a table whose regions are gone."""
    if table is not None and table.GetNumberOfColumns():
        table.RemoveAllColumns()
        keep_findings(table, ())
