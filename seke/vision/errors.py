"""The exceptions of clients of vision models.

SekeError
└── FatalError                 no further call can be answered: the run stops
    └── AccountError           the account cannot be kept, whoever is asked
        ├── FullDiskError      it has no room any more
        └── OutOfMoneyError    what may be spent is spent
UnansweredError                this call cannot be answered; its item goes on without it
├── ObserverLostError          nor can any other call to its observer; the run goes on with the others
└── SilentServerError          its server did not answer, however often it was asked; another one may
Between a client and its server:
RetryableError                 the same request may be sent again
SingleChoiceError              the draws may be asked for one by one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from seke.vision.messages import Choice


class FatalError(SekeError):
    """No further call can be answered; the message says in plain words what to do."""


class AccountError(FatalError):
    """The account of requests cannot be kept, so that nobody may be asked."""


class FullDiskError(AccountError):
    """The disk has no room for the account."""


class OutOfMoneyError(AccountError):
    """The next request could pass what may be spent."""


class UnansweredError(Exception):
    """A call that cannot be answered.

    choices: those of its answers that came all the same.
    """

    def __init__(self, reason: str, choices: tuple[Choice, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.choices = reason, choices


class ObserverLostError(UnansweredError):
    """No further call to an observer other than the run's first can be answered."""


class SilentServerError(UnansweredError):
    """The server did not answer a call in all attempts, none of which it may charge for."""


class RetryableError(Exception):
    """The same request may be sent again, after `wait` seconds where the server names them.

    in_vain: whether it was answered by no answer, or may have been paid for; it is sent once more only.
    """

    def __init__(self, message: str, wait: float | None = None, *, in_vain: bool = False) -> None:
        super().__init__(message)
        self.wait, self.in_vain = wait, in_vain


class SingleChoiceError(Exception):
    """The server gives one choice at a time: the draws may be asked for one by one."""
