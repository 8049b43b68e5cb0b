import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.imaging.registration import align, register
from SynthCBVLib.imaging.registration.level import NARROW_MARGIN, Level, sample_masks, without_shading
from SynthCBVLib.imaging.registration.relation import fitted, is_loose
from SynthCBVLib.imaging.study import like

SHIFT, ANGLES = (6.0, -5.0, 4.0), (4.0, -3.0, 5.0)


def pose_of(angles, shift):
    pose = sitk.Euler3DTransform()
    pose.SetRotation(*np.deg2rad(angles).tolist())
    pose.SetTranslation([float(s) for s in shift])
    return pose


@pytest.fixture(scope="module")
def fixed(head):
    return head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), seed=1)


@pytest.fixture(scope="module")
def flow(head):
    """Flow as a difference of images shows it: noise on both sides of zero, territories that differ."""
    brain = head.image(
        "T1w", (3.0, 3.0, 3.0), (60, 70, 54), pose_of(ANGLES, SHIFT), noise=0, seed=2, skull=False
    )
    array = np.interp(sitk.GetArrayFromImage(brain), (0, 0.2, 0.65, 1.0), (0, 0, 60, 22))
    z, y, x = ((c - c.mean()) / c.max() * 2 for c in (c.astype(float) for c in np.indices(array.shape)))
    array *= np.exp(0.6 * x - 0.5 * y + 0.7 * x * y - 0.5 * y * y + 0.3 * z)
    array += np.random.default_rng(5).normal(0, 6, array.shape)
    return like(array.astype(np.float32), brain)


def errors(head, fixed, found):
    truth = pose_of(ANGLES, SHIFT).GetInverse()
    index = np.argwhere(head.brain(fixed))[::199, ::-1]
    points = [fixed.TransformIndexToPhysicalPoint(each.tolist()) for each in index]
    return np.array(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points]
    )


def level_of(moving, fixed):
    images = without_shading(sitk.Cast(moving, sitk.sitkFloat32)), without_shading(fixed)
    (inside,) = sample_masks(fixed, None, (NARROW_MARGIN,), "fixed")
    return Level(*images, inside, 2.0)


def test_flow_that_differs_between_territories_does_not_pull(head, fixed, flow, monkeypatch):
    used = []
    monkeypatch.setattr(align, "fitted", lambda *given: used.append(fitted(*given)) or used[-1])
    result = register(flow, fixed)
    assert result.applied
    assert used[0] is not None
    found = np.median(errors(head, fixed, result.transform))
    assert found < 0.2
    monkeypatch.setattr(align, "fitted", lambda *given: None)
    by_information = np.median(errors(head, fixed, register(flow, fixed).transform))
    assert found < 0.7 * by_information


def test_pose_is_found_from_a_start_that_is_off(head, fixed, flow):
    start = pose_of(ANGLES, SHIFT).GetInverse()
    pose = sitk.Euler3DTransform()
    pose.SetMatrix(start.GetMatrix(), 1e-6)
    pose.SetTranslation(np.add(start.TransformPoint((0.0, 0.0, 0.0)), (0.8, -0.6, 0.5)).tolist())
    found = fitted(level_of(flow, fixed), pose, np.array([3.0, 2.0, 1.0]))
    assert np.median(errors(head, fixed, pose)) > 1.0
    assert np.median(errors(head, fixed, found)) < 0.2
    assert found.GetCenter() == (3.0, 2.0, 1.0)


def test_noise_far_places_and_few_voxels_are_not_believed(fixed, flow):
    rng = np.random.default_rng(0)
    noise = like(rng.normal(size=sitk.GetArrayFromImage(flow).shape).astype(np.float32), flow)
    start, centre = pose_of(ANGLES, SHIFT).GetInverse(), np.zeros(3)
    euler = pose_of((0, 0, 0), start.TransformPoint((0.0, 0.0, 0.0)))
    euler.SetMatrix(start.GetMatrix(), 1e-6)
    assert fitted(level_of(noise, fixed), euler, centre) is None
    assert fitted(level_of(flow[::5, ::5, ::5], fixed), euler, centre) is None
    far = sitk.Euler3DTransform(euler)
    far.SetTranslation(np.add(euler.GetTranslation(), (500.0, 0.0, 0.0)).tolist())
    assert fitted(level_of(flow, fixed), far, centre) is None


def test_only_a_difference_with_little_information_is_loose(head, fixed, flow):
    magnitude = head.image("T2w", (3.0, 3.0, 3.0), (60, 70, 54), seed=3)
    assert is_loose(level_of(flow, fixed), lambda: -0.4)
    assert not is_loose(level_of(flow, fixed), lambda: -0.9)
    assert not is_loose(level_of(magnitude, fixed), lambda: -0.4)


@pytest.mark.parametrize("spacing", [8.0, 4.0, 2.0])
def test_levels_of_coarse_images_have_a_value(fixed, spacing):
    """Voxels as coarse as the level's are taken as they are, in whatever precision."""
    coarse = fixed[::2, ::2, ::2]
    level = Level(without_shading(coarse), without_shading(fixed), fixed > 0.1, spacing)
    assert level.value(sitk.Transform(3, sitk.sitkIdentity)) < -0.3
