"""What a first pass over all items inferred, so that a second one need not infer it again.

Thresholds of the mean are found in a pass over all items, before the first record can be written in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine import Answers, Diagnostics, Posterior

# Items whose posteriors are kept, about 1 kB each; of later ones only the diagnostics, 60 bytes each.
MOST_POSTERIORS = 16_384


@dataclass
class FirstPass:
    """Posteriors and diagnostics of batches of answers, by what was answered.

    A batch that another one or other answers were given instead of is not found, and has to be inferred.
    """

    _diagnostics: dict[bytes, Diagnostics] = field(default_factory=dict)
    _posteriors: dict[bytes, Posterior] = field(default_factory=dict)
    _items: int = 0

    def keep(self, answers: Answers, posterior: Posterior, diagnostics: Diagnostics) -> None:
        """Keep what was inferred of a batch; the posteriors only of the first MOST_POSTERIORS items."""
        batch = digest_of(answers)
        self._diagnostics[batch] = diagnostics
        if self._items + len(answers.items) <= MOST_POSTERIORS:
            self._posteriors[batch] = posterior
            self._items += len(answers.items)

    def of(self, answers: Answers) -> tuple[Posterior | None, Diagnostics | None]:
        """Return the posterior and the diagnostics of a batch, None for what was not kept."""
        if not self._diagnostics:
            return None, None
        batch = digest_of(answers)
        return self._posteriors.get(batch), self._diagnostics.get(batch)


def digest_of(answers: Answers) -> bytes:
    """Return the digest of all that was answered about some items."""
    digest = blake2b(digest_size=16)

    def add(value: object) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype} {value.shape} ".encode())
            digest.update(np.ascontiguousarray(value).data)
        elif isinstance(value, Mapping):
            for name, column in value.items():
                add(name)
                add(column)
        elif is_dataclass(value):
            for part in fields(value):
                add(part.name)
                add(getattr(value, part.name))
        else:
            # Names and numbers; a lone surrogate in a name is no UTF-8.
            digest.update(repr(value).encode("utf-8", "backslashreplace"))

    add(answers)
    return digest.digest()
