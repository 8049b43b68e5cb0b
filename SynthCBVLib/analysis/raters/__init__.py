"""Agreement of raters and the sheet they score on."""

from SynthCBVLib.analysis.raters.reliability import (
    LIKERT,
    AgreementLevel,
    Icc,
    Rwg,
    Scale,
    ScoreSummary,
    ScoringSheet,
    agreement_level,
    icc,
    read_scores,
    rwg,
    rwg_items,
    score_summary,
    write_scores,
)

__all__ = [
    "LIKERT",
    "AgreementLevel",
    "Icc",
    "Rwg",
    "Scale",
    "ScoreSummary",
    "ScoringSheet",
    "agreement_level",
    "icc",
    "read_scores",
    "rwg",
    "rwg_items",
    "score_summary",
    "write_scores",
]
