"""What a guarantee promises."""

from __future__ import annotations

from dataclasses import dataclass

from engine import Breadth, SekeError


@dataclass(frozen=True)
class Promise:
    """The guarantee asked for: at most `alpha` wrong among accepted values, with probability 1 - `delta`.

    adaptive: of items that are asked as the policy asks. breadth: what each promise is about, see
    `engine.certify`.
    """

    alpha: float
    delta: float = 0.1
    adaptive: bool = False
    breadth: Breadth = Breadth.LEVELS

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise SekeError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1")

    @classmethod
    def of(
        cls, alpha: float | None, delta: float, *, adaptive: bool, breadth: str = Breadth.LEVELS
    ) -> Promise | None:
        """Return the promise; None where there is no alpha."""
        if breadth not in tuple(Breadth):
            raise SekeError(f"breadth is {breadth!r}; allowed are {', '.join(Breadth)}")
        if alpha is None and adaptive:
            raise SekeError("certifying items that the policy asks needs alpha")
        if alpha is None and breadth != Breadth.LEVELS:
            raise SekeError("to certify each value, or pooled ones, needs alpha")
        return None if alpha is None else cls(alpha, delta, adaptive, Breadth(breadth))
