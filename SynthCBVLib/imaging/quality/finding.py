"""What the quality checks say, and what they need to know of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from SynthCBVLib.imaging.study import Modality

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    Parameters
    ----------
    severity : {"error", "warning", "info"}
        Errors stop the work; warnings are shown with the result; infos are for the record.
    modality : Modality or None
        The image concerned; None for the study as a whole.
    what : str
        What was seen, in plain words.
    remedy : str
        What to do about it, a full sentence.
    kind : str
        One word for programs, such as "contrast" or "motion"; empty where nobody needs one.
    """

    severity: Severity
    modality: Modality | None
    what: str
    remedy: str
    kind: str = ""

    def __str__(self) -> str:
        about = f"{self.modality}: " if self.modality else ""
        return f"{self.severity}: {about}{self.what.rstrip('.')}. {self.remedy}"


class CardInput(Protocol):
    """One input of a model, as its card lists it."""

    @property
    def modality(self) -> Modality:
        """Kind of image."""

    @property
    def required(self) -> bool:
        """Whether the model cannot do without it."""

    @property
    def b_values(self) -> tuple[float, ...]:
        """For DWI the b-values the model needs, s/mm²; else empty."""


class Card(Protocol):
    """What a model needs of a study."""

    @property
    def inputs(self) -> Sequence[CardInput]:
        """All inputs."""

    @property
    def reference(self) -> tuple[Modality, ...]:
        """Images that give the grid, in order of preference."""


def listed(values: Iterable[object]) -> str:
    """Write values as a list of at most twelve; "nothing" if there are none."""
    words = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    return ", ".join(words[:12]) + (" ..." if len(words) > 12 else "") if words else "nothing"
