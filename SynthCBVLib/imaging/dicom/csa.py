"""Siemens' CSA header, as far as older scanners keep the b-value nowhere else."""

from __future__ import annotations

import struct

#: Bounds of damaged counts: real headers have about 100 elements with at most some hundred items.
_MOST_ELEMENTS, _MOST_ITEMS = 2000, 4000


def csa_text(data: bytes, name: str) -> str:
    """Give an element's first text of a CSA header ("SV10" or the older layout), "" where it has none.

    Parameters
    ----------
    data : bytes
        Value of (0029,xx10).
    name : str
        Element, such as "B_value".

    Notes
    -----
    Layout: a count of elements; each has a name of 64 bytes, vm, vr, syngodt, a count of items and a marker;
    each item four lengths, of which one counts, and its bytes padded to 4.
    """
    version2 = data[:4] == b"SV10"
    position = 8 if version2 else 0
    try:
        elements = struct.unpack_from("<I", data, position)[0]
        position += 8
        for _ in range(min(elements, _MOST_ELEMENTS)):
            title, items = data[position : position + 64].split(b"\0")[0], 0
            items = struct.unpack_from("<I", data, position + 76)[0]
            position += 84
            found = ""
            for _ in range(min(items, _MOST_ITEMS)):
                lengths = struct.unpack_from("<4i", data, position)
                length = max(lengths[1] if version2 else lengths[0], 0)
                position += 16
                found = found or data[position : position + length].split(b"\0")[0].decode("latin-1").strip()
                position += (length + 3) // 4 * 4
            if title.decode("latin-1") == name:
                return found
    except struct.error:  # the header ends before its counts do
        pass
    return ""
