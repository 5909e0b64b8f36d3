"""A run -> a folder of data: `seke export` as a function."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError, did_you_mean
from seke.exporting.accepted_labels import Grounds, Spoken
from seke.exporting.counts import Tally
from seke.exporting.data_card import card_of
from seke.exporting.formats import FORMATS, VERSION, Said, dataset_info, opened, schema_of
from seke.exporting.instruction_templates import TASKS, read_instructions
from seke.exporting.instruction_writer import Speaker
from seke.exporting.licences import Licence, check_copying, read_licences
from seke.exporting.rationale import Reasons
from seke.exporting.splits import GROUPS, Entry, Placed, placed, shares_of
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.record import FACE_LEVELS
from seke.runs.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.exporting.formats import Format
    from seke.exporting.verify import Verified
    from seke.runs.item_list import Known

    Record = dict[str, Any]

SIDE, CARD, INFO = "export.json", "README.md", "dataset_info.json"
USUAL_TASKS = TASKS[:3]
TABLES = {"imagefolder", "parquet"}
MOST_NAMED = 20


@dataclass(frozen=True)
class Settings:
    """How a run is to be exported; see `export`."""

    formats: tuple[str, ...] = ("messages",)
    tasks: tuple[str, ...] = USUAL_TASKS
    soft: bool = False
    language: str = "en"
    templates: tuple[str, ...] = ()
    group: str = "group"
    split: str = "train:1"
    balance: float | None = None
    seed: int = 0
    copy_images: bool = False
    licence: str = ""
    uncalibrated: bool = False
    inferred: bool = False

    @property
    def grounds(self) -> Grounds:
        """What may be told besides what was calibrated or certified."""
        return Grounds(self.uncalibrated, self.inferred)

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        for option, given, allowed in (
            ("--format", self.formats, FORMATS),
            ("--task", self.tasks, TASKS),
            ("--group", (self.group,), GROUPS),
        ):
            for one in given:
                if one not in allowed:
                    raise SekeError(f"{option}: {one!r} is none{did_you_mean(one, allowed)}")
            if len(set(given)) < len(given) or not given:
                raise SekeError(f"{option}: {', '.join(given) or 'nothing'}; name each once")
        if self.balance is not None and not self.balance >= 1:
            raise SekeError(f"--balance: {self.balance:g}; allowed is a ratio of at least 1")


@dataclass(frozen=True)
class Exported:
    """What was written. rows: of each format; left_out: items by reason; verified: where it was read back."""

    folder: str
    items: int
    splits: Mapping[str, int]
    rows: Mapping[str, int]
    levels: Mapping[str, int]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    verified: Verified | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def export(
    run: str | Path,
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    sources: str | Path | None = None,
    verify: bool = False,
    **given: Any,
) -> Exported:
    """Write what a run accepted as data to train on, as `seke export` does.

    Args:
        run: the folder of `seke annotate`.
        output: the folder to be made.
        knowledge: the base that the run was made with.
        sources: a table of licences by source; see `seke.exporting.licences`.
        verify: read everything back with the loaders of those who will.
        given: formats, tasks, soft, language, templates, group, split, balance, seed, copy_images, licence,
            uncalibrated and inferred, as `Settings` has them.

    Raises:
        engine.SekeError: bad input; nothing is written.
    """
    for name in ("formats", "tasks", "templates"):
        if name in given:
            given[name] = (given[name],) if isinstance(given[name], str) else tuple(map(str, given[name]))
    settings, folder = Settings(**given), Path(output)
    _check_output(folder)
    if verify:
        from seke.exporting.verify import check_installed

        check_installed(settings.formats)
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    told = Run.read(Path(run))
    _check_base(told, base)
    licences = read_licences(Path(sources)) if sources is not None else {}
    instructions = read_instructions(base, settings.language, settings.templates)
    reasons = Reasons(base, told.facts["population"])
    speaker = Speaker(base, instructions, reasons, soft=settings.soft, seed=settings.seed)
    made = _Export(told, folder, base, settings, licences, speaker).made()
    if not verify:
        return made
    from seke.exporting.verify import verified

    return replace(made, verified=verified(folder))


def _check_output(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise SekeError(f"{folder}: is there already; name another folder, or take it away")
    if not folder.parent.is_dir():
        raise SekeError(f"{folder}: its folder does not exist")


def _check_base(run: Run, base: Knowledge) -> None:
    if set(base.levels) != FACE_LEVELS:
        raise SekeError(
            f"{base.name} has not the levels {', '.join(sorted(FACE_LEVELS))}, which exports are about"
        )
    found = f"{base.name} {base.digest}"
    if run.facts["knowledge"] != found:
        made_with = run.facts["knowledge"]
        raise SekeError(
            f"{run.folder}: was made with knowledge {made_with}, this is {found}; name its own: -k"
        )


class _Export:
    """One export under way."""

    def __init__(
        self,
        run: Run,
        folder: Path,
        base: Knowledge,
        settings: Settings,
        licences: Mapping[str, Licence],
        speaker: Speaker,
    ) -> None:
        self.run, self.folder, self.base, self.settings = run, folder, base, settings
        self.licences, self.speaker = licences, speaker
        self.shares = shares_of(settings.split)
        self.left_out: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()
        self.tally = Tally()
        self._above: dict[str, str] = {}

    def made(self) -> Exported:
        """Write everything beside its place, then put it there."""
        entries = self._entries()
        if not entries:
            raise SekeError(self._nothing())
        where = placed([one for one, _ in entries], self.shares, self.settings.seed, self.settings.balance)
        self.left_out["duplicate picture"] = len(where.duplicates)
        self.left_out["balance"] = len(where.unbalanced)
        if self.settings.copy_images:
            met = (self.run.items[item].source or "" for item in where.split)
            check_copying(met, self.licences, self.settings.licence)
        numbers = self._numbers(entries, where)
        temporary = self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}.part")
        try:
            temporary.mkdir()
            made = self._written(temporary, where, numbers)
            temporary.replace(self.folder)
        except OSError as error:
            raise SekeError(f"{self.folder}: cannot be written ({error.strerror or error})") from None
        finally:
            with suppress(OSError):
                if temporary.exists():
                    shutil.rmtree(temporary)
        return made

    def _nothing(self) -> str:
        """Return why there is nothing to export."""
        told = f"{self.run.folder}: nothing is accepted that {', '.join(self.settings.tasks)} could tell"
        uncalibrated = sum(count for reason, count in self.withheld.items() if reason != "inferred")
        if uncalibrated:
            told += (
                f"; {uncalibrated:,} values are accepted on numbers that were not calibrated for them: "
                "calibrate with gold (seke calibrate), or export them so with --uncalibrated"
            )
        return told

    # Which items --------------------------------------------------------------------------------------

    def _entries(self) -> list[tuple[Entry, tuple[str, ...]]]:
        """Return the items that have something to say, and the numbers that each has."""
        found: list[tuple[Entry, tuple[str, ...]]] = []
        faults: list[str] = []
        tables = TABLES.intersection(self.settings.formats)
        for record in self.run.records():
            spoken = Spoken.of(record, self.base, self.settings.grounds)
            for level in record["decision"]["levels"].values():
                if reason := self.settings.grounds.withheld(level):
                    self.withheld[reason] += 1
            if not any(self.speaker.can(task, spoken) for task in self.settings.tasks) and not (
                tables and spoken.levels
            ):
                self.left_out["nothing accepted"] += 1
                continue
            known = self.run.items[spoken.item]
            try:
                found.append((self._entry(spoken, known), tuple(spoken.numbers)))
            except SekeError as fault:
                faults.append(str(fault))
        if faults:
            more = [f"... and {len(faults) - MOST_NAMED:,} more"] if len(faults) > MOST_NAMED else []
            raise SekeError("\n".join([*faults[:MOST_NAMED], *more]))
        return found

    def _entry(self, spoken: Spoken, known: Known) -> Entry:
        try:
            (known.path + known.item).encode()
        except UnicodeEncodeError:
            raise SekeError(f"{known.path!r}: is no UTF-8 name; rename the file") from None
        if not os.path.isfile(known.path):
            path = known.path if known.path.isprintable() else repr(known.path)
            raise SekeError(
                f"{path}: no such file; where pictures have moved, give `seke annotate` their new "
                "place once more: nothing is asked again"
            )
        file = _digest(known.path) if known.box is not None or known.picture is None else known.path
        group = {"group": known.group, "source": known.source, "item": None}[self.settings.group]
        values = (spoken.expression is not None) + len(spoken.numbers) + len(spoken.units)
        shown = known.picture or file
        return Entry(spoken.item, spoken.expression, group, shown, file, known.box, values)

    def _numbers(self, entries: Sequence[tuple[Entry, tuple[str, ...]]], where: Placed) -> tuple[str, ...]:
        """Return the numbers that some item of every split has."""
        met: dict[str, set[str]] = {name: set() for name in self.base.affect}
        for one, numbers in entries:
            if one.item in where.split:
                for name in numbers:
                    met[name].add(where.split[one.item])
        return tuple(name for name, splits in met.items() if len(splits) == len(self.shares))

    # Writing ------------------------------------------------------------------------------------------

    def _written(self, folder: Path, where: Placed, numbers: tuple[str, ...]) -> Exported:
        splits = tuple(self.shares)
        tolerance = dict(self.base.policy.tolerance)
        with ExitStack() as stack:
            formats: list[Format] = []
            for name in self.settings.formats:
                formats.append(opened(name, folder, splits, numbers))
                stack.callback(formats[-1].close)
            for said in self._said(folder, where):
                for one in formats:
                    one.write(said)
                self.tally.add(said, tolerance)
        rows = {one.name: one.rows for one in formats}
        warnings = tuple(self._warnings(where, numbers))
        facts = self._facts(rows, where)
        (folder / SIDE).write_bytes(_json({**facts, "files": _files(folder)}))
        if "messages" in self.settings.formats:
            (folder / INFO).write_bytes(_json(dataset_info(splits)))
        (folder / CARD).write_bytes(card_of(facts, self.run, self.base, self.tally, self.licences).encode())
        levels = {name: self.tally.values[name] for name in self.base.levels}
        left_out = {name: count for name, count in self.left_out.items() if count}
        splits_told = {name: self.tally.splits[name] for name in splits}
        counts = self.tally.items, splits_told, rows, levels, left_out
        return Exported(str(self.folder), *counts, warnings, facts=facts)

    def _said(self, folder: Path, where: Placed) -> Iterator[Said]:
        """Yield what is said of each item, in the order of the run."""
        speaker, soft = self.speaker, self.settings.soft
        tasks = () if TABLES.issuperset(self.settings.formats) else self.settings.tasks
        for record in self.run.records():
            split = where.split.get(record["item"])
            if split is None:
                continue
            spoken = Spoken.of(record, self.base, self.settings.grounds)
            known = self.run.items[record["item"]]
            inside = self._inside(folder, known, split)
            rows = [
                (task, speaker.boxed(ask, known.box), told) for task, ask, told in speaker.rows(spoken, tasks)
            ]
            picture = f"images/{split}/{inside}" if self.settings.copy_images else self._relative(known.path)
            yield Said(
                spoken, known, split, picture, inside, rows, speaker.soft_values(spoken) if soft else None
            )

    def _inside(self, folder: Path, known: Known, split: str) -> str:
        """Put a picture, or a link to it, into the export where one is wanted; return its name there."""
        copying = self.settings.copy_images
        if not copying and "imagefolder" not in self.settings.formats:
            return ""
        place = folder / "images" / split
        place.mkdir(parents=True, exist_ok=True)
        ending = os.path.splitext(known.path)[1].lower()
        if copying:
            name = f"{_digest(known.path)[:32]}{ending}"
            if not (place / name).exists():
                shutil.copyfile(known.path, place / name)
            return name
        told = known.item.encode("utf-8", "surrogatepass")
        name = f"{hashlib.blake2b(told, digest_size=16).hexdigest()}{ending}"
        # From images/SPLIT two folders up to where the export is.
        (place / name).symlink_to(os.path.join("..", "..", self._relative(known.path)))
        return name

    def _relative(self, path: str) -> str:
        """Return a path from the folder of the export."""
        above, name = os.path.split(path)
        if above not in self._above:
            place = os.path.join(os.path.realpath(self.folder.parent), self.folder.name)
            self._above[above] = os.path.relpath(above, place)
        return f"{self._above[above]}/{name}"

    def _warnings(self, where: Placed, numbers: tuple[str, ...]) -> Iterator[str]:
        if not self.run.summary["finished"]:
            yield "the run is not finished; what is not settled yet may come to other labels"
        uncalibrated = sum(count for reason, count in self.withheld.items() if reason != "inferred")
        if uncalibrated:
            yield (
                f"{uncalibrated:,} accepted values rest on numbers that were not calibrated for them, and "
                "are left out; --uncalibrated takes them in, and seke calibrate makes them good"
            )
        if where.contradicting:
            told = _some(where.contradicting)
            yield f"{len(where.contradicting):,} pictures recur with another expression: {told}"
        lacking = [name for name in self.base.affect if name not in numbers]
        if lacking and "imagefolder" in self.settings.formats:
            yield f"metadata.jsonl is without {' and '.join(lacking)}, of which some split has no value"
        unsaid = sorted({one for one in self.tally.sources if one not in self.licences})
        if self.licences and unsaid:
            told = ", ".join(one or "pictures without a source" for one in unsaid)
            yield f"--sources says nothing of {told}"

    def _facts(self, rows: Mapping[str, int], where: Placed) -> Record:
        """Return what export.json says."""
        from seke._version import __version__

        settings, words = self.settings, self.speaker.instructions
        return {
            "schema": schema_of("export"),
            "version": VERSION,
            "program": __version__,
            "formats": {name: {"schema": schema_of(name), "rows": count} for name, count in rows.items()},
            "splits": {name: self.tally.splits[name] for name in self.shares},
            "shares": self.shares,
            "tasks": list(settings.tasks),
            "rows_by_task": {name: dict(self.tally.tasks[name]) for name in self.shares},
            "soft": settings.soft,
            "language": words.language,
            "instructions": words.digest,
            "group": settings.group,
            "balance": settings.balance,
            "seed": settings.seed,
            "copied": settings.copy_images,
            "licence": settings.licence,
            "knowledge": self.run.facts["knowledge"],
            "population": self.run.facts["population"],
            "items": self.tally.items,
            "left_out": {name: count for name, count in self.left_out.items() if count},
            "uncalibrated": settings.uncalibrated,
            "inferred": settings.inferred,
            "bases": dict(self.tally.bases.most_common()),
            "withheld": dict(self.withheld.most_common()),
            "contradicting": list(where.contradicting),
        }


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, str]:
    """Return the digests of all files but pictures, by their path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    kept = [path for path in paths if path.suffix in (".jsonl", ".json", ".parquet")]
    return {path.relative_to(folder).as_posix(): _digest(str(path)) for path in kept}


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
