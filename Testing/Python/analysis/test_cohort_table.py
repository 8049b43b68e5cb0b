"""The cohort table: cases added and updated, and a CSV file that gives back what was written."""

from __future__ import annotations

import csv
import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis.arrays import harmless, restored
from SynthCBVLib.analysis.cohort.case import case_row, ratio_column
from SynthCBVLib.analysis.cohort.csv import parse_cohort, read_cohort, write_cohort
from SynthCBVLib.analysis.cohort.table import (
    COLUMNS,
    CohortTable,
    add_case,
    table_of,
)
from SynthCBVLib.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "=1+1",
        "'=1",
        "''@x",
        "-5",
        "+3.2e4",
        "-x",
        "\t",
        "\r\n",
        "a,b",
        'q"q',
        "a\nb",
        " =A1",
        "＝x",
        "'",
        "007",
    ]
)
NUMBER = st.none() | st.floats(allow_nan=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


def ratio(name: str, value: float) -> SimpleNamespace:
    return SimpleNamespace(map=name, ratio=SimpleNamespace(ratio=value))


@given(rows=st.lists(st.tuples(TEXT, NUMBER, TEXT, NUMBER), max_size=8), extra=TEXT)
@settings(max_examples=80, deadline=None)
def test_any_table_comes_back_from_its_file(folder, rows, extra):
    path = folder / "c.csv"
    columns = ("subject", "ratio_real", f"x{extra}", "score_2")
    table = CohortTable(columns, tuple((f"{text}#{i}", *rest) for i, (text, *rest) in enumerate(rows)))
    assert read_cohort(write_cohort(table, path)) == table


@given(text=TEXT)
@settings(deadline=None)
def test_no_cell_starts_a_formula_and_every_text_is_restored(text):
    assert restored(harmless(text)) == text
    start = harmless(text).lstrip(" ")
    if start.startswith(("=", "@", "\t", "\r", "\n", "＝")):
        pytest.fail(f"{text!r} is written as {harmless(text)!r}")
    if start.startswith(("+", "-")):
        float(start)


def test_file_cells_are_harmless(tmp_path):
    table = table_of([{"subject": "=HYPERLINK(1)", "group": "@SUM(A1)", "-2+3": "+x", "ratio_real": -0.5}])
    text = write_cohort(table, tmp_path / "c.csv").read_text("utf-8")
    header, row = csv.reader(text.splitlines())
    assert row[0] == "'=HYPERLINK(1)"
    assert row[2] == "'@SUM(A1)"
    assert header[-1] == "'-2+3"
    assert "-0.5" in row


def test_long_texts_come_back(tmp_path):
    table = table_of([{"subject": "A", "note": "x" * 1_000_000}])
    before = csv.field_size_limit()
    assert read_cohort(write_cohort(table, tmp_path / "c.csv")) == table
    assert csv.field_size_limit() == before


def test_what_spreadsheets_write_is_read():
    german = "Subject;Group;Ratio real;psnr;Bemerkung\r\nA;x;2,5;31,2;1,5\r\n\r\nB;;n/a;;\r\n"
    table = parse_cohort(german)
    assert table.columns == ("subject", "group", "ratio_real", "psnr", "Bemerkung")
    assert table.rows == (("A", "x", 2.5, 31.2, "1,5"), ("B", None, None, None, None))
    tabs = parse_cohort("participant_id\tsynthetic\nsub-1\t−3.25\n")
    assert tabs.records() == [{"subject": "sub-1", "ratio_synthetic": -3.25}]
    assert parse_cohort("subject,f,,\nA,1,,\n").columns == ("subject", "ratio_f")


def test_byte_marks_are_understood(tmp_path):
    for encoding in ("utf-8-sig", "utf-16", "utf-8"):
        (tmp_path / "c.csv").write_text("subject,f\nÄ,2\n", encoding=encoding)
        assert read_cohort(tmp_path / "c.csv").records() == [{"subject": "Ä", "ratio_f": 2.0}]


def test_missing_values_are_one_and_counted():
    table = table_of([{"subject": "A", "group": "", "psnr": math.nan}, {"subject": "B", "psnr": 30}])
    assert table.column("psnr") == [None, 30.0]
    assert table.missing()["psnr"] == 1
    assert table.missing()["group"] == 2
    assert math.isnan(table.numbers("psnr")[0])
    assert table.column("no such") == [None, None]


def test_a_case_is_added_then_updated():
    first = add_case(CohortTable(), {"subject": "A", "model": "ivim", "ssim": 0.8, "group": "x"})
    assert (first.updated, len(first.table)) == (False, 1)
    assert "added as case 1" in first.message
    other = add_case(first.table, {"subject": "A", "model": "asl"})
    assert (other.updated, len(other.table)) == (False, 2)
    again = add_case(
        other.table, {"subject": "A", "model": "ivim", "ssim": 0.9, "group": None, "side": "left"}
    )
    assert (again.updated, len(again.table)) == (True, 2)
    assert "ssim, side" in again.message
    assert again.table.records()[0] | {"ssim": 0.9, "group": "x", "side": "left"} == again.table.records()[0]
    assert again.table.column("side") == ["left", None]
    same = add_case(again.table, {"subject": "A", "model": "ivim"})
    assert "nothing changed" in same.message
    assert same.table == again.table
    assert first.table.column("ssim") == [0.8]


def test_the_current_case_becomes_a_row():
    row = case_row(
        "A",
        ratios=[
            ratio("Synthetic rCBV", 3.0),
            ratio("Real rCBV", 4.0),
            ratio("IVIM f", 2.0),
            ratio("true rCBV", 9),
        ],
        similarity=SimpleNamespace(ssim=0.8, psnr=30.0),
        provenance={
            "model": {"name": "ivim", "weights_sha256": "ab" * 32},
            "software": {"name": "SynthCBV", "version": "1.2"},
        },
        scores={"reader1": 3},
        extra={"site": "X"},
    )
    table = table_of([row])
    assert table.columns == (*COLUMNS, "score_reader1", "site")
    record = table.records()[0]
    assert (record["ratio_real"], record["ratio_synthetic"], record["ratio_f"]) == (4.0, 3.0, 2.0)
    assert (record["model"], record["weights"], record["software"]) == ("ivim", "ab" * 32, "SynthCBV 1.2")
    assert (record["ssim"], record["score_reader1"], record["site"]) == (0.8, 3.0, "X")
    assert ratio_column("fat fraction") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty table"),
        ("a,b\n1,2\n", 'a column "subject"'),
        ("subject,f\nA,1,2\n", "line 2: 3 cells"),
        ("subject,f\nA,1\nA,2\n", "cases 1 and 2: subject 'A' twice"),
        ("subject,f\n,1\n", "case 1: no subject"),
        ("subject,f\nA,much\n", "line 2, ratio_f: 'much'"),
        ("subject,f\nA,1 000\n", "line 2, ratio_f"),
        ("subject,f\nA," + "9x" * 600_000 + "\n", r"1200000 characters"),
        ("subject,f,F \nA,1,2\n", "the column 'ratio_f' twice"),
        ("subject,,f\nA,x,2\n", "a name of its own"),
        ('subject,f\nA,"1\n', "no CSV"),
        ("subject,f\nA,0x10\n", "line 2, ratio_f"),
        ("subject,f\nA,1_000\n", "line 2, ratio_f"),
    ],
)
def test_what_is_no_table_is_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_cohort(text, "t.csv")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_cohort(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_cohort(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"subject\n\xe4\n")
    with pytest.raises(InputError, match=r"latin\.csv.*UTF-8"):
        read_cohort(tmp_path / "latin.csv")
    with pytest.raises(InputError, match="half a character"):
        write_cohort(table_of([{"subject": "\ud800"}]), tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (("a",), (), "subject"),
        (("subject", "subject"), (), "a name of its own"),
        (("subject", " "), (), "a name of its own"),
        (("subject", "f"), (("A",),), "1 values"),
        (("subject", "f"), (("A", "x"),), "'x'"),
        (("subject", "f"), (("A", "x" * 10**6),), "1000000 characters"),
    ],
)
def test_impossible_tables_are_refused(columns, rows, message):
    with pytest.raises(InputError, match=message):
        CohortTable(columns, rows)
