"""`seke knowledge diff`: changes in meaning between two bases, and the decisions that they change."""

from __future__ import annotations

import math
import re
import subprocess
import tarfile
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Change, Knowledge, KnowledgeError, SekeError, changes, declared_of
from seke.console.plain_text import count, near
from seke.console.rich_table import table_lines
from seke.files.shipped import knowledge as read_knowledge
from seke.files.shipped import shipped_bases, shipped_folder, shipped_name
from seke.files.text_report import TextReport
from seke.inference.session import Session
from seke.sampling.infer import batches, on_samples, source_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.files.frames import Samples

    Facts = dict[str, Any]
    Record = dict[str, Any]

# Changes tried alone; of more, whole sections are tried.
MOST_UNITS = 12
# Posteriors in the text.
MOST_SHOWN = 20
# Values of something that was added or removed, in the text.
MOST_VALUES = 3
# Total variation distance from which on a posterior counts as moved.
NOTICEABLE = 0.005
NOT_VARIABLES = ("action_units", "decision", "diagnostics", "quadrant")
WHOLE = ("rules", "couplings", "observers", "questions", "sources", "codes", "levels", "words")


@dataclass(frozen=True, repr=False)
class Diff(TextReport):
    """The differences between two bases. facts: JSON values."""

    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def diff(
    old: Knowledge | str | Path | None,
    new: Knowledge | str | Path | None,
    samples: Samples | None = None,
    *,
    population: str | None = None,
    seed: int = 0,
) -> Diff:
    """Compare two bases; with samples also the decisions and posteriors that they lead to.

    The facts are `changes` and, with samples, `items`, `changed` (decisions that differ), `transitions`,
    `because` (which changes, made alone, bring about how many of these), and `largest` (items by how far
    their posteriors moved: the greatest total variation distance of a variable's distribution).

    Raises:
        engine.SekeError: a base that cannot be read or compiled, or samples that do not fit both bases.
    """
    bases = [read_knowledge(base) for base in (old, new)]
    differences = changes(*bases)
    facts: Facts = {
        "old": {"name": bases[0].name, "digest": bases[0].digest},
        "new": {"name": bases[1].name, "digest": bases[1].digest},
        "changes": [change_facts(change, *bases) for change in differences],
    }
    if samples is not None:
        sources = source_list(samples)
        facts |= _Effects(bases[0], bases[1], sources, population, seed).facts(differences)
    return Diff(facts)


def change_facts(change: Change, old: Knowledge, new: Knowledge) -> Facts:
    """Return a change from one base to another as JSON values."""
    facts: Facts = {"path": change.path, "kind": change.kind, "place": near(change.place)}
    for key, leaf, base in (("old", change.old, old), ("new", change.new, new)):
        if leaf is not None:
            number = base.numbers.get(leaf.path)
            value = number.value if number and change.kind == "number" else leaf.text
            facts[key] = {"value": value, "text": leaf.text, "source": leaf.source, "place": near(leaf.place)}
    if change.leaves:
        facts["values"] = {
            leaf.path.removeprefix(change.path).lstrip("."): leaf.text for leaf in change.leaves
        }
    return facts


class _Effects:
    """Infers the samples under both bases, and under the old one with single changes."""

    def __init__(
        self, old: Knowledge, new: Knowledge, samples: Sequence[Any], population: str | None, seed: int
    ) -> None:
        self.old, self.new = old, new
        self.samples, self.population, self.seed = samples, population, seed
        self.before = self._records(old)
        self.after = self._records(new)

    def facts(self, differences: tuple[Change, ...]) -> Facts:
        """Return the effects of the changes on decisions and posteriors."""
        pairs = [(self.before[item], self.after[item]) for item in self.before]
        changed = [(before, after) for before, after in pairs if _decision(before) != _decision(after)]
        transitions = Counter((_decision(before), _decision(after)) for before, after in changed)
        moved = sorted(
            (_item_move(before, after) for before, after in pairs), key=lambda fact: -fact["distance"]
        )
        return {
            "items": len(pairs),
            "changed": len(changed),
            "transitions": [
                {"from": old_decision, "to": new_decision, "items": number}
                for (old_decision, new_decision), number in transitions.most_common()
            ],
            "levels": _levels_changed(pairs),
            "because": self._because(differences, {before["item"] for before, _ in changed})
            if changed
            else [],
            "largest": [fact for fact in moved if fact["distance"] >= NOTICEABLE],
        }

    def _records(self, base: Knowledge) -> dict[str, Record]:
        session = on_samples(Session.open(base, self.population, self.seed), self.samples)
        parts = batches(self.samples, base)
        return {record["item"]: record for answers in parts for record in session.records(answers)}

    def _because(self, differences: tuple[Change, ...], changed: set[str]) -> list[Facts]:
        """Return for each change, made alone, how many of the changed decisions it causes."""
        units: dict[str, list[str]] = {}
        for change in differences:
            if change.kind not in ("source", "prose"):
                units.setdefault(_unit(change.path), []).append(change.path)
        if len(units) > MOST_UNITS:
            sections: dict[str, list[str]] = {}
            for unit, paths in units.items():
                sections.setdefault(unit.split(".")[0], []).extend(paths)
            units = sections
        reasons = []
        for unit, paths in units.items():
            try:
                alone = declared_of(self.old).with_parts(declared_of(self.new), paths)
                records = self._records(alone)
            except SekeError:
                # Part of the changes need one another: alone they make no base, or none for these samples.
                reasons.append({"change": unit, "alone": None, "of": len(changed)})
                continue
            same = sum(_decision(records[item]) == _decision(self.after[item]) for item in changed)
            reasons.append({"change": unit, "alone": same, "of": len(changed)})
        return sorted(reasons, key=lambda reason: -(reason["alone"] or 0))


