"""The mid-sagittal plane of drawn heads whose plane is known."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane, midsagittal_plane
from SynthCBVLib.errors import InputError


@pytest.mark.parametrize(
    ("turn", "tilt", "contrast"),
    [(0.0, 0.0, "t2w"), (15.0, -10.0, "t2w"), (-12.0, 15.0, "t1w"), (5.0, 3.0, "t1w")],
)
def test_turned_and_tilted_heads_with_a_lesion(make_head, turn, tilt, contrast):
    head = make_head(turn, tilt)
    plane = midsagittal_plane(getattr(head, contrast), head.mask)
    angle = np.degrees(np.arccos(min(1.0, np.dot(plane.normal, head.normal))))
    assert angle < 1.0
    # The head's middle lies on its plane: the fitted plane passes it as closely.
    assert abs(plane.distances(head.normal * head.offset)) < 1.0
    assert plane.turn == pytest.approx(turn, abs=1.0)
    assert plane.tilt == pytest.approx(tilt, abs=1.0)
    assert plane.quality > 0.5


def test_excluding_the_tumour_raises_the_quality(make_head):
    head = make_head(3.0, 2.0)
    plain = midsagittal_plane(head.t2w, head.mask)
    without = midsagittal_plane(head.t2w, head.mask, head.tumour)
    assert without.quality > plain.quality


def test_scale_of_the_image_does_not_matter(make_head):
    head = make_head(4.0, -3.0)
    a, b = (midsagittal_plane(head.t2w * factor, head.mask) for factor in (1.0, 1e-4))
    assert np.allclose(a.normal, b.normal, atol=2e-3)
    assert a.offset == pytest.approx(b.offset, abs=0.1)


def test_a_half_of_a_head_mirrors_poorly(make_head):
    head = make_head()
    noise = np.random.default_rng(0).normal(300, 100, head.t2w.GetSize()[::-1]).astype(np.float32)
    image = sitk.GetImageFromArray(noise)
    image.CopyInformation(head.t2w)
    assert midsagittal_plane(image, head.mask).quality < 0.3


def test_mirror_and_distances():
    plane = SagittalPlane((1.0, 0.0, 0.0), 2.0)
    points = np.array([[5.0, 1.0, -4.0], [2.0, 0.0, 0.0]])
    assert np.allclose(plane.distances(points), [3.0, 0.0])
    assert np.allclose(plane.mirror(points), [[-1.0, 1.0, -4.0], [2.0, 0.0, 0.0]])
    assert np.allclose(plane.mirror(plane.mirror(points)), points)


def test_distance_map_is_that_of_the_points(make_head):
    head = make_head()
    plane = SagittalPlane((0.6, 0.8, 0.0), 3.0)
    distances = plane.distance_map(head.t2w)
    for index in ((0, 0, 0), (79, 95, 17), (10, 50, 3)):
        point = np.array(head.t2w.TransformIndexToPhysicalPoint(index))
        assert distances[index[::-1]] == pytest.approx(plane.distances(point), abs=1e-9)


def test_no_brain_and_other_grids_are_named(make_head):
    head = make_head()
    with pytest.raises(InputError, match="brain mask: 0 voxels"):
        midsagittal_plane(head.t2w, head.mask * 0)
    with pytest.raises(InputError, match="brain mask: a grid"):
        midsagittal_plane(head.t2w, head.mask[:-1])
    with pytest.raises(InputError, match="tumour segment: a grid"):
        midsagittal_plane(head.t2w, head.mask, head.tumour[:-1])
