"""Agreement of raters against published tables, definitions and peers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from SynthCBVLib.analysis import raters
from SynthCBVLib.errors import InputError

# Shrout & Fleiss, Psychol Bull 1979;86:420, table 2: six targets, four judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
MODELS = ("one-way-random", "two-way-random", "two-way-mixed")


@pytest.mark.parametrize(
    ("model", "unit", "form", "published", "digits"),
    [
        ("one-way-random", "single", "ICC(1,1)", 0.17, 0.1657),
        ("two-way-random", "single", "ICC(2,1)", 0.29, 0.2898),
        ("two-way-mixed", "single", "ICC(3,1)", 0.71, 0.7148),
        ("one-way-random", "average", "ICC(1,k)", 0.44, 0.4428),
        ("two-way-random", "average", "ICC(2,k)", 0.62, 0.6201),
        ("two-way-mixed", "average", "ICC(3,k)", 0.91, 0.9093),
    ],
)
def test_shrout_fleiss_1979(model, unit, form, published, digits):
    """Their table 4; more digits as R's psych and irr give them."""
    found = raters.icc(SHROUT_FLEISS, model, unit)
    assert found.form == form
    assert round(found.icc, 2) == published
    assert round(found.icc, 4) == digits
    assert (found.n_targets, found.n_raters) == (6, 4)


@pytest.mark.parametrize(
    ("model", "unit", "published"),
    [
        ("one-way-random", "single", (-0.13, 0.72)),
        ("two-way-random", "single", (0.02, 0.76)),
        ("two-way-mixed", "single", (0.34, 0.95)),
        ("one-way-random", "average", (-0.88, 0.91)),
        ("two-way-random", "average", (0.07, 0.93)),
        ("two-way-mixed", "average", (0.68, 0.99)),
    ],
)
def test_intervals_of_shrout_fleiss(model, unit, published):
    """As R's psych::ICC prints them for the same table."""
    found = raters.icc(SHROUT_FLEISS, model, unit)
    assert tuple(round(end, 2) for end in found.interval) == published


def test_default_is_two_way_random_single():
    assert raters.icc(SHROUT_FLEISS) == raters.icc(SHROUT_FLEISS, "two-way-random", "single")


def two_raters_with(n: int, icc: float) -> np.ndarray:
    """Ratings of two raters without difference in the mean whose ICC(2,1) is as wanted, to 1 / n."""
    q, _ = np.linalg.qr(np.column_stack([np.ones(n), np.random.default_rng(1).normal(size=(n, 2))]))
    signal, noise = q[:, 1] * math.sqrt((1 + icc) / (1 - icc)), q[:, 2]
    return np.column_stack([signal + noise, signal - noise])


@pytest.mark.parametrize(("n", "interval"), [(192, (0.79, 0.88)), (96, (0.77, 0.89))])
def test_interval_of_the_asl_paper(n, interval):
    """ICC .84 [.79, .88] is that of 192 targets (96 patients, two readings each), not of 96."""
    found = raters.icc(two_raters_with(n, 0.84))
    assert round(found.icc, 2) == 0.84
    assert tuple(round(end, 2) for end in found.interval) == interval
    # The paper calls .84 "very good", yet by its own scale (.70 to .89) it is good.
    assert raters.agreement_level(found.icc) == "good"


@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(2, 6), st.sampled_from(MODELS))
@settings(max_examples=80, deadline=None)
def test_icc_is_that_of_an_analysis_of_variance(seed, n, k, model):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1)) + rng.normal(size=(1, k)) + rng.normal(size=(n, k))
    total = ((x - x.mean()) ** 2).sum()
    ss_targets = k * ((x.mean(1) - x.mean()) ** 2).sum()
    ss_raters = n * ((x.mean(0) - x.mean()) ** 2).sum()
    bms, jms = ss_targets / (n - 1), ss_raters / (k - 1)
    ems, wms = (total - ss_targets - ss_raters) / ((n - 1) * (k - 1)), (total - ss_targets) / (n * (k - 1))
    wanted = {
        "one-way-random": ((bms - wms) / (bms + (k - 1) * wms), (bms - wms) / bms, bms / wms, n * (k - 1)),
        "two-way-random": (
            (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n),
            (bms - ems) / (bms + (jms - ems) / n),
            bms / ems,
            (n - 1) * (k - 1),
        ),
        "two-way-mixed": (
            (bms - ems) / (bms + (k - 1) * ems),
            (bms - ems) / bms,
            bms / ems,
            (n - 1) * (k - 1),
        ),
    }[model]
    one = raters.icc(x, model)
    assert (one.icc, one.f, one.df2) == pytest.approx((wanted[0], wanted[2], wanted[3]), rel=1e-9)
    assert one.p == pytest.approx(stats.f.sf(wanted[2], n - 1, wanted[3]), abs=1e-12)
    assert one.interval.low <= one.icc <= one.interval.high <= 1
    assume(wanted[0] > -0.5 / (k - 1))
    assert raters.icc(x, model, "average").icc == pytest.approx(wanted[1], rel=1e-8)


