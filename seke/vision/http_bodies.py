"""Bodies of HTTP responses: the one place that bounds what a server may send.

Every response passes `bound_body`, a hook of the HTTP client: whatever its status, it is unpacked here, piece
by piece, and neither what came nor what it unpacks to is longer than its limit. Time is bounded by the
caller's deadline, which a body cannot hold up: the loop has its turn after every piece.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    Pieces = AsyncGenerator[bytes, None]

# Bytes of a body, compressed or not. At most 200,000 letters of an answer are kept (replies.LONGEST), forty
# times what a question asks for; eight such answers fit, however their letters are written.
ANSWER_LIMIT = 8 << 20
# Bytes of a batch's results, which are read by the line: 20 kB for each of the most lines of a batch, 50,000.
RESULT_FILE_LIMIT = 1 << 30
# Bytes that are read of what comes with an error: its message stands at the beginning.
ERROR_LIMIT = 64 << 10
# Values in one JSON text. Each takes up to 100 bytes of memory and more as an object; the longest list of
# models that is known has 30,000.
VALUE_LIMIT = 100_000
# Strings of a JSON text, or one that its end cuts off.
STRINGS = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+")++|("(?:[^"\\]++|\\.)*+\\?\Z)', re.DOTALL)
# Digits of a whole number that is read as one: more than any count or time has.
MOST_DIGITS = 100
# Letters of a body that was no answer that are kept in its place, and what stands before them.
BEGINNING, BEGINS = 200, "; it begins "
# Bytes that are unpacked at once.
PIECE = 64 << 10
# Bodies of more than so many bytes are read only so many at once: a hundred that grow to the limit side by
# side would take 800 MB.
LARGE, LARGE_AT_ONCE = 1 << 20, 4
# Windows of zlib (zlib.h, inflateInit2): with a gzip header, with a zlib header, with none.
GZIP_WINDOW, ZLIB_WINDOW, RAW_WINDOW = 31, 15, -15
GZIP_MAGIC = b"\x1f\x8b"
WINDOWS = {"gzip": GZIP_WINDOW, "x-gzip": GZIP_WINDOW, "deflate": ZLIB_WINDOW}
ACCEPTED = "gzip, deflate"
# How often a body may be compressed: once by the server, and once more by what stands before it.
MOST_CODINGS = 3


class BodyError(Exception):
    """A body that is no answer; the message says why, and how it begins."""

    def __init__(self, reason: str, beginning: bytes = b"") -> None:
        super().__init__(f"{reason}{quoted_beginning(beginning)}")


def quoted_beginning(body: bytes) -> str:
    """Return how a body begins, as the end of a sentence about it; nothing of an empty one."""
    text = " ".join(body[: 4 * BEGINNING].decode("utf-8", "replace").split())[:BEGINNING]
    return f"{BEGINS}{text!r}" if text else ""


def decoded_json(text: bytes) -> Any:
    """Return what a JSON text stands for; a mark of UTF-8 is passed over, bytes that are none are replaced.

    Raises:
        ValueError: no JSON, too deep, or of more than VALUE_LIMIT values.
    """
    if SeparatorCount().add(text) > VALUE_LIMIT:
        raise ValueError(f"has more than {VALUE_LIMIT:,} values")
    try:
        return json.loads(text.decode("utf-8-sig", "replace"), parse_int=_whole_number)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _whole_number(digits: str) -> int | str:
    """Return a whole number; the digits themselves where there are too many."""
    return int(digits) if len(digits) <= MOST_DIGITS else digits


class SeparatorCount:
    """The separators of a JSON text outside of its strings: a bound on its number of values, less one.

    The text may come in pieces.
    """

    def __init__(self) -> None:
        self.count = 0
        # What an unfinished string began with: its quotation mark, and a backslash that escapes what follows.
        self._open = b""

    def add(self, piece: bytes) -> int:
        """Add a piece; return the count so far."""
        if self._open == b'"' and b'"' not in piece and b"\\" not in piece:
            return self.count
        text = self._open + piece
        # To look for strings at every byte takes far longer than to see that there is none.
        without = b"".join(filter(None, STRINGS.split(text))) if b'"' in text else text
        outside, quote, inside = without.partition(b'"')
        escaped = (len(inside) - len(inside.rstrip(b"\\"))) % 2
        self._open = quote + b"\\" * escaped
        self.count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        return self.count


class BodyBounds:
    """The bounds of one client's responses: a hook for each response before its body is read."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def bound_body(self, response: Any) -> None:
        """Replace a response's body by its decompressed form, within the limits.

        Reading a body of a success raises BodyError where it passes a limit, or is not compressed as it says;
        one of an error, or of a redirection, ends there.
        """
        named = response.headers.get("content-encoding", "").lower().split(",")
        codings = [name.partition(";")[0].strip() for name in named]
        response.headers.pop("content-encoding", None)
        # JSON is UTF-8; the client's library would look for whatever codec a server names.
        response.headers["content-type"] = response.headers.get("content-type", "").partition(";")[0]
        stream = response.stream
        pieces = self._pieces(stream, response, [name for name in codings if name not in ("", "identity")])
        # The class is httpx's, or that of a fork of it: which one depends on the version of the client.
        kinds = [kind for kind in type(stream).__mro__ if kind.__name__ == "AsyncByteStream"]
        response.stream = type("BoundedStream", (_BoundedStream, *kinds), {})(stream, pieces)

    async def _pieces(self, stream: Any, response: Any, codings: list[str]) -> Pieces:
        success = response.is_success
        is_file = response.request.url.path.endswith("/content")
        limit = (RESULT_FILE_LIMIT if is_file else ANSWER_LIMIT) if success else ERROR_LIMIT
        bounded = _bound(stream, limit)
        try:
            if len(codings) > MOST_CODINGS:
                raise BodyError(
                    f"the answer is compressed {len(codings)} times; at most {MOST_CODINGS} are read"
                )
            for coding in reversed(codings):
                bounded = _bound(_decompress(bounded, coding), limit)
            if success and not is_file:
                bounded = self._few_at_once(bounded)
            async with aclosing(bounded):
                async for piece in bounded:
                    yield piece
        except BodyError:
            # An error is known by its status, whatever comes with it.
            if success:
                raise

    async def _few_at_once(self, pieces: Pieces) -> Pieces:
        """Pass a JSON text on; large ones wait for each other."""
        size, separators, waited, beginning = 0, SeparatorCount(), False, b""
        try:
            async for piece in pieces:
                beginning = beginning or piece
                size += len(piece)
                if separators.add(piece) > VALUE_LIMIT:
                    raise BodyError(f"the answer has more than {VALUE_LIMIT:,} values", beginning)
                if size > LARGE and not waited:
                    waited = await self._large.acquire()
                yield piece
        finally:
            if waited:
                self._large.release()


