"""Reports of cases: one HTML file each, its figures, and how it is printed."""

from SynthCBVLib.analysis.report.case import LIMITS, TRAINED_ON, report_html, write_report
from SynthCBVLib.analysis.report.content import CaseReport

__all__ = ["LIMITS", "TRAINED_ON", "CaseReport", "report_html", "write_report"]
