"""Questions for a file or folder, and files shown outside Slicer."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import qt
from slicer.i18n import tr as _


class Dialogs(Protocol):
    """Asks the user; each gives None where the user thinks better of it."""

    def open_table(self) -> Path | None:
        """Ask for a CSV file that exists."""

    def save_table(self) -> Path | None:
        """Ask for a CSV file to write."""

    def folder(self) -> Path | None:
        """Ask for a folder to write to."""

    def show(self, path: Path) -> None:
        """Show a file with the program that the system has for it."""


class QtDialogs:
    """The dialogs of Slicer's own window system."""

    def open_table(self) -> Path | None:
        """Ask for a CSV file that exists."""
        return _path(qt.QFileDialog.getOpenFileName(None, _("Import a cohort"), "", _KINDS()))

    def save_table(self) -> Path | None:
        """Ask for a CSV file to write."""
        path = _path(qt.QFileDialog.getSaveFileName(None, _("Export the cohort"), "cohort.csv", _KINDS()))
        return path if path is None or path.suffix else path.with_suffix(".csv")

    def folder(self) -> Path | None:
        """Ask for a folder to write to."""
        return _path(qt.QFileDialog.getExistingDirectory(None, _("Folder for the report")))

    def show(self, path: Path) -> None:
        """Show a file with the program that the system has for it."""
        # Not slicer.app.openUrl, which hands an address to Slicer's own modules.
        qt.QDesktopServices.openUrl(qt.QUrl(path.absolute().as_uri()))


def _KINDS() -> str:  # noqa: N802 - a text that is translated when it is used
    return _("Tables (*.csv *.tsv *.txt);;All files (*)")


def _path(answer: object) -> Path | None:
    """Take the path of an answer; some Qt for Python give it with the chosen kind of file."""
    text = answer[0] if isinstance(answer, tuple) else answer
    return Path(str(text)) if text else None
