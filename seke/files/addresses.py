"""Addresses of files in other file systems, such as s3://bucket/samples.jsonl.gz, which Arrow reads.

https://arrow.apache.org/docs/python/filesystems.html
"""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from engine import AnswerError, SekeError
from seke.files.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

# Seconds without a sign of a store; Arrow's own patience with one that is silent is a minute and a half.
STORE_TIMEOUT = 20
# Files that are looked at together.
LOOKS = 16
# What Arrow says -> what it means.
STORE_FAULTS = {
    "ACCESS_DENIED": "access is refused: its keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "~/.aws/credentials) are missing, wrong, or without the right to read it",
    "NO_SUCH_BUCKET": "no such bucket",
    "NETWORK_CONNECTION": "its store cannot be reached; AWS_ENDPOINT_URL names a store that is not Amazon's",
}
MISSING = "no such file, or no such bucket"


def is_address(source: str) -> bool:
    """Tell whether a source is an address of a file system, and no path."""
    return "://" in source


def check_no_keys(address: str) -> None:
    """Refuse an address with keys in it: addresses stand in messages and in manifests.

    Raises:
        engine.SekeError: it has such; the message does not repeat it.
    """
    parts = urlsplit(address)
    if parts.password is not None or "secret_key" in parse_qs(parts.query):
        raise SekeError(
            f"{parts.scheme}://...: has keys in it, which would be written down; put them into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


@dataclass(frozen=True)
class Found:
    """A file of another file system: its address, its path there, and its size in bytes."""

    address: str
    place: str
    size: int


def files_below(address: str) -> list[Found]:
    """Return the file at an address, or all files below it.

    Raises:
        engine.SekeError: nothing is there, or its store cannot be asked.
    """
    from pyarrow import ArrowException, fs

    try:
        system, place = fs.FileSystem.from_uri(address)
        at_address = system.get_file_info(place)
        below = [at_address]
        if at_address.type == fs.FileType.Directory:
            below = system.get_file_info(fs.FileSelector(place, recursive=True))
    except (ArrowException, OSError, ValueError) as error:
        raise SekeError(f"{address}: {_in_words(error)}") from None
    if at_address.type == fs.FileType.NotFound:
        raise SekeError(f"{address}: {MISSING}")
    scheme, query = address.partition("://")[0], "".join(address.partition("?")[1:])
    return [
        Found(f"{scheme}://{file.path}{query}", file.path, file.size or 0)
        for file in below
        if file.type == fs.FileType.File
    ]


@contextmanager
def local_copy(source: str) -> Iterator[Path]:
    """Yield a path of a file; one of another file system is copied to a temporary file for the block.

    Raises:
        engine.AnswerError: it cannot be copied.
    """
    if not is_address(source):
        yield Path(source)
        return
    from pyarrow import ArrowException, fs

    with TemporaryDirectory(prefix="seke-") as folder:
        copy = Path(folder) / Path(source.partition("?")[0]).name
        try:
            system, place = fs.FileSystem.from_uri(source)
            # As it is: what unpacks too far is found by whoever reads it.
            with system.open_input_stream(place, compression=None) as stream, copy.open("wb") as file:
                shutil.copyfileobj(stream, file)
        except (ArrowException, OSError, ValueError) as error:
            raise AnswerError(f"{source}: {_in_words(error)}") from None
        yield copy


def stamps_of(sources: Sequence[str], *, all_here: bool) -> dict[str, str | None]:
    """Return source -> size and time of its last change, without reading it; None where these are not known.

    all_here: whether this machine is to read the files, so that one which it cannot reach is a fault.

    Raises:
        engine.SekeError: with `all_here`, files that cannot be read, all in one report.
    """
    stamps: dict[str, str | None] = dict.fromkeys(sources)
    for source in sources:
        if not is_address(source):
            facts = os.stat(source)
            stamps[source] = _stamp(facts.st_size, facts.st_mtime_ns)
    addresses = [source for source in sources if is_address(source)]
    if not addresses:
        return stamps
    faults = Faults()
    from multiprocessing import get_context

    spawning = get_context("spawn")
    receiver, sender = spawning.Pipe(duplex=False)
    # Another process looks: this one could not end before Arrow has given up a store that is silent.
    looking = spawning.Process(target=_send_looks, args=(sender, addresses), daemon=True)
    looking.start()
    sender.close()
    try:
        for address in addresses:
            if not receiver.poll(STORE_TIMEOUT):
                faults.note(f"{address}: its store did not answer within {STORE_TIMEOUT} seconds")
                break
            stamps[address], fault = receiver.recv()
            if fault:
                faults.note(fault)
    except EOFError:
        raise SekeError("the process that looks at files of other file systems was ended") from None
    finally:
        receiver.close()
        looking.kill()
        looking.join()
    if all_here:
        faults.raise_all(SekeError)
    return stamps


def _send_looks(sender: Connection, addresses: Sequence[str]) -> None:
    """Send for each address size and time of its last change, if known, and what is wrong, if anything."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ThreadPoolExecutor(LOOKS) as pool:
        for look in pool.map(_look, addresses):
            sender.send(look)


def _look(address: str) -> tuple[str | None, str]:
    from pyarrow import ArrowException, fs

    try:
        system, place = fs.FileSystem.from_uri(address)
        facts = system.get_file_info(place)
    except (ArrowException, OSError, ValueError) as error:
        return None, f"{address}: {_in_words(error)}"
    if facts.type == fs.FileType.NotFound:
        return None, f"{address}: {MISSING}"
    if facts.type == fs.FileType.Directory:
        return None, f"{address}: is a folder; name its files"
    return None if facts.mtime_ns is None else _stamp(facts.size, facts.mtime_ns), ""


def _stamp(size: int, nanoseconds: int) -> str:
    return f"{size} bytes, {nanoseconds} ns"


def _in_words(error: Exception) -> str:
    """Return in one line what is wrong."""
    if isinstance(error, FileNotFoundError):
        return MISSING
    text = " ".join(str(error).split())
    return next((words for sign, words in STORE_FAULTS.items() if sign in text), f"cannot be read: {text}")
