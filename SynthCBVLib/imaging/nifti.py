"""What ITK's NIfTI reader lets pass or refuses too early: cut-off files, NaN, and almost orthogonal axes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from SynthCBVLib.errors import InputError

#: Largest departure of a direction matrix from orthonormal that is repaired: 0.02 is 1.1 degrees.
SHEAR_TOLERANCE = 0.02
_NIFTI1, _NIFTI2 = 348, 540
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI's codes of the types that can hold NaN
_BLOCK = 1 << 22
_MOST_SQUEEZED = 1100  # deflate cannot pack more bytes into one
_WHOLE = "a complete NIfTI file"
_REMEDY = "Copy or export it again."


def refuse_cut_short(path: Path) -> None:
    """Refuse a file that ends before its last voxel; ITK would read zeros there.

    Raises
    ------
    InputError
        If the file is cut short, its compression is damaged, or it has no NIfTI header.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        expected = _expected_size(path, compressed)
        size = _unpacked_size(path, expected) if compressed else path.stat().st_size
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"a file cut short or damaged ({error})", _WHOLE, _REMEDY) from None
    if size < expected:
        raise InputError(path, f"a file cut short ({size} of {expected} bytes)", _WHOLE, _REMEDY)


def not_finite(path: Path) -> np.ndarray:
    """Find the voxels that are NaN or infinite; ITK's reader turns them into zeros without a word.

    Returns
    -------
    ndarray
        Their positions in the order of the file (x fastest); empty for integer types.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    found, position = [], 0
    with gzip.open(path) if compressed else path.open("rb") as file:
        header = file.read(_NIFTI1)
        order = _byte_order(header, path)
        code = struct.unpack_from(order + "h", header, 70)[0]
        if code not in _FLOATS:
            return np.empty(0, dtype=np.int64)
        kind = np.dtype(order + _FLOATS[code])
        start = int(struct.unpack_from(order + "f", header, 108)[0])
        remaining = _expected_size(path, compressed) - start
        file.read(max(0, start - _NIFTI1))
        while remaining > 0 and (block := file.read(min(remaining, _BLOCK))):
            remaining -= len(block)
            values = np.frombuffer(block[: len(block) // kind.itemsize * kind.itemsize], kind)
            found.append(position + np.flatnonzero(~np.isfinite(values)))
            position += values.size
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def read_floats(path: Path) -> np.ndarray | None:
    """Read the voxels of a compressed file of unscaled floats in one pass; infinity becomes NaN.

    ITK's reader would unpack the file a second time, after `not_finite`.

    Returns
    -------
    ndarray or None
        (z, y, x) or (t, z, y, x); None for files of another kind, which ITK reads.

    Raises
    ------
    InputError
        If the file is cut short or damaged.
    """
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return None
    try:
        with gzip.open(path) as file:
            header = file.read(_NIFTI1)
        order = _byte_order(header, path)
        dimensions = struct.unpack_from(order + "8h", header, 40)
        code = struct.unpack_from(order + "h", header, 70)[0]
        start, slope, intercept = struct.unpack_from(order + "3f", header, 108)
        scaled = math.isfinite(slope) and slope != 0 and (slope != 1 or intercept != 0)
        if code not in _FLOATS or scaled or dimensions[0] not in (3, 4) or not _NIFTI1 <= start <= 1 << 20:
            return None
        if any(n < 1 for n in dimensions[1 : dimensions[0] + 1]):
            return None
        kind = np.dtype(order + _FLOATS[code])
        shape = dimensions[dimensions[0] : 0 : -1]
        expected = int(start) + math.prod(shape) * kind.itemsize
        if expected > path.stat().st_size * _MOST_SQUEEZED:
            raise InputError(path, "a file cut short", _WHOLE, _REMEDY)
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"a file cut short or damaged ({error})", _WHOLE, _REMEDY) from None
    if len(content) < expected:
        raise InputError(path, f"a file cut short ({len(content)} of {expected} bytes)", _WHOLE, _REMEDY)
    voxels = np.frombuffer(content, kind, math.prod(shape), int(start)).reshape(shape)
    voxels = voxels.astype(kind.newbyteorder("="), copy=False)
    bad = ~np.isfinite(voxels)
    return np.where(bad, kind.type(np.nan), voxels) if bad.any() else voxels


def orthogonalised(path: Path) -> bytes:
    """Give the uncompressed file with its sform's axes made orthogonal.

    Raises
    ------
    InputError
        If the axes are sheared by more than `SHEAR_TOLERANCE`, empty or undefined.
    """
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    order = _byte_order(content, path)
    rows = np.array(struct.unpack_from(order + "12f", content, 280), dtype=float).reshape(3, 4)
    spacing = np.linalg.norm(rows[:, :3], axis=0)
    if not np.all(np.isfinite(rows)) or not np.all(spacing > 0):
        raise InputError(path, "an sform with empty or undefined axes", "a valid sform or qform")
    axes = rows[:, :3] / spacing
    u, _, vt = np.linalg.svd(axes)
    nearest = u @ vt
    shear = float(np.abs(axes - nearest).max())
    if shear > SHEAR_TOLERANCE:
        raise InputError(
            path,
            f"sheared axes (direction matrix {shear:.3f} away from orthonormal)",
            f"orthogonal axes (at most {SHEAR_TOLERANCE})",
            "Resample it onto an orthogonal grid, such as with a gantry tilt correction.",
        )
    rows[:, :3] = nearest * spacing
    patched = bytearray(content)
    struct.pack_into(order + "12f", patched, 280, *rows.ravel())
    return bytes(patched)


def _byte_order(content: bytes, path: Path) -> str:
    for order in "<>":
        size = struct.unpack_from(order + "i", content)[0] if len(content) >= _NIFTI1 else 0
        if size == _NIFTI1:
            return order
        if size == _NIFTI2:
            raise InputError(
                path, "a NIfTI-2 file", "NIfTI-1", "Convert it, such as with nibabel: Nifti1Image.from_image."
            )
    raise InputError(path, "no NIfTI header", "a NIfTI file (.nii, .nii.gz)", _REMEDY)


def _expected_size(path: Path, compressed: bool) -> int:
    """Read from the header where the last voxel ends."""
    with gzip.open(path) if compressed else path.open("rb") as file:
        header = file.read(_NIFTI1)
    order = _byte_order(header, path)
    dimensions = struct.unpack_from(order + "8h", header, 40)
    bits = struct.unpack_from(order + "h", header, 72)[0]
    start = struct.unpack_from(order + "f", header, 108)[0]
    rank = dimensions[0]
    if not 1 <= rank <= 7 or any(n < 1 for n in dimensions[1 : rank + 1]) or not math.isfinite(start):
        raise InputError(path, f"the dimensions {list(dimensions)}", "a valid NIfTI header", _REMEDY)
    return int(start) + math.prod(dimensions[1 : rank + 1]) * bits // 8


def _unpacked_size(path: Path, expected: int) -> int:
    with path.open("rb") as file:
        file.seek(-4, 2)
        (recorded,) = struct.unpack("<I", file.read(4))
    if recorded == expected % 2**32:  # the trailer of an intact file; chance alone would hardly write it
        return expected
    size = 0
    with gzip.open(path) as file:
        while block := file.read(1 << 22):
            size += len(block)
    return size
