"""The worker's real protocol around a stand-in for the network: ``worker_double.py BEHAVIOUR JOB.json``."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.worker import main
from SynthCBVLib.worker.handover import Volume, write_volumes
from SynthCBVLib.worker.task import Outcome, Task
from SynthCBVLib.worker.tasks.synthesis import LibraryTools, synthesis_task

SHIFT = [[1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 4.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
REGISTRATION = {"DWI": {"before": -0.25, "after": -0.5, "applied": True, "matrix": SHIFT}}


@dataclass(frozen=True)
class Finding:
    severity: str = "warning"
    modality: str = "T2w"
    what: str = "The T2w volume has thick slices."
    remedy: str = "Nothing to do."


@dataclass(frozen=True)
class Result:
    rcbv: sitk.Image
    uncertainty: sitk.Image
    mask: sitk.Image
    provenance: dict = field(
        default_factory=lambda: {"reference": "T2w", "unit": "of the test", "registration": REGISTRATION}
    )
    findings: tuple = (Finding(),)


class Tools(LibraryTools):
    def __init__(self, behaviour):
        self.behaviour = behaviour

    def read_study(self, folder):
        if self.behaviour == "slow":
            time.sleep(0.5)
        return super().read_study(folder)

    def synthesize(self, study, model, device, alignment, progress):
        progress(0.1, "Registering")
        print("a library prints this")  # noqa: T201 - must not reach the events
        if self.behaviour == "slow":
            time.sleep(0.5)
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            for step in range(600):
                progress(0.1 + step / 1000, "Computing")
                time.sleep(0.1)
        if self.behaviour == "input":
            raise InputError("T2w", "no overlap with the DWI", "images of one head", "Choose other volumes.")
        if self.behaviour == "fault":
            raise ValueError("unexpected shape")
        if self.behaviour == "no torch":
            sys.modules["torch"] = None  # as if it were not installed
            super().synthesize(study, model, device, alignment, progress)
        reference = sitk.Cast(study.scalar(Modality.T2W), sitk.sitkFloat32)
        progress(1.0, "Done")
        return Result(reference * 2.0, reference * 0.1, sitk.Cast(reference > 0, sitk.sitkUInt8))


def simulate(job, teller, folder):
    """Give small volumes instead of a digital patient."""
    teller.progress(0.5, "Simulating T2w")
    array = np.zeros((4, 20, 20), np.float32)
    array[:, 4:16, 4:16] = 5.0
    names = {"ivim": ("T2w", "DWI", "rCBV"), "asl": ("T1w", "CBF", "T2w", "rCBV")}[job["workflow"]]
    image = sitk.GetImageFromArray(array)
    volumes = {name: Volume.of(image, name) for name in names}
    if "DWI" in volumes:
        volumes["DWI"] = Volume.of(sitk.Compose([image, image * 0.9, image * 0.8, image * 0.5]), "DWI")
    volumes["outline"] = Volume.of(sitk.Cast(image > 0, sitk.sitkUInt8), "Lesion")
    return Outcome({"patient": write_volumes(folder, volumes, {"b_values": [0.0, 50.0, 400.0, 800.0]})})


if __name__ == "__main__":
    behaviour, job = sys.argv[1:]
    if behaviour == "garbage":
        sys.stdout.write(
            '{"type": "progress"}\n[]\n\x00\xff{{{\n{"type": "started", "pid": 1, "group": true}\n'
        )
        sys.exit(0)
    tasks = {
        "synthesize": synthesis_task(Tools(behaviour)), "simulate": Task(("workflow", "seed"), simulate)
    }  # fmt: skip
    sys.exit(main([job], tasks))
