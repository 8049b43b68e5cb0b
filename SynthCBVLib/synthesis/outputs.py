"""A synthesis on disk: three maps with their provenance, BIDS-derivative names, all or none."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import save, written_whole
from SynthCBVLib.synthesis.pipeline import Synthesis

#: Kind of map -> what stands between the subject and the extension.
NAMES = {
    "rcbv": "desc-synthetic_rcbv",
    "uncertainty": "desc-synthetic_stat-sd_rcbv",
    "mask": "desc-brain_mask",
}
#: Format -> suffix of the maps. A mask is no Parametric Map: beside DICOM it is written as NIfTI.
FORMATS = {"nifti": ".nii.gz", "nrrd": ".nrrd", "dicom": ".dcm"}


def write_synthesis(
    result: Synthesis,
    folder: Path,
    subject: str,
    format: str = "nifti",
    source_files: Sequence[str | os.PathLike[str]] = (),
    identified: bool = False,
) -> dict[str, Path]:
    """Write the maps of a synthesis with their provenance.

    Parameters
    ----------
    result : Synthesis
        What `synthesize` gave.
    folder : Path
        Made if need be; nothing is left in it if writing fails.
    subject : str
        Label without "sub-".
    format : {"nifti", "nrrd", "dicom"}
        NIfTI and NRRD have their provenance in a JSON file beside each; DICOM Parametric Maps hold it, and
        the mask goes beside them as NIfTI.
    source_files : sequence of path-like
        For DICOM, the files that the study was read from: the maps refer to them and join their study.
    identified : bool
        For DICOM, whether the maps carry the patient's identity from the source files.

    Returns
    -------
    dict
        "rcbv", "uncertainty" and "mask" -> file.

    Raises
    ------
    InputError
        If there is no such format, or the files cannot be written.
    """
    if format not in FORMATS:
        raise InputError("format", repr(format), f"one of {', '.join(FORMATS)}")
    maps = {"rcbv": result.rcbv, "uncertainty": result.uncertainty, "mask": result.mask}
    suffixes = {kind: FORMATS["nifti" if kind == "mask" and format == "dicom" else format] for kind in maps}
    paths = {kind: folder / f"sub-{subject}_{name}{suffixes[kind]}" for kind, name in NAMES.items()}
    sidecars = {
        kind: folder / f"sub-{subject}_{name}.json"
        for kind, name in NAMES.items()
        if suffixes[kind] != ".dcm"
    }
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
        for kind, image_path in zip(maps, temporary, strict=False):
            if suffixes[kind] == ".dcm":
                from SynthCBVLib.imaging.dicom.parametric_map import write_parametric_map

                write_parametric_map(
                    image_path, maps[kind], kind, result.provenance, source_files, identified, subject
                )
            else:
                save(maps[kind], image_path)
        for kind, text_path in zip(sidecars, temporary[len(maps) :], strict=True):
            content = {**descriptions[kind], "GeneratedBy": result.provenance}
            text_path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return paths
