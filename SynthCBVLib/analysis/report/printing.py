"""An HTML report as PDF, if the machine has a program that prints pages; nothing depends on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.files import written_whole

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
             "microsoft-edge")  # fmt: skip
_OTHERS = ("weasyprint", "wkhtmltopdf")
#: Seconds that printing may take.
LONGEST = 120.0


def printing_engine() -> Path | None:
    """Give the program that prints pages: a browser of the Chromium kind, WeasyPrint or wkhtmltopdf.

    Returns
    -------
    Path or None
        The first found on the search path; None if there is none.
    """
    for name in (*_BROWSERS, *_OTHERS):
        found = shutil.which(name)
        if found:
            return Path(found)
    return None


def write_pdf(
    html: str | os.PathLike[str], path: str | os.PathLike[str], *, engine: Path | None = None
) -> Path:
    """Print an HTML file as PDF, whole or not at all.

    Parameters
    ----------
    html : path-like
        The page, as the reports are: nothing is loaded from elsewhere.
    path : path-like
        PDF file.
    engine : Path, optional
        Program to print with; by default `printing_engine`.

    Raises
    ------
    InputError
        If there is no such program, the page does not exist, or printing fails.
    """
    html, path = Path(html).resolve(), Path(path)
    engine = engine or printing_engine()
    if engine is None:
        raise InputError(
            path, "no program that prints pages", "Chromium, Chrome, Edge, WeasyPrint or wkhtmltopdf",
            "Open the HTML report in a browser and print it to PDF there.",
        )  # fmt: skip
    if not html.is_file():
        raise InputError(html, "no such file", "an HTML report")
    with written_whole(path) as (temporary,):
        # Browsers write their profile somewhere: a folder of its own keeps the user's untouched.
        with tempfile.TemporaryDirectory(prefix="synthcbv-print-", ignore_cleanup_errors=True) as profile:
            command = _command(engine, html, temporary.resolve(), profile)
            try:
                done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False)
                told = done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-1:]
                code = done.returncode
            except subprocess.TimeoutExpired:
                code, told = -1, [f"no end after {LONGEST:.0f} s"]
            except OSError as error:
                code, told = -1, [str(error.strerror)]
        if code != 0 or not temporary.is_file() or not temporary.read_bytes().startswith(b"%PDF"):
            raise InputError(
                path, f"{engine.name} wrote no PDF ({' '.join(told)[:200] or f'exit code {code}'})",
                "a program that prints pages", "Open the HTML report in a browser and print it to PDF there.",
            )  # fmt: skip
    return path


def _command(engine: Path, html: Path, pdf: Path, profile: str) -> list[str]:
    name = engine.stem.lower()
    if name in _OTHERS:
        return [str(engine), *(["--quiet"] if name == "wkhtmltopdf" else []), html.as_uri(), str(pdf)]
    command = [
        str(engine), "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer",
        "--disable-extensions", "--disable-sync", "--disable-background-networking",
        "--disable-component-update", "--disable-dev-shm-usage", "--no-default-browser-check",
        f"--user-data-dir={profile}", f"--print-to-pdf={pdf}", html.as_uri(),
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(
            1, "--no-sandbox"
        )  # Chromium's sandbox does not start for root; the page has no script
    return command
