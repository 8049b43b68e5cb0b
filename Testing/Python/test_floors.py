"""Imports run down the house only; torch, Qt and Slicer stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARY = REPOSITORY / "SynthCBVLib"

FLOORS = {
    "errors": 0, "progress": 0, "imaging": 0,
    "physiology": 1, "networks": 1,
    "synthesis": 2, "training": 2, "analysis": 2, "phantom": 2,
    "cohort": 3, "worker": 3,
    "panel": 4, "scene": 4, "cli": 4, "__main__": 4,
}  # fmt: skip
ONLY_IN = {"qt": ("panel",), "ctk": ("panel",), "slicer": ("panel", "scene"), "vtk": ("panel", "scene")}
FILES = sorted(LIBRARY.rglob("*.py"))


def imported(path: Path) -> list[str]:
    """Give the dotted names of all modules that a file imports, at any depth."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def room(dotted: str) -> str | None:
    """Give the room of the house a dotted name is in; None for the package itself or other packages."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "SynthCBVLib" and len(parts) > 1 and parts[1] in FLOORS else None


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def test_every_file_has_a_floor():
    assert {room_of(path) for path in FILES} <= FLOORS.keys() | {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_run_downwards(path):
    floor = FLOORS.get(room_of(path), 0)
    for name in imported(path):
        target = room(name)
        if target is not None:
            assert FLOORS[target] <= floor, f"{path.name} (floor {floor}) imports {name} from above"
        top = name.split(".")[0]
        if top in ONLY_IN:
            assert room_of(path) in ONLY_IN[top], f"{path} imports {top}"


def loaded_after(statement: str) -> set[str]:
    """Give the top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}; import sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return set(output.stdout.split())


def test_package_import_is_light():
    loaded = loaded_after("import SynthCBVLib")
    assert not loaded & {"torch", "SimpleITK", "scipy", "matplotlib", "slicer", "vtk"}


@pytest.mark.parametrize(
    "module", ["synthesis", "training", "networks", "analysis.report", "phantom", "imaging.files", "cli"]
)
def test_packages_import_without_torch(module):
    assert "torch" not in loaded_after(f"import SynthCBVLib.{module}")
