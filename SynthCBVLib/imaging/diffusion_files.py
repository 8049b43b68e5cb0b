"""Diffusion series with the b-values beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.image_files import beside, read_image
from SynthCBVLib.imaging.study import DiffusionSeries, is_series, n_volumes

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
        b-values in s/mm², one a volume, or the file that holds them; by default the file of the image's
        name with the suffix .bval.

    Returns
    -------
    DiffusionSeries

    Raises
    ------
    InputError
        If the image is a single volume, or its b-values are missing, unreadable or not one a volume.
    """
    path = Path(path)
    image = read_image(path)
    if not is_series(image):
        raise InputError(
            path,
            f"a single 3D volume {image.GetSize()}",
            "a 4D image with one volume a b-value",
            "Give the whole diffusion series, not one of its images.",
        )
    source: object = "the given b-values"
    if b_values is None:
        source = beside(path, ".bval")
        if not source.is_file():
            raise InputError(
                path,
                f"no b-values: {source.name} is not beside it in {source.parent}",
                f"{n_volumes(image)} b-values in s/mm², one a volume",
                "Put the .bval file there or give the b-values.",
            )
        b_values = read_b_values(source)
    elif isinstance(b_values, str | os.PathLike):
        source = Path(b_values)
        b_values = read_b_values(source)
    if len(b_values) != n_volumes(image):
        raise InputError(
            source,
            f"{len(b_values)} b-values for the {n_volumes(image)} volumes of {path}",
            "one b-value (s/mm²) for each volume",
        )
    return DiffusionSeries(image, tuple(b_values), name=str(path))
