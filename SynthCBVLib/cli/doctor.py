"""Verb ``doctor``: what this installation has, and what it lacks."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys

from SynthCBVLib import __version__
from SynthCBVLib.errors import InputError

HELP = "check this installation"

#: Package -> import name; the last entries only serve a purpose.
_NEEDED = {
    "numpy": "numpy", "scipy": "scipy", "SimpleITK": "SimpleITK", "torch": "torch",
    "safetensors": "safetensors", "scikit-image": "skimage", "matplotlib": "matplotlib",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments (none)."""


def run(args: argparse.Namespace) -> None:
    """Print versions, devices and models; fails if something needed is missing."""
    print(f"SynthCBV {__version__}, Python {sys.version.split()[0]}, {platform.platform()}")
    missing = []
    for package, name in _NEEDED.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            missing.append(package)
            print(f"  missing  {package}")
        else:
            version = getattr(module, "__version__", getattr(module, "Version", lambda: "?"))
            print(f"  found    {package} {version if isinstance(version, str) else ''}".rstrip())
    if missing:
        raise InputError(
            "installation", f"no {', '.join(missing)}", "all packages above",
            f"Install with: pip install {' '.join(missing)}",
        )  # fmt: skip
    from SynthCBVLib.synthesis.inference import choose_device
    from SynthCBVLib.synthesis.model import bundled_models, load_model

    print(f"  device   {choose_device('auto')}")
    for name in bundled_models():
        model = load_model(name)
        print(f"  model    {name} {model.card.version} sha256 {model.sha256[:16]}…")
