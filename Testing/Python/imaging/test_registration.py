import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SynthCBVLib.cli import main
from SynthCBVLib.errors import Cancelled, InputError
from SynthCBVLib.imaging.registration import register
from SynthCBVLib.imaging.registration.starts import _euler
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import join_series, like


def pose_of(angles, shift):
    pose = sitk.Euler3DTransform()
    pose.SetRotation(*np.deg2rad(angles).tolist())
    pose.SetTranslation([float(s) for s in shift])
    return pose


def target_errors(head, fixed, found, truth):
    """Distance (mm) between where the two transforms put points of the brain."""
    index = np.argwhere(head.brain(fixed))[::199, ::-1]
    points = [fixed.TransformIndexToPhysicalPoint(each.tolist()) for each in index]
    return np.array(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points]
    )


@pytest.fixture(scope="module")
def fixed(head):
    return head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), seed=1)


@pytest.mark.parametrize(
    ("angles", "shift", "contrast", "spacing", "size"),
    [
        ((8, -6, 10), (-9, 12, 7), "T2w", (2.5, 2.5, 2.5), (72, 84, 64)),
        ((-10, 4, -7), (11, -12, -8), "T2w", (2.2, 2.2, 6.0), (82, 96, 24)),
        ((5, 9, -9), (3, 9, 12), "T1w", (3.4, 3.4, 5.0), (52, 60, 30)),
    ],
)
def test_known_pose_is_recovered_within_half_a_millimetre(
    head, fixed, angles, shift, contrast, spacing, size
):
    pose = pose_of(angles, shift)
    moving = head.image(contrast, spacing, size, pose, seed=2)
    result = register(moving, fixed)
    errors = target_errors(head, fixed, result.transform, pose.GetInverse())
    assert result.applied
    assert result.after < result.before
    assert np.median(errors) < 0.3
    assert errors.max() < 0.6


def test_the_same_input_gives_the_same_transform(head, fixed):
    moving = head.image("T2w", (2.5, 2.5, 6.0), (72, 84, 24), pose_of((3, 2, 4), (5, 4, 3)), seed=2)
    first, second = register(moving, fixed), register(moving, fixed)
    assert first.transform.GetParameters() == second.transform.GetParameters()
    assert (first.before, first.after) == (second.before, second.after)


def test_last_digits_of_the_geometry_do_not_change_the_transform(head, fixed):
    """A MRML node gives back a file's geometry with other last digits."""
    moving = head.image("T2w", (2.5, 2.5, 2.5), (72, 84, 64), seed=2)
    other = sitk.Image(moving)
    other.SetOrigin([value + 3e-12 for value in moving.GetOrigin()])
    other.SetSpacing([value * (1 + 1e-14) for value in moving.GetSpacing()])
    first, second = register(moving, fixed), register(other, fixed)
    assert first.transform.GetParameters() == second.transform.GetParameters()


def test_alignment_of_the_header_stays_when_it_is_right(head, fixed):
    moving = head.image("T2w", (2.5, 2.5, 5.0), (72, 84, 32), seed=5)
    result = register(moving, fixed)
    assert not result.applied
    assert result.transform.TransformPoint((10.0, 20.0, 30.0)) == (10.0, 20.0, 30.0)


def test_affine_finds_a_scale(head, fixed):
    pose = sitk.AffineTransform(3)
    pose.SetMatrix(np.diag([1.06, 0.95, 1.04]).ravel().tolist())
    pose.SetTranslation((4.0, -3.0, 2.0))
    moving = head.image("T1w", (2.5, 2.5, 2.5), (76, 88, 68), pose, seed=3)
    result = register(moving, fixed, model="affine")
    assert result.applied
    assert np.median(target_errors(head, fixed, result.transform, pose.GetInverse())) < 0.4
    rigid = register(moving, fixed)
    assert np.median(target_errors(head, fixed, rigid.transform, pose.GetInverse())) > 1.0


def test_image_that_lost_its_position_is_found_by_its_content(head, fixed):
    moving = sitk.Image(fixed)
    moving.SetOrigin((0.0, 0.0, 0.0))
    moving.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    result = register(moving, fixed)
    expected = np.subtract(moving.GetOrigin(), fixed.GetOrigin())
    assert result.applied
    assert np.allclose(result.transform.TransformPoint((0.0, 0.0, 0.0)), expected, atol=0.3)


def test_half_a_turn_of_a_lost_orientation_is_undone(head, fixed):
    # LPS taken for RAS: origin and the first two axes change their signs, far from where they belong
    shown = head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), pose_of((0, 0, 12), (6, -4, 3)), seed=4)
    moving = sitk.Image(shown)
    moving.SetOrigin((185.0, 200.0, -70.0))
    moving.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    result = register(moving, fixed)
    assert result.applied
    before, after = (
        np.corrcoef(
            *(sitk.GetArrayFromImage(i)[head.brain(fixed)] for i in (fixed, resample(moving, fixed, t)))
        )[0, 1]
        for t in (sitk.Transform(3, sitk.sitkIdentity), result.transform)
    )
    assert after > 0.9 > before


