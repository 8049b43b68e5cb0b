"""Verb ``quantify-asl``: a CBF map from arterial spin labelling."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from SynthCBVLib.cli.derivatives import stem_of, write_maps
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import read_asl
from SynthCBVLib.imaging.files import study_from_files
from SynthCBVLib.imaging.study import AslSeries, Modality
from SynthCBVLib.physiology import maps

HELP = "CBF map (ml/100 g/min) from ASL control, label and M0 images by the 2015 white paper."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.add_argument(
        "asl", type=Path, nargs="?", metavar="ASL",
        help="BIDS series x_asl.nii.gz with x_aslcontext.tsv and x_asl.json; or give --control and --label",
    )  # fmt: skip
    parser.add_argument("--control", type=Path, metavar="FILE", help="control image (a series is averaged)")
    parser.add_argument("--label", type=Path, metavar="FILE", help="label image (a series is averaged)")
    parser.add_argument("--m0", type=Path, metavar="FILE", help="M0 image (a series is averaged)")
    parser.add_argument(
        "--labelling", choices=("pcasl", "pasl"), help="by default as in the sidecar, or pcasl"
    )
    parser.add_argument("--label-duration", type=float, metavar="S", help="label or bolus duration, s")
    parser.add_argument("--delay", type=float, metavar="S", help="post-labelling delay or inversion time, s")
    parser.add_argument("--efficiency", type=float, metavar="A", help="labelling efficiency (.85, PASL .98)")
    parser.add_argument("--blood-t1", type=float, metavar="S", help="T1 of arterial blood, s (1.65)")
    parser.add_argument("--partition", type=float, metavar="L", help="partition coefficient, ml/g (.9)")
    parser.add_argument(
        "--suppression-pulses",
        type=int,
        metavar="N",
        help="background suppression pulses after labelling (0)",
    )
    parser.add_argument(
        "--m0-scale",
        type=float,
        metavar="X",
        help="factor that brings M0 to the scale of control and label (1)",
    )
    parser.add_argument(
        "--m0-tr", type=float, metavar="S", help="repetition time of M0 if below 5 s, to correct saturation"
    )
    parser.add_argument(
        "--m0-smoothing",
        type=float,
        default=0.0,
        metavar="MM",
        help="smooth M0 by this width, mm (%(default)g)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write; beside the images")


def run(args: argparse.Namespace) -> None:
    """Quantify CBF and write it with its sidecar.

    Raises
    ------
    InputError
        If images or timing are missing or cannot be used; nothing is written then.
    """
    series = _series(args)
    protocol = maps.protocol_of(
        series,
        labelling=args.labelling,
        label_duration=args.label_duration,
        post_label_delay=args.delay,
        labelling_efficiency=args.efficiency,
        blood_t1=args.blood_t1,
        partition_coefficient=args.partition,
        background_suppression_pulses=args.suppression_pulses,
        m0_scale=args.m0_scale,
        m0_repetition_time=args.m0_tr,
    )
    cbf = maps.cbf_map(series, protocol, args.m0_smoothing)
    first = args.asl or args.control
    inputs = [path for path in (args.asl, args.control, args.label, args.m0) if path is not None]
    sidecar = {
        "Units": "ml/100 g/min",
        "Method": "single delay, Alsop et al., Magn Reson Med 2015;73:102",
        "Protocol": {key: value for key, value in asdict(protocol).items() if value is not None},
        "M0Smoothing": args.m0_smoothing,
    }
    name = f"{stem_of(first, 'asl')}_cbf" if args.asl else f"{stem_of(first, 'control')}_cbf"
    write_maps({name: (cbf, sidecar)}, args.out or first.parent, inputs)


def _series(args: argparse.Namespace) -> AslSeries:
    if args.asl is not None:
        if args.control or args.label:
            raise InputError(args.asl, "given beside control or label", "a series, or control and label")
        return read_asl(args.asl, args.m0)
    missing = [name for name in ("control", "label", "m0") if getattr(args, name) is None]
    if missing:
        raise InputError(
            "command line", f"no {' and no '.join('--' + name for name in missing)}",
            "an ASL series, or --control, --label and --m0",
        )  # fmt: skip
    parts = {"control": args.control, "label": args.label, "m0": args.m0}
    return study_from_files(parts, labelling=args.labelling).images[Modality.CBF]
