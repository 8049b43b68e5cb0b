"""A study on its way from the panel to the worker: copies of voxels, which become images at the other end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import (
    AslSeries,
    DiffusionSeries,
    Modality,
    Study,
    StudyImage,
    is_series,
    join_vector,
    n_volumes,
    same_grid,
    split_volumes,
)
from SynthCBVLib.worker.handover import Volume, read_volumes, write_volumes


@dataclass(frozen=True)
class AslTiming:
    """Timing of arterial spin labelling.

    Parameters
    ----------
    labelling : str
        "pcasl" or "pasl".
    label_duration, post_label_delay : float or None
        Seconds; None where it is not known.
    """

    labelling: str = "pcasl"
    label_duration: float | None = None
    post_label_delay: float | None = None


@dataclass(frozen=True)
class HandedStudy:
    """Voxels of a study, not yet looked at.

    Parameters
    ----------
    subject : str
        Label of the subject, letters and digits.
    volumes : Mapping
        Modality -> its volumes: one, or for the DWI one with several components or one a b-value.
    b_values : tuple of float
        s/mm², of the DWI.
    asl : tuple of Volume
        Control, label and M0, where they stand for CBF; else empty.
    timing : AslTiming
        Of these.
    series : str
        How messages call the DWI.
    phase_encoding : str
        Phase direction of the DWI, as `DiffusionSeries` has it; empty where it is not known.
    """

    subject: str
    volumes: Mapping[Modality, tuple[Volume, ...]]
    b_values: tuple[float, ...] = ()
    asl: tuple[Volume, ...] = ()
    timing: AslTiming = AslTiming()
    series: str = "DWI"
    phase_encoding: str = ""

    def study(self) -> Study:
        """Give the study.

        Raises
        ------
        InputError
            If a volume holds nothing, or values that are not numbers, or those of a series do not share one
            grid.
        """
        images: dict[Modality, StudyImage] = {}
        for modality, volumes in self.volumes.items():
            if modality is Modality.DWI:
                series = joined(volumes, "one volume a b-value")
                check_content(series, self.series)
                images[modality] = DiffusionSeries(series, self.b_values, self.series, self.phase_encoding)
            else:
                images[modality] = scalar(volumes[0])
        if self.asl:
            images[Modality.CBF] = AslSeries(
                *(averaged(volume) for volume in self.asl), **asdict(self.timing), name=self.asl[0].name
            )
        return Study(self.subject, images)

    def write(self, folder: Path) -> None:
        """Write it for the worker."""
        named = {
            f"{modality}/{number}": volume
            for modality, volumes in self.volumes.items()
            for number, volume in enumerate(volumes)
        }
        named |= {f"ASL/{number}": volume for number, volume in enumerate(self.asl)}
        more = {
            "subject": self.subject, "b_values": list(self.b_values), "timing": asdict(self.timing),
            "series": self.series, "phase_encoding": self.phase_encoding,
        }  # fmt: skip
        write_volumes(folder, named, more)

    @classmethod
    def read(cls, folder: Path) -> HandedStudy:
        """Read what `write` wrote."""
        named, more = read_volumes(folder)
        groups: dict[str, list[Volume]] = {}
        for key, volume in named.items():
            groups.setdefault(key.split("/")[0], []).append(volume)
        asl = tuple(groups.pop("ASL", ()))
        volumes = {Modality(key): tuple(members) for key, members in groups.items()}
        timing = AslTiming(**more["timing"])
        return cls(
            more["subject"], volumes, tuple(more["b_values"]), asl, timing, more["series"],
            more["phase_encoding"],
        )  # fmt: skip


def joined(volumes: Sequence[Volume], needed: str) -> sitk.Image:
    """Join the volumes of a series.

    Parameters
    ----------
    volumes : sequence of Volume
        One with several components, or several scalar ones on one grid.
    needed : str
        What the volumes are, for messages, such as "one volume a b-value".

    Returns
    -------
    sitk.Image
        3D vector image with one component a volume.

    Raises
    ------
    InputError
        If there is one volume only, or the volumes do not share one grid.
    """
    members = [volume.image() for volume in volumes]
    first = volumes[0].name if volumes else "series"
    if len(members) == 1 and is_series(members[0]):
        return members[0]
    if len(members) < 2:
        raise InputError(
            first, "a single volume", f"a series with {needed}",
            f"Choose a multi-component volume, a volume sequence, or {needed}.",
        )  # fmt: skip
    for member, volume in zip(members, volumes, strict=True):
        if is_series(member):
            raise InputError(
                volume.name, f"a volume with {n_volumes(member)} components", f"a scalar volume ({needed})"
            )
        if not same_grid(members[0], member):
            raise InputError(
                volume.name, f"another grid {member.GetSize()} than {first} {members[0].GetSize()}",
                "all volumes of the series on one grid",
            )  # fmt: skip
    return join_vector([sitk.Cast(member, sitk.sitkFloat32) for member in members])


def scalar(volume: Volume) -> sitk.Image:
    """Give a volume of one component; InputError if it has more, or no content."""
    image = volume.image()
    if is_series(image):
        raise InputError(volume.name, f"a volume with {n_volumes(image)} components", "one scalar volume")
    check_content(image, volume.name)
    return image


def averaged(volume: Volume) -> sitk.Image:
    """Average the repeats of a volume (control, label and M0 often come as such)."""
    image = volume.image()
    check_content(image, volume.name)
    repeats = [sitk.Cast(repeat, sitk.sitkFloat32) for repeat in split_volumes(image)]
    total = repeats[0]
    for repeat in repeats[1:]:
        total = total + repeat
    return total / float(len(repeats))


def check_content(image: sitk.Image, name: str) -> None:
    """Refuse an image of zeros alone, or with values that are not numbers."""
    array = sitk.GetArrayViewFromImage(image)
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(name, f"{bad} voxels that are not numbers (NaN or infinite)", "finite values")
    if not array.any():
        raise InputError(name, "only zeros", "an image", "Load the volume again or choose another one.")
