"""What answers report, remembered for models that weigh the same answers again with few other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.observation.carried_likelihood import log_mixture
from engine.observation.reported_answers import reported_answers

if TYPE_CHECKING:
    from engine.backend.types import Array
    from engine.model.responses import Answers
    from engine.observation.echo import Echo
    from engine.observation.kernels import LabelKernel, NumberKernel
    from engine.observation.reported_answers import ReportedAnswers

    Kernel = LabelKernel | NumberKernel


class ReportMemory:
    """What one batch of answers reports by each kernel, and mixtures of that.

    Kernels, echoes and tables are known by their identity; each is kept, so that none comes again as another.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._reports: dict[tuple[int, str, int, int], tuple[Kernel, Echo, ReportedAnswers]] = {}
        self._mixtures: dict[tuple[int, int], tuple[Array, Array, Array]] = {}

    def reported(self, observer: int, name: str, kernel: Kernel, echo: Echo) -> ReportedAnswers:
        """Return `reported_answers` of these answers."""
        key = observer, name, id(kernel), id(echo)
        if key not in self._reports:
            report = reported_answers(self.answers, observer, name, kernel, echo)
            self._reports[key] = kernel, echo, report
        return self._reports[key][2]

    def mixture(self, table: Array, mix: Array) -> Array:
        """Return `log_mixture` of these, (P, X)."""
        key = id(table), id(mix)
        if key not in self._mixtures:
            self._mixtures[key] = table, mix, log_mixture(table, mix)
        return self._mixtures[key][2]
