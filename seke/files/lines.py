"""Text files as numbered lines: opened, gunzipped, and refused where they are no text or unpack too far.

Text is UTF-8, or UTF-16 where its byte-order mark says so.
"""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from engine import AnswerError
from seke.files.inputs import STREAMS, open_file
from seke.files.likely_path import path_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

BLOCK = 1 << 18  # bytes read at once: large enough for columns, small enough for the cache
# Bytes in one line. A line of `[],[],...` takes about 30 times its length once it is decoded; a sample or a
# posterior record has some kilobytes.
LONGEST = 4 << 20
# Bytes that any file may unpack to: so many are read in a second and fit into memory.
FREE_EXPANSION = 64 << 20
# Unpacked bytes for each packed one, beyond these. Records that are much alike reach 30 to 100; gzip cannot
# pass 1,032, and only repeated bytes come near that.
LARGEST_EXPANSION = 400
LINE_BYTES = 160  # what a line counts as beside its own bytes: a row takes some hundred bytes of memory
PACKED_BLOCK = 1 << 14  # bytes of gzip data read ahead, which count as read: less than a bomb needs
ALLOWED = "a file, or - for the standard input"  # where lines are read from
_GZIP = b"\x1f\x8b"
# How pictures begin (JPEG, PNG, GIF, TIFF), and how their names end.
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
_PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
PICTURES_FIRST = (
    "something has to look at pictures first: seke annotate asks a model about them, seke observe networks "
    "on this machine"
)
# Files of a folder that are looked at, to see whether it is one of pictures.
MOST_LOOKED_AT = 1_000
_WORKBOOK = b"PK\x03\x04"  # a zip archive, which workbooks are


def check_expansion(name: str, unpacked: int, packed: int, largest: int = LARGEST_EXPANSION) -> None:
    """Refuse data whose unpacked size is far above its packed size, both in bytes.

    Raises:
        engine.AnswerError: it does; the message begins with `name`.
    """
    limit = max(FREE_EXPANSION, largest * packed)
    if unpacked > limit:
        problem = f"{packed:,} bytes unpack to more than {limit >> 20} MB: a file of repeated bytes"
        raise AnswerError(f"{name}: {problem}; allowed is {largest} times the size")


class _Counted(io.RawIOBase):
    """A stream whose first bytes were looked at already, and that tells how much is read."""

    def __init__(self, head: bytes, stream: IO[bytes], progress: Callable[[int], None] | None) -> None:
        self.count = len(head)
        self._head = head
        self._stream = stream
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data, head = self._head or self._stream.read(len(view)), self._head
        self.count += len(data) - len(head)
        self._head = b""
        view[: len(data)] = data
        if self._progress is not None and data:
            self._progress(len(data))
        return len(data)


def shown(path: str | Path) -> str:
    """Return the name of a file in messages."""
    return "<stdin>" if str(path) == "-" else str(path)


@contextmanager
def _open(
    path: str | Path, progress: Callable[[int], None] | None
) -> Iterator[tuple[IO[bytes], _Counted | None]]:
    """Yield the unpacked bytes and, where they are unpacked, the count of packed ones."""
    with ExitStack() as stack:
        raw: IO[bytes]
        raw = sys.stdin.buffer if str(path) == "-" else stack.enter_context(open_file(path, ALLOWED))
        head = raw.read(len(_GZIP))
        packed = _Counted(head, raw, progress)
        counted = io.BufferedReader(packed, PACKED_BLOCK if head == _GZIP else BLOCK)
        if head == _GZIP:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=counted)), packed
        elif str(path).lower().endswith(".gz") and head:
            raise AnswerError(f"{shown(path)}:1: is named .gz but holds no gzip data")
        else:
            yield counted, None


def check_file(path: str | Path) -> None:
    """Find out whether a file is there to be read; nothing is read of it, nor of a stream.

    Raises:
        engine.AnswerError: it is not.
    """
    if str(path) == "-" or str(path).startswith(STREAMS):
        return
    try:
        open_file(path, ALLOWED).close()
    except OSError as error:
        raise AnswerError(_unreadable(shown(path), error)) from None


