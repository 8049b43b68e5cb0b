"""Maps and masks at the door of the analysis: checked for grid and values, then given as arrays."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import is_series, n_volumes, same_grid

#: A map or mask: an image, or an array (z, y, x) of its voxels.
Volume = sitk.Image | npt.NDArray

_DANGEROUS = re.compile(r" *[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def is_volume(value: object) -> bool:
    """Tell whether a value is a map or mask rather than a collection of them."""
    return isinstance(value, sitk.Image | np.ndarray)


def values_of(volume: Volume, name: str, dimensions: Sequence[int] = (2, 3)) -> np.ndarray:
    """Give the voxels of a scalar map as 64-bit floats.

    Parameters
    ----------
    volume : sitk.Image or ndarray
        Scalar image, or array (z, y, x).
    name : str
        How messages call it.
    dimensions : sequence of int
        Numbers of axes that are allowed.

    Raises
    ------
    InputError
        If it is neither image nor array, has several volumes, another number of axes, or no numbers.
    """
    if isinstance(volume, sitk.Image):
        if is_series(volume):
            raise InputError(name, f"an image of {n_volumes(volume)} volumes", "one scalar 3D volume")
        array = sitk.GetArrayViewFromImage(volume)
    elif isinstance(volume, np.ndarray):
        array = volume
    else:
        raise InputError(name, f"a {type(volume).__name__}", "a SimpleITK image or a numpy array (z, y, x)")
    if array.ndim not in dimensions or array.size == 0:
        raise InputError(name, f"shape {array.shape}", f"{' or '.join(map(str, dimensions))} axes, not empty")
    if array.dtype.kind not in "biuf":
        raise InputError(name, f"values of type {array.dtype}", "real numbers")
    return np.array(array, dtype=np.float64)


def inside_of(mask: Volume, name: str, dimensions: Sequence[int] = (2, 3)) -> np.ndarray:
    """Give the voxels of a mask as booleans: inside wherever the mask is not zero.

    Raises
    ------
    InputError
        As `values_of`, and if the mask has NaN or no voxel inside.
    """
    array = values_of(mask, name, dimensions)
    if np.isnan(array).any():
        raise InputError(name, "a mask with NaN", "0 outside and 1 inside")
    inside = array != 0
    if not inside.any():
        raise InputError(
            name, "an empty mask", "at least one voxel inside", "Draw the region or leave it out."
        )
    return inside


def check_grid(volume: Volume, name: str, reference: Volume, reference_name: str) -> None:
    """Check that two volumes lie on one grid: geometry if both are images, else shape.

    Raises
    ------
    InputError
        Naming both, with what differs.
    """
    remedy = f"Resample {name} to the grid of {reference_name} first."
    if isinstance(volume, sitk.Image) and isinstance(reference, sitk.Image):
        if volume.GetDimension() != reference.GetDimension() or not same_grid(volume, reference):
            raise InputError(name, describe_grid(volume), describe_grid(reference), remedy)
        return
    shape, needed = _shape(volume), _shape(reference)
    if shape != needed:
        raise InputError(name, f"shape {shape}", f"shape {needed} of {reference_name}", remedy)


def describe_grid(image: sitk.Image) -> str:
    """Describe an image's grid in one line: size, spacing, origin, and direction if not the identity."""
    numbers = [
        "(" + ", ".join(f"{value:.5g}" for value in values) + ")"
        for values in (image.GetSize(), image.GetSpacing(), image.GetOrigin())
    ]
    text = f"size {numbers[0]}, spacing {numbers[1]} mm, origin {numbers[2]} mm"
    direction = np.asarray(image.GetDirection())
    if not np.allclose(direction, np.eye(image.GetDimension()).ravel(), atol=1e-6):
        text += ", direction (" + ", ".join(f"{value:.4g}" for value in direction) + ")"
    return text


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Give rows as CSV (RFC 4180) whose strings no spreadsheet takes for a formula (see `harmless`).

    Numbers stay as they are, floats in full precision; None is empty.
    """
    stream = io.StringIO(newline="")
    # With CR LF as the end of a row, both characters are quoted where a text holds them.
    csv.writer(stream, lineterminator="\r\n").writerows([[_cell(value) for value in row] for row in rows])
    return stream.getvalue()


def harmless(text: str) -> str:
    """Give a text that no spreadsheet takes for a formula, with an apostrophe in front where it might.

    Texts that start with ``= + - @``, their full-width forms, tab or line break get the apostrophe, plain
    numbers do not. `restored` takes it away: no two texts become the same.
    """
    return "'" + text if _formula(text) else text


def restored(text: str) -> str:
    """Give back the text that `harmless` was given."""
    return text[1:] if text.startswith("'") and _formula(text[1:]) else text


def _formula(text: str) -> bool:
    bare = text.lstrip("'")
    return bool(_DANGEROUS.match(bare)) and not _NUMBER.fullmatch(bare)


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):  # numpy's own floats are floats too, but print differently
        return repr(float(value))
    return harmless(value) if isinstance(value, str) else value


def _shape(volume: Volume) -> tuple[int, ...]:
    return tuple(reversed(volume.GetSize())) if isinstance(volume, sitk.Image) else np.shape(volume)
