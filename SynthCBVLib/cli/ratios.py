"""Verb ``ratios``: T/WM ratios of maps from a label image of regions, or from proposed regions."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from SynthCBVLib.analysis.calibrated_ratio import real_ratio_interval
from SynthCBVLib.analysis.regions import RatioRow, ratio_row, split_regions, write_ratios_csv
from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import (
    read_diffusion,
    read_image,
    read_regions,
    writable,
    write_image,
    write_regions,
)
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, is_series, same_grid

HELP = "Tumour-to-white-matter (T/WM) ratios of one or more maps, with a CSV table."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.add_argument(
        "--map",
        action="append",
        required=True,
        metavar="NAME=FILE",
        help="a map and the name it gets in the table, such as 'Synthetic rCBV=rcbv.nii.gz'; repeat for more",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--regions",
        type=Path,
        metavar="FILE",
        help="label image: labels 1-3 tumour and 4-6 white matter, or a .tsv with index and name beside it",
    )
    source.add_argument(
        "--propose",
        type=Path,
        nargs="?",
        const=_NO_OUTLINE,
        metavar="FILE",
        help="mask of the solid tumour: hot spots of the first map are proposed in it, and white matter "
        "opposite them; needs --anatomy, and the regions are written to be looked at; without a FILE the "
        "tumour's outline is proposed and written, too",
    )
    parser.add_argument(
        "--anatomy", type=Path, metavar="FILE", help="with --propose: T2w, T1w or FLAIR of the same session"
    )
    parser.add_argument(
        "--contrast", choices=[m.value for m in _ANATOMY], metavar="NAME",
        help=f"what --anatomy is, one of {', '.join(m.value for m in _ANATOMY)}; found out if not given",
    )  # fmt: skip
    parser.add_argument(
        "--image", action="append", default=[], metavar="NAME=FILE",
        help="with --propose without a FILE: a further image, aligned with --anatomy, to see the tumour in, "
        f"NAME one of {', '.join(m.value for m in _FURTHER)}; repeat for more",
    )  # fmt: skip
    parser.add_argument("--mask", type=Path, metavar="FILE", help="brain mask; segmented if not given")
    parser.add_argument(
        "--save-regions", type=Path, metavar="FILE",
        help="with --propose: label image to write (beside the table, with _regions.nii.gz)",
    )  # fmt: skip
    parser.add_argument(
        "--uncertainty",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="uncertainty map (standard deviation) of a map, by the map's name: gives its ratio an interval",
    )
    parser.add_argument(
        "--level", type=float, default=0.9, metavar="P", help="level of the interval (%(default)s)"
    )
    parser.add_argument(
        "--uncertainty-scale", type=float, default=1.0, metavar="S",
        help="factor on the uncertainty maps, such as one from a calibration (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--slice-normalised", action="store_true",
        help="the maps are normalised slice by slice, as those of the IVIM model: warn if the regions are "
        "not in one slice",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("ratios.csv"), metavar="FILE", help="CSV to write (%(default)s)"
    )


_ANATOMY = (Modality.T2W, Modality.T1W, Modality.T1C, Modality.FLAIR)
_FURTHER = (*_ANATOMY, Modality.DWI, Modality.ADC, Modality.CBF)
#: What `--propose` without a file gives.
_NO_OUTLINE = Path()


def run(args: argparse.Namespace) -> None:
    """Compute the ratios, print them and write the table.

    Raises
    ------
    InputError
        If a map or the regions cannot be read or used; nothing is written then.
    """
    files = _named_files(args.map, "--map")
    doubts = _named_files(args.uncertainty, "--uncertainty")
    for name in doubts.keys() - files.keys():
        raise InputError(f"--uncertainty {name}", "no map of that name", f"one of {', '.join(files)}")
    if args.propose is None:
        for option in ("anatomy", "contrast", "mask", "save_regions"):
            if getattr(args, option) is not None:
                raise InputError(f"--{option.replace('_', '-')}", "--regions beside it", "--propose")
        if args.image:
            raise InputError("--image", "--regions beside it", "--propose without a file")
        regions, notes = read_regions(args.regions), []
    else:
        regions, notes, outline = _propose(args, next(iter(files.items())))
    source = args.regions or args.propose
    rows = []
    for name, path in files.items():
        map = _read_map(path)
        masks = {region: _on_grid(mask, region, source, map, path, notes) for region, mask in regions.items()}
        tumour, white_matter = split_regions(masks)
        row = ratio_row(name, map, tumour, white_matter)
        if name in doubts:
            uncertainty = _fitting(_read_map(doubts[name]), doubts[name], map, path)
            interval = ratio_uncertainty(
                map, uncertainty, tumour, white_matter, args.level, args.uncertainty_scale, name=name
            )
            row = replace(row, interval=interval)
            if args.uncertainty_scale == 1.0:  # the calibration is one of the maps as they were made
                notes += _expected(row, path)
        rows.append(row)
        found = check_regions(map, tumour, white_matter, slice_normalised=args.slice_normalised)
        notes += [f"{name}: {finding.what} {finding.remedy}" for finding in found]
    _print_table(rows)
    for note in dict.fromkeys(notes):
        print(f"note: {note}")
    if args.propose is not None:
        target = args.save_regions or args.out.with_name(f"{args.out.stem}_regions.nii.gz")
        print(f"wrote {write_regions(regions, target)}: proposed regions, to be looked at before use")
        if outline is not None:
            drawn = write_image(outline, target.with_name(f"{_stem(target)}_outline.nii.gz"))
            print(f"wrote {drawn}: proposed outline; look at it, correct it, and give it to --propose")
    print(f"wrote {write_ratios_csv(rows, args.out)}")


def _propose(
    args: argparse.Namespace, first: tuple[str, Path]
) -> tuple[dict[str, sitk.Image], list[str], sitk.Image | None]:
    """Propose regions on the grid of the anatomical image, from the first map; perhaps the outline, too."""
    from SynthCBVLib.analysis.regions.outline_regions import propose_outlined_regions
    from SynthCBVLib.analysis.regions.proposals import propose_regions
    from SynthCBVLib.progress import TerminalProgress

    if args.anatomy is None:
        raise InputError("--propose", "no --anatomy", "a T2w, T1w or FLAIR image of the same session")
    drawn = args.propose != _NO_OUTLINE
    further = _named_files(args.image, "--image")
    if drawn and further:
        raise InputError("--image", "an outline in --propose", "--propose without a file, or no --image")
    if not drawn and args.contrast is None:
        raise InputError(
            "--propose", "neither a mask of the tumour nor --contrast", "what --anatomy is, such as T2w"
        )
    if args.save_regions is not None:
        writable(args.save_regions)  # refused before the work, not after
    anatomy, notes = _read_map(args.anatomy), []
    mask = None
    if args.mask is not None:
        mask = _on_grid(_read_map(args.mask) != 0, "the brain", args.mask, anatomy, args.anatomy, notes)
    name, path = first
    map = _read_map(path)
    if not same_grid(map, anatomy):
        map = resample(map, anatomy)
        notes.append(f"hot spots were looked for on {name}, brought to the grid of {args.anatomy}.")
    progress = TerminalProgress("Regions")
    outline = None
    if drawn:
        segment = _read_map(args.propose)
        segment = _on_grid(segment != 0, "the tumour", args.propose, anatomy, args.anatomy, notes)
        proposed = propose_regions(anatomy, map, segment, mask, args.contrast, progress=progress)
        findings = proposed.findings
    else:
        images = {_modality(key): (_read_further(key, file), None) for key, file in further.items()}
        both = propose_outlined_regions(anatomy, args.contrast, map, images, mask, progress)
        proposed, outline, findings = both.regions, both.outline.mask, both.findings
        if proposed is None:
            raise InputError("--propose", findings[-1].what, "an outline that regions fit into", "Draw it.")
    plane = proposed.plane
    notes.append(
        f"the mid-sagittal plane is turned by {plane.turn:.1f}° and tilted by {plane.tilt:.1f}°; the halves "
        f"correlate by {plane.quality:.2f}."
    )
    notes += [f"{finding.what} {finding.remedy}" for finding in findings]
    return proposed.regions, notes, outline


def _modality(name: str) -> Modality:
    known = {modality.value.lower(): modality for modality in _FURTHER}
    if name.lower() not in known:
        raise InputError(f"--image {name}", "an unknown name", f"one of {', '.join(known.values())}")
    return known[name.lower()]


def _read_further(name: str, path: Path) -> sitk.Image:
    """Read a further image; of a diffusion series the image in which fluid is dark."""
    image = read_image(path)
    if _modality(name) is not Modality.DWI or not is_series(image):
        return _read_map(path)
    from SynthCBVLib.analysis.regions.fluid_dark import fluid_dark_image

    return fluid_dark_image(read_diffusion(path))


def _stem(path: Path) -> str:
    """Give a file's name without what tells its format, and without what tells that it has regions."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0].removesuffix("_regions")


