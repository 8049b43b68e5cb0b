"""The analysis of a cohort: each statistic on the right cases, and poor data without a wrong number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from SynthCBVLib.analysis import agreement, roc
from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.plots import charts
from SynthCBVLib.analysis.cohort.statistics import p_text, sentences, statistic_rows, write_statistics
from SynthCBVLib.analysis.cohort.table import CohortTable, table_of
from SynthCBVLib.errors import InputError


def cohort(
    n: int = 40, seed: int = 1, groups: tuple[str, ...] = ("IDH-wildtype", "IDH-mutant")
) -> CohortTable:
    rng = np.random.default_rng(seed)
    records = []
    for i in range(n):
        real = float(rng.gamma(8, 0.9 if i % len(groups) == 0 else 0.55))
        records.append(
            {
                "subject": f"P{i:05}",
                "group": groups[i % len(groups)],
                "ratio_real": None if i % 17 == 5 else real,
                "ratio_synthetic": math.nan
                if i % 19 == 7
                else abs(0.75 * real + float(rng.normal(0.05, 0.6))),
                "ratio_f": float(rng.gamma(8, 0.2)),
                "ssim": float(rng.uniform(0.7, 0.9)),
            }
        )
    return table_of(records)


def test_every_statistic_is_that_of_the_cases_with_values():
    table = cohort()
    found = analyze(table)
    real, synthetic = table.numbers("ratio_real"), table.numbers("ratio_synthetic")
    both = np.isfinite(real) & np.isfinite(synthetic)
    pair = found.pair("synthetic")
    assert (pair.n, pair.n_missing) == (both.sum(), 40 - both.sum())
    assert pair.n_missing == 5
    x, y = real[both], synthetic[both]
    assert pair.bland_altman == agreement.bland_altman(x, y)
    assert pair.bland_altman_ratio == agreement.bland_altman_ratio(y, x)
    assert pair.regression == agreement.regression(x, y)
    assert pair.deming == agreement.deming(x, y)
    assert pair.passing_bablok == agreement.passing_bablok(x, y)
    assert pair.pearson == agreement.pearson(x, y)
    assert pair.concordance == agreement.concordance(x, y)
    assert pair.paired_t == agreement.paired_t(x, y)
    assert pair.regression.slope == pytest.approx(stats.linregress(x, y).slope)
    groups = np.array(table.column("group"))
    mutant = found.pair("synthetic", "IDH-mutant")
    inside = both & (groups == "IDH-mutant")
    assert mutant.regression == agreement.regression(real[inside], synthetic[inside])
    assert mutant.n + found.pair("synthetic", "IDH-wildtype").n == pair.n
    assert found.not_computed == ()


def test_groups_and_roc_are_those_of_the_papers():
    table = cohort()
    found = analyze(table)
    assert (found.positive, found.direction) == ("IDH-mutant", "lower")
    real, mutant = table.numbers("ratio_real"), np.array(table.column("group")) == "IDH-mutant"
    kept = np.isfinite(real)
    labels = mutant[kept].astype(int)
    groups = next(one for one in found.comparisons_of_groups if one.measure == "real")
    expected = stats.ttest_ind(real[kept & mutant], real[kept & ~mutant])
    assert (groups.student.t, groups.student.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert groups.n_missing == 3
    one = found.roc("real")
    assert one.auc == roc.auc(labels, real[kept], direction="lower")
    assert one.auc_exact.ci == "exact"
    point = one.points["published cut-off 4.176"]
    called = real[kept] <= 4.176
    assert point.sensitivity == (called & (labels == 1)).sum() / labels.sum()
    assert point.specificity == (~called & (labels == 0)).sum() / (labels == 0).sum()
    synthetic = table.numbers("ratio_synthetic")
    both = kept & np.isfinite(synthetic)
    contrast = found.roc_comparisons[0]
    assert (contrast.first, contrast.second, contrast.n_missing) == ("real", "synthetic", 5)
    again = roc.compare(mutant[both].astype(int), real[both], synthetic[both], direction="lower")
    assert contrast.result == again


def test_choices_of_the_user_are_followed():
    table = cohort(groups=("a", "b", "c"))
    open_question = analyze(table)
    assert open_question.positive is None
    assert any("3 groups" in one.why for one in open_question.not_computed)
    found = analyze(table, positive="b", direction="higher", cut_offs={"synthetic": 3.0}, confidence=0.9)
    assert found.comparisons_of_groups[0].negative == "all other groups"
    assert found.roc("synthetic").points["cut-off 3"].threshold == 3.0
    assert not found.roc("real").points
    assert found.pair("f").bland_altman.confidence == 0.9
    by_mean = analyze(cohort(groups=("a", "b")))
    assert (by_mean.positive, by_mean.direction) == ("a", "higher")
    assert any("optimistic" in note for note in by_mean.notes)


def test_models_are_not_mixed():
    table = table_of(
        [
            {"subject": f"P{i}", "model": model, "ratio_real": i + 1.0, "ratio_synthetic": i + k}
            for i in range(6)
            for k, model in enumerate(("ivim", "asl"))
        ]
    )
    with pytest.raises(InputError, match=r"several models.*'ivim', 'asl'"):
        analyze(table)
    assert analyze(table, model="ivim").pair("synthetic").bland_altman.bias == 1.0
    with pytest.raises(InputError, match="'gan'"):
        analyze(table, model="gan")


def test_ten_thousand_cases_take_the_same_way():
    found = analyze(cohort(10_000))
    assert found.pair("synthetic").n > 8_000
    assert found.pair("synthetic").passing_bablok is None
    assert any("Passing-Bablok" in one.what for one in found.not_computed)
    assert all(chart.series for chart in charts(found))


def poor(**columns: list) -> CohortTable:
    n = len(next(iter(columns.values())))
    return table_of(
        [{"subject": f"P{i}"} | {name: cells[i] for name, cells in columns.items()} for i in range(n)]
    )


def told(table: CohortTable) -> str:
    """Analyse, make everything that is shown of it, and give the reasons for what is missing."""
    found = analyze(table)
    for row in statistic_rows(found):
        assert not math.isinf(row.value), row
    sentences(found)
    for chart in charts(found):
        for series in chart.series:
            assert np.isfinite(series.y).all(), chart.key
    return " | ".join(f"{one.what}: {one.why}" for one in found.not_computed)


def test_one_case():
    table = poor(ratio_real=[2.0], ratio_synthetic=[2.1], group=["a"])
    assert "shape (1,)" in told(table)
    assert analyze(table).pair("synthetic").bland_altman is None


def test_no_case():
    with pytest.raises(InputError, match="no case"):
        analyze(CohortTable())


def test_nothing_but_missing_values():
    table = poor(
        ratio_real=[None, math.nan, math.inf], ratio_synthetic=[1.0, 2.0, 3.0], group=["a", "b", "a"]
    )
    found = analyze(table)
    assert (found.pair("synthetic").n, found.pair("synthetic").n_missing) == (0, 3)
    assert "real" not in {one.measure for one in found.rocs}
    assert told(table)


def test_constant_scores():
    table = poor(ratio_real=[2.0] * 8, ratio_synthetic=[1.0, 2, 3, 4, 5, 6, 7, 8], group=["a", "b"] * 4)
    reasons = told(table)
    assert "regression: real: the same value 2" in reasons
    assert "ROC curve, Real rCBV: scores: the same value 2" in reasons
    found = analyze(table)
    assert found.pair("synthetic").pearson is None
    assert found.pair("synthetic").bland_altman is not None
    assert found.roc("synthetic") is not None


def test_one_class_only():
    table = poor(ratio_real=[1.0, 2, 3, 4], ratio_synthetic=[1.0, 2, 3, 5], group=["a"] * 4)
    assert "1 groups in the table" in told(table)
    assert analyze(table).rocs == ()


def test_one_case_in_a_class():
    table = poor(ratio_real=[1.0, 2, 3, 4], ratio_synthetic=[1.0, 2, 3, 5], group=["a", "a", "a", "b"])
    assert "at least 2" in told(table)


def test_equal_maps():
    values = [1.0, 2.0, 3.0, 4.5]
    found = analyze(poor(ratio_real=values, ratio_synthetic=values))
    pair = found.pair("synthetic")
    assert (pair.bland_altman.bias, pair.bland_altman.sd) == (0.0, 0.0)
    assert pair.concordance.rho == pytest.approx(1.0)
    assert pair.paired_t is None
    assert any("the same difference 0" in one.why for one in found.not_computed)


def test_negative_and_zero_ratios_have_no_ratio_form():
    reasons = told(poor(ratio_real=[1.0, 2, -3, 4], ratio_synthetic=[1.0, 0, 3, 5]))
    assert "Bland-Altman of ratios" in reasons
    assert "at or below 0" in reasons


def test_huge_values_are_refused():
    with pytest.raises(InputError, match=r"ratio_real: a ratio of 1e\+300"):
        analyze(poor(ratio_real=[1.0, 2, 1e300, 4], ratio_synthetic=[1.0, 2, 3, 5]))
    assert told(poor(ratio_real=[1.0, 2, 3, 4], psnr=[1e300] * 4))


def test_many_groups_are_no_groups():
    found = analyze(poor(ratio_real=list(map(float, range(30))), ratio_synthetic=list(map(float, range(30))),
                         group=[f"g{i}" for i in range(30)]))  # fmt: skip
    assert {one.group for one in found.pairs} == {None}
    assert any("30 groups" in note for note in found.notes)


def test_endless_names_are_cut():
    table = cohort(groups=("a" * 1_000_000, "IDH-mutant"))
    said = sentences(analyze(table))
    assert max(map(len, said)) < 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": "x"}, "'IDH-mutant', 'IDH-wildtype'"),
        ({"positive": "x" * 10**6}, "positive group"),
        ({"direction": "up"}, "higher or lower"),
        ({"cut_offs": {"adc": 3.0}}, "one for real, synthetic, f"),
        ({"confidence": 95}, "confidence"),
    ],
)
def test_impossible_wishes_are_named(options, message):
    with pytest.raises(InputError, match=message):
        analyze(cohort(), **options)


def test_rows_and_sentences_say_what_was_found(tmp_path):
    found = analyze(cohort())
    rows = {(row.subject_of, row.group, row.statistic): row for row in statistic_rows(found)}
    slope = rows["Synthetic rCBV against Real rCBV", "all cases", "regression slope"]
    line = found.pair("synthetic").regression
    assert (slope.value, slope.low, slope.high, slope.p) == (line.slope, *line.slope_interval, line.p)
    assert (slope.n, slope.n_missing) == (35, 5)
    said = " ".join(sentences(found))
    assert f"{line.slope:.4g} × real" in said
    assert "5 left out for a missing value" in said
    text = write_statistics(found, tmp_path / "s.csv").read_text("utf-8")
    assert "nan" not in text
    assert repr(line.slope) in text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00001, "P < 0.0001"), (0.0368, "P = 0.037"), (0.9075, "P = 0.91"), (math.nan, "P not defined")],
)
def test_p_as_printed(p, text):
    assert p_text(p) == text


def test_charts_carry_the_cases_numbers():
    table = cohort()
    found = analyze(table)
    by_key = {chart.key: chart for chart in charts(found)}
    assert list(by_key) == [
        "regression-synthetic", "bland-altman-synthetic", "regression-f", "bland-altman-f", "groups", "roc"
    ]  # fmt: skip
    pair = found.pair("synthetic")
    points = {
        label: (x, y)
        for series in by_key["bland-altman-synthetic"].series
        for label, x, y in zip(series.labels, series.x, series.y, strict=False)
    }
    assert len(points) == pair.n
    for subject, real, other in zip(pair.subjects, pair.real, pair.other, strict=True):
        assert points[subject] == ((real + other) / 2, real - other)
    lines = {
        series.name: series for series in by_key["bland-altman-synthetic"].series if series.line != "none"
    }
    assert set(lines["bias"].y) == {pair.bland_altman.bias}
    curve = next(s for s in by_key["roc"].series if s.name.startswith("Real"))
    np.testing.assert_array_equal(curve.y, found.roc("real").curve.sensitivity)
    cases = sum(s.x.size for s in by_key["groups"].series if s.line == "none")
    assert cases == sum(np.isfinite(table.numbers(f"ratio_{m}")).sum() for m in ("real", "synthetic", "f"))
