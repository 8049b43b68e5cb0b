"""Single slices and their header values, read so that bad ones are named.

A `Frame` is one slice, whether it is a file of its own or a frame of an enhanced (multi-frame) file; its
values are looked up from the inside out: the frame's functional groups, the shared ones, the file.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.headers import PRIVATE, PRIVATE_BLOCKS, damage_named, read_header

#: Functional groups that describe a frame; others (references, derivation) tell of other images.
_GROUPS = (
    "FrameContentSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "MRImageFrameTypeSequence", "MRTimingAndRelatedParametersSequence", "MREchoSequence",
    "MRModifierSequence", "MRDiffusionSequence", "MRArterialSpinLabelingSequence", "MRAveragesSequence",
    "PixelValueTransformationSequence", "MRFOVGeometrySequence",
)  # fmt: skip
#: SOP classes of MR images, single and enhanced.
_MR = "1.2.840.10008.5.1.4.1.1.4"
_PHILIPS_GROUP = 0x2005140F


class PrivateValue(NamedTuple):
    """A private element: its value and how it is called; `creator` is the wrong one, if it is wrong."""

    value: Any
    tag: str
    wrong_creator: str | None = None


@dataclass(frozen=True)
class Frame:
    """One slice of one file.

    Attributes
    ----------
    path : Path
    number : int
        Frame in the file, from 0.
    layers : tuple of pydicom.Dataset
        Where its values are looked up, innermost first; the last is the file's own header.
    """

    path: Path
    number: int
    layers: tuple[Any, ...]

    @property
    def file(self) -> Any:
        """The file's own header."""
        return self.layers[-1]

    @property
    def where(self) -> str:
        """How messages call the frame."""
        return f"{self.path}, frame {self.number + 1}" if len(self.layers) > 1 else str(self.path)

    def value(self, keyword: str) -> Any:
        """Give the innermost value of an attribute, or None where it is missing or empty.

        Raises
        ------
        InputError
            If the value cannot be decoded.
        """
        with damage_named(self.path, f"the value of {keyword}"):
            for layer in self.layers:
                value = layer.get(keyword)
                if value is not None and value != "" and not (_is_list(value) and len(value) == 0):
                    return value
        return None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Give an attribute's numbers, () where it is missing; refuse what is no finite number."""
        value = self.value(keyword)
        return () if value is None else as_numbers(value, self.where, keyword)

    def number_of(self, keyword: str) -> float | None:
        """Give an attribute's first number, None where it is missing; refuse what is no finite number."""
        values = self.numbers(keyword)
        return values[0] if values else None

    def count(self, keyword: str) -> int | None:
        """Give an attribute's whole number, None where it is missing; refuse anything else."""
        value = self.number_of(keyword)
        if value is not None and value != int(value):
            raise InputError(self.where, f"{keyword} {value:g}", "a whole number")
        return None if value is None else int(value)

    def text(self, keyword: str) -> str:
        """Give an attribute as text, "" where it is missing or cannot be decoded."""
        return "\\".join(self.words(keyword))

    def words(self, keyword: str) -> tuple[str, ...]:
        """Give an attribute's values as text, () where it is missing or cannot be decoded."""
        try:
            value = self.value(keyword)
        except InputError:
            return ()
        if value is None:
            return ()
        return tuple(str(v).replace("\0", "").strip() for v in (value if _is_list(value) else [value]))

    def hint(self, keyword: str) -> float | None:
        """Give an attribute's first number for a guess: None also where it is no number."""
        try:
            return self.number_of(keyword)
        except InputError:
            return None

    def private(self, name: str) -> PrivateValue | None:
        """Give an element of `PRIVATE` by its name, with its creator checked; None where it is missing."""
        group, element, creator = PRIVATE[name]
        wrong = None
        with damage_named(self.path, f"the {name} ({group:04X},10{element:02X})"):
            for layer in self.layers:
                for block in PRIVATE_BLOCKS:
                    tag = group << 16 | block << 8 | element
                    if tag not in layer:
                        continue
                    maker = layer.get(group << 16 | block)
                    maker = "" if maker is None else str(maker.value).replace("\0", "").strip()
                    found = PrivateValue(layer[tag].value, f"({group:04X},{block:02X}{element:02X})")
                    if maker.lower() == creator.lower():
                        return found
                    wrong = wrong or found._replace(wrong_creator=maker or "no creator")
        return wrong

    def private_value(self, name: str) -> Any:
        """Give the value of a private element with the right creator, or None."""
        found = self.private(name)
        return None if found is None or found.wrong_creator else found.value

    def private_text(self, name: str) -> str:
        """Give a private element as text, "" where it is missing."""
        value = self.private_value(name)
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        return "" if value is None else str(value).replace("\0", "").strip()

    @cached_property
    def image_type(self) -> tuple[str, ...]:
        """The words of FrameType or ImageType, upper case."""
        return tuple(word.upper() for word in self.words("FrameType") or self.words("ImageType"))


