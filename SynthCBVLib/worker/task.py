"""What a task of the worker is, and how it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.worker.channel import LONGEST_MESSAGE, Channel


class Teller:
    """Tells the panel how far a task is and what it noticed; its `progress` is a `Progress`.

    Parameters
    ----------
    channel : Channel
        The way of the events.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def progress(self, fraction: float, message: str) -> None:
        """Tell the fraction done (0 to 1) and what is being done."""
        self._channel.tell(
            "progress", fraction=round(float(fraction), 4), message=str(message)[:LONGEST_MESSAGE]
        )

    def finding(self, finding: Finding) -> None:
        """Tell what was noticed."""
        told = {key: "" if value is None else str(value) for key, value in asdict(finding).items()}
        self._channel.tell("finding", **told)


@dataclass(frozen=True)
class Outcome:
    """What a task leaves.

    Parameters
    ----------
    files : Mapping
        Kind -> file, all inside the folder that the task was given.
    told : Mapping
        Further entries of the result's event, ready for JSON; not "type" and not "files".
    """

    files: Mapping[str, Path]
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One thing that the worker can do.

    Parameters
    ----------
    required : tuple of str
        Entries of the job that must be texts, beside "task" and "output".
    run : callable
        Called with the job, a `Teller` and an existing empty folder to write to; gives an `Outcome`. What it
        imports is imported inside, so that a worker loads only what its job needs. May raise InputError for
        the user's mistakes. The folder becomes the job's "output" after it, or goes if it fails.
    """

    required: tuple[str, ...]
    run: Callable[[Mapping[str, Any], Teller, Path], Outcome]
