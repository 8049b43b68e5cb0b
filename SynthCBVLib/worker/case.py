"""A case on its way from the scene to what measures it, in this process or in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SynthCBVLib.imaging.quality import Finding
from SynthCBVLib.worker.handover import Volume, read_volumes, write_volumes

if TYPE_CHECKING:
    from SynthCBVLib.analysis.measured_case import CaseImages

#: Keys of the maps; a region's key is its name behind this.
REGION = "region: "


@dataclass(frozen=True)
class HandedCase:
    """The volumes of a case.

    Parameters
    ----------
    volumes : Mapping of str to Volume
        "synthetic", and as far as there are "uncertainty", "brain", "real", "fraction", "anatomy", and
        "region: NAME" for each region.
    provenance : Mapping
        How the synthetic map was made.
    findings : tuple of Finding
        What was noticed then.
    """

    volumes: Mapping[str, Volume]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def images(self) -> CaseImages:
        """Give the case as images."""
        from SynthCBVLib.analysis.measured_case import CaseImages

        images = {key: volume.image() for key, volume in self.volumes.items()}
        regions = {key.removeprefix(REGION): one for key, one in images.items() if key.startswith(REGION)}
        maps = {key: one for key, one in images.items() if not key.startswith(REGION)}
        return CaseImages(regions=regions, provenance=self.provenance, findings=self.findings, **maps)

    def write(self, folder: Path) -> None:
        """Write the case into a folder of its own."""
        more = {"provenance": self.provenance, "findings": [asdict(finding) for finding in self.findings]}
        write_volumes(folder, self.volumes, more)

    @classmethod
    def read(cls, folder: Path) -> HandedCase:
        """Read what `write` wrote."""
        volumes, more = read_volumes(folder)
        findings = tuple(Finding(**finding) for finding in more["findings"])
        return cls(volumes, more["provenance"], findings)