@pytest.mark.parametrize("angles", [(0, 0, 70), (70, 0, 0), (35, -50, 60)])
def test_large_turn_ends_right_or_not_at_all(head, fixed, angles):
    pose = pose_of(angles, (5, -4, 6))
    moving = head.image("T2w", (3.0, 3.0, 3.0), (72, 72, 72), pose, seed=6)
    result = register(moving, fixed)
    errors = target_errors(head, fixed, result.transform, pose.GetInverse())
    assert result.applied
    assert np.median(errors) < 0.5


def test_shading_of_the_coil_does_not_pull(head, fixed):
    """Signal differs up to eightfold between the corners: without its removal the head ends turned over."""
    pose = pose_of((4, -3, 5), (6, -5, 4))
    moving = head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), pose, seed=2)
    shaded = []
    for image, slope in ((fixed, (0.006, 0.0, 0.004)), (moving, (-0.006, 0.005, 0.0))):
        z, y, x = (c.astype(float) for c in np.indices(image.GetSize()[::-1]))
        along = sum(s * (c - c.mean()) * 2.5 for s, c in zip(slope, (x, y, z), strict=True))
        shaded.append(like((sitk.GetArrayFromImage(image) * np.exp(along)).astype(np.float32), image))
    result = register(shaded[1], shaded[0])
    assert np.median(target_errors(head, fixed, result.transform, pose.GetInverse())) < 0.4


def test_brain_that_seems_larger_in_one_contrast_is_not_shifted(head, fixed):
    """Its surface lies 1.5 % further out; the field of view shows the top of the head but not its bottom."""
    middle = np.array(
        fixed.TransformIndexToPhysicalPoint(
            np.argwhere(head.brain(fixed)).mean(0)[::-1].round().astype(int).tolist()
        )
    )
    larger = sitk.AffineTransform(3)
    larger.SetCenter(middle.tolist())
    larger.Scale(1.015)
    moving = head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), larger, seed=3)
    turned = sitk.Image(moving)
    turned.SetOrigin(np.add(moving.GetOrigin(), (6.0, -5.0, 4.0)).tolist())
    result = register(turned, fixed[:, :, 26:])
    found = np.subtract(result.transform.TransformPoint(middle.tolist()), middle)
    assert np.linalg.norm(found - (6.0, -5.0, 4.0)) < 0.25
    turn = np.array(result.transform.GetMatrix()).reshape(3, 3)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-6)


def test_scale_beyond_all_plausibility_is_refused(head):
    fixed = head.image("T1w", (4.0, 4.0, 4.0), (46, 54, 40), seed=1)
    pose = sitk.AffineTransform(3)
    pose.SetMatrix((np.eye(3) * 1.65).ravel().tolist())
    moving = head.image("T1w", (4.0, 4.0, 4.0), (46, 54, 40), pose, seed=4)
    result = register(moving, fixed, model="affine")
    assert result.after < result.before  # it was found, but cannot be
    assert not result.applied
    assert result.transform.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)


def test_mask_limits_the_comparison(head, fixed):
    pose = pose_of((4, -3, 5), (6, -5, 4))
    moving = head.image("T2w", (2.5, 2.5, 2.5), (72, 84, 64), pose, seed=2)
    spoiled = sitk.GetArrayFromImage(fixed)
    spoiled[:, :30] = np.random.default_rng(0).uniform(0, 2, spoiled[:, :30].shape)
    spoiled_fixed = like(spoiled, fixed)
    keep = np.zeros(spoiled.shape, np.uint8)
    keep[:, 30:] = 1
    result = register(moving, spoiled_fixed, mask=like(keep, fixed))
    assert np.median(target_errors(head, fixed, result.transform, pose.GetInverse())) < 0.6


def test_bad_input_is_refused_by_name(head, fixed):
    far = sitk.Image(fixed)
    far.SetOrigin((2000.0, 0.0, 0.0))
    nan = sitk.GetArrayFromImage(fixed)
    nan[0, 0, 0] = np.nan
    empty_mask = sitk.Image(fixed.GetSize(), sitk.sitkUInt8)
    empty_mask.CopyInformation(fixed)
    cases = [
        ((far, fixed), {}, r"cbf\.nii and t1\.nii: fields of view that do not overlap"),
        ((like(nan, fixed), fixed), {}, r"cbf\.nii: 1 voxels that are not finite"),
        ((fixed, fixed * 0 + 3), {}, r"t1\.nii: the value 3 in all voxels"),
        ((join_series([fixed, fixed]), fixed), {}, r"cbf\.nii: a 4D image"),
        ((fixed, fixed), {"model": "elastic"}, "'rigid' or 'affine'"),
        ((fixed, fixed), {"mask": empty_mask}, r"mask of the t1\.nii: no voxels"),
    ]
    for images, extra, message in cases:
        with pytest.raises(InputError, match=message):
            register(*images, **extra, moving_name="cbf.nii", fixed_name="t1.nii")


