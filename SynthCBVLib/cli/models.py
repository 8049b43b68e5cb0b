"""Verb ``models``: the bundled models and their cards."""

from __future__ import annotations

import argparse
import json

HELP = "list the bundled models, or show one model's card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", nargs="?", help="name or .safetensors file whose card to show")


def run(args: argparse.Namespace) -> None:
    """Print the list or a card."""
    from SynthCBVLib.synthesis.model import bundled_models, read_card

    if args.model:
        print(json.dumps(json.loads(read_card(args.model).to_json()), indent=2, ensure_ascii=False))
        return
    for name, path in bundled_models().items():
        card = read_card(path)
        inputs = ", ".join(
            spec.modality
            + ("" if spec.required else "?")
            + (f" ({spec.channels} b)" if spec.b_values else "")
            for spec in card.inputs
        )
        print(f"{name}  {card.version}  {path.stat().st_size / 1e6:.1f} MB  inputs: {inputs}")
        print(f"    {card.training_data} {card.intended_use}")
    print("(? = may be missing)")
