"""From the patient's own space to an acquisition's image: pose, slice package, sampling and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SynthCBVLib.phantom.anatomy import Anatomy
from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.protocol import Acquisition
from SynthCBVLib.phantom.warp import Grid

#: Points across a slice's thickness that its profile averages.
SUB_SLICES = 4


@dataclass(frozen=True)
class Prescription:
    """Where the exam's slices lie in the scanner.

    Attributes
    ----------
    direction : ndarray
        (3, 3), columns are the directions of rows, columns and slices, LPS.
    centre : ndarray
        (3,), middle of the head in-plane, LPS mm.
    top : float
        Beginning of the coverage along the slice normal, mm.
    """

    direction: np.ndarray
    centre: np.ndarray
    top: float

    def grid_image(self, acquisition: Acquisition, in_plane: int = 1) -> sitk.Image:
        """Make an empty image with an acquisition's geometry, its pixels cut into `in_plane` each way."""
        a = acquisition
        n, pixel = a.matrix * in_plane, a.pixel / in_plane
        image = sitk.Image([n, n, a.slices], sitk.sitkUInt8)
        image.SetSpacing([pixel, pixel, a.distance])
        image.SetDirection(self.direction.ravel())
        normal = self.direction[:, 2]
        middle = self.centre + normal * (self.top - a.length / 2 - normal @ self.centre)
        half = np.array([(n - 1) / 2 * pixel, (n - 1) / 2 * pixel, (a.slices - 1) / 2 * a.distance])
        image.SetOrigin(middle - self.direction @ half)
        return image


def draw_prescription(rng: np.random.Generator, anatomy: Anatomy) -> Prescription:
    """Lay the exam's slices: tilted by up to 12° about the left-right axis, a few degrees otherwise."""
    angles = [rng.uniform(-12, 12), rng.uniform(-3, 3), rng.uniform(-3, 3)]
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    points = anatomy.grid.points(np.flatnonzero(anatomy.brain.ravel())[::7]).astype(float)
    # einsum, unlike matrix products, adds in one order however many threads there are.
    along = np.einsum("ij,jk->ik", points, direction)
    centre = direction @ ((along.min(0) + along.max(0)) / 2)
    return Prescription(direction, centre, float(along[:, 2].max()) + 4.0)


def draw_pose(rng: np.random.Generator, centre: np.ndarray) -> sitk.VersorRigid3DTransform:
    """Draw where the head lies during one acquisition: maps the patient's points to the scanner's."""
    rotation = Rotation.from_euler("xyz", rng.normal(0, 1.5, 3), degrees=True)
    pose = sitk.VersorRigid3DTransform()
    pose.SetCenter([float(c) for c in centre])
    pose.SetRotation([float(q) for q in rotation.as_quat()])
    pose.SetTranslation([float(t) for t in rng.normal(0, 1.5, 3)])
    return pose


def sample(
    volumes: np.ndarray, grid: Grid, acquisition: Acquisition, prescription: Prescription,
    pose: sitk.Transform, in_plane: int = 1, profile: bool = True,
) -> np.ndarray:  # fmt: skip
    """Sample volumes of the patient on an acquisition's grid.

    Each slice is the mean of `SUB_SLICES` points across its thickness (gaps are skipped), each pixel that of
    `in_plane`² points; then the in-plane point spread blurs.

    Parameters
    ----------
    volumes : ndarray
        (z, y, x) or (z, y, x, n) on the patient's grid.
    grid : Grid
        That grid.
    acquisition, prescription, pose
        Where to sample; `pose` maps the patient's points to the scanner's.
    in_plane : int
        Points a pixel, each way.
    profile : bool
        False takes slice centres alone.

    Returns
    -------
    ndarray
        (slices, rows, columns) or (slices, rows, columns, n), float32.
    """
    moving = grid.image(np.ascontiguousarray(volumes, dtype=np.float32))
    reference = prescription.grid_image(acquisition, in_plane)
    normal = prescription.direction[:, 2]
    points = SUB_SLICES if profile else 1
    inverse = pose.GetInverse()
    total: np.ndarray | None = None
    for k in range(points):
        shift = acquisition.thickness * ((k + 0.5) / points - 0.5)
        reference_k = sitk.Image(reference)
        reference_k.SetOrigin(np.array(reference.GetOrigin()) + normal * shift)
        sampled = sitk.GetArrayFromImage(sitk.Resample(moving, reference_k, inverse, sitk.sitkLinear, 0.0))
        if total is None:
            total = sampled
        else:
            total += sampled
    total /= np.float32(points)
    if in_plane > 1:
        n = acquisition.matrix
        total = total.reshape(acquisition.slices, n, in_plane, n, in_plane, *total.shape[3:]).mean((2, 4))
    if acquisition.blur > 0 and profile:
        sigma = acquisition.blur / 2.355 / acquisition.pixel
        total = ndimage.gaussian_filter(total, (0, sigma, sigma, *([0] * (total.ndim - 3))))
    return total.astype(np.float32, copy=False)


def rician(rng: np.random.Generator, signal: np.ndarray, sigma: float) -> np.ndarray:
    """Give the magnitude of a signal with complex Gaussian noise of standard deviation `sigma` a channel."""
    real = signal + np.float32(sigma) * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = np.float32(sigma) * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.sqrt(real * real + imaginary * imaginary)


def bias_field(rng: np.random.Generator, acquisition: Acquisition, amplitude: float) -> np.ndarray:
    """Draw a smooth multiplicative coil sensitivity around one, with about that relative deviation."""
    a = acquisition
    shape, spacing = (a.slices, a.matrix, a.matrix), (a.distance, a.pixel, a.pixel)
    return np.exp(np.float32(amplitude) * smooth_field(rng, shape, spacing, 90.0))
