"""Small parts of a self-contained HTML page: every text escaped, style inline, no script, no link outward."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

#: Longer texts are cut, so that one runaway string does not drown the page.
LONGEST = 2000

STYLE = """
:root { --ink: #1b2733; --soft: #5a6875; --line: #d5dce3; --wash: #f4f7f9; --brand: #0b5c7d; }
* { box-sizing: border-box; }
body { margin: 0; background: #e9eef2; color: var(--ink);
  font: 15px/1.5 "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; background: #fff; padding: 0 36px 28px; }
header { border-bottom: 3px solid var(--brand); padding: 24px 0 12px; display: flex;
  justify-content: space-between; align-items: baseline; flex-wrap: wrap; gap: 8px; }
h1 { font-size: 25px; margin: 0; } header p { margin: 0; color: var(--soft); }
h2 { font-size: 20px; margin: 34px 0 4px; color: var(--brand); border-bottom: 1px solid var(--line); }
h3 { font-size: 16px; margin: 22px 0 6px; }
p { margin: 6px 0; } .soft { color: var(--soft); font-size: 13.5px; }
.banner { background: #fff4e0; border: 1px solid #e2b25b; border-left: 6px solid #c77700;
  padding: 10px 16px; margin: 16px 0; } .banner strong { color: #7a3d00; }
nav a { color: var(--brand); margin-right: 18px; }
img { max-width: 100%; height: auto; display: block; border: 1px solid var(--line); }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 18px; }
.charts h2 { grid-column: 1 / -1; } .charts figure { margin: 4px 0; }
td .soft { white-space: nowrap; }
figure { margin: 8px 0; } figcaption { color: var(--soft); font-size: 13.5px; margin-top: 6px; }
table { border-collapse: collapse; margin: 6px 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
thead th { overflow-wrap: normal; background: var(--wash); font-size: 13px;
  border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; min-width: 64px; } td.n, th.n { text-align: right; overflow-wrap: normal; }
.badge { display: inline-block; min-width: 66px; text-align: center; border-radius: 3px; padding: 0 8px;
  font-size: 13px; font-weight: 600; color: #fff; background: #4d6476; }
.badge.error { background: #a31f1f; } .badge.warning { background: #9a5b00; }
code { font: 12.5px/1.4 Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
footer { margin-top: 30px; border-top: 1px solid var(--line); padding-top: 10px; }
@media screen and (max-width: 760px) { .charts { display: block; } }
@page { size: A4; margin: 10mm 12mm; }
@media print {
  body { background: #fff; font-size: 9.3pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; } h2 { margin-top: 14px; } h3 { margin-top: 14px; }
  header { padding-top: 0; } th, td { padding: 3px 7px; } nav, footer { display: none; }
  h2, h3, thead { break-after: avoid; } tr, figure, .banner { break-inside: avoid; }
  .charts figcaption { font-size: 8pt; }
  figure img { max-height: 150mm; width: auto; max-width: 100%; margin: 0 auto; }
  section.case + section.case { break-before: page; }
}
"""


def text(value: object) -> str:
    """Escape any value for HTML; None becomes a dash, floats four figures, long texts are cut."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = number(value) if isinstance(value, float) else str(value)
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST]} … ({len(shown)} characters)"
    return html.escape(shown, quote=True)


def number(value: float, digits: int = 4) -> str:
    """Give a number in `digits` significant figures (all of an integer part), infinity as ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    form = ".0f" if 10**digits <= abs(value) < 1e9 else f".{digits}g"
    return f"{value:{form}}".replace("-", "−")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """Give a table.

    Parameters
    ----------
    header : sequence of str
        Plain texts, escaped here.
    rows : sequence of sequence of str
        Cells as HTML, made with `text`; the first of each row is its heading.
    numeric : sequence of int
        Columns aligned to the right.
    """

    def cell(tag: str, column: int, content: str, scope: str = "") -> str:
        right = ' class="n"' if column in numeric else ""
        return f"<{tag}{scope}{right}>{content}</{tag}>"

    head = "".join(cell("th", i, text(title), ' scope="col"') for i, title in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(
            cell("td", i, content) if i else cell("th", i, content, ' scope="row"')
            for i, content in enumerate(row)
        )
        + "</tr>\n"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"


def tree_rows(tree: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Flatten a JSON-like tree to table rows of label and value; keys are joined with " · "."""
    rows: list[list[str]] = []
    for key, value in tree.items():
        label = prefix + str(key).replace("_", " ").replace("sha256", "SHA-256")
        if isinstance(value, Mapping) and value:
            rows += tree_rows(value, f"{label} · ")
        elif isinstance(value, list | tuple):
            rows.append([text(label), text(", ".join(_plain(item) for item in value) or None)])
        elif isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
            rows.append([text(label), f"<code>{value}</code>"])
        else:
            rows.append([text(label), text(value if value != {} else None)])
    return rows


def picture(png: bytes, alternative: str, caption: str) -> str:
    """Give a figure with its PNG inside the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{text(alternative)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text(caption)}</figcaption></figure>\n"
    )


def page(title: str, body: str) -> str:
    """Give a whole page; its policy forbids scripts and anything from outside."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _plain(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
