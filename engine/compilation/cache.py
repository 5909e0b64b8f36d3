"""Compiled networks on disk, so that a second start skips the fit.

A file holds one network: arrays as numpy's .npz without pickles, and a JSON text that
says what they are parts of, behind a digest of both. Its name is a digest of all that the network depends on,
the engine's own source included; what was changed or cannot be read is compiled anew. A folder of somebody
else's, or that others may write to, is not used.

Networks may ship with the program, too. Their names know no source, for they are made when the base is:
FORMAT stands for how a network is stored and compiled, and tests hold them against networks compiled anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.last_used import LastUsed
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
# Of networks that ship: raised where they are stored or compiled otherwise than before.
FORMAT = 1
MOST_FILES = 64
MOST_BYTES = 64 << 20  # of a file; the shipped network takes less than one million
DIGEST_BYTES = hashlib.sha256().digest_size
# Networks of this process by the digests of their files: a session is opened again and again.
_KNOWN: LastUsed[bytes, Network] = LastUsed(8)


def compiled(
    knowledge: Knowledge,
    folder: Path | None,
    shipped: Path | None = None,
    compiling: Callable[[], None] = lambda: None,
) -> Network:
    """Return the compiled base, from `folder` where it is stored, else compiled and stored there.

    A folder that cannot be written to keeps nothing, one that others may write to neither, nor does None.
    shipped: a folder of networks that ship with the program (`ship`); whoever installed it answers for it.
    compiling: is called before a base is compiled, which takes a while.

    Raises:
        KnowledgeError: as `compile_network`.
    """
    if shipped is not None:
        with suppress(Exception):
            return _read(shipped / f"{_key(knowledge, FORMAT)}.npz")
    path = folder / f"{_key(knowledge, engine_digest())}.npz" if folder and _is_safe(folder) else None
    if path is not None:
        # Half a file, a flipped bit, another program's: whatever it raises, it is as good as none.
        with suppress(Exception):
            network = _read(path)
            os.utime(path)
            return network
    from engine.compilation.compiler import compile_network

    compiling()
    network = compile_network(knowledge)
    if path is not None:
        with suppress(OSError):
            _write(path, network)
            _forget_the_oldest(path.parent)
    return network


def ship(bases: Iterable[Knowledge], folder: Path) -> None:
    """Compile bases into a folder of networks that ship, in place of all that it has.

    Raises:
        KnowledgeError: as `compile_network`.
        OSError: the folder cannot be written to.
    """
    from engine.compilation.compiler import compile_network

    networks = {f"{_key(base, FORMAT)}.npz": compile_network(base) for base in bases}
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in networks.items():
        _write(folder / name, network)
    for old in set(folder.glob("*.npz")) - {folder / name for name in networks}:
        old.unlink()


def _is_safe(folder: Path) -> bool:
    """Whether a folder is there and this user's alone to write to, or can be made so."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # Only POSIX tells who owns a folder in this way.
        return os.name != "posix" or (status.st_uid == os.geteuid() and not writable)
    return False


def _key(knowledge: Knowledge, way: str | int) -> str:
    """Return a digest of what is compiled, in which order, and of the way in which it is.

    Observers, questions and policy of a base that was read do not count: the network is the same.
    """
    content = knowledge.digests.get("knowledge", knowledge.digest)
    order = [(name, v.kind, v.states, v.edges) for name, v in knowledge.variables.items()]
    names = [list(part) for part in (knowledge.populations, knowledge.cells, knowledge.intervals)]
    names += [[declaration.name for declaration in part] for part in (knowledge.couplings, knowledge.rules)]
    text = json.dumps([content, knowledge.root, knowledge.reference, order, names, way])
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
    arrays: list[NDArray[Any]] = []
    structure = json.dumps(_plain(network, arrays))
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part")
    try:
        content = io.BytesIO()
        np.savez_compressed(content, *arrays, structure=np.array(structure))
        data = content.getvalue()
        with temporary.open("xb") as file:
            file.write(hashlib.sha256(data).digest() + data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _forget_the_oldest(folder: Path) -> None:
    kept = sorted(folder.glob("*.npz"), key=lambda stored_path: stored_path.stat().st_mtime)
    for old in kept[:-MOST_FILES]:
        old.unlink(missing_ok=True)


def _read(path: Path) -> Network:
    with path.open("rb") as file:
        digest, data = file.read(DIGEST_BYTES), file.read(MOST_BYTES)
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("not what was written")
    known = _KNOWN.get(digest)
    if known is not None:
        return known
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays = [stored[f"arr_{i}"] for i in range(len(stored.files) - 1)]
        network = _value(json.loads(str(stored["structure"])), arrays)
    if not isinstance(network, Network):
        raise TypeError("not a network")
    _KNOWN.put(digest, network)
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
