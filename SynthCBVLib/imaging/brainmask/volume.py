"""Intensities of a head, and morphology in millimetres whatever the voxels' shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

#: Scalp and skull together are nowhere thinner, fat of the scalp is nowhere deeper, and nowhere closer to the
#: brain (mm).
THINNEST_SCALP = 5.0
THICKEST_SCALP = 18.0
THINNEST_SKULL = 3.5
#: So much (mm) of a head beyond the image's top is reckoned with; its slope is taken over so much.
HIDDEN_TOP = 40.0
TOP_SLOPE = 8.0
#: Bridges of vessels, nerves and dura between brain and scalp up to twice this thick are cut (mm).
BRIDGE_RADIUS = 4.0
#: Where the scalp is seen, nothing that survives the cut lies nearer to the head's surface than this (mm).
CORE_DEPTH = THINNEST_SCALP + BRIDGE_RADIUS
#: A rim may be this much (mm) thicker than what was cut, as voxels are coarse; marrow along it is no rim.
RIM_SLACK = 1.5
#: Sulci and vessels up to twice this wide belong to the brain (mm).
SULCUS_RADIUS = 6.0
#: Lesions at the surface are at least this fraction of the darkest tissue, and at most twice this wide (mm).
LESION_DARKNESS = 0.55
LESION_RADIUS = 20.0
#: The brain ends within this distance (mm) below its top; what is lower is neck.
BRAIN_HEIGHT = 150.0
#: Width (mm) of the Gaussian that follows the coil's shading, and the share of the median that fills gaps.
SHADING_WIDTH = 25.0
SHADING_PRIOR = 0.01
#: Fluid at least this bright (in units of tissue) is told from tissue; below, the rim stays.
BRIGHT_FLUID = 2.0
#: Fluid that is thicker than twice this (mm) is a lesion or a cistern, not the rim.
RIM_RADIUS = 5.0
#: Nothing deeper than this (mm) is taken for the rim.
RIM_DEPTH = 6.0


@dataclass(frozen=True)
class Limits:
    """Intensities of the brain's tissue as fractions of its median nearby.

    Attributes
    ----------
    darkest : float
        Tissue is brighter.
    fat : float
        Fat near the surface is brighter; infinite where fluid is the brightest.
    fat_is_alone : bool
        Nothing else is as bright, so that what is connected to the scalp's fat is fat however deep it lies.
    scalp_is_dark : bool
        The scalp cannot be told from air (EPI, long echo times with suppressed fat), so that depths below it
        are not known.
    """

    darkest: float
    fat: float = np.inf
    fat_is_alone: bool = False
    scalp_is_dark: bool = False

    @property
    def fluid_is_bright(self) -> bool:
        """Whether CSF may be the brightest in the image."""
        return not np.isfinite(self.fat)


class Volume:
    """One image with axes near left, posterior, superior; arrays are (z, y, x)."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.values = sitk.GetArrayFromImage(image)
        self.spacing = np.array(image.GetSpacing()[::-1])
        # Height above the image's origin along the superior axis, for every voxel
        per_index = np.array(image.GetDirection()).reshape(3, 3)[2] * np.array(image.GetSpacing())
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

    def depth_below_hidden_top(self, head: np.ndarray) -> np.ndarray:
        """Depth (mm) in a head that the image's top cuts off, where `head` takes the scalp for deep."""
        return self.distance(np.concatenate([head, self._hidden_top(head)]))[: len(head)]

    def _hidden_top(self, head: np.ndarray) -> np.ndarray:
        """Go on with a head above the image.

        Near the top of a rounded body the area of its slices falls in proportion to the height; which voxels
        are lost first is told by how the outline moved over the last slices.
        """
        slices = int(np.ceil(HIDDEN_TOP / self.spacing[0]))
        back = max(1, round(TOP_SLOPE / self.spacing[0]))
        gone = np.zeros((slices, *head.shape[1:]), dtype=bool)
        if len(head) <= back or not head[-1].any():
            return gone
        last, below = head[-1], head[-1 - back]
        lost = (np.count_nonzero(below) - np.count_nonzero(last)) / back
        inwards = [_inwards(each, self.spacing[1:]) for each in (last, below)]
        order = np.argsort(-np.where(last, 2 * inwards[0] - inwards[1], -np.inf), axis=None)
        for number, each in enumerate(gone, 1):
            left = int(np.count_nonzero(last) - number * max(lost, 0))
            each.ravel()[order[: max(left, 0)]] = True
        return gone

    def deep_level(self, head: np.ndarray, depth: np.ndarray) -> float:
        """Median intensity well below the surface, in the upper part of the head."""
        upper = head & (self.height > self.top(head) - 0.6 * BRAIN_HEIGHT)
        deep = upper & (depth >= 0.5 * depth[upper].max())
        return float(np.median(self.values[deep]))

    def shading(self, brain: np.ndarray) -> np.ndarray:
        """Follow the intensity of the brain's tissue through the volume, and on beyond the brain."""
        median = float(np.median(self.smooth[brain]))
        tissue = brain & (self.smooth > 0.4 * median) & (self.smooth < 1.8 * median)
        weights = tissue.astype(np.float32)
        logs = np.where(tissue, np.log(np.maximum(self.smooth, 1e-6 * median) / median), 0).astype(np.float32)
        sigma = SHADING_WIDTH / self.spacing
        total, weight = (
            ndimage.gaussian_filter(each, sigma, mode="constant", truncate=3.0)
            for each in (weights * logs, weights)
        )
        return (median * np.exp(total / (weight + SHADING_PRIOR))).astype(np.float32)

    def inside_skull(
        self,
        depth: np.ndarray,
        shading: np.ndarray,
        limits: Limits,
        lesions: bool = False,
        scalp: bool = False,
    ) -> np.ndarray:
        """Find the brain as the largest deep tissue once its bridges to the scalp are cut.

        Parameters
        ----------
        depth : ndarray
            Distance below the head's surface, mm.
        shading : ndarray
            Intensity of brain tissue at each place.
        limits : Limits
        lesions : bool
            Also search dark lesions at the surface.
        scalp : bool
            The scalp is seen, so that depths are right: nothing near the surface starts the brain, and
            layers of marrow along it are cut off.
        """
        relative = self.smooth / shading
        not_scalp = depth > THINNEST_SCALP
        if np.isfinite(limits.fat):
            bright = relative > limits.fat
            fat = self.largest(bright & (depth < THICKEST_SCALP))
            if limits.fat_is_alone:
                fat = ndimage.binary_propagation(fat, mask=bright)
            if fat.any():
                not_scalp &= self.distance(~fat) > THINNEST_SKULL
        tissue = not_scalp & (relative > limits.darkest)
        core = self.largest((self.distance(tissue) > BRIDGE_RADIUS) & (depth > (CORE_DEPTH if scalp else 0)))
        core &= self.height > self.top(core) - BRAIN_HEIGHT
        if not core.any():
            return core
        brain = self.regrown(core, tissue)
        if scalp:
            brain &= self.distance(~core) <= BRIDGE_RADIUS + RIM_SLACK
        brain = self.closed(brain)
        if lesions:
            # Darker than tissue, but not as dark as skull
            dark = not_scalp & (relative > LESION_DARKNESS * limits.darkest) & ~brain
            dark &= self.closed(brain, LESION_RADIUS)
            brain |= dark & ndimage.binary_opening(dark, iterations=2)
        return self.filled(self.closed(brain))

    def without_fluid_rim(self, brain: np.ndarray, shading: np.ndarray) -> np.ndarray:
        """Take off the thin layer of bright fluid between brain and skull.

        What is thick (a lesion, a cyst, a cistern) or deep stays, and so do sulci, which a closing fills.
        """
        relative = self.smooth / shading
        fluid_level = float(np.percentile(relative[brain], 99))
        if fluid_level < BRIGHT_FLUID:
            return brain
        fluid = brain & (relative > 0.5 * (1.0 + fluid_level))
        tissue = brain & (~fluid | self.opened(fluid, RIM_RADIUS))
        # Voxels that are half fluid and half skull look like tissue: a thin shell that this opening cuts off
        core = self.largest(self.distance(tissue) > BRIDGE_RADIUS)
        trimmed = self.closed(self.regrown(core, tissue)) & brain
        return self.filled(trimmed | (self.distance(brain) > RIM_DEPTH))

    def cut_out(self, edge: float) -> np.ndarray:
        """Give what was left in an image whose surroundings were removed."""
        return self.filled(self.closed(self.largest(self.values > edge)))

    def signal(self) -> np.ndarray:
        """Find the largest region with signal in a map."""
        size = np.abs(ndimage.gaussian_filter(self.values, 3.0 / self.spacing))
        return self.filled(self.closed(self.largest(size > 0.25 * np.percentile(size, 95))))

    def top(self, mask: np.ndarray) -> float:
        """Give the height (mm) of a mask's highest voxel."""
        return float(np.broadcast_to(self.height, mask.shape)[mask].max()) if mask.any() else 0.0

    def distance(self, mask: np.ndarray) -> np.ndarray:
        """Distance (mm) of the voxels of a mask to its outside; what lies beyond the image is no outside."""
        if mask.all():
            return np.full(mask.shape, np.inf, np.float32)
        return _distance(mask, self.spacing)

    def regrown(self, core: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        """Give opened tissue its rim back, from neighbour to neighbour, so that no gap is jumped."""
        structure = ndimage.generate_binary_structure(3, 1)
        for axis, spacing in enumerate(self.spacing):
            if spacing > BRIDGE_RADIUS:  # was not eroded along
                others = [a for a in range(3) if a != axis]
                structure &= np.expand_dims(np.array([False, True, False]), others)
        steps = int(np.ceil(BRIDGE_RADIUS / self.spacing.min())) + 1
        return ndimage.binary_dilation(core, structure, steps, mask=tissue)

    def opened(self, mask: np.ndarray, radius: float) -> np.ndarray:
        """Keep what a ball of the radius (mm) fits into."""
        core = self.distance(mask) > radius
        return mask & (self.distance(~core) <= radius) if core.any() else core

    def closed(self, mask: np.ndarray, radius: float = SULCUS_RADIUS) -> np.ndarray:
        """Close gaps up to twice the radius (mm)."""
        if not mask.any():
            return mask
        margin = [(int(np.ceil(radius / s)) + 1,) * 2 for s in self.spacing]
        dilated = _distance(~np.pad(mask, margin), self.spacing) <= radius
        eroded = _distance(dilated, self.spacing) > radius
        return eroded[tuple(slice(before, -after) for before, after in margin)] | mask

    @staticmethod
    def largest(mask: np.ndarray) -> np.ndarray:
        """Keep the largest connected region."""
        labels, n = ndimage.label(mask)
        if n == 0:
            return mask.copy()
        return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))

    @staticmethod
    def filled(mask: np.ndarray) -> np.ndarray:
        """Fill holes, slice by slice along the first axis, and in 3D."""
        slices = np.stack([ndimage.binary_fill_holes(each) for each in mask])
        return ndimage.binary_fill_holes(slices)


def _inwards(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance (mm) to a slice's outline, positive inside, negative outside."""
    return _distance(mask, spacing) - _distance(~mask, spacing)


def _distance(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance (mm) of a mask's voxels to the nearest one outside, 0 outside; faster than scipy's."""
    outside = sitk.GetImageFromArray((~mask).astype(np.uint8))
    outside.SetSpacing([float(s) for s in spacing[::-1]])
    return np.maximum(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(outside, False, False, True)), 0)
