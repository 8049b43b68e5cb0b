import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.brainmask.volume import Limits, Volume
from SynthCBVLib.imaging.files import read_image
from SynthCBVLib.imaging.study import Modality, join_series, like, same_grid
from SynthCBVLib.phantom import DigitalPatient


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def array(image):
    return sitk.GetArrayFromImage(image) > 0


@pytest.fixture(scope="module")
def patient():
    return DigitalPatient(3)


@pytest.mark.parametrize(("modality", "least"), [(Modality.T1W, 0.96), (Modality.T2W, 0.93)])
def test_brain_of_a_digital_patient_with_skull(patient, modality, least):
    image = patient.study([modality]).images[modality]
    mask = brain_mask(image, modality)
    truth = patient.truth(modality)
    assert same_grid(mask, image)
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert dice(array(mask), array(truth.brain)) > least
    assert np.count_nonzero(array(mask) & array(truth.brain)) > 0.95 * np.count_nonzero(array(truth.brain))
    lesion = array(truth.lesion) & array(truth.brain)
    assert np.count_nonzero(lesion & array(mask)) > 0.97 * np.count_nonzero(lesion)


def test_skull_stripped_image_is_its_own_mask(head):
    image = head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), skull=False)
    assert dice(array(brain_mask(image, Modality.T1W)), head.brain(image)) > 0.97


def test_loosely_cut_image_gives_the_tissue_in_it(head):
    image = head.image("T1w", (2.5, 2.5, 2.5), (72, 84, 64), noise=0.0)
    mask = head.brain(image)
    wide = ndimage.binary_dilation(mask, iterations=3)
    cut = like(np.where(wide, sitk.GetArrayFromImage(image), 0).astype(np.float32), image)
    found = array(brain_mask(cut, Modality.T1W))
    assert dice(found, mask) > dice(wide, mask) + 0.02
    assert np.count_nonzero(found & mask) > 0.99 * np.count_nonzero(mask)


@pytest.mark.parametrize("direction", [0.7, -0.7])
def test_shading_along_the_head_loses_nothing(head, direction):
    image = head.image("T2w", (2.5, 2.5, 4.0), (72, 84, 40))
    shape = sitk.GetArrayViewFromImage(image).shape
    shading = np.exp(direction * np.linspace(-1, 1, shape[0]))[:, None, None]
    shaded = like((sitk.GetArrayFromImage(image) * shading).astype(np.float32), image)
    brain = head.brain(image)
    found = array(brain_mask(shaded, Modality.DWI))
    assert np.count_nonzero(found & brain) > 0.98 * np.count_nonzero(brain)
    assert dice(found, brain) > 0.93


def test_depth_under_a_top_that_the_image_cuts_off_is_that_of_the_whole_head():
    radius = 80.0
    z, y, x = np.meshgrid(*(np.arange(-88, 89, 4.0),) * 3, indexing="ij")
    ball = x**2 + y**2 + z**2 < radius**2
    kept = int(np.flatnonzero(z[:, 0, 0] <= 68)[-1]) + 1  # 12 mm of it are hidden
    image = sitk.GetImageFromArray(ball[:kept].astype(np.float32))
    image.SetSpacing((4.0, 4.0, 4.0))
    volume = Volume(image)
    middle = ball.shape[1] // 2
    naive = volume.distance(ball[:kept])[-1, middle, middle]
    depth = volume.depth_below_hidden_top(ball[:kept])[-1, middle, middle]
    assert naive > 36
    assert depth == pytest.approx(volume.distance(ball)[kept - 1, middle, middle], abs=5.0)


def test_depth_in_a_whole_head_or_a_straight_slab_stays_as_it_is():
    z, y, x = np.meshgrid(np.arange(12), np.arange(30) - 14.5, np.arange(30) - 14.5, indexing="ij")
    for inside in (x**2 + y**2 < 100, (x**2 + y**2 < 100) & (z < 9)):
        image = sitk.GetImageFromArray(inside.astype(np.float32))
        image.SetSpacing((4.0, 4.0, 4.0))
        volume = Volume(image)
        assert np.array_equal(volume.depth_below_hidden_top(inside), volume.distance(inside))


