"""Diffusion series with the b-values beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging import nrrd
from SynthCBVLib.imaging.image_files import (
    beside,
    image_suffix,
    read_image,
    read_json,
    save,
    writable,
    written_whole,
)
from SynthCBVLib.imaging.study import PHASE_DIRECTIONS, DiffusionSeries, is_series, join_series, n_volumes

PathLike = str | os.PathLike[str]


def read_b_values(path: PathLike) -> tuple[float, ...]:
    """Read b-values in the layout of FSL (one row) or one a line; spaces, commas or semicolons between.

    Parameters
    ----------
    path : path-like
        Text file of b-values.

    Returns
    -------
    tuple of float
        s/mm².

    Raises
    ------
    InputError
        If the file is missing, empty, a table, or holds anything but finite numbers >= 0.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no b-values: no such file", "a text file of b-values in s/mm²")
    needed = "one row (or column) of numbers in s/mm²"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "not a text file", needed) from None
    except OSError as error:
        raise InputError(path, f"a file that cannot be read ({error.strerror})", needed) from None
    rows = [re.split(r"[\s,;]+", line.strip(" \t,;")) for line in text.splitlines() if line.strip(" \t,;")]
    if not rows:
        raise InputError(path, "no b-values: an empty file", needed)
    if len(rows) > 1 and max(map(len, rows)) > 1:
        raise InputError(path, f"a table of {len(rows)} rows", needed, "Was the .bvec file given instead?")
    values = []
    for word in (word for row in rows for word in row):
        try:
            values.append(float(word))
        except ValueError:
            raise InputError(path, f"{word[:40]!r} among the b-values", needed) from None
        if not np.isfinite(values[-1]) or values[-1] < 0:
            raise InputError(path, f"the b-value {word[:40]}", "finite b-values >= 0 in s/mm²")
    return tuple(values)


def read_diffusion(path: PathLike, b_values: Sequence[float] | PathLike | None = None) -> DiffusionSeries:
    """Read a diffusion series.

    Parameters
    ----------
    path : path-like
        4D (or vector) image.
    b_values : sequence of float or path-like, optional
        b-values in s/mm², one a volume, or the file that holds them; by default those of the image's own
        header (NRRD with DWMRI or MultiVolume keys), or of the file of its name with the suffix .bval.

    Returns
    -------
    DiffusionSeries

    Raises
    ------
    InputError
        If the image is a single volume, or its b-values are missing, unreadable, not one a volume, or
        different in its header and beside it.
    """
    return read_diffusion_with_source(path, b_values)[0]


def read_diffusion_with_source(
    path: PathLike, b_values: Sequence[float] | PathLike | None = None
) -> tuple[DiffusionSeries, str]:
    """Read a diffusion series as `read_diffusion` does, and tell where its b-values came from."""
    path = Path(path)
    image = read_image(path)
    if not is_series(image):
        raise InputError(
            path,
            f"a single 3D volume {image.GetSize()}",
            "a 4D image with one volume a b-value",
            "Give the whole diffusion series, not one of its images.",
        )
    count = n_volumes(image)
    source: object = "the given b-values"
    if b_values is None:
        b_values, source = _b_values_of(path, count)
    elif isinstance(b_values, str | os.PathLike):
        source = Path(b_values)
        b_values = read_b_values(source)
    if len(b_values) != count:
        raise InputError(
            source,
            f"{len(b_values)} b-values for the {count} volumes of {path}",
            "one b-value (s/mm²) for each volume",
        )
    name = source.name if isinstance(source, Path) else str(source)
    return DiffusionSeries(image, tuple(b_values), str(path), phase_direction_of(path)), name


def phase_direction_of(path: Path) -> str:
    """Read PhaseEncodingDirection from the sidecar (.json) of an image; empty where it does not say.

    Nothing else is taken from that file, so that one which cannot be read is no reason to refuse the image.
    """
    sidecar = beside(path, ".json")
    try:
        content = read_json(sidecar) if sidecar.is_file() else {}
    except InputError:
        return ""
    # dcm2niix writes the axis alone where it does not know which way it runs.
    direction = content.get("PhaseEncodingDirection", content.get("PhaseEncodingAxis", ""))
    return direction if isinstance(direction, str) and direction in PHASE_DIRECTIONS else ""


def write_diffusion(series: DiffusionSeries, path: PathLike) -> Path:
    """Write a series with its b-values, so that `read_diffusion` reads it back.

    Parameters
    ----------
    series : DiffusionSeries
        Its pixel type is kept.
    path : path-like
        .nrrd holds the b-values in its header (DWMRI keys, as Slicer reads them); .nii.gz, .nii and .mha get
        a .bval beside them.

    Returns
    -------
    Path
        The image's path.

    Raises
    ------
    InputError
        If the name has none of the suffixes, or the files cannot be written there.
    """
    path = writable(path)
    if image_suffix(path) == ".nrrd":
        with written_whole(path) as (temporary,):
            nrrd.save_diffusion(series, temporary)
        return path
    with written_whole(path, beside(path, ".bval")) as (temporary, text):
        four_d = series.image.GetDimension() == 4
        save(series.image if four_d else join_series(series.volumes()), temporary)
        text.write_text(format_b_values(series.b_values), encoding="ascii")
    return path


def format_b_values(b_values: Sequence[float]) -> str:
    """Give b-values as the text of a .bval file that `read_b_values` reads back to the last digit."""
    return " ".join(repr(float(b)).removesuffix(".0") for b in b_values) + "\n"


def _b_values_of(path: Path, count: int) -> tuple[Sequence[float], object]:
    """Find the b-values of an image in its header or beside it."""
    beside_it = beside(path, ".bval")
    inside = None
    if image_suffix(path) in (".nrrd", ".nhdr"):
        try:
            inside = nrrd.header_b_values(nrrd.read_header(path), path, count)
        except InputError:
            if not beside_it.is_file():
                raise
    if not beside_it.is_file():
        if inside is None:
            raise InputError(
                path,
                f"no b-values: {beside_it.name} is not beside it in {beside_it.parent}",
                f"{count} b-values in s/mm², one a volume",
                "Put the .bval file there or give the b-values.",
            )
        return inside, f"the header of {path.name}"
    values = read_b_values(beside_it)
    if inside is not None and len(values) == count and not np.allclose(values, inside, rtol=0.01, atol=1.0):
        raise InputError(
            path,
            f"other b-values in its header ({_some(inside)}) than in {beside_it.name} ({_some(values)})",
            "one set of b-values",
            "Move the wrong ones away, or give the b-values.",
        )
    return values, beside_it


def _some(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values[:12]) + (" ..." if len(values) > 12 else "")
