"""Digital patients among Slicer's sample data: computed here from a seed, nothing is downloaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.jobs import Failed, Noticed
from SynthCBVLib.panel.processes import Launcher, launch_in_slicer
from SynthCBVLib.panel.requests import PatientRequest
from SynthCBVLib.panel.runner import Runner
from SynthCBVLib.panel.selection import Workflow
from SynthCBVLib.scene.patient import PatientNodes

CATEGORY = "SynthCBV"
SEED = 1


@dataclass(frozen=True)
class Sample:
    """One entry of the Sample Data module.

    Parameters
    ----------
    name : str
        Of the entry, for scripts too.
    workflow : Workflow
        Decides the images.
    thumbnail : str
        Picture's file in the module's icons.
    """

    name: str
    workflow: Workflow
    thumbnail: str


SAMPLES = (
    Sample("SynthCBVDigitalPatientIVIM", Workflow.IVIM, "SynthCBVDigitalPatientIVIM.png"),
    Sample("SynthCBVDigitalPatientASL", Workflow.ASL, "SynthCBVDigitalPatientASL.png"),
)


def register(icons: Path, loaded: Callable[[Workflow, PatientNodes], None]) -> bool:
    """Offer the digital patients in the Sample Data module.

    Parameters
    ----------
    icons : Path
        Folder of the pictures.
    loaded : callable
        Told the workflow and the nodes after one was loaded.

    Returns
    -------
    bool
        False where Slicer has no Sample Data module.
    """
    try:
        import SampleData
    except ImportError:
        return False
    known = SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    for sample in SAMPLES:
        known[:] = [source for source in known if source.sampleName != sample.name]  # of before a reload

        def load(source: object, sample: Sample = sample) -> list[Any]:
            import slicer

            try:
                nodes = simulate(sample.workflow, SEED)
            except InputError as error:
                slicer.util.errorDisplay(str(error))  # the button that calls this would only log it
                return []
            loaded(sample.workflow, nodes)
            return [*nodes.images.values(), nodes.regions]

        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris="",  # nowhere: it is computed
            fileNames=sample.name,
            nodeNames=sample.name,
            customDownloader=load,
            thumbnailFileName=str(icons / sample.thumbnail),
        )
    return True


def simulate(workflow: Workflow, seed: int, launch: Launcher = launch_in_slicer) -> PatientNodes:
    """Simulate a digital patient in a worker process and wait for it, while the application stays live.

    Raises
    ------
    InputError
        If it failed; the message says why.
    """
    import slicer

    hearer = _Hearer()
    runner = Runner(launch)
    runner.start(PatientRequest(workflow.value, seed), hearer)
    while runner.running:
        slicer.app.processEvents()
        time.sleep(0.01)
    runner.cancel()  # nobody holds the runner any longer, who would clear away what is left
    if hearer.nodes is None:
        raise InputError("Digital patient", hearer.problem or "stopped", "a simulated patient")
    return hearer.nodes


class _Hearer:
    """Shows progress in the status bar and keeps the end."""

    def __init__(self) -> None:
        self.nodes: PatientNodes | None = None
        self.problem = ""

    def progressed(self, fraction: float, message: str) -> None:
        """Show how far it is."""
        import slicer

        text = _("Digital patient: {message} ({percent:.0f} %)")
        slicer.util.showStatusMessage(text.format(message=message, percent=100 * fraction), 5000)

    def noticed(self, finding: Noticed) -> None:
        """Hear of something; a simulation notices nothing."""

    def finished(self, nodes: PatientNodes) -> None:
        """Keep the nodes."""
        self.nodes = nodes

    def failed(self, failure: Failed) -> None:
        """Keep why there are none."""
        logging.error("SynthCBV: %s\n%s", failure.message, failure.log)
        self.problem = failure.message
