"""Keeping identifiers out of what is written for others to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

WITHHELD = "(withheld)"

_IDENTIFYING_KEY = re.compile(
    r"^(subject|patient|participant|case)([_ ]?(id|name|label|birth.*|age|sex|address))?$"
    r"|birth|accession|^study[_ ]?(id|uid|date|time)|operator|physician|institution",
    re.IGNORECASE,
)
_FILE = re.compile(r"\.(nii(\.gz)?|nrrd|nhdr|mha|mhd|dcm|bval|bvec|json|tsv|csv|mrb|mrml)\b", re.IGNORECASE)
_PATH = re.compile(r"^(~?/\w|~\w*/|\.{1,2}/|[A-Za-z]:[\\/]|\\\\|file:)")


def without_identifiers(value: Any, subject: str | None = None) -> Any:
    """Copy a tree of mappings, sequences and values without what may name a person.

    Entries whose key speaks of a subject or patient, paths and file names are replaced by "(withheld)";
    a subject's label is taken out of texts (a label of digits alone only after "sub-" or "subject").

    Parameters
    ----------
    value : any
        JSON-like tree.
    subject : str, optional
        Label of the subject.
    """
    if isinstance(value, Mapping):
        return {
            without_identifiers(str(key), subject): WITHHELD
            if _IDENTIFYING_KEY.search(str(key))
            else without_identifiers(item, subject)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_identifiers(item, subject) for item in value]
    if isinstance(value, PurePath):
        return WITHHELD
    return _text(value, subject) if isinstance(value, str) else value


def _text(text: str, subject: str | None) -> str:
    kept = "".join(
        WITHHELD if _PATH.match(word.lstrip("('\"")) or _FILE.search(word) else word
        for word in re.split(r"(\s+)", text)
    )
    label = re.sub(r"^sub-", "", (subject or "").strip())
    if not label:
        return kept
    before = r"(?:\bsub-|\bsubject\s+|\bpatient\s+)" if label.isdigit() else r"(?:\bsub-|(?<![A-Za-z0-9]))"
    return re.sub(before + re.escape(label) + r"(?![A-Za-z0-9])", "the case", kept, flags=re.IGNORECASE)
