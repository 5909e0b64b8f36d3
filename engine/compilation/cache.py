"""Compiled networks on disk, so that a second start skips the fit.

A file holds one network: arrays as numpy's .npz without pickles, and a JSON text that
says what they are parts of. Its name is a digest of all that the network depends on, the engine's own source
included; what cannot be read is compiled anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.model.formula import In
from engine.network.network import Network
from engine.network.values import Clique, CompiledRule, Factor, FunctionNode, Grid, StateNode, StateRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.model.knowledge import Knowledge

KINDS = {
    kind.__name__: kind
    for kind in (Clique, CompiledRule, Factor, FunctionNode, Grid, In, Network, StateNode, StateRun)
}
MOST_FILES = 64


def compiled(knowledge: Knowledge, folder: Path | None) -> Network:
    """Return the compiled base, from `folder` where it is stored, else compiled and stored there.

    A folder that cannot be written to keeps nothing; None keeps nothing either.

    Raises:
        KnowledgeError: as `compile_network`.
    """
    path = folder / f"{_key(knowledge)}.npz" if folder else None
    if path is not None:
        # Half a file, or another program's: as good as none.
        with suppress(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return _read(path)
    from engine.compilation.compiler import compile_network

    network = compile_network(knowledge)
    if path is not None:
        with suppress(OSError):
            _write(path, network)
    return network


def _key(knowledge: Knowledge) -> str:
    """Return a digest of what is compiled, in which order, and of how this engine compiles it.

    Observers, questions and policy of a base that was read do not count: the network is the same.
    """
    content = knowledge.digests.get("knowledge", knowledge.digest)
    order = [(name, v.kind, v.states, v.edges) for name, v in knowledge.variables.items()]
    names = [list(part) for part in (knowledge.populations, knowledge.cells, knowledge.intervals)]
    names += [[declaration.name for declaration in part] for part in (knowledge.couplings, knowledge.rules)]
    text = json.dumps([content, knowledge.root, knowledge.reference, order, names, engine_digest()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def engine_digest(folder: Path = Path(__file__).parents[1]) -> str:
    """Return a digest of the engine's source, so that no other version's network is taken.

    The table of fields is a text file, and counts: defaults that it gives are compiled, too.
    """
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".txt")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, network: Network) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: list[NDArray[Any]] = []
    structure = json.dumps(_plain(network, arrays))
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            np.savez_compressed(file, *arrays, structure=np.array(structure))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    kept = sorted(path.parent.glob("*.npz"), key=lambda stored_path: stored_path.stat().st_mtime)
    for old in kept[:-MOST_FILES]:
        old.unlink(missing_ok=True)


def _read(path: Path) -> Network:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = [stored[f"arr_{i}"] for i in range(len(stored.files) - 1)]
        network = _value(json.loads(str(stored["structure"])), arrays)
    if not isinstance(network, Network):
        raise TypeError("not a network")
    os.utime(path)
    return network


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return a value as JSON, arrays apart; whatever JSON does not know is [its kind, its parts]."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return ["array", len(arrays) - 1]
    if is_dataclass(value):
        parts = [_plain(getattr(value, field.name), arrays) for field in fields(value)]
        return [type(value).__name__, parts]
    if isinstance(value, Mapping):
        return ["mapping", [[name, _plain(part, arrays)] for name, part in value.items()]]
    if isinstance(value, tuple | frozenset):
        in_order = value if isinstance(value, tuple) else sorted(value)
        return [type(value).__name__, [_plain(part, arrays) for part in in_order]]
    if isinstance(value, slice):
        return ["slice", [value.start, value.stop]]
    return value


def _value(plain: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return the value that `_plain` wrote."""
    if not isinstance(plain, list):
        return plain
    kind, parts = plain
    if kind == "array":
        return arrays[parts]
    if kind == "mapping":
        return {name: _value(part, arrays) for name, part in parts}
    makers = {"tuple": tuple, "frozenset": frozenset}
    if kind in makers:
        return makers[kind](_value(part, arrays) for part in parts)
    if kind == "slice":
        return slice(*parts)
    return KINDS[kind](*(_value(part, arrays) for part in parts))
