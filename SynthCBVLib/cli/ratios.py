"""Verb ``ratios``: T/WM ratios of maps from a label image of regions."""

from __future__ import annotations

import argparse
from pathlib import Path

import SimpleITK as sitk

from SynthCBVLib.analysis.region_findings import check_regions
from SynthCBVLib.analysis.regions import RatioRow, ratio_row, split_regions, write_ratios_csv
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import read_image, read_regions
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import same_grid

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
    parser.add_argument(
        "--regions",
        required=True,
        type=Path,
        metavar="FILE",
        help="label image: labels 1-3 tumour and 4-6 white matter, or a .tsv with index and name beside it",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("ratios.csv"), metavar="FILE", help="CSV to write (%(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    """Compute the ratios, print them and write the table.

    Raises
    ------
    InputError
        If a map or the regions cannot be read or used; nothing is written then.
    """
    files = _named_files(args.map)
    regions = read_regions(args.regions)
    rows, notes = [], []
    for name, path in files.items():
        map = read_image(path)
        masks = {
            region: _on_grid(mask, region, args.regions, map, path, notes) for region, mask in regions.items()
        }
        tumour, white_matter = split_regions(masks)
        rows.append(ratio_row(name, map, tumour, white_matter))
        notes += [
            f"{name}: {finding.what} {finding.remedy}" for finding in check_regions(map, tumour, white_matter)
        ]
    _print_table(rows)
    for note in dict.fromkeys(notes):
        print(f"note: {note}")
    print(f"wrote {write_ratios_csv(rows, args.out)}")


def _named_files(arguments: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not (sign and name.strip() and path):
            raise InputError(f"--map {argument}", "no name and file", "NAME=FILE")
        if name.strip() in files:
            raise InputError(f"--map {argument}", f"the name {name.strip()!r} twice", "a name for each map")
        files[name.strip()] = Path(path)
    return files


def _on_grid(
    mask: sitk.Image, region: str, regions_file: Path, map: sitk.Image, map_file: Path, notes: list[str]
) -> sitk.Image:
    """Give a region on the map's grid, by nearest neighbour if it lies on another."""
    if map.GetDimension() != 3 or map.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(map_file, f"a series of size {map.GetSize()}", "one 3D map")
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
        ratio = row.ratio
        print(
            f"{row.map:<{width}}  {ratio.ratio:8.3f}  {ratio.tumour:10.4g}  {ratio.white_matter:10.4g}"
            f"  {ratio.n.tumour} + {ratio.n.white_matter}"
        )
