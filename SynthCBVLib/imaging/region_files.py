"""Regions of interest on disk: a label image, with names in a BIDS ``*_dseg.tsv`` beside it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import beside, read_image, save, writable, written_whole
from SynthCBVLib.imaging.study import is_series, like, same_grid

#: Meaning of the labels where no table says otherwise: three tumour and three white-matter regions.
DEFAULT_NAMES: dict[int, str] = {
    **{i: f"Tumour {i}" for i in (1, 2, 3)},
    **{i + 3: f"White matter {i}" for i in (1, 2, 3)},
}
_CONVENTION = "labels 1 to 3 (tumour) and 4 to 6 (white matter), or a table of names beside the image"


def read_regions(path: str | os.PathLike[str]) -> dict[str, sitk.Image]:
    """Read a label image as one mask a region.

    Parameters
    ----------
    path : path-like
        3D image of integers, 0 outside. If a table of the same name ends in .tsv (columns index and name)
        lies beside it, it names the labels; rows without voxels are no regions. Otherwise `DEFAULT_NAMES`.

    Returns
    -------
    dict of str to sitk.Image
        Name of each region and its mask (uint8, 0 or 1), in ascending order of labels.

    Raises
    ------
    InputError
        If there is no label in the image, a label has no name, or the values are no labels.
    """
    path = Path(path)
    image = read_image(path)
    if is_series(image):
        raise InputError(path, f"a series of size {image.GetSize()}", "one 3D image of labels")
    array = sitk.GetArrayViewFromImage(image)
    if array.dtype.kind == "f" and not (np.all(np.isfinite(array)) and np.array_equal(array, np.rint(array))):
        raise InputError(path, "values that are no integers", "an image of labels", "Is this a map?")
    labels = [int(label) for label in np.unique(array) if label != 0]
    if not labels:
        raise InputError(path, "no region: all voxels are 0", _CONVENTION, "Draw the regions and save again.")
    table = beside(path, ".tsv")
    names = _read_names(table) if table.is_file() else DEFAULT_NAMES
    unnamed = [label for label in labels if label not in names]
    if unnamed:
        shown = ", ".join(map(str, unnamed[:8])) + (" ..." if len(unnamed) > 8 else "")
        if table.is_file():
            raise InputError(table, f"no name for label {shown} of {path.name}", "a row for each label")
        raise InputError(path, f"label {shown}", _CONVENTION, f"Write {table.name} with index and name.")
    return {names[label]: like((array == label).astype(np.uint8), image) for label in labels}


def write_regions(regions: Mapping[str, sitk.Image], path: str | os.PathLike[str]) -> Path:
    """Write masks as one label image with its table of names.

    Parameters
    ----------
    regions : Mapping of str to sitk.Image
        Mask of each region (inside > 0), all on one grid and without common voxels.
    path : path-like
        Label image (uint8); the table goes beside it as .tsv. Names of the convention keep their label
        (`DEFAULT_NAMES`), others get the next free one.

    Returns
    -------
    Path
        The label image's path.

    Raises
    ------
    InputError
        If there is no region, one is empty, two overlap, or the grids differ.
    """
    path = writable(path)
    if not regions:
        raise InputError(path, "no regions to write", "at least one region")
    by_name = {name: label for label, name in DEFAULT_NAMES.items()}
    taken = {by_name[name] for name in regions if name in by_name}
    free = (label for label in range(1, 256) if label not in taken)
    first_name, first = next(iter(regions.items()))
    labels = np.zeros(first.GetSize()[::-1], dtype=np.uint8)
    rows: dict[int, str] = {}
    for name, mask in regions.items():
        if not same_grid(first, mask):
            raise InputError(f"region {name}", f"on another grid than {first_name}", "regions on one grid")
        inside = sitk.GetArrayViewFromImage(mask) > 0
        if not inside.any():
            raise InputError(f"region {name}", "no voxels", "at least one voxel", "Draw it or leave it out.")
        if labels[inside].any():
            other = rows[int(labels[inside].max())]
            raise InputError(f"region {name}", f"voxels shared with {other}", "regions apart from each other")
        label = by_name[name] if name in by_name else next(free, None)
        if label is None:
            raise InputError(path, f"{len(regions)} regions", "at most 255 regions")
        labels[inside] = label
        rows[label] = name
    with written_whole(path, beside(path, ".tsv")) as (image_file, table):
        save(like(labels, first), image_file)
        lines = ["index\tname", *(f"{label}\t{' '.join(rows[label].split())}" for label in sorted(rows))]
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _read_names(table: Path) -> dict[int, str]:
    needed = "a tab-separated table with the columns index and name"
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines(), delimiter="\t"))
        names = {int(row["index"]): row["name"].strip() for row in rows}
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(table, f"not a table of regions ({error!r})", needed) from None
    if len(names) < len(rows) or len(set(names.values())) < len(names) or "" in names.values():
        raise InputError(table, "a label or name that comes twice or is empty", "unique labels and names")
    return names
