"""The study: the images of one subject that a synthesis starts from.

Images are SimpleITK images (world space in LPS, millimetres); nothing is resampled here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError

#: Phase directions as BIDS writes them; empty where it is not known.
PHASE_DIRECTIONS = ("", "i", "j", "k", "i-", "j-", "k-")


class Modality(StrEnum):
    """The kinds of image that SynthCBV knows."""

    DWI = "DWI"
    T1W = "T1w"
    T2W = "T2w"
    FLAIR = "FLAIR"
    ADC = "ADC"
    T1C = "T1c"
    CBF = "CBF"
    RCBV = "rCBV"

    @classmethod
    def _missing_(cls, value: object) -> Modality | None:
        return next((m for m in cls if m.value.lower() == str(value).lower()), None)


class AveragedSeries(NamedTuple):
    """A diffusion series with its repeats averaged.

    Attributes
    ----------
    b_values : tuple of float
        Unique b-values, ascending, s/mm².
    image : sitk.Image
        Mean of the repeats of each b-value, in the same layout (4D or vector) as the series it came from.
    counts : tuple of int
        How many images went into each mean.
    """

    b_values: tuple[float, ...]
    image: sitk.Image
    counts: tuple[int, ...]


@dataclass(frozen=True)
class DiffusionSeries:
    """Diffusion-weighted images of one subject, one volume a b-value and repeat, in any order.

    Parameters
    ----------
    image : sitk.Image
        4D image, or 3D vector image, with one volume or component for each entry of `b_values`.
    b_values : tuple of float
        Diffusion weighting of each volume, s/mm².
    name : str
        How messages call the series, such as its file or node.
    phase_encoding : str
        Phase direction as BIDS has it: the image's axis i, j or k, with "-" behind it where it runs
        backwards; empty where it is not known.

    Raises
    ------
    InputError
        If the image is a single volume, the b-values are missing, negative or not one a volume, or there is
        no such phase direction.
    """

    image: sitk.Image
    b_values: tuple[float, ...]
    name: str = "DWI"
    phase_encoding: str = ""

    def __post_init__(self) -> None:
        if self.phase_encoding not in PHASE_DIRECTIONS:
            raise InputError(
                f"{self.name} phase direction", repr(self.phase_encoding), "i, j or k, with or without -"
            )
        object.__setattr__(self, "b_values", tuple(float(b) for b in self.b_values))
        if not is_series(self.image):
            raise InputError(
                self.name,
                f"a single {self.image.GetDimension()}D volume {self.image.GetSize()}",
                "a 4D or vector image with one volume a b-value",
                "Give the whole diffusion series, not one of its images.",
            )
        if not self.b_values:
            raise InputError(
                self.name, "no b-values", f"{self.n_volumes} b-values in s/mm², one a volume",
                "Put a .bval file beside the image or give the b-values.",
            )  # fmt: skip
        if len(self.b_values) != self.n_volumes:
            raise InputError(
                self.name,
                f"{len(self.b_values)} b-values for {self.n_volumes} volumes",
                "one b-value (s/mm²) for each volume",
            )
        if not all(np.isfinite(b) and b >= 0 for b in self.b_values):
            raise InputError(self.name, f"b-values {list(self.b_values)}", "finite b-values >= 0 in s/mm²")

    @property
    def n_volumes(self) -> int:
        """Number of volumes, repeats included."""
        return n_volumes(self.image)

    def volumes(self) -> list[sitk.Image]:
        """Give each volume as a 3D scalar image with the series' geometry, in the series' order."""
        return split_volumes(self.image)

    def averaged(self) -> AveragedSeries:
        """Average the repeats of each b-value.

        Returns
        -------
        AveragedSeries
            Unique b-values (s/mm²) ascending, their mean image in 32-bit float (same layout as `image`),
            and how many images went into each mean.
        """
        rounded = np.round(np.asarray(self.b_values), 1)
        unique = np.unique(rounded)
        members = [np.flatnonzero(rounded == b) for b in unique]
        means = [self._mean(indices) for indices in members]
        layout = join_vector if self.image.GetDimension() == 3 else join_series
        return AveragedSeries(
            tuple(float(b) for b in unique), layout(means), tuple(len(indices) for indices in members)
        )

    def lowest_b(self) -> sitk.Image:
        """Give the mean of the images of the lowest b-value alone, as `averaged` has it first."""
        rounded = np.round(np.asarray(self.b_values), 1)
        return self._mean(np.flatnonzero(rounded == rounded.min()))

    def _mean(self, indices: np.ndarray) -> sitk.Image:
        total = sitk.Cast(volume_of(self.image, int(indices[0])), sitk.sitkFloat32)
        for index in indices[1:]:
            total = total + sitk.Cast(volume_of(self.image, int(index)), sitk.sitkFloat32)
        return total / float(len(indices))


@dataclass(frozen=True)
class AslSeries:
    """Arterial spin labelling before quantification: mean control, mean label and M0 images.

    Stands for `Modality.CBF` in a `Study`; the synthesis quantifies it.

    Parameters
    ----------
    control, label, m0 : sitk.Image
        3D images of the same acquisition and scale.
    labelling : str
        "pcasl" or "pasl".
    label_duration : float or None
        Label duration (pCASL) or bolus duration TI1 (PASL), s; None if it is not recorded.
    post_label_delay : float or None
        Post-labelling delay (pCASL) or inversion time (PASL), s; None if it is not recorded, which
        leaves only relative perfusion.
    name : str
        How messages call the series.
    """

    control: sitk.Image
    label: sitk.Image
    m0: sitk.Image
    labelling: str = "pcasl"
    label_duration: float | None = None
    post_label_delay: float | None = None
    name: str = "ASL"

    def __post_init__(self) -> None:
        for part, image in (("control", self.control), ("label", self.label), ("M0", self.m0)):
            if is_series(image) or image.GetDimension() != 3:
                raise InputError(
                    f"{self.name} {part}", f"a {n_volumes(image)}-volume image {image.GetSize()}",
                    "one 3D volume (the mean of the repeats)",
                )  # fmt: skip
        for part, image in (("label", self.label), ("M0", self.m0)):
            if not same_grid(self.control, image):
                raise InputError(
                    f"{self.name} {part}",
                    f"size {image.GetSize()}, spacing {_short(image.GetSpacing())} on another grid than the "
                    f"control image ({self.control.GetSize()}, {_short(self.control.GetSpacing())})",
                    "control, label and M0 on one grid",
                )


StudyImage = sitk.Image | DiffusionSeries | AslSeries


@dataclass(frozen=True)
class Study:
    """All images of one subject at one time, each on its own grid.

    Parameters
    ----------
    subject : str
        Label of the subject without "sub-".
    images : Mapping
        Image of each modality at hand; DWI as `DiffusionSeries`, CBF as a map or an `AslSeries`.

    Raises
    ------
    InputError
        If an image is not of the kind that its modality needs.
    """

    subject: str
    images: Mapping[Modality, StudyImage]

    def __post_init__(self) -> None:
        images = {Modality(modality): image for modality, image in self.images.items()}
        for modality, image in images.items():
            allowed: tuple[type, ...] = (sitk.Image,)
            if modality is Modality.DWI:
                allowed = (DiffusionSeries,)
            elif modality is Modality.CBF:
                allowed = (sitk.Image, AslSeries)
            if not isinstance(image, allowed):
                raise InputError(
                    f"{modality} of subject {self.subject}",
                    f"a {type(image).__name__}",
                    " or ".join(kind.__name__ for kind in allowed),
                )
            if isinstance(image, sitk.Image) and (is_series(image) or image.GetDimension() != 3):
                raise InputError(
                    f"{modality} of subject {self.subject}",
                    f"a {image.GetDimension()}D image with {n_volumes(image)} volumes",
                    "one 3D volume",
                )
        object.__setattr__(self, "images", MappingProxyType(images))

    def scalar(self, modality: Modality) -> sitk.Image:
        """Give one 3D image of a modality: b = 0 mean of DWI, control of ASL, else the image itself.

        This is the image that registration and display use.
        """
        image = self.images[modality]
        if isinstance(image, DiffusionSeries):
            return image.lowest_b()
        return image.control if isinstance(image, AslSeries) else image


def shown_contrast(image: StudyImage, modality: Modality) -> Modality:
    """Tell which contrast `Study.scalar` shows of an image: ASL's control image looks like b = 0."""
    return Modality.DWI if isinstance(image, AslSeries) else modality


