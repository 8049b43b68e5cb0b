"""Verb ``phantom``: digital patients as a BIDS dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import TerminalProgress

HELP = "write digital patients with known truth as a BIDS dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--patients", type=int, required=True, metavar="N", help="how many patients")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of the first patient; the others follow (0)"
    )
    parser.add_argument(
        "--idh", choices=("wildtype", "mutant", "mixed", "none"), default="mixed",
        help="IDH status of the tumours; mixed alternates, none leaves the lesion out (mixed)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=("compact", "paper"), default="compact",
        help="image sizes: compact for training, paper as published (compact)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="K", help="processes (1)")


def run(args: argparse.Namespace) -> None:
    """Write the dataset, leaving out what is there already."""
    from SynthCBVLib.phantom.dataset import kinds, write_dataset

    given = (("--patients", args.patients, 1), ("--seed", args.seed, 0), ("--workers", args.workers, 1))
    for name, value, least in given:
        if value < least:
            raise InputError(name, str(value), f"at least {least}")
    if args.out.exists() and not args.out.is_dir():
        raise InputError(args.out, "a file", "a folder to write the dataset to")
    seeds = range(args.seed, args.seed + args.patients)
    idh = kinds(args.idh, args.patients)
    write_dataset(args.out, seeds, idh, args.protocol, args.workers, TerminalProgress("Patients"))
    print(f"{args.out}: {args.patients} digital patients")
