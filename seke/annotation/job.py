"""A run of annotation: what it is made with, its folder, what it comes to; `seke annotate` as a function."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError, did_you_mean
from seke.annotation.run import TOGETHER, UNANSWERED, Annotator, Reusing
from seke.annotation.strategies import rule_of
from seke.files import write_file
from seke.inference import Session
from seke.ledger import Ledger
from seke.manifest import items_of
from seke.questions import Questions
from seke.records import Writer
from seke.shipped import knowledge as read_knowledge
from seke.vision.batches import Batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from seke.ledger import Totals
    from seke.manifest import Item
    from seke.vision.values import Model, Settings

    Facts = dict[str, Any]

GENERIC = "generic-vlm"
SET = "dataset-label"
POSTERIORS, SAMPLES, SUMMARY, RAW = "posteriors.jsonl", "samples.jsonl", "summary.json", "answers.jsonl"
SAME = ("model", "settings", "observer", "population", "strategy", "budget", "digests")


@dataclass(frozen=True)
class Summary:
    """What a run came to. items: by decision; reasons: of rejected ones, the first; samples: of all items."""

    items: Mapping[str, int]
    reasons: Mapping[str, int]
    samples: int
    totals: Totals
    seconds: float
    finished: bool
    stopped: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_facts(self) -> Facts:
        """Return everything as one mapping."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """A run that is ready to begin or to go on."""

    folder: Path
    items: tuple[Item, ...]
    annotator: Annotator
    facts: Mapping[str, Any]
    max_cost: float | None = None

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
        population: str | None = None,
        observer: str | None = None,
        strategy: str = "policy",
        max_samples: int | None = None,
        max_cost: float | None = None,
        concurrency: int = 16,
        **told: Any,
    ) -> Job:
        """Read and compile all that a run needs; nothing is asked and nothing written.

        observer: who of the base the model is; see `observer_of`. labels: a label table of what the set says
        already. told: `problems` and `progress` of the annotator.

        Raises:
            engine.KnowledgeError, engine.SekeError: all that could go wrong later for reasons known now.
        """
        base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
        who = observer or observer_of(base, settings.model)
        session = Session.open(base, population)
        session = _asking(session, who, max_samples)
        base = session.network.knowledge
        Questions(base).check()
        if session.first is None:
            raise SekeError(f"the policy of {base.name} would not ask anything of {who}")
        items = items_of(images, base, labels)
        known_by = SET if SET in base.observers else None
        if known_by is None and any(item.labels for item in items):
            raise SekeError(f"the base has no observer {SET}, as which labels of the set would count")
        rule = rule_of(strategy, base.policy.budget)
        facts = {
            "model": settings.model,
            "settings": asdict(settings),
            "observer": who,
            "population": session.inference.population,
            "strategy": strategy,
            "budget": base.policy.budget,
            "digests": dict(base.digests),
            "knowledge": f"{base.name} {base.digest}",
        }
        known = {item.name: item.labels for item in items if item.labels}
        annotator = Annotator(session, model, rule, known_by, known, concurrency, **told)
        return cls(folder, items, annotator, facts, max_cost)

    def open(self) -> Ledger:
        """Open the ledger, a new one where there is none.

        Raises:
            engine.SekeError: the run was begun otherwise: with what differs.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(self.folder, self.annotator.read, self.max_cost)
        begun = ledger.facts(*SAME)
        differs = [_difference(name, begun[name], self.facts[name]) for name in SAME if begun]
        if any(differs):
            ledger.close()
            told = "; ".join(one for one in differs if one)
            raise SekeError(
                f"{self.folder}: was begun otherwise ({told}); begin another run with --branch NEWDIR"
            )
        from seke import __version__

        ledger.note({**self.facts, "items": len(self.items), "program": __version__})
        ledger.reopen(UNANSWERED)
        return ledger

    def run(self, *, retry_refused: bool = False, branch_of: Path | None = None) -> Summary:
        """Ask until all is settled or something stops it, write the results, and sum up.

        branch_of: the folder of another run, whose answers to the same prompts about the same pictures are
        used.
        """
        started = time.monotonic()
        with ExitStack() as stack:
            if branch_of is not None:
                earlier = stack.enter_context(closing(self._earlier(branch_of)))
                self.annotator.model = Reusing(self.annotator.model, earlier)
            ledger = stack.enter_context(closing(self.open()))
            if retry_refused:
                ledger.pass_over_refusals()
            stopped = asyncio.run(self._go(ledger))
            return self._written(ledger, time.monotonic() - started, stopped)

    def _earlier(self, folder: Path) -> Ledger:
        if not (folder / "ledger.sqlite").exists():
            raise SekeError(f"{folder}: is no run")
        earlier = Ledger(folder, self.annotator.read)
        begun = earlier.facts("model", "settings")
        if begun and begun != {name: self.facts[name] for name in begun}:
            earlier.close()
            raise SekeError(
                f"{folder}: another model, or other settings, answered there; nothing of it counts here"
            )
        return earlier

    async def _go(self, ledger: Ledger) -> str:
        """Run; return why it stopped before the end, or no text."""
        async with AsyncExitStack() as stack:
            model: Any = self.annotator.model
            inner: Any = model.model if isinstance(model, Reusing) else model
            if hasattr(inner, "__aenter__"):
                await stack.enter_async_context(inner)
                await inner.check()
            if ledger.batches() and not isinstance(inner, Batches):
                raise SekeError(f"{self.folder}: batches are on their way; go on with --batch")
            with _interrupts(self.annotator):
                try:
                    if isinstance(inner, Batches):
                        await inner.resume(ledger)
                    await self.annotator.run(self.items, ledger)
                except SekeError as error:
                    return str(error)
        return "interrupted" if self.annotator.stopping.is_set() else ""

    def _written(self, ledger: Ledger, seconds: float, stopped: str) -> Summary:
        items: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        samples = 0
        with Writer(self.folder / POSTERIORS) as posteriors, Writer(self.folder / SAMPLES) as told:
            for rows, records in self.annotator.records(self.items, ledger):
                told.write(rows)
                posteriors.write(records)
                samples += len(rows)
                for record in records:
                    decision = record["decision"]
                    items[decision["item"]] += 1
                    if decision["item"] == "reject":
                        reasons[decision["reasons"][0]] += 1
        with Writer(self.folder / RAW) as raw:
            rest = ledger.raw()
            while some := list(itertools.islice(rest, TOGETHER)):
                raw.write(some)
        finished = ledger.settled() >= len(self.items)
        counts = dict(items), dict(reasons.most_common()), samples
        found = Summary(*counts, ledger.totals(), round(seconds, 1), finished, stopped, self.facts)
        write_file(
            msgspec.json.format(msgspec.json.encode(found.as_facts()), indent=2), self.folder / SUMMARY
        )
        return found


