"""Find the brain in one image of the head, with or without skull, by thresholds and morphology."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import Modality, like, split_volumes

#: Voxel size (mm) of the search; axes that are coarser by themselves stay.
#: mm³; a slab of a few slices through a brain is larger, a speck in a wrong image smaller.
SMALLEST_BRAIN = 20_000.0
WORKING_SPACING = 2.0
#: Darkest and brightest brain tissue as fractions of the deep brain's median; the brightest holds only near
#: the surface, where fat is brighter.  In T1w cortex is at 0.6 to 0.7 of white matter, skull and CSF at 0.3
#: or below, fat from 1.5 up.
TISSUE_T1 = (0.45, 1.6)
TISSUE_FLAIR = (0.65, 1.6)
#: The same where white matter is the darkest tissue (T2w, b = 0, M0), whose bright CSF spills over the skull.
TISSUE_T2 = (0.65, np.inf)
#: Fat of the scalp is nowhere deeper, and nowhere closer to the brain (mm).
THICKEST_SCALP = 18.0
THINNEST_SKULL = 3.5
#: Lesions at the surface are at least this fraction of the darkest tissue, and at most twice this wide (mm).
LESION_DARKNESS = 0.55
LESION_RADIUS = 20.0
#: More voxels than this at exactly the lowest value: something was cut out.
CONSTANT_SHARE = 0.3
#: Rim of what was cut out, as a fraction of the deep brain's median.
CUT_EDGE = 0.05
#: Scalp and skull together are nowhere thinner (mm).
THINNEST_SCALP = 5.0
#: Bridges of vessels, nerves and dura between brain and scalp up to twice this thick are cut (mm).
BRIDGE_RADIUS = 4.0
#: Sulci and vessels up to twice this wide belong to the brain (mm).
SULCUS_RADIUS = 6.0
#: The brain ends within this distance (mm) below its top; what is lower is neck.
BRAIN_HEIGHT = 150.0
_LIMITS = {None: TISSUE_T1, Modality.T1W: TISSUE_T1, Modality.T1C: TISSUE_T1, Modality.FLAIR: TISSUE_FLAIR}
_SKULL_DEPTHS = np.arange(3.0, 19.0, 2.0)
_SKULL_DARKNESS = 0.45


def brain_mask(image: sitk.Image, contrast: Modality | None = None) -> sitk.Image:
    """Segment the brain with its CSF spaces.

    The deep brain's median intensity sets the threshold (as in Smith, HBM 2002), so that one rule serves
    T1w, T2w, FLAIR, b = 0 and M0.  With skull, the dark ring of the skull separates the brain after thin
    bridges are cut by an opening; without, the tissue itself is the brain.

    Parameters
    ----------
    image : sitk.Image
        3D image of the head; of a series the first volume.
    contrast : Modality, optional
        Perfusion and diffusion maps (CBF, rCBV, ADC) have no skull and speckled tissue: the largest
        region that has signal is taken. T2-like images (b = 0, M0, ASL control: `Modality.DWI`) and
        FLAIR have limits of their own; None takes those of T1w.

    Returns
    -------
    sitk.Image
        uint8 mask, 1 in the brain, on the grid of `image`.

    Raises
    ------
    InputError
        If there is no head in the image: constant, not finite, or nothing left of it.
    """
    image = sitk.Cast(split_volumes(image)[0], sitk.sitkFloat32)
    name = "image to find the brain in" if contrast is None else f"{contrast} image to find the brain in"
    values = sitk.GetArrayViewFromImage(image)
    if not np.all(np.isfinite(values)) or values.min() == values.max():
        raise InputError(name, "a constant image or values that are not finite", "an image of a head")
    spacing = tuple(WORKING_SPACING if s < WORKING_SPACING / 1.2 else None for s in image.GetSpacing())
    small = resample(image, grid(image, spacing)) if any(spacing) else image
    work = _Volume(small)
    if contrast in (Modality.CBF, Modality.RCBV, Modality.ADC):
        brain = work.signal()
    else:
        head, depth = work.head()
        if not head.any():
            raise InputError(name, "no head found", "an image of a head", "Was the right image given?")
        level = work.deep_level(head, depth)
        if _cut_out(values) and not work.has_skull(head, depth, level):
            brain = work.filled(work.closed(work.largest(work.values > CUT_EDGE * level)))
        else:
            limits = _LIMITS.get(contrast, TISSUE_T2)
            brain = work.inside_skull(depth, limits[0] * level, limits[1] * level)
    if brain.sum() * float(np.prod(work.spacing)) < SMALLEST_BRAIN:
        raise InputError(name, "no brain found", "an image of a head", "Was the right image given?")
    soft = resample(like(brain.astype(np.float32), small), image)
    return sitk.Cast(soft > 0.5, sitk.sitkUInt8)


def _cut_out(values: np.ndarray) -> bool:
    """Tell whether the surroundings are one constant value, as they are when something was masked."""
    return bool(np.count_nonzero(values == values.min()) > CONSTANT_SHARE * values.size)


class _Volume:
    """Intensities on the working grid, and morphology in millimetres whatever the voxels' shape."""

    def __init__(self, image: sitk.Image) -> None:
        self.values = sitk.GetArrayFromImage(image)
        self.spacing = np.array(image.GetSpacing()[::-1])
        direction = np.array(image.GetDirection()).reshape(3, 3)
        # Height above the image's origin along the superior axis, for every voxel
        per_index = direction[2] * np.array(image.GetSpacing())
        z, y, x = np.meshgrid(*map(np.arange, self.values.shape), indexing="ij", sparse=True)
        self.height = x * per_index[0] + y * per_index[1] + z * per_index[2]
        sigma = 1.0 / self.spacing
        self.smooth = ndimage.gaussian_filter(self.values, np.where(sigma > 0.3, sigma, 0.0))

    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Separate the head from air; give it with the depth (mm) of each voxel below its surface."""
        # Roots, because a bright scalp would otherwise put the threshold above the brain
        roots = np.sqrt(np.clip(self.smooth, 0, max(np.percentile(self.smooth, 99.5), 0)))
        if roots.min() == roots.max():
            nothing = np.zeros(roots.shape, dtype=bool)
            return nothing, roots
        threshold = sitk.OtsuThresholdImageFilter()
        threshold.Execute(sitk.GetImageFromArray(roots))
        tissue = roots > 0.8 * threshold.GetThreshold()
        head = self.filled(self.closed(self.largest(tissue), 8.0))
        return head, self.distance(head)

    def deep_level(self, head: np.ndarray, depth: np.ndarray) -> float:
        """Median intensity well below the surface, in the upper part of the head."""
        upper = head & (self.height > self.top(head) - 0.6 * BRAIN_HEIGHT)
        deep = upper & (depth > 0.5 * depth[upper].max())
        return float(np.median(self.values[deep]))

    def has_skull(self, head: np.ndarray, depth: np.ndarray, level: float) -> bool:
        """Tell whether a dark ring lies around the brain, a few to 18 mm below the surface."""
        upper = head & (self.height > self.top(head) - 0.6 * BRAIN_HEIGHT)
        medians = []
        for near in _SKULL_DEPTHS:
            shell = upper & (depth >= near) & (depth < near + 2.0)
            if shell.any():
                medians.append(float(np.median(self.values[shell])))
        return bool(medians) and min(medians) < _SKULL_DARKNESS * level

    def inside_skull(self, depth: np.ndarray, darkest: float, brightest: float) -> np.ndarray:
        """Find the brain as the largest deep tissue once its bridges to the scalp are cut."""
        fat = self.largest((depth < THICKEST_SCALP) & (self.smooth > brightest))
        not_scalp = (depth > THINNEST_SCALP) & (self.distance(~fat) > THINNEST_SKULL)
        tissue = not_scalp & (self.smooth > darkest)
        core = self.largest(self.distance(tissue) > BRIDGE_RADIUS)
        core &= self.height > self.top(core) - BRAIN_HEIGHT
        if not core.any():
            return core
        brain = self.closed(self.regrown(core, tissue))
        # Dark lesions at the brain's surface: darker than tissue, but not as dark as skull
        lesion = not_scalp & (self.smooth > LESION_DARKNESS * darkest) & self.closed(brain, LESION_RADIUS)
        lesion = lesion & ~brain
        brain |= lesion & ndimage.binary_opening(lesion, iterations=2)
        return self.filled(self.closed(brain))

    def regrown(self, core: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        """Give the opened tissue its rim back, from neighbour to neighbour, so that no gap is jumped."""
        axes = [int(s <= BRIDGE_RADIUS) for s in self.spacing]  # longer ones were not eroded along
        structure = ndimage.generate_binary_structure(3, 1)
        for axis, eroded in enumerate(axes):
            if not eroded:
                structure &= np.expand_dims(
                    np.array([False, True, False]), [a for a in range(3) if a != axis]
                )
        steps = int(np.ceil(BRIDGE_RADIUS / self.spacing.min())) + 1
        return ndimage.binary_dilation(core, structure, steps, mask=tissue)

    def signal(self) -> np.ndarray:
        """Find the largest region with signal in a map."""
        size = np.abs(ndimage.gaussian_filter(self.values, 3.0 / self.spacing))
        return self.filled(self.closed(self.largest(size > 0.25 * np.percentile(size, 95))))

    def top(self, mask: np.ndarray) -> float:
        return float(np.broadcast_to(self.height, mask.shape)[mask].max()) if mask.any() else 0.0

    def distance(self, mask: np.ndarray) -> np.ndarray:
        """Distance (mm) of the voxels of a mask to its outside; what lies beyond the image is no outside."""
        if mask.all():
            return np.full(mask.shape, np.inf)
        return ndimage.distance_transform_edt(mask, sampling=self.spacing)

    @staticmethod
    def largest(mask: np.ndarray) -> np.ndarray:
        labels, n = ndimage.label(mask)
        if n == 0:
            return mask.copy()
        return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))

    def closed(self, mask: np.ndarray, radius: float = SULCUS_RADIUS) -> np.ndarray:
        """Close gaps up to twice the radius (mm)."""
        margin = [(int(np.ceil(radius / s)) + 1,) * 2 for s in self.spacing]
        padded = np.pad(mask, margin)
        if not mask.any():
            return mask
        dilated = ndimage.distance_transform_edt(~padded, sampling=self.spacing) <= radius
        eroded = ndimage.distance_transform_edt(dilated, sampling=self.spacing) > radius
        inner = tuple(slice(before, -after) for before, after in margin)
        return eroded[inner] | mask

    @staticmethod
    def filled(mask: np.ndarray) -> np.ndarray:
        """Fill holes, slice by slice along the last two axes, and in 3D."""
        slices = np.stack([ndimage.binary_fill_holes(each) for each in mask])
        return ndimage.binary_fill_holes(slices)
