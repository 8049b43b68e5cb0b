"""The report of a cohort: one file with everything in it, escaped, and nobody named unasked."""

from __future__ import annotations

import base64
import os
import re
import stat
import struct
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest

from SynthCBVLib.analysis.cohort import report as cohort_report
from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.figures import chart_png, save_chart
from SynthCBVLib.analysis.cohort.markdown import markdown
from SynthCBVLib.analysis.cohort.plots import charts
from SynthCBVLib.analysis.cohort.report import cohort_report_html, write_cohort_report
from SynthCBVLib.analysis.cohort.table import CohortTable, table_of
from SynthCBVLib.analysis.report import printing
from SynthCBVLib.errors import InputError

HOSTILE = '<script>alert("x")</script>&\'" onload='


def cohort(n: int = 24, groups: tuple[str, str] = ("wildtype", "mutant"), **extra: str) -> CohortTable:
    rng = np.random.default_rng(1)
    records = []
    for i in range(n):
        real = float(rng.gamma(8, 0.55 if i % 2 else 0.9))
        records.append(
            {
                "subject": f"Smith{i}",
                "model": "ivim",
                "group": groups[i % 2],
                "ratio_real": None if i == 3 else real,
                "ratio_synthetic": 0.75 * real + float(rng.normal(0, 0.4)),
                "ratio_f": float(rng.gamma(8, 0.2)),
                "weights": "ab" * 32,
                "software": "SynthCBV 1.0",
            }
            | extra
        )
    return table_of(records)


@pytest.fixture(autouse=True)
def small_figures(monkeypatch):
    """Draw the figures of reports coarsely; the fixture `content` is made before, sharp."""
    monkeypatch.setattr(cohort_report, "chart_png", partial(chart_png, dpi=40))


class Tags(HTMLParser):
    """Collects tags and checks that they nest."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs), attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(content: str) -> Tags:
    tags = Tags()
    tags.feed(content)
    assert not tags.open
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    return tags


@pytest.fixture(scope="module")
def content() -> str:
    return cohort_report_html(analyze(cohort()))


def test_all_sections_in_one_file(content):
    tags = check(content)
    for heading in (
        "Results in words",
        "Findings",
        "Figures",
        "Statistics",
        "Cases",
        "Provenance",
        "Limits of use",
    ):
        assert heading in content
    assert tags.seen.count("img") == 6
    assert "not for diagnosis" in content
    assert "1 of 24 cases without a value" in content
    assert "ab" * 32 in content
    assert not re.search(r'(src|href)="(?!data:)', content)


def test_pictures_are_sharp(content):
    for data in re.findall(r'src="data:image/png;base64,([^"]+)"', content):
        width, height = struct.unpack(">II", base64.b64decode(data)[16:24])
        assert min(width, height) >= 800


def test_nobody_is_named_unasked(content):
    assert "Smith" not in content
    assert "Case 1" in content
    named = cohort_report_html(analyze(cohort(hospital="St. Elsewhere")), show_subjects=True, figures=())
    assert "Smith0" in named
    assert "St. Elsewhere" in named
    hidden = cohort_report_html(analyze(cohort(hospital="St. Elsewhere")), figures=())
    assert "Elsewhere" not in hidden


@pytest.mark.parametrize(
    "name", [HOSTILE, "=cmd|'/c calc'!A1", "a" * 1_000_000, "_x$y^{\\frac$", "ü\u202e漢\n\t|*`"]
)
def test_hostile_names_are_escaped_everywhere(name):
    table = cohort(8, groups=(name, f"mutant {name}"))
    table = CohortTable(table.columns, tuple((name + str(i), *row[1:]) for i, row in enumerate(table.rows)))
    found = analyze(table)
    figures = [(chart, chart_png(chart, dpi=30)) for chart in charts(found)]
    assert [data[:4] for _, data in figures] == [b"\x89PNG"] * 6
    content = cohort_report_html(found, title=name, show_subjects=True, figures=figures)
    check(content)
    assert "<script" not in content.replace("&lt;script", "")
    assert len(content) < 5_000_000
    text = markdown(found, title=name)
    assert "<script" not in text
    assert len(text) < 2_000_000
    assert all(
        line.count("|") - line.count("\\|") == 11 for line in text.splitlines() if line.startswith("| ")
    )


def test_a_case_alone_has_a_report():
    found = analyze(table_of([{"subject": "A", "ratio_real": 2.0, "ratio_synthetic": 2.2}]))
    content = cohort_report_html(found)
    check(content)
    assert "no numbers for a figure" in content
    assert "not computed" in content


def test_the_same_cohort_gives_the_same_report():
    one, other = (
        cohort_report_html(found, figures=[(chart, chart_png(chart, dpi=30)) for chart in charts(found)[:1]])
        for found in (analyze(cohort()), analyze(cohort()))
    )
    assert one == other


def test_files_are_written_whole(tmp_path):
    found = analyze(cohort())
    assert write_cohort_report(tmp_path / "new" / "r.html", found, figures=()).is_file()
    save_chart(charts(found)[0], tmp_path / "c.png", dpi=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "new"]
    with pytest.raises(InputError, match="a folder"):
        write_cohort_report(tmp_path / "new", found, figures=())


def engine(folder, body: str):
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_pdf_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    page = tmp_path / "r.html"
    page.write_text("<p>hello</p>")
    good = 'for a; do case $a in --print-to-pdf=*) printf %%PDF-1.4 > "${a#--print-to-pdf=}";; esac; done'
    out = printing.write_pdf(page, tmp_path / "r.pdf", engine=engine(tmp_path, good))
    assert out.read_bytes() == b"%PDF-1.4"
    for body in ("exit 3", "exit 0", good.replace("%%PDF", "oops")):
        with pytest.raises(InputError, match="chromium wrote no PDF"):
            printing.write_pdf(page, tmp_path / "bad.pdf", engine=engine(tmp_path, body))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chromium", "r.html", "r.pdf"]
    monkeypatch.setattr(printing, "LONGEST", 0.2)
    with pytest.raises(InputError, match="no end after"):
        printing.write_pdf(page, tmp_path / "bad.pdf", engine=engine(tmp_path, "exec sleep 5"))


def test_no_engine_and_no_page_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert printing.printing_engine() is None
    with pytest.raises(InputError, match="no program that prints pages"):
        printing.write_pdf(tmp_path / "r.html", tmp_path / "r.pdf")
    with pytest.raises(InputError, match="no such file"):
        printing.write_pdf(tmp_path / "r.html", tmp_path / "r.pdf", engine=tmp_path / "chromium")


@pytest.mark.skipif(printing.printing_engine() is None, reason="no program that prints pages")
def test_the_engine_of_this_machine_prints(tmp_path):
    page = write_cohort_report(tmp_path / "Größe 1.html", analyze(cohort()), figures=())
    assert printing.write_pdf(page, tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_raters_are_numbered_unless_asked_for():
    scored = [{"subject": "A", "score_Wang": 3.0, "score_Keller": 1.0}, {"subject": "B", "score_Wang": 3.0}]
    found = analyze(table_of(scored))
    hidden = cohort_report_html(found, figures=())
    assert "Wang" not in hidden
    assert "Keller" not in hidden
    assert "score, rater 2: 1 of 2 cases without a value." in hidden
    assert "score_Wang" in cohort_report_html(found, figures=(), show_subjects=True)
