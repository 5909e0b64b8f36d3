"""What can go wrong with a vision model.

SekeError
└── FatalError             no further call can be answered: the run stops
    └── OutOfMoneyError    what may be spent is spent
UnansweredError            this call cannot be answered; its item goes on without it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from seke.vision.values import Choice


class FatalError(SekeError):
    """No further call can be answered; the message says in plain words what to do."""


class OutOfMoneyError(FatalError):
    """The next request could pass what may be spent."""


class UnansweredError(Exception):
    """A call that cannot be answered.

    choices: those of its answers that came all the same.
    """

    def __init__(self, reason: str, choices: tuple[Choice, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.choices = reason, choices