@given(st.integers(0, 10**6), st.sampled_from(MODELS), st.sampled_from(["single", "average"]))
@settings(max_examples=60, deadline=None)
def test_icc_does_not_depend_on_units_or_order(seed, model, unit):
    rng = np.random.default_rng(seed)
    x = 2 * rng.normal(size=(8, 1)) + rng.normal(size=(8, 3))
    found = raters.icc(x, model, unit)
    for changed in (3 * x - 100, x[::-1], x[:, ::-1]):
        other = raters.icc(changed, model, unit)
        assert (other.icc, other.p) == pytest.approx((found.icc, found.p), abs=1e-9)
        assert other.interval == pytest.approx(found.interval, abs=1e-8)


def test_icc_is_pingouins():
    pandas, pingouin = pytest.importorskip("pandas"), pytest.importorskip("pingouin")
    rng = np.random.default_rng(8)
    for n, k in ((6, 4), (20, 2), (50, 3)):
        x = rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(1, k)) + 0.5 * rng.normal(size=(n, k))
        table = pandas.DataFrame(
            [(i, j, x[i, j]) for i in range(n) for j in range(k)], columns=["target", "rater", "rating"]
        )
        theirs = pingouin.intraclass_corr(table, "target", "rater", "rating")
        interval_column = next(name for name in theirs.columns if name.startswith("CI95"))
        for row, (unit, model) in enumerate((u, m) for u in ("single", "average") for m in MODELS):
            found = raters.icc(x, model, unit)
            wanted = theirs.iloc[row]
            p = wanted["pval"]
            assert (found.icc, found.f) == pytest.approx((wanted["ICC"], wanted["F"]), abs=1e-10)
            assert (found.df1, found.df2) == (wanted["df1"], wanted["df2"])
            assert found.p == pytest.approx(p, abs=1e-10)
            assert found.interval == pytest.approx(tuple(wanted[interval_column]), abs=0.0051)  # rounded


def test_raters_who_agree_without_exception():
    same = [[1, 1], [2, 2], [3, 3], [0, 0]]
    for model in MODELS:
        found = raters.icc(same, model)
        assert (found.icc, found.interval, found.p) == (1.0, (1.0, 1.0), 0.0)
        assert math.isinf(found.f)
    shifted = [[0.1, 1.1], [0.2, 1.2], [0.3, 1.3], [0.7, 1.7]]
    assert raters.icc(shifted, "two-way-mixed").icc == 1.0
    absolute = raters.icc(shifted)
    assert absolute.icc < 0.2
    assert absolute.interval.low < absolute.icc < absolute.interval.high < 1


def test_negative_coefficients_keep_their_interval():
    found = raters.icc([[1, 3], [3, 1], [2, 2.1], [1, 2.9]])
    assert found.icc < 0
    assert found.interval.low <= found.icc <= found.interval.high


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("ratings", "says"),
    [
        ([[1, 2], [2, math.nan], [3, 3]], "1 of 6 values missing"),
        ([[1, 2], [2, None], [3, 3]], "1 of 6 values missing"),
        ([[1, 2], [2, math.inf], [3, 3]], "not finite"),
        ([["1", "2"], ["2", "3"]], "no numbers"),
        ([["x" * 2**20, 1], [2, 3]], "no numbers"),
        ([[1, 2]], "at least 2"),
        ([[1], [2], [3]], "1 rater"),
        ([[], []], "at least 2"),
        ([1, 2, 3], "2 axes"),
        ([[1, 2], [3]], "no numbers"),
        ([[2, 2], [2, 2], [2, 2]], "the rating 2 throughout"),
    ],
)
def test_bad_ratings_are_refused(model, ratings, says):
    with pytest.raises(InputError) as caught:
        raters.icc(ratings, model)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_targets_that_do_not_differ_are_refused():
    with pytest.raises(InputError, match="targets"):
        raters.icc([[1, 2], [1, 2], [1, 2]])
    with pytest.raises(InputError, match="targets that differ"):
        raters.icc([[0, 1], [1, 0]], unit="average", model="one-way-random")
    with pytest.raises(InputError, match="targets that differ"):
        raters.icc([[0, 1], [1, 0]])


