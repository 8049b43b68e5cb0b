# ruff: noqa: T201
"""Measure rigid registration side by side on digital patients and print a table.

python Testing/Benchmarks/bench_registration.py [--patients 5] [--moves 4] [--peer-trials 5] [--seed 5000]
    [--cores 1] [--grid 2mm|compact] [--cache FOLDER] [--without-peers]
    [--pairs CBF,T2w]

On top of the head's own poses, the moving image's header gets a random turn (each axis within 10 degrees) and
shift (each within 12 mm). The target registration error is taken at the brain's points. Peers that are not
installed are left out (see requirements.txt). Times: of the processor (all threads), and by the clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.phantom.protocol import COMPACT, Acquisition, Protocol

KINDS = ("wildtype", "mutant", "metastasis", "none", "recurrence", "response")
#: Moving image, fixed image. The control image stands for CBF where labelling is at hand, as in a synthesis.
PAIRS = (("DWI", "T2w"), ("CBF", "T1w"), ("control", "T1w"), ("T2w", "T1w"), ("T1c", "T1w"))
_FEW_B = (0.0, 0.0, 1000.0)


def _isotropic(blur: float = 0.0) -> Acquisition:
    return Acquisition(112, 2.0, 64, 2.0, 2.0, blur)


GRIDS: dict[str, Protocol] = {
    "compact": replace(COMPACT, b_values=_FEW_B),
    "2mm": replace(
        COMPACT,
        name="2mm",
        t2w=_isotropic(),
        dwi=_isotropic(2.0),
        t1w=_isotropic(),
        t1c=_isotropic(),
        asl=_isotropic(2.5),
        b_values=_FEW_B,
    ),
}

Align = Callable[[sitk.Image, sitk.Image], sitk.Transform]


@dataclass(frozen=True)
class Case:
    """Two images, the true transform (fixed to moving) and points of the brain in the fixed one."""

    moving: sitk.Image
    fixed: sitk.Image
    truth: sitk.Transform
    points: list[tuple[float, ...]]

    def error(self, found: sitk.Transform) -> float:
        """Median target registration error, mm."""
        apart = [np.subtract(found.TransformPoint(p), self.truth.TransformPoint(p)) for p in self.points]
        return float(np.median(np.linalg.norm(apart, axis=1)))


def images(seed: int, grid: str, cache: Path) -> Path:
    """Simulate a patient's images once and give their folder."""
    folder = cache / f"{grid}-{seed}"
    if (folder / "done").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    patient = DigitalPatient(seed, KINDS[seed % len(KINDS)], GRIDS[grid])
    wanted = [Modality(name) for name in ("DWI", "T1w", "T2w", "T1c", "CBF")]
    study = patient.study(wanted)
    for modality in wanted:
        sitk.WriteImage(study.scalar(modality), str(folder / f"{modality.value}.nii.gz"))
        sitk.WriteTransform(patient.transforms()[modality], str(folder / f"{modality.value}.tfm"))
    sitk.WriteImage(patient.asl().control, str(folder / "control.nii.gz"))
    for name in ("T1w", "T2w"):
        sitk.WriteImage(patient.truth(Modality(name)).brain, str(folder / f"brain_{name}.nii.gz"))
    (folder / "done").touch()
    return folder


