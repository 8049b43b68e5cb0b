# ruff: noqa: T201
"""Measure brain masks on digital patients with skull and print a table.

python Testing/Benchmarks/bench_brainmask.py [--seeds 4000:4020] [--protocol compact] [--cache FOLDER]
    [--only T1w,T2w] [--without-peers]

The kinds of disease take turns. Truth is the digital patient's brain with its sulci, without the outer fluid.
deepbet is measured where it is installed (see requirements.txt). Seconds are of one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient

KINDS = ("wildtype", "mutant", "recurrence", "response", "metastasis")
#: Image: grid of its truth, contrast given to `brain_mask`.
IMAGES = {
    "T1w": (Modality.T1W, Modality.T1W),
    "T2w": (Modality.T2W, Modality.T2W),
    "FLAIR": (Modality.FLAIR, Modality.FLAIR),
    "T1c": (Modality.T1C, Modality.T1C),
    "b0": (Modality.DWI, Modality.DWI),
    "control": (Modality.CBF, Modality.DWI),
    "M0": (Modality.CBF, Modality.DWI),
}
Mask = Callable[[sitk.Image, Modality], sitk.Image]


def simulated(seed: int, protocol: str, folder: Path) -> Path:
    """Give the folder of a patient's images and truths; simulate them where it is not there."""
    folder = folder / f"{protocol}-{seed}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    patient = DigitalPatient(seed, KINDS[seed % len(KINDS)], protocol)
    structural = (Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.T1C)
    study, asl = patient.study([*structural, Modality.DWI]), patient.asl()
    images = {m.value: study.images[m] for m in structural}
    images |= {"b0": study.scalar(Modality.DWI), "control": asl.control, "M0": asl.m0}
    for name, image in images.items():
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    for grid in {grid for grid, _ in IMAGES.values()}:
        truth = patient.truth(grid)
        for part in ("brain", "lesion"):
            sitk.WriteImage(getattr(truth, part), str(folder / f"truth-{_short(grid)}-{part}.nii.gz"))
    (folder / "done").touch()
    return folder


def _short(grid: Modality) -> str:
    return {Modality.DWI: "b0", Modality.CBF: "ASL"}.get(grid, grid.value)


def deepbet() -> Mask:
    import nibabel
    import torch
    from deepbet import BrainExtraction

    torch.set_num_threads(1)
    network = BrainExtraction(no_gpu=True)

    def mask(image: sitk.Image, _: Modality) -> sitk.Image:
        image = sitk.Cast(image, sitk.sitkFloat32)
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
        found = network.run(nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1]) @ affine))[1]
        result = sitk.GetImageFromArray(np.asarray(found.dataobj).transpose(2, 1, 0).astype(np.uint8))
        result.CopyInformation(image)
        return result

    return mask


def measure(mask: Mask, name: str, folders: list[Path]) -> str:
    grid, contrast = IMAGES[name]
    rows = []
    for folder in folders:
        image = sitk.ReadImage(str(folder / f"{name}.nii.gz"))
        brain, lesion = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"truth-{_short(grid)}-{part}.nii.gz"))) > 0
            for part in ("brain", "lesion")
        )
        lesion &= brain
        start = time.process_time()
        try:
            found = sitk.GetArrayFromImage(mask(image, contrast)) > 0
        except (InputError, AssertionError, RuntimeError, ValueError) as error:  # a miss counts as 0
            print(f"{name} of {folder.name}: {error}", file=sys.stderr)
            found = np.zeros_like(brain)
        seconds = time.process_time() - start
        both = np.count_nonzero(found & brain)
        rows.append(
            (
                2 * both / (np.count_nonzero(found) + np.count_nonzero(brain)),
                both / np.count_nonzero(brain),
                np.count_nonzero(found & lesion) / max(np.count_nonzero(lesion), 1) if lesion.any() else 1.0,
                seconds,
            )
        )
    dice, recall, lesions, seconds = np.array(rows).T
    return (
        f"{dice.mean():.3f} {np.median(dice):7.3f} {dice.min():9.3f} "
        f"{np.median(recall):8.3f} {recall.min():9.3f} "
        f"{lesions.min():11.3f} {np.median(seconds):7.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="4000:4020")
    parser.add_argument("--protocol", default="compact")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", default=",".join(IMAGES))
    parser.add_argument("--without-peers", action="store_true")
    args = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    methods: dict[str, Mask] = {"SynthCBV": brain_mask}
    if not args.without_peers and find_spec("deepbet"):
        methods["deepbet"] = deepbet()
    first, end = map(int, args.seeds.split(":"))
    with tempfile.TemporaryDirectory() as temporary:
        folders = [simulated(s, args.protocol, args.cache or Path(temporary)) for s in range(first, end)]
        print(f"{args.protocol}, n = {len(folders)}")
        print("method   image     Dice  median  smallest   recall  smallest  of a lesion  seconds")
        for name in args.only.split(","):
            for method, mask in methods.items():
                print(f"{method:8s} {name:8s} {measure(mask, name, folders)}", flush=True)


if __name__ == "__main__":
    main()
