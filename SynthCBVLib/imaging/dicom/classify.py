"""Which modality a series is, and why: from ImageType and standard tags first, then names, then timing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from SynthCBVLib.imaging.dicom.grouping import Group, weighting
from SynthCBVLib.imaging.study import Modality

Role = Literal["image", "diffusion", "asl", "m0", "other"]

#: Words of descriptions, protocol and sequence names; the first that fits decides.
_WORDS: tuple[tuple[str, Modality | None, Role, str], ...] = (
    (r"localis|localiz|scout|survey|3 ?plane|aahead", None, "other", "a localiser"),
    (r"\bmip\b|\bminip\b|\bmra\b|angio|\btof\b|venogr", None, "other", "an angiogram or projection"),
    (r"\bswi\b|\bswan\b|suscept|t2 ?star|t2 ?\*|\bhemo|\bhaemo|\bqsm\b|\bmag_?images", None, "other",
     "susceptibility-weighted"),
    (r"\be ?adc\b|exponential", None, "other", "an exponential ADC map"),
    (r"\badc\b|apparent diff", Modality.ADC, "image", "an ADC map"),
    (r"\bfa\b|fraction\w* aniso|colfa|\btensor\b", None, "other", "a diffusion tensor map"),
    (r"\br(el)?cbf\b", None, "other", "a relative CBF map, without units"),
    (r"\b(r|rel)?cbv\b|leakage|\bnrcbv\b", Modality.RCBV, "image", "a CBV map"),
    (r"\bcbf\b|cerebral blood flow", Modality.CBF, "image", "a CBF map"),
    (r"\bmtt\b|\bttp\b|\btmax\b|\bpbp\b|perfusion map", None, "other", "another perfusion map"),
    (r"\bm0\b|m0 ?scan|m zero", Modality.CBF, "m0", "the M0 image of an ASL series"),
    (r"p?c?asl\b|\basl|spin label", Modality.CBF, "asl", "arterial spin labelling"),
    (r"\bdwi|\bivim|\bdti\b|\bdiff|\bep2d_?diff|resolve|\btrace|\bmulti ?b\b|\bb\d{2,4}\b", Modality.DWI,
     "diffusion", "diffusion-weighted"),
    (r"\bperf|\bdsc\b|\bpwi\b|\bdce\b|\bbold\b|\bfmri\b|field ?map|\bb0 ?map|\bmrs\b|spectro", None, "other",
     "a dynamic series, field map or spectroscopy"),
    (r"flair|dark ?fluid|\btirm", Modality.FLAIR, "image", "FLAIR"),
    (r"\bt1 ?map|\bt2 ?map|relaxometry|\bmolli\b", None, "other", "a relaxation time map"),
    (r"\bpd\b|proton density|\bpdw", None, "other", "proton-density-weighted"),
    (r"t1|mp ?rage|bravo|\bspgr|\bfspgr|vibe|\btfe\b", Modality.T1W, "image", "T1-weighted"),
    (r"t2", Modality.T2W, "image", "T2-weighted"),
)  # fmt: skip
_PARTS: dict[str, tuple[Modality | None, Role]] = {
    "ADC": (Modality.ADC, "image"), "CBF": (Modality.CBF, "image"), "rCBV": (Modality.RCBV, "image"),
    "trace": (Modality.DWI, "diffusion"),
}  # fmt: skip
_CONTRAST = {
    "DIFFUSION": (Modality.DWI, "diffusion"), "FLUID_ATTENUATED": (Modality.FLAIR, "image"),
    "T1": (Modality.T1W, "image"), "T2": (Modality.T2W, "image"),
}  # fmt: skip
_ENHANCED = re.compile(
    r"\bgad|\bgd\b|\+ ?c\b|\+ ?gd|\bc\+|\bce\b|post ?con|\bpost\b|\bkm\b|contrast|\bmdc\b|"
    r"\bt1c\b|\bt1ce\b|\bcet1"
)
_NOT_ENHANCED = re.compile(r"\bpre\b|pre ?con|without|non ?con|\bno contrast|\bnativ|\bw ?o\b|unenhanced")


@dataclass(frozen=True)
class Verdict:
    """What a series is taken as.

    Attributes
    ----------
    modality : Modality or None
        None where it is of no use here, or cannot be told.
    role : str
        How it is read: one image, diffusion or ASL series, M0 of another ASL series, or not at all.
    reason : str
        What that rests on.
    derived : bool
        Whether the scanner or a workstation made it of other images.
    conflict : str
        What speaks against it, "" if nothing.
    """

    modality: Modality | None
    role: Role
    reason: str
    derived: bool = False
    conflict: str = ""


def classify(group: Group) -> Verdict:
    """Tell which modality a series is; never raises for odd headers, which then just tell less."""
    first = group.first
    words = first.image_type
    derived = bool(words) and words[0] == "DERIVED"
    kind = first.text("Modality").upper()
    if kind not in ("", "MR"):
        return Verdict(None, "other", f"Modality (0008,0060) is {kind}, not MR")
    odd = next((w for w in words if w in ("LOCALIZER", "PROJECTION IMAGE", "MIP", "SCREEN SAVE")), None)
    if odd:
        return Verdict(None, "other", f"ImageType has {odd}", derived)
    if group.part and not group.part.startswith("TE "):
        modality, role = _PARTS.get(group.part, (None, "other"))
        if modality is None:
            reason = f"ImageType or its component says {group.part}"
        else:
            reason = f"ImageType or DiffusionDirectionality says {group.part}"
        return Verdict(modality, role, reason, derived or role == "image")
    if group.part:
        return _echo(group)
    verdict = _by_name(group) or _by_contrast(group)
    labelled = "ASL" in words or first.text("ArterialSpinLabelingContrast") or first.text("ASLContext")
    if labelled and (verdict is None or verdict.modality is not Modality.CBF):
        verdict = Verdict(Modality.CBF, "asl", "ImageType or (0018,9250) says arterial spin labelling")
    if verdict is not None and verdict.role == "asl":
        if derived:
            return Verdict(None, "other", f"{verdict.reason}, but a map made of control and label", True)
        return verdict
    if verdict is None or verdict.role == "image":
        weights = [] if derived else [w for w in map(weighting, group.frames) if w]
        if weights:
            return Verdict(Modality.DWI, "diffusion", "images with b-values above 0", derived)
    verdict = verdict or _by_timing(group)
    if verdict is None:
        return Verdict(None, "other", "neither name, contrast nor timing tell what it is", derived)
    if verdict.modality is Modality.T1W:
        verdict = _with_agent(group, verdict)
    if derived and verdict.role == "image":
        verdict = replace(verdict, derived=True)
    if verdict.modality in (Modality.T1W, Modality.T1C, Modality.T2W, Modality.FLAIR):
        verdict = replace(verdict, conflict=_conflict(group, verdict))
    return verdict


def _echo(group: Group) -> Verdict:
    """Tell one echo of several by its timing: their name is that of all."""
    verdict = _by_timing(group)
    reason = f"one echo of several, whose timing ({_timing(group)}) tells no weighting that is used"
    return verdict or Verdict(None, "other", reason)


def _by_name(group: Group) -> Verdict | None:
    first = group.first
    for keyword in ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName"):
        text = _plain(first.text(keyword))
        for pattern, modality, role, what in _WORDS:
            found = re.search(pattern, text) if text else None
            if found:
                return Verdict(modality, role, f"{keyword} has {found.group().strip()!r}: {what}")
    return None


def _by_contrast(group: Group) -> Verdict | None:
    contrast = group.first.text("AcquisitionContrast").upper()
    if contrast not in _CONTRAST:
        return None
    modality, role = _CONTRAST[contrast]
    return Verdict(modality, role, f"AcquisitionContrast (0008,9209) is {contrast}")


def _by_timing(group: Group) -> Verdict | None:
    weighted = _timing_says(group)
    if weighted is None:
        return None
    return Verdict(weighted, "image", f"timing ({_timing(group)}) is that of {weighted}")


def _timing_says(group: Group) -> Modality | None:
    """Tell the weighting of a brain image by its times (ms); None where they leave it open."""
    first = group.first
    te = first.hint("EchoTime") or first.hint("EffectiveEchoTime")
    tr, ti = first.hint("RepetitionTime"), first.hint("InversionTime")
    sequence = set(first.words("ScanningSequence"))
    if te is None or tr is None or te <= 0 or tr <= 0:
        return None
    if te >= 65 and tr >= 3500 and ti is not None and 1500 <= ti <= 3500:
        return Modality.FLAIR
    if te >= 65 and tr >= 1800 and not (ti and ti > 0) and "EP" not in sequence and "GR" not in sequence:
        return Modality.T2W
    if te <= 30 and (tr <= 1000 or (ti is not None and 300 <= ti <= 1300)) and "EP" not in sequence:
        return Modality.T1W
    return None


def _timing(group: Group) -> str:
    shown = []
    for keyword, name in (("RepetitionTime", "TR"), ("EchoTime", "TE"), ("EffectiveEchoTime", "TE"),
                          ("InversionTime", "TI")):  # fmt: skip
        value = group.first.hint(keyword)
        if value is not None:
            shown.append(f"{name} {value:g} ms")
    return ", ".join(shown)


def _with_agent(group: Group, verdict: Verdict) -> Verdict:
    first = group.first
    agent = first.text("ContrastBolusAgent")
    if not agent:
        try:
            agent = "a ContrastBolusAgentSequence" if first.value("ContrastBolusAgentSequence") else ""
        except ValueError:  # InputError: cannot be decoded
            agent = ""
    names = " ".join(_plain(first.text(k)) for k in ("SeriesDescription", "ProtocolName"))
    before, after = _NOT_ENHANCED.search(names), _ENHANCED.search(names)
    none = agent.strip().lower() in ("none", "no", "n")
    if agent and not none and not before:
        reason = f"{verdict.reason}; ContrastBolusAgent (0018,0010) is {agent!r}"
        return replace(verdict, modality=Modality.T1C, reason=reason)
    if after and not before:
        reason = f"{verdict.reason}; its name has {after.group().strip()!r}"
        return replace(verdict, modality=Modality.T1C, reason=reason)
    return verdict


def _conflict(group: Group, verdict: Verdict) -> str:
    weighted = _timing_says(group)
    taken = Modality.T1W if verdict.modality is Modality.T1C else verdict.modality
    if weighted is None or weighted is taken:
        return ""
    return f"its timing ({_timing(group)}) is that of {weighted}"


def _plain(text: str) -> str:
    """Lower case with separators as spaces, so that words end where they end."""
    return re.sub(r"[_\-./\\,;:()\[\]]+", " ", text.lower()).strip()
