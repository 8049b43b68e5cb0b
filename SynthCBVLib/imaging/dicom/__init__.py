"""DICOM: studies read as scanners write them, and maps written for archives."""

from __future__ import annotations

from SynthCBVLib.imaging.dicom.headers import is_dicom
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.read import DicomStudy, list_series, read_dicom, read_series
from SynthCBVLib.imaging.dicom.series import DicomSeries

__all__ = ["DicomSeries", "DicomStudy", "Note", "is_dicom", "list_series", "read_dicom", "read_series"]
