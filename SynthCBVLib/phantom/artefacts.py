"""What goes wrong in echo-planar imaging: distortion along the phase direction, ghosts, motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.phantom.acquire import Prescription
from SynthCBVLib.phantom.protocol import Acquisition

#: Where air bends the field: frontal and sphenoid sinus, left and right ear; centre (LPS mm), width (mm) and
#: offset relative to the strongest.
_SOURCES = (
    ((0.0, -54.0, -26.0), 20.0, 1.0), ((0.0, -22.0, -34.0), 14.0, 0.6),
    ((56.0, 20.0, -38.0), 17.0, 0.8), ((-56.0, 20.0, -38.0), 17.0, 0.8),
)  # fmt: skip
#: Steps of the fixed-point search for the object's point that lands in a pixel.
_STEPS = 12


@dataclass(frozen=True)
class OffResonance:
    """Field offset that moves with the head.

    Attributes
    ----------
    peak : float
        Largest offset, Hz; its sign is that of the phase direction.
    weights : tuple of float
        Of each source.
    """

    peak: float
    weights: tuple[float, ...]

    def at(self, points: np.ndarray) -> np.ndarray:
        """Give the offset (...,) in Hz at the patient's points (..., 3), LPS mm."""
        total = np.zeros(points.shape[:-1])
        for (centre, width, share), weight in zip(_SOURCES, self.weights, strict=True):
            total += share * weight * np.exp(-((points - centre) ** 2).sum(-1) / (2 * width**2))
        return self.peak * total


def draw_off_resonance(rng: np.random.Generator, peak: float) -> OffResonance:
    """Draw a patient's field offset of about `peak` Hz."""
    sign = 1.0 if rng.uniform() < 0.5 else -1.0
    weights = tuple(float(w) for w in rng.uniform(0.7, 1.1, len(_SOURCES)))
    return OffResonance(sign * peak * float(rng.uniform(0.7, 1.2)), weights)


@dataclass(frozen=True)
class Distortion:
    """Displacement of an echo-planar image along its columns (the phase direction).

    Attributes
    ----------
    forth : ndarray (slices, rows, columns)
        Where the object's points go: rows to add, at the object's place.
    back : ndarray (slices, rows, columns)
        Where the image's pixels come from: rows to add, at the image's place.
    """

    forth: np.ndarray
    back: np.ndarray

    def apply(self, volumes: np.ndarray) -> np.ndarray:
        """Distort volumes (slices, rows, columns[, n]); signal piles up where the image is squeezed."""
        rows = np.arange(volumes.shape[1], dtype=np.float32)[None, :, None] + self.back
        low = np.clip(np.floor(rows).astype(int), 0, volumes.shape[1] - 2)
        share = np.clip(rows - low, 0, 1).astype(np.float32)
        density = (1 + np.gradient(self.back, axis=1)).astype(np.float32)
        if volumes.ndim == 4:
            low, share, density = low[..., None], share[..., None], density[..., None]
        lower = np.take_along_axis(volumes, low, 1)
        upper = np.take_along_axis(volumes, low + 1, 1)
        return density * ((1 - share) * lower + share * upper)

    def transform(self, reference: sitk.Image, inverse: bool = False) -> sitk.DisplacementFieldTransform:
        """Give the displacement as a transform on the image's grid.

        Parameters
        ----------
        reference : sitk.Image
            The acquisition's grid.
        inverse : bool
            False maps the object's points to the image's; True the other way.
        """
        rows = self.back if inverse else self.forth
        along = np.array(reference.GetDirection()).reshape(3, 3)[:, 1] * reference.GetSpacing()[1]
        field = sitk.GetImageFromArray(rows[..., None].astype(float) * along, isVector=True)
        field.CopyInformation(reference)
        return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def distort(
    field: OffResonance, acquisition: Acquisition, prescription: Prescription, pose: sitk.Transform
) -> Distortion:
    """Work out the distortion of one acquisition: rows = offset (Hz) × length of the echo train (s)."""
    reference = prescription.grid_image(acquisition)
    n, a = acquisition.matrix, acquisition
    origin = np.array(reference.GetOrigin())
    axes = np.array(reference.GetDirection()).reshape(3, 3) * np.array(reference.GetSpacing())
    slices, rows, columns = np.meshgrid(np.arange(a.slices), np.arange(n), np.arange(n), indexing="ij")
    points = origin + np.stack([columns, rows, slices], -1) @ axes.T
    inverse = pose.GetInverse()
    shift = np.array(inverse.TransformPoint((0.0, 0.0, 0.0)))
    turn = np.stack([np.subtract(inverse.TransformPoint(e), shift) for e in np.eye(3).tolist()], 1)
    forth = (field.at(points @ turn.T + shift) * a.echo_train / 1000).astype(np.float32)
    back = -forth
    for _ in range(_STEPS):
        back = -ndimage.map_coordinates(forth, (slices, rows + back, columns), order=1, mode="nearest")
    return Distortion(forth, back)


def ghosted(volumes: np.ndarray, level: float) -> np.ndarray:
    """Add the ghost of echo-planar imaging: the image shifted by half the field of view, times `level`.

    Parameters
    ----------
    volumes : ndarray (slices, rows, columns[, n])
        Magnitudes.
    level : float
        Of the ghost, relative to the image.
    """
    return volumes + np.float32(level) * np.roll(volumes, volumes.shape[1] // 2, axis=1)


def moved(rng: np.random.Generator, volume: np.ndarray, reference: sitk.Image, amount: float) -> np.ndarray:
    """Move a volume by a small random rigid motion.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the motion.
    volume : ndarray (slices, rows, columns)
        What moves.
    reference : sitk.Image
        Its grid.
    amount : float
        Standard deviation of the translations in mm and, halved, of the rotations in degrees.
    """
    size = [(n - 1) / 2 for n in reference.GetSize()]
    pose = sitk.Euler3DTransform()
    pose.SetCenter(reference.TransformContinuousIndexToPhysicalPoint(size))
    pose.SetRotation(*np.deg2rad(rng.normal(0, amount / 2, 3)).tolist())
    pose.SetTranslation(rng.normal(0, amount, 3).tolist())
    image = sitk.GetImageFromArray(volume.astype(np.float32, copy=False))
    image.CopyInformation(reference)
    # The edge slices keep what they show: nothing is known of what lies beyond.
    return sitk.GetArrayFromImage(
        sitk.Resample(image, reference, pose, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    )
