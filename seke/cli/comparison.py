"""What `--compare-bases` prints at the end of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seke.cli.output import print_message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def check_comparable(samples: Sequence[str]) -> None:
    """Check that samples can be read a second time.

    Raises:
        engine.SekeError: samples from a pipe, which are gone when the records are written.
    """
    from engine import SekeError
    from seke.sampling.infer import read_once

    if read_once(samples):
        raise SekeError("--compare-bases reads the samples a second time; give files, not a pipe")


def print_comparison(samples: Sequence[str | Path], knowledge: str | None, population: str | None) -> None:
    """Print under which base the answers are likeliest, on the standard error."""
    from seke.knowledge_tools.compare_bases import compare_bases

    print_message(compare_bases(list(samples), knowledge, population=population))
