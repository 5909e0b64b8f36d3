"""Change declared numbers, read the base again, compile it, and infer the same answers again.

If a changed number belongs to a distribution, its other numbers are rescaled so that all sum to 1. Unchanged
parts are reused: if only observers differ, the compiled network and all other kernels; else the fit of the
new network starts from the old one.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.compilation.compiler import compile_network
from engine.errors import KnowledgeError
from engine.inference.posterior import Inference
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.language.yaml_tree import declared_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Floats
    from engine.model.citation import Number
    from engine.model.knowledge import Knowledge, Observer
    from engine.model.responses import Answers


# Sections of the YAML that the network is compiled from, and what is read from these.
COMPILED = ("words", "priors", CELLS[0], MOMENTS[0], "couplings", "rules")
OF_NETWORK = ("variables", "populations", "cells", "moments", "couplings", "rules")


def only_fitted(path: str) -> bool:
    """Return whether a number is a prior strength or spread of a fit: `n`, `spread`, or one under `sd`."""
    if path.startswith("dependence."):
        return path.endswith(".n") and path != "dependence.n"
    return path.endswith((".n", ".spread")) or ".sd." in path or ".n." in path


def _look_paths(inference: Inference, answers: Answers) -> Iterator[str]:
    """Yield the paths that the looks of items are derived from: `dependence`, and all observers' tables."""
    observations, kinds = inference.observations, ("confusion", "accuracy", "repeat", "types")
    together = observations.answered_together(answers)
    if together:
        yield "dependence."
    for name in together:
        for index in observations.observers_of(name):
            path = f"observers.{observations.observers[index].name}"
            yield from (
                f"{path}.follows",
                f"{path}.carry",
                f"{path}.binary.cells.{name}.",
                f"{path}.interval.{name}.",
            )
            yield from (f"{path}.categorical.{name}.{kind}" for kind in kinds)
            if name in inference.knowledge.cells:
                yield f"{path}.binary.repeat"


def _irrelevant_paths(base: Knowledge, answers: Answers, index: int, observer: Observer) -> Iterator[str]:
    """Yield the paths of an observer's numbers about variables and questions without an answer."""
    path, by_observer = f"observers.{observer.name}", answers.reading_observer == index

    def has_answers(reports: Mapping[str, Any], name: str) -> bool:
        return name in reports and bool(by_observer[reports[name].reading].any())

    asked = {list(base.questions)[q] for q in answers.reading_question[by_observer]}
    # An answer under halo speaks of the label that it may follow, said or not.
    given = {halo.given for question, halo in observer.halo.items() if question in asked}
    for name in observer.instruments:
        if name in given:
            continue
        if not has_answers(answers.labels, name) and not has_answers(answers.numbers, name):
            yield from (f"{path}.{kind}.{name}." for kind in ("categorical", "binary.cells", "interval"))
        if not has_answers(answers.rankings, name):
            yield f"{path}.categorical.{name}.ranking."
    yield from (f"{path}.halo.{name}." for name in base.questions if name not in asked)


class Perturbation:
    """Infers the same answers again with other values of the base's numbers."""

    def __init__(self, inference: Inference, answers: Answers) -> None:
        self.inference, self.answers = inference, answers
        self.base = inference.knowledge

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """Return the numbers that can move these posteriors: the network's, and the answering observers'.

        Where several observers answered, also the numbers that the dependence between them is derived from.
        """
        inference, answers, base = self.inference, self.answers, self.base
        observers = {
            index: inference.observations.observers[index] for index in set(answers.reading_observer.tolist())
        }
        irrelevant = tuple(
            path
            for index, observer in observers.items()
            for path in _irrelevant_paths(base, answers, index, observer)
        )
        relevant = (
            *(f"{section}." for section in COMPILED if section != "priors"),
            # Rules hold under the reference, whatever the population is.
            *(f"priors.populations.{name}." for name in {inference.population, base.reference}),
            *(f"observers.{observer.name}." for observer in observers.values()),
        )
        look_paths = tuple(_look_paths(inference, answers))
        return tuple(
            number
            for path, number in base.numbers.items()
            if (
                path.startswith(look_paths) or (path.startswith(relevant) and not path.startswith(irrelevant))
            )
            and not only_fitted(path)
            and not path.endswith((".cost", ".further"))
        )

    def marginals(self, values: Mapping[str, float]) -> Mapping[str, Floats] | None:
        """Return all marginals, each (N, states), with other values of numbers; None as with `perturbed`."""
        inference = self.perturbed(values)
        return None if inference is None else self.marginals_by(inference)

    def marginals_by(self, inference: Inference) -> Mapping[str, Floats]:
        """Return all marginals of these answers, each (N, states), by another inference."""
        return inference.marginals(inference.observations.evidence(self.answers))

    def perturbed(self, values: Mapping[str, float]) -> Inference | None:
        """Return inference with other values of numbers; None where no such base is allowed or compiles."""
        other = self.perturbed_base(values)
        try:
            return None if other is None else self.inference_of(other)
        except KnowledgeError:
            return None

    def inference_of(self, other: Knowledge) -> Inference:
        """Return inference by another base of the same variables.

        Raises:
            KnowledgeError: a base that cannot be compiled.
        """
        if self.same_network(other):
            return self.inference.with_knowledge(other)
        network = compile_network(other, self.inference.network)
        return Inference(network, other, self.inference.population, like=self.inference)

    def same_network(self, other: Knowledge) -> bool:
        """Return whether another base of the same variables has the same network."""
        return all(getattr(other, name) == getattr(self.base, name) for name in OF_NETWORK)

    def perturbed_base(self, values: Mapping[str, float]) -> Knowledge | None:
        """Return the base with other values of numbers, by path; None where no such base is allowed.

        Where a number is one of a distribution, the others keep their proportions.
        """
        for given in (values, self.renormalised(values)):
            try:
                return declared_of(self.base).with_numbers(given, digests=False)
            except KnowledgeError:
                continue
        return None

    def renormalised(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the values, and those of the other numbers of their distributions rescaled to sum to 1."""
        renormalised = dict(values)
        for path, value in values.items():
            whole = self._distributions.get(_parent_path(path), [])
            other_numbers = [number for number in whole if number.path not in values]
            old = self.base.numbers[path].value
            if len(other_numbers) == len(whole) - 1 and old < 1:
                renormalised |= {
                    number.path: max(number.value * (1 - value) / (1 - old), 0.0) for number in other_numbers
                }
        return renormalised

    @cached_property
    def _distributions(self) -> Mapping[str, list[Number]]:
        """Return the numbers of each distribution, which add up to 1, by the path of the distribution."""
        together: dict[str, list[Number]] = {}
        for number in self.base.numbers.values():
            # Words, looks and lists may add up to 1 too, and mean something else.
            if number.path.startswith(("words.", "dependence.")) or number.path.endswith("]"):
                continue
            together.setdefault(_parent_path(number.path), []).append(number)
        return {
            path: numbers
            for path, numbers in together.items()
            if len(numbers) > 1 and abs(sum(part.value for part in numbers) - 1) < 1e-6
        }

    def needs_room(self, number: Number, value: float) -> bool:
        """Return whether the other numbers of its distribution must change for a number to be this value."""
        if _parent_path(number.path) not in self._distributions:
            return False
        try:
            declared_of(self.base).with_numbers({number.path: value}, digests=False)
        except KnowledgeError:
            return True
        return False


def _parent_path(path: str) -> str:
    """Return the path of the table or list that a number is an entry of."""
    return path[: max(path.rfind("."), path.rfind("["))]
