"""Which knowledge decided an item: what each rule pulled, and which numbers of the YAML would change it.

Rules and couplings are weighed by compiling the base without them; numbers by reading the YAML with another
value and compiling that. `adjoint` says where to look, to first order; what is reported has been compiled
and decided anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from engine.analysis.adjoint import declared_shift, slopes
from engine.analysis.perturbation import Perturbation
from engine.analysis.weight_of_evidence import first_two, log_odds
from engine.decision.decision import decide_levels
from engine.inference.diagnostics import diagnose
from engine.observation.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.analysis.adjoint import Slopes
    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.model.citation import Number
    from engine.model.knowledge import Coupling, Knowledge, Rule
    from engine.model.responses import Answers


# Step of a difference quotient on the scale of a number, in bits.
STEP = 0.05
# Numbers compiled with other values at most, the nearest first.
MOST_TRIED = 14
# Margins whose change of sign changes a decision.
SURE, AHEAD, AGREED = range(3)
# Nats of certainty that no posterior reaches, of a limit of 0.
NEVER = 1e9
# Rules and couplings that are left out and compiled at most.
MOST_PULLS = 5
# Significant digits of the move that is reported.
DIGITS = 3


@dataclass(frozen=True)
class FactorContribution:
    """The effect of a rule or coupling on an item: the posterior with it less the posterior without it.

    bits: of the log-odds of the label against all else. moved: the variable that it moved most, with its
    P(true), P(label) or mean without and with it. violated: P(if & not then), None for a coupling.
    """

    declared: Rule | Coupling
    bits: float
    moved: str
    without: float
    with_it: float
    violated: float | None


@dataclass(frozen=True)
class Counterfactual:
    """A number of the YAML, and the nearest value that changes the decision about the root.

    value: the nearest such value, to DIGITS significant digits of the move. distance: how far that is, in
    bits of the number's log-odds within its range (of its logarithm, where the range is wide). shared: the
    other numbers of its distribution shrink or grow to make room. label, accepted, p: the decision then.
    """

    number: Number
    value: float
    distance: float
    shared: bool
    label: str
    p: float
    accepted: bool


class Sensitivity:
    """Rules, couplings and numbers that the decision about one item depends on.

    farthest: bits beyond which no number is looked at. least_pull: bits under which no contribution is
    reported.
    """

    farthest = 12.0
    least_pull = 0.01

    def __init__(self, inference: Inference, answers: Answers) -> None:
        self.inference, self.answers = inference, answers
        self.network, self.base = inference.network, inference.knowledge
        self.perturbation = Perturbation(inference.remembering(answers), answers)
        self.states = self.network.root_states
        self.evidence = inference.observations.evidence(answers)
        self.posterior = inference.posterior(answers)
        self.p = self.posterior.marginals[self.base.root][0]
        self.label, self.runner_up = first_two(self.p)
        self.accepted = self._decide(inference)[2]
        self.conflict = float(diagnose(inference, answers, self.posterior).conflict[0])
        self.slopes = self._slopes()

    def _slopes(self) -> Slopes:
        """Return the slopes of the label's log-odds and of its ratio to the runner-up."""
        contrasts = np.zeros((2, len(self.p)))
        contrasts[0] = -self.p / max(1 - self.p[self.label], 1e-300)
        contrasts[:, self.label] = 1
        contrasts[1, self.runner_up] = -1
        return slopes(self.inference, self.evidence, contrasts)

    def contributions(self) -> tuple[FactorContribution, ...]:
        """Return the contributions of rules and couplings to the label's log-odds, the strongest first."""
        size = {name: abs(float(change[0])) for name, change in self.slopes.without.items()}
        declared: list[Rule | Coupling] = [*self.base.rules, *self.base.couplings]
        strong = [
            declaration for declaration in declared if size.get(declaration.name, 0.0) >= self.least_pull / 2
        ]
        strong = sorted(strong, key=lambda declaration: -size[declaration.name])[:MOST_PULLS]
        return tuple(
            sorted(map(self._contribution, strong), key=lambda contribution: -abs(contribution.bits))
        )

    def _contribution(self, declared: Rule | Coupling) -> FactorContribution:
        base = self.base
        rules = tuple(rule for rule in base.rules if rule is not declared)
        couplings = tuple(coupling for coupling in base.couplings if coupling is not declared)
        without = replace(base, rules=rules, couplings=couplings)
        other = self.perturbation.inference_of(without)
        now, then = self.posterior, other.posterior(self.answers)
        bits = log_odds(self.p, self.label) - log_odds(then.marginals[base.root][0], self.label)
        known = [name for name, variable in base.variables.items() if variable.kind != "derived"]
        gap = {v: np.abs(now.marginals[v][0] - then.marginals[v][0]).sum() for v in known}
        most = max(gap, key=lambda name: gap[name])
        violated = None
        if declared.name in now.rules and declared in base.rules:
            violated = float(now.violations[0, now.rules.index(declared.name)])
        before, with_it = (self._value(most, posterior.marginals[most][0]) for posterior in (then, now))
        return FactorContribution(declared, float(bits), most, before, with_it, violated)

    def _value(self, name: str, p: Floats) -> float:
        """Return the summary of a variable's distribution: P(true), P(label) or the mean."""
        variable = self.base.variables[name]
        if variable.kind == "interval":
            edges = np.array(variable.edges)
            return float(p @ (edges[:-1] + edges[1:]) / 2)
        return float(p[1] if variable.kind == "binary" else p[self.label])

    def counterfactuals(self, count: int = 3) -> tuple[Counterfactual, ...]:
        """Return the numbers whose least moves change the decision about the root, the nearest first."""
        if self.base.yaml is None or not len(self.answers.reading_item):
            return ()
        near = sorted(self._crossings(), key=lambda candidate: abs(candidate[2]))
        counterfactuals: dict[str, Counterfactual] = {}
        for number, goal, move in near[:MOST_TRIED]:
            nearest = sorted(counterfactual.distance for counterfactual in counterfactuals.values())
            if len(nearest) >= count and abs(move) > 1.1 * nearest[count - 1]:
                break
            counterfactual = (
                None if number.path in counterfactuals else self._counterfactual(number, goal, move)
            )
            if counterfactual is not None:
                counterfactuals[number.path] = counterfactual
        return tuple(
            sorted(counterfactuals.values(), key=lambda counterfactual: counterfactual.distance)[:count]
        )

    def _goals(self) -> tuple[int, ...]:
        """Return the margins whose change of sign changes the decision."""
        sure, _, agreed = self._margins(self.base, self.p)
        if self.accepted:
            return (SURE, AGREED)
        if sure < 0:
            return (SURE, AHEAD)
        return (AHEAD, AGREED) if agreed <= 0 else (AHEAD,)

    def _margins(self, base: Knowledge, p: Floats) -> Floats:
        """Return the margins (3,): label within its limit and ahead (nats), and conflict above its alarm."""
        limit = base.policy.highest_risk(base.variables[base.root]) or 0.0
        certain = math.log((1 - limit) / limit) if 0 < limit < 1 else NEVER
        ahead = np.log(max(p[self.label], 1e-300) / max(p[self.runner_up], 1e-300))
        sure = log_odds(p, self.label) * math.log(2) - certain
        return np.array([sure, ahead, self.conflict - base.policy.conflict])

    def _crossings(self) -> Iterator[tuple[Number, int, float]]:
        """Yield number, goal and the move that reaches it to first order."""
        now, goals = self._margins(self.base, self.p), self._goals()
        decide = (
            number
            for path, number in self.base.numbers.items()
            if path.startswith("policy.limits.") or path == "policy.conflict"
        )
        numbers = (*self.perturbation.numbers, *decide)
        scales = [_NumberScale(number) for number in numbers]
        others = [
            self.perturbation.perturbed_base({number.path: scale.value(scale.start + STEP)})
            for number, scale in zip(numbers, scales, strict=True)
        ]
        for number, change in zip(numbers, self._first_order(others), strict=True):
            slope = change / STEP
            for goal in goals:
                if abs(now[goal]) <= self.farthest * abs(slope[goal]):
                    yield number, goal, -float(now[goal] / slope[goal])

    def _first_order(self, others: Sequence[Knowledge | None]) -> Iterator[Floats]:
        """Yield the change of the margins, (3,): by the network to first order, by all else as it is.

        0 where there is no base. What bases with other observers infer is inferred together.
        """
        marginals, now = self._other_marginals(others), self._margins(self.base, self.p)
        for index, other in enumerate(others):
            if other is None:
                yield np.zeros(3)
                continue
            change = self._margins(other, marginals.get(index, self.p)) - now
            if not self.perturbation.same_network(other):
                shift = declared_shift(self.base, other, self.inference.population)
                change[:AGREED] += self.slopes.declared @ shift
            yield change

    def _other_marginals(self, others: Sequence[Knowledge | None]) -> dict[int, Floats]:
        """Return the root's marginal, (K,), by the index of each base with other observers."""
        now = self.base.observers, self.base.dependence
        evidence = {
            index: self.perturbation.inference_of(other).observations.evidence(self.answers)
            for index, other in enumerate(others)
            if other is not None and (other.observers, other.dependence) != now
        }
        if not evidence:
            return {}
        inferred = self.inference.marginals(Evidence.stacked(list(evidence.values())))
        return dict(zip(evidence, inferred[self.base.root], strict=True))

    def _decide(self, inference: Inference) -> tuple[str, float, bool]:
        """Return label, its probability, and whether it is accepted."""
        posterior = inference.posterior(self.answers)
        base, root = inference.knowledge, self.base.root
        p = posterior.marginals[root][0]
        label = first_two(p)[0]
        conflict = diagnose(inference, self.answers, posterior).conflict
        level = decide_levels(base, self.answers, posterior, conflict).get(root)
        return self.states[label], float(p[label]), bool(level is not None and level.accepted[0])

    def _counterfactual(self, number: Number, goal: int, move: float) -> Counterfactual | None:
        """Return the value of a number at which the goal is reached, verified by compiling, or None."""
        scale = _NumberScale(number)

        @cache
        def margin(position: float) -> float:
            if position == scale.start:
                return float(self._margins(self.base, self.p)[goal])
            inference = self.perturbation.perturbed({number.path: scale.value(position)})
            if inference is None:
                return math.nan
            p = self.perturbation.marginals_by(inference)[self.base.root][0]
            return float(self._margins(inference.knowledge, p)[goal])

        far = scale.start + move
        for _ in range(4):
            end = margin(far)
            if end * margin(scale.start) <= 0:
                break
            # Beyond what is allowed, or not far enough.
            far += (-0.5 if math.isnan(end) else 0.5) * (far - scale.start)
        else:
            return None
        crossing = brentq(margin, scale.start, far, xtol=0.005 * abs(far - scale.start), rtol=1e-6)
        return self._rounded_counterfactual(number, scale, crossing)

    def _rounded_counterfactual(
        self, number: Number, scale: _NumberScale, position: float
    ) -> Counterfactual | None:
        """Return the counterfactual at a rounded value further away, verified by deciding anew, or None."""
        value = scale.value(position)
        unit = 10.0 ** (math.floor(math.log10(abs(value - number.value))) - DIGITS + 1)
        away = math.copysign(1.0, value - number.value)
        for further in range(1, 12):
            rounded = (math.floor(value / unit) if away < 0 else math.ceil(value / unit)) * unit
            tried = round(rounded + away * unit * (further - 1), 12)
            inside = number.low <= tried <= number.high
            inference = self.perturbation.perturbed({number.path: tried}) if inside else None
            if inference is None:
                return None
            label, p, accepted = self._decide(inference)
            if (label, accepted) != (self.states[self.label], self.accepted):
                return Counterfactual(
                    number,
                    tried,
                    abs(scale.position(tried) - scale.start),
                    self.perturbation.needs_room(number, tried),
                    label,
                    p,
                    accepted,
                )
        return None


class _NumberScale:
    """Positions of a number: bits of its log-odds within a narrow range, else of its logarithm."""

    def __init__(self, number: Number) -> None:
        self.low, self.high = number.low, number.high
        self.narrow = number.high - number.low <= 2
        self.start = self.position(number.value)

    def position(self, value: float) -> float:
        """Return the position of a value."""
        if self.narrow:
            share = min(max((value - self.low) / (self.high - self.low), 1e-4), 1 - 1e-4)
            return math.log2(share / (1 - share))
        return math.log2(max(value, 1e-4)) if self.low >= 0 else value

    def value(self, position: float) -> float:
        """Return the value at a position, within the range."""
        if self.narrow:
            return self.low + (self.high - self.low) / (1 + math.exp2(-position))
        value = math.exp2(position) if self.low >= 0 else position
        return min(max(value, self.low), self.high)
