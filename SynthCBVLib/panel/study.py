"""The Study section: which volumes, and whether they are enough."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.panel.selection import Selection, Workflow, selection_from
from SynthCBVLib.scene import series_b_values


class StudySection:
    """Shows the rows of the chosen workflow and says what is missing.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui

    def update(self, parameters: Any) -> bool:
        """Bring the section up to date with the parameter node.

        Returns
        -------
        bool
            Whether a synthesis can be started.
        """
        ivim = parameters.workflow is Workflow.IVIM
        self._show_rows(ivim, parameters.cbf is not None)
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

    def _show_rows(self, ivim: bool, has_cbf: bool) -> None:
        self.ui.t2wLabel.setText(_("T2w:") if ivim else _("T2w (optional):"))
        for widget in (self.ui.dwiLabel, self.ui.dwiSelector, self.ui.bValuesLabel, self.ui.bValuesEdit):
            widget.setVisible(ivim)
        for widget in (
            self.ui.t1wLabel,
            self.ui.t1wSelector,
            self.ui.cbfLabel,
            self.ui.cbfSelector,
            self.ui.flairLabel,
            self.ui.flairSelector,
            self.ui.adcLabel,
            self.ui.adcSelector,
            self.ui.t1cLabel,
            self.ui.t1cSelector,
        ):
            widget.setVisible(not ivim)
        for widget in (
            self.ui.aslControlLabel,
            self.ui.aslControlSelector,
            self.ui.aslLabelLabel,
            self.ui.aslLabelSelector,
            self.ui.aslM0Label,
            self.ui.aslM0Selector,
            self.ui.labellingLabel,
            self.ui.labellingSelector,
            self.ui.labelDurationLabel,
            self.ui.labelDurationBox,
            self.ui.postLabelDelayLabel,
            self.ui.postLabelDelayBox,
        ):
            widget.setVisible(not ivim and not has_cbf)

    def _check_diffusion(self, selection: Selection) -> str:
        """Show the b-values that the DWI brings; give what is wrong with it, if anything."""
        node = selection.nodes.get(Modality.DWI)
        if node is None:
            self.ui.bValuesEdit.setPlaceholderText(_("from the DWI"))
            return ""
        try:
            b_values = series_b_values(node, selection.b_values)
        except InputError as error:
            self.ui.bValuesEdit.setPlaceholderText(_("one b-value a volume"))
            return str(error)
        self.ui.bValuesEdit.setPlaceholderText(" ".join(f"{b:g}" for b in b_values))
        return ""
