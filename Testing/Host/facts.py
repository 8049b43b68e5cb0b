"""What the real classes offer to Python, so that a stand-in can offer nothing else."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
FACTS = REPOSITORY.parent / "shared" / "slicer"


class HostGap(AttributeError, NotImplementedError):  # noqa: N818 - says what it is
    """The host does not stand for this part of Slicer."""


@functools.cache
def load(name: str) -> dict[str, Any] | None:
    """Read one of the facts files; None where they are not at hand."""
    path = FACTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


@functools.cache
def names_of(class_name: str) -> frozenset[str] | None:
    """Give all names that Python sees on a ctk, qMRML or Qt class; None without facts."""
    widgets, qt = load("widget_api.json"), load("qt_api.json")
    if widgets is None or qt is None:
        return None
    names: set[str] = set()
    if class_name in widgets["classes"]:
        entry = widgets["classes"][class_name]
        names |= set(entry["properties"]) | {signature.split("(")[0] for signature in entry["signals"]}
        names |= {item["signature"].split("(")[0] for item in (*entry["slots"], *entry["invokables"])}
        bases = entry["bases"]
    elif class_name in qt["classes"]:
        entry = qt["classes"][class_name]
        names |= set(entry["properties"]) | set(entry["methods"]) | set(entry.get("static_methods", ()))
        names |= {signature.split("(")[0] for signature in (*entry["signals"], *entry["slots"])}
        names |= {
            item if isinstance(item, str) else item["signature"] for item in entry.get("invokables", ())
        }
        names |= {value for values in entry.get("enums", {}).values() for value in values}
        bases = entry["bases"]
    else:
        return frozenset()
    for base in bases:
        names |= names_of(base) or frozenset()
    return frozenset(names)


def stands_for(class_name: str) -> Callable[[type], type]:
    """Check that a stand-in offers only what the class it stands for has."""

    def check(stand_in: type) -> type:
        names = names_of(class_name)
        if names is not None:
            own = {name for name in vars(stand_in) if not name.startswith("_") and name != "staticMetaObject"}
            overrides = {name for name in own if any(hasattr(base, name) for base in stand_in.__mro__[1:])}
            invented = own - overrides - names
            assert not invented, f"{class_name} has no {', '.join(sorted(invented))}"
        return stand_in

    return check
