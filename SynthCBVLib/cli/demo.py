"""Verb ``demo``: the main job on digital patients that no training saw, from files and in a MRML scene."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality, Study
from SynthCBVLib.progress import Progress, TerminalProgress, part

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions import RatioRow
    from SynthCBVLib.analysis.similarity import Similarity
    from SynthCBVLib.synthesis import Model, Synthesis
    from SynthCBVLib.synthesis.companions import Companions

HELP = "run both workflows on digital patients and leave maps, ratios, a report and a Slicer scene"

#: Workflow -> what is shown of it and which digital patient serves it: one whose blood volume is usual for
#: its kind. Training starts at seed 1000.
PATIENTS = {
    "ivim": ("IVIM + T2w", 1, "wildtype"),
    "asl": ("ASL + structural MRI", 9, "wildtype"),
}
#: What a run leaves; a folder that holds just this is an earlier run's and may be replaced.
_RESULTS = {"bids", "ratios.csv", "overview.png", "report.html", "scene.mrb"}
TRUTH, SYNTHETIC, REAL, FRACTION = "true rCBV", "synthetic rCBV", "real rCBV", "IVIM f"


@dataclass(frozen=True)
class DemoCase:
    """One workflow's case with all that is shown of it."""

    title: str
    study: Study
    model: Model
    result: Synthesis
    beside: Companions
    regions: Mapping[str, sitk.Image]
    rows: Sequence[RatioRow]
    similarity: Similarity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder to leave the results in"
    )


def run(args: argparse.Namespace) -> None:
    """Run the main job; the folder appears whole or not at all."""
    out: Path = args.out.absolute()
    if out.exists() and not out.is_dir():
        raise InputError(out, "a file", "a folder, or a new name for one")
    held = {path.name for path in out.iterdir()} if out.exists() else set()
    if held and held != _RESULTS:
        raise InputError(out, "a folder with other things in it", "an empty or new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        temporary.chmod(0o755)
        _demo(temporary)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(temporary, out)  # noqa: PTH105 - Path.replace is the same call
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"\nAll results are in {args.out}; open scene.mrb in 3D Slicer, report.html in a browser.")


def _demo(folder: Path) -> None:
    progress = TerminalProgress("Demo")
    share = 0.85 / len(PATIENTS)
    cases = [
        _case(workflow, folder, part(progress, index * share, (index + 1) * share))
        for index, workflow in enumerate(PATIENTS)
    ]
    _write_ratios(cases, folder / "ratios.csv")
    part(progress, 0.85, 1.0)(0.0, "Writing overview and report")
    _write_report(cases, folder)
    part(progress, 0.85, 1.0)(0.4, "Running the same in a MRML scene")
    differences = _in_scene(cases, folder / "scene.mrb", part(progress, 0.91, 0.99))
    progress(1.0, "Done")
    for case, difference in zip(cases, differences, strict=True):
        _tell(case, difference)


def _case(workflow: str, folder: Path, progress: Progress) -> DemoCase:
    """Make a digital patient, write it as BIDS, read it back, synthesise, compare, write."""
    from SynthCBVLib.analysis import similarity
    from SynthCBVLib.analysis.regions import ratio_table
    from SynthCBVLib.imaging.files import read_study, write_regions, write_study
    from SynthCBVLib.phantom import DigitalPatient
    from SynthCBVLib.synthesis import load_model, synthesize
    from SynthCBVLib.synthesis.companions import companions
    from SynthCBVLib.synthesis.outputs import write_synthesis

    title, seed, idh = PATIENTS[workflow]
    model = load_model(workflow)
    progress(0.0, f"{title}: simulating a digital patient")
    patient = DigitalPatient(seed, idh=idh)
    wanted = {spec.modality for spec in model.card.inputs} | {Modality.RCBV}
    study = read_study(write_study(patient.study(sorted(wanted)), folder / "bids"))
    result = synthesize(study, model, progress=part(progress, 0.3, 0.6))
    truth = patient.truth(result.reference)
    regions = {
        **{f"Tumour {i}": mask for i, mask in enumerate(truth.tumour, start=1)},
        **{f"White matter {i}": mask for i, mask in enumerate(truth.white_matter, start=1)},
    }
    beside = companions(study, result, model.card, part(progress, 0.6, 0.9))
    derivatives = folder / "bids" / "derivatives" / "synthcbv" / f"sub-{study.subject}"
    write_synthesis(result, derivatives, study.subject)
    write_regions(regions, derivatives / f"sub-{study.subject}_desc-regions_dseg.nii.gz")
    maps = {SYNTHETIC: result.rcbv, REAL: beside.real, FRACTION: beside.f, TRUTH: truth.rcbv}
    rows = ratio_table(
        {name: image for name, image in maps.items() if image is not None}, truth.tumour, truth.white_matter
    )
    synthetic = sitk.Mask(result.rcbv, beside.compared)
    compared = similarity.compare(beside.real_normalised, synthetic, beside.compared)
    progress(1.0, f"{title}: done")
    return DemoCase(title, study, model, result, beside, regions, rows, compared)


