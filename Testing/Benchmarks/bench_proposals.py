# ruff: noqa: T201
"""Hold proposed regions of digital patients against their truth and print a table.

python Testing/Benchmarks/bench_proposals.py [--seeds 14200-14239] [--anatomy T2w] [--cache FOLDER]

Even seeds are IDH wild-type gliomas, odd ones IDH mutant, in the compact protocol. Everything is on the
grid of T2w: the scanner's rCBV map with its noise, and the true label of solid tumour as it is or made
rough in three ways, as a user's outline would be: a pixel wider, a pixel narrower, or with a wavering
border (SD 1.5 mm). Hot spots count as inside if of each the centre and at least 80 % of the area are solid
tumour in truth; white matter if each region holds at least 95 % of it in truth; the ratio is held against
that of the truth's regions on the same map, in all and by its two parts (above 0: the proposed regions read
higher). Settings were chosen on seeds 3000 to 3019, 6000 to 6039 and 7000 to 7039; those of white matter,
and the hot spots' smoothing, also on 8000 to 8020 and 9000 to 9039; how depth weighs, and when another
slice is taken, on all of these, 8021 to 8039, 10200 to 10239, 11200 to 11239 and 12200 to 12239.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.analysis.regions import t_wm_ratio
from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane, midsagittal_plane
from SynthCBVLib.analysis.regions.proposals import propose_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.study import Modality, like

OUTLINES = ("exact", "wider", "narrower", "wavering")
TRUTHS = ("white", "lesion", "brain")


def simulate(seed: int, folder: Path) -> None:
    """Write one patient's images and truth on the grid of T2w."""
    from SynthCBVLib.phantom import DigitalPatient

    patient = DigitalPatient(seed, "wildtype" if seed % 2 == 0 else "mutant", "compact")
    study, truth = patient.study([Modality.T2W, Modality.T1W, Modality.RCBV]), patient.truth(Modality.T2W)
    grid = study.images[Modality.T2W]
    folder.mkdir(parents=True, exist_ok=True)
    images = {"t2w": grid, **{f"true_{name}": getattr(truth, name) for name in TRUTHS}}
    for modality, name in ((Modality.T1W, "t1w"), (Modality.RCBV, "rcbv")):
        transform = patient.transform(modality, Modality.T2W)
        images[name] = sitk.Resample(
            study.images[modality], grid, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32
        )
    for i, (tumour, white) in enumerate(zip(truth.tumour, truth.white_matter, strict=True), start=1):
        images |= {f"tumour{i}": tumour, f"white{i}": white}
    for name, image in images.items():
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    normal, offset = patient._anatomy.sagittal_plane
    pose = patient.transforms()[Modality.T2W]
    point = np.array(pose.TransformPoint((normal * offset).tolist()))
    turned = np.array(pose.TransformVector(normal.tolist(), [0.0, 0.0, 0.0]))
    np.savetxt(folder / "plane.txt", [*turned, turned @ point])
    (folder / "done").touch()


def rough(solid: np.ndarray, outline: str, pixel: tuple[float, float], seed: int) -> np.ndarray:
    """Give an outline as a user might draw it in the slices of a tumour (slice, row, column)."""
    if outline == "exact":
        return solid
    if outline == "wider":
        return np.stack([ndimage.binary_dilation(part) for part in solid])
    if outline == "narrower":
        return np.stack([ndimage.binary_erosion(part) for part in solid])
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(solid.shape), (1, 4, 4))
    edt = ndimage.distance_transform_edt
    depth = [
        edt(part, sampling=pixel) - edt(~part, sampling=pixel) if part.any() else np.full(part.shape, -99.0)
        for part in solid
    ]
    return np.stack(depth) + 1.5 * noise / noise.std() > 0


@dataclass(frozen=True)
class Outcome:
    """One patient, one outline."""

    hot: bool
    contralateral: bool
    least_white: float
    mean_white: float
    ratio: float
    true_ratio: float
    tumour_part: float
    white_part: float

    @property
    def difference(self) -> float:
        return abs(self.ratio / self.true_ratio - 1)


