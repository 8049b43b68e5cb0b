"""NRRD headers: the b-values that Slicer and its converters keep there, and what ITK's reader lets pass.

ITK reads the voxels and their geometry. The diffusion keys are those of NA-MIC's convention: one nominal
b-value, and a gradient for each volume whose squared length, relative to the longest, scales it.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import DiffusionSeries

#: Largest b-value, s/mm², that is taken for one.
LARGEST_B = 20000.0
_LONGEST_HEADER = 1 << 22
_SPACES = {
    "left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las",
}  # fmt: skip
_SIZES = {
    "signed char": 1, "int8": 1, "int8_t": 1, "uchar": 1, "unsigned char": 1, "uint8": 1, "uint8_t": 1,
    "short": 2, "short int": 2, "signed short": 2, "signed short int": 2, "int16": 2, "int16_t": 2,
    "ushort": 2, "unsigned short": 2, "unsigned short int": 2, "uint16": 2, "uint16_t": 2,
    "int": 4, "signed int": 4, "int32": 4, "int32_t": 4, "uint": 4, "unsigned int": 4, "uint32": 4,
    "uint32_t": 4, "float": 4, "longlong": 8, "long long": 8, "long long int": 8, "signed long long": 8,
    "signed long long int": 8, "int64": 8, "int64_t": 8, "ulonglong": 8, "unsigned long long": 8,
    "unsigned long long int": 8, "uint64": 8, "uint64_t": 8, "double": 8,
}  # fmt: skip
_NAMES = {
    "u1": "uint8", "i1": "int8", "u2": "uint16", "i2": "int16", "u4": "uint32", "i4": "int32",
    "u8": "uint64", "i8": "int64", "f4": "float", "f8": "double",
}  # fmt: skip
#: Fewest bytes a compressed block may take for one byte of voxels: deflate and bzip2 cannot do better.
_MOST_SQUEEZED = {"raw": 1, "txt": 1, "text": 1, "ascii": 1, "hex": 1, "gz": 1100, "gzip": 1100,
                  "bz2": 1 << 17, "bzip2": 1 << 17}  # fmt: skip
_SAYS_B_VALUE = re.compile(r"b[-_ ]?val|(s|sec)\s*/\s*mm", re.IGNORECASE)
_HEADER = "an NRRD file with a whole header"


@dataclass(frozen=True)
class NrrdHeader:
    """The text before the voxels.

    Attributes
    ----------
    fields : dict
        What describes the array (``sizes``, ``kinds``, ...), names in lower case.
    keys : dict
        Key/value pairs (``modality:=DWMRI``), names as they stand.
    length : int
        Bytes up to the voxels.
    """

    fields: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    length: int = 0


def read_header(path: Path) -> NrrdHeader:
    """Read the header alone.

    Raises
    ------
    InputError
        If the file does not begin as NRRD does.
    """
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    length = 0
    with path.open("rb") as file:
        magic = file.readline(64)
        if not re.fullmatch(rb"NRRD000\d\r?\n", magic):
            raise InputError(path, "no NRRD header", _HEADER, "Copy or export it again.")
        length += len(magic)
        while line := file.readline(_LONGEST_HEADER):
            length += len(line)
            if length > _LONGEST_HEADER:
                raise InputError(path, "a header without an end", _HEADER, "Copy or export it again.")
            text = line.decode("utf-8", errors="replace").strip("\r\n")
            if not text:
                break
            if text.startswith("#"):
                continue
            key, mark, value = text.partition(":=")
            if mark and ": " not in key:
                keys[key.strip()] = value.strip()
                continue
            key, mark, value = text.partition(":")
            if mark:
                fields[key.strip().lower()] = value.strip()
    return NrrdHeader(fields, keys, length)


def refuse_unusable(path: Path, header: NrrdHeader) -> None:
    """Refuse what ITK would take the wrong way: unknown spaces, and sizes that the file cannot hold.

    ITK makes room for the sizes of the header before it looks for the voxels, and takes coordinates of an
    unknown space for those of the patient.

    Raises
    ------
    InputError
    """
    space = header.fields.get("space", "").strip().lower()
    if space and space not in _SPACES:
        raise InputError(
            path, f"the space {space[:60]!r}", "left-posterior-superior or right-anterior-superior",
            "Without it nobody can tell left from right: export the image from a program that knows.",
        )  # fmt: skip
    try:
        sizes = [int(text) for text in header.fields.get("sizes", "").split()]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise InputError(path, f"the sizes {header.fields.get('sizes', 'missing')[:60]!r}", _HEADER)
    kind = header.fields.get("type", "").strip().lower()
    if kind not in _SIZES:
        raise InputError(path, f"the type {kind[:60]!r}", "a number type of the NRRD format")
    encoding = header.fields.get("encoding", "").strip().lower()
    if encoding not in _MOST_SQUEEZED:
        raise InputError(path, f"the encoding {encoding[:60]!r}", "raw, gzip, bzip2 or text")
    expected = math.prod(sizes) * (_SIZES[kind] if encoding not in ("txt", "text", "ascii") else 1)
    there = _bytes_of_voxels(path, header)
    if there is not None and expected > there * _MOST_SQUEEZED[encoding]:
        raise InputError(
            path, f"a file cut short ({there} bytes for {expected} bytes of voxels)",
            "a complete NRRD file", "Copy or export it again.",
        )  # fmt: skip


def header_b_values(header: NrrdHeader, path: Path, count: int) -> tuple[float, ...] | None:
    """Give the b-values that a header holds.

    Parameters
    ----------
    header : NrrdHeader
        Of the file.
    path : Path
        Its name, for messages.
    count : int
        Number of volumes.

    Returns
    -------
    tuple of float or None
        s/mm², one a volume; None if the header holds none.

    Raises
    ------
    InputError
        If the header claims to hold diffusion weights that cannot be told.
    """
    keys = header.keys
    if keys.get("modality", "").upper() == "DWMRI" or any(key.startswith("DWMRI_") for key in keys):
        values = _dwmri(keys, path)
        if len(values) != count:
            raise InputError(
                path, f"{len(values)} DWMRI gradients for {count} volumes", "one gradient a volume",
                "Give the b-values of the volumes.",
            )  # fmt: skip
        return values
    labels = keys.get("MultiVolume.FrameLabels", "")
    said = " ".join(keys.get(f"MultiVolume.FrameIdentifyingDICOMTag{part}", "") for part in ("Name", "Units"))
    if not labels or not _SAYS_B_VALUE.search(said):
        return None
    try:
        values = tuple(float(text) for text in labels.split(","))
    except ValueError:
        values = ()
    # GE scanners add 1e6 or 1e9 as a mark.
    values = tuple(value % 1e6 if value >= 1e6 else value for value in values)
    if len(values) != count or not all(0 <= value <= LARGEST_B for value in values):
        raise InputError(
            path, f"MultiVolume.FrameLabels {labels[:60]!r} as b-values", f"{count} b-values in s/mm²",
            "Give the b-values of the volumes.",
        )  # fmt: skip
    return values


def save_diffusion(series: DiffusionSeries, path: Path) -> None:
    """Write a series as NRRD with DWMRI keys at once; only for temporary names.

    The gradients carry the b-values in their lengths; their directions are not known to a `DiffusionSeries`
    and point along the first axis, which a comment in the header says.
    """
    volumes = series.volumes()  # held: views of their voxels do not keep them alive
    first = volumes[0]
    voxels = np.stack([sitk.GetArrayViewFromImage(volume) for volume in volumes])
    voxels = np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("<"))
    steps = np.array(first.GetDirection()).reshape(3, 3) * first.GetSpacing()
    b_values = np.array(series.b_values)
    nominal = float(b_values.max())
    lengths = np.sqrt(b_values / nominal) if nominal > 0 else b_values
    lines = [
        "NRRD0005",
        "# Only the lengths of the gradients count: they give the b-values. Directions are not known.",
        f"type: {_NAMES[voxels.dtype.str[1:]]}",
        "dimension: 4",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(size) for size in voxels.shape[::-1]),
        "space directions: " + " ".join(_vector(column) for column in steps.T) + " none",
        "kinds: domain domain domain list",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(first.GetOrigin())}",
        "measurement frame: (1,0,0) (0,1,0) (0,0,1)",
        "modality:=DWMRI",
        f"DWMRI_b-value:={nominal!r}",
        *(f"DWMRI_gradient_{i:04d}:={length:.18f} 0 0" for i, length in enumerate(lengths)),
    ]
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode("ascii"))
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed:
            packed.write(voxels.data)


def with_list_axis(path: Path, header: NrrdHeader) -> bytes | None:
    """Give the file with its axis of no direction marked as a list, or None if that is not its fault.

    ITK refuses a fourth axis whose kind is missing, ``time`` or ``domain``.
    """
    directions = re.findall(r"none|\([^()]*\)", header.fields.get("space directions", ""))
    detached = {"data file", "datafile"} & set(header.fields)
    if len(directions) != 4 or directions.count("none") != 1 or detached:
        return None
    kinds = ["list" if direction == "none" else "domain" for direction in directions]
    content = path.read_bytes()
    head = [
        line
        for line in content[: header.length].split(b"\n")[:-2]
        if not line.lower().startswith((b"kinds:", b"centers:", b"centerings:"))
    ]
    return b"\n".join([*head, b"kinds: " + " ".join(kinds).encode(), b"", b""]) + content[header.length :]


def _dwmri(keys: dict[str, str], path: Path) -> tuple[float, ...]:
    needed = "DWMRI_b-value and one DWMRI_gradient_<number> of three numbers for each volume"
    remedy = "Give the b-values of the volumes."
    if any(key.startswith("DWMRI_B-matrix") for key in keys):
        raise InputError(path, "b-values as B-matrices", needed, remedy)
    try:
        nominal = float(keys["DWMRI_b-value"])
    except (KeyError, ValueError):
        seen = keys.get("DWMRI_b-value")
        seen = "no DWMRI_b-value" if seen is None else f"DWMRI_b-value {seen[:40]!r}"
        raise InputError(path, seen, needed, remedy) from None
    if not 0 <= nominal <= LARGEST_B:
        raise InputError(path, f"DWMRI_b-value {nominal:g}", f"0 to {LARGEST_B:g} s/mm²", remedy)
    gradients: dict[int, list[Decimal]] = {}
    for key, value in keys.items():
        found = re.fullmatch(r"DWMRI_gradient_(\d{1,6})", key)
        if not found:
            continue
        try:
            vector = [Decimal(text) for text in value.split()]
        except InvalidOperation:
            vector = []
        if len(vector) != 3 or not all(part.is_finite() and abs(part) < 10**6 for part in vector):
            raise InputError(path, f"{key} {value[:60]!r}", needed, remedy)
        start = int(found[1])
        repeats = keys.get(f"DWMRI_NEX_{found[1]}", "1")
        if not re.fullmatch(r"\d{1,5}", repeats):
            raise InputError(path, f"DWMRI_NEX_{found[1]} {repeats[:40]!r}", "a number of repeats", remedy)
        for index in range(start, start + int(repeats)):
            if index in gradients:
                raise InputError(path, f"two gradients for volume {index}", needed, remedy)
            gradients[index] = vector
    missing = [index for index in range(len(gradients)) if index not in gradients]
    if not gradients or missing:
        what = f"no gradient for volume {missing[0]}" if missing else "no DWMRI_gradient"
        raise InputError(path, what, needed, remedy)
    return _from_lengths(nominal, [gradients[index] for index in range(len(gradients))], path)


def _from_lengths(nominal: float, gradients: Sequence[Sequence[Decimal]], path: Path) -> tuple[float, ...]:
    lengths = np.linalg.norm(np.array([[float(part) for part in vector] for vector in gradients]), axis=1)
    longest = float(lengths.max())
    if nominal == 0:
        return (0.0,) * len(lengths)
    if longest < 1e-9:
        raise InputError(
            path, f"the nominal b-value {nominal:g} for {len(lengths)} gradients of no length",
            "gradients whose lengths tell the b-values", "Give the b-values of the volumes.",
        )  # fmt: skip
    digits = max(-part.as_tuple().exponent for vector in gradients for part in vector)
    # Half of the last digit of three components, of this and of the longest gradient.
    doubt = math.sqrt(3.0) * 0.5 * 10.0**-digits / longest if digits > 0 else 0.0
    relative = lengths / longest
    return tuple(
        _roundest(nominal * x * x, min(2.0 * nominal * (x + x * x) * doubt, 0.01 * nominal)) for x in relative
    )


def _roundest(b: float, doubt: float) -> float:
    """Give the roundest number that the digits of a file allow: 1000 for 999.9991."""
    coarse = [(step, doubt) for step in (50.0, 10.0, 5.0, 1.0, 0.1)]
    for step, allowed in ((0.5, 1e-6), *coarse, (1e-6, 1e-6)):
        rounded = round(round(b / step) * step, 6)
        if abs(rounded - b) <= allowed:
            return rounded
    return b


def _bytes_of_voxels(path: Path, header: NrrdHeader) -> int | None:
    """Count the bytes behind the header, or of the one detached file; None if there are several."""
    detached = header.fields.get("data file", header.fields.get("datafile"))
    if detached is None:
        return path.stat().st_size - header.length
    other = os.path.join(path.parent, detached)  # noqa: PTH118 - takes names that pathlib refuses
    if detached.upper().startswith("LIST") or "%" in detached:
        return None
    if not os.path.isfile(other):  # noqa: PTH113 - as above
        raise InputError(path, f"its data file {detached[:80]!r} is not there", "the file with the voxels")
    return Path(other).stat().st_size


def _vector(values: Sequence[float]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"
