"""The row of one case in the cohort table, from what the analysis of the case found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from SynthCBVLib.analysis.cohort.table import Cell
from SynthCBVLib.analysis.regions.ratios import RatioRow
from SynthCBVLib.analysis.similarity import Similarity


def case_row(
    subject: str,
    *,
    model: str | None = None,
    group: str | None = None,
    ratios: Sequence[RatioRow] = (),
    similarity: Similarity | None = None,
    uncertainty: float | None = None,
    ratio_uncertainty: float | None = None,
    scores: Mapping[str, float] | None = None,
    provenance: Mapping[str, object] | None = None,
    extra: Mapping[str, Cell] | None = None,
) -> dict[str, Cell]:
    """Make the row of a case from what the analysis found.

    Parameters
    ----------
    subject, model, group : str
        Label of the case, name of the model (that of the provenance by default), and its group.
    ratios : sequence of RatioRow
        Recognised by the map's name: starting with "real" or "synthetic", or with "IVIM f" or "f".
    similarity : Similarity, optional
        Synthetic against real.
    uncertainty, ratio_uncertainty : float, optional
        Mean of the uncertainty map in the brain, and standard uncertainty of the synthetic ratio.
    scores : mapping of str to float, optional
        Observers' scores by name; the columns are called "score_" and the name.
    provenance : mapping, optional
        As in `SynthCBVLib.synthesis.Synthesis`: gives model, weights' SHA-256 and software version.
    extra : mapping of str to Cell, optional
        Further columns.
    """
    provenance = provenance or {}
    own, software = (
        found if isinstance(found, Mapping) else {}
        for found in (provenance.get("model"), provenance.get("software"))
    )
    row: dict[str, Cell] = {
        "subject": subject,
        "model": model if model is not None else _text(own.get("name")),
        "group": group,
        "weights": _text(own.get("weights_sha256")),
        "software": " ".join(str(software[key]) for key in ("name", "version") if key in software) or None,
        "uncertainty": uncertainty,
        "ratio_uncertainty": ratio_uncertainty,
    }
    for found in ratios:
        column = ratio_column(found.map)
        if column is not None:
            row[column] = float(found.ratio.ratio)
    if similarity is not None:
        row |= {"ssim": similarity.ssim, "psnr": similarity.psnr}
    row |= {f"score_{name}": value for name, value in (scores or {}).items()}
    return row | dict(extra or {})


def ratio_column(map_name: str) -> str | None:
    """Give the column of a map's ratio by the map's name; None for other maps."""
    name = map_name.strip().lower()
    if name.startswith("real"):
        return "ratio_real"
    if name.startswith("synth"):
        return "ratio_synthetic"
    return "ratio_f" if name == "f" or name.startswith(("ivim f", "ivim-f", "f map")) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
