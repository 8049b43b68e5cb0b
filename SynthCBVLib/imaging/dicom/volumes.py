"""Slices of a series put together into its volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.dicom.frame import Frame
from SynthCBVLib.imaging.dicom.geometry import Geometry, stack
from SynthCBVLib.imaging.dicom.grouping import Group, same_pixels


@dataclass(frozen=True)
class Volumes:
    """Frames of a series by volume and slice, on one grid.

    Attributes
    ----------
    geometry : Geometry
    frames : tuple of tuple of Frame
        Volumes in the order of their acquisition; in each the slices along the normal.
    """

    geometry: Geometry
    frames: tuple[tuple[Frame, ...], ...]

    def uids(self) -> tuple[tuple[str, ...], ...]:
        """Give the SOP instance UIDs of each slice: one of each volume, or fewer if they share a file."""
        by_slice = zip(*self.frames, strict=True)
        return tuple(tuple(dict.fromkeys(f.text("SOPInstanceUID") for f in frames)) for frames in by_slice)


def assemble(
    group: Group, label: Callable[[Frame], Hashable] | None = None, shown: Callable[[Hashable], str] = str
) -> Volumes:
    """Put the frames of a series together into volumes.

    Parameters
    ----------
    group : Group
    label : callable, optional
        What tells a frame's volume apart from others, such as its b-value; volumes of one label are told
        apart by the order of their acquisition. By default all have one label.
    shown : callable
        How messages call a label.

    Raises
    ------
    InputError
        If the frames are not on one grid, or one is missing from a slice.
    """
    frames = sorted(group.frames, key=acquired)
    stacked = stack(frames, group.name)
    labels = [label(frame) if label else "" for frame in frames]
    levels = stacked.slices
    counts = [Counter(labels[i] for i in level) for level in levels]
    usual = _usual(counts)
    for k, count in enumerate(counts):
        for key in count | usual:
            if count[key] != usual[key]:
                what = f" of {shown(key)}" if label else ""
                where = frames[levels[k][0]].where
                raise InputError(
                    group.name,
                    f"{count[key]} image(s){what} at slice {k + 1} ({where}) but {usual[key]} at others",
                    "the same images at every slice: " + ("one is missing" if count[key] < usual[key] else
                    "some are there twice"),
                    "Send the series again from the archive.",
                )  # fmt: skip
    # The first slice has the volumes in their order; each other slice is laid beside it.
    order = _ranks([labels[i] for i in levels[0]])
    volumes: dict[Hashable, list[Frame]] = {key: [] for key in order}
    for level in levels:
        for key, i in zip(_ranks([labels[i] for i in level]), level, strict=True):
            volumes[key].append(frames[i])
    return Volumes(stacked.geometry, tuple(tuple(volumes[key]) for key in order))


def single(group: Group) -> tuple[Volumes, int]:
    """Put together a series that is one volume; slices that are there twice with equal pixels count once.

    Returns
    -------
    Volumes
        One volume.
    int
        How many copies were left out.

    Raises
    ------
    InputError
        If a slice is missing, or there with different pixels, or the series has several volumes.
    """
    frames = sorted(group.frames, key=acquired)
    levels = stack(frames, group.name).slices
    counts = {len(level) for level in levels}
    if counts == {1}:
        return assemble(group), 0
    if len(counts) == 1:
        n = counts.pop()
        raise InputError(
            group.name, f"{n} images at each of {len(levels)} positions", "one volume",
            "It is a series over time or of several contrasts: choose another series.",
        )  # fmt: skip
    kept: list[Frame] = []
    for k, level in enumerate(levels):
        first = frames[level[0]]
        for i in level[1:]:
            if not same_pixels(first, frames[i]):
                raise InputError(
                    group.name, f"duplicate slices with different pixel data at slice {k + 1}: {first.where} "
                    f"and {frames[i].where}", "each slice once",
                    "Two series may be mixed: give the files of one.",
                )  # fmt: skip
        kept.append(first)
    return assemble(Group(group.uid, group.part, tuple(kept))), len(frames) - len(kept)


def acquired(frame: Frame) -> tuple[float, ...]:
    """Give what sorts the frames of a series by their acquisition."""
    temporal = frame.hint("TemporalPositionIndex")
    if temporal is None:
        temporal = frame.hint("TemporalPositionIdentifier")
    acquisition = frame.hint("FrameAcquisitionNumber")
    if acquisition is None:
        acquisition = frame.hint("AcquisitionNumber")
    instance = frame.hint("InstanceNumber")
    return (*(value or 0.0 for value in (temporal, acquisition, instance)), float(frame.number))


def _usual(counts: Sequence[Counter]) -> Counter:
    """Give the counts that most slices have."""
    different = Counter(frozenset(count.items()) for count in counts)
    return Counter(dict(different.most_common(1)[0][0]))


def _ranks(labels: Sequence[Hashable]) -> list[tuple[Hashable, int]]:
    seen: Counter = Counter()
    ranks = []
    for label in labels:
        ranks.append((label, seen[label]))
        seen[label] += 1
    return ranks
