"""A limit on torch's threads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Limit torch to `count` threads within the context, and restore the limit after it.

    The usual count is one: the tensors here are small, and beside another busy process several threads
    wait for one another for twenty times as long as they work.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