def _unit(path: str) -> str:
    """Return the path of the unit that a change belongs to: a cell, a rule, an observer."""
    keys = path.split(".")
    if keys[0] in WHOLE:
        return ".".join(keys[:2])
    return ".".join(keys[:4]) if keys[:2] == ["activations", "cells"] else ".".join(keys[:3])


def _decision(record: Record) -> str:
    return str(record["decision"]["item"])


def _marginals(record: Record) -> dict[str, Any]:
    """Return variable -> P(true), a distribution, or mean and deviation, of a record."""
    if "posteriors" in record:
        return dict(record["posteriors"])
    by_variable = {
        key: value for key, value in record.items() if isinstance(value, dict) and key not in NOT_VARIABLES
    }
    units: dict[str, Any] = record.get("action_units", {})
    return by_variable | units


def _item_move(before: Record, after: Record) -> Facts:
    """Return both decisions about an item, and the variable whose posterior moved most."""
    old_marginals, new_marginals = _marginals(before), _marginals(after)
    moves = [
        (*_marginal_move(old_marginals[name], new_marginals[name]), name)
        for name in old_marginals
        if name in new_marginals
    ]
    distance, state, p, most = max(moves, key=lambda move: move[0], default=(0.0, "", (), ""))
    return {
        "item": before["item"],
        "distance": distance,
        "variable": most,
        "state": state,
        "values": list(p),
        "decision": [_decision(before), _decision(after)],
    }


def _marginal_move(before: Any, after: Any) -> tuple[float, str, tuple[float, ...]]:
    """Return the total variation distance of two marginals, and the state that moved most with its values."""
    if isinstance(before, float):
        return abs(before - after), "", (before, after)
    if "mean" in before:
        # Of two normal distributions with the mean of both sds.
        sd = max((before["sd"] + after["sd"]) / 2, 1e-12)
        return (
            math.erf(abs(before["mean"] - after["mean"]) / (sd * math.sqrt(8))),
            "mean",
            (before["mean"], after["mean"]),
        )
    gaps = {state: abs(before.get(state, 0.0) - after.get(state, 0.0)) for state in {**before, **after}}
    most = max(gaps, key=lambda state: gaps[state])
    return sum(gaps.values()) / 2, most, (before.get(most, 0.0), after.get(most, 0.0))


def _levels_changed(pairs: list[tuple[Record, Record]]) -> dict[str, int]:
    """Return variable -> how many items have another decision about it, or another decided value."""
    changed: Counter[str] = Counter()
    for before, after in pairs:
        levels = after["decision"]["levels"]
        for name, level in before["decision"]["levels"].items():
            then = levels.get(name)
            moved = then is None or level["decision"] != then["decision"]
            if not moved and level["decision"] == "accept" and not isinstance(level["value"], float):
                moved = level["value"] != then["value"]
            changed[name] += moved
    return {name: number for name, number in changed.most_common() if number}


