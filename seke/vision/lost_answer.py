"""What came in place of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from seke.vision.completions import has_tokens, no_answer
from seke.vision.http_bodies import quoted_beginning


@dataclass(frozen=True)
class LostAnswer:
    """A request that brought neither an answer nor an error of the server's.

    code: HTTP status, 0 where none came. paid: whether the server may charge for it all the same. in_vain:
    whether it is sent once more only.
    """

    code: int
    message: str
    paid: bool
    in_vain: bool = True


def unread(body: bytes) -> LostAnswer:
    """Return what is lost with a body that is neither; it may be paid for where it reports tokens."""
    return LostAnswer(200, f"{no_answer(body)}{quoted_beginning(body)}", paid=has_tokens(body))
