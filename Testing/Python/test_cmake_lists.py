"""Every file of the extension is listed for Slicer's build; what is forgotten is missing once installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
#: Folders that are built, and what in them is not installed.
NOT_INSTALLED = {
    "SynthCBVLib": ("CMakeLists.txt",),
    "SynthCBV": ("CMakeLists.txt", "Resources/Icons/draw_icon.py", "Resources/Icons/draw_thumbnails.py"),
}


def cmake_list(folder: str, name: str) -> list[str]:
    """Give the entries of ``set(NAME ...)`` in a folder's CMakeLists.txt."""
    text = (REPOSITORY / folder / "CMakeLists.txt").read_text(encoding="utf-8")
    text = re.sub(r"#.*", "", text).replace("${MODULE_NAME}", folder)
    found = re.search(rf"set\({name}\s(.*?)\)", text, re.DOTALL)
    assert found, f"{folder}/CMakeLists.txt sets no {name}"
    return found.group(1).split()


def files_of(folder: str) -> list[str]:
    root = REPOSITORY / folder
    names = (
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )
    return sorted(name for name in names if name not in NOT_INSTALLED[folder])


@pytest.mark.parametrize("folder", NOT_INSTALLED)
def test_lists_hold_every_file(folder):
    files = files_of(folder)
    for name, expected in (
        ("MODULE_PYTHON_SCRIPTS", [file for file in files if file.endswith(".py")]),
        ("MODULE_PYTHON_RESOURCES", [file for file in files if not file.endswith(".py")]),
    ):
        listed = cmake_list(folder, name)
        add = [file for file in expected if file not in listed]
        remove = [file for file in listed if file not in expected]
        assert listed == expected, (
            f"\n{folder}/CMakeLists.txt, {name} (sorted, one a line)"
            + "".join(f"\n  add:    {file}" for file in add)
            + "".join(f"\n  remove: {file}" for file in remove)
            + ("" if add or remove else "\n  sort the list")
            + "\n  The whole list should be:\n"
            + "\n".join(f"  {file}" for file in expected)
        )


def test_library_becomes_a_package_and_the_module_is_tested():
    library = (REPOSITORY / "SynthCBVLib" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "WITH_SUBDIR" in library
    assert "WITH_GENERIC_TESTS" not in library
    module = (REPOSITORY / "SynthCBV" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "slicer_add_python_unittest(SCRIPT ${MODULE_NAME}.py)" in module


def test_extension_says_what_the_index_asks_for():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'set\((EXTENSION_\w+) "([^"]*)"\)', text))
    assert {"EXTENSION_HOMEPAGE", "EXTENSION_CONTRIBUTORS", "EXTENSION_DESCRIPTION", "EXTENSION_ICONURL",
            "EXTENSION_SCREENSHOTURLS", "EXTENSION_DEPENDS"} <= values.keys()  # fmt: skip
    assert values["EXTENSION_DEPENDS"] == "PyTorch"
    assert "not for diagnosis" in values["EXTENSION_DESCRIPTION"]
    assert "cmake_minimum_required(VERSION 3.28.0...3.28.0 FATAL_ERROR)" in text
    for folder in re.findall(r"add_subdirectory\((\w+)\)", text):
        assert (REPOSITORY / folder / "CMakeLists.txt").is_file()


def test_nothing_that_slicer_brings_is_installed_and_nothing_is_pinned():
    text = (REPOSITORY / "SynthCBV" / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [re.split(r"[<>=~!]", line)[0] for line in lines]
    assert names == sorted(names)
    assert not {"torch", "numpy", "scipy", "SimpleITK", "vtk"} & set(names)
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in lines)


def test_no_package_takes_the_name_of_a_folder():
    assert not (REPOSITORY / "Testing" / "__init__.py").exists()
    assert not (REPOSITORY / "SynthCBV" / "__init__.py").exists()


def test_the_entry_for_the_extensions_index_says_what_the_build_says():
    entry = json.loads(
        (REPOSITORY / "docs" / "extension-index" / "SynthCBV.json").read_text(encoding="utf-8")
    )
    build = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    told = dict(re.findall(r'set\((EXTENSION_\w+) "([^"]*)"\)', build))
    assert entry["build_dependencies"] == told["EXTENSION_DEPENDS"].split()
    assert entry["scm_url"] == told["EXTENSION_HOMEPAGE"]
    module = (REPOSITORY / "SynthCBV" / "SynthCBV.py").read_text(encoding="utf-8")
    (category,) = re.findall(r'parent\.categories = \[translate\("\w+", "([^"]+)"\)\]', module)
    assert entry["category"] == category
