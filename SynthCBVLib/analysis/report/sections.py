"""The sections of a case's report, each as HTML with every text escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from SynthCBVLib.analysis.calibrated_ratio import calibration_of, real_ratio_interval
from SynthCBVLib.analysis.measured_ratio import SYNTHETIC
from SynthCBVLib.analysis.report.content import CaseReport
from SynthCBVLib.analysis.report.figures import overview, png
from SynthCBVLib.analysis.report.html import number, picture, table, text, tree_rows

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

_SEVERITIES = ("error", "warning", "info")


def maps_section(case: CaseReport) -> str:
    """Show slices of all maps with the regions."""
    figure = overview(
        case.reference,
        case.synthetic,
        case.real,
        case.uncertainty,
        case.f_map,
        case.mask,
        case.regions,
        anatomy_name=case.reference_name or str(case.provenance.get("reference", "Anatomy")),
        unit=f"rCBV ({case.unit})",
    )
    caption = (
        "Slices nearest to axial, patient's right on the left; positions are those of the slice centre. "
        + ("Real and synthetic rCBV share one window. " if case.real is not None else "")
        + ("Tumour regions are outlined in magenta, white-matter regions in white." if case.regions else "")
    )
    return f"<h3>Maps</h3>\n{picture(png(figure), 'Axial slices of the maps with their regions', caption)}"


def ratios_section(case: CaseReport, cleaned: Callable[[Any], Any]) -> str:
    """Show the ratios, how sure they are, and what they were made of; `cleaned` takes out identifiers."""
    if not case.ratios:
        return "<h3>Tumour-to-white-matter ratio</h3><p>No regions were given.</p>\n"
    real = next((row for row in case.ratios if row.map.lower().startswith("real")), None)
    levels = {row.interval.level for row in case.ratios if row.interval is not None}
    header = ["Map", "T/WM ratio"]
    header += [f"{levels.pop():.0%} interval" if len(levels) == 1 else "Interval"] if levels else []
    expected = next(
        (real_ratio_interval(row, case.provenance) for row in case.ratios if row.map == SYNTHETIC), None
    )
    header += [f"{expected.level:.0%} interval (conformal)"] if expected else []
    header += ["Tumour mean", "White-matter mean", "Regions"]
    header += ["Difference from real"] if real else []
    rows = []
    for row in case.ratios:
        ratio, interval = row.ratio, row.interval
        cells = [text(cleaned(row.map)), f"<strong>{ratio.ratio:.2f}</strong>"]
        if "nterval" in header[2]:
            cells.append(_from_to(interval))
        if expected:
            cells.append(_from_to(expected if row.map == SYNTHETIC else None))
        cells += [
            text(ratio.tumour),
            text(ratio.white_matter),
            text(f"{ratio.n.tumour} + {ratio.n.white_matter}"),
        ]
        if real:
            known = row is not real and real.ratio.ratio
            cells.append(_percent(ratio.ratio / real.ratio.ratio - 1) if known else "–")
        rows.append(cells)
    names = list(dict.fromkeys(region.name for row in case.ratios for region in row.regions))
    detail = []
    for row in case.ratios:
        by_name = {region.name: region for region in row.regions}
        detail.append([text(cleaned(row.map))] + [_mean_sd(by_name.get(name)) for name in names])
    sure = (
        " The interval follows from the map's own uncertainty; voxels of a region are taken to err together. "
        "It does not cover where the regions lie."
        if any(row.interval is not None for row in case.ratios)
        else ""
    )
    if expected:
        n = calibration_of(case.provenance).get("ratios")
        sure += (
            f" The conformal interval is made to hold the real ratio in {expected.level:.0%} of patients "
            f"like the {f'{n} ' if n else 'ones '}that the model was calibrated on."
        )
    return (
        "<h3>Tumour-to-white-matter ratio</h3>\n"
        + table(header, rows, range(1, len(header)))
        + '<p class="soft">Ratio of the mean of the tumour regions’ means to the mean of the white-matter '
        f"regions’ means. Means are in each map's own unit; that of synthetic rCBV: {text(case.unit)}."
        f"{text(sure)}</p>\n"
        + "<h3>Regions: mean ± SD</h3>\n"
        + table(["Map", *(cleaned(name) for name in names)], detail, range(1, len(names) + 1))
    )


def similarity_section(case: CaseReport) -> str:
    """Show SSIM and PSNR, with what they depend on."""
    found = case.similarity
    if found is None:
        return "<h3>Similarity to real rCBV</h3><p>No real rCBV map was given.</p>\n"
    named = found if isinstance(found, Mapping) else {"Synthetic against real": found}
    rows = [
        [
            text(name),
            f"<strong>{one.ssim:.3f}</strong>"
            + ("" if one.ssim_sd != one.ssim_sd else f" ± {one.ssim_sd:.3f}"),
            f"<strong>{text(number(one.psnr))}</strong> dB",
            text(number(one.data_range)),
            text(f"{one.n_slices}"),
        ]
        for name, one in named.items()
    ]
    first = next(iter(named.values()))
    how = "mean ± SD over axial slices with brain" if first.mode == "slices" else "of the volume"
    return (
        "<h3>Similarity to real rCBV</h3>\n"
        + table(["Comparison", "SSIM", "PSNR", "Data range", "Slices"], rows, (1, 2, 3, 4))
        + f'<p class="soft">Over the brain\'s bounding box. SSIM {how}; Gaussian window of '
        f"{first.window} voxels, sigma {first.sigma:g}. Data range: maximum − minimum of the real map in the "
        "box unless another was given; map units.</p>\n"
    )


def findings_section(case: CaseReport, cleaned: Callable[[Any], Any]) -> str:
    """List the findings, errors first; `cleaned` takes out identifiers."""
    if not case.findings:
        return "<h3>Findings</h3><p>Nothing was noticed.</p>\n"

    def rank(finding: Finding) -> int:
        severity = _word(finding.severity).lower()
        return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)

    rows = []
    for finding in sorted(case.findings, key=rank):
        severity = _word(finding.severity)
        style = severity.lower() if severity.lower() in _SEVERITIES else ""
        badge = f'<span class="badge {style}">{text(severity)}</span>'
        modality = None if finding.modality is None else _word(finding.modality)
        rows.append(
            [badge, text(modality), text(cleaned(finding.what)), text(cleaned(finding.remedy) or None)]
        )
    return "<h3>Findings</h3>\n" + table(["Severity", "Image", "What was noticed", "What to do"], rows)


def registration_section(found: Any) -> str:
    """List which images were moved."""
    if not isinstance(found, Mapping) or not found:
        return "<h3>Registration</h3><p>No image was moved.</p>\n"
    rows, metrics = [], []
    for modality, entry in found.items():
        entry = entry if isinstance(entry, Mapping) else {}
        applied = entry.get("applied")
        state = "not searched" if applied is None else "applied" if applied else "header kept"
        rows.append([text(modality), text(entry.get("before")), text(entry.get("after")), state])
        metrics.append(entry.get("metric"))
    metric = next((str(metric) for metric in metrics if metric), "")
    note = f'<p class="soft">Metric: {text(metric)}.</p>\n' if metric else ""
    return (
        "<h3>Registration</h3>\n"
        + table(["Image", "Metric before", "Metric after", "Alignment found"], rows, (1, 2))
        + note
    )


def provenance_section(provenance: Mapping[str, Any]) -> str:
    """List what the map was made from, and with what."""
    own = {key: value for key, value in provenance.items() if key not in ("registration", "findings")}
    if not own:
        return "<h3>Provenance</h3><p>None was recorded.</p>\n"
    return "<h3>Provenance</h3>\n" + table(["What", "Value"], tree_rows(own))


def _mean_sd(region: Any) -> str:
    if region is None:
        return "–"
    spread = "" if region.sd != region.sd else f" ± {number(region.sd, 2)}"
    return text(number(region.mean, 3) + spread)


def _from_to(interval: Any) -> str:
    return "–" if interval is None else f"{interval.lower:.2f} to {text(_two(interval.upper))}"


def _two(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{value:+.0%}".replace("-", "−").replace("%", " %")


def _word(value: object) -> str:
    return str(getattr(value, "value", value))
