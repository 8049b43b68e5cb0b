"""Verb ``train``: a cohort with real rCBV maps, or digital patients, to weights."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from SynthCBVLib.errors import InputError
from SynthCBVLib.progress import TerminalProgress

if TYPE_CHECKING:
    from SynthCBVLib.synthesis.card import ModelCard
    from SynthCBVLib.synthesis.model import Model
    from SynthCBVLib.training.config import TrainingConfig
    from SynthCBVLib.training.parallel import Team

HELP = "train a network on a cohort with real rCBV maps, or on digital patients"
#: Disease of the digital patients, in turn.
_KINDS = ("wildtype", "mutant", "wildtype")
_MOST_WARNINGS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from SynthCBVLib.training.presets import PRESETS, preset

    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cohort", type=Path, help="BIDS dataset; subjects need perf/*_rcbv.nii.gz")
    source.add_argument(
        "--digital", action="append", nargs="+", metavar="WORD",
        help="train on digital patients instead: so many, or seeds and disease, such as 1000:1060 wildtype "
        "(1060 is not part of it); repeat for more",
    )  # fmt: skip
    described = "; ".join(f"{name}: {preset(name).about}" for name in PRESETS)
    parser.add_argument(
        "--preset", "--workflow", dest="preset", choices=tuple(PRESETS), required=True, help=described
    )
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.safetensors)")
    # torchrun takes --run for an option of its own, hence two names.
    parser.add_argument(
        "--folder", "--run", dest="folder", type=Path, metavar="FOLDER",
        help="folder of the run: cases, checkpoint, metrics; resumed if it exists",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=Path, metavar="FOLDER",
        help="folder of prepared cases, which several runs may share (default: cases, in the run's folder)",
    )  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="optimiser steps (default: the preset's length)")
    length.add_argument("--epochs", type=int, help="times to go through the training set")
    parser.add_argument("--batch", type=int, help="patches a step, of all processes together")
    parser.add_argument("--learning-rate", type=float, help="at the start (default: the preset's)")
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="begin with these weights: a bundled model or a file"
    )
    parser.add_argument(
        "--width", type=int,
        help="channels of the network's first level, of --from's or more (default: --from's or the preset's)",
    )  # fmt: skip
    parser.add_argument(
        "--perceptual", type=Path, metavar="FILE",
        help="weights of VGG19 (or VGG16) for the perceptual loss, e.g. torchvision's vgg19-dcbb9e9d.pth",
    )  # fmt: skip
    parser.add_argument("--perceptual-from", type=int, metavar="STEP", help="step it counts from")
    parser.add_argument("--ssim", type=float, metavar="WEIGHT", help="weight of 1 - SSIM in the loss")
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the patients kept for validation"
    )
    parser.add_argument(
        "--validation-list", type=Path, metavar="FILE", help="patients to validate with, one a line"
    )
    parser.add_argument("--validate-every", type=int, help="steps between validations and checkpoints")
    parser.add_argument(
        "--skip-bad", action="store_true", help="go on without the subjects that cannot be used"
    )
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, help="16-bit convolutions")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NAME=VALUE",
        help="any other setting of the training, such as rotation=0 or patch=1x192x160; repeat for more",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--training-seed", type=int, help="of weights, batches and the split")
    parser.add_argument(
        "--seed", type=int, default=1000, help="seed of the first of so many digital patients"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare cases")


def run(args: argparse.Namespace) -> None:
    """Prepare the cases, train, and write the weights."""
    from SynthCBVLib.imaging.files import written_whole
    from SynthCBVLib.synthesis.model import load_model
    from SynthCBVLib.synthesis.novelty import statistics_of
    from SynthCBVLib.training.cases import load_case
    from SynthCBVLib.training.data_checks import check_cases, patients_of
    from SynthCBVLib.training.loop import train
    from SynthCBVLib.training.parallel import team
    from SynthCBVLib.training.presets import preset
    from SynthCBVLib.training.split import split_patients

    _check(args)
    chosen = preset(args.preset)
    config = _config(args, chosen.config)
    folder = args.folder or Path("runs") / args.out.stem
    start = load_model(args.start) if args.start else None
    with team() as together:
        card, folders = _prepared(
            args, _of_width(args.width, chosen.card, start), args.cases or folder / "cases", together
        )
        cases = {case.name: case for case in (load_case(place, card) for place in folders)}
        if together.first:
            _tell([str(warning) for warning in check_cases(list(cases.values()))])
        wanted = None if args.validation_list is None else _names(args.validation_list)
        patients = patients_of(list(cases.values()))
        training, validation = split_patients(patients, args.validation, config.seed, wanted)
        learned = ((case.crop(), case.present, case.mask) for case in map(cases.get, training))
        card = dataclasses.replace(card, statistics=statistics_of(learned, card))
        outcome = train(
            [cases[name] for name in training],
            [cases[name] for name in validation],
            card,
            config,
            folder,
            TerminalProgress(f"Training {args.preset}") if together.first else None,
            perceptual=args.perceptual,
            start=start,
            device=args.device,
            team=together,
        )
        if together.first:
            with written_whole(args.out) as (temporary,):
                temporary.write_bytes(outcome.weights.read_bytes())
            print(f"{args.out}: validation SSIM {outcome.ssim:.4f} at step {outcome.step}")
            print("Its uncertainty is not calibrated yet: see evaluate --write-calibrated.")


def _check(args: argparse.Namespace) -> None:
    """Judge the arguments before hours of work."""
    if args.out.suffix != ".safetensors" or args.out.is_dir():
        raise InputError("--out", str(args.out), "the name of a file ending in .safetensors")
    if args.digital is not None and len(_digital_patients(args)) < 2:
        raise InputError("--digital", "fewer than 2 patients", "at least 2 patients")
    for name in ("steps", "epochs", "batch", "validate_every", "width"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')}", str(value), "at least 1")
    if not 0 < args.validation < 1:
        raise InputError("--validation", f"{args.validation:g}", "a share between 0 and 1")
    if args.cohort is not None and not args.cohort.is_dir():
        raise InputError(args.cohort, "no such folder", "a BIDS dataset")
    for name in ("perceptual", "validation_list"):
        path = getattr(args, name)
        if path is not None and not path.is_file():
            raise InputError(f"--{name.replace('_', '-')}", f"no file {path}", "a file")


def _of_width(width: int | None, card: ModelCard, start: Model | None) -> ModelCard:
    """Give the card with the width asked for, else that of the model to begin with, else its own."""
    if width is None and start is not None and start.card.network == card.network:
        width = start.card.network_arguments.get("width")
    if width is None:
        return card
    return dataclasses.replace(card, network_arguments={**card.network_arguments, "width": width})


def _config(args: argparse.Namespace, config: TrainingConfig) -> TrainingConfig:
    """Give the preset's configuration with what the arguments change."""
    from SynthCBVLib.training.config import with_settings

    options = {
        "batch": args.batch, "learning_rate": args.learning_rate, "perceptual_from": args.perceptual_from,
        "ssim_weight": args.ssim, "validate_every": args.validate_every, "bf16": args.bf16,
        "seed": args.training_seed,
    }  # fmt: skip
    changed = {name: value for name, value in options.items() if value is not None}
    if args.steps is not None or args.epochs is not None:
        changed |= {"steps": args.steps, "epochs": args.epochs}
    if args.perceptual is not None and not config.perceptual_weight:
        changed["perceptual_weight"] = 0.1  # the paper's weight
    config = with_settings(dataclasses.replace(config, **changed), args.settings)
    if config.perceptual_weight and args.perceptual is None:
        raise InputError(
            "--perceptual", "no file", "the weights of VGG19, which this preset's loss needs",
            "Take torchvision's vgg19-dcbb9e9d.pth, or another preset.",
        )  # fmt: skip
    return config


