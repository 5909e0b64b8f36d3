"""A bound on the memory that one step may take, where the system has one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STATM = Path("/proc/self/statm")  # Linux: sizes of this process in pages, the first of them all it has mapped


@contextmanager
def memory_bound(more: int) -> Iterator[None]:
    """Raise MemoryError where the block needs more than so many further bytes, if the system has bounds.

    The bound is of the whole process, so it is for single steps that are soon over.
    """
    try:
        import resource

        mapped = int(STATM.read_text("ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    known = [limit for limit in (mapped + more, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
