"""The scoring sheet: missing values, round trips, hostile names and files."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis import raters
from SynthCBVLib.analysis.raters import LIKERT, ScoringSheet, read_scores, write_scores
from SynthCBVLib.errors import InputError

HOSTILE = (
    "=HYPERLINK(\"http://x\";\"y\")", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=x", "'x", "''+x", "a,b", "a;b",
    'a"b', "a\nb", "<script>alert(1)</script>", "Müller 脑", " padded ", "=",
)  # fmt: skip


def same(one: ScoringSheet, other: ScoringSheet) -> bool:
    return (one.subjects, one.raters) == (other.subjects, other.raters) and np.array_equal(
        one.scores, other.scores, equal_nan=True
    )


def test_a_sheet_as_written(tmp_path):
    sheet = ScoringSheet(["01", "02"], ["BW", "CW"], [[3, None], [2, 0]])
    write_scores(sheet, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_bytes() == b"subject,BW,CW\r\n01,3,\r\n02,2,0\r\n"
    assert same(read_scores(tmp_path / "scores.csv"), sheet)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_missing_scores_are_kept_and_counted():
    sheet = ScoringSheet(["a", "b", "c"], ["x", "y"], [[3, 3], [2, math.nan], [1, 2]])
    assert sheet.n_missing == 1
    complete = sheet.complete()
    assert (complete.subjects, complete.n_missing) == (("a", "c"), 0)
    assert raters.icc(complete.scores).n_targets == 2
    assert raters.score_summary(sheet.scores).n_missing == 1
    with pytest.raises(InputError, match="scored by every rater"):
        ScoringSheet(["a"], ["x", "y"], [[3, None]]).complete()
    with pytest.raises(ValueError, match="read-only"):
        sheet.scores[0, 0] = 0


def test_hostile_names_come_back_and_are_no_formulas(tmp_path):
    scores = [[i % 4] * len(HOSTILE) for i in range(len(HOSTILE))]
    sheet = ScoringSheet(HOSTILE, [f"{name}." for name in HOSTILE], scores)
    write_scores(sheet, tmp_path / "s.csv")
    assert same(read_scores(tmp_path / "s.csv"), sheet)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    started = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert set(started) == {"+1", "-1", "+1.", "-1."}  # plain numbers


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).filter(str.strip)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_sheet_survives_the_file(tmp_path_factory, data):
    subjects = data.draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    names = data.draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    score = st.sampled_from([0, 1, 2, 3, None])
    row = st.lists(score, min_size=len(names), max_size=len(names))
    scores = data.draw(st.lists(row, min_size=len(subjects), max_size=len(subjects)))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    sheet = ScoringSheet(subjects, names, scores)
    write_scores(sheet, path)
    assert same(read_scores(path), sheet)


@pytest.mark.parametrize(
    "text",
    ["subject;BW;CW\r\n01;3;\r\n02;2;0\r\n", "\ufeffSubject,BW,CW\r\n01,3,n/a\r\n\r\n02, 2 ,0.0\r\n"],
)
def test_sheets_from_spreadsheets(tmp_path, text):
    (tmp_path / "s.csv").write_bytes(text.encode("utf-8"))
    found = read_scores(tmp_path / "s.csv")
    assert same(found, ScoringSheet(["01", "02"], ["BW", "CW"], [[3, None], [2, 0]]))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "begins with nothing"),
        (b"name,BW\n01,3\n", "begins with 'name'"),
        (b"subject\n01\n", "header"),
        (b"subject,BW\n", "no name"),
        (b"subject,BW\n01,4\n", "row 2: the score 4"),
        (b"subject,BW\n01,2.5\n", "row 2: the score 2.5"),
        (b"subject,BW\n01,inf\n", "the score inf"),
        (b"subject,BW\n01,good\n", "the score 'good'"),
        (b"subject,BW\n01,=1+1\n", "the score '=1+1'"),
        (b"subject,BW\n01,3\n01,2\n", "'01' twice"),
        (b"subject,BW,BW\n01,3,2\n", "'BW' twice"),
        (b"subject,BW\n01,3,2\n", "row 2: 3 cells"),
        (b"subject,BW\n,3\n", "not empty"),
        (b"subject,BW\n\xff\xfe,3\n", "not UTF-8"),
        (b'subject,BW\n"01,3\n', "no readable table"),
        (b"subject,BW\n" + b"x" * 2**20 + b",3\n", "no readable table"),
        (b"subject,BW\n" + b"x" * 1000 + b",3\n", "of 1000 characters"),
        (b"subject,BW\n01," + b"9" * 5000 + b"\n", "the score inf"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, says):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_missing_file_and_unwritable_place(tmp_path):
    with pytest.raises(InputError):
        read_scores(tmp_path / "none.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_scores(ScoringSheet(["a"], ["b"], [[1]]), tmp_path / "file" / "s.csv")


@pytest.mark.parametrize(
    ("subjects", "names", "scores"),
    [
        (["x" * 2**20], ["r"], [[1]]),
        (["a"], ["x" * 2**20], [[1]]),
        (["a\0b"], ["r"], [[1]]),
        (["\ud800"], ["r"], [[1]]),
        (["  "], ["r"], [[1]]),
        ([None], ["r"], [[1]]),
        ([], ["r"], []),
        (["a"], [], [[]]),
        ("ab", ["r"], [[1], [2]]),
        (["a", "a"], ["r"], [[1], [2]]),
        (["a"], ["r"], [[1, 2]]),
        (["a"], ["r"], [[1], [2]]),
        (["a"], ["r"], [["3"]]),
        (["a"], ["r"], [[4]]),
        (["a"], ["r"], [3]),
        (["a"], ["r"], 3),
    ],
)
def test_bad_sheets_are_refused(subjects, names, scores):
    with pytest.raises(InputError) as caught:
        ScoringSheet(subjects, names, scores)
    assert len(str(caught.value)) < 300


def test_the_scale_is_the_asl_papers():
    assert LIKERT.scores == (0, 1, 2, 3)
    assert LIKERT.meanings == ("very poor", "poor", "good", "very good")
