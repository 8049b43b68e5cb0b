import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.errors import Cancelled
from SynthCBVLib.imaging.motion import estimate_motion, mean_of
from SynthCBVLib.imaging.study import DiffusionSeries, join_series, join_vector, like

B_VALUES = (0.0, 0.0, 200.0, 1000.0, 1000.0)
SIZE, SPACING = (72, 84, 20), (2.5, 2.5, 6.0)


def pose_of(angles, shift):
    pose = sitk.Euler3DTransform()
    pose.SetRotation(*np.deg2rad(angles).tolist())
    pose.SetTranslation([float(s) for s in shift])
    return pose


POSES = (
    pose_of((0, 0, 0), (0, 0, 0)),
    pose_of((1, -2, 2), (3, -2, 2)),
    pose_of((0, 0, 0), (0, 0, 0)),
    pose_of((-3, 2, 4), (-4, 5, 3)),
    pose_of((2, 3, -3), (2, -3, -4)),
)


def weighted(head, b_value, pose, seed):
    """Signal falls with b, most of all in CSF; the noise stays (SNR 38 in white matter at b = 0)."""
    t2w = head.image("T2w", SPACING, SIZE, pose, noise=0.0)
    array = sitk.GetArrayFromImage(t2w)
    array = array * np.exp(-b_value * (0.8e-3 + 1.5e-3 * np.clip(array - 0.7, 0, 1)))
    rng = np.random.default_rng(seed)
    noisy = np.hypot(array + 0.012 * rng.normal(size=array.shape), 0.012 * rng.normal(size=array.shape))
    return like(noisy.astype(np.float32), t2w)


@pytest.fixture(scope="module")
def volumes(head):
    return [weighted(head, b, p, k) for k, (b, p) in enumerate(zip(B_VALUES, POSES, strict=True))]


@pytest.fixture(scope="module")
def found(volumes):
    return estimate_motion(DiffusionSeries(join_series(volumes), B_VALUES))


def error(head, image, found, truth):
    index = np.argwhere(head.brain(image))[::99, ::-1]
    points = [image.TransformIndexToPhysicalPoint(each.tolist()) for each in index]
    return np.median(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points]
    )


def test_known_motion_is_found_down_to_high_b_values(head, volumes, found):
    for motion, pose in zip(found, POSES, strict=True):
        assert motion.applied == any(pose.GetParameters())
        assert error(head, volumes[0], motion.transform, pose.GetInverse()) < 0.6


def test_volumes_that_are_still_are_left_alone(head, volumes, found):
    assert not found[0].applied
    assert not found[2].applied
    assert found[2].displacement < 0.4
    assert found[2].transform.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    still = [weighted(head, b, POSES[0], 10 + k) for k, b in enumerate((0, 600, 1000))]
    motions = estimate_motion(DiffusionSeries(join_vector(still), (0, 600, 1000)))
    assert not any(motion.applied for motion in motions)


def test_disagreement_falls_where_motion_was_undone(found):
    for motion in found:
        assert motion.after < motion.before or not motion.applied


def test_mean_of_moved_volumes_is_as_sharp_as_one(volumes, found):
    target = sitk.GetArrayFromImage(volumes[0])
    aligned = sitk.GetArrayFromImage(mean_of(volumes, found, [0, 1]))
    plain = sitk.GetArrayFromImage((volumes[0] + volumes[1]) / 2)
    inner = (slice(3, -3), slice(8, -8), slice(8, -8))
    assert np.abs(aligned - target)[inner].mean() < 0.5 * np.abs(plain - target)[inner].mean()


def test_the_order_of_the_volumes_does_not_matter(volumes, found):
    order = [0, 4, 2, 1, 3]
    shuffled = DiffusionSeries(join_series([volumes[i] for i in order]), [B_VALUES[i] for i in order])
    again = estimate_motion(shuffled)
    for place, i in enumerate(order):
        assert np.allclose(
            again[place].transform.GetParameters(), found[i].transform.GetParameters(), atol=5e-3
        )


def test_series_without_content_keeps_its_header():
    empty = sitk.Image(16, 16, 8, sitk.sitkFloat32)
    motions = estimate_motion(DiffusionSeries(join_series([empty, empty]), (0, 500)))
    assert not any(motion.applied for motion in motions)


def test_cancelled_progress_stops_the_work(volumes):
    def stop(fraction, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        estimate_motion(DiffusionSeries(join_series(volumes), B_VALUES), stop)
