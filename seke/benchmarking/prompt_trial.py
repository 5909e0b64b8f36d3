"""Asks a model the same questions in several variants, an overlay each; `seke bench prompts` as a function.

Every variant has a folder with a ledger of its own, so that a run in the same place continues, and nothing is
paid twice. All are asked the same questions about the same pictures, the same number of times.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError, did_you_mean
from seke.annotation.live_item import renumber_draws
from seke.benchmarking.open_requests import OpenRequest, RequestLoop, entered
from seke.benchmarking.prompt_comparison import PromptReport, compare_prompts
from seke.benchmarking.variant_answers import ORDER, options_of
from seke.datasets.images import picture_of, region_shown, view_of
from seke.datasets.manifest import items_of
from seke.files.atomic import write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.prompts import Context, Questions
from seke.runs.ledger import Ledger, plain_errors
from seke.sampling.forms import in_forms
from seke.sampling.loop import Request
from seke.tables.label_table import labels_from
from seke.tables.record_writer import Writer
from seke.vision.messages import Call, consecutive_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from seke.datasets.manifest import Item
    from seke.tables.label_table import LabelTable
    from seke.vision.messages import Choice, Model, Prompt, Settings

    Record = dict[str, Any]
    Facts = dict[str, Any]

SAMPLES, RAW, REPORT = "samples.jsonl", "answers.jsonl", "comparison.json"
# Column of a trial's labels with each item's group.
GROUP = "trial group"
# Facts that must not change when a variant continues.
SAME = ("prompts of", "settings")


class TrialStoppedError(SekeError):
    """A trial ended before there was anything to compare; the message says why."""


@dataclass(repr=False)
class PromptTrial:
    """Variants that are ready to be asked.

    variants: name -> its base. draws: answers to each question about each item. progress: is called with how
    many requests were done and answers came since the last call, and what was spent in all, in USD.
    """

    folder: Path
    items: tuple[Item, ...]
    variants: Mapping[str, Knowledge]
    settings: Settings
    questions: Sequence[str]
    draws: int = 1
    max_cost: float | None = None
    concurrency: int = 16
    problems: Callable[[str], None] = print
    progress: Callable[[int, int, float], None] = lambda *_: None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        names = ", ".join(self.variants)
        return f"<PromptTrial of {names}: {len(self.items):,} items in {self.folder}; run() asks or goes on>"

    def __post_init__(self) -> None:
        self.prompts = {name: Questions(base) for name, base in self.variants.items()}
        for name, base in self.variants.items():
            for question in self.questions:
                if question not in base.questions:
                    hint = did_you_mean(question, base.questions)
                    raise SekeError(f"{name}: no question is called {question!r}{hint}")
            self.prompts[name].check()

    def requests(self, name: str, item: str) -> list[Request]:
        """Return the requests about an item in a variant."""
        base = self.variants[name]
        reported, view = base.observers[base.policy.ask].instruments, base.usual_view
        requests = []
        for question in (base.questions[question] for question in self.questions):
            variables = [variable for variable in question.variables if variable in reported]
            for about in variables if question.about_one else [None]:
                whole = Request(item, base.policy.ask, question.name, about, view, 0, self.draws)
                requests += in_forms(whole, question.forms, lambda _: 0)
        return requests

    def prompt(self, name: str, request: Request, item: Item) -> Prompt:
        """Return what a request says in a variant: nothing of what is known of the item."""
        base = self.variants[name]
        shown = region_shown(view_of(base, request.view), item.box, _region_of(base, request))
        return self.prompts[name].prompt(request, Context(shown=shown))

    def call(self, name: str, request: Request, item: Item) -> Call:
        """Return a request with its prompt and picture.

        Raises:
            PictureError: the picture cannot be shown.
        """
        base, view = self.variants[name], view_of(self.variants[name], request.view)
        whole = base.questions[request.question].whole
        picture = picture_of(item.path, view, item.box, _region_of(base, request), whole=whole)
        return Call(request, self.prompt(name, request, item), picture)

    def read(self, name: str, call: Call, choice: Choice) -> Record:
        """Return the sample record of an answer, with the order in which its prompt named the states."""
        record = self.prompts[name].read(call.request, choice)
        extra: Record = {"prompt": call.prompt.digest[:16], "picture": call.picture.digest[:16]}
        if call.request.about:
            extra["about"] = call.request.about
        states = set(self.variants[name].variables[self.variants[name].root].states)
        for schema in (call.prompt.schema.get("properties") or {}).values():
            listed = options_of(schema)
            if len(listed) > 1 and states & set(listed):
                extra[ORDER] = [listed[0], listed[-1]]
        return {**record, "extra": {**record.get("extra", {}), **extra}}

    def labels(self) -> LabelTable | None:
        """Return the labels that the items have, None where they have none."""
        base = next(iter(self.variants.values()))
        rows = [{"item": item.name, GROUP: item.group, **item.labels} for item in self.items]
        return labels_from(rows, base, GROUP) if any(item.labels for item in self.items) else None

    def run(
        self,
        model_of: Callable[[str], Model],
        gold: LabelTable | None = None,
        *,
        forget_unanswered: bool = False,
        **options: Any,
    ) -> PromptReport:
        """Ask what has no answer yet, one variant after another, and compare.

        model_of: a variant's name -> whoever answers (`seke.vision.messages.Model`). gold: the labels of the
        items by default. forget_unanswered: whether earlier requests without an answer count as not paid.
        options: as `compare_prompts` takes them.

        Raises:
            engine.SekeError: another trial is in the folder, it cannot be written, or nothing was answered.
            TrialStoppedError: the run ended before all variants have answers about the same item.
        """
        records: dict[str, list[Record]] = {}
        requests: Facts = {}
        stopped, spent = "", 0.0
        for name in self.variants:
            folder = self.folder / name
            with plain_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                remaining = None if self.max_cost is None else max(self.max_cost - spent, 0.0)
                with closing(self._open(name, remaining)) as ledger:
                    if forget_unanswered:
                        self.problems(ledger.forget_unanswered())
                    stopped = stopped or asyncio.run(self._ask_all(model_of(name), name, ledger))
                    records[name] = self._write_files(folder, ledger)
                    requests[name] = self._sent(name, ledger)
                    spent += ledger.committed
        answered = [{record["item"] for record in of_variant} for of_variant in records.values()]
        if stopped and not set.intersection(*answered):
            raise TrialStoppedError(f"{stopped}; nothing can be compared yet, the same command goes on")
        labels = gold if gold is not None else self.labels()
        report = compare_prompts(records, self.variants, labels, **options)
        facts = {**report.facts, "requests": requests, "stopped": stopped}
        with plain_errors(self.folder), Writer(self.folder / RAW) as raw:
            for name in self.variants:
                lines = msgspec.json.Decoder(), (self.folder / name / RAW).read_bytes().splitlines()
                raw.write([{"variant": name, **lines[0].decode(line)} for line in lines[1]])
            write_file(msgspec.json.format(msgspec.json.encode(facts), indent=2), self.folder / REPORT)
        return PromptReport(facts)

    def _open(self, name: str, max_cost: float | None) -> Ledger:
        ledger = Ledger(self.folder / name, lambda call, choice: self.read(name, call, choice), max_cost)
        digests = sorted(
            {
                self.prompt(name, request, self.items[0]).digest
                for request in self.requests(name, self.items[0].name)
            }
        )
        facts = {"prompts of": digests, "settings": asdict(self.settings)}
        begun = ledger.facts()
        differs = [fact for fact in SAME if begun.get(fact, facts[fact]) != facts[fact]]
        if ledger.totals().requests and (differs or "prompts of" not in begun):
            ledger.close()
            what = ", ".join(differs) or "it is no variant"
            raise SekeError(f"{self.folder / name}: another run is there ({what}); name another folder")
        ledger.note(facts)
        return ledger

    async def _ask_all(self, model: Model, name: str, ledger: Ledger) -> str:
        """Ask a variant's open requests; return why it stopped early, or no text."""
        async with entered(model, self.problems) as opened:
            loop = RequestLoop(opened, ledger, self.concurrency, self.stopping, self.problems, self.progress)
            return await loop.ask_all(self._open_requests(name, ledger))

    def _open_requests(self, name: str, ledger: Ledger) -> Iterator[OpenRequest]:
        """Yield a request for each run of draws that an item lacks; items that failed before come last."""
        answered, failed = ledger.records([item.name for item in self.items]), ledger.failed_items()
        for item in sorted(self.items, key=lambda item: item.name in failed):
            drawn: defaultdict[tuple[str, str | None, str], set[int]] = defaultdict(set)
            for record in answered.get(item.name, ()):
                line = record["question"], record.get("extra", {}).get("about"), record["view"]
                drawn[line].add(record["draw"])
            for request in self.requests(name, item.name):
                known = drawn[request.question, request.about, request.view]
                missing = [draw for draw in range(request.samples) if draw not in known]
                if not missing:
                    self.progress(1, 0, ledger.committed)
                for first, samples in consecutive_runs(missing):
                    lacking = Request(*request.line, first, samples)
                    yield OpenRequest(
                        f"{name}, {item.name}, {request.question}",
                        request.observer,
                        request.question,
                        partial(self.call, name, lacking, item),
                        partial(self.read, name),
                        self.variants[name].questions[request.question].sight,
                    )

    def _write_files(self, folder: Path, ledger: Ledger) -> list[Record]:
        """Write a variant's answers as they came and as samples, and return the samples."""
        answered = ledger.records([item.name for item in self.items])
        with Writer(folder / SAMPLES) as writer:
            for records in answered.values():
                writer.write(renumber_draws(records))
        with Writer(folder / RAW) as writer:
            writer.write(list(ledger.raw()))
        return [record for records in answered.values() for record in records]

    def _sent(self, name: str, ledger: Ledger) -> Facts:
        """Return what a variant sent, a request on average."""
        totals, base = ledger.totals(), self.variants[name]
        tokens = ledger.tokens([item.name for item in self.items], base.policy.ask)
        prompt_tokens = sum(request.prompt_tokens for request in tokens)
        requests = self.requests(name, self.items[0].name)
        prompts = [self.prompt(name, request, self.items[0]) for request in requests]
        return {
            "requests": totals.requests,
            "prompt_tokens": prompt_tokens / len(tokens) if tokens else None,
            "answer_tokens": sum(request.answer_tokens for request in tokens) / len(tokens)
            if tokens
            else None,
            "cached": sum(r.cached_tokens for r in tokens) / prompt_tokens if prompt_tokens else None,
            "letters": sum(len(prompt.system) + len(prompt.text) for prompt in prompts) / len(prompts),
            "shared_prefix": totals.reusable,
            "spent": totals.spent,
        }


