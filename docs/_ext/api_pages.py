"""The pages of the Python interface: the public names of `seke` and of `engine`, by their packages."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_origin

from plain_text import markdown

import engine
import seke

if TYPE_CHECKING:
    from collections.abc import Iterator

SEKE = """# Python

`import seke` is instant: each name is imported on first use. Functions do what the commands do, on the same
values. Each one raises {py:exc}`engine.SekeError` for bad input; the message names the place, the fault, what
was met and what is allowed. What is below them is [the engine](engine.md), which knows no faces.
"""
ENGINE = """# The engine

`engine` has what is not about faces: declared knowledge -> network -> posteriors -> decisions, for any
domain. `import engine` imports each name on first use. Most of what you want is in [`seke`](api.md), which
reads and writes files.
"""
# What stands at the head of the page of the engine, and has no package of its own.
ERRORS = "errors"


def api_pages() -> dict[str, str]:
    """Return path -> Markdown of the two pages."""
    return {"api.md": seke_page(), "engine.md": engine_page()}


def seke_page() -> str:
    """Return the page of `seke`: functions by package, each with the class that it returns."""
    lines, described = [SEKE], set[str]()
    for package, names in _by_package(seke).items():
        title = package.replace("_", " ").capitalize()
        lines += [f"## {title}", "", f"{markdown(_about(f'seke.{package}'))}.", ""]
        for name in names:
            lines += _directives(seke, name, getattr(seke, name), described)
    plot = "```{eval-rst}\n.. automodule:: seke.plot\n   :members:\n```\n"
    return "\n".join([*lines, "## Figures", "", plot])


def engine_page() -> str:
    """Return the page of `engine`: its names by package."""
    packages = _by_package(engine)
    lines = [ENGINE]
    for package in (ERRORS, *(name for name in packages if name != ERRORS)):
        lines += [f"## `{package}`", "", f"{markdown(_about(f'engine.{package}'))}.", ""]
        for name in packages[package]:
            lines += _directives(engine, name, getattr(engine, name), set())
    return "\n".join(lines)


def _by_package(face: ModuleType) -> dict[str, list[str]]:
    """Return package -> the public names that are defined in it, both sorted."""
    packages: dict[str, list[str]] = {}
    for name in face.__all__:
        value = getattr(face, name)
        if name == "__version__" or isinstance(value, ModuleType):
            continue
        module = module_of(face, name)
        packages.setdefault(module.split(".")[1], []).append(name)
    return dict(sorted(packages.items()))


def module_of(face: ModuleType, name: str) -> str:
    """Return the module that a public name is imported from."""
    source = inspect.getsource(face)
    line = re.search(rf"from ([\w.]+) import {name} as {name}\b", source)
    assert line is not None, name
    return line[1]


def _about(package: str) -> str:
    """Return the first sentence of a package's docstring, without its full stop."""
    text = " ".join(str(importlib.import_module(package).__doc__).split("\n\n")[0].split())
    return text.rstrip(".")


def _directives(face: ModuleType, name: str, value: Any, described: set[str]) -> Iterator[str]:
    """Yield the directives of a name; described: the returned classes that the page has by now."""
    kind = "data"
    if get_origin(value) is not None:
        # autodoc takes an alias for the class that it is of, with all its members.
        yield f"`{face.__name__}.{name}` is `{value}`.\n"
        return
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, Exception) else "class"
    elif inspect.isfunction(value):
        kind = "function"
    members = "\n   :members:" if kind in {"class", "exception"} else ""
    yield f"```{{eval-rst}}\n.. auto{kind}:: {face.__name__}.{name}{members}\n```\n"
    returned = returned_class(value) if kind == "function" and face is seke else None
    if returned is not None and returned.__name__ not in (*engine.__all__, *seke.__all__):
        path = f"{returned.__module__}.{returned.__qualname__}"
        if path in described:
            yield f"What it returns is a {{py:class}}`{path}`, above.\n"
            return
        described.add(path)
        yield f"```{{eval-rst}}\n.. autoclass:: {path}\n   :members:\n   :no-index-entry:\n```\n"


def returned_class(function: Any) -> type | None:
    """Return the class of this project that a function returns, if it says one."""
    module = sys.modules[function.__module__]
    for name in re.findall(r"[A-Z]\w+", str(function.__annotations__.get("return", ""))):
        source = re.search(rf"from (seke[\w.]*) import [^\n]*\b{name}\b", inspect.getsource(module))
        value = getattr(importlib.import_module(source[1]) if source else module, name, None)
        if inspect.isclass(value):
            return value
    return None