class _BoundedStream:
    """A body in bounded pieces; a stream of the client's."""

    def __init__(self, stream: Any, pieces: Pieces) -> None:
        self.stream, self.pieces = stream, pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.pieces

    async def aclose(self) -> None:
        await self.pieces.aclose()
        await self.stream.aclose()


async def _bound(pieces: AsyncIterator[bytes], limit: int) -> Pieces:
    """Pass on at most `limit` bytes; raise BodyError where there are more."""
    size, beginning = 0, b""
    async for piece in pieces:
        beginning = beginning or piece
        if size + len(piece) > limit:
            yield piece[: limit - size]
            raise BodyError(f"the answer is longer than {limit:,} bytes", beginning)
        size += len(piece)
        yield piece
        # Many small pieces may come without a wait; others, and the deadline, have their turn.
        await asyncio.sleep(0)


async def _decompress(pieces: AsyncIterator[bytes], coding: str) -> Pieces:
    """Decompress a body of the content coding `coding`."""
    if coding not in WINDOWS:
        raise BodyError(f"the answer is compressed as {coding[:20]!r}; asked for was {ACCEPTED}")
    inflater, begun = zlib.decompressobj(WINDOWS[coding]), False
    async for packed in pieces:
        if not begun and coding == "deflate" and not _has_zlib_header(packed):
            inflater = zlib.decompressobj(RAW_WINDOW)
        begun, remaining = True, packed
        try:
            while remaining:
                if inflater.eof:
                    # Gzip data may have several members, which are read as one; what else follows is nothing.
                    if coding == "deflate" or not GZIP_MAGIC.startswith(remaining[:2]):
                        break
                    inflater = zlib.decompressobj(GZIP_WINDOW)
                for piece in _inflate(inflater, remaining):
                    yield piece
                    await asyncio.sleep(0)
                remaining = inflater.unused_data
        except zlib.error:
            raise BodyError(f"the answer is no {coding} data, though it says so", packed) from None
    if begun and not inflater.eof:
        raise BodyError(f"the answer is cut off: its {coding} data have no end")


def _has_zlib_header(data: bytes) -> bool:
    """Whether data begin as RFC 1950 says; some servers send plain deflate data under the same name."""
    return data[0] & 15 == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)


def _inflate(inflater: Any, packed: bytes) -> Iterator[bytes]:
    piece = inflater.decompress(packed, PIECE)
    while piece:
        yield piece
        piece = inflater.decompress(inflater.unconsumed_tail, PIECE)
