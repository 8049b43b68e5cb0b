"""The table of T/WM ratios and what speaks against it, as text for a label."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.panel.synthesis import COLOURS
from SynthCBVLib.scene.ratios import CONFORMAL
from SynthCBVLib.scene.results import findings_of

if TYPE_CHECKING:
    import slicer
    import vtk

_CELL = '<td align="right" style="padding-right: 8px">{text}</td>'


def ratio_text(table: slicer.vtkMRMLTableNode | None) -> str:
    """Give a table of ratios and its findings as rich text; empty where there is no ratio."""
    if table is None or not table.GetNumberOfRows() or not table.GetNumberOfColumns():
        return ""
    content = table.GetTable()
    names = [content.GetColumnName(i) for i in range(content.GetNumberOfColumns())]
    interval = next((name for name in names if name.endswith("interval")), None)
    heads = [_("T/WM ratio"), *([interval] if interval else []), _("Tumour"), _("White matter")]
    lines = ["<tr><td></td>" + "".join(_CELL.format(text=html.escape(head)) for head in heads) + "</tr>"]
    for row in range(content.GetNumberOfRows()):

        def cell(name: str, row: int = row) -> str:
            return content.GetColumnByName(name).GetValue(row)

        shown = [f"<b>{cell('T/WM'):.2f}</b>"]
        if interval:
            shown.append(html.escape(cell(interval)) or "–")
        shown += [f"{cell(name):#.3g}" for name in ("Tumour", "White matter")]
        first = f'<td style="padding-right: 8px">{html.escape(cell("Map"))}</td>'
        lines.append(f"<tr>{first}{''.join(_CELL.format(text=one) for one in shown)}</tr>")
    return f"<table>{''.join(lines)}</table>{_expected(content, names)}{finding_text(findings_of(table))}"


def _expected(content: vtk.vtkTable, names: Sequence[str]) -> str:
    """Say within what the real ratio is to be expected, where a model was calibrated for it."""
    column = next((name for name in names if name.endswith(CONFORMAL)), None)
    if column is None:
        return ""
    level = column.removesuffix(CONFORMAL).strip()
    text = _(
        "{map}: the real ratio is expected within <b>{interval}</b> ({level} interval, conformal: made to "
        "hold it in {level} of patients like those that the model was calibrated on)."
    )
    lines = []
    for row in range(content.GetNumberOfRows()):
        found = content.GetColumnByName(column).GetValue(row)
        if found:
            name = html.escape(content.GetColumnByName("Map").GetValue(row))
            line = text.format(map=name, interval=html.escape(found), level=level)
            lines.append(f'<p style="margin:4px 0 0 0">{line}</p>')
    return "".join(lines)


def finding_text(findings: Sequence[Finding]) -> str:
    """Give findings as paragraphs of rich text; empty without any."""
    words = {"error": _("Error"), "warning": _("Warning"), "info": _("Note")}
    lines = []
    for one in findings:
        colour = COLOURS.get(one.severity, COLOURS["info"])
        word = words.get(one.severity, one.severity)
        line = f'<b style="color:{colour}">{html.escape(word)}:</b> {html.escape(one.what)}'
        remedy = f" <i>{html.escape(one.remedy)}</i>" if one.remedy else ""
        lines.append(f'<p style="margin:4px 0 0 0">{line}{remedy}</p>')
    return "".join(lines)
