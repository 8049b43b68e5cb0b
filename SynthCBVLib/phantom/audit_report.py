"""The audit as a page: every bar with its figure, what can be told at best, the tissues' means, pictures."""

from __future__ import annotations

import math
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.phantom.audit import AUDITED, RECURRENCES, TEACHERS, Audit, Bar

#: What stands between these lines of the page is the audit's; the rest is written by hand.
BEGIN, END = "<!-- audit: begin -->", "<!-- audit: end -->"
#: Units of the maps, and the factor they are shown with.
_UNITS = {
    "f": ("%", 100), "fitted f": ("%", 100), "d": ("1e-3 mm²/s", 1e3), "fitted D": ("1e-3 mm²/s", 1e3),
    "ADC": ("1e-3 mm²/s", 1e3), "d_star": ("1e-3 mm²/s", 1e3), "cbv": ("ml/100 ml", 1),
    "cbf": ("ml/100 g/min", 1), "ASL CBF": ("ml/100 g/min", 1), "arterial_transit_time": ("s", 1),
    "real rCBV": ("× white matter", 1), "true rCBV": ("× white matter", 1),
}  # fmt: skip
_NAMES = {"f": "true f", "d": "true D", "d_star": "true D*", "cbv": "true CBV", "cbf": "true CBF",
          "arterial_transit_time": "true arrival time"}  # fmt: skip


def table(audit: Audit) -> str:
    """Give the audit's tables as Markdown."""
    lines = [
        f"{audit.patients} patients (seeds {AUDITED[0][0]} to {AUDITED[-1][0]}); the regression's weights "
        f"come from {len(TEACHERS)} others (seeds from {TEACHERS[0][0]}), late blood from {len(RECURRENCES)} "
        f"recurrences (seeds from {RECURRENCES[0][0]}).",
        "",
        "| figure | found | needed | | spread |",
        "|---|---|---|---|---|",
    ]
    for bar in audit.bars:
        lines.append(
            f"| {bar.name} | {_short(bar.found)} | {needed(bar)} | {'met' if bar.met else '**missed**'} "
            f"| {bar.note} |"
        )
    lines += [
        "",
        "| known exactly, voxel by voxel | patients | r of T/WM with real rCBV | 95 % interval | slope |",
        "|---|---|---|---|---|",
    ]
    for bound in audit.bounds:
        interval = f"{bound.low:.2f} to {bound.high:.2f}"
        known, who = bound.known, f"{bound.n} {bound.group}"
        lines.append(f"| {known} | {who} | {bound.r:.2f} | {interval} | {bound.slope:.2f} |")
    lines += [
        "",
        "| tissue | map | mean ± SD over patients | range of the table | unit |",
        "|---|---|---|---|---|",
    ]
    for tissue, name, mean, spread, low, high in audit.tissues:
        unit, factor = _UNITS.get(name, ("", 1))
        allowed = f"{_short(low * factor)} to {_short(high * factor)}" if math.isfinite(low) else ""
        lines.append(
            f"| {tissue} | {_NAMES.get(name, name)} | {_short(mean * factor)} ± {_short(spread * factor)} "
            f"| {allowed} | {unit} |"
        )
    return "\n".join(lines)


def needed(bar: Bar) -> str:
    """Give a bar's bounds in words."""
    if bar.low == bar.high:
        return _short(bar.low)
    if bar.low in (0.0, -1):
        return f"at most {_short(bar.high)}"
    if bar.high == 1.0 and bar.low > 0.8:
        return f"at least {_short(bar.low)}"
    return f"{_short(bar.low)} to {_short(bar.high)}"


def _short(value: float) -> str:
    return f"{value:.3g}"


def write_report(audit: Audit, page: Path) -> None:
    """Put the audit's tables into a page, between its marks; a page that is not there begins with them.

    Raises
    ------
    InputError
        If the page has no marks.
    """
    from SynthCBVLib.imaging.files import written_whole

    text = page.read_text(encoding="utf-8") if page.exists() else f"# Digital patients\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        raise InputError(page, "no marks of the audit", f"the lines {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(page) as (temporary,):
        temporary.write_text(f"{before}{BEGIN}\n{table(audit)}\n{END}{after}", encoding="utf-8")


def write_pictures(folder: Path) -> list[Path]:
    """Draw the pictures of the page: modalities and truths, slices, diseases."""
    from SynthCBVLib.phantom import pictures

    paths = [folder / f"digital-{name}.png" for name in ("modalities", "slices", "diseases")]
    pictures.modalities_figure(SHOWN, "compact", paths[0])
    pictures.slices_figure(SLICES, "compact", paths[1])
    pictures.diseases_figure(DISEASES, "compact", paths[2])
    return paths


#: Patients in the pictures, taken for a lesion that shows well; nothing was tuned on them.
SHOWN = {"wildtype": 6008, "mutant": 6015}
SLICES = {"none": 6005, "wildtype": 6008}
DISEASES = [
    ("recurrence", 42005, "recurrence"),
    ("recurrence", 42004, "recurrence, late blood"),
    ("response", 42000, "treatment response"),
    ("metastasis", 42003, "metastases"),
]
