"""Frames sorted into series, and series into the parts that scanners keep in one: originals, trace, ADC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.b_values import b_value, directionality
from SynthCBVLib.imaging.dicom.frame import Frame
from SynthCBVLib.imaging.dicom.pixels import PixelReader

#: Words of ImageType that name a derived image, and the part they stand for.
_PARTS = {
    "ADC": "ADC", "ADC_UNSPECIFIED": "ADC", "EADC": "eADC", "EXP": "eADC", "FA": "FA", "TENSOR": "tensor",
    "TRACEW": "trace", "TRACE": "trace", "ISOTROPIC": "trace", "CBF": "CBF", "RELCBF": "relCBF",
    "CBV": "rCBV", "RCBV": "rCBV", "RELCBV": "rCBV", "MTT": "MTT", "RELMTT": "MTT", "TTP": "TTP",
    "TMAX": "Tmax",
    "PHASE": "phase", "PHASE MAP": "phase", "REAL": "real part", "IMAGINARY": "imaginary part",
}  # fmt: skip
_MOST_ECHOES = 8


@dataclass(frozen=True)
class Group:
    """Frames of one series, or of one part of it, with the same kind of content.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    part : str
        "" for original images; "trace", "ADC", ... for others in the series; "TE 98" for an echo of several.
    frames : tuple of Frame
    """

    uid: str
    part: str
    frames: tuple[Frame, ...]

    @property
    def first(self) -> Frame:
        """A frame to look up values in that all share."""
        return self.frames[0]

    @property
    def name(self) -> str:
        """How messages call the series."""
        first = self.first
        number, description = first.text("SeriesNumber"), first.text("SeriesDescription")
        title = " ".join(filter(None, ("series", number, f"({description})" if description else "")))
        return f"{title} {self.part}".rstrip() if self.part else title


def groups_of(frames: Sequence[Frame]) -> list[Group]:
    """Sort frames into series and parts, in the order of series number and UID."""
    series: dict[str, list[Frame]] = {}
    for frame in frames:
        series.setdefault(frame.text("SeriesInstanceUID"), []).append(frame)
    groups: list[Group] = []
    for uid, members in series.items():
        groups += _parts(uid, members)
    return sorted(groups, key=lambda g: (g.first.hint("SeriesNumber") or 0.0, g.uid, g.part))


def part_of(frame: Frame) -> str:
    """Tell which part of its series a frame belongs to, by ImageType and diffusion directionality."""
    words = frame.image_type
    component = frame.text("ComplexImageComponent").upper()
    if component in ("PHASE", "REAL", "IMAGINARY"):
        return _PARTS[component]
    if len(words) > 2 and words[2] in ("P", "R", "I"):
        return {"P": "phase", "R": "real part", "I": "imaginary part"}[words[2]]
    for word in words:
        if word in _PARTS or word.startswith("ADC"):
            return _PARTS.get(word, "ADC")
    return "trace" if directionality(frame) == "ISOTROPIC" else ""


def weighting(frame: Frame) -> float | None:
    """Give a frame's b-value for sorting: None where there is none or it cannot be read."""
    try:
        found = b_value(frame, csa=False)
    except InputError:
        return None
    return None if found is None else found.value


def _parts(uid: str, frames: list[Frame]) -> list[Group]:
    parts: dict[str, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(part_of(frame), []).append(frame)
    originals, trace = parts.get("", []), parts.get("trace", [])
    if originals and trace:
        # Images without weighting belong to both: to the directional ones and to the trace made of them.
        unweighted = [frame for frame in originals if weighting(frame) == 0]
        parts["trace"] = [*unweighted, *trace]
        if len(unweighted) == len(originals):
            del parts[""]
    if "" in parts:
        parts |= _echoes(parts.pop(""))
    return [Group(uid, part, tuple(members)) for part, members in parts.items()]


def _echoes(frames: list[Frame]) -> dict[str, list[Frame]]:
    """Split images of several echo times, as of proton density and T2 in one series."""
    echoes: dict[float | None, list[Frame]] = {}
    for frame in frames:
        time = frame.hint("EchoTime") or frame.hint("EffectiveEchoTime")
        echoes.setdefault(None if time is None else round(time, 2), []).append(frame)
    even = len({len(members) for members in echoes.values()}) == 1
    if None in echoes or not even or not 2 <= len(echoes) <= _MOST_ECHOES or any(map(weighting, frames)):
        return {"": frames}
    return {f"TE {time:g}": members for time, members in sorted(echoes.items())}


def without_copies(group: Group) -> tuple[Group, int]:
    """Leave out images that are there twice.

    Returns
    -------
    Group
        The series with each image once.
    int
        How many copies were left out.

    Raises
    ------
    InputError
        If two files claim to be the same image but hold different pixels.
    """
    known: dict[Any, Frame] = {}
    kept: list[Frame] = []
    for frame in group.frames:
        keys = _identities(frame)
        twin = next((known[key] for key in keys if key in known), None)
        if twin is None:
            kept.append(frame)
            known |= dict.fromkeys(keys, frame)
        elif not same_pixels(frame, twin):
            raise InputError(
                group.name, f"duplicate slices with different pixel data: {twin.where} and {frame.where}",
                "each image once", "Two series may be mixed: give the files of one.",
            )  # fmt: skip
    return replace(group, frames=tuple(kept)), len(group.frames) - len(kept)


def same_pixels(a: Frame, b: Frame) -> bool:
    """Tell whether two frames hold the same stored values."""
    return bool(np.array_equal(PixelReader().stored(a), PixelReader().stored(b)))


def _identities(frame: Frame) -> list[Any]:
    keys: list[Any] = []
    uid = frame.text("SOPInstanceUID")
    if uid:
        keys.append((uid, frame.number))
    instance = frame.hint("InstanceNumber")
    if instance is not None and len(frame.layers) == 1:
        names = ("AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "ImagePositionPatient")
        keys.append((instance, frame.image_type, *(frame.text(name) for name in names)))
    return keys
