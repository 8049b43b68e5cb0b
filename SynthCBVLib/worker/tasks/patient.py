"""The task "simulate": a digital patient from a seed, to try everything with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from SynthCBVLib.errors import InputError
from SynthCBVLib.worker.task import Outcome, Task, Teller

#: Images of each workflow with their share of the time, measured; the first one also waits for the head's
#: anatomy, the real rCBV map is there to compare with.
SHARES: Mapping[str, Mapping[str, float]] = {
    "ivim": {"T2w": 0.25, "DWI": 0.12, "rCBV": 0.4},
    "asl": {"T1w": 0.2, "CBF": 0.1, "T2w": 0.05, "FLAIR": 0.05, "ADC": 0.1, "T1c": 0.05, "rCBV": 0.3},
}
#: Image on whose grid the outline of the lesion is given.
REFERENCE = {"ivim": "T2w", "asl": "T1w"}
#: Key of the outline among the volumes.
OUTLINE = "outline"


def run(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
    """Simulate the images of a workflow and the outline of the lesion.

    The job has a "seed" and a "workflow" ("ivim" or "asl"). It leaves "patient" (a folder of volumes by
    modality, and "outline") by the name of its index.
    """
    import numpy as np
    import SimpleITK as sitk

    from SynthCBVLib.imaging.study import DiffusionSeries, Modality, join_vector, like
    from SynthCBVLib.phantom import DigitalPatient
    from SynthCBVLib.worker.handover import Volume, write_volumes

    workflow, seed = job["workflow"], job["seed"]
    if workflow not in SHARES:
        raise InputError("workflow", repr(workflow), f"one of {', '.join(SHARES)}")
    if not seed.isdecimal():
        raise InputError("seed", repr(seed), "a whole number, 0 or more")
    patient, done = DigitalPatient(int(seed)), 0.0
    volumes: dict[str, Volume] = {}
    more: dict[str, Any] = {}
    for name, share in SHARES[workflow].items():
        teller.progress(done, f"Simulating {name}")
        image = patient.study([Modality(name)]).images[Modality(name)]
        if isinstance(image, DiffusionSeries):
            more["b_values"], image = list(image.b_values), join_vector(image.volumes())
        volumes[name] = Volume.of(image, name)
        done += share
    teller.progress(done, "Outlining the lesion")
    lesion = patient.truth(Modality(REFERENCE[workflow])).lesion
    solid = np.uint8(sitk.GetArrayViewFromImage(lesion) == 1)
    volumes[OUTLINE] = Volume.of(like(solid, lesion), "Lesion")
    teller.progress(1.0, "Done")
    return Outcome({"patient": write_volumes(folder, volumes, more)})


SIMULATION = Task(("workflow", "seed"), run)
