"""What was noticed while reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from SynthCBVLib.imaging.study import Modality

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding


class Note(NamedTuple):
    """One thing that was noticed; the fields are those of `SynthCBVLib.imaging.quality.Finding`.

    Attributes
    ----------
    severity : {"error", "warning", "info"}
    modality : Modality or None
        The image concerned; None for the study as a whole.
    what, remedy : str
        What was seen, and what to do about it.
    """

    severity: Literal["error", "warning", "info"]
    modality: Modality | None
    what: str
    remedy: str

    def finding(self) -> Finding:
        """Give the note as a finding of the quality checks."""
        from SynthCBVLib.imaging.quality import Finding

        return Finding(*self)
