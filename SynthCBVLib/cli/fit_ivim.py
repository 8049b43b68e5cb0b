"""Verb ``fit-ivim``: S0, D, f and D* maps of a diffusion series."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthCBVLib.cli.derivatives import stem_of, write_maps
from SynthCBVLib.imaging.files import read_diffusion, read_image
from SynthCBVLib.physiology import maps
from SynthCBVLib.progress import TerminalProgress

HELP = "IVIM maps (S0, D, f, D*) with their uncertainties from a multi-b diffusion series."

#: Map -> BIDS parameter label and unit.
_MAPS = {
    "s0": ("s0", "the series' signal unit"),
    "d": ("d", "mm^2/s"),
    "f": ("f", "1"),
    "d_star": ("dstar", "mm^2/s"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.add_argument("dwi", type=Path, metavar="DWI", help="4D diffusion series, repeats included")
    parser.add_argument(
        "--b-values",
        type=Path,
        metavar="FILE",
        help="b-values in s/mm², one a volume; by default the .bval file beside the series",
    )
    parser.add_argument("--mask", type=Path, metavar="FILE", help="brain mask on the series' grid")
    parser.add_argument(
        "--method",
        choices=("bayes", "segmented", "nlls"),
        default="bayes",
        help="posterior mean, or segmented or full least squares for comparison (%(default)s)",
    )
    parser.add_argument(
        "--noise",
        type=float,
        metavar="SD",
        help="noise standard deviation of a single image; estimated by default",
    )
    parser.add_argument("--adc", action="store_true", help="write an ADC map too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write; beside the series")


def run(args: argparse.Namespace) -> None:
    """Fit the maps and write them with their sidecars.

    Raises
    ------
    InputError
        If the series, its b-values or the mask cannot be used; nothing is written then.
    """
    series = read_diffusion(args.dwi, args.b_values)
    mask = read_image(args.mask) if args.mask else None
    found = maps.ivim_maps(series, mask, args.method, TerminalProgress("IVIM"), args.noise)
    stem = stem_of(args.dwi, "dwi")
    common = {
        "Method": args.method,
        "Model": "S0 ((1 - f) exp(-b D) + f exp(-b D*))",
        "BValues": list(series.b_values),
        "NoiseStandardDeviation": found.noise_sd,
    }
    images = {}
    for name, (label, unit) in _MAPS.items():
        images[f"{stem}_model-ivim_param-{label}_dwimap"] = (getattr(found, name), {"Units": unit, **common})
        images[f"{stem}_model-ivim_param-{label}_desc-sd_dwimap"] = (
            getattr(found, f"{name}_sd"),
            {"Units": unit, "Description": "Posterior standard deviation", **common},
        )
    flags = "Bits: 1 not finite, 2 no signal, 4 background, 8 at a bound"
    images[f"{stem}_model-ivim_param-flag_dwimap"] = (found.flag, {"Description": flags, **common})
    if args.adc:
        adc = maps.adc_map(series, mask)
        images[f"{stem}_ADC"] = (adc, {"Units": "mm^2/s", "BValues": list(series.b_values)})
    inputs = [args.dwi, *([args.b_values] if args.b_values else []), *([args.mask] if args.mask else [])]
    write_maps(images, args.out or args.dwi.parent, inputs)
