"""Raters' scores in the cohort table."""

from __future__ import annotations

import numpy as np
import pytest

from SynthCBVLib.analysis import raters
from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.csv import read_cohort, write_cohort
from SynthCBVLib.analysis.cohort.scores import sheet_of, with_scores
from SynthCBVLib.analysis.cohort.statistics import sentences, statistic_rows
from SynthCBVLib.analysis.cohort.table import table_of
from SynthCBVLib.analysis.raters import ScoringSheet
from SynthCBVLib.errors import InputError

SHEET = ScoringSheet(["A", "C"], ["BW", "'=CW"], [[3, 2], [1, None]])


def test_scores_go_into_the_table_and_come_back(tmp_path):
    table = with_scores(table_of([{"subject": s, "ratio_real": 2.0} for s in "ABC"]), SHEET)
    assert table.column("score_BW") == [3.0, None, 1.0]
    assert table.column("score_'=CW") == [2.0, None, None]
    assert read_cohort(write_cohort(table, tmp_path / "c.csv")) == table
    found = sheet_of(table)
    assert found.raters == SHEET.raters
    assert found.complete().subjects == ("A",)
    np.testing.assert_array_equal(found.scores, [[3, 2], [np.nan, np.nan], [1, np.nan]])


def test_new_scores_leave_those_that_they_do_not_have():
    table = with_scores(table_of([{"subject": s} for s in "AC"]), SHEET)
    again = with_scores(table, ScoringSheet(["A", "C"], ["'=CW"], [[None], [0]]))
    assert again.column("score_'=CW") == [2.0, 0.0]
    assert raters.icc(sheet_of(again).scores).n_raters == 2


def test_scores_of_nobody_are_refused():
    with pytest.raises(InputError, match="no case of the table"):
        with_scores(table_of([{"subject": "A"}]), SHEET)
    twice = table_of([{"subject": "A", "model": m} for m in ("ivim", "asl")])
    with pytest.raises(InputError, match="2 cases of the table"):
        with_scores(twice, ScoringSheet(["A"], ["BW"], [[3]]))
    with pytest.raises(InputError, match="no scores"):
        sheet_of(table_of([{"subject": "A"}]))
    with pytest.raises(InputError, match="the score 9"):
        sheet_of(table_of([{"subject": "A", "score_BW": 9.0}]))


def test_agreement_of_raters_is_among_the_statistics():
    rng = np.random.default_rng(2)
    quality = rng.integers(0, 4, 30)
    given = np.stack([quality, np.clip(quality + rng.integers(-1, 2, 30), 0, 3)], 1).astype(float)
    given[4, 1] = np.nan
    sheet = ScoringSheet([f"P{i}" for i in range(30)], ["BW", "CW"], given)
    found = analyze(with_scores(table_of([{"subject": f"P{i}"} for i in range(30)]), sheet))
    assert found.raters.icc == raters.icc(sheet.complete().scores)
    assert (found.raters.n, found.raters.n_missing) == (29, 1)
    rows = {row.statistic: row for row in statistic_rows(found) if row.section == "Raters"}
    assert rows["ICC(2,1)"].value == found.raters.icc.icc
    assert rows["r_wg"].value == raters.rwg(sheet.complete().scores, 4).rwg
    assert (rows["mean score"].n, rows["mean score"].n_missing) == (59, 1)
    assert sum(row.value for name, row in rows.items() if name.startswith("scores of")) == pytest.approx(100)
    assert f"ICC(2,1) = {found.raters.icc.icc:.2f} over 29 cases" in sentences(found)[-1]


def test_scores_that_allow_no_agreement_are_told():
    alone = analyze(table_of([{"subject": s, "score_BW": 3.0} for s in "AB"]))
    assert (alone.raters.icc, alone.raters.summary.mean) == (None, 3.0)
    assert not [one for one in alone.not_computed if "raters" in one.what]
    equal = analyze(table_of([{"subject": s, "score_BW": 3.0, "score_CW": 3.0} for s in "AB"]))
    assert equal.raters.icc is None
    assert [one for one in equal.not_computed if one.what == "intraclass correlation of raters"]
    off = analyze(table_of([{"subject": "A", "score_BW": 27.0}]))
    assert off.raters is None
    assert [one for one in off.not_computed if one.what == "raters' scores" and "27" in one.why]
    assert analyze(table_of([{"subject": "A"}])).raters is None
