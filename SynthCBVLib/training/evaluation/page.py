"""An evaluation on disk: the page, its pictures, and the numbers as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields
from pathlib import Path

from SynthCBVLib import __version__
from SynthCBVLib.analysis.arrays import csv_text
from SynthCBVLib.analysis.cohort.results import StatisticRow
from SynthCBVLib.analysis.cohort.statistics import statistic_rows
from SynthCBVLib.imaging.files import written_whole
from SynthCBVLib.training.evaluation import sections
from SynthCBVLib.training.evaluation.bars import Bar, bars
from SynthCBVLib.training.evaluation.figures import write_figures
from SynthCBVLib.training.evaluation.results import Evaluation, Workflow
from SynthCBVLib.training.evaluation.tables import cohort_analysis

PAGE, CASES, STATISTICS = "evaluation.md", "evaluation-cases.csv", "evaluation-statistics.csv"
_DIGITAL = (
    "All patients here are digital: simulated exams of heads made from one template, in training and in "
    "evaluation. The figures say how well the method works where its assumptions hold. They say nothing "
    "about patients, and nothing here is a diagnostic validation. SynthCBV is a research demonstration, not "
    "for diagnosis."
)
_REAL = (
    "The figures hold for this cohort and these weights. They are no diagnostic validation: SynthCBV is a "
    "research demonstration, not for diagnosis."
)
_HOW = (
    "Exams are prepared as a synthesis prepares a user's study (registration and brain mask by the library), "
    "unless the cohort says otherwise. SSIM (Gaussian window, mean over the slices) and PSNR are taken over "
    "the brain's bounding box on the model's grid, in the unit of the model's output, with the real map's "
    "range; both maps are 0 outside the brain. T/WM is the mean of the tumour regions' means over that of "
    "the white-matter regions, on the grid of the reference image, as the verb `ratios` gives it. A map that "
    "is normalised slice by slice has ratios within a slice alone: where a patient's regions lie in several, "
    "a note says so. P-values are two-sided and not corrected for the number of comparisons."
)


def write_page(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write page, pictures and tables.

    Parameters
    ----------
    evaluation : Evaluation
        What `evaluate` gave.
    folder : Path
        Gets evaluation.md, evaluation-cases.csv, evaluation-statistics.csv and images/evaluation-*.png.

    Returns
    -------
    list of Path
        The files.
    """
    found = bars(evaluation)
    captions = write_figures(evaluation, folder / "images")
    paths = [folder / name for name in (PAGE, CASES, STATISTICS)]
    contents = (page(evaluation, found, captions), cases_csv(evaluation), statistics_csv(evaluation, found))
    with written_whole(*paths) as temporary:
        for path, content in zip(temporary, contents, strict=True):
            path.write_bytes(content.encode("utf-8"))
    return [*paths, *(folder / "images" / name for name in captions)]


def page(evaluation: Evaluation, found: list[Bar], captions: Mapping[str, str]) -> str:
    """Give the page as Markdown."""
    lines = ["# Evaluation" + (" on digital patients" if evaluation.digital else ""), ""]
    lines += [_DIGITAL if evaluation.digital else _REAL, ""]
    lines += [f"SynthCBV {__version__}. Cohort: {evaluation.cohort}."]
    if evaluation.calibration:
        lines += [f"The uncertainty is calibrated on {evaluation.calibration}."]
    lines += [""]
    if evaluation.command:
        lines += ["This page is what this command writes:", "", "```bash", evaluation.command, "```", ""]
    lines += [_HOW, "", "## What was aimed at", "", *sections.bar_lines(found)]
    lines += ["## Models", "", *sections.model_lines(evaluation)]
    for workflow in evaluation.workflows:
        lines += _workflow(workflow, captions)
    if evaluation.refused:
        lines += ["## Left out", ""]
        lines += [f"- {name}: {what}" for name, what in evaluation.refused.items()]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _workflow(workflow: Workflow, captions: Mapping[str, str]) -> list[str]:
    def pictures(*keys: str) -> list[str]:
        lines = []
        for key in keys:
            name = f"evaluation-{workflow.name.lower()}-{key}.png"
            if name in captions:
                lines += [f"![{key}](images/{name})", "", f"*{captions[name]}*", ""]
        return lines

    name = workflow.name
    lines = [f"## {name}: likeness to real rCBV", "", *sections.likeness_lines(workflow)]
    combinations = sections.combination_lines(workflow)
    if combinations:
        lines += ["By combination of inputs, one set of weights each:", "", *combinations]
    lines += pictures("ssim")
    ratios = sections.ratio_lines(workflow)
    if ratios:
        lines += [f"## {name}: T/WM ratios", "", *ratios]
        lines += pictures("regression-synthetic", "bland-altman-synthetic", "groups", "roc")
    treated = sections.recurrence_lines(workflow)
    if treated:
        lines += [f"## {name}: recurrence against treatment response", "", *treated, *pictures("recurrence")]
    uncertainty = sections.uncertainty_lines(workflow)
    if uncertainty:
        lines += [f"## {name}: uncertainty", "", *uncertainty, *pictures("coverage")]
    seconds = sections.seconds_of(workflow)
    lines += [
        f"Preparing one patient for {workflow.main.label} (reading or simulating apart) took "
        f"{seconds:.1f} s of CPU on average.",
        "",
    ]
    notes = sections.notes_of(workflow)
    lines += [f"- {note}" for note in notes[:20]]
    if notes:
        lines += [*([f"- and {len(notes) - 20} more"] if len(notes) > 20 else []), ""]
    return lines


def cases_csv(evaluation: Evaluation) -> str:
    """Give every score, a row for each patient, model and combination."""
    header = ["workflow", "subject", "group", "model", "combination", "ssim", "psnr", "ratio_synthetic",
              "ratio_log_sd", "ratio_real", "ratio_f", "ratio_cbf", "weights"]  # fmt: skip
    rows = []
    for workflow in evaluation.workflows:
        for contender in workflow.contenders:
            for patient in workflow.patients:
                own = workflow.scores.get(contender.label, {}).get(patient.subject.name, {})
                for name, score in own.items():
                    rows.append([
                        workflow.name, patient.subject.name, patient.subject.group, contender.label, name,
                        score.ssim, score.psnr, score.ratio, score.log_sd,
                        *(patient.ratio(one) for one in ("real", "f", "cbf")), contender.sha256[:12],
                    ])  # fmt: skip
        for patient in workflow.treated:
            score = workflow.treated_scores.get(patient.subject.name)
            if score is not None:
                rows.append([
                    workflow.name, patient.subject.name, patient.subject.group, workflow.main.label, "all",
                    score.ssim, score.psnr, score.ratio, score.log_sd,
                    *(patient.ratio(one) for one in ("real", "f", "cbf")), workflow.main.sha256[:12],
                ])  # fmt: skip
    return csv_text([header, *([_cell(value) for value in row] for row in rows)])


def statistics_csv(evaluation: Evaluation, found: list[Bar]) -> str:
    """Give the bars and all statistics of the ratios."""
    names = ["workflow", *(field.name for field in fields(StatisticRow))]
    rows = [["", "Bar", bar.workflow, "", bar.name, None, None, bar.found, bar.needed,
             "met" if bar.met else "missed", None] for bar in found]  # fmt: skip
    for workflow in evaluation.workflows:
        analysis = cohort_analysis(workflow)
        if analysis is not None:
            rows += [[workflow.name, *astuple(row)] for row in statistic_rows(analysis)]
    return csv_text([names, *([_cell(value) for value in row] for row in rows)])


def _cell(value: object) -> object:
    return None if isinstance(value, float) and value != value else value