@contextmanager
def at_revision(path: str | Path, revision: str) -> Iterator[tuple[Knowledge, str]]:
    """Read a base as it was at a revision of its git repository; yield it with the folder it was laid in.

    What it extends is taken from the same revision where it is in the repository.

    Raises:
        engine.SekeError: a path outside a repository, or a revision that it does not have.
    """
    if not revision or revision.startswith("-"):
        raise SekeError(f"--rev: {revision!r} is not a revision")
    name = shipped_name(path)
    here = (shipped_bases()[name] if name else Path(path)).resolve()
    top = Path(_git(here, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    names = (
        _git(top, "ls-tree", "-r", "-z", "--name-only", revision).decode(errors="surrogateescape").split("\0")
    )
    wanted = [name for name in names if name.endswith((".yaml", ".yml"))]
    archive = _git(top, "archive", "--format=tar", revision, "--", *wanted)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        then = Path(folder) / here.relative_to(top)
        shipped = shipped_folder().resolve()
        inside = Path(folder) / shipped.relative_to(top) if shipped.is_relative_to(top) else shipped
        try:
            yield read_knowledge(then, shipped=inside), folder
        except KnowledgeError as error:
            raise SekeError(str(error).replace(f"{folder}/", f"{revision}:")) from None


def _git(path: Path, *command: str) -> bytes:
    folder = path if path.is_dir() else path.parent
    try:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, check=True)
    except FileNotFoundError:
        raise SekeError("git is not installed, so there are no revisions to compare with") from None
    except subprocess.CalledProcessError as error:
        stderr = error.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise SekeError(f"{path}: git: {stderr}") from None
    return done.stdout


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    old, new = facts["old"], facts["new"]
    differences = facts["changes"]
    names = [f"{base['name']} {base['digest']}" for base in (old, new)]
    yield f"{' -> '.join(names)}: {count(len(differences), 'change')} in meaning"
    by_section: dict[str, list[Facts]] = {}
    for change in differences:
        by_section.setdefault(re.split(r"[.\[]", change["path"])[0], []).append(change)
    for section, members in by_section.items():
        yield ""
        yield section
        rows = [
            (member["path"].removeprefix(f"{section}."), change_text(member), _where(member))
            for member in members
        ]
        yield from table_lines((), rows)
    if "items" in facts:
        yield ""
        yield from _effect_lines(facts)


def change_text(change: Facts) -> str:
    """Return a change as text."""
    if change["kind"] in ("added", "removed"):
        values = [f"{key} {value}".strip() for key, value in change["values"].items()]
        shown = ", ".join(_cut(value, 30) for value in values[:MOST_VALUES])
        more = f", and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        return f"{change['kind']}: {shown}{more}"
    old, new = change["old"], change["new"]
    if change["kind"] == "source":
        if old["source"] == new["source"]:
            return f"the same value, {new['source']} with another note"
        return f"the same value, source {old['source']} -> {new['source']}"
    if change["kind"] == "prose":
        return "text changed"
    return f"{_cut(old['text'], 40)} -> {_cut(new['text'], 40)}"


def _where(change: Facts) -> str:
    source = change.get("new", {}).get("source", "")
    return f"{source}, {change['place']}" if source else str(change["place"])


def _cut(text: str, most: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 3] + "..."


def _effect_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    changed, items = facts["changed"], facts["items"]
    moves = [f"{move['items']} from {move['from']} to {move['to']}" for move in facts["transitions"]]
    yield f"{changed} of {count(items, 'decision')} change" + (f"; {', '.join(moves)}" if moves else "")
    because = [reason for reason in facts["because"] if reason["alone"]]
    if because and because[0]["alone"] == changed and len(facts["because"]) > 0:
        yield f"  all because of {because[0]['change']}"
    else:
        for reason in because:
            yield f"  {reason['alone']} because of {reason['change']} alone"
        if sum(reason["alone"] for reason in because) > changed:
            yield f"  (that is more than {changed}: some change by any one of these alone)"
        if changed and not because:
            yield "  no single change causes any of them alone"
    blocked = [reason["change"] for reason in facts["because"] if reason["alone"] is None]
    if blocked:
        yield f"  not tried alone, since they need other changes: {', '.join(blocked)}"
    if facts["levels"]:
        levels = ", ".join(f"{name} {number}" for name, number in facts["levels"].items())
        yield f"Decisions that differ, by level: {levels}"
    largest = facts["largest"]
    if not largest:
        yield f"No posterior changes by {NOTICEABLE:g} or more."
        return
    yield f"{count(len(largest), 'posterior')} change by {NOTICEABLE:g} or more; the largest changes"
    rows = [
        (
            posterior["item"],
            f"{posterior['variable']} {posterior['state']}".rstrip(),
            "{:.3f} -> {:.3f}".format(*posterior["values"]),
            posterior["decision"][0]
            if len(set(posterior["decision"])) == 1
            else " -> ".join(posterior["decision"]),
        )
        for posterior in largest[:MOST_SHOWN]
    ]
    yield from table_lines((), rows)
