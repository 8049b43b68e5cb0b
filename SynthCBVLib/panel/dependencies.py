"""The Python packages that a synthesis needs, installed on first use and with the user's consent.

What 3D Slicer brings with it (numpy, SimpleITK and so on) is never replaced, for other modules rely on it:
pip is told to keep those versions, and refuses what does not fit them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from SynthCBVLib.errors import InputError

TORCH_REQUIREMENT = ">=2.4"
#: Packages that 3D Slicer is built against, by the names that pip and Python know them by.
BUNDLED = {
    "numpy": "numpy", "scipy": "scipy", "SimpleITK": "SimpleITK", "vtk": "vtk", "pydicom": "pydicom",
    "highdicom": "highdicom", "requests": "requests", "packaging": "packaging",
}  # fmt: skip


def ensure_packages(requirements: Path) -> None:
    """Install what is missing, after asking; return at once if nothing is.

    Parameters
    ----------
    requirements : Path
        The module's requirements file; PyTorch comes from the PyTorch extension, for the right hardware.

    Raises
    ------
    InputError
        If the user declines, the PyTorch extension is missing, the installation fails, or it would replace a
        package that Slicer brings.
    """
    import slicer.packaging

    if slicer.app.testingEnabled():
        return  # tests must not change Slicer's Python
    if importlib.util.find_spec("torch") is None:
        _install_torch()
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
                "Click Apply again and agree to the installation.",
            ) from error  # fmt: skip
        except Exception as error:  # pip's failures have many types; all leave the packages missing
            raise InputError(
                "Python packages", f"installation failed ({error})",
                "packages that can be downloaded and that fit those of 3D Slicer, which are not replaced",
                "Check the internet connection and click Apply again. If the error log tells of a conflict, "
                "use a newer 3D Slicer.",
            ) from error  # fmt: skip


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


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise InputError(
            "PyTorch", "the PyTorch extension is not installed", "the PyTorch extension of 3D Slicer",
            "Install it in the Extensions Manager and restart Slicer.",
        ) from None  # fmt: skip
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
        )
    except Exception as error:  # of pip or of what chooses the build for the hardware
        raise InputError(
            "PyTorch", f"installation failed ({error})", f"PyTorch {TORCH_REQUIREMENT}",
            "Check the internet connection, or install it in the PyTorch module; the error log tells more.",
        ) from error  # fmt: skip
    if torch is None:
        raise InputError(
            "PyTorch", "not installed", f"PyTorch {TORCH_REQUIREMENT}",
            "Click Apply again and agree to the installation.",
        )  # fmt: skip