def read_lines(
    path: str | Path, progress: Callable[[int], None] | None = None, *, may_be_empty: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield runs of lines without their ends, each with the number of its first line from 1.

    may_be_empty: whether a file of no bytes is one without lines, rather than a fault.

    Raises:
        engine.AnswerError: no such file, none that is text, a line that is too long, gzip data that
            is damaged or unpacks too far.
    """
    name = shown(path)
    line, unfinished, unpacked = 1, b"", 0
    try:
        with _open(path, progress) as (stream, packed):
            read = _utf8_reader(stream)
            block = read(BLOCK).removeprefix(codecs.BOM_UTF8)
            if not block and not may_be_empty:
                raise AnswerError(f"{name}:1: the file is empty")
            _check_beginning(block, name, gzipped=packed is not None)
            while block:
                if packed is not None:
                    unpacked += len(block) + LINE_BYTES * block.count(b"\n")
                    check_expansion(f"{name}:{line}", unpacked, packed.count)
                _check(block, unfinished, f"{name}:", line)
                complete, newline, tail = block.rpartition(b"\n")
                if newline:
                    lines = (unfinished + complete).split(b"\n")
                    yield line, lines
                    line += len(lines)
                    unfinished = tail
                else:
                    unfinished += block
                block = read(BLOCK)
            if unfinished:
                yield line, [unfinished]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is cut off here" if isinstance(error, EOFError) else "is damaged here"
        raise AnswerError(f"{name}:{line}: the gzip data {what}; get the file again") from None
    except UnicodeDecodeError as error:
        raise AnswerError(f"{name}:{line}: not UTF-16 text ({error.reason}); save it as UTF-8") from None
    except OSError as error:
        raise AnswerError(_unreadable(name, error)) from None


def _utf8_reader(stream: IO[bytes]) -> Callable[[int], bytes]:
    """Return what reads so many bytes, or characters of UTF-16, as UTF-8."""
    head: bytes = cast("io.BufferedReader", stream).peek(len(codecs.BOM_UTF16))
    if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return stream.read
    text = io.TextIOWrapper(stream, "utf-16", newline="")
    return lambda count: text.read(count).encode()


def _check_beginning(block: bytes, name: str, *, gzipped: bool) -> None:
    if block.startswith(_PICTURES) or (block.startswith(b"RIFF") and block[8:12] == b"WEBP"):
        raise AnswerError(f"{name}: is a picture; {PICTURES_FIRST}")
    if block.startswith(_WORKBOOK):
        raise AnswerError(f"{name}: is a workbook or an archive; save the sheet as CSV (UTF-8)")
    if gzipped and block.startswith(_GZIP):
        raise AnswerError(f"{name}:1: met gzip data within gzip data; allowed is text, gzipped once")


def _check(block: bytes, unfinished: bytes, name: str, line: int) -> None:
    position = block.find(b"\0")
    if position >= 0:
        line += block.count(b"\n", 0, position)
        problem = "met a NUL byte: a binary or damaged file; allowed is text"
        raise AnswerError(f"{name}{line}: {problem}")
    first = block.find(b"\n")
    if len(unfinished) + (first if first >= 0 else len(block)) > LONGEST:
        raise AnswerError(f"{name}{line}: the line is longer than {LONGEST >> 20} MB")


def _unreadable(name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name}: no such file{path_hint(error.filename, Path.is_file) if error.filename else ''}"
    if isinstance(error, IsADirectoryError):
        files = Path(error.filename).iterdir() if error.filename else iter(())
        if any(file.suffix.lower() in _PICTURE_ENDINGS for file in islice(files, MOST_LOOKED_AT)):
            return f"{name}: is a folder of pictures; {PICTURES_FIRST}"
        return f"{name}: is a directory; name the files in it"
    return f"{name}: cannot be read: {error.strerror or error}"
