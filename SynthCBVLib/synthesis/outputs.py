"""A synthesis on disk: three maps with their provenance, BIDS-derivative names, all or none."""

from __future__ import annotations

import json
from pathlib import Path

from SynthCBVLib.imaging.files import save, written_whole
from SynthCBVLib.synthesis.pipeline import Synthesis

#: Kind of map -> what stands between the subject and the extension.
NAMES = {
    "rcbv": "desc-synthetic_rcbv",
    "uncertainty": "desc-synthetic_stat-sd_rcbv",
    "mask": "desc-brain_mask",
}


def write_synthesis(result: Synthesis, folder: Path, subject: str) -> dict[str, Path]:
    """Write the maps of a synthesis and their JSON sidecars.

    Parameters
    ----------
    result : Synthesis
        What `synthesize` gave.
    folder : Path
        Made if need be; nothing is left in it if writing fails.
    subject : str
        Label without "sub-".

    Returns
    -------
    dict
        "rcbv", "uncertainty" and "mask" -> file.
    """
    maps = {"rcbv": result.rcbv, "uncertainty": result.uncertainty, "mask": result.mask}
    paths = {kind: folder / f"sub-{subject}_{name}.nii.gz" for kind, name in NAMES.items()}
    sidecars = {kind: folder / f"sub-{subject}_{name}.json" for kind, name in NAMES.items()}
    descriptions = {
        "rcbv": {
            "Description": "Synthetic relative cerebral blood volume",
            "Units": result.provenance["unit"],
        },
        "uncertainty": {
            "Description": "Standard deviation expected of the synthetic rCBV",
            "Units": result.provenance["unit"],
        },
        "mask": {"Description": "Brain mask of the synthetic rCBV", "Type": "Brain"},
    }
    with written_whole(*paths.values(), *sidecars.values()) as temporary:
        images, texts = temporary[: len(maps)], temporary[len(maps) :]
        for kind, image_path, text_path in zip(maps, images, texts, strict=True):
            save(maps[kind], image_path)
            content = {**descriptions[kind], "GeneratedBy": result.provenance}
            text_path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return paths
