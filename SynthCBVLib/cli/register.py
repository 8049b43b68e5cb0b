"""Verb ``register``: align one image with another and resample it onto the other's grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthCBVLib.progress import TerminalProgress

HELP = "align an image with another one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--moving", type=Path, required=True, metavar="FILE", help="image to align (3D)")
    parser.add_argument("--fixed", type=Path, required=True, metavar="FILE", help="image to align it with")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="moving image on the fixed one's grid"
    )
    parser.add_argument(
        "--transform", type=Path, metavar="FILE",
        help="the transform, .tfm: maps points of the fixed image to points of the moving one (mm, LPS)",
    )  # fmt: skip
    parser.add_argument("--model", choices=("rigid", "affine"), default="rigid")
    parser.add_argument("--mask", type=Path, metavar="FILE", help="where in the fixed image to compare (> 0)")


def run(args: argparse.Namespace) -> None:
    """Register, resample, write both files or none."""
    import SimpleITK as sitk

    from SynthCBVLib.errors import InputError
    from SynthCBVLib.imaging.files import read_image, save, writable, written_whole
    from SynthCBVLib.imaging.registration import register
    from SynthCBVLib.imaging.resampling import resample

    # Names are judged before the work, not after it
    writable(args.out)
    if args.transform is not None and args.transform.suffix != ".tfm":
        raise InputError(args.transform, f"the suffix {args.transform.suffix!r}", "a name ending in .tfm")
    moving, fixed = read_image(args.moving), read_image(args.fixed)
    mask = None if args.mask is None else read_image(args.mask)
    result = register(
        moving, fixed, args.model, mask, TerminalProgress("Registration"), str(args.moving), str(args.fixed)
    )
    resampled = resample(moving, fixed, result.transform)
    targets = [args.out] if args.transform is None else [args.out, args.transform]
    with written_whole(*targets) as temporary:
        save(resampled, temporary[0])
        if args.transform is not None:
            sitk.WriteTransform(result.transform, str(temporary[1]))
    print(f"Mutual information (negative, lower is better): before {result.before:.4f}, "
          f"after {result.after:.4f}")  # fmt: skip
    if not result.applied:
        print("The alignment of the header was kept: nothing better and plausible was found.")
    for path in targets:
        print(path)
