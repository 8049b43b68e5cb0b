"""The report: one file, all sections, everything escaped, nobody named unasked."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis import regions, report, similarity
from SynthCBVLib.analysis.regions.findings import check_regions
from SynthCBVLib.errors import InputError

SHAPE = (4, 24, 24)
HOSTILE = '<script>alert("x")</script>&\'" onload='


@dataclass(frozen=True)
class Noticed:
    severity: str
    modality: str | None
    what: str
    remedy: str


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(np.asarray(array, dtype=np.float32))
    made.SetSpacing((2.0, 2.0, 6.0))
    return made


def case(**changes) -> report.CaseReport:
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE)
    mask[:, 3:21, 3:21] = 1
    real = mask * rng.uniform(1, 2, SHAPE)
    synthetic = mask * rng.uniform(1, 2, SHAPE)
    drawn = {}
    for name, x in (("Tumour 1", 5), ("White matter 1", 15)):
        region = np.zeros(SHAPE)
        region[1, 8:11, x : x + 3] = 1
        drawn[name] = image(region)
    synthetic[1, 8:11, 5:8], synthetic[1, 8:11, 15:18] = 3.0, 1.5
    real[1, 8:11, 5:8], real[1, 8:11, 15:18] = 4.0, 1.6
    maps = {"Synthetic rCBV": image(synthetic), "Real rCBV": image(real)}
    content = {
        "title": "IVIM workflow",
        "reference": image(rng.uniform(0, 1, SHAPE)),
        "synthetic": maps["Synthetic rCBV"],
        "real": maps["Real rCBV"],
        "mask": image(mask),
        "regions": drawn,
        "ratios": regions.ratio_table(maps, *regions.split_regions(drawn)),
        "similarity": similarity.compare(maps["Real rCBV"], maps["Synthetic rCBV"], image(mask)),
        "findings": [
            Noticed("info", None, "No T1c.", ""),
            Noticed("error", "DWI", "Negative values.", "Export again."),
        ],
        "provenance": {
            "software": {"name": "SynthCBV", "version": "9.9"},
            "unit": "fraction of the slice's maximum rCBV",
            "model": {"name": "ivim", "weights_sha256": "ab" * 32},
            "registration": {
                "DWI": {"parameters": [0.1], "metric": "MI", "before": -0.25, "after": -0.5, "applied": True},
                "T1w": {"metric": "MI", "before": -0.25, "after": -0.25, "applied": False},
            },
            "findings": [],
        },
        "subject": "Smith",
    }
    return report.CaseReport(**(content | changes))


class Tags(HTMLParser):
    """Collects tags and checks that they nest."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_report_is_one_valid_file_that_asks_for_nothing(tmp_path):
    path = report.write_report(tmp_path / "report.html", [case(), case(title="ASL workflow")])
    assert list(tmp_path.iterdir()) == [path]
    tags = Tags(path.read_text(encoding="utf-8"))
    assert tags.open == []
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    assert all(link.startswith(("data:image/png;base64,", "#case-")) for link in tags.links)
    pngs = [link for link in tags.links if link.startswith("data:")]
    assert len(pngs) == 2
    assert base64.b64decode(pngs[0].partition(",")[2]).startswith(b"\x89PNG")


def test_report_says_what_it_must():
    text = plain(report.report_html([case()]))
    for needed in (
        "Research demonstration – not for diagnosis.",
        "trained on digital patients made by physics, not on people",
        "Synthetic rCBV 2.00 3 1.5 1 + 1 −20 %",
        "Real rCBV 2.50 4 1.6 1 + 1 –",
        "window of 11 voxels, sigma 1.5",
        "error DWI Negative values. Export again.",
        "DWI −0.25 −0.5 applied",
        "T1w −0.25 −0.25 header kept",
        "ab" * 32,
        "Limits of use",
        "fraction of the slice&#x27;s maximum rCBV",
    ):
        assert needed in text
    assert text.index("Negative values") < text.index("No T1c")
    found = case().similarity
    assert f"{found.ssim:.3f} ± {found.ssim_sd:.3f}" in text


