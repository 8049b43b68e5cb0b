"""The digital patient of the Study section: asked for, awaited, chosen in all selectors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.panel.jobs import Failed, Noticed
from SynthCBVLib.panel.requests import PatientRequest
from SynthCBVLib.panel.selection import PARAMETERS
from SynthCBVLib.scene.patient import PatientNodes


class PatientLoader:
    """Listens to the simulation of a digital patient and shows it.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    ended : callable
        Called at the end, with the new nodes or None.
    """

    def __init__(self, ui: Any, ended: Callable[[PatientNodes | None], None]) -> None:
        self.ui = ui
        self._tell_end = ended
        self.busy = False
        self.ui.patientProgressBar.setVisible(False)

    def update(self, running: bool) -> None:
        """Let the button load, stop, or wait for another job."""
        self.ui.patientButton.setText(_("Stop loading") if self.busy else _("Load digital patient"))
        self.ui.patientButton.setEnabled(self.busy or not running)
        self.ui.seedBox.setEnabled(not self.busy)

    def started(self) -> None:
        """Show that it begins."""
        self.busy = True
        self.ui.patientProgressBar.setValue(0)
        self.ui.patientProgressBar.setVisible(True)

    def progressed(self, fraction: float, message: str) -> None:
        """Show how far it is."""
        self.ui.patientProgressBar.setValue(round(100 * fraction))
        self.ui.patientProgressBar.setFormat(f"{message}  %p%")

    def noticed(self, finding: Noticed) -> None:
        """Hear of something; a simulation notices nothing."""

    def finished(self, nodes: PatientNodes) -> None:
        """Choose the new volumes."""
        self._end(nodes)

    def failed(self, failure: Failed) -> None:
        """Say why there is no patient."""
        logging.error("SynthCBV: %s\n%s", failure.message, failure.log)
        self._end(None)
        self.ui.studyStatusLabel.setText(
            _("The digital patient could not be loaded: {reason}").format(reason=failure.message)
        )

    def stopped(self) -> None:
        """Show that the user stopped it, if there was anything to stop."""
        if self.busy:
            self._end(None)

    def _end(self, nodes: PatientNodes | None) -> None:
        self.busy = False
        self.ui.patientProgressBar.setVisible(False)
        self._tell_end(nodes)


def choose_patient(parameters: Any, nodes: PatientNodes) -> None:
    """Select a digital patient's volumes in the panel."""
    modified = parameters.parameterNode.StartModify()  # the panel is brought up to date once
    for modality, name in PARAMETERS.items():
        setattr(parameters, name, nodes.images.get(modality))
    for name in ("aslControl", "aslLabel", "aslM0"):
        setattr(parameters, name, None)
    parameters.bValues = ""
    parameters.syntheticMap = parameters.fractionMap = None  # those of another head
    parameters.realMap = nodes.images.get(Modality.RCBV)
    parameters.regions = nodes.regions
    parameters.parameterNode.EndModify(modified)


def patient_request(parameters: Any) -> PatientRequest:
    """Ask for the digital patient of the chosen number, with the images of the chosen workflow.

    Raises
    ------
    InputError
        If the number is none.
    """
    if parameters.seed < 0:
        raise InputError("Number of the digital patient", str(parameters.seed), "0 or more")
    return PatientRequest(parameters.workflow.value, parameters.seed)
