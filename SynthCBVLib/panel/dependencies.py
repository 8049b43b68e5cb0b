"""The Python packages that a synthesis needs, installed on first use and with the user's consent.

What 3D Slicer brings with it (numpy, SimpleITK and so on) is never replaced, for other modules rely on it:
pip is told to keep those versions, and refuses what does not fit them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from SynthCBVLib.errors import InputError, missing_package

OLDEST_TORCH = "2.4"
#: What Slicer does not bring, by the names that Python knows it by.
OURS = ("torch", "safetensors", "skimage", "matplotlib")
#: Packages that 3D Slicer is built against, by the names that pip and Python know them by.
BUNDLED = {
    "numpy": "numpy", "scipy": "scipy", "SimpleITK": "SimpleITK", "vtk": "vtk", "pydicom": "pydicom",
    "highdicom": "highdicom", "requests": "requests", "packaging": "packaging",
}  # fmt: skip


#: Slicer stays live while it installs, so that a second click may come.
_INSTALLATION = threading.Lock()


def ensure_packages(requirements: Path, torch: bool = True) -> None:
    """Install what is missing, after asking; return at once if nothing is.

    Parameters
    ----------
    requirements : Path
        The module's requirements file; PyTorch comes from the PyTorch extension, for the right hardware.
    torch : bool
        Whether PyTorch is needed too.

    Raises
    ------
    InputError
        If the user declines, the PyTorch extension is missing, PyTorch is too old, the installation fails or
        is under way already, or it would replace a package that Slicer brings.
    """
    import slicer

    if slicer.app.testingEnabled():
        return  # tests must not change Slicer's Python
    if not _INSTALLATION.acquire(blocking=False):
        raise InputError(
            "Python packages", "being installed just now", "the end of that",
            "Wait until the installation is through, and click again.",
        )  # fmt: skip
    try:
        if torch:
            _ensure_torch()
        _ensure_others(requirements)
    finally:
        _INSTALLATION.release()


@contextlib.contextmanager
def missing_packages_told() -> Iterator[None]:
    """Tell whoever works in Slicer's own process which package is missing and what to do about it.

    Raises
    ------
    InputError
        In place of Python's own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OURS:
            raise
        remedy = "Call SynthCBVLogic().installPackages(), or click Apply in the panel once."
        raise missing_package(error, remedy) from error


def kept_versions(
    names: Sequence[str] | None = None,
    version_of: Callable[[str], str] = importlib.metadata.version,
) -> list[str]:
    """Give pip's constraints that keep what Slicer brings.

    Parameters
    ----------
    names : sequence of str, optional
        Packages to keep; those of `BUNDLED` that are there by default.
    version_of : callable
        Gives the installed version of a package.

    Returns
    -------
    list of str
        Such as "numpy==2.4.0". A package of which pip knows no version gets one that does not exist: whatever
        asks for it is refused, for pip would put its own beside Slicer's.
    """
    lines = []
    for name in BUNDLED if names is None else names:
        try:
            lines.append(f"{name}=={version_of(name).split('+')[0]}")
        except importlib.metadata.PackageNotFoundError:
            if importlib.util.find_spec(BUNDLED.get(name, name)) is not None:
                lines.append(f"{name}==0+slicer")
    return lines


def _ensure_torch() -> None:
    from packaging.version import Version

    try:  # what an uninstallation leaves of its folder, or of this process's memory, does not count
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        _install_torch()
        return
    if Version(found) < Version(OLDEST_TORCH):
        raise InputError(
            "PyTorch", f"version {found}", f"version {OLDEST_TORCH} or newer",
            "Uninstall it in the module PyTorch Utils, restart Slicer and click again.",
        )  # fmt: skip


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise InputError(
            "PyTorch", "the PyTorch extension is not installed", "the PyTorch extension of 3D Slicer",
            "Install it in the Extensions Manager and restart Slicer.",
        ) from None  # fmt: skip
    requirement = f">={OLDEST_TORCH}"
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=requirement
        )
    except Exception as error:  # of pip or of what chooses the build for the hardware
        raise InputError(
            "PyTorch", f"installation failed ({error})", f"PyTorch {requirement}",
            _remedy("Check the internet connection, or install it in the module PyTorch Utils; the error log "
                    "tells more."),
        ) from error  # fmt: skip
    if torch is None:
        raise InputError(
            "PyTorch", "not installed", f"PyTorch {requirement}",
            "Click again and agree to the installation.",
        )  # fmt: skip


def _ensure_others(requirements: Path) -> None:
    import slicer.packaging

    wanted = slicer.packaging.load_requirements(requirements)
    if slicer.packaging.pip_check(wanted):
        return
    with tempfile.TemporaryDirectory(prefix="SynthCBV-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(kept_versions()) + "\n", encoding="utf-8")
        try:
            slicer.packaging.pip_ensure(wanted, constraints=constraints, requester="SynthCBV")
        except RuntimeError as error:  # the user's "no"
            raise InputError(
                "Python packages", f"not installed ({error})", "the packages that SynthCBV uses",
                "Click again and agree to the installation.",
            ) from error  # fmt: skip
        except Exception as error:  # pip's failures have many types; all leave the packages missing
            raise InputError(
                "Python packages", f"installation failed ({error})",
                "packages that can be downloaded and that fit those of 3D Slicer, which are not replaced",
                _remedy("Check the internet connection and click again. If the error log tells of a "
                        "conflict, use a newer 3D Slicer."),
            ) from error  # fmt: skip


def _remedy(usual: str) -> str:
    """Give the usual advice, or better one where Slicer's folder belongs to somebody else."""
    place = Path(np.__file__).parents[1]
    if os.access(place, os.W_OK):
        return usual
    return (
        f"Its folder {place} is not yours to write to: have who installed 3D Slicer do this once, or install "
        "3D Slicer in a folder of your own."
    )
