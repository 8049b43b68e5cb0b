"""What a report shows of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from SynthCBVLib.analysis.regions.results import RatioRow
from SynthCBVLib.analysis.similarity import Similarity

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding


@dataclass(frozen=True)
class CaseReport:
    """All that a report shows of one case and workflow.

    Parameters
    ----------
    title : str
        Heading, such as "IVIM workflow"; without identifiers.
    reference : sitk.Image
        Anatomical image whose grid all maps, mask and regions have.
    synthetic : sitk.Image
        Synthetic rCBV.
    uncertainty, real, f_map, mask : sitk.Image, optional
        Uncertainty in the map's unit, real rCBV on the synthetic map's scale, IVIM perfusion fraction
        (0 to 1) and brain.
    regions : Mapping of str to sitk.Image
        Regions to outline.
    ratios : sequence of RatioRow
        One row a map (synthetic, real, f, truth), in the order to be shown.
    similarity : Similarity, Mapping of str to Similarity, or None
        Synthetic against real, or several comparisons by name.
    findings : sequence of Finding
        All of them; none is hidden.
    provenance : Mapping
        As in `SynthCBVLib.synthesis.Synthesis`.
    subject : str, optional
        Shown only if the report is asked for identifiers.
    reference_name : str, optional
        What the reference is; that of the provenance by default.
    """

    title: str
    reference: sitk.Image
    synthetic: sitk.Image
    uncertainty: sitk.Image | None = None
    real: sitk.Image | None = None
    f_map: sitk.Image | None = None
    mask: sitk.Image | None = None
    regions: Mapping[str, sitk.Image] = field(default_factory=dict)
    ratios: Sequence[RatioRow] = ()
    similarity: Similarity | Mapping[str, Similarity] | None = None
    findings: Sequence[Finding] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None
    reference_name: str | None = None

    @property
    def model(self) -> Mapping[str, Any]:
        """The model's entry in the provenance; empty without one."""
        model = self.provenance.get("model", {})
        return model if isinstance(model, Mapping) else {}

    @property
    def unit(self) -> str:
        """Unit of the synthetic map, in words."""
        return str(self.provenance.get("unit") or "relative units")
