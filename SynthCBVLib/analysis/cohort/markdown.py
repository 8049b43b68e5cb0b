"""The statistics of a cohort as Markdown, for a manuscript or a wiki."""

from __future__ import annotations

import html
import math
import os
import re
from pathlib import Path

from SynthCBVLib.analysis.cohort.results import CohortAnalysis
from SynthCBVLib.analysis.cohort.statistics import HEADER, sentences, statistic_rows
from SynthCBVLib.analysis.report.html import LONGEST, number
from SynthCBVLib.imaging.files import written_whole


def write_markdown(analysis: CohortAnalysis, path: str | os.PathLike[str], *, title: str) -> Path:
    """Write results in words and all numbers as Markdown, whole or not at all; names are escaped.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = markdown(analysis, title=title).encode("utf-8", errors="replace")
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def markdown(analysis: CohortAnalysis, *, title: str) -> str:
    """Give the text of `write_markdown`."""
    parts = [f"# {_escaped(title)}", "", "Research demonstration – not for diagnosis.", ""]
    parts += [f"- {_escaped(sentence)}" for sentence in sentences(analysis)]
    if analysis.notes or analysis.not_computed:
        parts += ["", "## Findings", ""]
        parts += [f"- {_escaped(note)}" for note in analysis.notes]
        parts += [f"- Not computed: {_escaped(f'{one.what}: {one.why}')}" for one in analysis.not_computed]
    parts += ["", "## Statistics", ""]
    parts += ["| " + " | ".join(HEADER) + " |", "|---|---|---|---|--:|--:|--:|--:|--:|--:|"]
    for row in statistic_rows(analysis):
        names = [_escaped(name) for name in (row.section, row.subject_of, row.group, row.statistic)]
        numbers = [str(row.n), str(row.n_missing), *map(_number, (row.value, row.low, row.high)), _p(row.p)]
        parts.append("| " + " | ".join([*names, *numbers]) + " |")
    parts += ["", f"Intervals at {analysis.confidence:.0%}, two-sided; differences are real – map.", ""]
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Escape what Markdown or HTML would take for marks; long texts are cut."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text)} characters)"
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", plain)


def _number(value: float) -> str:
    return "" if math.isnan(value) else number(value)


def _p(p: float) -> str:
    return "" if math.isnan(p) else "< 0.0001".replace("<", "&lt;") if p < 1e-4 else number(p, 2)
