"""The Study section: which volumes, and whether they are enough."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.panel.selection import Selection, Workflow, selection_from
from SynthCBVLib.scene import diffusion_series


class StudySection:
    """Shows the rows of the chosen workflow and says what is missing.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._known: tuple[Any, ...] = ()

    def update(self, parameters: Any) -> bool:
        """Bring the section up to date with the parameter node.

        Returns
        -------
        bool
            Whether a synthesis can be started.
        """
        ivim = parameters.workflow is Workflow.IVIM
        self._show_rows(ivim)
        try:
            selection = selection_from(parameters)
        except InputError as error:
            self.ui.studyStatusLabel.setText(str(error))
            return False
        missing = selection.missing()
        problem = self._check_diffusion(selection) if ivim else ""
        if missing:
            text = _("Still needed: {volumes}.").format(volumes=", ".join(missing))
        elif problem:
            text = problem
        else:
            chosen = ", ".join(str(modality) for modality in selection.nodes)
            text = _("Ready: {volumes}.").format(volumes=chosen or "ASL")
        self.ui.studyStatusLabel.setText(text)
        return not missing and not problem

    def _show_rows(self, ivim: bool) -> None:
        for widget in (self.ui.dwiLabel, self.ui.dwiSelector, self.ui.bValuesLabel, self.ui.bValuesEdit):
            widget.setVisible(ivim)
        for widget in (
            self.ui.t1wLabel, self.ui.t1wSelector, self.ui.cbfLabel, self.ui.cbfSelector,
            self.ui.aslControlLabel, self.ui.aslControlSelector, self.ui.aslLabelLabel, self.ui.aslLabelSelector,
            self.ui.aslM0Label, self.ui.aslM0Selector, self.ui.labellingLabel, self.ui.labellingSelector,
            self.ui.labelDurationLabel, self.ui.labelDurationBox,
            self.ui.postLabelDelayLabel, self.ui.postLabelDelayBox,
            self.ui.flairLabel, self.ui.flairSelector, self.ui.adcLabel, self.ui.adcSelector,
            self.ui.t1cLabel, self.ui.t1cSelector,
        ):  # fmt: skip
            widget.setVisible(not ivim)

    def _check_diffusion(self, selection: Selection) -> str:
        """Show the b-values that the DWI brings; give what is wrong with it, if anything."""
        node = selection.nodes.get(Modality.DWI)
        if node is None:
            self.ui.bValuesEdit.setPlaceholderText(_("from the DWI"))
            return ""
        state = (node.GetID(), node.GetMTime(), selection.b_values)
        if not self._known or self._known[0] != state:  # reading the voxels at every click would be slow
            self._known = (state, *self._read_diffusion(selection))
        self.ui.bValuesEdit.setPlaceholderText(self._known[1])
        return self._known[2]

    @staticmethod
    def _read_diffusion(selection: Selection) -> tuple[str, str]:
        try:
            series = diffusion_series(selection.nodes[Modality.DWI], selection.b_values)
        except InputError as error:
            return _("such as 0 50 100 1000, one a volume"), str(error)
        unique = sorted(set(series.b_values))
        return " ".join(f"{b:g}" for b in unique), ""
