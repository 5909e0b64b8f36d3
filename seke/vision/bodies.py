"""Bodies of HTTP responses, read no further than any answer is long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

LARGEST = 8_000_000


async def read(response: Any) -> bytes:
    """Return a body, at most LARGEST bytes of it; nothing where it is longer."""
    parts, size = [], 0
    async for part in response.iter_bytes():
        size += len(part)
        if size > LARGEST:
            return b""
        parts.append(part)
    return b"".join(parts)


async def bounded(response: Any) -> None:
    """Let the body of an error end at LARGEST bytes; a hook of a client, which reads it whole."""
    if not response.is_error:
        return
    # The class is httpx's, or that of a fork of it: which one depends on the version of the client.
    kinds = [one for one in type(response.stream).__mro__ if one.__name__ == "AsyncByteStream"]
    response.stream = type("Bounded", (_Bounded, *kinds), {})(response.stream)


class _Bounded:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = LARGEST
        async for part in self.stream:
            yield part[:rest]
            rest -= len(part)
            if rest <= 0:
                return

    async def aclose(self) -> None:
        await self.stream.aclose()
