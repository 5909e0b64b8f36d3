"""Runs of parts of a list -> one run: `seke runs merge`.

    folders --read--> facts and items, compared --join_ledgers--> one ledger --RunResults--> one run's files

All is decided anew on the joined answers, so that limits of means hold over all items, and the records are
those of one run with the same answers.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Self

from engine import SekeError
from seke.annotation.annotator import ITEM_BATCH, Annotator
from seke.annotation.begun_facts import complete_facts, differences
from seke.annotation.job import known_labels
from seke.annotation.measured_prices import ESTIMATED, MEASURED, PILOT, with_prices
from seke.annotation.number_scales import OTHER_SCALE
from seke.annotation.observers import AskedObservers
from seke.annotation.people import GIVEN, check_given, read_given
from seke.annotation.results import RunResults
from seke.annotation.run_session import run_session
from seke.annotation.run_shard import SHARD, RunShard, shard_in
from seke.console.plain_text import count, first_names
from seke.datasets.manifest import Item
from seke.files.free_folder import check_free, folder_aside
from seke.files.shipped import knowledge as read_knowledge
from seke.observers.seen import Box
from seke.runs.forgotten import ForgottenItems
from seke.runs.item_list import ITEMS, known_items
from seke.runs.joined_ledger import join_ledgers
from seke.runs.ledger import Ledger, locked, plain_errors, status_of
from seke.runs.run_coroutine import run_coroutine
from seke.runs.run_folder import base_to_name
from seke.vision.fake import RecordedModel
from seke.vision.messages import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine import Knowledge
    from seke.annotation.run_summary import RunSummary
    from seke.runs.item_list import KnownItem
    from seke.runs.joined_ledger import DoubleItem

    Facts = Mapping[str, Any]
    Problems = Callable[[str], None]

# The fact of a run that names the runs of which it was joined.
MERGED = "merged"
# The facts of one run that are those of the joined one, beside SAME.
KEPT = ("model", "addresses", "knowledge", ESTIMATED)
# Names that a message lists.
SHOWN = 3


@dataclass(frozen=True)
class PartialRun:
    """A run that is joined with others: its facts, its items, and what it has forgotten."""

    folder: Path
    facts: Facts
    items: Mapping[str, KnownItem]
    forgotten: ForgottenItems

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a run.

        Raises:
            engine.SekeError: none is there, or one that wrote no results yet.
        """
        facts = status_of(folder)[0]
        if "settings" not in facts or not (folder / ITEMS).is_file():
            raise SekeError(
                f"{folder}: has no {ITEMS}; give the same `seke annotate` command again: it writes the file "
                "and repeats no request"
            )
        return cls(folder, facts, known_items(folder), ForgottenItems.of(folder))

    @property
    def shard(self) -> RunShard | None:
        """The shard that it is; None where it is none."""
        return shard_in(self.facts)

    @property
    def whole(self) -> tuple[int, str]:
        """How many items the list of its shards has, and the digest of their names."""
        return self.facts[SHARD]["items"], self.facts[SHARD]["digest"]


def merge_runs(
    folders: Sequence[str | Path],
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    answers: Any = None,
    partial: bool = False,
    problems: Problems = print,
) -> RunSummary:
    """Join runs, such as the shards of one list, into one run in a new folder, and decide anew.

    The folders stay as they are. Items are those of the whole list, in its order; where the runs are no
    shards, in the order of the folders. `seke annotate` goes on with the new folder as with any other.

    Args:
        folders: of the runs.
        output: the new folder; written whole or not at all.
        knowledge: the base that they were begun with; the shipped one by default.
        answers: the samples that they were given, such as those of people, all of them again.
        partial: whether shards may be missing.
        problems: is called with what is to be known, such as items that several runs have.

    Raises:
        engine.SekeError: runs that do not belong together, with what differs; missing shards; a run that a
            process is at.
    """
    paths, folder = [Path(path) for path in folders], Path(output)
    _check_folders(paths, folder)
    base = read_knowledge(knowledge)
    with ExitStack() as stack:
        for path in paths:
            status_of(path)
            stack.enter_context(locked(path))
        runs = _in_order([PartialRun.read(path) for path in paths])
        _check_alike(runs, base)
        _check_whole(runs, problems, partial=partial)
        aside = folder_aside(folder)
        stack.callback(rmtree, aside, ignore_errors=True)
        with plain_errors(folder):
            doubles = join_ledgers(aside, [run.folder for run in runs])
            _name_doubles(runs, doubles, problems)
            summary = _decide(aside, folder, runs, base, answers, problems)
        if folder.is_dir():
            folder.absolute().rmdir()
        aside.replace(folder.absolute())
    return summary


