"""A run of annotation: its inputs, its folder, its results."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine import Knowledge, SekeError
from seke.annotation.annotator import Annotator
from seke.annotation.begun_facts import SAME, complete_facts, differences
from seke.annotation.branches import OtherSettingsError, is_run, note_origin, origins
from seke.annotation.expected_tokens import expected_tokens
from seke.annotation.forgotten_items import remembered_items
from seke.annotation.measured_prices import (
    ESTIMATED,
    MEASURED,
    PILOT,
    estimate_prices,
    pilot_of,
    stored_or_measured_prices,
    with_prices,
)
from seke.annotation.observers import AskedObservers, asking
from seke.annotation.people import note_given, read_given
from seke.annotation.results import RunResults
from seke.annotation.reuse import ReusedAnswers
from seke.annotation.run_session import run_session
from seke.annotation.run_shard import RunShard, ShardedItems, check_folder, share_of
from seke.annotation.several import (
    address_notes,
    addresses_of,
    check_several,
    note_answered,
    tell_of_servers,
)
from seke.datasets.images import PictureError, view_of
from seke.datasets.manifest import check_some_are_there, items_of
from seke.files.shipped import DATASET_OBSERVER
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.prompts import Questions
from seke.runs.batch_client import Batches, fit_together
from seke.runs.failures import nothing_answered
from seke.runs.ledger import Ledger, plain_errors
from seke.runs.run_coroutine import run_coroutine
from seke.runs.run_folder import SAMPLES, SUMMARY, base_to_name, make_run_folder
from seke.vision.signals import interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from seke.annotation.observing import FreeObservers
    from seke.annotation.run_summary import RunSummary
    from seke.datasets.manifest import Item
    from seke.vision.messages import Model, Settings
    from seke.vision.prices import Prices

    Facts = dict[str, Any]
    Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """A run that is ready to begin or to go on."""

    folder: Path
    items: tuple[Item, ...]
    annotator: Annotator
    facts: Mapping[str, Any]
    max_cost: float | None = None
    prices: Prices | None = None
    estimated: Mapping[str, Any] = field(default_factory=dict)
    part: ShardedItems | None = None

    @property
    def limit(self) -> str:
        """What may be spent, in words; no text of a whole run, whose limit is that of --max-cost."""
        if self.part is None or self.max_cost is None:
            return ""
        return f"the share of --max-cost that shard {self.part.shard} has, {self.max_cost:g} USD"

    @classmethod
    def of(
        cls,
        images: Sequence[str | Path],
        folder: Path,
        model: Model,
        settings: Settings,
        *,
        knowledge: Knowledge | str | Path | None = None,
        labels: Any = None,
        answers: Any = None,
        population: str | None = None,
        observer: str | None = None,
        also: Mapping[str, str] | None = None,
        strategy: str = "policy",
        max_samples: int | None = None,
        max_cost: float | None = None,
        labels_final: bool = False,
        prices: Prices | None = None,
        declared_prices: bool = False,
        shard: str | None = None,
        concurrency: int = 16,
        **options: Any,
    ) -> Job:
        """Read and compile all that a run needs; nothing is asked and nothing written.

        observer: who of the base the model is; see `observer_of`. also: further observers that the policy may
        ask -> the name of the model behind each; `model` answers for all of them (`SeveralModels`). labels: a
        table of the labels that the set has; labels_final: whether they are kept whatever is seen. answers:
        sample files or records of observers that no model answers as, such as people for whom items waited; a
        run that was given some needs them again. prices: of the first model's tokens; by them the prices of
        questions are estimated, and then measured on the first items of a policy's run, unless
        declared_prices keeps them; a guarantee holds only where the declared ones choose the questions, and a
        batch takes too long to wait for. shard: i/n, the part of the items that is asked about, with its
        share of max_cost; prices are not measured then. options: `free`, `problems`, `progress` and `reading`
        of the annotator.

        Raises:
            engine.KnowledgeError, engine.SekeError: all that could go wrong later for reasons known now.
        """
        base = read_knowledge(knowledge)
        asked = AskedObservers.of(base, settings.model, observer, also or {}, strategy)
        check_several(model, asked.also, max_cost)
        session, rule = run_session(base, asked, population, max_samples, labels_final=labels_final)
        base = session.knowledge
        named = _named_items(images, base, labels, folder)
        part = share_of(named, RunShard.parse(shard)) if shard is not None else None
        items = remembered_items(part.items if part else named, folder, options.get("problems"))
        # What is said and estimated of all items is the same in all shards.
        listed = named if part else items
        known_by, labels_of = known_labels(base, items)
        paid = prices if rule is None and session.guarantee is None and not declared_prices else None
        estimated = _estimated_prices(session, listed, settings, paid)
        session = with_prices(session, estimated)
        facts = _facts_of(session, settings, asked, model, options.get("free"))
        answering = {asked.first, *asked.also, *facts["observed_by"]}
        given = read_given(answers, base, items, answering, listed)
        annotator = Annotator(session, model, rule, known_by, labels_of, given, concurrency, **options)
        by_tokens = None if part or isinstance(model, Batches) else paid
        share = part.money(max_cost) if part else max_cost
        return cls(folder, items, annotator, facts, share, by_tokens, estimated, part)

    def open(self) -> Ledger:
        """Open the ledger, a new one where there is none.

        Raises:
            engine.SekeError: the run was begun otherwise: with what differs. The folder holds other things.
        """
        make_run_folder(self.folder)
        ledger = Ledger(self.folder, self.annotator.read, self.max_cost, self.limit)
        begun = ledger.facts(*SAME)
        names = [item.name for item in self.items]
        try:
            check_folder(self.folder, begun and ledger.facts(), self.part.shard if self.part else None)
            if begun:
                # Which networks looked was not noted before; it is taken to be these.
                begun = complete_facts(begun, self.facts["networks"])
                differing = differences(begun, self.facts)
                if differing and (ledger.totals().requests or ledger.observed(names)):
                    counts = begun["settings"] == self.facts["settings"]
                    raise OtherSettingsError(self.folder, differing, counts=counts)
            note_given(ledger, self.annotator.given)
        except SekeError:
            ledger.close()
            raise
        from seke._version import __version__

        fewer = ledger.facts("items").get("items", 0) - len(self.items)
        if (missing := max(fewer, len(ledger.asked_items() - set(names)))) > 0:
            things = "item that this run had is" if missing == 1 else "items that this run had are"
            self.annotator.problems(
                f"{missing:,} {things} not named now, and left out of its files; what was answered stays in "
                "the ledger: name all pictures together, or begin another run with --run NEWDIR"
            )
        ledger.note({**self.facts, "items": len(self.items), "program": __version__})
        if self.part is not None:
            # No pilot: all shards ask by the prices that are estimated of the whole list, as one run would.
            ledger.note({**self.part.as_fact(), PILOT: []})
        # A run goes on with the prices by which it began, also where prices of tokens are not given again.
        estimated = ledger.facts(ESTIMATED).get(ESTIMATED) or dict(self.estimated)
        if estimated:
            ledger.note({ESTIMATED: estimated})
            self.annotator.session = with_prices(self.annotator.session, estimated)
            self.annotator.base = self.annotator.session.knowledge
        ledger.reopen()
        return ledger

    def run(
        self, *, retry_refused: bool = False, forget_unanswered: bool = False, branch_of: Path | None = None
    ) -> RunSummary:
        """Ask until all is settled or something stops it, write the results, and sum up.

        forget_unanswered: whether earlier requests without an answer count as not paid. branch_of: the folder
        of another run, whose answers to the same prompts about the same pictures are used; a run that was
        begun as a branch stays one.
        """
        if branch_of is not None:
            items = remembered_items(self.items, branch_of, self.annotator.problems)
            if len(items) < len(self.items):
                return replace(self, items=items).run(
                    retry_refused=retry_refused, forget_unanswered=forget_unanswered, branch_of=branch_of
                )
        started = time.monotonic()
        with plain_errors(self.folder), ExitStack() as stack:
            for folder in reversed(origins(self.folder, branch_of, len(self.items))):
                earlier = stack.enter_context(closing(self._open_earlier(folder)))
                self.annotator.model = ReusedAnswers(
                    self.annotator.model, earlier, self._same_observers(earlier)
                )
            given_up = {"retry_refused": retry_refused, "forget_unanswered": forget_unanswered}
            work = self._run(stack, branch_of, **given_up)
            ledger, stopped = run_coroutine(work, self.annotator.stopping, self.annotator.problems)
            try:
                places = self.part.places if self.part else {}
                results = RunResults(self.folder, self.items, self.annotator, ledger, self.facts, places)
                return results.write(time.monotonic() - started, stopped)
            except (OSError, SekeError) as error:
                what = error.strerror if isinstance(error, OSError) else error
                problem = f"the results cannot be written ({what})"
                # What stopped the run comes first: it says what to do.
                raise SekeError(f"{stopped}\n{problem}" if stopped else f"{self.folder}: {problem}") from None

    def _open_earlier(self, folder: Path) -> Ledger:
        if not is_run(folder):
            raise SekeError(f"{folder}: is not a run")
        earlier = Ledger(folder, self.annotator.read)
        begun = earlier.facts("model", "settings")
        if begun and begun != {name: self.facts[name] for name in begun}:
            earlier.close()
            raise SekeError(
                f"{folder}: another model or other settings answered, so its answers do not count here"
            )
        return earlier

    def _same_observers(self, earlier: Ledger) -> dict[str, str]:
        """Return observer -> the observer that the same model answered as in an earlier run."""
        begun = earlier.facts("observer", "also")
        if not begun:
            return {}
        same = {self.facts["observer"]: str(begun["observer"])}
        before = begun.get("also", {})
        return same | {name: name for name, model in self.facts["also"].items() if before.get(name) == model}

    async def _run(
        self,
        outer: ExitStack,
        branch_of: Path | None,
        *,
        retry_refused: bool,
        forget_unanswered: bool,
    ) -> tuple[Ledger, str]:
        """Run; return the ledger, which stays open for `outer`, and why it stopped early, or no text."""
        async with AsyncExitStack() as stack:
            inner: Any = self.annotator.model
            while isinstance(inner, ReusedAnswers):
                inner = inner.model
            if hasattr(inner, "__aenter__"):
                await stack.enter_async_context(inner)
                tell_of_servers(inner, self.annotator.problems)
                await inner.check()
                for note in address_notes(inner):
                    self.annotator.problems(note)
                for observer, reason in getattr(inner, "lost", {}).items():
                    self.annotator.drop_observer(observer, reason)
            ledger = outer.enter_context(closing(self.open()))
            if branch_of is not None:
                note_origin(ledger, branch_of)
            if retry_refused:
                ledger.pass_over_refusals()
            if forget_unanswered:
                self.annotator.problems(ledger.forget_unanswered())
            scales = self.annotator.scales
            scales.resume(ledger)
            self._tell_what_is_there(ledger)
            stopped = await self._ask_all(inner, ledger)
            await scales.settle(ledger, self.annotator.reread, self.annotator.problems)
            return ledger, stopped

    def _tell_what_is_there(self, ledger: Ledger) -> None:
        """Say that a run goes on, and with what."""
        answers = ledger.totals().answers
        if answers:
            settled, count = ledger.settled([item.name for item in self.items]), len(self.items)
            self.annotator.problems(
                f"{self.folder}: goes on; settled before: {settled:,} of {count:,} items; answers that it "
                f"has: {answers:,}"
            )

    async def _ask_all(self, inner: Any, ledger: Ledger) -> str:
        """Ask until the end; return why it stopped early, or no text."""
        fit_together(inner, ledger)
        note_answered(inner, ledger)
        with interrupts(self.annotator.stopping, self.annotator.problems):
            try:
                if isinstance(inner, Batches):
                    await inner.resume(ledger)
                for items in self._parts(ledger):
                    await self.annotator.run(items, ledger)
            except SekeError as error:
                return str(error)
            except asyncio.CancelledError:
                if not self.annotator.stopping.is_set():
                    raise
        if self.annotator.stopping.is_set():
            return "interrupted"
        return nothing_answered(self.folder, ledger.totals().answers)

    def _parts(self, ledger: Ledger) -> Iterator[Sequence[Item]]:
        """Yield the items that are asked together: the pilot, if there is one, and then all others.

        Between the two the prices of questions are measured, or read where they were measured already. Items
        about which a request failed or was refused before come after the others.
        """
        failed = ledger.failed_items()
        items = sorted(self.items, key=lambda item: item.name in failed)
        measured = ledger.facts(MEASURED).get(MEASURED)
        is_paid = self.prices is not None or measured is not None
        names = pilot_of(ledger, [item.name for item in self.items]) if is_paid else []
        self.annotator.pilot = frozenset(names)
        piloted = [item for item in items if item.name in self.annotator.pilot]
        if piloted:
            yield piloted
        if names and self.prices is not None and not self.annotator.stopping.is_set():
            measured = stored_or_measured_prices(ledger, self.annotator.base, names, self.prices)
        if names and measured is not None and not self.annotator.stopping.is_set():
            self.annotator.by_measure = with_prices(self.annotator.session, measured)
        yield [item for item in items if item.name not in self.annotator.pilot]


def _named_items(
    images: Sequence[str | Path], base: Knowledge, labels: Any, folder: Path
) -> tuple[Item, ...]:
    """Return the items that are named; a run that begins needs a picture, one that goes on may need none."""
    named = items_of(images, base, labels)
    if not is_run(folder):
        check_some_are_there(named)
    return named


def _facts_of(
    session: Session, settings: Settings, asked: AskedObservers, model: Model, free: FreeObservers | None
) -> Facts:
    """Return the facts about a run: its model, its knowledge and policy, and who looks at no cost."""
    base = session.knowledge
    return {
        "model": settings.model,
        "settings": settings.as_facts(),
        "observer": asked.first,
        "also": dict(asked.also),
        "addresses": addresses_of(asked.first, model) if asked.also else {},
        "strategy": asked.strategy,
        "population": session.inference.population,
        "budget": base.policy.budget,
        "labels_final": base.policy.labels_final,
        "digests": dict(base.digests),
        "knowledge": f"{base.name} {base.digest}",
        "observed_by": list(free.names) if free else [],
        "networks": free.networks if free else {},
    }


def known_labels(base: Knowledge, items: Sequence[Item]) -> tuple[str | None, dict[str, Mapping[str, Any]]]:
    """Return the observer as which the set's own labels count, None without, and item -> these labels."""
    labels = {item.name: item.labels for item in items if item.labels}
    if DATASET_OBSERVER not in base.observers and labels:
        raise SekeError(
            f"the base has no observer {DATASET_OBSERVER}, which stands for the labels of a data set"
        )
    return DATASET_OBSERVER if DATASET_OBSERVER in base.observers else None, labels


