"""Voxelwise agreement: the plain formulas on all voxels, whatever the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis import agreement
from SynthCBVLib.analysis.agreement import maps as voxelwise
from SynthCBVLib.errors import InputError

SHAPE = (9, 30, 28)


def maps(seed: int = 0, offset: float = 0.0):
    rng = np.random.default_rng(seed)
    b = offset + rng.gamma(2.0, 1.0, SHAPE)
    a = 0.8 * b + 0.3 + rng.normal(0, 0.2, SHAPE)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:8, 4:25, 3:24] = 1
    return a, b, mask


@pytest.mark.parametrize("block", [1, 5000, 10**9])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sums_by_blocks_are_the_formulas_on_all_voxels(monkeypatch, block, offset):
    monkeypatch.setattr(voxelwise, "_BLOCK_VOXELS", block)
    a, b, mask = maps(offset=offset)
    found = agreement.voxelwise(a, b, mask)
    first, second = a[mask > 0], b[mask > 0]
    assert (found.n_voxels, found.n_left_out) == (first.size, 0)
    tolerance = {"rel": 1e-9 if offset == 0 else 1e-5}
    limits = agreement.bland_altman(first, second)
    line = agreement.regression(second, first)
    lin = agreement.concordance(first, second)
    assert (found.bias, found.sd) == pytest.approx((limits.bias, limits.sd), **tolerance)
    assert (found.lower, found.upper) == pytest.approx((limits.lower, limits.upper), **tolerance)
    assert (found.slope, found.intercept) == pytest.approx((line.slope, line.intercept), **tolerance)
    assert (found.r, found.concordance) == pytest.approx((lin.r, lin.rho), **tolerance)
    assert found.mean_absolute == pytest.approx(np.abs(first - second).mean(), **tolerance)


def test_images_arrays_and_single_precision_give_the_same():
    a, b, mask = (array.astype(np.float32) for array in maps())
    expected = agreement.voxelwise(a.astype(float), b.astype(float), mask)
    assert agreement.voxelwise(a, b, mask) == expected
    assert agreement.voxelwise(*(sitk.GetImageFromArray(array) for array in (a, b, mask))) == expected


def test_voxels_without_a_value_are_left_out_and_counted():
    a, b, mask = maps()
    a[3, 10, 10], b[4, 11, 11], a[5, 12, 12] = np.nan, np.inf, -np.inf
    a[0, 0, 0] = np.nan  # outside
    found = agreement.voxelwise(a, b, mask)
    assert found.n_left_out == 3
    assert found.n_voxels == int(mask.sum()) - 3
    assert math.isfinite(found.sd)


def test_constant_maps_have_a_bias_and_no_correlation():
    a, b, mask = maps()
    found = agreement.voxelwise(np.full(SHAPE, 2.1), b, mask)
    assert found.bias == pytest.approx(2.1 - b[mask > 0].mean())
    assert math.isnan(found.r)
    assert math.isnan(found.concordance)
    assert math.isnan(agreement.voxelwise(a, np.full(SHAPE, 0.1), mask).slope)
    same = agreement.voxelwise(b, b, mask)
    assert (same.sd, same.bias) == (0.0, 0.0)
    assert same.r == pytest.approx(1.0)


def test_cases_count_once_each():
    cases = [maps(seed) for seed in range(5)]
    found = agreement.voxelwise_cases(cases)
    biases = [agreement.voxelwise(*case).bias for case in cases]
    assert found.bias == pytest.approx(np.mean(biases))
    assert found.bias_interval == pytest.approx(agreement.paired_t(biases, np.zeros(5)).interval)
    alone = agreement.voxelwise_cases(cases[:1])
    assert math.isnan(alone.bias_sd)
    assert math.isnan(alone.bias_interval.low)


@pytest.mark.parametrize(
    ("volumes", "text"),
    [
        ((np.ones(SHAPE), np.ones((9, 30, 27)), np.ones(SHAPE)), "first map: shape"),
        ((np.ones(SHAPE), np.ones(SHAPE), np.zeros(SHAPE)), "0 of 0 voxels"),
        ((np.full(SHAPE, np.nan), np.ones(SHAPE), np.ones(SHAPE)), "0 of 7560 voxels"),
        ((np.ones((30, 28)),) * 3, r"shape \(30, 28\)"),
        ((["x"], np.ones(SHAPE), np.ones(SHAPE)), "first map"),
        ((np.ones(SHAPE, complex),) * 3, "real numbers"),
    ],
)
def test_what_cannot_be_compared_is_named(volumes, text):
    with pytest.raises(InputError, match=text):
        agreement.voxelwise(*volumes)


def test_no_cases():
    with pytest.raises(InputError, match="none"):
        agreement.voxelwise_cases([])
