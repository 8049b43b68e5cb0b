"""Areas under ROC curves against published tables, definitions and simple truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from SynthCBVLib.analysis import proportions, roc

# Hanley & McNeil, Radiology 1982;143:29, table I: CT images rated 1 to 5, 58 normal and 51 abnormal.
RATED_NORMAL, RATED_ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
CT_SCORES = np.repeat([1, 2, 3, 4, 5] * 2, RATED_NORMAL + RATED_ABNORMAL)
CT_LABELS = np.repeat([0, 1], [58, 51])


def brute_covariance(labels, scores):
    """Covariance of areas as DeLong, DeLong & Clarke-Pearson define it: every pair compared, eq. 3 to 6."""
    rows = [np.asarray(s, float) for s in scores]
    is_positive = np.asarray(labels) == 1
    kernels = []
    for row in rows:
        difference = row[is_positive][:, None] - row[~is_positive][None, :]
        kernels.append((difference > 0) + 0.5 * (difference == 0))
    m, n = kernels[0].shape
    areas = [k.mean() for k in kernels]
    out = np.empty((len(rows), len(rows)))
    for i, first in enumerate(kernels):
        for j, second in enumerate(kernels):
            v10 = [(first[x].mean() - areas[i]) * (second[x].mean() - areas[j]) for x in range(m)]
            v01 = [(first[:, y].mean() - areas[i]) * (second[:, y].mean() - areas[j]) for y in range(n)]
            out[i, j] = math.fsum(v10) / (m - 1) / m + math.fsum(v01) / (n - 1) / n
    return areas, out


def test_hanley_mcneil_1982():
    """Area .893 with an error of .032; DeLong's .0307 and [.83295, .95339] are Stata's (roctab manual)."""
    found = roc.auc(CT_LABELS, CT_SCORES, "delong")
    assert (found.n_positive, found.n_negative, found.n) == (51, 58, 109)
    assert round(found.auc, 3) == 0.893
    assert round(found.standard_error, 4) == 0.0307
    assert (round(found.interval.low, 5), round(found.interval.high, 5)) == (0.83295, 0.95339)
    assert roc.hanley_mcneil_error(0.893, 51, 58) == pytest.approx(0.0325, abs=5e-5)


# The IVIM paper's figures: 40 test patients, 20 of each class.
@pytest.mark.parametrize(
    ("area", "interval"),
    [(0.8375, (0.687, 0.935)), (0.8325, (0.681, 0.932)), (0.59, (0.423, 0.743))],
)
def test_exact_intervals_of_the_ivim_paper(area, interval):
    u = round(area * 400)  # pairs won of 20 x 20: 335, 333, 236
    wins = np.full(20, u // 20)
    wins[: u % 20] += 1
    # Negatives at 0.5 ... 19.5: a positive at w wins exactly w pairs.
    found = roc.auc([1] * 20 + [0] * 20, [*wins, *(np.arange(20) + 0.5)], ci="exact")
    assert (found.auc, found.mann_whitney_u) == (area, u)
    assert tuple(round(end, 3) for end in found.interval) == interval
    assert found.ci == "exact"


def test_exact_interval_is_of_unrounded_successes():
    assert proportions.exact(0.59 * 40, 40) != proportions.exact(24, 40)
    x, n = 23.6, 40
    low, high = proportions.exact(x, n)
    assert stats.beta.cdf(low, x, n - x + 1) == pytest.approx(0.025, abs=1e-12)
    assert stats.beta.sf(high, x + 1, n - x) == pytest.approx(0.025, abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (19, 20), (350, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_intervals_of_proportions_are_scipys(count, n, confidence):
    theirs = stats.binomtest(count, n)
    for ours, method in ((proportions.exact, "exact"), (proportions.wilson, "wilson")):
        wanted = theirs.proportion_ci(confidence, method)
        assert ours(count, n, confidence) == pytest.approx((wanted.low, wanted.high), abs=1e-10)


def test_wilson_as_published():
    """Newcombe, Stat Med 1998;17:857, table I, method 3: 81/263, 15/148, 0/20, 1/29."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (count, n), interval in published.items():
        assert tuple(round(end, 4) for end in proportions.wilson(count, n)) == interval


def test_delong_equals_the_definition_on_200_paired_sets_with_ties():
    rng = np.random.default_rng(11)
    for _ in range(200):
        m, n = rng.integers(2, 25, 2)
        labels = np.repeat([1, 0], [m, n])
        a = np.round(rng.normal(size=m + n) + labels, 0)
        b = np.round(0.6 * a + rng.normal(size=m + n), 1)
        a[:2], b[:2] = (0, 1), (0, 1)  # never all the same
        areas, covariance = brute_covariance(labels, [a, b])
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        first, second = roc.auc(labels, a), roc.auc(labels, b)
        assert [first.auc, second.auc] == pytest.approx(areas, abs=1e-12)
        assert first.standard_error**2 == pytest.approx(covariance[0, 0], abs=1e-12)
        assert second.standard_error**2 == pytest.approx(covariance[1, 1], abs=1e-12)
        if variance < 1e-14:
            continue
        found = roc.compare(labels, a, b)
        assert found.standard_error**2 == pytest.approx(variance, abs=1e-12)
        together = found.correlation * found.error_a * found.error_b
        assert together == pytest.approx(covariance[0, 1] if min(np.diag(covariance)) > 0 else 0, abs=1e-12)