def session_of(folder: Path, base: Knowledge, population: str | None = None, seed: int = 0) -> Session:
    """Return the session of a finished run: its base, observers, prices and thresholds.

    Raises:
        engine.SekeError: no such run is there; it was made with another base.
    """
    try:
        facts = msgspec.json.decode((folder / SUMMARY).read_bytes())["facts"]
        made_with, whose, prior = facts["knowledge"], facts["observer"], facts["population"]
        budget, model, prices = facts["budget"], facts["model"], facts.get("prices", {})
        estimated = facts.get(ESTIMATED, {})
        people = facts.get("strategy", "policy") == "policy"
        also = facts.get("also", {}) if people else {}
        thresholds = {name: tuple(risks) for name, risks in facts.get("thresholds", {}).items()}
        labels_final = facts.get("labels_final", False)
    except FileNotFoundError:
        raise SekeError(f"{folder}: is not a finished run (it has no {SUMMARY})") from None
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        raise SekeError(f"{folder / SUMMARY}: is not the summary of a run ({error})") from None
    now = f"{base.name} {base.digest}"
    if now != made_with:
        raise SekeError(
            f"{folder}: the run was made with knowledge {made_with}, this is {now}; "
            f"{base_to_name(folder)}, or use {folder / SAMPLES} with this base"
        )
    if labels_final:
        base = replace(base, policy=replace(base.policy, labels_final=True))
    opened = asking(Session.open(base, population or prior, seed), whose, budget, model, also, people=people)
    session = with_prices(with_prices(opened, estimated), prices)
    return session.with_policy(replace(session.knowledge.policy, thresholds=thresholds))


def _estimated_prices(
    session: Session, items: Sequence[Item], settings: Settings, prices: Prices | None
) -> dict[str, Any]:
    """Return the prices of questions to the observer that is asked first, before any was asked.

    A question about one variable has the length of the one about its first. Nothing is estimated where no
    picture can be shown.
    """
    base, first = session.knowledge, session.first
    if first is None or prices is None:
        return {}
    requests = [r for r in Questions(base).all_requests() if r.observer == base.policy.ask]
    try:
        lengths = expected_tokens(base, items, view_of(base, first.view), requests, settings)
    except PictureError:
        return {}
    by_question = {question: length for (_, question, _), length in lengths.items()}
    return estimate_prices(base, first.question, by_question, prices)
