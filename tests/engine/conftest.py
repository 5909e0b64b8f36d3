"""Bases for the engine's tests, each as written and with every variable and state renamed.

Fixtures (all that use them run twice):

    names       names["hot"] is what the variable or state `hot` of the YAML is called in this run;
                names.rename("hot & noisy") does so for a whole text
    base_of     base_of("machine") -> Knowledge of tests/engine/bases/machine.yaml
    overlay_of  overlay_of("remove: [rules.dry]") -> Knowledge of machine.yaml with this laid upon it;
                overlay_of(text, "weather") extends another base, overlay_of(text, None) none
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from renaming import BASES, Names, as_written, renamed

from engine import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Knowledge


# Where laws of numbers are tried, on bases that were read: that names are none of the engine's affair is held
# by the other rooms' tests, and here by `pytest -m slow`.
NUMBERS = ("analysis", "inference", "observation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the second run, under other names, of the rooms that know no names to the slow tests."""
    here = Path(__file__).parent
    for item in items:
        kind = item.callspec.params.get("names") if hasattr(item, "callspec") else None
        if kind == "renamed" and item.path.is_relative_to(here) and item.path.parent.name in NUMBERS:
            item.add_marker(pytest.mark.slow)


@functools.cache
def _names(kind: str) -> Names:
    files = sorted(BASES.glob("*.yaml"))
    return as_written(files) if kind == "as written" else renamed(files)


@pytest.fixture(params=["as written", "renamed"])
def names(request: pytest.FixtureRequest) -> Names:
    """The name in the YAML -> the name in this run."""
    return _names(request.param)


@pytest.fixture
def folder(names: Names, tmp_path: Path) -> Path:
    """A folder that holds every base under this run's names."""
    for file in BASES.glob("*.yaml"):
        (tmp_path / file.name).write_text(names.rename(file.read_text("utf-8")), "utf-8")
    return tmp_path


@pytest.fixture
def base_of(folder: Path) -> Callable[[str], Knowledge]:
    """Read a base by its file's name."""
    return lambda name: read(folder / f"{name}.yaml", usual_view="face")


@pytest.fixture
def overlay_of(folder: Path, names: Names) -> Callable[..., Knowledge]:
    """Read a YAML text as an overlay on a base (machine unless told)."""

    def overlay(text: str, base: str | None = "machine") -> Knowledge:
        head = f"extends: {base}.yaml\n" if base else ""
        path = folder / "overlay.yaml"
        path.write_text(head + names.rename(text), "utf-8")
        return read(path, usual_view="face")

    return overlay
