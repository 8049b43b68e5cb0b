"""The report of a cohort: one HTML file with statistics in words and numbers, figures, cases, limits."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from SynthCBVLib import __version__
from SynthCBVLib.analysis.cohort.figures import chart_png
from SynthCBVLib.analysis.cohort.plots import Chart, charts
from SynthCBVLib.analysis.cohort.results import ALL, CohortAnalysis, StatisticRow
from SynthCBVLib.analysis.cohort.scores import PREFIX
from SynthCBVLib.analysis.cohort.statistics import p_text, sentences, statistic_rows
from SynthCBVLib.analysis.cohort.table import Cell, is_number_column
from SynthCBVLib.analysis.report.case import LIMITS, TRAINED_ON
from SynthCBVLib.analysis.report.html import number, page, picture, table, text
from SynthCBVLib.analysis.report.identifiers import without_identifiers
from SynthCBVLib.imaging.files import written_whole

TITLE = "Agreement of synthetic with real rCBV"
#: Cases listed one by one; the CSV file beside the report has all of them.
MOST_LISTED = 500
COHORT_LIMITS = (
    "Intervals and P take the cases as independent and drawn at random from the patients meant. Cases that "
    "were left out for missing values may differ from the others.",
    "Many statistics stand here side by side; P values are not corrected for their number.",
    "A cut-off chosen on these cases (Youden's point) does better on them than it will on others.",
)
_PRIVATE = frozenset({"subject"})
_SHOWN_WITHOUT_NAMES = ("model", "group")


def write_cohort_report(
    path: str | os.PathLike[str],
    analysis: CohortAnalysis,
    *,
    title: str = TITLE,
    show_subjects: bool = False,
    figures: Sequence[tuple[Chart, bytes]] | None = None,
) -> Path:
    """Write the report as one HTML file, whole or not at all.

    Parameters
    ----------
    path : path-like
        HTML file.
    analysis : CohortAnalysis
        Of `SynthCBVLib.analysis.cohort.analysis.analyze`.
    title : str
        Heading of the page.
    show_subjects : bool
        Show subjects' labels, raters' names and the table's extra columns, which may name people; otherwise
        cases and raters are numbered and only known columns are shown.
    figures : sequence of (Chart, bytes), optional
        Charts with their PNG, if they were drawn already.

    Raises
    ------
    InputError
        If the file cannot be written, or matplotlib is not installed.
    """
    content = cohort_report_html(analysis, title=title, show_subjects=show_subjects, figures=figures)
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content.encode("utf-8", errors="replace"))
    return Path(path)


def _shown_names(columns: Sequence[str], show_subjects: bool) -> dict[str, str]:
    """Give the columns' names as shown: raters are numbered unless people may be named."""
    scores = [name for name in columns if name.lower().startswith(PREFIX)]
    numbered = {name: f"score, rater {i}" for i, name in enumerate(scores, start=1)}
    return {name: name if show_subjects else numbered.get(name, name) for name in columns}


def cohort_report_html(
    analysis: CohortAnalysis,
    *,
    title: str = TITLE,
    show_subjects: bool = False,
    figures: Sequence[tuple[Chart, bytes]] | None = None,
) -> str:
    """Give the report as HTML text; parameters and errors as `write_cohort_report`."""
    if not show_subjects:
        title = str(without_identifiers(title))
    if figures is None:
        figures = [(chart, chart_png(chart)) for chart in charts(analysis)]
    names = _shown_names(analysis.table.columns, show_subjects)
    body = [
        f"<header><h1>{text(title)}</h1><p>SynthCBV {text(__version__)}</p></header>\n",
        '<div class="banner"><strong>Research demonstration – not for diagnosis.</strong> ',
        f"{text(TRAINED_ON)} This holds for the weights that come with SynthCBV; for others see their model "
        "card.</div>\n",
        _in_words(analysis),
        _findings(analysis, names),
        _figures(figures),
        _statistics(analysis, names),
        _cases(analysis, show_subjects, names),
        _provenance(analysis),
        "<section><h2>Limits of use</h2><ul>",
        "".join(f"<li>{text(limit)}</li>" for limit in (*LIMITS, *COHORT_LIMITS)),
        "</ul></section>\n",
        '<footer class="soft">Research demonstration – not for diagnosis.</footer>\n',
    ]
    return page(title, "".join(body))


def _in_words(analysis: CohortAnalysis) -> str:
    items = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences(analysis))
    return f"<section><h2>Results in words</h2><ul>{items}</ul></section>\n"


def _findings(analysis: CohortAnalysis, names: Mapping[str, str]) -> str:
    rows = [['<span class="badge info">note</span>', text(note), "–"] for note in analysis.notes]
    for column, count in analysis.table.missing().items():
        if is_number_column(column) and 0 < count < len(analysis.table):
            what = f"{names[column]}: {count} of {len(analysis.table)} cases without a value."
            told = "They are left out of the statistics that need it, and counted there."
            rows.append(['<span class="badge warning">missing</span>', text(what), told])
    for one in analysis.not_computed:
        badge = '<span class="badge warning">not computed</span>'
        rows.append([badge, text(one.what), text(one.why)])
    if not rows:
        return "<section><h2>Findings</h2><p>Nothing was noticed.</p></section>\n"
    return "<section><h2>Findings</h2>" + table(["Kind", "What", "Why"], rows) + "</section>\n"


def _figures(figures: Sequence[tuple[Chart, bytes]]) -> str:
    if not figures:
        return "<section><h2>Figures</h2><p>There are no numbers for a figure.</p></section>\n"
    shown = "".join(picture(data, chart.title, chart.caption) for chart, data in figures)
    return f'<section class="charts"><h2>Figures</h2>{shown}</section>\n'


