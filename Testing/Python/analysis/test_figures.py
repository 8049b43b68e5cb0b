"""The overview: right sides, right order, right windows, and an error for images that do not belong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis.report import figures
from SynthCBVLib.errors import InputError

SHAPE = (9, 24, 20)


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(np.asarray(array, dtype=np.float32))
    made.SetSpacing((2.0, 2.0, 6.0))
    made.SetOrigin((-20.0, -24.0, -12.0))
    return made


def brain() -> np.ndarray:
    mask = np.zeros(SHAPE)
    mask[1:8, 3:21, 3:17] = 1
    return mask


def region(z: int, y: int, x: int) -> sitk.Image:
    mask = np.zeros(SHAPE)
    mask[z, y : y + 2, x : x + 2] = 1
    return image(mask)


def maps() -> dict:
    rng = np.random.default_rng(0)
    synthetic = brain() * rng.uniform(0.5, 1.5, SHAPE)
    real = brain() * rng.uniform(0.5, 3.0, SHAPE)
    synthetic[4, 10:12, 12:14] = 9.0
    return {
        "anatomy": image(rng.uniform(0, 100, SHAPE)),
        "synthetic": image(synthetic),
        "real": image(real),
        "uncertainty": image(0.1 * synthetic),
        "f_map": image(0.05 * synthetic),
        "mask": image(brain()),
        "regions": {"Tumour 1": region(4, 10, 12), "White matter 1": region(2, 6, 5)},
    }


def pictures(figure) -> dict[str, list]:
    """Axes with an image, by heading of their column, top first."""
    found: dict[str, list] = {}
    columns = {round(axes.get_position().x0, 4): axes.get_title() for axes in figure.axes if axes.get_title()}
    for axes in figure.axes:
        if axes.images and axes.texts:
            found.setdefault(columns[round(axes.get_position().x0, 4)], []).append(axes)
    return found


def test_columns_and_rows():
    found = pictures(figures.overview(**maps(), anatomy_name="T2w"))
    assert list(found) == ["T2w", "Real rCBV", "Synthetic rCBV", "Synthetic – real", "Uncertainty", "IVIM f"]
    assert {len(axes) for axes in found.values()} == {3}


def test_what_is_missing_has_no_column():
    given = maps()
    found = pictures(figures.overview(given["anatomy"], given["synthetic"], n_slices=2))
    assert list(found) == ["Anatomy", "Synthetic rCBV"]
    assert {len(axes) for axes in found.values()} == {2}


def test_real_and_synthetic_share_a_window_in_which_regions_do_not_saturate():
    found = pictures(figures.overview(**maps()))
    windows = {axes.images[0].get_clim() for name in ("Real rCBV", "Synthetic rCBV") for axes in found[name]}
    assert len(windows) == 1
    low, high = windows.pop()
    assert low == 0
    assert high == pytest.approx(1.15 * 9.0)
    low, high = found["Synthetic – real"][0].images[0].get_clim()
    assert low == -high


def test_f_is_in_percent_and_outside_the_brain_is_blank():
    found = pictures(figures.overview(**maps()))
    shown = found["IVIM f"][1].images[0].get_array()
    assert shown.max() == pytest.approx(45.0)
    assert shown.mask[0].all()
    assert not shown.mask[shown.shape[0] // 2, shown.shape[1] // 2]


@pytest.mark.parametrize("order", ["LPS", "RAS", "PIR", "ASL"])
def test_patient_right_is_on_the_left_and_front_on_top_for_any_storage(order):
    array = brain()
    array[4, 4, 3] = 7.0  # front (low y in LPS) and right (low x)
    given = {"anatomy": image(np.ones(SHAPE)), "synthetic": image(array), "mask": image(brain())}
    given["regions"] = {"Tumour 1": image(array == 7)}
    given = {
        key: {k: sitk.DICOMOrient(v, order) for k, v in value.items()}
        if isinstance(value, dict)
        else sitk.DICOMOrient(value, order)
        for key, value in given.items()
    }
    figure = figures.overview(**given, n_slices=1)
    (axes,) = pictures(figure)["Synthetic rCBV"]
    shown = axes.images[0].get_array()
    y, x = np.argwhere(shown.filled(0) == 7)[0]
    assert y < shown.shape[0] / 2
    assert x < shown.shape[1] / 2
    texts = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert texts["R"] < 0.5 < texts["L"]
    labels = [a.get_ylabel() for a in figure.axes if a.get_ylabel()]
    assert labels == ["slice 5 of 9   ·   S 12.0 mm"]


def test_anisotropic_pixels_keep_their_aspect():
    given = maps()
    for name in ("anatomy", "synthetic"):
        given[name].SetSpacing((1.0, 3.0, 6.0))
    found = pictures(figures.overview(given["anatomy"], given["synthetic"]))
    assert found["Anatomy"][0].get_aspect() == 3.0


def test_outline_follows_voxel_edges():
    found = pictures(figures.overview(**maps()))
    tumour = [line for axes in found["T2w" if "T2w" in found else "Anatomy"] for line in axes.lines]
    x = np.concatenate([line.get_xdata() for line in tumour[:1]])
    y = np.concatenate([line.get_ydata() for line in tumour[:1]])
    assert np.nanmax(x) - np.nanmin(x) == 2
    assert np.nanmax(y) - np.nanmin(y) == 2
    assert np.isnan(x).sum() == 8  # eight edges of a 2 x 2 region


def test_slices_with_regions_come_first():
    one, two = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[6, 5:9, 5:9] = two[2, 5, 5] = True
    mask = brain() > 0
    assert figures.choose_slices(mask, [one, two], 1) == [6]
    assert figures.choose_slices(mask, [one, two], 2) == [6, 2]
    assert figures.choose_slices(mask, [one, two], 3) == [6, 4, 2]
    assert figures.choose_slices(mask, [], 1) == [4]
    assert len(figures.choose_slices(mask, [], 50)) <= 7


def test_png_is_whole_and_repeatable(tmp_path):
    path = figures.save_png(figures.overview(**maps()), tmp_path / "overview.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == figures.png(figures.overview(**maps()))
    assert list(tmp_path.iterdir()) == [path]


def test_images_that_do_not_belong_are_named():
    given = maps()
    given["real"].SetOrigin((0, 0, 0))
    with pytest.raises(InputError, match="real map"):
        figures.overview(**given)
    given = maps()
    given["regions"]["Tumour 1"] = image(np.zeros(SHAPE))
    with pytest.raises(InputError, match="Tumour 1"):
        figures.overview(**given)
    with pytest.raises(InputError, match="zero everywhere"):
        figures.overview(maps()["anatomy"], image(np.zeros(SHAPE)))


def test_constant_and_nan_maps_are_drawn():
    flat = image(np.ones(SHAPE))
    holes = np.full(SHAPE, np.nan)
    figure = figures.overview(flat, flat, real=flat, uncertainty=image(holes), mask=image(brain()))
    assert figures.png(figure).startswith(b"\x89PNG")


def test_pyplot_is_never_loaded():
    code = (
        "import sys; import SynthCBVLib.analysis.report, SynthCBVLib.analysis.similarity\n"
        "assert not {'matplotlib', 'skimage', 'torch'} & set(sys.modules)\n"
        "import numpy as np, SimpleITK as sitk\n"
        "from SynthCBVLib.analysis.report import figures\n"
        "a = sitk.GetImageFromArray(np.ones((3, 9, 9)))\n"
        "figures.png(figures.overview(a, a))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