def test_cancelled_progress_stops_the_work(fixed):
    def stop(fraction, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        register(fixed, fixed, progress=stop)


def test_real_rotation_by_25_degrees_is_recovered(shared_data):
    """The volume was turned about the third axis through the middle of the field of view."""
    fixed = sitk.ReadImage(str(shared_data / "asltk" / "m0_mean.nii.gz"))
    moving = sitk.ReadImage(str(shared_data / "asltk" / "m0_mean-rigid-25degrees.nrrd"))
    in_place = sitk.Image(moving)
    in_place.CopyInformation(fixed)
    result = register(in_place, fixed)
    matrix = np.array(result.transform.GetMatrix()).reshape(3, 3)
    angle = np.degrees(np.arccos((np.trace(matrix) - 1) / 2))
    middle = fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    moved = np.linalg.norm(np.subtract(result.transform.TransformPoint(middle), middle))
    assert result.applied
    assert angle == pytest.approx(25.0, abs=0.5)
    assert moved < 0.5
    as_filed = register(moving, fixed)  # without orientation and origin in the NRRD
    there = sitk.GetArrayFromImage(resample(moving, fixed, as_filed.transform))
    direct = sitk.GetArrayFromImage(resample(in_place, fixed, result.transform))
    assert np.corrcoef(there.ravel(), direct.ravel())[0, 1] > 0.999


def test_real_perfusion_image_moves_onto_the_anatomy(shared_data):
    folder = shared_data / "siemens_pcasl"
    moving = sitk.ReadImage(str(folder / "pcasl3d_control_mean_x10.nii.gz"))
    fixed = sitk.ReadImage(str(folder / "T1w_brain_2mm.nii.gz"))
    result = register(moving, fixed)
    assert result.applied
    assert result.after < 2 * result.before
    # CSF is bright in the control and dark in T1w: aligned, they are opposed in the middle of the brain
    t1 = sitk.GetArrayFromImage(fixed).astype(float)
    inner = t1 > 0
    before, after = (
        np.corrcoef(t1[inner], sitk.GetArrayFromImage(resample(moving, fixed, t))[inner])[0, 1]
        for t in (None, result.transform)
    )
    assert after < before - 0.1


def test_command_writes_both_files_or_none(head, tmp_path, capsys):
    fixed = head.image("T1w", (4.0, 4.0, 4.0), (46, 54, 40), seed=1)
    moving = head.image("T2w", (4.0, 4.0, 4.0), (46, 54, 40), pose_of((2, 3, 4), (5, 6, 3)), seed=2)
    sitk.WriteImage(fixed, str(tmp_path / "t1.nii.gz"))
    sitk.WriteImage(moving, str(tmp_path / "t2.nii.gz"))
    out = tmp_path / "new" / "aligned.nii.gz"
    arguments = ["register", "--moving", str(tmp_path / "t2.nii.gz"), "--fixed", str(tmp_path / "t1.nii.gz")]
    assert main([*arguments, "--out", str(out), "--transform", str(out.with_name("t.tfm"))]) == 0
    assert "before" in capsys.readouterr().out
    assert sitk.ReadImage(str(out)).GetSize() == fixed.GetSize()
    transform = sitk.ReadTransform(str(out.with_name("t.tfm")))
    again = resample(moving, fixed, transform)
    assert np.allclose(
        sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(sitk.ReadImage(str(out))), atol=1e-4
    )
    assert sorted(path.name for path in out.parent.iterdir()) == ["aligned.nii.gz", "t.tfm"]

    other = tmp_path / "other" / "aligned.nii.gz"
    arguments[2] = str(tmp_path / "missing.nii.gz")
    assert main([*arguments, "--out", str(other)]) == 2
    assert "missing.nii.gz: no such file" in capsys.readouterr().err
    assert not other.parent.exists()
    assert main([*arguments, "--out", str(tmp_path / "aligned.jpg")]) == 2


def test_masks_and_images_of_odd_shapes_are_refused_or_served(head, fixed):
    series = sitk.JoinSeries([sitk.Cast(fixed > 0, sitk.sitkUInt8)] * 2)
    with pytest.raises(InputError, match="a series of volumes"):
        register(head.image("T2w", (5, 5, 5), (36, 42, 32), seed=3), fixed, mask=series)


def test_starts_turned_by_right_angles_have_angles():
    # Rounding leaves elements a little above 1 in such matrices, of which no angle can be taken.
    right = Rotation.create_group("O")
    turns = [a * b for a in right for b in right]
    angles = [_euler(np.zeros(3), np.zeros(3), turn).GetParameters()[:3] for turn in turns]
    assert np.isfinite(angles).all()
