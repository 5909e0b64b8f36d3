"""Addresses of files in other file systems, such as s3://bucket/samples.jsonl.gz, which Arrow reads.

https://arrow.apache.org/docs/python/filesystems.html
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine import AnswerError, SekeError
from seke.files.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from pyarrow.fs import FileSystem

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
# NAME:SECRET@ before the path; the secret may hold any sign.
KEYS = re.compile(r"://[^/]*:[^@]*@|[?&]secret_key=")
MISSING = "no such file, or no such bucket"


def is_address(source: str) -> bool:
    """Tell whether a source is an address of a file system, and no path."""
    return "://" in source


def check_no_keys(address: str) -> None:
    """Refuse an address with keys in it: addresses stand in messages and in manifests.

    Raises:
        engine.SekeError: it has such; the message does not repeat it.
    """
    # Before all parsing: a secret may hold what ends a host's name, and then stand in the parser's message.
    if KEYS.search(address):
        scheme = address.partition("://")[0]
        raise SekeError(
            f"{scheme}://...: has keys in it, which would be written down; put them into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


@dataclass(frozen=True)
class StoredFile:
    """A file of another file system, which it is opened in by its path: an address may say another one.

    address: what messages call it. size: in bytes.
    """

    system: FileSystem
    path: str
    address: str
    size: int


def files_below(address: str) -> list[StoredFile]:
    """Return the file at an address, or all files below it.

    Raises:
        engine.SekeError: nothing is there, or its store cannot be asked.
    """
    check_no_keys(address)
    from pyarrow import ArrowException, fs

    try:
        system, path = fs.FileSystem.from_uri(address)
        at_address = system.get_file_info(path)
        below = [at_address]
        if at_address.type == fs.FileType.Directory:
            below = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (ArrowException, OSError, ValueError) as error:
        raise SekeError(f"{address}: {_in_words(error)}") from None
    if at_address.type == fs.FileType.NotFound:
        raise SekeError(f"{address}: {MISSING}")
    scheme = address.partition("://")[0]
    return [
        StoredFile(system, file.path, f"{scheme}://{file.path}", file.size or 0)
        for file in below
        if file.type == fs.FileType.File
    ]


@contextmanager
def local_copy(source: str) -> Iterator[Path]:
    """Yield a path of a file; one of another file system is copied to a temporary file for the block.

    Raises:
        engine.SekeError: it cannot be copied, or its address has keys in it.
    """
    if not is_address(source):
        yield Path(source)
        return
    check_no_keys(source)
    from pyarrow import ArrowException, fs

    try:
        system, path = fs.FileSystem.from_uri(source)
    except (ArrowException, OSError, ValueError) as error:
        raise AnswerError(f"{source}: {_in_words(error)}") from None
    with copy_of(StoredFile(system, path, source, 0)) as copy:
        yield copy


@contextmanager
def copy_of(file: StoredFile) -> Iterator[Path]:
    """Yield a path of a temporary copy of a file, for the block.

    Raises:
        engine.AnswerError: it cannot be copied.
    """
    from pyarrow import ArrowException

    with TemporaryDirectory(prefix="seke-") as folder:
        copy = Path(folder) / Path(file.path).name
        try:
            # As it is: what unpacks too far is found by whoever reads it.
            with (
                file.system.open_input_stream(file.path, compression=None) as stream,
                copy.open("wb") as target,
            ):
                shutil.copyfileobj(stream, target)
        except (ArrowException, OSError, ValueError) as error:
            raise AnswerError(f"{file.address}: {_in_words(error)}") from None
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
    for address in addresses:
        check_no_keys(address)
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
    from concurrent.futures import ThreadPoolExecutor

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
