# ruff: noqa: T201
"""Hold the quality checks against studies spoiled on purpose, and against clean ones.

Digital patients are simulated once and kept in a cache folder. Each of the 60 spoilings below is done to
another patient and has to be found, by kind and image; each clean patient may have no warning and no error.

    python Testing/Benchmarks/bench_quality.py --cache DIR [--first 4000] [--patients 60] [--workers 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.imaging.quality import Finding, check
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    StudyImage,
    join_series,
    like,
)
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.synthesis import load_model

M = Modality
KINDS = ("wildtype", "mutant", "recurrence", "response", "none", "metastasis")
#: Warnings and errors that all clean studies together may have.
MOST_FALSE = 2

Images = dict[Modality, StudyImage]
Change = Callable[[Images, np.random.Generator], Images]


# --- digital patients ------------------------------------------------------------------------------------


def patient_images(seed: int, protocol: str, cache: Path) -> dict[str, StudyImage]:
    """Give all images of a digital patient, simulated once; "ASL" is its CBF before quantification."""
    kind = KINDS[seed % len(KINDS)]
    folder = cache / f"{seed:05d}-{kind}-{protocol}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        patient = DigitalPatient(seed, kind, protocol)
        for modality, image in patient.study().images.items():
            stored = image.image if isinstance(image, DiffusionSeries) else image
            sitk.WriteImage(stored, str(folder / f"{modality}.nii"))
            if isinstance(image, DiffusionSeries):
                (folder / "DWI.bval").write_text(" ".join(f"{b:g}" for b in image.b_values))
        for name in ("control", "label", "m0"):
            sitk.WriteImage(getattr(patient.asl(), name), str(folder / f"{name}.nii"))
        (folder / "done").touch()
    images: dict[str, StudyImage] = {
        m.value: sitk.ReadImage(str(folder / f"{m}.nii")) for m in M if m is not M.DWI
    }
    b_values = tuple(float(b) for b in (folder / "DWI.bval").read_text().split())
    images["DWI"] = DiffusionSeries(sitk.ReadImage(str(folder / "DWI.nii")), b_values)
    parts = [sitk.ReadImage(str(folder / f"{name}.nii")) for name in ("control", "label", "m0")]
    images["ASL"] = AslSeries(*parts, "pcasl", 1.8, 1.8)
    return images


def study_images(images: Mapping[str, StudyImage], card: str, raw: bool) -> Images:
    """Choose the images that go with a card; `raw` gives ASL itself in place of the CBF map."""
    if card == "ivim":
        return {m: images[m.value] for m in (M.DWI, M.T2W, M.RCBV)}
    chosen = {m: images[m.value] for m in M if m is not M.DWI}
    return {**chosen, M.CBF: images["ASL"]} if raw else chosen


# --- ways to spoil one image -----------------------------------------------------------------------------


def on(modality: Modality, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    """Change the values (z, y, x) of an image, all volumes of a series alike."""

    def changed(image: sitk.Image, rng: np.random.Generator) -> sitk.Image:
        array = change(sitk.GetArrayFromImage(image).astype(np.float32), rng).astype(np.float32)
        if array.shape == image.GetSize()[::-1]:
            return like(array, image)
        return _with_slices(array, image)

    def spoil(images: Images, rng: np.random.Generator) -> Images:
        return {**images, modality: _mapped(images[modality], lambda i: changed(i, rng))}

    return spoil


def _with_slices(array: np.ndarray, image: sitk.Image) -> sitk.Image:
    """Make an image whose slices go on from the first with the old distance, as a header would have it."""
    other = sitk.GetImageFromArray(array)
    other.SetSpacing(image.GetSpacing())
    other.SetOrigin(image.GetOrigin())
    other.SetDirection(image.GetDirection())
    return other


def _mapped(image: StudyImage, change: Callable[[sitk.Image], sitk.Image]) -> StudyImage:
    if isinstance(image, DiffusionSeries):
        return replace(image, image=join_series([change(volume) for volume in image.volumes()]))
    if isinstance(image, AslSeries):
        return replace(image, control=change(image.control), label=change(image.label), m0=change(image.m0))
    return change(image)


def dropped(modality: Modality, share: float, count: int = 1) -> Change:
    """Leave out slices from a height (0 bottom, 1 top) on; those above move down."""
    return on(modality, lambda a, _: np.delete(a, np.arange(count) + int(share * len(a)), 0))


def repeated(modality: Modality, share: float) -> Change:
    """Write a slice twice, in place of the next."""

    def change(a: np.ndarray, _: np.random.Generator) -> np.ndarray:
        k = int(share * len(a))
        a[k + 1] = a[k]
        return a

    return on(modality, change)


def blank(modality: Modality, share: float, keep: float = 0.0) -> Change:
    """Scale one slice, by default to nothing."""

    def change(a: np.ndarray, _: np.random.Generator) -> np.ndarray:
        a[int(share * len(a))] *= keep
        return a

    return on(modality, change)


def flipped(modality: Modality) -> Change:
    """Mirror left to right; the header stays."""
    return on(modality, lambda a, _: a[:, :, ::-1].copy())


def clipped(modality: Modality, percentile: float) -> Change:
    """Cut off what is brighter than a percentile of the upper half."""
    return on(modality, lambda a, _: np.minimum(a, np.percentile(a[a > a.mean()], percentile)))


def noisy(modality: Modality, amount: float) -> Change:
    """Add Rician noise, as a share of the bright tissue."""

    def change(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sigma = amount * float(np.median(a[a > a.mean()]))
        return np.hypot(a + sigma * rng.normal(size=a.shape), sigma * rng.normal(size=a.shape))

    return on(modality, change)


def cropped(modality: Modality, axis: int, low: int, high: int) -> Change:
    """Cut slices, rows or columns off both ends (axis of z, y, x) with the geometry kept."""

    def crop(image: sitk.Image) -> sitk.Image:
        lower, upper = [0, 0, 0], [0, 0, 0]
        lower[2 - axis], upper[2 - axis] = low, high
        return sitk.Crop(image, lower, upper)

    return lambda images, _: {**images, modality: _mapped(images[modality], crop)}


def shifted(modality: Modality, by: float) -> Change:
    """Lay an image elsewhere, in mm to the left."""

    def move(image: sitk.Image) -> sitk.Image:
        other = sitk.Image(image)
        x, y, z = image.GetOrigin()
        other.SetOrigin((x + by, y, z))
        return other

    def spoil(images: Images, _: np.random.Generator) -> Images:
        image = images[modality]
        if isinstance(image, DiffusionSeries):
            whole = sitk.Image(image.image)
            x, *rest = whole.GetOrigin()
            whole.SetOrigin((x + by, *rest))
            return {**images, modality: replace(image, image=whole)}
        return {**images, modality: _mapped(image, move)}

    return spoil


def coarse(modality: Modality, spacing: float) -> Change:
    """Bring to large voxels."""
    return lambda images, _: {
        **images,
        modality: _mapped(images[modality], lambda i: resample(i, grid(i, (spacing, spacing, None)))),
    }


def named(target: Modality, source: Modality, scale: float = 1.0) -> Change:
    """Give one image under the name of another."""
    return lambda images, _: {**images, target: images[source] * scale}


def exchanged(first: Modality, second: Modality) -> Change:
    """Exchange two images."""
    return lambda images, _: {**images, first: images[second], second: images[first]}


def scaled(modality: Modality, factor: float, offset: float = 0.0) -> Change:
    """Scale; the offset is a share of the 99th percentile."""
    return on(modality, lambda a, _: a * factor + offset * np.percentile(a, 99))


def series(change: Callable[[np.ndarray, np.ndarray, sitk.Image], tuple[np.ndarray, np.ndarray]]) -> Change:
    """Change volumes (n, z, y, x) and b-values of the DWI."""

    def spoil(images: Images, _: np.random.Generator) -> Images:
        dwi = images[M.DWI]
        assert isinstance(dwi, DiffusionSeries)
        template = dwi.volumes()[0]
        volumes, b = change(
            np.stack([sitk.GetArrayFromImage(v) for v in dwi.volumes()]), np.array(dwi.b_values), template
        )
        joined = join_series([like(volume, template) for volume in volumes])
        return {**images, M.DWI: DiffusionSeries(joined, tuple(b.tolist()))}

    return spoil


def asl(**changes: Callable[[AslSeries], sitk.Image]) -> Change:
    """Replace parts of the ASL."""

    def spoil(images: Images, _: np.random.Generator) -> Images:
        whole = images[M.CBF]
        assert isinstance(whole, AslSeries)
        return {**images, M.CBF: replace(whole, **{name: make(whole) for name, make in changes.items()})}

    return spoil


def moved(image: sitk.Image, shift: tuple[float, float, float], degrees: float = 0.0) -> sitk.Image:
    """Move the head in an image."""
    pose = sitk.Euler3DTransform()
    pose.SetCenter(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    pose.SetRotation(0.0, 0.0, float(np.deg2rad(degrees)))
    pose.SetTranslation(shift)
    return sitk.Resample(image, image, pose, sitk.sitkLinear, 0.0, image.GetPixelID(), True)


def _moved_volumes(
    chosen: Callable[[np.ndarray], np.ndarray], shift: tuple[float, float, float], degrees: float
) -> Change:
    def change(
        volumes: np.ndarray, b: np.ndarray, template: sitk.Image
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        for k in np.flatnonzero(chosen(b)):
            volumes[k] = sitk.GetArrayFromImage(moved(like(volumes[k], template), shift, degrees))
        return volumes, b

    return series(change)


def _reordered(pairs: tuple[tuple[int, int], ...]) -> Change:
    def change(
        volumes: np.ndarray, b: np.ndarray, _: sitk.Image
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        order = np.arange(len(b))
        for i, j in pairs:
            order[[i, j]] = order[[j, i]]
        return volumes[order], b

    return series(change)


def kept(choice: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Keep the volumes that a choice (of b-values, to a mask) says."""
    return series(lambda volumes, b, _: (volumes[choice(b)], b[choice(b)]))


