"""Patients that are drawn together so that a cohort stands for the population."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from SynthCBVLib.phantom.draws import BLOCK, balanced_normals


@settings(max_examples=30, deadline=None)
@given(block=st.integers(0, 10**9), stream=st.integers(0, 5), count=st.integers(1, 10))
def test_a_block_has_the_moments_of_the_population(block, stream, count):
    drawn = np.stack([balanced_normals(BLOCK * block + row, stream, count) for row in range(BLOCK)])
    assert drawn.shape == (BLOCK, count)
    assert np.allclose(drawn.mean(0), 0, atol=1e-12)
    assert np.allclose(drawn.T @ drawn / BLOCK, np.eye(count), atol=1e-12)


def test_many_blocks_are_normal():
    drawn = np.concatenate([balanced_normals(seed, 0, 9) for seed in range(4000)])
    assert stats.kstest(drawn, "norm").statistic < 0.01
    assert abs(stats.kurtosis(drawn)) < 0.25


def test_numbers_belong_to_seed_and_kind():
    first = balanced_normals(45, 0, 9)
    assert np.array_equal(first, balanced_normals(45, 0, 9))
    for other in (balanced_normals(46, 0, 9), balanced_normals(65, 0, 9), balanced_normals(45, 1, 9)):
        assert not np.any(first == other)


def test_blocks_are_independent():
    one, two = (np.stack([balanced_normals(start + r, 0, 9) for start in range(first, 20000, 40)])
                for first, r in ((0, 3), (20, 3)))  # fmt: skip
    assert np.abs(np.mean(one * two, 0)).max() < 0.2


@pytest.mark.parametrize("count", [0, BLOCK])
def test_more_numbers_than_a_block_can_balance(count):
    with pytest.raises(ValueError, match="balance"):
        balanced_normals(1, 0, count)