def _named_files(arguments: list[str], option: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not (sign and name.strip() and path):
            raise InputError(f"{option} {argument}", "no name and file", "NAME=FILE")
        if name.strip() in files:
            raise InputError(
                f"{option} {argument}", f"the name {name.strip()!r} twice", "a name for each map"
            )
        files[name.strip()] = Path(path)
    return files


def _read_map(path: Path) -> sitk.Image:
    map = read_image(path)
    if is_series(map) or map.GetDimension() != 3:
        raise InputError(path, f"a series of size {map.GetSize()}", "one 3D map")
    return map


def _expected(row: RatioRow, path: Path) -> list[str]:
    """Say within what the real ratio is to be expected, if the map's JSON file tells its calibration."""
    sidecar = path.with_name(path.name.removesuffix(".gz").rsplit(".", 1)[0] + ".json")
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    made = told.get("GeneratedBy") if isinstance(told, dict) else None
    found = real_ratio_interval(row, made) if isinstance(made, dict) else None
    if found is None:
        return []
    return [
        f"{row.map}: the real ratio is expected from {found.lower:.2f} to {found.upper:.2f} "
        f"({found.level:.0%} interval, conformal: made to hold it in as many of patients like those that the "
        "model was calibrated on)."
    ]


def _fitting(uncertainty: sitk.Image, uncertainty_file: Path, map: sitk.Image, map_file: Path) -> sitk.Image:
    if not same_grid(uncertainty, map):
        raise InputError(
            uncertainty_file, f"another grid than {map_file}", "the uncertainty map that came with the map"
        )
    return uncertainty


def _on_grid(
    mask: sitk.Image, region: str, regions_file: Path, map: sitk.Image, map_file: Path, notes: list[str]
) -> sitk.Image:
    """Give a region on the map's grid, by nearest neighbour if it lies on another."""
    if same_grid(mask, map):
        return mask
    moved = resample(mask, map, None, interpolation="nearest")
    n_voxels = int((sitk.GetArrayViewFromImage(moved) != 0).sum())
    if n_voxels == 0:
        raise InputError(
            regions_file, f"{region} has no voxel in {map_file}", "regions drawn on the map or over it",
            "Draw the regions on an image of the same session, aligned with the map.",
        )  # fmt: skip
    notes.append(f"{regions_file} was brought to the grid of {map_file} by nearest neighbour.")
    return sitk.Cast(moved, sitk.sitkUInt8)


def _print_table(rows: list[RatioRow]) -> None:
    width = max(8, *(len(row.map) for row in rows))
    print(f"{'map':<{width}}  {'T/WM':>8}  {'tumour':>10}  {'white m.':>10}  regions")
    for row in rows:
        ratio, interval = row.ratio, row.interval
        limits = ""
        if interval is not None:
            limits = f"  {interval.level:.0%}: {interval.lower:.3f} to {interval.upper:.3f}"
        print(
            f"{row.map:<{width}}  {ratio.ratio:8.3f}  {ratio.tumour:10.4g}  {ratio.white_matter:10.4g}"
            f"  {ratio.n.tumour} + {ratio.n.white_matter}{limits}"
        )
