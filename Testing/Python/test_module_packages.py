"""What the first Apply installs, with doubles of Slicer's package tools."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from SynthCBVLib.errors import InputError
from SynthCBVLib.panel import dependencies

REQUIREMENTS = Path(__file__).resolve().parents[2] / "SynthCBV" / "Resources" / "requirements.txt"


@pytest.fixture
def slicer(monkeypatch):
    """Give Slicer's part: what pip_ensure was asked, and what it is to do."""
    calls = []

    def pip_ensure(requirements, constraints=None, requester=None):
        calls.append((requirements, Path(constraints).read_text(encoding="utf-8"), requester))
        if application.problem is not None:
            raise application.problem

    packaging = types.ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: [
        line for line in Path(path).read_text().splitlines() if not line.startswith("#")
    ]
    packaging.pip_check = lambda requirements: application.satisfied
    packaging.pip_ensure = pip_ensure
    application = types.ModuleType("slicer")
    application.app = types.SimpleNamespace(testingEnabled=lambda: application.testing)
    application.packaging, application.calls = packaging, calls
    application.testing, application.satisfied, application.problem = False, False, None
    application.torch = "2.4.0+cpu"
    monkeypatch.setitem(sys.modules, "slicer", application)
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    known = importlib.metadata.version

    def version(name):
        if name != "torch":
            return known(name)
        if application.torch is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return application.torch

    monkeypatch.setattr(importlib.metadata, "version", version)
    return application


def test_nothing_is_done_in_tests_and_where_all_is_there(slicer):
    slicer.testing = True
    dependencies.ensure_packages(REQUIREMENTS)
    slicer.testing, slicer.satisfied = False, True
    dependencies.ensure_packages(REQUIREMENTS)
    assert slicer.calls == []


def test_pip_has_to_keep_what_slicer_brings(slicer):
    dependencies.ensure_packages(REQUIREMENTS)
    ((wanted, constraints, requester),) = slicer.calls
    assert requester == "SynthCBV"
    assert any(line.startswith("safetensors>=") for line in wanted)
    assert not any(line.startswith(("numpy", "scipy", "SimpleITK", "torch")) for line in wanted)
    import numpy

    assert f"numpy=={numpy.__version__}" in constraints.splitlines()


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (RuntimeError("declined"), "agree to the installation"),
        (subprocess.CalledProcessError(1, "pip"), "which are not replaced"),
    ],
)
def test_a_no_and_a_failure_are_told(slicer, problem, words):
    slicer.problem = problem
    with pytest.raises(InputError, match=words):
        dependencies.ensure_packages(REQUIREMENTS)


def test_torch_comes_from_its_extension(slicer, monkeypatch):
    slicer.torch = None
    with pytest.raises(InputError, match="PyTorch extension is not installed"):
        dependencies.ensure_packages(REQUIREMENTS)
    asked = []

    class PyTorchUtilsLogic:
        def installTorch(self, **options):  # noqa: N802
            asked.append(options)

    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    with pytest.raises(InputError, match="PyTorch: not installed"):
        dependencies.ensure_packages(REQUIREMENTS)
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.4"}]

    def fail(self, **options):
        raise subprocess.CalledProcessError(1, "pip")

    PyTorchUtilsLogic.installTorch = fail
    with pytest.raises(InputError, match="PyTorch: installation failed"):
        dependencies.ensure_packages(REQUIREMENTS)
    assert slicer.calls == []


def test_figures_need_no_torch(slicer):
    slicer.torch = None
    dependencies.ensure_packages(REQUIREMENTS, torch=False)
    assert len(slicer.calls) == 1


def test_an_old_torch_is_told_before_the_worker_fails_on_it(slicer):
    slicer.torch = "2.3.1+cu121"
    with pytest.raises(InputError, match=r"version 2\.3\.1.*2\.4 or newer.*PyTorch Utils"):
        dependencies.ensure_packages(REQUIREMENTS)
    for good in ("2.4", "2.10.1+cu128", "2.9.0a0+git1234"):
        slicer.torch = good
        dependencies.ensure_packages(REQUIREMENTS)


def test_what_an_uninstallation_leaves_is_no_torch(slicer, monkeypatch, tmp_path):
    (tmp_path / "torch" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    slicer.torch = None
    with pytest.raises(InputError, match="PyTorch extension is not installed"):
        dependencies.ensure_packages(REQUIREMENTS)


def test_a_second_click_during_an_installation_installs_nothing(slicer):
    """Slicer turns its event loop while pip works."""
    install, told = slicer.packaging.pip_ensure, []

    def click_again(*arguments, **options):
        with pytest.raises(InputError, match="just now") as caught:
            dependencies.ensure_packages(REQUIREMENTS)
        told.append(caught.value)
        install(*arguments, **options)

    slicer.packaging.pip_ensure = click_again
    dependencies.ensure_packages(REQUIREMENTS)
    assert len(told) == len(slicer.calls) == 1
    slicer.packaging.pip_ensure = install
    dependencies.ensure_packages(REQUIREMENTS)  # and the way is free again


def test_a_folder_of_somebody_else_is_told(slicer, monkeypatch):
    slicer.problem = subprocess.CalledProcessError(1, "pip")
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(InputError, match="have who installed 3D Slicer do this once"):
        dependencies.ensure_packages(REQUIREMENTS)


def test_a_missing_package_is_told_to_scripts():
    told = pytest.raises(InputError, match=r"skimage\.metrics: not installed.*installPackages")
    with told, dependencies.missing_packages_told():
        raise ModuleNotFoundError("No module named 'skimage.metrics'", name="skimage.metrics")
    with pytest.raises(ModuleNotFoundError), dependencies.missing_packages_told():
        raise ModuleNotFoundError("No module named 'ours'", name="ours")


def test_a_package_that_pip_does_not_know_is_not_put_beside_slicers(monkeypatch):
    def version_of(name):
        if name == "SimpleITK":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.4.0+slicer5"

    kept = dependencies.kept_versions(["numpy", "SimpleITK", "no-such-package"], version_of)
    assert kept[:2] == ["numpy==2.4.0", "SimpleITK==0+slicer"]


def test_pip_understands_the_constraints(tmp_path):
    """pip refuses a plan that would replace a kept package; an empty folder stands for the index."""
    file = tmp_path / "constraints.txt"
    file.write_text("pip==0+slicer\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path),
         "--constraint", str(file), "pip"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "0+slicer" in done.stdout + done.stderr
