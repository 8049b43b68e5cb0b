"""Verb ``quantify-dsc``: relative CBV of a contrast-bolus series."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from SynthCBVLib.cli.derivatives import stem_of, write_maps
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import read_image
from SynthCBVLib.imaging.image_files import beside, read_json
from SynthCBVLib.imaging.study import is_series, n_volumes
from SynthCBVLib.physiology import dsc, maps
from SynthCBVLib.progress import TerminalProgress, part

HELP = "Leakage-corrected relative CBV map from a DSC series; with --perfusion CBV, CBF, MTT and Tmax too."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.add_argument("dsc", type=Path, metavar="DSC", help="4D series over the bolus' passage")
    parser.add_argument(
        "--tr",
        type=float,
        metavar="S",
        help="time between volumes, s; by default RepetitionTime of the sidecar",
    )
    parser.add_argument(
        "--te", type=float, metavar="S", help="echo time, s; by default EchoTime of the sidecar"
    )
    parser.add_argument("--mask", type=Path, metavar="FILE", help="brain mask on the series' grid")
    parser.add_argument(
        "--white-matter", type=Path, metavar="FILE",
        help="mask of normal-appearing white matter, whose mean rCBV becomes 1",
    )  # fmt: skip
    parser.add_argument(
        "--leakage",
        choices=("bidirectional", "unidirectional", "none"),
        default="bidirectional",
        help="leakage correction (%(default)s)",
    )
    parser.add_argument(
        "--integration", choices=("numerical", "gamma-variate"), default="numerical", help="(%(default)s)"
    )
    parser.add_argument(
        "--perfusion", action="store_true", help="also deconvolve from an automatic arterial input"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write; beside the series")


def run(args: argparse.Namespace) -> None:
    """Compute the maps and write them with their sidecars.

    Raises
    ------
    InputError
        If the series, its timing or a mask cannot be used; nothing is written then.
    """
    image = read_image(args.dsc)
    if not is_series(image):
        raise InputError(args.dsc, f"a single volume {image.GetSize()}", "a 4D series over time")
    protocol = dsc.DscProtocol(
        echo_time=_recorded(args.te, args.dsc, "EchoTime", "--te"),
        leakage=args.leakage,
        integration=args.integration,
    )
    step = _recorded(args.tr, args.dsc, "RepetitionTime", "--tr")
    times = np.arange(n_volumes(image)) * step
    mask = read_image(args.mask) if args.mask else None
    white = read_image(args.white_matter) if args.white_matter else None
    progress = TerminalProgress("DSC")
    share = 0.5 if args.perfusion else 1.0
    found = maps.cbv_maps(image, times, protocol, mask, white, part(progress, 0.0, share))
    stem = stem_of(args.dsc, "dsc").removesuffix("_bold").removesuffix("_perf")
    common = {"Protocol": asdict(protocol), "RepetitionTime": step}
    unit = "1 (white matter)" if white is not None else "1 (area under the change of R2*)"
    images = {
        f"{stem}_rcbv": (found.rcbv, {"Units": unit, **common}),
        f"{stem}_desc-uncorrected_rcbv": (found.uncorrected, {"Units": unit, **common}),
        f"{stem}_desc-leakage_k2": (found.k2, {"Units": "1/s", **common}),
    }
    if args.perfusion:
        more = maps.perfusion_maps(image, times, protocol, mask, part(progress, 0.5, 1.0))
        units = {"cbv": "ml/100 ml", "cbf": "ml/100 ml/min", "mtt": "s", "tmax": "s", "arteries": "mask"}
        for name, unit in units.items():
            images[f"{stem}_desc-deconvolved_{name}"] = (more[name], {"Units": unit, **common})
    inputs = [path for path in (args.dsc, args.mask, args.white_matter) if path is not None]
    write_maps(images, args.out or args.dsc.parent, inputs)


def _recorded(given: float | None, series: Path, key: str, option: str) -> float:
    """Take a time (s) from the command line or the series' sidecar."""
    if given is not None:
        value: object = given
        source: object = option
    else:
        source = beside(series, ".json")
        value = read_json(source).get(key) if source.is_file() else None
        if value is None:
            raise InputError(series, f"no {key}", f"{key} in seconds", f"Give {option} or a sidecar with it.")
    if not isinstance(value, int | float) or not np.isfinite(value) or value <= 0 or value > 30:
        raise InputError(source, f"{key} {value}", "a positive time in seconds", "1500 ms are 1.5.")
    return float(value)