def observer_of(base: Knowledge, model: str) -> str:
    """Return who of a base a model is: the observer whose name is its own or begins it, else the generic.

    Raises:
        engine.SekeError: none of these.
    """
    askable = [name for name, one in base.observers.items() if one.askable]
    short = model.rpartition("/")[2]
    for name in sorted(askable, key=len, reverse=True):
        if name in (model, short) or short.startswith(name):
            return name
    if GENERIC in askable:
        return GENERIC
    if len(askable) == 1:
        return askable[0]
    raise SekeError(f"which observer is {model!r}? name one with --observer: {', '.join(askable)}")


def _asking(session: Session, who: str, budget: int | None) -> Session:
    """Return the session with a policy that asks this observer; a guarantee stays where nothing changes."""
    base = session.network.knowledge
    if who not in base.observers:
        raise SekeError(f"no observer is called {who!r}{did_you_mean(who, base.observers)}")
    if not base.observers[who].askable:
        raise SekeError(f"observer {who!r} cannot be asked (`askable`)")
    policy = base.policy
    # An open-ended run asks one model: others would be asked of nobody.
    wanted = replace(policy, ask=who, others=(), budget=policy.budget if budget is None else budget)
    if wanted.first is not None and wanted.first.samples > wanted.budget:
        wanted = replace(wanted, first=replace(wanted.first, samples=max(wanted.budget, 1)))
    return session if wanted == policy else session.under(wanted)


def _difference(name: str, begun: Any, now: Any) -> str:
    if begun == now:
        return ""
    if isinstance(begun, dict) and isinstance(now, dict):
        inner = (_difference(key, begun.get(key), now.get(key)) for key in {**begun, **now})
        return ", ".join(one for one in inner if one)
    return f"{name}: {begun} then, {now} now"


class _interrupts:  # noqa: N801 - used like a function
    """Lets the first Ctrl-C end a run after what is on its way, and the second one at once."""

    def __init__(self, annotator: Annotator) -> None:
        self.annotator = annotator
        self.told: Callable[..., Any] | None = None

    def __enter__(self) -> None:
        import signal

        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            if self.annotator.stopping.is_set() and task is not None:
                task.cancel()
            self.annotator.stopping.set()
            self.annotator.problems("stopping: what is on its way still comes in; once more to stop at once")

        try:
            loop.add_signal_handler(signal.SIGINT, stop)
        except (NotImplementedError, RuntimeError, ValueError):
            return  # not the main thread

    def __exit__(self, *_: object) -> None:
        import signal
        from contextlib import suppress

        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
