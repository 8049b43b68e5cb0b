"""Verb ``train``: a cohort with real rCBV maps, or digital patients, to weights."""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import TerminalProgress

if TYPE_CHECKING:
    from SynthCBVLib.synthesis.card import ModelCard
    from SynthCBVLib.training.cases import Case

HELP = "train a network on a cohort with real rCBV maps, or on digital patients"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cohort", type=Path, help="BIDS dataset; subjects need perf/*_rcbv.nii.gz")
    source.add_argument("--digital", type=int, metavar="N", help="train on N digital patients instead")
    parser.add_argument("--workflow", choices=("ivim", "asl"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.safetensors)")
    parser.add_argument(
        "--run", type=Path, help="folder of the run: cases, checkpoint, metrics; resumed if it exists"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps (default: the preset's)")
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the subjects kept for validation"
    )
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first digital patient")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare cases")


def run(args: argparse.Namespace) -> None:
    """Prepare the cases, train, and write the weights."""
    from SynthCBVLib.imaging.files import written_whole
    from SynthCBVLib.training.cases import load_case
    from SynthCBVLib.training.presets import preset

    _check(args)
    chosen = preset(args.workflow)
    config = chosen.config if args.steps is None else dataclasses.replace(chosen.config, steps=args.steps)
    folder = args.run or Path("runs") / args.out.stem
    card, jobs = _jobs(args, chosen.card)
    if len(jobs) < 2:
        raise InputError(args.cohort or "digital patients", f"{len(jobs)} subjects", "at least two")
    cases = [load_case(path) for path in _prepare(jobs, folder / "cases", args.workers)]
    # By patient: a case is a patient here, and the split depends on the names alone.
    order = np.random.default_rng(config.seed).permutation(len(cases))
    n_validation = max(1, round(args.validation * len(cases)))
    validation, training = order[:n_validation], order[n_validation:]
    progress = TerminalProgress(f"Training {args.workflow}")
    from SynthCBVLib.training.loop import train

    outcome = train(
        [cases[i] for i in training], [cases[i] for i in validation], card, config, folder, progress
    )
    with written_whole(args.out) as (temporary,):
        temporary.write_bytes(outcome.weights.read_bytes())
    print(f"{args.out}: validation SSIM {outcome.ssim:.4f} at step {outcome.step}")


def _check(args: argparse.Namespace) -> None:
    """Judge the arguments before hours of work."""
    if args.out.suffix != ".safetensors" or args.out.is_dir():
        raise InputError("--out", str(args.out), "the name of a file ending in .safetensors")
    if args.digital is not None and args.digital < 2:
        raise InputError("--digital", str(args.digital), "at least 2 patients")
    if args.steps is not None and args.steps < 1:
        raise InputError("--steps", str(args.steps), "at least 1")
    if not 0 < args.validation < 1:
        raise InputError("--validation", f"{args.validation:g}", "a share between 0 and 1")
    if args.cohort is not None and not args.cohort.is_dir():
        raise InputError(args.cohort, "no such folder", "a BIDS dataset")


Job = tuple[str, Callable[[], "Case"]]


def _jobs(args: argparse.Namespace, card: ModelCard) -> tuple[ModelCard, list[Job]]:
    """Give the card with its training data stated, and one named job a case."""
    from SynthCBVLib.training.cases import digital_case

    if args.digital is not None:
        kinds = ("wildtype", "mutant", "wildtype")
        described = dataclasses.replace(
            card,
            training_data="Trained on digital patients computed from physics; no patient data was used.",
            training={"data": "digital patients", "first_seed": args.seed, "patients": args.digital},
        )
        return described, [
            (f"digital{seed}", partial(digital_case, seed, kinds[seed % len(kinds)], card))
            for seed in range(args.seed, args.seed + args.digital)
        ]
    subjects = sorted(path for path in args.cohort.glob("sub-*") if path.is_dir())
    if not subjects:
        raise InputError(args.cohort, "no sub-* folders", "a BIDS dataset")
    described = dataclasses.replace(
        card,
        training_data=f"Trained on a local cohort of {len(subjects)} subjects.",
        training={"data": "local cohort", "patients": len(subjects)},
    )
    return described, [(path.name, partial(_cohort_case, path, card)) for path in subjects]


def _cohort_case(path: Path, card: ModelCard) -> Case:
    from SynthCBVLib.imaging.files import read_study
    from SynthCBVLib.imaging.quality import check, raise_on_error
    from SynthCBVLib.training.cases import case_of_study

    study = read_study(path)
    raise_on_error(check(study, card), study)
    return case_of_study(study, card)


def _store(job: Job, folder: Path) -> Path:
    import torch

    from SynthCBVLib.training.cases import save_case

    torch.set_num_threads(1)
    name, make = job
    save_case(make(), folder / name)
    return folder / name


def _prepare(jobs: Sequence[Job], folder: Path, workers: int) -> list[Path]:
    """Prepare the cases that are not there yet, in parallel; give all their folders in order."""
    paths = [folder / name for name, _ in jobs]
    waiting = [job for job, path in zip(jobs, paths, strict=True) if not (path / "case.json").is_file()]
    progress = TerminalProgress("Preparing cases")
    # Fresh interpreters: forking a process whose libraries already run threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=max(1, workers), mp_context=context) as pool:
        futures = [pool.submit(_store, job, folder) for job in waiting]
        for done, future in enumerate(as_completed(futures), start=1):
            progress(done / len(waiting), f"{future.result().name} ({done} of {len(waiting)})")
    return paths
