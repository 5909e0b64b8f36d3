"""Other names for every variable and state: the engine must not know the ones in the YAML.

The new names sort the other way round, so that nothing may rest on the order of names either.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from engine import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine import Knowledge

BASES = Path(__file__).parent / "bases"


class Names(dict[str, str]):
    """The name in the YAML file -> the name in this run; asking for any other word is an error."""

    def rename(self, text: str) -> str:
        """Return the text (YAML, a formula) with every whole word that is a name replaced."""
        return re.sub(r"[A-Za-z0-9_-]+", lambda match: self.get(match[0], match[0]), text)


def names_in(base: Knowledge) -> set[str]:
    """Return all names of variables and of declared states."""
    names = set(base.variables)
    for variable in base.variables.values():
        if variable.kind in ("categorical", "derived"):
            names |= set(variable.states)
    return names


def as_written(bases: Iterable[Path]) -> Names:
    """Return the mapping of every name in these bases to itself."""
    return Names({name: name for path in bases for name in names_in(read(path))})


def renamed(bases: Iterable[Path]) -> Names:
    """Return the mapping of every name in these bases to another, in reversed order."""
    names = sorted(as_written(bases), reverse=True)
    return Names({name: f"q{index:03d}" for index, name in enumerate(names)})