class Case:
    """One patient's files."""

    def __init__(self, folder: Path, anatomy: str, both: bool = False) -> None:
        def read(name: str) -> sitk.Image:
            return sitk.ReadImage(str(folder / f"{name}.nii.gz"))

        self.seed, self.contrast = int(folder.name), Modality(anatomy)
        self.image, self.map = read(anatomy.lower()), read("rcbv")
        self.others = {Modality.T1W: read("t1w")} if both else {}
        self.white, self.lesion, self.brain = (sitk.GetArrayFromImage(read(f"true_{n}")) for n in TRUTHS)
        self.true = [[read(f"{kind}{i}") for i in (1, 2, 3)] for kind in ("tumour", "white")]
        values = np.loadtxt(folder / "plane.txt")
        self.plane = SagittalPlane(tuple(values[:3]), float(values[3]))
        self.mask = brain_mask(self.image, self.contrast)

    def segment(self, outline: str) -> sitk.Image:
        drawn = rough(self.lesion == 1, outline, self.image.GetSpacing()[1::-1], self.seed)
        return like(drawn.astype(np.uint8), self.image)

    def plane_errors(self, plane: SagittalPlane) -> tuple[float, float]:
        """Angle (degrees) and distance at the brain's centre (mm) between a plane and the true one."""
        cosine = min(1.0, abs(float(np.dot(plane.normal, self.plane.normal))))
        centre = np.argwhere(self.brain).mean(0)[::-1]
        point = np.array(self.image.TransformContinuousIndexToPhysicalPoint(centre.tolist()))
        return float(np.degrees(np.arccos(cosine))), float(
            abs(plane.distances(point) - self.plane.distances(point))
        )

    def outcome(self, outline: str, plane: SagittalPlane) -> Outcome:
        found = propose_regions(
            self.image, self.map, self.segment(outline), self.mask, self.contrast, plane=plane,
            others=self.others,
        )  # fmt: skip
        sides = self.plane.distance_map(self.image)
        hot = [sitk.GetArrayFromImage(mask) > 0 for mask in found.tumour.values()]
        pale = [sitk.GetArrayFromImage(mask) > 0 for mask in found.white_matter.values()]
        centres = [tuple(np.rint(np.argwhere(mask).mean(0)).astype(int)) for mask in hot]
        inside = [
            self.lesion[centre] == 1 and (self.lesion[mask] == 1).mean() >= 0.8
            for centre, mask in zip(centres, hot, strict=True)
        ]
        side = np.sign(np.mean([sides[mask].mean() for mask in hot]))
        white = [float(self.white[mask].mean()) for mask in pale]
        got, true = t_wm_ratio(self.map, found.tumour, found.white_matter), t_wm_ratio(self.map, *self.true)
        return Outcome(
            len(hot) == 3 and all(inside),
            all((sides[mask] * side < 0).all() for mask in pale),
            min(white), float(np.mean(white)), got.ratio, true.ratio,
            got.tumour / true.tumour - 1, got.white_matter / true.white_matter - 1,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="14200-14239", metavar="A-B", help="first and last (%(default)s)")
    parser.add_argument("--anatomy", default="T2w", choices=["T2w", "T1w"], help="(%(default)s)")
    parser.add_argument("--both", action="store_true", help="give T1w beside the anatomy")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder to keep the patients in")
    parser.add_argument("--only-cached", action="store_true", help="leave out patients not in the cache")
    args = parser.parse_args()
    cache = args.cache or Path(tempfile.mkdtemp())
    first, last = map(int, args.seeds.split("-"))
    outcomes: dict[str, list[Outcome]] = {outline: [] for outline in OUTLINES}
    planes, seconds = [], []
    for seed in range(first, last + 1):
        folder = cache / str(seed)
        if not (folder / "done").exists():
            if args.only_cached:
                continue
            simulate(seed, folder)
        case = Case(folder, args.anatomy, args.both)
        begin = time.perf_counter()
        # The plane is fitted once, without what the widest outline holds.
        plane = midsagittal_plane(case.image, case.mask, case.segment("wider"))
        seconds.append(time.perf_counter() - begin)
        planes.append(case.plane_errors(plane))
        for outline in OUTLINES:
            try:
                outcomes[outline].append(case.outcome(outline, plane))
            except InputError as error:
                print(f"{seed} {outline}: {error}")
                outcomes[outline].append(Outcome(False, False, 0.0, 0.0, *[np.nan] * 4))
        shown = "; ".join(
            f"{outline}: hot {o.hot}, opposite {o.contralateral}, white {o.least_white:.3f}, "
            f"ratio {o.ratio:.2f} ({o.true_ratio:.2f})"
            for outline in OUTLINES
            for o in outcomes[outline][-1:]
        )
        print(f"{seed} plane {planes[-1][0]:.2f}° {planes[-1][1]:.2f} mm; {shown}", flush=True)
    angle, distance = np.array(planes).T
    print(f"\n{len(planes)} patients, {args.anatomy}{' and T1w' if args.both else ''}")
    print(f"plane: angle median {np.median(angle):.2f}°, largest {angle.max():.2f}°; distance at the brain's "
          f"centre median {np.median(distance):.2f} mm, largest {distance.max():.2f} mm; "
          f"{np.median(seconds):.1f} s")  # fmt: skip
    print("| outline | hot spots inside | opposite | each region >= 95 % white | least | "
          "ratio's difference, median | 90th percentile | tumour | white matter |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for outline, found in outcomes.items():
        difference = [o.difference for o in found]
        print(
            f"| {outline} | {sum(o.hot for o in found)} | {sum(o.contralateral for o in found)} "
            f"| {sum(o.least_white >= 0.95 for o in found)} | {min(o.least_white for o in found):.3f} "
            f"| {np.nanmedian(difference):.1%} | {np.nanpercentile(difference, 90):.1%} "
            f"| {np.nanmedian([o.tumour_part for o in found]):+.1%} "
            f"| {np.nanmedian([o.white_part for o in found]):+.1%} |"
        )


if __name__ == "__main__":
    main()