def _write_ratios(cases: Sequence[DemoCase], path: Path) -> None:
    import dataclasses

    from SynthCBVLib.analysis.regions import write_ratios_csv

    write_ratios_csv(
        [dataclasses.replace(row, map=f"{case.title}: {row.map}") for case in cases for row in case.rows],
        path,
    )


def _write_report(cases: Sequence[DemoCase], folder: Path) -> None:
    from SynthCBVLib.analysis.report import CaseReport, write_report
    from SynthCBVLib.analysis.report.figures import overview, save_png

    first = cases[0]
    figure = overview(
        first.study.scalar(first.result.reference), first.result.rcbv, first.beside.real_normalised,
        first.result.uncertainty, first.beside.f, first.result.mask, first.regions,
        title=f"Digital patient, {first.title}", anatomy_name=first.result.reference.value,
        unit=first.model.card.output.unit,
    )  # fmt: skip
    save_png(figure, folder / "overview.png")
    reports = [
        CaseReport(
            title=f"Digital patient, {case.title}",
            reference=case.study.scalar(case.result.reference),
            synthetic=case.result.rcbv,
            uncertainty=case.result.uncertainty,
            real=case.beside.real_normalised,
            f_map=case.beside.f,
            mask=case.result.mask,
            regions=case.regions,
            ratios=case.rows,
            similarity=case.similarity,
            findings=case.result.findings,
            provenance=case.result.provenance,
            subject=case.study.subject,
        )
        for case in cases
    ]
    write_report(folder / "report.html", reports)


def _in_scene(cases: Sequence[DemoCase], path: Path, progress: Progress) -> list[float]:
    """Do the same from MRML nodes; give the largest difference to the maps made from files."""
    if importlib.util.find_spec("slicer") is None:
        raise InputError(
            "slicer-core", "not installed", "the MRML scene, to make scene.mrb", "pip install slicer-core"
        )
    from SynthCBVLib import scene
    from SynthCBVLib.analysis.regions import ratio_table, split_regions
    from SynthCBVLib.synthesis import synthesize

    scene.new_scene()
    differences: list[float] = []
    for index, case in enumerate(cases):
        share = part(progress, index / len(cases), (index + 1) / len(cases))
        nodes = scene.add_study(case.study, case.title)
        study = scene.study_from_nodes(case.study.subject, nodes)
        result = synthesize(study, case.model, progress=part(share, 0.1, 0.8))
        made = scene.add_synthesis(result, case.title)
        segmentation = scene.add_regions(case.regions, made.rcbv, f"{case.title} regions")
        tumour, white_matter = split_regions(scene.region_masks(segmentation, made.rcbv))
        rows = ratio_table({SYNTHETIC: scene.volume_to_image(made.rcbv)}, tumour, white_matter)
        others = [row for row in case.rows if row.map != SYNTHETIC]
        scene.add_ratio_table(
            [
                {"Map": row.map, "Tumour": row.ratio.tumour, "White matter": row.ratio.white_matter,
                 "T/WM": row.ratio.ratio}
                for row in (*rows, *others)
            ],
            f"{case.title} ratios",
        )  # fmt: skip
        differences.append(
            float(
                np.abs(
                    sitk.GetArrayViewFromImage(result.rcbv) - sitk.GetArrayViewFromImage(case.result.rcbv)
                ).max()
            )
        )
    progress(1.0, "Saving the scene")
    scene.save_scene(path)
    return differences


def _tell(case: DemoCase, difference: float) -> None:
    print(f"\n{case.title}: digital patient sub-{case.study.subject}, not used in training")
    found = case.similarity
    print(f"  synthetic against real rCBV, brain box: SSIM {found.ssim:.3f}   PSNR {found.psnr:.1f} dB")
    for row in case.rows:
        print(f"  T/WM {row.ratio.ratio:5.2f}   {row.map}")
    print(f"  from the MRML scene: largest difference to the map made from files {difference:.2g}")
    for finding in case.result.findings:
        print(f"  {finding}")
    print(f"  {case.model.card.training_data} {case.model.card.intended_use}")
