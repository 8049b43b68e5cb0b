"""What may name a person is left out; what may not stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from SynthCBVLib.analysis.report.identifiers import WITHHELD, without_identifiers


@pytest.mark.parametrize(
    "text",
    [
        "3 ml/100 g/min",
        "T/WM ratio",
        "b = 800 s/mm²",
        "~5 mm off",
        "1 / 3",
        "0.01",
        "b = 1001",
        "weights ivim.safetensors",
    ],
)
def test_figures_and_units_stay(text):
    assert without_identifiers(text, "01") == text


@pytest.mark.parametrize(
    "text",
    ["/home/x/y", "C:\\data\\x", "~/study", "../x", "scan.nii.gz", "a/b.json:", "(/tmp/x)", "file:///x"],
)
def test_paths_and_files_go(text):
    assert without_identifiers(f"see {text} now") == f"see {WITHHELD} now"


@pytest.mark.parametrize(
    ("text", "subject", "kept"),
    [
        ("DWI of subject 01 has 0.01", "01", "DWI of the case has 0.01"),
        ("T2w of sub-01", "sub-01", "T2w of the case"),
        ("Smith's T2w, smithson's", "Smith", "the case's T2w, smithson's"),
        ("a(b", "a(b", "the case"),
        ("nothing", None, "nothing"),
    ],
)
def test_labels_go(text, subject, kept):
    assert without_identifiers(text, subject) == kept


def test_trees():
    tree = {
        "subject": "x", "patient_name": "y", "PatientID": 3, "digital_patients": 400, "BirthDate": "1970",
        "nested": [{"file": Path("/a/b")}, (1.5, None, True)],
    }  # fmt: skip
    assert without_identifiers(tree) == {
        "subject": WITHHELD, "patient_name": WITHHELD, "PatientID": WITHHELD, "digital_patients": 400,
        "BirthDate": WITHHELD, "nested": [{"file": WITHHELD}, [1.5, None, True]],
    }  # fmt: skip