def _region_of(base: Knowledge, request: Request) -> str:
    """Return the part of the picture that a request enlarges, if any."""
    if not (request.about and base.questions[request.question].enlarge):
        return ""
    return str(base.variables[request.about].about.get("region", ""))


def prompt_trial(
    variants: Sequence[str | Path],
    images: str | Path | Sequence[str | Path],
    folder: str | Path,
    settings: Settings,
    questions: Sequence[str] = (),
    **given: Any,
) -> PromptTrial:
    """Return a trial of variants, each a shipped base by name or an overlay; nothing is asked yet.

    Args:
        variants: the first is what the others are compared with.
        images: pictures, folders, patterns and manifests; labels are gold, groups are resampled as a whole.
        folder: of the trial; one in the same folder continues.
        settings: how the model is asked.
        questions: by name; all that are not about one variable by default.
        given: draws, max_cost, concurrency, problems and progress, as `PromptTrial` has them.

    Raises:
        engine.KnowledgeError, engine.SekeError: bad input; variants of the same name, or fewer than two.
    """
    bases: defaultdict[str, list[Knowledge]] = defaultdict(list)
    for variant in variants:
        bases[Path(variant).stem].append(read_knowledge(variant))
    twice = [name for name, of_name in bases.items() if len(of_name) > 1]
    if twice or len(bases) < 2:
        raise SekeError(
            f"{twice[0]}: two variants have this name" if twice else "name two variants or more to compare"
        )
    by_name = {name: of_name[0] for name, of_name in bases.items()}
    base = next(iter(by_name.values()))
    named = list(questions) or [name for name, question in base.questions.items() if not question.about_one]
    image_list = [images] if isinstance(images, str | Path) else images
    items = items_of(image_list, base)
    return PromptTrial(Path(folder), items, by_name, settings, named, **given)