def _check_folders(folders: Sequence[Path], output: Path) -> None:
    """Refuse folders that are named twice, and a place that is taken."""
    named: set[Path] = set()
    for folder in folders:
        if folder.resolve() in named:
            raise SekeError(f"{folder}: is named twice; name each run once")
        named.add(folder.resolve())
    check_free(output)


def _in_order(runs: list[PartialRun]) -> list[PartialRun]:
    """Return shards by their number, and other runs as they are named."""
    if any(run.shard is None for run in runs):
        return runs
    return sorted(runs, key=lambda run: (run.shard.number, run.shard.of, str(run.folder)))  # type: ignore[union-attr]


def _check_alike(runs: Sequence[PartialRun], base: Knowledge) -> None:
    """Refuse runs that were begun otherwise, so that no answer counts for all."""
    first = runs[0]
    networks = first.facts.get("networks", {})
    begun = complete_facts(first.facts, networks)
    now = f"{base.name} {base.digest}"
    if begun["digests"] != dict(base.digests):
        raise SekeError(
            f"{first.folder}: was made with knowledge {first.facts['knowledge']}, this is {now}; "
            f"{base_to_name(first.folder)}"
        )
    for run in runs:
        where = f"in {first.folder}", f"in {run.folder}"
        differing = differences(begun, complete_facts(run.facts, networks), where)
        if differing:
            raise SekeError(f"{run.folder}: was begun otherwise than {first.folder}: {differing}")
        if run.facts.get(ESTIMATED, {}) != first.facts.get(ESTIMATED, {}):
            raise SekeError(
                f"{run.folder}: asked by other prices of questions than {first.folder}; runs that are joined "
                "are begun with the same prices of tokens"
            )
        if len(runs) > 1 and run.facts.get(MEASURED):
            raise SekeError(
                f"{run.folder}: measured the prices of questions on its own first items, so that its items "
                "were asked by other prices than those of the other runs; runs that are joined are begun "
                "with --shard, or with --declared-prices"
            )


def _check_whole(runs: Sequence[PartialRun], problems: Problems, *, partial: bool) -> None:
    """Refuse shards of several lists, and shards that are missing, unless that is allowed."""
    shards = [run for run in runs if run.shard is not None]
    if not shards:
        return
    others = [run for run in runs if run.shard is None]
    if others:
        raise SekeError(
            f"{others[0].folder}: is no shard, and {shards[0].folder} is shard {shards[0].shard}; join the "
            "shards of one list first, and their whole with other runs then"
        )
    first = shards[0]
    size = first.whole[0]
    for run in shards:
        if run.whole != first.whole:
            raise SekeError(
                f"{run.folder}: is shard {run.shard} of another list of pictures "
                f"({count(run.whole[0], 'item')}) than {first.folder} ({count(size, 'item')}); give both "
                "`seke annotate` commands again with the same pictures: nothing is asked twice"
            )
    present = set[str]().union(*(run.items for run in shards))
    absent = size - len(present) - sum(run.forgotten.items for run in shards)
    if absent <= 0:
        return
    what = f"{absent:,} of {count(size, 'item')} are in none of these runs{_missing_shards(shards)}"
    if not partial:
        raise SekeError(f"{what}; name the other shards, too, or join without them with --partial")
    problems(what)


def _missing_shards(runs: Sequence[PartialRun]) -> str:
    """Return in words which shards are missing; no text where a list was cut in several ways."""
    sizes = {run.shard.of for run in runs if run.shard}
    if len(sizes) > 1:
        return ""
    (size,) = sizes
    numbers = sorted(set(range(1, size + 1)).difference(run.shard.number for run in runs if run.shard))
    return f" (missing: shard {first_names([f'{number}/{size}' for number in numbers], SHOWN)})"


def _joined_items(runs: Sequence[PartialRun]) -> tuple[Item, ...]:
    """Return the items of all runs: those of shards in the order of their list.

    Raises:
        engine.SekeError: two runs have different pictures of one name, or different labels.
    """
    by_name: dict[str, tuple[PartialRun, KnownItem]] = {}
    for run in runs:
        for name, item in run.items.items():
            earlier = by_name.setdefault(name, (run, item))
            if earlier[1] is not item:
                _check_same_item(run, item, *earlier)
    known = [item for _, item in by_name.values()]
    if runs[0].shard is not None:
        known.sort(key=lambda item: item.place or 0)
    return tuple(
        Item(item.item, item.path, item.group, item.box and Box(*item.box), item.labels, item.source)
        for item in known
    )


