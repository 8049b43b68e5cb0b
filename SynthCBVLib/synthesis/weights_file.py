"""The header of a safetensors file, read and checked before anything else is done with the file.

Format: 8 bytes (little-endian) with the length of a JSON header, the header, the tensors' bytes. The header
maps each tensor's name to its type, shape and place, and "__metadata__" to text entries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from SynthCBVLib.errors import InputError

#: Types of weights that are taken, and their bytes.
TYPES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}
#: A card with its statistics takes some ten kilobytes.
MAXIMUM_HEADER = 16 * 1024**2
_REMEDY = "Copy or download the file again; pickled weights (.pt, .pth) are never loaded."


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself.

    Attributes
    ----------
    metadata : Mapping
        Text entries.
    shapes : Mapping
        Shape of each tensor.
    start : int
        Where the tensors' bytes begin.
    """

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    start: int


def read_header(path: Path) -> Header:
    """Read and check the header of a weights file; the tensors themselves are not touched.

    Raises
    ------
    InputError
        If the file is truncated or no safetensors file, or its tensors overlap, leave gaps, are given
        twice or have a type that no weights have.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _read(file, size)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from error
    except OSError as error:
        raise InputError(path, f"not readable ({error})", "a .safetensors weights file") from error


def damaged(path: Path, error: Exception | str) -> InputError:
    """Give the error of a file that is no sound weights file."""
    return InputError(
        path, f"not a readable safetensors file ({error})", "an undamaged .safetensors weights file", _REMEDY
    )


def _read(file: BinaryIO, size: int) -> Header:
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8:
        raise ValueError(f"{size} bytes")
    if length > MAXIMUM_HEADER:
        raise ValueError(f"a header of {length} bytes; at most {MAXIMUM_HEADER} are read")
    if 8 + length > size:
        raise ValueError(f"truncated: {size} bytes, and a header of {length}")
    header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    if not isinstance(header, dict):
        raise ValueError(f"a header that is a {type(header).__name__}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("metadata that are no text")
    shapes, places = {}, []
    for name, entry in header.items():
        shapes[name], place = _tensor(name, entry)
        places.append((*place, name))
    end = 0
    for begin, stop, name in sorted(places):
        if begin != end:
            raise ValueError(f"tensor {name} {'overlaps another' if begin < end else 'follows a gap'}")
        end = stop
    if 8 + length + end != size:
        what = "truncated" if size < 8 + length + end else "bytes behind the last tensor"
        raise ValueError(f"{what}: {size} bytes, {8 + length + end} by the header")
    return Header(metadata, shapes, 8 + length)


def _tensor(name: str, entry: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name[:80]!r} without type, shape and place")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in TYPES:
        raise ValueError(f"tensor {name[:80]!r} of type {str(kind)[:20]}; weights are {', '.join(TYPES)}")
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (*shape, *place))
    if not whole or len(place) != 2 or place[1] - place[0] != math.prod(shape) * TYPES[kind]:
        raise ValueError(f"tensor {name[:80]!r} whose place does not fit its shape")
    return tuple(shape), (place[0], place[1])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an entry given twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"the number {name}")