def case(folder: Path, seed: int, moving_name: str, fixed_name: str, move: int = 0) -> Case:
    moving, fixed = (
        sitk.ReadImage(str(folder / f"{name}.nii.gz"), sitk.sitkFloat32) for name in (moving_name, fixed_name)
    )
    rng = np.random.default_rng((seed, [pair[0] for pair in PAIRS].index(moving_name), move))
    extra = sitk.Euler3DTransform()
    extra.SetRotation(*np.deg2rad(rng.uniform(-10, 10, 3)).tolist())
    extra.SetTranslation(rng.uniform(-12, 12, 3).tolist())
    middle = [(n - 1) / 2 for n in moving.GetSize()]
    extra.SetCenter(moving.TransformContinuousIndexToPhysicalPoint(middle))
    turn = np.array(extra.GetMatrix()).reshape(3, 3)
    moving.SetOrigin(extra.TransformPoint(moving.GetOrigin()))
    moving.SetDirection((turn @ np.array(moving.GetDirection()).reshape(3, 3)).ravel().tolist())
    acquired = "CBF" if moving_name == "control" else moving_name
    there, here = (sitk.ReadTransform(str(folder / f"{name}.tfm")) for name in (acquired, fixed_name))
    truth = sitk.CompositeTransform([extra, there, here.GetInverse()])
    brain = sitk.ReadImage(str(folder / f"brain_{fixed_name}.nii.gz"))
    index = np.argwhere(sitk.GetArrayViewFromImage(brain) > 0)
    index = index[:: max(1, len(index) // 800), ::-1]
    return Case(moving, fixed, truth, [fixed.TransformIndexToPhysicalPoint(i.tolist()) for i in index])


def ours(moving: sitk.Image, fixed: sitk.Image) -> sitk.Transform:
    return register(moving, fixed).transform


def with_ants(moving: sitk.Image, fixed: sitk.Image) -> sitk.Transform:
    import ants

    def image(source: sitk.Image):
        return ants.from_numpy(
            sitk.GetArrayFromImage(source).T.copy(), list(source.GetOrigin()), list(source.GetSpacing()),
            np.array(source.GetDirection()).reshape(3, 3),
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        found = ants.registration(
            image(fixed), image(moving), "Rigid", outprefix=f"{folder}/", random_seed=1, singleprecision=False
        )
        return sitk.ReadTransform(found["fwdtransforms"][0])


def with_elastix(moving: sitk.Image, fixed: sitk.Image, cores: int) -> sitk.Transform:
    import itk

    def image(source: sitk.Image):
        copy = itk.image_from_array(sitk.GetArrayFromImage(source))
        copy.SetSpacing(source.GetSpacing())
        copy.SetOrigin(source.GetOrigin())
        copy.SetDirection(itk.matrix_from_array(np.array(source.GetDirection()).reshape(3, 3)))
        return copy

    parameters = itk.ParameterObject.New()
    rigid = parameters.GetDefaultParameterMap("rigid", 4)
    rigid["AutomaticTransformInitialization"] = ["true"]
    rigid["AutomaticTransformInitializationMethod"] = ["CenterOfGravity"]
    parameters.AddParameterMap(rigid)
    _, result = itk.elastix_registration_method(
        image(fixed),
        image(moving),
        parameter_object=parameters,
        log_to_console=False,
        number_of_threads=cores,
    )
    found = result.GetParameterMap(0)
    transform = sitk.Euler3DTransform()
    transform.SetComputeZYX(found["ComputeZYX"][0] == "true")
    transform.SetCenter([float(v) for v in found["CenterOfRotationPoint"]])
    transform.SetParameters([float(v) for v in found["TransformParameters"]])
    return transform


def measure(align: Align, cases: list[Case]) -> tuple[list[float], float, float]:
    """Errors (mm) of all cases, and the median seconds of processor and clock."""
    align(cases[0].moving, cases[0].fixed)  # what a first call loads is not the method's
    errors, processor, clock = [], [], []
    for each in cases:
        begin = time.process_time(), time.perf_counter()
        found = align(each.moving, each.fixed)
        processor.append(time.process_time() - begin[0])
        clock.append(time.perf_counter() - begin[1])
        errors.append(each.error(found))
    return errors, float(np.median(processor)), float(np.median(clock))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=5)
    parser.add_argument("--moves", type=int, default=4, help="random turns and shifts of each patient")
    parser.add_argument("--peer-trials", type=int, default=20, help="so many of all trials for the peers")
    parser.add_argument("--seed", type=int, default=5000, help="of the first patient")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--grid", choices=GRIDS, default="2mm")
    parser.add_argument("--cache", type=Path, help="folder to keep simulated images in")
    parser.add_argument("--without-peers", action="store_true", help="measure SynthCBV alone")
    parser.add_argument("--pairs", help="moving images of the pairs to measure, with commas; all by default")
    args = parser.parse_args()
    pairs = [pair for pair in PAIRS if args.pairs is None or pair[0] in args.pairs.split(",")]
    for name in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(args.cores)  # read by the peers when they are loaded
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(args.cores)
    tools: list[tuple[str, str | None, Align]] = [("**SynthCBV**", None, ours)]
    if not args.without_peers:
        tools.append(("antspyx", "ants", with_ants))
        tools.append(("itk-elastix", "itk", lambda m, f: with_elastix(m, f, args.cores)))
    with tempfile.TemporaryDirectory() as scratch:
        cache = args.cache or Path(scratch)
        seeds = range(args.seed, args.seed + args.patients)
        folders = {seed: images(seed, args.grid, cache) for seed in seeds}
        print(
            f"{args.patients} patients, {args.moves} positions each, {args.grid}, {args.cores} core(s), "
            f"load {os.getloadavg()[0]:.1f}"
        )
        print(
            "| pair | tool | trials | median TRE mm | worst trial mm | CPU s | clock s | "
            "CPU of SynthCBV / its |\n|---|---|---|---|---|---|---|---|"
        )
        for pair in pairs:
            # Patients vary first, so that the peers' trials are of different ones.
            cases = [
                case(folder, seed, *pair, move)
                for move in range(args.moves)
                for seed, folder in folders.items()
            ]
            own = None
            for name, package, align in tools:
                if package is not None and find_spec(package) is None:
                    print(f"| {pair[0]}->{pair[1]} | {name} | not installed | | | | | |")
                    continue
                some = cases if package is None else cases[: args.peer_trials]
                errors, processor, clock = measure(align, some)
                own = own or processor
                print(
                    f"| {pair[0]}->{pair[1]} | {name} | {len(errors)} | {np.median(errors):.3f} | "
                    f"{max(errors):.2f} | {processor:.2f} | {clock:.2f} | {own / processor:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
