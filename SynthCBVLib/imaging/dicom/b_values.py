"""The b-value of a frame, and the tag it came from."""

from __future__ import annotations

import math
from typing import NamedTuple

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.csa import csa_text
from SynthCBVLib.imaging.dicom.frame import Frame, as_numbers
from SynthCBVLib.imaging.dicom.headers import PRIVATE, damage_named, pydicom_module

#: Larger values (s/mm²) are no diffusion weighting of a person.
LARGEST = 100_000.0
STANDARD = "DiffusionBValue (0018,9087)"
_VENDORS = ("Siemens b-value", "GE b-value", "Philips b-value")


class BValue(NamedTuple):
    """Diffusion weighting of a frame.

    Attributes
    ----------
    value : float
        s/mm².
    source : str
        Name and number of the tag it was read from.
    directionality : str
        "NONE", "DIRECTIONAL", "ISOTROPIC" (a trace image) or "" where it is not recorded.
    direction : tuple of float
        Gradient direction where it is recorded; tells directional images apart, not used as an axis.
    """

    value: float
    source: str
    directionality: str = ""
    direction: tuple[float, ...] = ()


def b_value(frame: Frame, csa: bool = True) -> BValue | None:
    """Find a frame's b-value; None where no tag speaks of diffusion.

    The standard tag comes first, then the vendors' own, then Siemens' CSA header (which takes another look at
    the file; not with `csa` False).

    Raises
    ------
    InputError
        If the tag holds no b-value, or belongs to another private creator than it should.
    """
    kind = directionality(frame)
    found = _standard(frame) or _private(frame)
    if found is None and kind == "NONE":
        found = 0.0, "DiffusionDirectionality (0018,9075) NONE"
    if found is None and csa:
        found = _csa(frame)
    if found is None:
        _refuse_wrong_creator(frame)
        return None
    value, source = found
    if not 0 <= value <= LARGEST:
        raise InputError(
            frame.where, f"b-value {value:g} in {source}", f"a b-value from 0 to {LARGEST:g} s/mm²",
            "Give the b-values yourself (b_values=...).",
        )  # fmt: skip
    return BValue(value, source, kind, _direction(frame))


def disagreement(frame: Frame) -> str:
    """Tell in words where the standard tag and the vendor's own disagree on a b-value, "" if not."""
    standard, private = _standard(frame), _private(frame)
    if standard is None or private is None or math.isclose(standard[0], private[0], abs_tol=1.0):
        return ""
    return f"{standard[1]} says {standard[0]:g}, {private[1]} says {private[0]:g} s/mm²"


def directionality(frame: Frame) -> str:
    """Give DiffusionDirectionality, from the vendors' own tags where the standard one is missing."""
    word = (
        frame.text("DiffusionDirectionality").upper() or frame.private_text("Siemens directionality").upper()
    )
    if word in ("NONE", "DIRECTIONAL", "ISOTROPIC", "BMATRIX"):
        return "DIRECTIONAL" if word == "BMATRIX" else word
    philips = frame.private_text("Philips direction").upper()
    if philips:  # I: isotropic; P, M, S and O: read, phase, slice and oblique gradients
        return "ISOTROPIC" if philips[0] == "I" else "DIRECTIONAL" if philips[0] in "PMSO" else ""
    # 14: T2 (b = 0), 15: the combined image; 3, 4, 5 and 16 upward: one direction
    flag = frame.private_text("GE collapse flag")
    return {"14": "NONE", "15": "ISOTROPIC", "3": "DIRECTIONAL", "4": "DIRECTIONAL", "5": "DIRECTIONAL"}.get(
        flag, ""
    )


def _standard(frame: Frame) -> tuple[float, str] | None:
    value = frame.number_of("DiffusionBValue")
    return None if value is None else (value, STANDARD)


def _private(frame: Frame) -> tuple[float, str] | None:
    for name in _VENDORS:
        found = frame.private(name)
        if found is None or found.wrong_creator or found.value in (None, "", b""):
            continue
        numbers = as_numbers(found.value, frame.where, f"{name} {found.tag}")
        if numbers:
            value = _without_ge_flag(numbers[0]) if name == "GE b-value" else numbers[0]
            return value, f"{name} {found.tag}"
    return None


def _without_ge_flag(value: float) -> float:
    """Take off the 10⁹ (or 10⁶) that newer GE software adds to mark the series' kind."""
    return value % 1e9 % 1e6 if value >= 1e6 else value


def _csa(frame: Frame) -> tuple[float, str] | None:
    if "siemens" not in frame.text("Manufacturer").lower():
        return None
    pydicom = pydicom_module()
    with damage_named(frame.path, "the CSA header"):
        tags = [pydicom.tag.Tag(0x0029, 0x10 + i) for i in range(16)]
        tags += [pydicom.tag.Tag(0x0029, (0x10 + i) << 8 | 0x10) for i in range(16)]
        header = pydicom.dcmread(frame.path, stop_before_pixels=True, specific_tags=tags)
        data = Frame(frame.path, 0, (header,)).private_value("Siemens CSA header")
    text = csa_text(data, "B_value") if isinstance(data, bytes) else ""
    if not text:
        return None
    source = "B_value of the Siemens CSA header (0029,1010)"
    return as_numbers(text, frame.where, source)[0], source


def _direction(frame: Frame) -> tuple[float, ...]:
    try:
        numbers = frame.numbers("DiffusionGradientOrientation")
        if not numbers:
            value = frame.private_value("Siemens direction")
            numbers = () if value is None else as_numbers(value, frame.where, "Siemens direction")
    except InputError:  # only tells images apart; their order does that as well
        return ()
    return tuple(round(number, 3) for number in numbers)


def _refuse_wrong_creator(frame: Frame) -> None:
    for name in _VENDORS:
        found = frame.private(name)
        if found is not None and found.wrong_creator:
            raise InputError(
                frame.where,
                f"the {name} {found.tag} belongs to the private creator {found.wrong_creator!r}",
                f"the private creator {PRIVATE[name][2]!r}",
                "Its meaning is not known: give the b-values yourself (b_values=...).",
            )
