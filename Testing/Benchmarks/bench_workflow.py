# ruff: noqa: T201
"""Read T/WM ratios of digital patients as a user does, hold them against real rCBV's, and print a table.

python Testing/Benchmarks/bench_workflow.py [--model ivim] [--wildtype 15000-15019] [--mutant 15020-15039]

An empty range leaves a group out.

Each exam goes through the whole library with nothing known beforehand: registration and brain mask,
synthesis, an outline of the tumour proposed from the images and the synthetic map, hot spots on the synthetic
map inside it, white matter opposite. The real ratio is that of the scanner's rCBV map in the truth's regions,
whose hot spots are those of the true blood volume. "Same places" reads the synthetic map in the truth's
regions, as the IVIM paper's readers did who placed them on real rCBV. The interval is the conformal one of
the model's card. No setting was chosen on these seeds.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SynthCBVLib.analysis.agreement import pearson, regression
from SynthCBVLib.analysis.calibrated_ratio import real_ratio_interval
from SynthCBVLib.analysis.regions import ratio_row, t_wm_ratio
from SynthCBVLib.analysis.regions.fluid_dark import fluid_dark_image
from SynthCBVLib.analysis.regions.outline_regions import propose_outlined_regions
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study
from SynthCBVLib.phantom import DigitalPatient
from SynthCBVLib.synthesis import load_model, synthesize
from SynthCBVLib.synthesis.model import Model


@dataclass(frozen=True)
class Reading:
    """Ratios of one patient; NaN where none could be read."""

    real: float
    proposed: float
    same_places: float
    held: bool
    inside: bool


def read(seed: int, idh: str, model: Model) -> Reading:
    patient = DigitalPatient(seed, idh, "compact")
    wanted = {spec.modality for spec in model.card.inputs} | {model.card.reference[0], Modality.RCBV}
    study = patient.study(m for m in Modality if m in wanted)
    rcbv = study.scalar(Modality.RCBV)
    truth = patient.truth(Modality.RCBV)
    real = t_wm_ratio(rcbv, truth.tumour, truth.white_matter).ratio
    images = {m: image for m, image in study.images.items() if m is not Modality.RCBV}
    made = synthesize(Study(study.subject, images), model, device="cpu")
    reference = made.reference
    own = patient.truth(reference)
    same = t_wm_ratio(made.rcbv, own.tumour, own.white_matter).ratio
    further = {}
    for modality, image in images.items():
        if modality is not reference and modality is not Modality.CBF:
            dark = fluid_dark_image(image) if isinstance(image, DiffusionSeries) else image
            further[modality] = (dark, made.transforms.get(modality))
    try:
        found = propose_outlined_regions(images[reference], reference, made.rcbv, further, made.mask).regions
        if found is None:
            raise InputError("regions", "none", "some")
    except InputError as error:
        print(f"{seed}: {error}")
        return Reading(real, np.nan, same, False, False)
    kinds = (found.tumour, found.white_matter)
    row = ratio_row("synthetic", made.rcbv, *kinds)
    sure = ratio_uncertainty(made.rcbv, made.uncertainty, *kinds, 0.9)
    interval = real_ratio_interval(replace(row, interval=sure), made.provenance)
    solid = sitk.GetArrayFromImage(resample(own.solid, made.rcbv)) > 0.5
    inside = all((solid[sitk.GetArrayFromImage(mask) > 0]).mean() >= 0.8 for mask in found.tumour.values())
    held = interval is not None and interval.lower <= real <= interval.upper
    return Reading(real, row.ratio.ratio, same, held, inside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ivim", help="(%(default)s)")
    parser.add_argument("--wildtype", default="15000-15019", metavar="A-B", help="(%(default)s)")
    parser.add_argument("--mutant", default="15020-15039", metavar="A-B", help="(%(default)s)")
    args = parser.parse_args()
    model = load_model(args.model)
    groups: dict[str, list[Reading]] = {}
    for idh in ("wildtype", "mutant"):
        if not getattr(args, idh):
            continue
        first, last = map(int, getattr(args, idh).split("-"))
        for seed in range(first, last + 1):
            one = read(seed, idh, model)
            groups.setdefault(idh, []).append(one)
            print(f"{seed} {idh}: real {one.real:.2f}, proposed {one.proposed:.2f}, same places "
                  f"{one.same_places:.2f}, held {one.held}, inside {one.inside}", flush=True)  # fmt: skip
    print(f"\n{args.model} {model.sha256[:6]}")
    print("| patients | regions | n | r | slope | bias, % of real mean | mean of ln(real / read) "
          "| in interval | hot spots inside |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for idh, found in groups.items():
        for name in ("proposed", "same_places"):
            pairs = np.array([(one.real, getattr(one, name)) for one in found])
            true, got = pairs[np.isfinite(pairs).all(1)].T
            mine = name == "proposed"
            print(
                f"| {idh} | {name.replace('_', ' ')} | {len(got)} of {len(found)} "
                f"| {pearson(got, true).r:.2f} | {regression(true, got).slope:.2f} "
                f"| {100 * (got - true).mean() / true.mean():+.1f} | {np.log(true / got).mean():+.3f} "
                f"| {sum(one.held for one in found) if mine else '–'} "
                f"| {sum(one.inside for one in found) if mine else '–'} |"
            )


if __name__ == "__main__":
    main()
