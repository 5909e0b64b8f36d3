"""What a name means that is written otherwise than the base writes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine import Variable

LONGEST_NAME = 80  # characters of a text that may be a name; labels of variables have some thirty
# A name with a number: letters, the number, and what may follow, such as its label.
NUMBERED = re.compile(r"([a-z]*)[\s_-]*0*(\d{1,9})((?:[\s(:-].*)?)", re.DOTALL)


def name_meant(
    text: str, allowed: Iterable[str], also: Mapping[str, str], labels: Mapping[str, str]
) -> str | None:
    """Return the name that a text means; None where it means none of those allowed.

    Read are another case, blanks and a stop around it, another word for it (`also`, in small letters), its
    label, its number, and zeros before its number.
    """
    text = text.strip().rstrip(".!").strip().casefold()
    if len(text) > LONGEST_NAME:
        return None
    folded = {name.casefold(): name for name in allowed}
    meant = also.get(text)
    if text in folded or meant in folded.values():
        return folded.get(text, meant)
    by_label = {labels[name].casefold(): name for name in folded.values() if labels.get(name)}
    if text in by_label:
        return by_label[text]
    numbered = NUMBERED.fullmatch(text)
    if numbered is None:
        return None
    prefix, number, label = numbered.groups()
    for small, name in folded.items():
        written = NUMBERED.fullmatch(small)
        if written and int(written[2]) == int(number) and prefix in ("", written[1]):
            return name if label.strip(" ()-:") in ("", labels.get(name, "").casefold()) else None
    return None


class Spellings(dict[str, int]):
    """Name -> its number, also of names that are written otherwise; -1 for a text that means none."""

    def __init__(
        self, known: Mapping[str, int], also: Mapping[str, str], labels: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(known)
        self.names, self._also, self._labels = tuple(known), also, labels or {}

    def __missing__(self, text: str) -> int:
        """Return the number of a text that is no name as it stands, and keep it."""
        name = name_meant(text, self.names, self._also, self._labels)
        if name is None:
            return -1
        self[text] = number = self[name]
        return number


def other_words(variable: Variable) -> dict[str, str]:
    """Return other word in small letters -> state of a variable."""
    return {word.strip().casefold(): state for state, words in variable.also.items() for word in words}