def frames_of(path: Path) -> list[Frame]:
    """Read a file's header and give its frames; none if the file holds no image.

    Raises
    ------
    InputError
        If the file is not DICOM, or an enhanced one whose frames are not described.
    """
    header = read_header(path)
    single = Frame(path, 0, (header,))
    if not single.count("Rows") or not single.count("Columns"):
        return []
    count = single.count("NumberOfFrames") or 1
    per_frame = single.value("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        if count == 1:
            return [single]
        if not single.text("SOPClassUID").startswith(_MR):  # captured screens, other modalities
            return []
        raise InputError(
            path, f"{count} frames without a description of each", "an enhanced (multi-frame) MR image",
            "Export the series as enhanced MR or as single images.",
        )  # fmt: skip
    if not _is_list(per_frame) or len(per_frame) != count:
        seen = f"{len(per_frame) if _is_list(per_frame) else 'unreadable'} descriptions for {count} frames"
        raise InputError(path, seen, "one description (functional groups) for each frame")
    with damage_named(path, "the description of its frames"):
        shared = _group_layers(list(single.value("SharedFunctionalGroupsSequence") or [])[:1])
        return [Frame(path, i, (*_group_layers([g]), *shared, header)) for i, g in enumerate(per_frame)]


def _group_layers(items: list[Any]) -> tuple[Any, ...]:
    layers = []
    for item in items:
        for name in (*_GROUPS, _PHILIPS_GROUP):
            element = item.get(name)
            sequence = element.value if hasattr(element, "VR") else element
            if _is_list(sequence) and len(sequence):
                inner = sequence[0]
                layers.append(inner)
                if name == "MRDiffusionSequence":
                    layers += list(inner.get("DiffusionGradientDirectionSequence") or [])[:1]
                elif name == "MRArterialSpinLabelingSequence":
                    layers += list(inner.get("ASLBolusCutoffTimingSequence") or [])[:1]
        layers.append(item)
    return tuple(layers)


def as_numbers(value: Any, where: str, name: str) -> tuple[float, ...]:
    """Turn a value of any VR into finite numbers, private ones of unknown VR included.

    Raises
    ------
    InputError
        If one of them is no finite number.
    """
    if isinstance(value, bytes):
        value = _from_bytes(value)
    values = value if _is_list(value) else [value]
    try:
        numbers = tuple(float(v.strip("\0 ") if isinstance(v, str) else v) for v in values)
    except (TypeError, ValueError, OverflowError, AttributeError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise InputError(where, f"{name} is {str(value)[:60]!r}", "finite numbers")
    return numbers


def _from_bytes(value: bytes) -> list[Any]:
    """Read bytes of unknown VR: decimal text, or else little-endian 32-bit or 64-bit floats."""
    text = value.strip(b"\0 ")
    if text and all(chr(c) in "0123456789+-.eE\\ " for c in text):
        return text.decode("ascii").split("\\")
    kind = {4: "<f", 8: "<d"}.get(len(value))
    return list(struct.unpack(kind, value)) if kind else [math.nan]


def _is_list(value: Any) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__len__") and hasattr(value, "__getitem__")
