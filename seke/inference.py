"""Answers -> posterior records: the main job, batch by batch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Guarantee,
    Inference,
    Knowledge,
    LookAhead,
    Network,
    SekeError,
    acceptable,
    compiled,
    decide_items,
    decide_levels,
    diagnose,
    did_you_mean,
)
from seke.covered import Covered
from seke.posteriors import Layout
from seke.samples import answers_from, read_batches
from seke.shipped import cache_folder
from seke.shipped import knowledge as read_knowledge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine import Decisions, Diagnostics, Option, Policy, Posterior

    Record = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """What is inferred of some items, what is decided about them, and what of that is guaranteed."""

    posterior: Posterior
    diagnostics: Diagnostics
    decisions: Decisions
    covered: Covered | None


@dataclass(frozen=True)
class Session:
    """A compiled base made ready for one population; turns answers into records.

    guarantee: what was certified with the base, where that holds; refused: why it does not hold. otherwise:
    items that were asked otherwise than the policy asks, and in which way (see `replay`).
    """

    network: Network
    inference: Inference
    look_ahead: LookAhead
    layout: Layout
    guarantee: Guarantee | None = None
    refused: tuple[str, ...] = ()
    otherwise: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        base: Knowledge,
        population: str | None = None,
        seed: int = 0,
        *,
        device: str = "cpu",
        threads: int = 1,
    ) -> Session:
        """Compile a base and make it ready; device and threads are those of `engine.Inference`.

        Raises:
            engine.KnowledgeError: a base that cannot be compiled.
            engine.SekeError: a population that the base does not have.
        """
        if population is not None and population not in base.populations:
            hint = did_you_mean(population, base.populations)
            raise SekeError(f"no population is called {population!r}{hint}")
        network = compiled(base, cache_folder())
        inference = Inference(network, population, device=device, threads=threads)
        ahead = LookAhead(network, inference.observations, seed)
        guarantee = base.guarantee
        refused = guarantee.refusals(base.digests, inference.population) if guarantee else ()
        holds = guarantee if not refused else None
        return cls(network, inference, ahead, Layout(network), holds, refused)

    @cached_property
    def first(self) -> Option | None:
        """What is asked about an item of which nothing is known; None where nothing may be asked."""
        return self.look_ahead.first(self.inference.posterior(Answers.nothing()))

    def under(self, policy: Policy) -> Session:
        """Return the same base, ready with another policy."""
        network = replace(self.network, knowledge=replace(self.network.knowledge, policy=policy))
        old = self.inference
        inference = Inference(network, old.population, device=old.device, threads=old.threads)
        ahead = LookAhead(network, inference.observations, self.look_ahead.seed)
        return Session(network, inference, ahead, Layout(network))

    def records(self, answers: Answers) -> list[Record]:
        """Return one posterior record an item, in the order of the items."""
        judged = self.judge(answers)
        found = judged.posterior, judged.decisions, judged.diagnostics
        return self.layout.records(answers, *found, judged.covered)

    def judge(self, answers: Answers) -> Judged:
        """Infer, and decide what is accepted and what is asked next, of an unasked item what is first."""
        base = self.network.knowledge
        posterior = self.inference.posterior(answers)
        diagnostics = diagnose(self.inference, answers, posterior)
        levels = decide_levels(base, answers, posterior, diagnostics.conflict)
        readings = np.bincount(answers.reading_item, minlength=len(answers.items))
        worthwhile = [level.accepted for name, level in levels.items() if base.policy.worth[name] > 0]
        settled = np.all(worthwhile, axis=0) if worthwhile else np.ones(len(readings), dtype=bool)
        ask = ~settled & (readings > 0) & (answers.asked < base.policy.budget)
        following = self.look_ahead.next(answers, posterior, ask)
        if not answers.samples.all():
            unasked = answers.samples == 0
            following = tuple(self.first if new else one for new, one in zip(unasked, following, strict=True))
        covered = None
        if self.guarantee is not None:
            covered = Covered.of(base, self.guarantee, answers, following, self.otherwise)
            levels = covered.decided(levels, acceptable(base, answers, diagnostics.conflict))
        decisions = decide_items(base, answers, levels, diagnostics.conflict, following, diagnostics.at_odds)
        return Judged(posterior, diagnostics, decisions, covered)


def infer(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    in_order: bool = False,
    seed: int = 0,
) -> Iterator[Record]:
    """Yield a posterior record for each item, in order of first appearance.

    Args:
        samples: sample files (paths; `-` is standard input), or sample records as mappings.
        knowledge: a base, or the folder or file of one; the shipped base by default.
        population: the prior to use; the base's reference by default.
        in_order: the samples of each item stand together, so that they can be streamed.
        seed: of the look-ahead's imagined answers.

    Warns:
        UserWarning: a guarantee of the base that does not hold any more, with the reason.

    Raises:
        engine.KnowledgeError, engine.AnswerError: bad knowledge or samples, with their places.
    """
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    session = Session.open(base, population, seed)
    for reason in session.refused:
        warnings.warn(f"the guarantee is refused: {reason}", stacklevel=2)
    if session.guarantee is not None and session.guarantee.design.adaptive:
        from seke.replay import checked  # which stands upon this module

        samples = samples if isinstance(samples, str | Path) else list(samples)  # type: ignore[assignment]
        session = checked(session, samples)
    for answers in batches(samples, base, in_order=in_order):
        yield from session.records(answers)


def batches(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    base: Knowledge,
    *,
    in_order: bool = False,
) -> Iterable[Answers]:
    """Return the answers about whole items, batch by batch; the arguments are those of `infer`."""
    if isinstance(samples, str | Path):
        return read_batches([samples], base, in_order=in_order)
    given = list(samples)
    if all(isinstance(one, str | Path) for one in given):
        return read_batches(given, base, in_order=in_order)  # type: ignore[arg-type]
    return answers_from(given, base)  # type: ignore[arg-type]