@pytest.mark.parametrize("options", [{"model": "mixed"}, {"unit": "k"}, {"confidence": 1.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        raters.icc(SHROUT_FLEISS, **options)


def test_rwg_of_one_item_by_hand():
    """Four scores spread evenly have a variance of 15 / 12; James, Demaree & Wolf 1984, equation 1."""
    found = raters.rwg([[3, 3], [2, 3], [1, 3], [0, 3]], 4)
    assert found.null_variance == 1.25
    assert found.each == pytest.approx([1, 1 - 0.5 / 1.25, 0, 0])
    assert found.n_below_zero == 2
    assert found.rwg == pytest.approx(0.4)
    assert (found.n_targets, found.n_raters, found.n_items) == (4, 2, 1)
    five, seven = raters.rwg([[1, 2]], 5), raters.rwg([[1, 2]], 7)
    assert (five.null_variance, seven.null_variance) == (2.0, 4.0)  # as printed in the paper


def test_rwg_of_several_items_by_hand():
    """Equation 2; with variances half those of chance J items give J / (J + 1)."""
    one_item = np.array([[[1.0], [3.0], [2.0], [4.0], [3.0], [5.0]]])
    variance = one_item.var(axis=1, ddof=1).item() / 2.0
    for j in (1, 2, 10):
        found = raters.rwg_items(np.repeat(one_item, j, axis=2), 5)
        assert found.rwg == pytest.approx(j * (1 - variance) / (j * (1 - variance) + variance))
    assert raters.rwg_items(one_item, 5).rwg == pytest.approx(raters.rwg(one_item[:, :, 0], 5).rwg)
    worst = raters.rwg_items([[[1, 5], [5, 1]]], 5)
    assert (worst.rwg, worst.n_below_zero) == (0, 1)


def test_rwg_of_the_asl_paper_is_reached_by_its_scores():
    """r_wg .89 for two raters: with disagreements of one score on 27.5 % of the images."""
    ratings = [[3, 3]] * 145 + [[2, 3]] * 55
    found = raters.rwg(ratings, 4)
    assert round(found.rwg, 2) == 0.89
    assert raters.agreement_level(found.rwg) == raters.AgreementLevel.GOOD


@pytest.mark.parametrize(
    ("ratings", "categories"),
    [
        ([[0, 4]], 4),
        ([[1], [2]], 4),
        ([[1, math.nan]], 4),
        ([[1, 2]], 1),
        ([[1, 2]], 2.5),
        ([[1, 2]], math.nan),
        ([[1, 2]], "4"),
        ([[1, 2]], None),
        ([1, 2], 4),
        ([["1", "2"]], 4),
        ([], 4),
    ],
)
def test_bad_input_to_rwg_is_refused(ratings, categories):
    with pytest.raises(InputError):
        raters.rwg(ratings, categories)


def test_scores_of_the_asl_paper():
    """Mean 2.90; 1 % (2 of 208), 8.2 % (17 of 208), 90.8 % or 90.9 % (189 of 208)."""
    found = raters.score_summary([1] * 2 + [2] * 17 + [3] * 189)
    assert found.n == 208
    assert round(found.mean, 2) == 2.90
    assert found.mean == pytest.approx(603 / 208)
    assert (found.scores, found.counts) == ((0, 1, 2, 3), (0, 2, 17, 189))
    assert [round(share, 1) for share in found.percentages] == [0.0, 1.0, 8.2, 90.9]


def test_missing_scores_are_counted():
    found = raters.score_summary([[3, None], [math.nan, 2]])
    assert (found.n, found.n_missing, found.mean) == (2, 2, 2.5)
    for bad in ([None, None], [], [4], [1.5], ["3"], [-1], [math.inf]):
        with pytest.raises(InputError):
            raters.score_summary(bad)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (1.0, "very good"), (0.9, "very good"), (0.89, "good"), (0.7, "good"), (0.69, "fair"),
        (0.5, "fair"), (0.49, "poor"), (-0.3, "poor"),
    ],
)  # fmt: skip
def test_levels_of_the_asl_paper(value, level):
    assert raters.agreement_level(value) == level


@pytest.mark.parametrize("value", [math.nan, 1.01, math.inf, "good", None])
def test_no_level_without_a_coefficient(value):
    with pytest.raises(InputError):
        raters.agreement_level(value)
