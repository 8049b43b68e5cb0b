"""The worker's tasks after a synthesis: what goes to it comes back the same, as in one process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SynthCBVLib.analysis.cohort.analysis import analyze
from SynthCBVLib.analysis.cohort.plots import charts
from SynthCBVLib.analysis.cohort.table import table_of as cohort_of
from SynthCBVLib.analysis.measured_case import CaseImages, measure
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.worker.case import REGION, HandedCase
from SynthCBVLib.worker.cohort import charts_of, statistic_records, table_of, table_record
from SynthCBVLib.worker.handover import Volume
from SynthCBVLib.worker.tasks import TASKS

PROVENANCE = {"unit": "multiple of the brain's mean rCBV", "model": {"name": "asl"}}
BOXES = {"Tumour 1": (8, 8), "Tumour 2": (14, 8), "White matter 1": (8, 24), "White matter 2": (14, 24)}


class Teller:
    """Hears what a task tells."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def progress(self, fraction: float, message: str) -> None:
        self.said.append(message)

    def finding(self, finding: Finding) -> None:
        self.said.append(finding.what)


def made(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 5.0))
    image.SetOrigin((0.1 + 1e-9, -20.0, 3.0))
    return image


@pytest.fixture(scope="module")
def case() -> HandedCase:
    rng = np.random.default_rng(0)
    shape = (4, 36, 32)
    brain = np.zeros(shape, np.uint8)
    brain[:, 2:34, 2:30] = 1
    rcbv = (brain * rng.gamma(20, 0.05, shape)).astype(np.float32)
    volumes = {
        "synthetic": Volume.of(made(rcbv), "Synthetic rCBV"),
        "uncertainty": Volume.of(made((0.1 * brain).astype(np.float32)), "uncertainty"),
        "brain": Volume.of(made(brain), "brain"),
        "real": Volume.of(made((7 * rcbv).astype(np.float32)), "real"),
    }
    for name, (x, y) in BOXES.items():
        mask = np.zeros(shape, np.uint8)
        mask[1, y : y + 3, x : x + 3] = 1
        volumes[REGION + name] = Volume.of(made(mask), name)
    finding = Finding("warning", None, "It was seen.", "Look at it.")
    return HandedCase(volumes, PROVENANCE, (finding,))


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(1)
    return cohort_of(
        {
            "subject": f"P{i}",
            "group": "mutant" if i % 2 else "wildtype",
            "ratio_real": float(rng.gamma(8, 0.4)),
            "ratio_synthetic": None if i == 3 else float(rng.gamma(8, 0.4)),
        }
        for i in range(14)
    )


def run(task: str, job: dict, folder: Path):
    folder.mkdir()
    return TASKS[task].run(json.loads(json.dumps({"task": task, **job})), Teller(), folder)


def test_a_case_comes_back_the_same(case, tmp_path):
    case.write(tmp_path / "case")
    back = HandedCase.read(tmp_path / "case")
    assert list(back.volumes) == list(case.volumes)
    for key, volume in case.volumes.items():
        assert back.volumes[key].origin == volume.origin
        assert np.array_equal(back.volumes[key].array, volume.array)
    assert back.findings == case.findings
    assert back.provenance == PROVENANCE
    assert list(back.images().regions) == list(BOXES)


def test_a_measured_case_is_that_of_one_process(case, tmp_path):
    pytest.importorskip("skimage")
    case.write(tmp_path / "case")
    job = {"case": str(tmp_path / "case"), "subject": "P1", "group": "mutant", "scores": {"BW": 2}}
    outcome = run("measure-case", job, tmp_path / "out")
    found = json.loads(outcome.files["result"].read_text(encoding="utf-8"))
    measured = measure(case.images())
    expected = measured.row("P1", "mutant", {"BW": 2})
    assert found["row"] == json.loads(json.dumps(expected))
    assert found["likeness"] == {"ssim": measured.similarity.ssim, "psnr": measured.similarity.psnr}
    assert found["findings"][0]["what"] == "It was seen."
    assert found["row"]["ratio_real"] == pytest.approx(found["row"]["ratio_synthetic"], rel=1e-5)


def test_statistics_and_charts_of_a_cohort_are_those_of_one_process(cohort, tmp_path):
    outcome = run("analyze-cohort", {"cohort": table_record(cohort)}, tmp_path / "out")
    found = json.loads(outcome.files["result"].read_text(encoding="utf-8"))
    analysis = analyze(cohort)
    assert json.dumps(found["statistics"]) == json.dumps(statistic_records(analysis))
    for chart, expected in zip(charts_of(found["charts"]), charts(analysis), strict=True):
        assert (chart.key, chart.ticks, chart.band, chart.x_range) == (
            expected.key,
            expected.ticks,
            expected.band,
            expected.x_range,
        )
        for one, other in zip(chart.series, expected.series, strict=True):
            assert np.array_equal(one.x, other.x)
            assert np.array_equal(one.y, other.y)
            assert (one.name, one.mark, one.line, one.labels) == (
                other.name,
                other.mark,
                other.line,
                other.labels,
            )
    assert table_of(table_record(cohort)) == cohort


def test_reports_are_written_into_the_folder(case, cohort, tmp_path):
    pytest.importorskip("matplotlib")
    case.write(tmp_path / "case")
    job = {
        "case": str(tmp_path / "case"),
        "cohort": table_record(cohort),
        "subject": "Smith",
        "options": {"pdf": False},
    }
    outcome = run("report", job, tmp_path / "out")
    names = ["case-report.html", "cohort-report.html", "cohort.csv", "statistics.csv"]
    assert sorted(outcome.files) == sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert "Smith" not in (tmp_path / "out" / "case-report.html").read_text(encoding="utf-8")


def test_what_cannot_be_done_is_named(case, tmp_path):
    with pytest.raises(InputError, match="nothing to report"):
        run("report", {}, tmp_path / "a")
    with pytest.raises(InputError, match="zero everywhere"):
        measure(CaseImages(made(np.zeros((3, 9, 9), np.float32))))
    images = case.images()
    regions = {name: mask for name, mask in images.regions.items() if name.startswith("Tumour")}
    with pytest.raises(InputError, match="White matter"):
        measure(CaseImages(images.synthetic, regions))
