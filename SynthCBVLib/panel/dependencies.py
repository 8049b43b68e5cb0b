"""The Python packages that a synthesis needs, installed on first use and with the user's consent."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from SynthCBVLib.errors import InputError

TORCH_REQUIREMENT = ">=2.4"


def ensure_packages(requirements: Path) -> None:
    """Install what is missing, after asking; return at once if nothing is.

    Parameters
    ----------
    requirements : Path
        The module's requirements file; PyTorch comes from the PyTorch extension, for the right hardware.

    Raises
    ------
    InputError
        If the user declines, the PyTorch extension is missing, or the installation fails.
    """
    import slicer.packaging

    if slicer.app.testingEnabled():
        return  # tests must not change Slicer's Python
    if importlib.util.find_spec("torch") is None:
        _install_torch()
    try:
        slicer.packaging.pip_ensure(slicer.packaging.load_requirements(requirements), requester="SynthCBV")
    except RuntimeError as error:
        raise InputError(
            "Python packages", f"not installed ({error})", "the packages that SynthCBV uses",
            "Click Apply again and agree to the installation.",
        ) from error  # fmt: skip
    except Exception as error:  # pip's failures have many types; all leave the packages missing
        raise InputError(
            "Python packages", f"installation failed ({error})", "the packages that SynthCBV uses",
            "Check the internet connection and click Apply again.",
        ) from error  # fmt: skip


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise InputError(
            "PyTorch", "the PyTorch extension is not installed", "the PyTorch extension of 3D Slicer",
            "Install it in the Extensions Manager and restart Slicer.",
        ) from None  # fmt: skip
    torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
    )
    if torch is None:
        raise InputError(
            "PyTorch", "not installed", f"PyTorch {TORCH_REQUIREMENT}",
            "Click Apply again and agree to the installation.",
        )  # fmt: skip