def test_regions_their_findings_and_the_interval_are_shown():
    plainly = case()
    row = plainly.ratios[0]
    sure = regions.RatioInterval(2.0, 1.504, 2.666, 0.9, 0.17, 0.3, 0.2)
    found = check_regions(plainly.synthetic, *regions.split_regions(plainly.regions), mask=plainly.mask)
    shown = replace(plainly, ratios=[replace(row, interval=sure), *plainly.ratios[1:]], findings=found)
    text = plain(report.report_html([shown]))
    assert "Synthetic rCBV 2.00 1.50 to 2.67 3 1.5 1 + 1 −20 %" in text
    assert "Real rCBV 2.50 – 4 1.6 1 + 1 –" in text
    assert "90% interval" in text
    assert "It does not cover where the regions lie." in text
    assert "warning – Only 1 tumour region. Draw three regions of each kind." in text
    assert "Map Tumour 1 White matter 1 Synthetic rCBV 3 ± 0 1.5 ± 0" in text
    assert "interval" not in plain(report.report_html([plainly]))
    endless = replace(row, interval=replace(sure, lower=0.0, upper=math.inf))
    assert "0.00 to ∞" in plain(report.report_html([replace(plainly, ratios=[endless])]))


def test_a_subject_in_the_name_of_a_region_is_hidden_unasked():
    row = case().ratios[0]
    named = tuple(replace(one, name=f"{one.name} Smith") for one in row.regions)
    assert "Smith" not in report.report_html([case(ratios=[replace(row, regions=named)])])


def test_report_of_the_least_there_is():
    least = case(real=None, mask=None, regions={}, ratios=(), similarity=None, findings=(), provenance={})
    text = plain(report.report_html([least]))
    for needed in (
        "No regions were given",
        "No real rCBV map was given",
        "Nothing was noticed",
        "None was recorded",
    ):
        assert needed in text


def test_training_data_of_the_card_replaces_the_default():
    given = case(provenance={"model": {"training_data": "Trained on 120 patients of one hospital."}})
    text = plain(report.report_html([given]))
    assert "Trained on 120 patients of one hospital." in text
    assert "digital patients" not in text


def test_perfect_agreement_shows_infinity():
    same = case()
    perfect = replace(same, similarity=replace(same.similarity, psnr=math.inf, ssim=1.0, ssim_sd=math.nan))
    assert "1.000 ∞ dB" in plain(report.report_html([perfect]))


def test_hostile_strings_are_escaped_and_long_ones_cut():
    row = case().ratios[0]
    bad = case(
        title=HOSTILE,
        ratios=[replace(row, map=HOSTILE, regions=tuple(replace(r, name=HOSTILE) for r in row.regions))],
        findings=[Noticed(HOSTILE, HOSTILE, HOSTILE + "x" * 1_000_000, HOSTILE)],
        provenance={HOSTILE: HOSTILE, "list": [HOSTILE], "registration": {HOSTILE: {"metric": HOSTILE}}},
        similarity={HOSTILE: case().similarity},
        subject=HOSTILE,
    )
    for show_subject in (True, False):
        text = report.report_html([bad, bad], title=HOSTILE, show_subject=show_subject)
        tags = Tags(text)
        assert tags.open == []
        assert "script" not in tags.seen
        assert text.count("x" * 3000) == 0


def test_nobody_is_named_unasked():
    named = case(
        title="Case Smith",
        findings=[Noticed("info", None, "T2w of sub-Smith in /home/a/smith/T2w.nii.gz, 3 ml/100 g/min", "")],
        provenance={
            "subject": "Smith",
            "inputs": {"T2w": "/data/sub-Smith/anat/T2w.nii.gz", "DWI": "dwi_smith.nii.gz"},
            "model": {"training": {"digital_patients": 400}},
        },
    )
    hidden = report.report_html([named], title="Report on Smith")
    assert "smith" not in hidden.lower()
    assert "3 ml/100 g/min" in hidden
    assert ">400<" in hidden
    shown = report.report_html([named], show_subject=True)
    assert "subject Smith" in shown
    assert "/data/sub-Smith/anat/T2w.nii.gz" in shown


def test_what_cannot_be_reported_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="no case"):
        report.write_report(tmp_path / "report.html", [])
    moved = case().real
    moved.SetOrigin((5, 5, 5))
    with pytest.raises(InputError, match="real map"):
        report.write_report(tmp_path / "report.html", [case(real=moved)])
    assert list(tmp_path.iterdir()) == []
