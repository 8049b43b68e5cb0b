"""Tasks that follow a synthesis: propose regions, measure a case, analyse a cohort, write reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SynthCBVLib.worker.task import Outcome, Task, Teller

if TYPE_CHECKING:
    import SimpleITK as sitk

    from SynthCBVLib.imaging.quality import Finding

#: File with what a task found, beside others that it may have written.
RESULT = "result.json"


def propose(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
    """Propose regions: "volumes" has anatomy, map, perhaps brain; "contrast" may tell what the first is.

    Without an "outline" among the volumes that is proposed, too; volumes called as a modality then help, each
    brought to the anatomical image by its entry in "matrices" (4, 4; points of that to points of its own).
    Gives the masks, cut to their extent, as volumes in the folder.
    """
    from SynthCBVLib.analysis.region_parts import part_around
    from SynthCBVLib.analysis.regions.proposals import propose_regions
    from SynthCBVLib.imaging.resampling import resample
    from SynthCBVLib.imaging.study import same_grid
    from SynthCBVLib.worker.handover import INDEX, Volume, read_volumes, write_volumes

    volumes, _more = read_volumes(Path(job["volumes"]))
    images = {key: volume.image() for key, volume in volumes.items()}
    anatomy = images.pop("anatomy")
    for key in ("map", "outline", "brain"):
        if key in images and not same_grid(images[key], anatomy):
            images[key] = resample(
                images[key], anatomy, interpolation="linear" if key == "map" else "nearest"
            )
    if "outline" in images:
        found = propose_regions(
            anatomy, images["map"], images["outline"], images.get("brain"), job.get("contrast"),
            progress=teller.progress,
        )  # fmt: skip
        masks, findings = found.regions, found.findings
    else:
        masks, findings = _with_outline(job, anatomy, images, teller)
    for finding in findings:
        teller.finding(finding)
    parts = {name: _extent(mask, part_around) for name, mask in masks.items()}
    write_volumes(folder, {name: Volume.of(mask, name) for name, mask in parts.items()})
    return Outcome({"regions": folder / INDEX})


def _with_outline(
    job: Mapping[str, Any], anatomy: sitk.Image, images: Mapping[str, sitk.Image], teller: Teller
) -> tuple[dict[str, sitk.Image], Sequence[Finding]]:
    """Propose the outline first; gives all masks, its own as "outline", and what was found."""
    from SynthCBVLib.analysis.regions.outline_regions import propose_outlined_regions
    from SynthCBVLib.imaging.resampling import affine_of
    from SynthCBVLib.imaging.study import Modality

    further = {
        Modality(key): (image, affine_of(job["matrices"][key]))
        for key, image in images.items()
        if key not in ("map", "brain")
    }
    found = propose_outlined_regions(
        anatomy, job.get("contrast"), images["map"], further, images.get("brain"), teller.progress
    )
    return found.masks("outline"), found.findings


def measure_case(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
    """Measure the case in "case"; gives its row for the cohort table ("subject", "group", "scores")."""
    from SynthCBVLib.analysis.measured_case import measure
    from SynthCBVLib.worker.case import HandedCase

    measured = measure(HandedCase.read(Path(job["case"])).images(), teller.progress)
    likeness = measured.similarity
    found = {
        "row": measured.row(job["subject"], job.get("group"), job.get("scores")),
        "findings": [asdict(finding) for finding in measured.findings],
        "likeness": None if likeness is None else {"ssim": likeness.ssim, "psnr": likeness.psnr},
    }
    return _told(found, folder)


def analyze_cohort(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
    """Analyse the cohort in "cohort" with "options"; gives statistics and charts."""
    from SynthCBVLib.analysis.cohort.analysis import analyze
    from SynthCBVLib.analysis.cohort.plots import charts
    from SynthCBVLib.worker.cohort import chart_record, statistic_records, table_of

    teller.progress(0.1, "Analysing the cohort")
    analysis = analyze(table_of(job["cohort"]), **job.get("options", {}))
    found = {
        "statistics": statistic_records(analysis),
        "charts": [chart_record(chart) for chart in charts(analysis)],
        "positive": analysis.positive,
        "notes": list(analysis.notes),
    }
    return _told(found, folder)


def report(job: Mapping[str, Any], teller: Teller, folder: Path) -> Outcome:
    """Write the reports of the case in "case" and the cohort in "cohort", as far as there are."""
    from SynthCBVLib.analysis.reports import write_reports
    from SynthCBVLib.worker.case import HandedCase
    from SynthCBVLib.worker.cohort import table_of

    case = HandedCase.read(Path(job["case"])).images() if job.get("case") else None
    cohort = table_of(job["cohort"]) if job.get("cohort") else None
    options = job.get("options", {})
    written = write_reports(
        folder, case, cohort, subject=job.get("subject"), progress=teller.progress, **options
    )
    return Outcome({path.name: path for path in written})


def _extent(mask: sitk.Image, cut: Any) -> sitk.Image:
    """Cut a mask to its own extent, with a voxel around it."""
    import SimpleITK as sitk

    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(mask != 0)
    box = shape.GetBoundingBox(1)
    return cut(mask, [sitk.RegionOfInterest(mask, box[3:], box[:3])], "region")


def _told(found: Mapping[str, Any], folder: Path) -> Outcome:
    path = folder / RESULT
    path.write_text(json.dumps(found), encoding="utf-8")
    return Outcome({"result": path})


ANALYSIS: Mapping[str, Task] = {
    "propose-regions": Task(("volumes",), propose),
    "measure-case": Task(("case", "subject"), measure_case),
    "analyze-cohort": Task((), analyze_cohort),
    "report": Task((), report),
}
