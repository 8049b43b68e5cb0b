"""The report of one or more cases: one HTML file that needs nothing beside it and prints well."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from SynthCBVLib import __version__
from SynthCBVLib.analysis.figures import overview, png
from SynthCBVLib.analysis.html import number, page, picture, table, text, tree_rows
from SynthCBVLib.analysis.identifiers import without_identifiers
from SynthCBVLib.analysis.regions import RatioRow
from SynthCBVLib.analysis.similarity import Similarity
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

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
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class CaseReport:
    """All that a report shows of one case and workflow.

    Parameters
    ----------
    title : str
        Heading, such as "IVIM workflow"; without identifiers.
    reference : sitk.Image
        Anatomical image whose grid all maps, mask and regions have.
    synthetic : sitk.Image
        Synthetic rCBV.
    uncertainty, real, f_map, mask : sitk.Image, optional
        Uncertainty in the map's unit, real rCBV on the synthetic map's scale, IVIM perfusion fraction
        (0 to 1) and brain.
    regions : Mapping of str to sitk.Image
        Regions to outline.
    ratios : sequence of RatioRow
        One row a map (synthetic, real, f, truth), in the order to be shown.
    similarity : Similarity, Mapping of str to Similarity, or None
        Synthetic against real, or several comparisons by name.
    findings : sequence of Finding
        All of them; none is hidden.
    provenance : Mapping
        As in `SynthCBVLib.synthesis.Synthesis`.
    subject : str, optional
        Shown only if the report is asked for identifiers.
    """

    title: str
    reference: sitk.Image
    synthetic: sitk.Image
    uncertainty: sitk.Image | None = None
    real: sitk.Image | None = None
    f_map: sitk.Image | None = None
    mask: sitk.Image | None = None
    regions: Mapping[str, sitk.Image] = field(default_factory=dict)
    ratios: Sequence[RatioRow] = ()
    similarity: Similarity | Mapping[str, Similarity] | None = None
    findings: Sequence[Finding] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None


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
    content = report_html(cases, title=title, show_subject=show_subject).encode("utf-8")
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
    sentences = list(dict.fromkeys(_model(case).get("training_data") or TRAINED_ON for case in cases))
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
        _maps(case),
        _ratios(case),
        _similarity(case),
        _findings(case, cleaned),
        _registration(provenance.get("registration")),
        _provenance(provenance),
        "</section>\n",
    ]
    return "".join(parts)


def _maps(case: CaseReport) -> str:
    figure = overview(
        case.reference,
        case.synthetic,
        case.real,
        case.uncertainty,
        case.f_map,
        case.mask,
        case.regions,
        anatomy_name=str(case.provenance.get("reference", "Anatomy")),
        unit=f"rCBV ({_unit(case)})",
    )
    caption = (
        "Slices nearest to axial, patient's right on the left; positions are those of the slice centre. "
        + ("Real and synthetic rCBV share one window. " if case.real is not None else "")
        + ("Tumour regions are outlined in magenta, white-matter regions in white." if case.regions else "")
    )
    return f"<h3>Maps</h3>\n{picture(png(figure), 'Axial slices of the maps with their regions', caption)}"


def _ratios(case: CaseReport) -> str:
    if not case.ratios:
        return "<h3>Tumour-to-white-matter ratio</h3><p>No regions were given.</p>\n"
    real = next((row for row in case.ratios if row.map.lower().startswith("real")), None)
    header = ["Map", "T/WM ratio", "Tumour mean", "White-matter mean", "Regions"]
    header += ["Difference from real"] if real else []
    rows = []
    for row in case.ratios:
        ratio = row.ratio
        cells = [
            text(row.map),
            f"<strong>{ratio.ratio:.2f}</strong>",
            text(ratio.tumour),
            text(ratio.white_matter),
        ]
        cells.append(text(f"{ratio.n.tumour} + {ratio.n.white_matter}"))
        if real:
            cells.append(
                "–" if row is real or not real.ratio.ratio else _percent(ratio.ratio / real.ratio.ratio - 1)
            )
        rows.append(cells)
    names = list(dict.fromkeys(region.name for row in case.ratios for region in row.regions))
    detail = []
    for row in case.ratios:
        by_name = {region.name: region for region in row.regions}
        detail.append([text(row.map)] + [_mean_sd(by_name.get(name)) for name in names])
    return (
        "<h3>Tumour-to-white-matter ratio</h3>\n"
        + table(header, rows, range(1, len(header)))
        + '<p class="soft">Ratio of the mean of the tumour regions’ means to the mean of the white-matter '
        f"regions’ means. rCBV in its map's unit ({text(_unit(case))}).</p>\n"
        + "<h3>Regions: mean ± SD</h3>\n"
        + table(["Map", *names], detail, range(1, len(names) + 1))
    )


def _similarity(case: CaseReport) -> str:
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


def _findings(case: CaseReport, cleaned: Any) -> str:
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


def _registration(found: Any) -> str:
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


def _provenance(provenance: Mapping[str, Any]) -> str:
    own = {key: value for key, value in provenance.items() if key not in ("registration", "findings")}
    if not own:
        return "<h3>Provenance</h3><p>None was recorded.</p>\n"
    return "<h3>Provenance</h3>\n" + table(["What", "Value"], tree_rows(own))


def _model(case: CaseReport) -> Mapping[str, Any]:
    model = case.provenance.get("model", {})
    return model if isinstance(model, Mapping) else {}


def _unit(case: CaseReport) -> str:
    return str(case.provenance.get("unit") or "relative units")


def _mean_sd(region: Any) -> str:
    if region is None:
        return "–"
    spread = "" if region.sd != region.sd else f" ± {number(region.sd, 2)}"
    return text(number(region.mean, 3) + spread)


def _percent(value: float) -> str:
    return f"{value:+.0%}".replace("-", "−").replace("%", " %")


def _word(value: object) -> str:
    return str(getattr(value, "value", value))
