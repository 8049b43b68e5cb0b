"""The verb ``agreement``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from SynthCBVLib.cli import main


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(1)
    lines = ["subject,model,group,ratio_real,ratio_synthetic,ratio_f"]
    for i in range(24):
        real = rng.gamma(8, 0.55 if i % 2 else 0.9)
        group = "mutant" if i % 2 else "wildtype"
        lines.append(
            f"P{i},ivim,{group},{'' if i == 3 else real},{0.8 * real + rng.normal(0, 0.3)},"
            f"{rng.gamma(8, 0.2)}"
        )
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(lines))
    return path


def test_it_prints_and_writes_everything(table, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["agreement", str(table), "--out", str(out), "--cut-off", "synthetic=3.5"]) == 0
    printed = capsys.readouterr().out
    assert "24 cases in the table: 12 mutant, 12 wildtype." in printed
    assert "Pearson's r" in printed
    assert "1 left out for a missing value" in printed
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    figures = (
        "bland-altman-f",
        "bland-altman-synthetic",
        "groups",
        "regression-f",
        "regression-synthetic",
        "roc",
    )
    assert names == [
        *(f"figures/{name}.png" for name in figures),
        "report.html",
        "statistics.csv",
        "statistics.md",
    ]
    with (out / "statistics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert any("cut-off 3.5: sensitivity" in row["statistic"] for row in rows)
    slope = next(
        row for row in rows if row["statistic"] == "regression slope" and row["group"] == "all cases"
    )
    assert float(slope["low"]) < 0.8 < float(slope["high"])
    assert slope["n"] == "23"
    assert "P0" not in (out / "report.html").read_text("utf-8").split("<h2>Cases")[1].split("</section>")[0]


@pytest.mark.parametrize(
    ("content", "arguments", "match"),
    [
        (None, (), "no such file"),
        ("", (), "empty table"),
        ("subject,f\n", (), "no case"),
        ("name,f\nA,1\n", (), 'a column "subject"'),
        ("subject,f\nA,one\n", (), "line 2, ratio_f"),
        ("subject,f\nA,1\nA,2\n", (), "subject 'A' twice"),
        ("subject,f\nA,1e300\n", (), "a ratio of 1e+300"),
        ("subject,f\nA," + "z" * 1_000_000 + "\n", (), "1000000 characters"),
        (b"subject\n\xff\xfe\xff", (), "UTF-8"),
        ("subject,f\nA,1\n", ("--positive", "x"), "positive group"),
        ("subject,f\nA,1\n", ("--cut-off", "real"), "MAP=VALUE"),
        ("subject,f\nA,1\n", ("--cut-off", "real=nan"), "MAP=VALUE"),
        ("subject,f\nA,1\n", ("--cut-off", "adc=1"), "real, synthetic, f"),
        ("subject,f\nA,1\n", ("--confidence", "95"), "confidence"),
        ("subject,f\nA,1\n", ("--model", "x"), "one of the models"),
    ],
)
def test_bad_input_ends_with_two_and_one_line(tmp_path, capsys, content, arguments, match):
    path, out = tmp_path / "c.csv", tmp_path / "out"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["agreement", str(path), "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert match in error
    assert len(error) < 1000
    assert not out.exists()


def test_an_output_folder_that_is_a_file(table, tmp_path, capsys):
    (tmp_path / "out").write_text("here")
    assert main(["agreement", str(table), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_pdf_without_a_program_is_refused_first(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["agreement", str(table), "--out", str(tmp_path / "out"), "--pdf"]) == 2
    assert "prints pages" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_poor_data_is_said_not_computed(tmp_path, capsys):
    path = tmp_path / "c.csv"
    path.write_text("subject,group,real,synthetic\n\x1b[2J,<b>,2,2\nB,=x,2,\n")
    assert main(["agreement", str(path), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "not computed: " in printed
    assert "\x1b" not in printed
    content = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<b>" not in content
