"""The interval of a T/WM ratio: by hand, by simulation, and refused where it would mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SynthCBVLib.analysis import regions
from SynthCBVLib.analysis.regions.uncertainty import ratio_uncertainty
from SynthCBVLib.errors import InputError

SHAPE = (2, 12, 24)


def box(row: int, column: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1, row : row + 3, column : column + 3] = 1
    return mask


TUMOUR = [box(0, 1), box(4, 1), box(8, 1)]
WHITE = [box(0, 16), box(4, 16), box(8, 16)]


def maps(sd_tumour: float = 0.6, sd_white: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    values, spread = np.full(SHAPE, 2.0), np.full(SHAPE, sd_white)
    for mask in TUMOUR:
        values[mask > 0], spread[mask > 0] = 6.0, sd_tumour
    return values, spread


def test_by_hand_fully_correlated_within_a_region():
    found = ratio_uncertainty(*maps(), TUMOUR, WHITE, level=0.9)
    # sd(T) = 0.6/√3, sd(W) = 0.1/√3, whatever the number of voxels.
    assert found.tumour_sd == pytest.approx(0.6 / math.sqrt(3))
    assert found.white_matter_sd == pytest.approx(0.1 / math.sqrt(3))
    relative = math.sqrt((0.6 / 6) ** 2 + (0.1 / 2) ** 2) / math.sqrt(3)
    assert found.relative_sd == pytest.approx(relative)
    assert found.ratio == pytest.approx(3.0)
    assert found.lower == pytest.approx(3.0 * math.exp(-1.6448536269514722 * relative))
    assert found.upper == pytest.approx(3.0 * math.exp(1.6448536269514722 * relative))
    assert found.level == 0.9


def test_independent_voxels_are_surer_by_the_root_of_their_number():
    full = ratio_uncertainty(*maps(), TUMOUR, WHITE)
    none = ratio_uncertainty(*maps(), TUMOUR, WHITE, correlation=0.0)
    half = ratio_uncertainty(*maps(), TUMOUR, WHITE, correlation=0.5)
    assert none.relative_sd == pytest.approx(full.relative_sd / 3)
    assert half.relative_sd**2 == pytest.approx((full.relative_sd**2 + none.relative_sd**2) / 2)


def test_scale_and_level_widen_the_interval():
    plain = ratio_uncertainty(*maps(), TUMOUR, WHITE)
    assert ratio_uncertainty(*maps(), TUMOUR, WHITE, scale=2.0).relative_sd == pytest.approx(
        2 * plain.relative_sd
    )
    assert ratio_uncertainty(*maps(), TUMOUR, WHITE, level=0.99).upper > plain.upper
    sure = ratio_uncertainty(maps()[0], np.zeros(SHAPE), TUMOUR, WHITE)
    assert sure.lower == sure.upper == sure.ratio


@pytest.mark.parametrize("correlation", [0.0, 0.6, 1.0])
def test_interval_covers_as_often_as_it_says(correlation):
    """Maps with errors of the stated kind: 3000 draws, so 90 % to about 1.6 % (3 SD)."""
    rng = np.random.default_rng(5)
    values, spread = maps(0.9, 0.2)
    inside = 0
    for _ in range(3000):
        drawn = values.copy()
        for mask in (*TUMOUR, *WHITE):
            where = mask > 0
            common, own = rng.standard_normal(), rng.standard_normal(int(where.sum()))
            error = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
            drawn[where] += spread[where] * error
        tumour = np.mean([drawn[m > 0].mean() for m in TUMOUR])
        white = np.mean([drawn[m > 0].mean() for m in WHITE])
        # The SD is that of the truth's map, so that only the delta method is on trial.
        found = RELATIVE.setdefault(
            correlation, ratio_uncertainty(values, spread, TUMOUR, WHITE, correlation=correlation).relative_sd
        )
        inside += abs(math.log(tumour / white / 3.0)) <= 1.6448536269514722 * found
    assert inside / 3000 == pytest.approx(0.9, abs=0.017)


RELATIVE: dict[float, float] = {}


def test_ratio_is_the_ratio():
    values, spread = maps()
    values += np.random.default_rng(0).uniform(0, 1, SHAPE)
    found = ratio_uncertainty(values, spread, TUMOUR, WHITE)
    assert found.ratio == regions.t_wm_ratio(values, TUMOUR, WHITE).ratio


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"level": 1.0}, "level"),
        ({"scale": 0.0}, "scale"),
        ({"scale": math.nan}, "scale"),
        ({"correlation": 1.1}, "correlation"),
        ({"uncertainty": -maps()[1]}, "negative or not finite"),
        ({"uncertainty": maps()[1] * np.nan}, "negative or not finite"),
        ({"uncertainty": maps()[1][:1]}, "Resample uncertainty of map"),
        ({"map": np.where(maps()[0] > 5, -1.0, maps()[0])}, "tumour on map: a mean of -1"),
        ({"white_matter": []}, "White matter regions"),
    ],
)
def test_what_gives_no_interval_is_named(change, named):
    values, spread = maps()
    arguments = {"map": values, "uncertainty": spread, "tumour": TUMOUR, "white_matter": WHITE} | change
    with pytest.raises(InputError, match=named):
        ratio_uncertainty(**arguments)


def test_hopeless_uncertainty_gives_an_interval_without_an_end():
    found = ratio_uncertainty(*maps(sd_tumour=1e6), TUMOUR, WHITE)
    assert (found.lower, found.upper) == (0.0, math.inf)
