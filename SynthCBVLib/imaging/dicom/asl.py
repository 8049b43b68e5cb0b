"""Arterial spin labelling: which images are control, label and M0, and the timing of the labelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.asl_files import LONGEST_TIME
from SynthCBVLib.imaging.dicom.frame import Frame, as_numbers
from SynthCBVLib.imaging.dicom.grouping import Group
from SynthCBVLib.imaging.dicom.notes import Note
from SynthCBVLib.imaging.dicom.siemens_asl import ProtocolTiming, protocol_timing
from SynthCBVLib.imaging.dicom.volumes import Volumes, assemble
from SynthCBVLib.imaging.study import Modality

CONTEXTS = ("control", "label", "m0scan")
_STANDARD = {
    "CONTROL": "control", "LABEL": "label",
    "M_ZERO_SCAN": "m0scan", "M0": "m0scan", "M0_SCAN": "m0scan", "M0SCAN": "m0scan",
}  # fmt: skip
#: Attribute that holds the duration of the label, and how it is called.
_DURATION = {
    "pcasl": ("ASLPulseTrainDuration", "ASLPulseTrainDuration (0018,9258)"),
    "pasl": ("ASLBolusCutoffDelayTime", "ASLBolusCutoffDelayTime (0018,925F)"),
}
_KINDS = {"PSEUDOCONTINUOUS": "pcasl", "PULSED": "pasl", "PCASL": "pcasl", "PASL": "pasl"}


@dataclass(frozen=True)
class AslPlan:
    """What an ASL series is made of, before its pixels are read.

    Attributes
    ----------
    volumes : Volumes
    contexts : tuple of str
        "control", "label" or "m0scan" of each volume.
    source : str
        Where that was recorded.
    labelling : str
        "pcasl" or "pasl".
    label_duration, post_label_delay : float or None
        s; None where it is not recorded.
    notes : tuple of Note
    """

    volumes: Volumes
    contexts: tuple[str, ...]
    source: str
    labelling: str
    label_duration: float | None
    post_label_delay: float | None
    notes: tuple[Note, ...]


def context_of(frame: Frame) -> tuple[str, str] | None:
    """Find what an image is in its ASL series, and the tag that says so; None where none does.

    Sources: ASL Context (enhanced MR), Philips' label type, ImageType, and image comments with one of the
    words CONTROL, LABEL or M0.
    """
    word = frame.text("ASLContext").upper()
    if word in _STANDARD:
        return _STANDARD[word], "ASLContext (0018,9257)"
    word = frame.private_text("Philips label type").upper()
    if word in _STANDARD:
        return _STANDARD[word], "Philips label type (2005,1429)"
    for text, source in ((frame.image_type, "ImageType"), (_comment(frame), "ImageComments (0020,4000)")):
        found = {_STANDARD[mark] for mark in _STANDARD if mark in text}
        if len(found) == 1:
            return found.pop(), source
    return None


def _comment(frame: Frame) -> tuple[str, ...]:
    text = frame.text("ImageComments").upper()
    return tuple("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def plan_asl(group: Group, given: Sequence[str] | None = None) -> AslPlan:
    """Sort an ASL series into control, label and M0 volumes.

    Parameters
    ----------
    group : Group
    given : sequence of str, optional
        "control", "label" or "m0scan" of each volume in the order of acquisition, as the user knows it.

    Raises
    ------
    InputError
        If that is not recorded (the order alone does not tell whether control or label came first), or
        control or label are missing, or there are several delays.
    """
    if given is None:
        found = {id(frame): context_of(frame) for frame in group.frames}
        open_ = [frame for frame in group.frames if found[id(frame)] is None]
        if open_:
            _refuse_unknown(group, open_)
        volumes = assemble(group, lambda frame: found[id(frame)][0])
        contexts = tuple(found[id(volume[0])][0] for volume in volumes.frames)
        source = found[id(group.first)][1]
    else:
        volumes, contexts, source = assemble(group), tuple(given), "given by the user"
        wrong = sorted({str(context) for context in contexts} - set(CONTEXTS))
        if wrong or len(contexts) != len(volumes.frames):
            raise InputError(
                group.name, f"{len(contexts)} volume types {wrong or ''}".rstrip()
                + f" for {len(volumes.frames)} volumes", f"one of {', '.join(CONTEXTS)} for each volume",
            )  # fmt: skip
    for kind in ("control", "label"):
        if kind not in contexts:
            raise InputError(
                group.name, f"no {kind} image among {sorted(set(contexts))}", "control and label"
            )
    labelled = [v for v, c in zip(volumes.frames, contexts, strict=True) if c != "m0scan"]
    labelling, duration, delay, notes = _timing(group, labelled)
    notes.append(Note("info", Modality.CBF, f"{group.name}: control, label and M0 told apart by {source}",
                      "Nothing needs to be done."))  # fmt: skip
    return AslPlan(volumes, contexts, source, labelling, duration, delay, tuple(notes))


def _refuse_unknown(group: Group, frames: list[Frame]) -> None:
    if group.first.private_text("GE ASL contrast"):
        raise InputError(
            group.name, "GE's perfusion-weighted difference instead of control and label images",
            "control, label and M0", "Take the CBF map that the scanner made of it.",
        )  # fmt: skip
    raise InputError(
        group.name,
        f"{len(frames)} of {len(group.frames)} images do not say whether they are control, label or M0 "
        f"({frames[0].where})",
        "ASLContext (0018,9257), Philips' label type (2005,1429), or words in ImageType or ImageComments",
        "Their order does not tell: give it (asl_context=[\"m0scan\", \"control\", \"label\", ...]), or give "
        "the scanner's CBF map.",
    )  # fmt: skip


def _timing(
    group: Group, volumes: list[tuple[Frame, ...]]
) -> tuple[str, float | None, float | None, list[Note]]:
    first, notes = volumes[0][0], []
    protocol = protocol_timing(first)
    word = (
        first.text("ArterialSpinLabelingContrast") or first.private_text("GE ASL contrast")
        or (protocol.labelling if protocol else "")
    ).upper().replace(" ", "")  # fmt: skip
    if not word:
        names = " ".join(first.text(k) for k in ("SeriesDescription", "ProtocolName", "SequenceName")).upper()
        word = next((kind for kind in ("PCASL", "PASL") if kind in names), "")
    if word and word not in _KINDS:
        raise InputError(
            group.name, f"labelling {word}", "pseudo-continuous or pulsed labelling",
            "Give the scanner's CBF map.",
        )  # fmt: skip
    labelling = _KINDS.get(word, "pcasl")
    if not word:
        notes.append(Note(
            "warning", Modality.CBF, f"{group.name}: the kind of labelling is not recorded; pCASL is assumed",
            "Compare with the protocol.",
        ))  # fmt: skip
    if protocol is not None and protocol.labelling != labelling:
        protocol = None
    duration, duration_source = _duration(group, volumes, labelling, protocol)
    delay, delay_source = _delay(group, volumes, protocol)
    known = [
        f"{name} {value:g} s by {source}"
        for name, value, source in (
            ("label duration", duration, duration_source), ("post-labelling delay", delay, delay_source),
        )
        if value is not None
    ]  # fmt: skip
    if known:
        notes.append(Note("info", Modality.CBF, f"{group.name}: {'; '.join(known)}",
                          "Compare with the protocol of the examination."))  # fmt: skip
    for name, value in (("label duration", duration), ("post-labelling delay", delay)):
        if value is None:
            notes.append(Note(
                "warning", Modality.CBF, f"{group.name}: the {name} is not recorded",
                "Give the timing of the protocol, or only relative perfusion can be had.",
            ))  # fmt: skip
    return labelling, duration, delay, notes


def _duration(
    group: Group, volumes: list[tuple[Frame, ...]], labelling: str, protocol: ProtocolTiming | None
) -> tuple[float | None, str]:
    """Give the label duration (PASL: of the bolus) in s and where it is recorded."""
    keyword, tag = _DURATION[labelling]
    found = _one_time(group, keyword, [volume[0].number_of(keyword) for volume in volumes])
    if found is not None:
        return found, tag
    first = volumes[0][0]
    value = first.private_value("GE label duration") if labelling == "pcasl" else None
    if value is not None:
        name = "GE label duration"
        return _seconds(group, name, as_numbers(value, first.where, name)[0]), f"{name} (0043,10A5)"
    if protocol is not None and protocol.label_duration:
        source = f"{protocol.duration_name} in {protocol.source}"
        return _seconds(group, source, protocol.label_duration), source
    return None, ""


def _delay(
    group: Group, volumes: list[tuple[Frame, ...]], protocol: ProtocolTiming | None
) -> tuple[float | None, str]:
    """Give the post-labelling delay (PASL: inversion time) in s and where it is recorded.

    A protocol that names it goes before inversion times: those of Siemens' pCASL may be anything.
    """
    if protocol is not None and protocol.delays:
        source = f"{protocol.delay_name} in {protocol.source}"
        return _one_time(group, source, list(protocol.delays)), source
    # Slices that are read later have longer times in 2D: the earliest is the delay.
    delays = [min((t for t in map(_inversion, volume) if t is not None), default=None) for volume in volumes]
    plural = any(frame.number_of("InversionTimes") is not None for frame in volumes[0])
    tag = "InversionTimes (0018,9079)" if plural else "InversionTime (0018,0082)"
    return _one_time(group, "InversionTimes", delays), tag


def _inversion(frame: Frame) -> float | None:
    time = frame.number_of("InversionTimes")
    return frame.number_of("InversionTime") if time is None else time


def _one_time(group: Group, name: str, times: list[float | None]) -> float | None:
    distinct = sorted({round(time, 1) for time in times if time})
    if len(distinct) > 1:
        raise InputError(
            group.name, f"{name} of {', '.join(f'{t:g}' for t in distinct[:8])} ms",
            "one time for all volumes",
            "Several delays are not supported here: give a CBF map.",
        )  # fmt: skip
    return _seconds(group, name, distinct[0]) if distinct else None


def _seconds(group: Group, name: str, milliseconds: float) -> float:
    if not 0 < milliseconds <= 1000 * LONGEST_TIME:
        raise InputError(group.name, f"{name} {milliseconds:g} ms", f"0 to {1000 * LONGEST_TIME:g} ms")
    return milliseconds / 1000