def test_intervals_in_closed_form():
    found = {ci: roc.auc(CT_LABELS, CT_SCORES, ci, confidence=0.9) for ci in ("logit", "delong", "newcombe")}
    area, error = found["delong"].auc, found["delong"].standard_error
    z = 1.6448536269514722
    assert found["delong"].interval == pytest.approx((area - z * error, area + z * error), abs=1e-12)
    logits = [math.log(end / (1 - end)) for end in found["logit"].interval]
    middle, half = math.log(area / (1 - area)), z * error / (area * (1 - area))
    assert logits == pytest.approx([middle - half, middle + half], abs=1e-12)
    for end in found["newcombe"].interval:  # each end is z of its own errors away from the area
        n_star = 109 / 2 - 1
        spread = 1 + n_star * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(end - area) == pytest.approx(
            z * math.sqrt(end * (1 - end) * spread / (51 * 58)), abs=1e-10
        )


@pytest.mark.parametrize("ci", ["logit", "delong", "newcombe"])
@pytest.mark.parametrize("n", [2, 20, 5000])
def test_perfect_separation_is_not_certainty(ci, n):
    """DeLong's error is 0 at an area of 1; the interval must not shrink to a point with it."""
    labels = [1] * n + [0] * n
    found = roc.auc(labels, range(2 * n, 0, -1), ci)
    assert (found.auc, found.ci, found.standard_error) == (1.0, "newcombe", 0.0)
    low, high = found.interval
    assert high == 1.0
    # At an area of 1 Newcombe's equation loses the factor 1 - low on both sides.
    spread = 1 + (n - 1) * ((1 - low) / (2 - low) + low / (1 + low))
    assert 1 - low == pytest.approx(1.959963984540054**2 * low * spread / n**2, rel=1e-9)
    other = roc.auc(labels, range(2 * n), ci)
    assert other.auc == 0.0
    assert other.interval == pytest.approx((0.0, 1 - low), abs=1e-12)


def test_no_area_of_a_coin_gets_an_interval_of_no_width():
    """Placements that do not vary give no variance though the area is one half."""
    found = roc.auc([1, 1, 0, 0], [2, 2, 1, 3])
    assert found.auc == 0.5
    low, high = found.interval
    assert low < 0.2 < 0.8 < high


def test_one_case_of_a_class():
    labels, scores = [1, 0, 0, 0], [3.0, 1.0, 2.0, 4.0]
    found = roc.auc(labels, scores, "exact")
    assert found.auc == pytest.approx(2 / 3)
    assert math.isnan(found.standard_error)
    assert roc.auc(labels, scores, "newcombe").interval.low < 0.2


def test_direction_and_names_of_classes():
    labels = ["mutant", "mutant", "wildtype", "wildtype", "wildtype"]
    ratios = [2.0, 4.0, 3.0, 5.0, 6.0]
    found = roc.auc(labels, ratios, positive="mutant", direction="lower")
    assert found.auc == pytest.approx(5 / 6)
    assert found.direction == "lower"
    assert roc.auc(labels, ratios, positive="mutant").auc == pytest.approx(1 / 6)
    assert roc.auc(labels, ratios, positive="wildtype").auc == pytest.approx(5 / 6)
    for same in (np.array([1, 1, 0, 0, 0]), [True, True, False, False, False], (1.0, 1, 0, 0, 0.0)):
        assert roc.auc(same, ratios, direction="lower") == found


SCORES = st.lists(st.tuples(st.booleans(), st.integers(-30, 30)), min_size=4, max_size=60).filter(
    lambda cases: (
        2 <= sum(label for label, _ in cases) <= len(cases) - 2 and len({score for _, score in cases}) > 1
    )
)


@given(SCORES)
@settings(max_examples=150, deadline=None)
def test_increasing_maps_of_the_scores_change_nothing(cases):
    labels, scores = [label for label, _ in cases], np.array([score for _, score in cases], float)
    found = roc.auc(labels, scores)
    for changed in (np.exp(scores / 10), scores**3, 2 * scores + 7):
        assert roc.auc(labels, changed) == found
    assert found.auc == pytest.approx(
        stats.mannwhitneyu(scores[labels], scores[~np.array(labels)])[0]
        / (found.n_positive * found.n_negative)
    )


@given(SCORES)
@settings(max_examples=150, deadline=None)
def test_swapped_labels_give_the_complement(cases):
    labels, scores = np.array([label for label, _ in cases]), [score for _, score in cases]
    one, other = roc.auc(labels, scores), roc.auc(~labels, scores)
    assert one.auc + other.auc == pytest.approx(1, abs=1e-12)
    assert one.standard_error == pytest.approx(other.standard_error, abs=1e-12)
    assert one.interval == pytest.approx((1 - other.interval.high, 1 - other.interval.low), abs=1e-9)
    turned = roc.auc(~labels, scores, direction="lower")
    assert turned.auc == pytest.approx(one.auc, abs=1e-12)


@given(SCORES, st.sampled_from(["logit", "delong", "newcombe", "exact"]))
@settings(max_examples=150, deadline=None)
def test_intervals_hold_the_area_and_stay_within_bounds(cases, ci):
    found = roc.auc([label for label, _ in cases], [score for _, score in cases], ci)
    assert 0 <= found.interval.low <= found.auc <= found.interval.high <= 1
    assert found.interval.high - found.interval.low > 0.01
    wider = roc.auc([label for label, _ in cases], [score for _, score in cases], ci, confidence=0.99)
    assume(wider.ci == found.ci)
    assert wider.interval.low <= found.interval.low
    assert wider.interval.high >= found.interval.high


def test_areas_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    for _ in range(50):
        labels = np.concatenate([[0, 1], rng.integers(0, 2, 60)])
        scores = np.round(rng.normal(size=62) + labels, 1)
        assert roc.auc(labels, scores, "exact").auc == pytest.approx(
            metrics.roc_auc_score(labels, scores), abs=1e-10
        )
