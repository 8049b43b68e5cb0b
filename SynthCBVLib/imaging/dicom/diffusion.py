"""Diffusion series: b-values of each volume, directions and trace images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.b_values import STANDARD, BValue, b_value, disagreement
from SynthCBVLib.imaging.dicom.frame import Frame
from SynthCBVLib.imaging.dicom.grouping import Group
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.volumes import Volumes, assemble
from SynthCBVLib.imaging.study import Modality

#: b-values (s/mm²) are told apart to this; scanners write some to odd last digits.
_STEP = 0.1


@dataclass(frozen=True)
class DiffusionPlan:
    """What a diffusion series is made of, before its pixels are read.

    Attributes
    ----------
    volumes : Volumes
    b_values : tuple of float
        s/mm², one a volume.
    sources : tuple of str
        The tag that each b-value came from.
    notes : tuple of Note
    """

    volumes: Volumes
    b_values: tuple[float, ...]
    sources: tuple[str, ...]
    notes: tuple[Note, ...]


def plan_diffusion(group: Group, given: Sequence[float] | None = None) -> DiffusionPlan:
    """Sort a diffusion series into volumes with their b-values.

    Directional images of a b-value stay single volumes, so that `DiffusionSeries.averaged` takes them as
    repeats (arithmetic mean).

    Parameters
    ----------
    group : Group
    given : sequence of float, optional
        b-values that the user gives, s/mm², one a volume in the order of acquisition; instead of the
        header's.

    Raises
    ------
    InputError
        If a b-value is missing or cannot be, a slice is missing, or the given ones do not fit.
    """
    if given is not None:
        return _as_given(group, tuple(float(b) for b in given))
    weights = {id(frame): b_value(frame) for frame in group.frames}
    unknown = [frame for frame in group.frames if weights[id(frame)] is None]
    if unknown:
        raise InputError(
            group.name,
            f"no b-value in {len(unknown)} of {len(group.frames)} images ({unknown[0].where})",
            f"{STANDARD}, or the b-value of Siemens (0019,100C), GE (0043,1039) or Philips (2001,1003)",
            "Give the b-values yourself (b_values=...), or convert with dcm2niix.",
        )

    def weight(frame: Frame) -> BValue:
        return weights[id(frame)]

    volumes = _by_direction(group, weight)
    firsts = [weight(volume[0]) for volume in volumes.frames]
    return DiffusionPlan(
        volumes,
        tuple(w.value for w in firsts),
        tuple(w.source for w in firsts),
        tuple(_notes(group, firsts, volumes)),
    )


def _by_direction(group: Group, weight) -> Volumes:
    def level(frame: Frame) -> float:
        return round(weight(frame).value / _STEP) * _STEP

    def shown(label) -> str:
        return f"b = {label[0] if isinstance(label, tuple) else label:g}"

    try:
        return assemble(group, lambda f: (level(f), weight(f).directionality, weight(f).direction), shown)
    except InputError:
        # Directions may be written slice by slice with other digits: the order of acquisition then decides,
        # and what is wrong with the series itself is found again.
        return assemble(group, level, shown)


def _as_given(group: Group, given: tuple[float, ...]) -> DiffusionPlan:
    volumes = assemble(group)
    if len(given) != len(volumes.frames):
        raise InputError(
            group.name, f"{len(given)} b-values given for {len(volumes.frames)} volumes",
            "one b-value (s/mm²) for each volume, in the order of acquisition",
        )  # fmt: skip
    return DiffusionPlan(volumes, given, ("given by the user",) * len(given), ())


def _notes(group: Group, weights: Sequence[BValue], volumes: Volumes) -> list[Note]:
    notes = []
    if group.part == "trace":
        notes.append(Note(
            "warning", Modality.DWI,
            f"{group.name}: trace images, averaged over directions by the scanner; how often is not recorded",
            "Prefer the original images, if the archive has them.",
        ))  # fmt: skip
    directions: dict[float, set] = {}
    for w in weights:
        if w.value and w.direction and w.directionality != "ISOTROPIC":
            directions.setdefault(round(w.value, 1), set()).add(w.direction)
    several = {b: len(found) for b, found in directions.items() if len(found) > 1}
    if several:
        counts = Counter(round(w.value, 1) for w in weights)
        listed = ", ".join(f"{n} of b = {b:g} ({counts[b]} images)" for b, n in sorted(several.items()))
        notes.append(Note(
            "info", Modality.DWI,
            f"{group.name}: images of several directions are taken as repeats of their b-value: {listed}",
            "Nothing needs to be done: repeats are averaged.",
        ))  # fmt: skip
    words = next(filter(None, (disagreement(volume[0]) for volume in volumes.frames)), "")
    if words:
        notes.append(Note(
            "warning", Modality.DWI, f"{group.name}: {words}; the first is used",
            "Compare with the protocol and give the b-values yourself (b_values=...) if they are wrong.",
        ))  # fmt: skip
    return notes
