"""Raters' scores in the cohort table (columns "score_" and the rater's name), and how far raters agree."""

from __future__ import annotations

from SynthCBVLib.analysis import raters
from SynthCBVLib.analysis.cohort.results import ALL, RaterAnalysis, StatisticRow
from SynthCBVLib.analysis.cohort.table import CohortTable
from SynthCBVLib.analysis.cohort.values import CohortValues
from SynthCBVLib.analysis.raters.sheet import LIKERT, Scale, ScoringSheet
from SynthCBVLib.errors import InputError

PREFIX = "score_"


def with_scores(table: CohortTable, sheet: ScoringSheet) -> CohortTable:
    """Give the table with a sheet's scores in the rows of its subjects; others keep what they have.

    Scores that a sheet does not have leave those of the table.

    Raises
    ------
    InputError
        If a subject of the sheet is not in the table, or is there with several models.
    """
    subjects = table.column("subject")
    rows = {subject: i for i, subject in enumerate(subjects)}
    records = table.records()
    for subject, scores in zip(sheet.subjects, sheet.scores, strict=True):
        n_rows = subjects.count(subject)
        if n_rows != 1:
            seen = "no case of the table" if n_rows == 0 else f"{n_rows} cases of the table, by model"
            raise InputError(
                f"scores of {subject[:60]!r}", seen, "one case for each subject scored",
                "Analyse, or score, the cases of one model at a time." if n_rows else "Add the case first.",
            )  # fmt: skip
        for rater, score in zip(sheet.raters, scores, strict=True):
            if score == score:
                records[rows[subject]][PREFIX + rater] = float(score)
    columns = [*table.columns]
    columns += [PREFIX + rater for rater in sheet.raters if PREFIX + rater not in columns]
    return CohortTable(
        tuple(columns), tuple(tuple(record.get(name) for name in columns) for record in records)
    )


def sheet_of(table: CohortTable, scale: Scale = LIKERT) -> ScoringSheet:
    """Give the scores of a table as a sheet, for the statistics of raters.

    Raises
    ------
    InputError
        If there is no score column, a score is not on the scale, or a subject is there with several models.
    """
    columns = _columns(table)
    if not columns:
        raise InputError("cohort table", "no scores", f'columns named "{PREFIX}" and a rater')
    subjects = [str(subject) for subject in table.column("subject")]
    scores = list(zip(*(table.column(name) for name in columns), strict=True))
    return ScoringSheet(subjects, [name[len(PREFIX) :] for name in columns], scores, scale)


def rater_analysis(cohort: CohortValues) -> RaterAnalysis | None:
    """Give the distribution of the scores and the raters' agreement; None without scores on the scale."""
    columns = _columns(cohort.table)
    if not any(cell is not None for name in columns for cell in cohort.table.column(name)):
        return None
    sheet = cohort.attempt("raters' scores", lambda: sheet_of(cohort.table))
    if sheet is None:
        return None
    n_complete, icc, rwg = 0, None, None
    complete = cohort.attempt("agreement of raters", sheet.complete) if len(columns) > 1 else None
    if complete is not None:
        n_complete, scores = len(complete.subjects), complete.scores
        icc = cohort.attempt(
            "intraclass correlation of raters", lambda: raters.icc(scores, confidence=cohort.confidence)
        )
        rwg = cohort.attempt(
            "within-group agreement of raters", lambda: raters.rwg(scores, len(sheet.scale.scores))
        )
    return RaterAnalysis(
        sheet.raters, n_complete, len(sheet.subjects) - n_complete, raters.score_summary(sheet.scores),
        sheet.scale.meanings, icc, rwg,
    )  # fmt: skip


def rater_rows(found: RaterAnalysis | None) -> list[StatisticRow]:
    """Give the numbers of raters as rows of the table of statistics."""
    if found is None:
        return []
    summary, who = found.summary, f"{len(found.raters)} raters"
    rows = [StatisticRow("Raters", who, ALL, "mean score", summary.n, summary.n_missing, summary.mean)]
    for score, meaning, percent in zip(summary.scores, found.meanings, summary.percentages, strict=True):
        name = f"scores of {score} ({meaning}), %"
        rows.append(StatisticRow("Raters", who, ALL, name, summary.n, summary.n_missing, percent))
    if (one := found.icc) is not None:
        rows.append(
            StatisticRow(
                "Raters", who, ALL, one.form, found.n, found.n_missing, one.icc, *one.interval, one.p
            )
        )
    if found.rwg is not None:
        rows.append(StatisticRow("Raters", who, ALL, "r_wg", found.n, found.n_missing, found.rwg.rwg))
    return rows


def rater_sentences(found: RaterAnalysis | None) -> list[str]:
    """Say what raters scored and how far they agree."""
    if found is None:
        return []
    summary = found.summary
    shares = ", ".join(
        f"{percent:.0f}% {meaning}"
        for meaning, percent in zip(found.meanings, summary.percentages, strict=True)
    )
    said = f"{summary.n} scores of {len(found.raters)} raters: mean {summary.mean:.2f} ({shares})"
    if found.icc is not None:
        level = raters.agreement_level(found.icc.icc).value
        said += f"; {found.icc.form} = {found.icc.icc:.2f} over {found.n} cases, {level} agreement"
    if found.rwg is not None:
        said += f"; r_wg = {found.rwg.rwg:.2f}, {raters.agreement_level(found.rwg.rwg).value}"
    return [said.replace("= -", "= −") + "."]


def _columns(table: CohortTable) -> list[str]:
    return [name for name in table.columns if name.lower().startswith(PREFIX) and len(name) > len(PREFIX)]
