"""Which part of an installation a package that is not installed belongs to."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# The first part of a module's name -> the extra of this project that brings it.
EXTRAS = {
    "aiolimiter": "vision",
    "arviz": "calibrate",
    "contourpy": "plots",
    "datasets": "export",
    "h5netcdf": "calibrate",
    "imagehash": "images",
    "matplotlib": "plots",
    "openai": "vision",
    "pandas": "notebook",
    "pgmpy": "exchange",
    "polars": "notebook",
    "pydot": "plots",
    "pyro": "calibrate",
    "ray": "ray",
    "tenacity": "vision",
    "torch": "calibrate",
    "tqdm": "notebook",
    "trl": "export",
}
# What messages call a package that comes with another one, which is the one that people know.
KNOWN_AS = {"contourpy": "matplotlib"}
WHAT = {
    "calibrate": "fits",
    "gpu": "computing on a device",
    "exchange": "networks for other programs",
    "export": "reading exports back and to_datasets()",
    "images": "near-duplicates",
    "notebook": "frames and progress bars",
    "plots": "pictures and plots",
    "ray": "work on a cluster",
    "vision": "asking models",
}


def missing_package_text(module: str, extra: str | None = None) -> str | None:
    """Return what needs a module that is not installed, and how to install it; None for any other module.

    extra: the part that needs it, where several do.
    """
    package = module.partition(".")[0]
    if package not in EXTRAS:
        return None
    extra = extra or EXTRAS[package]
    verb = "needs" if extra in ("gpu", "ray", "vision") else "need"
    package = KNOWN_AS.get(package, package)
    return f"{WHAT[extra]} {verb} {package}, which is not installed; pip install 'seke[{extra}]'"


def is_installed(name: str) -> bool:
    """Tell whether a package is installed, without importing it."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def check_installed(*names: str) -> None:
    """Refuse what needs packages that an extra brings, before anything long is computed for it.

    Raises:
        engine.SekeError: one is not installed, with the command that does that.
    """
    for name in names:
        if not is_installed(name):
            raise SekeError(missing_package_text(name) or f"needs {name}, which is not installed")


def optional_package(name: str) -> Any:
    """Return a package that an extra of this project brings.

    Raises:
        engine.SekeError: it is not installed, with the command that does that.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise SekeError(missing_package_text(name) or str(error)) from None


def stand_in(name: str, error: ModuleNotFoundError) -> Callable[..., NoReturn]:
    """Return what stands for a function whose module lacks a package of an extra: to call it is an error.

    Raises:
        ModuleNotFoundError: no extra brings what is lacking.
    """
    text = missing_package_text(error.name or "")
    if text is None:
        raise error

    def unavailable(*_: Any, **__: Any) -> NoReturn:
        raise SekeError(text)

    unavailable.__name__, unavailable.__doc__ = name, f"Not available: {text}."
    return unavailable
