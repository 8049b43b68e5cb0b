"""Verb ``synthesize``: a study to a synthetic rCBV map, and to ratios where regions are given."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.progress import TerminalProgress

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions import RatioRow
    from SynthCBVLib.imaging.opened import OpenedStudy

HELP = "synthesise the rCBV map of a study"

_IMAGES: dict[str, Modality | str] = {
    "dwi": Modality.DWI,
    "t2w": Modality.T2W,
    "t1w": Modality.T1W,
    "flair": Modality.FLAIR,
    "adc": Modality.ADC,
    "t1c": Modality.T1C,
    "cbf": Modality.CBF,
    "control": "control",
    "label": "label",
    "m0": "m0",
    "rcbv": Modality.RCBV,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--model", required=True, help="ivim, asl, or a .safetensors file")
    parser.add_argument("--sha256", metavar="HEX", help="refuse the weights file unless this is its SHA-256")
    parser.add_argument("--out", type=Path, required=True, help="folder for the maps")
    parser.add_argument(
        "--study", type=Path, metavar="PATH",
        help="instead of single images: BIDS folder of one subject, DICOM folder, folder of images named by "
        "modality (dwi, t2, ...), or manifest (.csv, .tsv)",
    )  # fmt: skip
    parser.add_argument("--subject", help="label of the subject (default: that of the study, or 01)")
    images = parser.add_argument_group("single images (NIfTI, NRRD)")
    for name in _IMAGES:
        images.add_argument(f"--{name}", type=Path, metavar="FILE")
    images.add_argument("--bval", type=Path, metavar="FILE", help="b-values, default: beside the DWI")
    timing = parser.add_argument_group("timing of control, label and M0")
    timing.add_argument("--labelling", choices=("pcasl", "pasl"))
    timing.add_argument("--label-duration", type=float, metavar="S", help="s")
    timing.add_argument(
        "--post-label-delay", type=float, metavar="S", help="s; without it, relative perfusion"
    )
    parser.add_argument(
        "--regions", type=Path, metavar="LABELS",
        help="label image on the reference's grid, 1-3 tumour, 4-6 white matter: writes ratios.csv",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("nifti", "nrrd", "dicom"), default="nifti",
        help="of the maps (default nifti); dicom: Parametric Maps",
    )  # fmt: skip
    parser.add_argument(
        "--identified", action="store_true",
        help="DICOM maps carry the patient's identity from the DICOM files of the study (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--correct-distortion", action="store_true",
        help="straighten the echo-planar DWI along its phase direction, against T2w (experimental: where "
        "distortion is visible)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(args: argparse.Namespace) -> None:
    """Synthesise, compare, write."""
    from SynthCBVLib.analysis import regions as region_analysis
    from SynthCBVLib.imaging.files import read_regions
    from SynthCBVLib.progress import part
    from SynthCBVLib.synthesis import load_model, synthesize
    from SynthCBVLib.synthesis.companions import companions
    from SynthCBVLib.synthesis.outputs import write_synthesis
    from SynthCBVLib.synthesis.preprocess import reference_of

    if args.out.exists() and not args.out.is_dir():
        raise InputError(args.out, "a file", "a folder, or a new name for one")
    opened = _open(args)
    study = opened.study
    if args.identified and not (args.format == "dicom" and opened.sources):
        raise InputError("--identified", "given without DICOM files or --format dicom", "both, or neither")
    print(f"Subject {study.subject}, {opened.kind}:")
    for line in opened.found:
        print(f"  {line}")
    # Regions are read before the long work, so that a wrong file is told at once.
    named = read_regions(args.regions) if args.regions else {}
    tumour, white_matter = region_analysis.split_regions(named) if named else ({}, {})
    model = load_model(args.model, args.sha256)
    if named:
        reference = reference_of(study, model.card)
        _check_grid(next(iter(named.values())), study.scalar(reference), args.regions, reference)
    progress = TerminalProgress("Synthesis")
    result = synthesize(
        study, model, args.device, part(progress, 0.0, 0.8 if named else 1.0),
        distortion=args.correct_distortion,
    )  # fmt: skip
    rows, notes = [], []
    if named:
        beside = companions(study, result, model.card, part(progress, 0.8, 1.0))
        maps = {"synthetic rCBV": result.rcbv}
        if beside.real is not None:
            maps["real rCBV"] = beside.real
        if beside.f is not None:
            maps["IVIM f"] = beside.f
        rows, notes = _rows(maps, tumour, white_matter)
        notes += [str(finding) for finding in beside.findings]
    written = write_synthesis(
        result, args.out, study.subject, args.format, opened.sources, args.identified
    )  # fmt: skip
    for path in written.values():
        print(path)
    if rows:
        path = args.out / f"sub-{study.subject}_ratios.csv"
        print(region_analysis.write_ratios_csv(rows, path))
        for row in rows:
            print(f"T/WM {row.ratio.ratio:6.2f}  {row.map}")
    for line in (*result.findings, *notes):
        print(line)
    print(f"{model.card.training_data} {model.card.intended_use}")


def _check_grid(mask: sitk.Image, image: sitk.Image, path: Path, reference: Modality) -> None:
    if not same_grid(mask, image):
        raise InputError(
            path,
            f"a label image of size {mask.GetSize()} on another grid than {reference} {image.GetSize()}",
            f"regions drawn on {reference}",
            "Or synthesise without regions, and use the verb ratios, which brings them to the map.",
        )  # fmt: skip


def _rows(
    maps: Mapping[str, sitk.Image],
    tumour: Mapping[str, sitk.Image],
    white_matter: Mapping[str, sitk.Image],
) -> tuple[list[RatioRow], list[str]]:
    """Compute a row for each map; one that cannot be read there is a note, not the loss of the others."""
    from SynthCBVLib.analysis.regions import ratio_row

    rows, notes = [], []
    for name, image in maps.items():
        try:
            rows.append(ratio_row(name, image, tumour, white_matter))
        except InputError as error:
            notes.append(f"warning: no ratio of {name}: {error}")
    return rows, notes


def _open(args: argparse.Namespace) -> OpenedStudy:
    from SynthCBVLib.imaging.files import open_files, open_study

    paths = {key: getattr(args, name) for name, key in _IMAGES.items() if getattr(args, name) is not None}
    if args.study is not None:
        if paths:
            raise InputError(args.study, "given beside single images", "a study folder or single images")
        for name in ("bval", "labelling", "label_duration", "post_label_delay"):
            if getattr(args, name) is not None:
                option = "--" + name.replace("_", "-")
                raise InputError(
                    args.study, f"given beside {option}", f"{option} with single images only",
                    "In a study folder, b-values and timing stand in the files beside the images.",
                )  # fmt: skip
        return open_study(args.study, args.subject)
    if not paths:
        raise InputError("command line", "no study and no images", "--study PATH or single images")
    return open_files(
        paths, args.bval, args.subject or "01", args.labelling, args.label_duration, args.post_label_delay
    )