def test_fat_that_hangs_together_with_the_scalp_is_no_brain_however_deep():
    """Between the lobes at the base of the skull fat reaches far below what is known of the surface."""
    _, y, x = np.meshgrid(np.arange(24), np.arange(48) - 23.5, np.arange(48) - 23.5, indexing="ij")
    radius = 4.0 * np.hypot(x, y)
    values = np.select([radius < 60, radius < 68, radius < 84], [1.0, 0.1, 2.5], 0.0).astype(np.float32)
    wedge = (np.abs(x) < 3) & (y > 0) & (radius > 24) & (radius < 84)
    values[wedge] = 2.5
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4.0, 4.0, 4.0))
    volume = Volume(image)
    head = radius < 84
    shading = np.ones_like(values)
    deep = wedge & (radius > 26) & (radius < 50) & (np.abs(x) < 2)
    found = [
        volume.inside_skull(volume.distance(head), shading, Limits(0.45, 1.6, fat_is_alone=alone))
        for alone in (True, False)
    ]
    assert np.count_nonzero(found[0] & deep) < np.count_nonzero(found[1] & deep)


def test_orientation_and_intensity_scale_do_not_matter(head):
    image = head.image("T1w", (2.5, 2.5, 5.0), (72, 84, 32))
    mask = array(brain_mask(image, Modality.T1W))
    scaled = array(brain_mask(image * 400, Modality.T1W))
    assert dice(mask, scaled) > 0.999
    permuted = sitk.PermuteAxes(image, [2, 0, 1])
    back = sitk.PermuteAxes(brain_mask(permuted, Modality.T1W), [1, 2, 0])
    assert dice(mask, array(back)) > 0.97


def test_perfusion_map_gives_the_region_with_signal(patient):
    image = patient.study([Modality.CBF]).images[Modality.CBF]
    mask = brain_mask(image, Modality.CBF)
    assert dice(array(mask), array(patient.truth(Modality.CBF).brain)) > 0.92


def test_series_gives_the_mask_of_its_first_volume(head):
    image = head.image("T2w", (3.0, 3.0, 5.0), (62, 72, 32))
    first = brain_mask(image, Modality.DWI)
    assert np.array_equal(array(brain_mask(join_series([image, image * 0.3]), Modality.DWI)), array(first))


def test_images_without_a_head_are_refused():
    empty = sitk.Image(20, 20, 20, sitk.sitkFloat32)
    with pytest.raises(InputError, match="T2w image to find the brain in: a constant image"):
        brain_mask(empty, Modality.T2W)
    nan = like(np.full((5, 5, 5), np.nan, np.float32), sitk.Image(5, 5, 5, sitk.sitkFloat32))
    with pytest.raises(InputError, match="not finite"):
        brain_mask(nan)


def test_real_images(shared_data):
    folder = shared_data / "siemens_pcasl"
    anatomy = read_image(folder / "T1w_brain_2mm.nii.gz")
    mask = array(brain_mask(anatomy, Modality.T1W))
    # Grey and white matter, and a little of the meninges at the edge of the cut
    tissue = sitk.GetArrayFromImage(anatomy) > 300
    assert np.count_nonzero(tissue & mask) > 0.98 * np.count_nonzero(tissue)
    # The file was cut with a wide margin (2.06 l); the mask keeps some dura rather than lose cortex
    assert 1.2 < np.count_nonzero(mask) * np.prod(anatomy.GetSpacing()) / 1e6 < 1.75
    m0 = read_image(folder / "pcasl3d_m0.nii.gz")
    litres = np.count_nonzero(array(brain_mask(m0, Modality.DWI))) * np.prod(m0.GetSpacing()) / 1e6
    assert 1.2 < litres < 1.6


@pytest.mark.parametrize("values", [np.full((8, 20, 20), -5.0), np.zeros((8, 20, 20))])
def test_images_of_nearly_nothing_are_refused(values):
    values[4, 10, 10] += 1.0
    with pytest.raises(InputError, match="an image of a head"):
        brain_mask(sitk.GetImageFromArray(values.astype(np.float32)), Modality.T1W)