def _check_same_item(run: PartialRun, item: KnownItem, other_run: PartialRun, other: KnownItem) -> None:
    same_picture = (
        item.picture == other.picture if item.picture and other.picture else item.path == other.path
    )
    beside = [(part.group, part.source, part.box, part.labels) for part in (item, other)]
    if same_picture and beside[0] == beside[1]:
        return
    what = "another picture" if not same_picture else "another box, group, source or other labels"
    raise SekeError(
        f"{run.folder}: item {item.item!r} has {what} than in {other_run.folder}; items of runs that are "
        "joined need names of their own (a manifest with a column `item`)"
    )


def _name_doubles(runs: Sequence[PartialRun], doubles: Sequence[DoubleItem], problems: Problems) -> None:
    """Say which items several runs have, and whose answers count."""
    if not doubles:
        return
    first = doubles[0]
    place = f"{runs[first.left_out].folder} and {runs[first.kept].folder}"
    items = count(len({double.item for double in doubles}), "item is", "items are")
    answers = count(
        sum(double.answers for double in doubles), "answer of the other is", "answers of others are"
    )
    problems(
        f"{items} in several runs, such as {first.item!r} in {place}; the run with most answers about it "
        f"counts. {answers} left out; what they cost stays in the account"
    )


def _decide(
    aside: Path,
    folder: Path,
    runs: Sequence[PartialRun],
    base: Knowledge,
    answers: Any,
    problems: Problems,
) -> RunSummary:
    """Decide about all items on the ledger that lies in `aside`, and write the results beside it."""
    from seke._version import __version__

    items = _joined_items(runs)
    started, first = time.monotonic(), runs[0].facts
    facts = complete_facts(first, {}) | {name: first[name] for name in KEPT if name in first}
    settings = Settings(**facts["settings"])
    asked = AskedObservers.of(base, settings.model, facts["observer"], facts["also"], facts["strategy"])
    final = facts["labels_final"]
    session, rule = run_session(base, asked, facts["population"], facts["budget"], labels_final=final)
    session = with_prices(session, facts.get(ESTIMATED, {}))
    answering = {asked.first, *asked.also, *facts["observed_by"]}
    given = read_given(answers, session.knowledge, items, answering)
    before = sum((Counter(run.facts.get(GIVEN, {})) for run in runs), Counter[str]())
    counts = check_given(folder, before, given)
    model = RecordedModel([])
    annotator = Annotator(
        session, model, rule, *known_labels(session.knowledge, items), given, problems=problems
    )
    with closing(Ledger(aside, annotator.read)) as ledger:
        origins = [
            {
                "run": os.path.relpath(run.folder.resolve(), folder.resolve()),
                "shard": run.shard and str(run.shard),
            }
            for run in runs
        ]
        ledger.note({**facts, "items": len(items), "program": __version__, PILOT: [], MERGED: origins})
        forgotten = ForgottenItems.joined(run.forgotten for run in runs)
        ledger.note((forgotten.as_fact() if forgotten else {}) | ({GIVEN: counts} if counts else {}))
        run_coroutine(_settle_scales(annotator, ledger, runs), annotator.stopping, annotator.problems)
        _look_for_waiting(annotator, items, ledger)
        results = RunResults(aside, items, annotator, ledger, facts, lies=folder)
        return results.write(time.monotonic() - started, "")


async def _settle_scales(annotator: Annotator, ledger: Ledger, runs: Sequence[PartialRun]) -> None:
    """Decide by all answers which numbers are on another scale; see `number_scales`."""
    others = [{(pair[0], pair[1]) for pair in run.facts.get(OTHER_SCALE, [])} for run in runs]
    of_any = set[tuple[str, str]]().union(*others)
    if of_any:
        ledger.note({OTHER_SCALE: sorted(of_any)})
    annotator.scales.resume(ledger)
    for asking in sorted(of_any.difference(set[tuple[str, str]].intersection(*others))):
        observer, question = asking
        await ledger.reread(observer, question, annotator.reread)
    await annotator.scales.settle(ledger, annotator.reread, annotator.problems)


def _look_for_waiting(annotator: Annotator, items: Sequence[Item], ledger: Ledger) -> None:
    """Note which of the items that are not settled wait for people."""
    for start in range(0, len(items) if annotator.people and annotator.rule is None else 0, ITEM_BATCH):
        batch = {item.name: item for item in items[start : start + ITEM_BATCH]}
        settled, by_item = ledger.reasons(list(batch)), ledger.records(list(batch))
        records = {
            name: [*annotator.known_records(item), *by_item.get(name, ())]
            for name, item in batch.items()
            if name not in settled
        }
        names = [name for name in records if records[name]]
        if not names:
            continue
        judged = annotator.session.judge(annotator.answers({name: records[name] for name in names}))
        for name, option in zip(names, judged.decisions.next, strict=True):
            if option is not None and option.observer in annotator.people:
                annotator.waiting[name] = option
