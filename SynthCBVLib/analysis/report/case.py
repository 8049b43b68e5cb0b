"""The report of one or more cases: one HTML file that needs nothing beside it and prints well."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from SynthCBVLib import __version__
from SynthCBVLib.analysis.report.content import CaseReport
from SynthCBVLib.analysis.report.html import page, text
from SynthCBVLib.analysis.report.identifiers import without_identifiers
from SynthCBVLib.analysis.report.sections import (
    findings_section,
    maps_section,
    provenance_section,
    ratios_section,
    registration_section,
    similarity_section,
)
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

TRAINED_ON = "The weights were trained on digital patients made by physics, not on people."
LIMITS = (
    "A synthetic rCBV map is a network's estimate from other images. It measures no contrast agent and "
    "cannot show perfusion that its inputs do not carry.",
    "Nothing here has been validated for diagnosis, grading or treatment decisions. Cut-offs published for "
    "real rCBV do not carry over.",
    "The uncertainty map is what the network expects of its own error on data like its training data. It "
    "does not cover errors on images unlike those.",
    "A T/WM ratio depends on where the regions lie. Look at their outlines before trusting it.",
)


def write_report(
    path: str | os.PathLike[str],
    cases: Sequence[CaseReport],
    *,
    title: str = "Synthetic rCBV report",
    show_subject: bool = False,
) -> Path:
    """Write the report of one or more cases or workflows, whole or not at all.

    Parameters
    ----------
    path : path-like
        HTML file.
    cases : sequence of CaseReport
        In order of appearance.
    title : str
        Heading of the page.
    show_subject : bool
        Show subjects' labels, paths and file names; otherwise they are left out ("case").

    Raises
    ------
    InputError
        If there is no case, images of a case lie on different grids, or the file cannot be written.
    """
    content = report_html(cases, title=title, show_subject=show_subject).encode("utf-8", errors="replace")
    with written_whole(path) as (temporary,):
        temporary.write_bytes(content)
    return Path(path)


def report_html(
    cases: Sequence[CaseReport], *, title: str = "Synthetic rCBV report", show_subject: bool = False
) -> str:
    """Give the report as HTML text; parameters and errors as `write_report`."""
    if not cases:
        raise InputError("report", "no case", "at least one case")
    if not show_subject:
        for case in cases:
            title = str(without_identifiers(title, case.subject))
    sections = [_case(case, index, show_subject) for index, case in enumerate(cases, start=1)]
    head = f"<header><h1>{text(title)}</h1><p>SynthCBV {text(__version__)}</p></header>\n{_banner(cases)}"
    if len(cases) > 1:
        links = "".join(
            f'<a href="#case-{i}">{text(_heading(case, show_subject))}</a>'
            for i, case in enumerate(cases, start=1)
        )
        head += f"<nav>{links}</nav>\n"
    limits = "".join(f"<li>{text(limit)}</li>" for limit in LIMITS)
    foot = (
        f"<section><h2>Limits of use</h2><ul>{limits}</ul></section>\n"
        '<footer class="soft">Research demonstration – not for diagnosis.</footer>\n'
    )
    return page(title, head + "".join(sections) + foot)


def _banner(cases: Sequence[CaseReport]) -> str:
    sentences = list(dict.fromkeys(case.model.get("training_data") or TRAINED_ON for case in cases))
    told = " ".join(text(sentence) for sentence in sentences)
    return (
        '<div class="banner"><strong>Research demonstration – not for diagnosis.</strong> '
        f"{told} The maps below are synthetic: computed from images made without a contrast bolus.</div>\n"
    )


def _heading(case: CaseReport, show_subject: bool) -> str:
    if show_subject and case.subject:
        return f"{case.title} – subject {case.subject}"
    return str(without_identifiers(case.title, case.subject)) or "Case"


def _case(case: CaseReport, index: int, show_subject: bool) -> str:
    def cleaned(value: Any) -> Any:
        return value if show_subject else without_identifiers(value, case.subject)

    provenance = cleaned(case.provenance)
    parts = [
        f'<section class="case" id="case-{index}"><h2>{text(_heading(case, show_subject))}</h2>\n',
        maps_section(case),
        ratios_section(case, cleaned),
        similarity_section(case),
        findings_section(case, cleaned),
        registration_section(provenance.get("registration")),
        provenance_section(provenance),
        "</section>\n",
    ]
    return "".join(parts)
