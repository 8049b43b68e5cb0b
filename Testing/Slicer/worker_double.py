"""The worker's real protocol around a stand-in for the network: ``worker_double.py BEHAVIOUR JOB.json``."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.worker import LibraryTools, main


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
    provenance: dict = field(default_factory=lambda: {"reference": "T2w", "unit": "of the test"})
    findings: tuple = (Finding(),)


class Tools(LibraryTools):
    def __init__(self, behaviour):
        self.behaviour = behaviour

    def synthesize(self, study, model, device, progress):
        progress(0.1, "Registering")
        print("a library prints this")  # noqa: T201 - must not reach the events
        if self.behaviour == "slow":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            for step in range(600):
                progress(0.1 + step / 1000, "Computing")
                time.sleep(0.1)
        if self.behaviour == "input":
            raise InputError("T2w", "no overlap with the DWI", "images of one head", "Choose other volumes.")
        if self.behaviour == "fault":
            raise ValueError("unexpected shape")
        reference = sitk.Cast(study.scalar(Modality.T2W), sitk.sitkFloat32)
        progress(1.0, "Done")
        return Result(reference * 2.0, reference * 0.1, sitk.Cast(reference > 0, sitk.sitkUInt8))

    def write(self, result, folder, subject):
        files = {kind: folder / f"{kind}.nii.gz" for kind in ("rcbv", "uncertainty", "mask")}
        for kind, path in files.items():
            sitk.WriteImage(getattr(result, kind), str(path))
        return files


if __name__ == "__main__":
    behaviour, job = sys.argv[1:]
    if behaviour == "garbage":
        sys.stdout.write(
            '{"type": "progress"}\n[]\n\x00\xff{{{\n{"type": "started", "pid": 1, "group": true}\n'
        )
        sys.exit(0)
    sys.exit(main([job], Tools(behaviour)))