def _first_of_each(b: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(b), dtype=bool)
    mask[np.unique(b, return_index=True)[1]] = True
    return mask


def _nan(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    a[len(a) // 2, 40:44, 40:44] = np.nan
    return a


def _one_volume(k: int, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def spoil(
        volumes: np.ndarray, b: np.ndarray, _: sitk.Image
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        volumes[k] = change(volumes[k])
        return volumes, b

    return series(spoil)


def _slice_lost(volume: np.ndarray) -> np.ndarray:
    volume[len(volume) // 2] *= 0.4
    return volume


# --- the sixty -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spoiling:
    """One way to spoil a study, and the finding that it should give.

    Attributes
    ----------
    name : str
        In plain words.
    card : str
        Model that the study is meant for; "asl-raw" gives ASL before quantification.
    change : Callable
        What is done.
    kind : str
        Of the finding.
    modalities : tuple of Modality
        One of which the finding has to name: both where nothing tells which of two images is wrong.
    """

    name: str
    card: str
    change: Change
    kind: str
    modalities: tuple[Modality, ...]


def _s(name: str, card: str, change: Change, kind: str, *modalities: Modality) -> Spoiling:
    return Spoiling(name, card, change, kind, modalities)


SPOILINGS: tuple[Spoiling, ...] = (
    _s("b = 50 and 800 missing", "ivim", kept(lambda b: (b != 50) & (b != 800)), "b-values", M.DWI),
    _s("b = 400 said to be 450", "ivim", series(lambda v, b, _: (v, np.where(b == 400, 450, b))),
       "b-values", M.DWI),
    _s("b-values in ms/µm²", "ivim", series(lambda v, b, _: (v, b / 1000)), "b-values", M.DWI),
    _s("each b-value once", "ivim", kept(_first_of_each), "averages", M.DWI),
    _s("high b-values once", "ivim", kept(lambda b: _first_of_each(b) | (b < 800)), "averages", M.DWI),
    _s("volumes in reverse", "ivim", series(lambda v, b, _: (v[::-1], b)), "decay", M.DWI),
    _s("two volumes exchanged", "ivim", _reordered(((2, 13),)), "decay", M.DWI),
    _s("b = 100 and 300 exchanged", "ivim", _reordered(((4, 10), (5, 11))), "decay", M.DWI),
    _s("an empty volume", "ivim", _one_volume(7, lambda v: v * 0), "empty", M.DWI),
    _s("an empty FLAIR", "asl", scaled(M.FLAIR, 0.0), "empty", M.FLAIR),
    _s("NaN in T2w", "ivim", on(M.T2W, _nan), "not finite", M.T2W),
    _s("NaN in ADC", "asl", on(M.ADC, _nan), "not finite", M.ADC),
    _s("T2w clipped", "ivim", clipped(M.T2W, 95), "saturated", M.T2W),
    _s("b = 0 clipped", "ivim", clipped(M.DWI, 90), "saturated", M.DWI),
    _s("T1c clipped", "asl", clipped(M.T1C, 97), "saturated", M.T1C),
    _s("T2w minus an offset", "ivim", scaled(M.T2W, 1.0, -0.3), "negative", M.T2W),
    _s("FLAIR minus an offset", "asl", scaled(M.FLAIR, 1.0, -0.2), "negative", M.FLAIR),
    _s("noisy T2w", "ivim", noisy(M.T2W, 0.35), "noise", M.T2W),
    _s("noisy DWI", "ivim", noisy(M.DWI, 0.35), "noise", M.DWI),
    _s("noisy T1w", "asl", noisy(M.T1W, 0.35), "noise", M.T1W),
    _s("DWI elsewhere", "ivim", shifted(M.DWI, 500.0), "overlap", M.DWI),
    _s("CBF elsewhere", "asl", shifted(M.CBF, -500.0), "overlap", M.CBF),
    _s("coarse T1w", "asl", coarse(M.T1W, 5.2), "voxels", M.T1W),
    _s("coarse T2w", "ivim", coarse(M.T2W, 6.0), "voxels", M.T2W),
    _s("T2w cut at the top", "ivim", cropped(M.T2W, 0, 0, 4), "coverage", M.T2W),
    _s("DWI cut at the top", "ivim", cropped(M.DWI, 0, 0, 4), "coverage", M.DWI),
    _s("T1w cut at the top", "asl", cropped(M.T1W, 0, 0, 9), "coverage", M.T1W),
    _s("T1c cut at a side", "asl", cropped(M.T1C, 2, 42, 0), "coverage", M.T1C),
    _s("CBF a slab", "asl", cropped(M.CBF, 0, 12, 0), "coverage", M.CBF),
    _s("T1w given as T2w", "ivim", lambda i, _: i, "contrast", M.T2W),  # replaced below: needs the T1w
    _s("FLAIR given as T2w", "ivim", lambda i, _: i, "contrast", M.T2W),
    _s("ADC given as T2w", "ivim", lambda i, _: i, "contrast", M.T2W),
    _s("T1w and T2w exchanged", "asl", exchanged(M.T1W, M.T2W), "contrast", M.T1W, M.T2W),
    _s("T1w and FLAIR exchanged", "asl", exchanged(M.T1W, M.FLAIR), "contrast", M.T1W, M.FLAIR),
    _s("FLAIR and T1c exchanged", "asl", exchanged(M.FLAIR, M.T1C), "contrast", M.FLAIR, M.T1C),
    _s("T2w and ADC exchanged", "asl", exchanged(M.T2W, M.ADC), "contrast", M.T2W, M.ADC),
    _s("T2w and FLAIR exchanged", "asl", exchanged(M.T2W, M.FLAIR), "contrast", M.T2W, M.FLAIR),
    _s("T1w and T1c exchanged", "asl", exchanged(M.T1W, M.T1C), "contrast", M.T1W, M.T1C),
    _s("T1w given as T1c", "asl", named(M.T1C, M.T1W), "twice", M.T1C),
    _s("T2w given as FLAIR, scaled", "asl", named(M.FLAIR, M.T2W, 1.7), "twice", M.FLAIR),
    _s("CBF in ml/g/s", "asl", scaled(M.CBF, 1 / 6000), "unit", M.CBF),
    _s("CBF ten times too high", "asl", scaled(M.CBF, 10.0), "unit", M.CBF),
    _s("CBF a hundredth", "asl", scaled(M.CBF, 0.01), "unit", M.CBF),
    _s("M0 a hundredth", "asl-raw", asl(m0=lambda a: a.m0 * 0.01), "m0", M.CBF),
    _s("M0 fifty times", "asl-raw", asl(m0=lambda a: a.m0 * 50.0), "m0", M.CBF),
    _s("control and label exchanged", "asl-raw", asl(control=lambda a: a.label, label=lambda a: a.control),
       "labelling", M.CBF),
    _s("control given twice", "asl-raw", asl(label=lambda a: a.control), "labelling", M.CBF),
    _s("motion before the label", "asl-raw", asl(label=lambda a: moved(a.label, (2.0, 2.0, 1.0), 2.0)),
       "motion", M.CBF),
    _s("motion in mid series", "ivim", _moved_volumes(lambda b: b >= 400, (2.0, 1.5, 0.0), 1.5),
       "motion", M.DWI),
    _s("motion in two volumes", "ivim",
       _moved_volumes(lambda b: np.isin(np.arange(len(b)), (3, 12)), (0.0, 2.5, 1.0), -2.0), "motion", M.DWI),
    _s("DWI mirrored", "ivim", flipped(M.DWI), "mirrored", M.DWI, M.T2W),
    _s("T1c mirrored", "asl", flipped(M.T1C), "mirrored", M.T1C),
    _s("CBF mirrored", "asl", flipped(M.CBF), "mirrored", M.CBF),
    _s("T1w mirrored", "asl", flipped(M.T1W), "mirrored", M.T1W),
    _s("DWI without a slice", "ivim", dropped(M.DWI, 0.5), "slices", M.DWI),
    _s("T2w without two slices", "ivim", dropped(M.T2W, 0.45, 2), "slices", M.T2W),
    _s("T1w without a slice", "asl", dropped(M.T1W, 0.6), "slices", M.T1W),
    _s("FLAIR with a slice twice", "asl", repeated(M.FLAIR, 0.5), "slices", M.FLAIR),
    _s("an empty slice of CBF", "asl", blank(M.CBF, 0.5), "slices", M.CBF),
    _s("a slice of one volume lost", "ivim", _one_volume(15, _slice_lost), "slices", M.DWI),
)  # fmt: skip
#: Wrong images that the IVIM study does not have itself.
_BORROWED = {
    "T1w given as T2w": M.T1W, "FLAIR given as T2w": M.FLAIR, "ADC given as T2w": M.ADC,
}  # fmt: skip


def spoiled(spoiling: Spoiling, images: Mapping[str, StudyImage], seed: int) -> Study:
    """Spoil a patient's study."""
    card = spoiling.card.split("-")[0]
    chosen = study_images(images, card, spoiling.card.endswith("raw"))
    changed = spoiling.change(chosen, np.random.default_rng(seed))
    if spoiling.name in _BORROWED:
        changed = {**changed, M.T2W: images[_BORROWED[spoiling.name].value]}
    return Study(f"{seed:05d}", changed)


# --- measurement -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What the check said of one study."""

    name: str
    patient: str
    caught: bool
    findings: tuple[Finding, ...]
    seconds: float


def caught(spoiling: Spoiling, findings: list[Finding]) -> bool:
    """Tell whether the right finding is among them."""
    return any(f.kind == spoiling.kind and f.modality in spoiling.modalities for f in findings)


def _run(job: tuple[int, int, str, Path]) -> Outcome:
    """Check one study: spoiling number `which`, or the clean study if that is below zero."""
    seed, which, protocol, cache = job
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    images = patient_images(seed, protocol, cache)
    if which < 0:
        card, raw = ("ivim", "asl", "asl-raw")[-which - 1].split("-")[0], which == -3
        study, name = Study(f"{seed:05d}", study_images(images, card, raw)), card + (" raw" if raw else "")
    else:
        spoiling = SPOILINGS[which]
        card, study, name = spoiling.card.split("-")[0], spoiled(spoiling, images, seed), spoiling.name
    model = load_model(card).card
    start = time.process_time()
    findings = check(study, model)
    seconds = time.process_time() - start
    serious = tuple(f for f in findings if f.severity != "info")
    good = caught(SPOILINGS[which], findings) if which >= 0 else not serious
    return Outcome(name, f"{seed} {KINDS[seed % len(KINDS)]}", good, tuple(findings), seconds)


def main() -> int:
    """Measure and print; exit code 1 if a bar is missed."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the simulated patients")
    parser.add_argument("--first", type=int, default=4000, help="seed of the first patient (4000)")
    parser.add_argument("--patients", type=int, default=60, help="clean patients (60)")
    parser.add_argument("--protocol", default="compact", choices=("compact", "paper"))
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument("--only", choices=("clean", "spoiled"), help="leave out the other half")
    parser.add_argument("--match", default="", help="only spoilings whose name contains this")
    args = parser.parse_args()
    seeds = [args.first + k for k in range(args.patients)]
    wanted = [k for k, s in enumerate(SPOILINGS) if args.match in s.name]
    # Cards in turn, in steps that meet every kind of patient with every card
    clean = [(s, -1 - (k + k // len(KINDS)) % 3, args.protocol, args.cache) for k, s in enumerate(seeds)]
    dirty = [(seeds[(7 * k) % len(seeds)], k, args.protocol, args.cache) for k in wanted]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        bad = [] if args.only == "clean" else _told(pool.imap(_run, dirty), "spoiled")
        good = [] if args.only == "spoiled" else _told(pool.imap(_run, clean), "clean")
    found = sum(o.caught for o in bad)
    false = sum(sum(f.severity != "info" for f in o.findings) for o in good)
    seconds = sorted(o.seconds for o in (*bad, *good))
    print(f"\nspoiled: {found} of {len(bad)} caught with the right finding")
    print(f"clean:   {false} false findings in {len(good)} studies (bar: at most {MOST_FALSE})")
    if seconds:
        middle = seconds[len(seconds) // 2]
        print(f"seconds of one core a study: median {middle:.1f}, longest {seconds[-1]:.1f}")
    return int(found < len(bad) or false > MOST_FALSE)


def _told(outcomes, title: str) -> list[Outcome]:  # type: ignore[no-untyped-def]
    print(f"\n| {title} | patient | as wanted | s | findings |\n|---|---|---|---|---|", flush=True)
    done = []
    for o in outcomes:
        shown = "; ".join(f"{f.modality} {f.kind}: {f.what}" for f in o.findings if f.kind != "unused")
        good = "yes" if o.caught else "NO"
        print(f"| {o.name} | {o.patient} | {good} | {o.seconds:.1f} | {shown} |", flush=True)
        done.append(o)
    return done


if __name__ == "__main__":
    raise SystemExit(main())