def is_series(image: sitk.Image) -> bool:
    """Tell whether an image holds several volumes (4D, or 3D with several components)."""
    return image.GetDimension() == 4 or image.GetNumberOfComponentsPerPixel() > 1


def n_volumes(image: sitk.Image) -> int:
    """Count the volumes of a 4D or vector image; 1 for a 3D scalar image."""
    if image.GetDimension() == 4:
        return image.GetSize()[3]
    return image.GetNumberOfComponentsPerPixel()


def split_volumes(image: sitk.Image) -> list[sitk.Image]:
    """Split a 4D or vector image into 3D scalar images; a 3D scalar image gives itself."""
    return [volume_of(image, i) for i in range(n_volumes(image))]


def volume_of(image: sitk.Image, index: int) -> sitk.Image:
    """Give one volume of a 4D or vector image as a 3D scalar image; a 3D scalar image gives itself."""
    if image.GetDimension() == 4:
        return sitk.Extract(image, [*image.GetSize()[:3], 0], [0, 0, 0, index])
    if image.GetNumberOfComponentsPerPixel() > 1:
        return sitk.VectorIndexSelectionCast(image, index)
    return image


def join_series(volumes: Sequence[sitk.Image]) -> sitk.Image:
    """Join 3D images of one grid into a 4D image."""
    return sitk.JoinSeries(list(volumes))


def join_vector(volumes: Sequence[sitk.Image]) -> sitk.Image:
    """Join 3D images of one grid into a 3D vector image."""
    return sitk.Compose(list(volumes))


def same_grid(a: sitk.Image, b: sitk.Image, tolerance: float = 1e-3) -> bool:
    """Tell whether two 3D images share size, spacing, origin and direction (mm tolerance)."""
    return a.GetSize() == b.GetSize() and all(
        np.allclose(x, y, atol=tolerance)
        for x, y in (
            (a.GetSpacing(), b.GetSpacing()),
            (a.GetOrigin(), b.GetOrigin()),
            (a.GetDirection(), b.GetDirection()),
        )
    )


def settled(image: sitk.Image) -> sitk.Image:
    """Give a 3D image with its geometry rounded to a millionth of a millimetre.

    A file and a MRML node hold one geometry to different last digits; searches and ties of nearest neighbours
    must not fork on them.
    """
    copy = sitk.Image(image)
    copy.SetSpacing([round(value, 6) for value in image.GetSpacing()])
    copy.SetOrigin([round(value, 6) for value in image.GetOrigin()])
    copy.SetDirection([round(value, 8) for value in image.GetDirection()])
    return copy


def like(array: np.ndarray, reference: sitk.Image) -> sitk.Image:
    """Make an image from an array (z, y, x) with the geometry of a 3D reference."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.CopyInformation(reference)
    return image


def _short(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
