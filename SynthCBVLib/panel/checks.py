"""What can be told of the chosen volumes together at once; the rest is told by the worker, at Apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel.cards import shown_card
from SynthCBVLib.panel.selection import model_of
from SynthCBVLib.scene.glance import overlap
from SynthCBVLib.synthesis.b_values import findings_of, plan

#: Share of the reference's middle that an image must hold, by the positions of the files.
LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class _Levels:
    """The part of a diffusion series, and of a model's input, that `plan` looks at."""

    b_values: Sequence[float]
    name: str = ""


def b_values_note(parameters: Any, b_values: Sequence[float], name: str) -> str:
    """Say how b-values (s/mm²) serve the chosen model; "" where they are its own.

    Raises
    ------
    InputError
        If they cannot serve it.
    """
    try:
        wanted = shown_card(model_of(parameters)).b_values
    except InputError:
        return ""  # no model: the Synthesis section says so
    if not wanted:
        return ""
    planned = plan(_Levels(b_values, name), _Levels(wanted))
    return "\n".join(f"{one.what}. {one.remedy}" for one in findings_of(planned))


def apart(node: Any, reference: Any) -> str:
    """Say that a volume lies elsewhere than the reference, by the positions of their files; "" if not."""
    try:
        share = overlap(node, reference)
    except InputError:
        return ""  # told of the volume itself
    if share >= LEAST_OVERLAP:
        return ""
    return _(
        "It holds only {share:.0f} % of the middle of {reference}, by the positions in the files. "
        "Is it of the same head and session?"
    ).format(share=100 * share, reference=reference.GetName())