def _prepared(
    args: argparse.Namespace, card: ModelCard, prepared: Path, together: Team
) -> tuple[ModelCard, list[Path]]:
    """Prepare the cases in the first process; give the card with its training data stated, and the cases."""
    from SynthCBVLib.training.cohort import find_cases, prepare_cohort
    from SynthCBVLib.training.preparation import prepare_digital
    from SynthCBVLib.training.presets import preset

    progress = TerminalProgress("Preparing cases")
    if args.digital is not None:
        patients = _digital_patients(args)
        # Variants of a preset share its cases.
        shared = preset(args.preset).cases
        folders = [prepared / shared / f"{seed:05d}-{kind}" for seed, kind in patients]
        if together.first:
            prepare_digital(patients, {shared: preset(shared).card}, prepared, args.workers, progress)
        words = "Trained on digital patients computed from physics; no patient data was used."
        facts = {"data": "digital patients", **_seeds(patients)}
    else:
        found = find_cases(args.cohort)
        cases = prepared / card.name
        if together.first:
            ready = prepare_cohort(found, card, cases, args.workers, progress, args.skip_bad)
            _tell([f"{name} left out: {what}" for name, what in ready.refused.items()])
        together.wait()
        folders = [place for case in found if (place := cases / case.name).is_dir()]
        words = f"Trained on a local cohort of {len(folders)} scans."
        facts = {"data": "local cohort", "scans": len(folders), "left_out": len(found) - len(folders)}
    together.wait()
    if len(folders) < 2:
        raise InputError(args.cohort or "digital patients", f"{len(folders)} usable cases", "at least two")
    return dataclasses.replace(card, training_data=words, training=facts), folders


def _digital_patients(args: argparse.Namespace) -> list[tuple[int, str]]:
    """Give seed and disease of each digital patient."""
    from SynthCBVLib.training.evaluation.subjects import digital_block

    patients: list[tuple[int, str]] = []
    for words in args.digital:
        if len(words) == 1 and words[0].isdecimal():
            seeds = range(args.seed, args.seed + int(words[0]))
            patients += [(seed, _KINDS[seed % len(_KINDS)]) for seed in seeds]
        elif len(words) > 2:
            raise InputError(
                f"--digital {' '.join(words)}"[:120], "more than seeds and a disease", "these two"
            )
        else:
            patients += [(int(subject.patient), subject.group) for subject in digital_block(words)]
    return list(dict.fromkeys(patients))


def _seeds(patients: list[tuple[int, str]]) -> dict[str, object]:
    """State which patients a network saw, for whoever has to choose others to judge it with."""
    seeds = sorted({seed for seed, _ in patients})
    ends = [i for i in range(len(seeds)) if i + 1 == len(seeds) or seeds[i + 1] != seeds[i] + 1]
    runs = [(seeds[before + 1], seeds[end]) for before, end in zip([-1, *ends], ends, strict=False)]
    return {
        "first_seed": seeds[0], "patients": len(patients),
        "seeds": ", ".join(f"{first} to {last}" if last > first else f"{first}" for first, last in runs),
        "kinds": ", ".join(dict.fromkeys(kind for _, kind in patients)),
    }  # fmt: skip


def _names(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"unreadable ({error})", "a text file with one patient a line") from error


def _tell(warnings: list[str]) -> None:
    for warning in warnings[:_MOST_WARNINGS]:
        print(f"warning: {warning}", file=sys.stderr)
    if len(warnings) > _MOST_WARNINGS:
        print(f"warning: and {len(warnings) - _MOST_WARNINGS} more", file=sys.stderr)
