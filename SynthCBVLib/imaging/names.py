"""Which modality the name of a file or column speaks of, in the many ways that hospitals write them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

#: What `study_from_files` takes: a modality or a part of an ASL series.
Key = Modality | str

_CONTRAST = {"gd", "gad", "gadolinium", "ce", "post", "contrast", "postcontrast", "postgd", "km", "c"}
_WITHOUT = {"pre", "precontrast", "native", "noncontrast", "nativ"}
_T1 = {"t1", "t1w", "t1weighted", "mprage", "spgr", "t1mprage", "bravo"}
_T1C = {"t1c", "t1gd", "t1ce", "t1post", "t1wce", "t1wgd", "t1wc", "t1km", "t1cw", "t1contrast"}
_T2 = {"t2", "t2w", "t2weighted", "t2tse", "t2fse"}
_PLAIN: dict[str, Key] = {
    "flair": Modality.FLAIR, "t2flair": Modality.FLAIR, "adc": Modality.ADC, "adcmap": Modality.ADC,
    "dwi": Modality.DWI, "ivim": Modality.DWI, "diffusion": Modality.DWI, "dti": Modality.DWI,
    "diff": Modality.DWI, "cbf": Modality.CBF, "cbfmap": Modality.CBF, "rcbv": Modality.RCBV,
    "cbv": Modality.RCBV, "asl": "asl", "pcasl": "asl", "pasl": "asl", "control": "control",
    "ctrl": "control", "ctl": "control", "label": "label", "tag": "label", "labeled": "label",
    "labelled": "label", "m0": "m0", "m0scan": "m0", "dseg": "regions", "regions": "regions",
    "rois": "regions", "roi": "regions", "labels": "regions",
}  # fmt: skip
_ASIDE = {"mask", "brainmask", "seg", "segmentation", "uncertainty", "synthetic", "lesion", "tumor",
          "tumour", "edema", "oedema", "sbref", "bvec", "trace", "noise", "phase"}  # fmt: skip
#: Narrower meanings win over the wider ones that stand beside them: an ADC map's name may say DWI too.
_NARROWER = {
    Modality.ADC: {Modality.DWI},
    Modality.FLAIR: {Modality.T2W},
    Modality.CBF: {"asl"},
    "control": {"asl"},
    "label": {"asl"},
    "m0": {"asl"},
}


def meanings(name: str) -> set[Key]:
    """Give all that a name may mean; empty if it speaks of none of our images or of a mask.

    Parameters
    ----------
    name : str
        Without folder and suffix, such as ``Pat07_T1-Gd`` or ``t2_flair``.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])", " ", name)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    # "T1 Gd", "t1-c" and "t2 w" speak of one thing in two words
    words += [a + b for a, b in pairwise(words) if len(b) <= 5]
    said = set(words)
    if said & _ASIDE and not said & {"dseg", "regions", "rois", "roi", "labels"}:
        return set()
    found: set[Key] = {_PLAIN[word] for word in words if word in _PLAIN}
    if "regions" in found:
        return {"regions"}
    if said & _T1C or (said & _T1 and said & _CONTRAST and not said & _WITHOUT):
        found.add(Modality.T1C)
    elif said & _T1:
        found.add(Modality.T1W)
    if said & _T2:
        found.add(Modality.T2W)
    for narrow, wide in _NARROWER.items():
        if narrow in found:
            found -= wide
    return found


def meaning(name: str, where: object) -> Key | None:
    """Give the one thing that a name means, or None.

    Raises
    ------
    InputError
        If it may mean several.
    """
    found = meanings(name)
    if len(found) > 1:
        raise InputError(
            where, f"the name {name[:80]!r}, which may mean {' or '.join(sorted(map(str, found)))}",
            "a name that says one of them", "Rename it, or give the files one by one.",
        )  # fmt: skip
    return next(iter(found), None)


def stem(path: Path, suffix: str) -> str:
    """Give a file's name without folder and suffix."""
    return path.name[: len(path.name) - len(suffix)]
