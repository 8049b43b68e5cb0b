"""The task "synthesize": a study in, maps out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from SynthCBVLib.progress import Progress
from SynthCBVLib.worker.task import Outcome, Task, Teller

if TYPE_CHECKING:
    import SimpleITK as sitk

    from SynthCBVLib.imaging.study import Study
    from SynthCBVLib.synthesis import Synthesis
    from SynthCBVLib.worker.alignment import Alignment

#: Highest value of a display: this percentile inside the brain, which single voxels do not move.
SHOWN_PERCENTILE = 99.5


class Tools(Protocol):
    """What the task calls; the library's own by default."""

    def read_study(self, folder: Path) -> Study:
        """Read what the panel handed over."""

    def synthesize(
        self, study: Study, model: str, device: str, alignment: Alignment, progress: Progress
    ) -> Synthesis:
        """Make the maps."""


class LibraryTools:
    """The library's own synthesis."""

    def read_study(self, folder: Path) -> Study:
        """Read what the panel handed over."""
        from SynthCBVLib.worker.study import HandedStudy

        return HandedStudy.read(folder).study()

    def synthesize(
        self, study: Study, model: str, device: str, alignment: Alignment, progress: Progress
    ) -> Synthesis:
        """Make the maps; torch is loaded here."""
        from SynthCBVLib.synthesis import load_model
        from SynthCBVLib.worker.alignment import synthesize_aligned

        progress(0.0, "Loading the model")
        return synthesize_aligned(study, load_model(model), device, alignment, progress)


def synthesis_task(tools: Tools | None = None) -> Task:
    """Make the task.

    Its job names a "study" (folder of a `HandedStudy`), a "model" and, if need be, a "device" and an
    "alignment" (fields of `SynthCBVLib.worker.alignment.Alignment`). It leaves "maps" (a folder of volumes:
    rcbv, uncertainty, mask, with provenance, windows and transforms) by the name of its index.

    Parameters
    ----------
    tools : Tools, optional
        What does the work; `LibraryTools` by default.
    """
    hands = LibraryTools() if tools is None else tools

    def run(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
        from SynthCBVLib.worker.alignment import Alignment
        from SynthCBVLib.worker.handover import Volume, write_volumes

        teller.progress(0.0, "Reading the volumes")
        study = hands.read_study(Path(job["study"]))
        alignment = Alignment(**job.get("alignment", {}))
        result = hands.synthesize(study, job["model"], job.get("device", "auto"), alignment, teller.progress)
        for finding in result.findings:
            teller.finding(finding)
        maps = {"rcbv": result.rcbv, "uncertainty": result.uncertainty, "mask": result.mask}
        more = {
            "provenance": dict(result.provenance),
            "windows": {kind: highest(maps[kind], result.mask) for kind in ("rcbv", "uncertainty")},
        }
        index = write_volumes(folder, {kind: Volume.of(image, kind) for kind, image in maps.items()}, more)
        return Outcome({"maps": index})

    return Task(("study", "model"), run)


def highest(image: sitk.Image, mask: sitk.Image) -> float:
    """Give the highest value that a map's display needs; 1 for a map of zeros."""
    import numpy as np
    import SimpleITK as sitk

    values = sitk.GetArrayViewFromImage(image)[sitk.GetArrayViewFromImage(mask) != 0]
    values = values[np.isfinite(values)]
    upper = float(np.percentile(values, SHOWN_PERCENTILE)) if values.size else 0.0
    return upper if upper > 0 else 1.0


SYNTHESIS = synthesis_task()
