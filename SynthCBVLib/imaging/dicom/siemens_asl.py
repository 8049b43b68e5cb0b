"""Timing of the labelling that Siemens keeps in the protocol of the scanner only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from SynthCBVLib.imaging.dicom.ascconv import ascconv, number
from SynthCBVLib.imaging.dicom.csa import csa_text
from SynthCBVLib.imaging.dicom.frame import Frame
from SynthCBVLib.imaging.dicom.headers import damage_named, pydicom_module

_MOST_DELAYS = 64
#: RF blocks of the 2D pCASL sequence: 20 pulses of 920 µs.
_RF_BLOCK = 20 * 0.92


@dataclass(frozen=True)
class ProtocolTiming:
    """What the protocol tells of the labelling.

    Attributes
    ----------
    labelling : str
        "pcasl", "pasl" or "".
    label_duration : float or None
        ms.
    delays : tuple of float
        ms; post-labelling delays of pCASL, inversion times of PASL.
    source : str
        Tag of the protocol.
    duration_name, delay_name : str
        Entries that the times are from.
    """

    labelling: str
    label_duration: float | None
    delays: tuple[float, ...]
    source: str
    duration_name: str
    delay_name: str


def protocol_timing(frame: Frame) -> ProtocolTiming | None:
    """Read the timing of ASL from a Siemens file's protocol; None where it has none.

    The protocol is MrPhoenixProtocol (or the older MrProtocol) of the CSA series header, (0029,xx20), or
    (0021,xx19) of newer software. Known are the product's pCASL (``sAsl.ulLabelingDuration``,
    ``sAsl.sPostLabelingDelay``) and PASL (``alTI[0]``: bolus, ``alTI[2]``: inversion time) and the 2D pCASL
    of the University of Southern California (``sWipMemBlock.adFree``); all in µs.

    Raises
    ------
    InputError
        If the file's private part is damaged.
    """
    if "siemens" not in frame.text("Manufacturer").lower():
        return None
    for text, source in _protocols(frame):
        entries = ascconv(text)
        found = _timing(entries, source) if entries else None
        if found is not None:
            return found
    return None


def _protocols(frame: Frame) -> list[tuple[str, str]]:
    pydicom = pydicom_module()
    with damage_named(frame.path, "the protocol of the scanner"):
        dataset = pydicom.dcmread(frame.path, stop_before_pixels=True)
        found = []
        for creator, value, source in _private(dataset, 0x0029, 0x20):
            if creator == "siemens csa header" and isinstance(value, bytes):
                for name in ("MrPhoenixProtocol", "MrProtocol"):
                    found.append((csa_text(value, name), f"{name} of the Siemens CSA header {source}"))
        for creator, value, source in _private(dataset, 0x0021, 0x19):
            if creator == "siemens mr sds 01":
                text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                found.append((text, f"Siemens protocol {source}"))
    return found


def _private(dataset: Any, group: int, element: int) -> list[tuple[str, Any, str]]:
    """Give private elements of the file and of its shared functional group: creator, value, tag."""
    layers = [dataset, *list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]
    for layer in list(layers):
        for block in range(0x10, 0x20):
            inner = layer.get(group << 16 | block << 8 | 0xFE)
            if inner is not None and inner.VR == "SQ":
                layers += list(inner.value)[:1]
    found = []
    for layer in layers:
        for block in range(0x10, 0x20):
            item = layer.get(group << 16 | block << 8 | element)
            if item is not None:
                maker = layer.get(group << 16 | block)
                name = "" if maker is None else str(maker.value).replace("\0", "").strip().lower()
                found.append((name, item.value, f"({group:04X},{block:02X}{element:02X})"))
    return found


def _timing(entries: dict[str, str], source: str) -> ProtocolTiming | None:
    sequence = entries.get("tSequenceFileName", "").lower()
    duration, delays = _milliseconds(entries, "sAsl.ulLabelingDuration"), _delays(entries)
    if delays and "pasl" not in sequence:
        return ProtocolTiming(
            "pcasl", duration, delays, source, "sAsl.ulLabelingDuration", "sAsl.sPostLabelingDelay"
        )
    if "_pasl" in sequence:
        inversion = _milliseconds(entries, "alTI[2]")
        return ProtocolTiming(
            "pasl", _milliseconds(entries, "alTI[0]"), (inversion,) if inversion else (), source,
            "alTI[0]", "alTI[2]",
        )  # fmt: skip
    if "ep2d_pcasl" in sequence:
        free = "sWipMemBlock.adFree"
        blocks, delay = number(entries, f"{free}[3]"), _milliseconds(entries, f"{free}[2]")
        return ProtocolTiming(
            "pcasl", blocks * _RF_BLOCK if blocks and blocks > 0 else None, (delay,) if delay else (), source,
            f"{free}[3]", f"{free}[2]",
        )  # fmt: skip
    return None


def _delays(entries: dict[str, str]) -> tuple[float, ...]:
    size = number(entries, "sAsl.ulDelayArraySize")
    count = _MOST_DELAYS if size is None or not 1 <= size <= _MOST_DELAYS else int(size)
    times = (_milliseconds(entries, f"sAsl.sPostLabelingDelay[{i}]") for i in range(count))
    return tuple(time for time in times if time is not None)


def _milliseconds(entries: dict[str, str], name: str) -> float | None:
    """Give an entry in µs as ms, None where it is missing or not above zero."""
    value = number(entries, name)
    return value / 1000 if value is not None and value > 0 else None
