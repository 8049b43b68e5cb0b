"""The scanner's protocol as Siemens writes it: lines of ``name = value`` between two ASCCONV marks."""

from __future__ import annotations

import math
import re

#: Real protocols have about 100 kB in some thousand lines; what is beyond the bounds is not looked at.
_LONGEST, _MOST_LINES = 4_000_000, 50_000
_BEGIN, _END = "### ASCCONV BEGIN", "### ASCCONV END"
_LINE = re.compile(r"([A-Za-z_][\w.\[\]]{0,199})\s{0,20}=\s{0,20}(\S.{0,499})", re.ASCII)


def ascconv(text: str) -> dict[str, str]:
    """Take the entries of a protocol; nothing in it is evaluated.

    Parameters
    ----------
    text : str
        Text with the protocol somewhere in it, as in MrPhoenixProtocol.

    Returns
    -------
    dict
        Values by name as they stand, without quotes and comments; empty where there is no whole protocol.
    """
    text = text[:_LONGEST]
    # A product line of the mark may follow BEGIN; an older protocol may stand in the text before.
    start = text.rfind(_BEGIN)
    end = text.find(_END, start)
    if start < 0 or end < 0:
        return {}
    entries: dict[str, str] = {}
    for line in text[start:end].splitlines()[1 : _MOST_LINES + 1]:
        found = _LINE.fullmatch(line.strip()[:720])
        if found:
            value = found[2].strip()
            entries[found[1]] = value.strip('"') if value[0] == '"' else value.partition("#")[0].strip()
    return entries


def number(entries: dict[str, str], name: str) -> float | None:
    """Give an entry as a number (decimal or 0x...), None where it is missing or no finite number."""
    text = entries.get(name, "")
    try:
        value = float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