def _statistics(analysis: CohortAnalysis, names: Mapping[str, str]) -> str:
    rows = statistic_rows(analysis)
    parts = ["<section><h2>Statistics</h2>\n"]
    for what in dict.fromkeys(row.subject_of for row in rows if row.section == "Agreement"):
        own = [row for row in rows if row.section == "Agreement" and row.subject_of == what]
        parts.append(f"<h3>{text(what)}</h3>\n" + _by_group(own))
    for section, heading in (
        ("Groups", "T/WM ratios of the groups"),
        ("ROC", "ROC curves"),
        ("Raters", "Scores of raters"),
    ):
        own = [row for row in rows if row.section == section]
        if own:
            parts.append(f"<h3>{heading}</h3>\n" + _row_by_row(own))
    if analysis.summaries:
        parts.append("<h3>Columns of the table</h3>\n" + _summaries(analysis, names))
    parts.append(
        f'<p class="soft">Intervals at {analysis.confidence:.0%}, two-sided. n: cases that went in; missing: '
        "cases left out because a value is missing or not finite. Differences are real – map. P of Pearson's "
        "r and of the slope are those of no relation.</p></section>\n"
    )
    return "".join(parts)


def _by_group(rows: Sequence[StatisticRow]) -> str:
    """Give one comparison as a table with a column a group."""
    groups = list(dict.fromkeys(row.group for row in rows))
    cells = {(row.statistic, row.group): row for row in rows}
    first = {group: next(row for row in rows if row.group == group) for group in groups}
    lines = [["n (missing)", *(text(f"{first[g].n} ({first[g].n_missing})") for g in groups)]]
    for statistic in dict.fromkeys(row.statistic for row in rows):
        lines.append([text(statistic), *(_number(cells.get((statistic, group))) for group in groups)])
    return table(["Statistic", *groups], lines, range(1, len(groups) + 1))


def _row_by_row(rows: Sequence[StatisticRow]) -> str:
    lines = [
        [
            text(row.subject_of),
            text(row.group),
            text(row.statistic),
            text(f"{row.n} ({row.n_missing})"),
            _number(row),
        ]
        for row in rows
    ]
    return table(["What", "Group", "Statistic", "n (missing)", "Value"], lines, (3, 4))


def _summaries(analysis: CohortAnalysis, names: Mapping[str, str]) -> str:
    lines = [
        [
            text(names[one.column]), text(f"{one.n} ({one.n_missing})"),
            *(text(_shown(value)) for value in (one.mean, one.sd, one.median, one.low, one.high)),
        ]
        for one in analysis.summaries
    ]  # fmt: skip
    header = ["Column", "n (missing)", "Mean", "SD", "Median", "Smallest", "Largest"]
    return table(header, lines, range(1, 7))


def _number(row: StatisticRow | None) -> str:
    """Give a number with its interval and P as HTML."""
    if row is None:
        return "–"
    told = [] if row.low != row.low else [f"{_shown(row.low)} to {_shown(row.high)}"]
    told += [] if row.p != row.p else [p_text(row.p)]
    value = "" if row.value != row.value else f"<strong>{text(_shown(row.value))}</strong>"
    if not told:
        return value or "–"
    beside = f"({'; '.join(told)})" if value else told[0]
    return f'{value} <span class="soft">{text(beside)}</span>'


def _cases(analysis: CohortAnalysis, show_subjects: bool, names: Mapping[str, str]) -> str:
    cohort = analysis.table
    columns = [
        column
        for column in cohort.columns
        if column not in ("weights", "software")
        and (show_subjects or is_number_column(column) or column in _SHOWN_WITHOUT_NAMES)
        and any(cell is not None for cell in cohort.column(column))
    ]
    shown = cohort.records()[:MOST_LISTED]
    rows = []
    for i, record in enumerate(shown, start=1):
        cells = [_cell(record[column]) for column in columns]
        rows.append(cells if show_subjects else [text(f"Case {i}"), *cells])
    header = columns if show_subjects else ["Case", *columns]
    numeric = [i for i, column in enumerate(header) if is_number_column(column)]
    rest = len(cohort) - len(shown)
    note = f'<p class="soft">{rest} more cases are not listed here.</p>' if rest else ""
    hidden = (
        ""
        if show_subjects
        else '<p class="soft">Subjects\' labels and columns beside the known ones are left out, as they may '
        "name people.</p>\n"
    )
    listed = table([names.get(name, name) for name in header], rows, numeric)
    return f"<section><h2>Cases</h2>\n{listed}{note}{hidden}</section>\n"


def _provenance(analysis: CohortAnalysis) -> str:
    names = ("model", "weights", "software")
    counted = Counter(zip(*(analysis.table.column(name) for name in names), strict=True))
    rows = [
        [text(model or "not recorded"), _code(weights), text(software or "not recorded"), text(count)]
        for (model, weights, software), count in counted.most_common(50)
    ]
    told = (
        table(["Model", "SHA-256 of the weights", "Software", "Cases"], rows, (3,))
        + f'<p class="soft">This report: SynthCBV {text(__version__)}, statistics over {text(ALL)} '
        "of the table and over its groups.</p>"
    )
    return f"<section><h2>Provenance of the cases</h2>\n{told}</section>\n"


def _cell(value: Cell) -> str:
    return text(number(value) if isinstance(value, float) else value)


def _code(value: Cell) -> str:
    return "not recorded" if value is None else f"<code>{text(value)}</code>"


def _shown(value: float) -> str | None:
    return None if value != value else number(value)
