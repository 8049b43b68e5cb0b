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
        card = json.loads(read_card(args.model).to_json())
        known = card.pop("statistics", None)
        if known:  # hundreds of numbers that say nothing to a reader
            card["statistics"] = f"of {known['cases']} training cases, {len(known['features'])} features"
        print(json.dumps(card, indent=2, ensure_ascii=False))
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
        calibrated = "calibrated" if "scale_factor" in card.calibration else "not calibrated"
        warned = "unlike studies are told" if card.statistics else "unlike studies are not told"
        print(f"    uncertainty {calibrated}, {warned}")
        print(f"    {card.training_data} {card.intended_use}")
    print("(? = may be missing)")
