"""`seke.report`: everything that is known of a run, or of posterior records, as one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Knowledge, SekeError
from seke.console.decision_words import BASES, UNCALIBRATED
from seke.files.atomic import write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.face import face_data, face_table
from seke.graphics.shapes import clean
from seke.graphics.thumbnails import thumbnails
from seke.reports.basis_section import marks_of
from seke.reports.comparison import Compared, compared
from seke.reports.encoding import column, fine, in_blocks, json_block, pictures
from seke.reports.html import page_of
from seke.reports.inputs import Source, source_of
from seke.reports.item_details import details_of, gold_words
from seke.reports.knowledge_section import knowledge_of, sensitivities
from seke.reports.observer_section import observers_of
from seke.reports.overview_section import cost_of_items, overview_of, unit_of
from seke.reports.records_table import NO_BASIS, ORIGINS
from seke.reports.sample_contributions import Told, told_of
from seke.tables.label_table import LabelTable, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Gold
    from seke.reports.records_table import Table

    Facts = dict[str, Any]
    Base = Knowledge | str | Path | None

THUMBNAILS = 1000
# In the page's columns: a value that is only inferred, and what rests on nothing since it is open.
INFERRED, NOTHING = 254, 255
# Records have six digits.
SLACK = 1e-3


@dataclass(frozen=True)
class Report:
    """A page. html: the whole of it. facts: what its sections show, as JSON values; items: how many."""

    html: str
    facts: Facts
    items: int

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all; return where it is.

        Raises:
            OSError: a place that cannot be written.
        """
        write_file(self.html.encode("utf-8"), Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        return f"<p>A report of {self.items:,} items; <code>save</code> it and open the file.</p>"


def report(
    source: str | Path,
    knowledge: Base = None,
    *,
    samples: str | Path | Sequence[str | Path] = (),
    gold: str | Path | LabelTable | None = None,
    compare: str | Path | None = None,
    compare_knowledge: Base = None,
    images: str | Path | Sequence[str | Path] = (),
    redact_images: bool = False,
    most_thumbnails: int = THUMBNAILS,
    sensitivity: bool = False,
    population: str | None = None,
) -> Report:
    """Make a page of all that a run, or a file of posterior records, holds.

    Args:
        source: the folder of a run, or a file of records as `seke infer -o` writes it.
        knowledge: the base that was inferred with; the shipped base by default.
        samples: those behind the records; a run has its own.
        gold: labels, which give true risks, reliability and confusions.
        compare: another run or file of records about the same items.
        compare_knowledge: the base of that one; the same by default.
        images: pictures as `seke annotate` takes them; a run knows where its own were.
        redact_images: leave out all pictures.
        most_thumbnails: of more items the first ones have a picture.
        sensitivity: rank the numbers of the base by what they change; takes half a minute.
        population: the prior that was inferred with; that of the run, or the base's reference, by default.

    Warns:
        UserWarning: where no picture is of any item.

    Raises:
        engine.KnowledgeError, engine.SekeError: bad input.
    """
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    paths, shown = _listed(samples), _listed(images)
    wanted = not redact_images and most_thumbnails > 0
    one = source_of(source, base, samples=paths, images=shown, population=population, pictures=wanted)
    table = one.table
    labels = gold if isinstance(gold, LabelTable) or gold is None else read_labels(gold, one.base)
    known = None if labels is None else labels.gold_of(table.items)
    other = None
    if compare is not None:
        theirs = base if compare_knowledge is None else compare_knowledge
        theirs = theirs if isinstance(theirs, Knowledge) else read_knowledge(theirs)
        other = compared(one, source_of(compare, theirs, pictures=False))
    told = None if one.asked is None else told_of(one.session.inference, table, one.asked)
    if told is not None:
        _check(one, told)
    facts = _facts(one, told, known, other)
    if sensitivity and one.asked is not None:
        where = [Path(source) / "samples.jsonl"] if Path(source).is_dir() else paths
        facts["knowledge"]["sensitivities"] = sensitivities(where, one.base, one.population)
    small = list(thumbnails(table.items, one.pictures, one.base, most_thumbnails)) if one.pictures else []
    facts["pictures"] = sum(one is not None for one in small)
    if small and not facts["pictures"]:
        facts["missing"].append("the pictures are not where they were (--images names their new place)")
    details = details_of(one, told, None if known is None else gold_words(table, known))
    blocks = [json_block("facts", facts), *_columns(one, other), *in_blocks("details", details)]
    blocks += pictures("pictures", small)
    name = Path(source).name or str(source)
    about = facts["base"]["made_with"] + (f"; population {one.population}" if one.population else "")
    return Report(page_of(name, about, blocks), facts, len(table.items))


def _check(one: Source, told: Told) -> None:
    """Refuse samples that do not come to the records."""
    off = np.abs(told.posterior.marginals[one.base.root] - one.table.root).max(1)
    item = int(off.argmax())
    if off[item] > SLACK:
        raise SekeError(
            f"{one.table.path}: these samples do not come to these records under population {one.population} "
            f"(item {one.table.items[item][:80]!r}: P({one.base.root}) differs by {off[item]:.2g}); name the "
            "samples, the --population and the base (-k) that they were inferred with"
        )


def _listed(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _facts(one: Source, told: Told | None, gold: Gold | None, other: Compared | None) -> Facts:
    table = one.table
    return {
        "name": clean(one.name),
        "items": len(table.items),
        "missing": list(one.missing),
        "run": one.summary.get("facts"),
        "stopped": one.summary.get("stopped", ""),
        "base": _base(one, told),
        "overview": overview_of(one, cost_of_items(table, one.asked), gold),
        "knowledge": knowledge_of(one, told, gold),
        "observers": None if told is None else observers_of(one, told, gold),
        "comparison": None if other is None else other.facts,
        "reasons": _main_reasons(one)[0],
    }


def _base(one: Source, told: Told | None) -> Facts:
    """Return what of the base is needed to show an item."""
    base = one.base
    policy, variables = base.policy, base.variables
    face = face_data() if any(name in face_table()["units"] for name in one.table.binaries) else None
    prior = base.populations[one.session.inference.population].p
    return {
        "made_with": f"knowledge {base.name} {base.digest}",
        "population": one.population or "not told",
        "root": base.root,
        "states": list(variables[base.root].states),
        "prior": [round(float(p), 4) for p in (prior if told is None else told.prior)],
        "levels": {level: list(names) for level, names in base.levels.items()},
        "order": list(one.table.levels),
        "required": list(policy.required),
        "limits": dict(policy.limits),
        "mean_limits": sorted(policy.mean_limits),
        "evidence": policy.evidence,
        "labels_final": policy.labels_final,
        "bases": list(BASES),
        "uncalibrated": list(UNCALIBRATED),
        "origins": list(ORIGINS),
        "tolerance": dict(policy.tolerance),
        "conflict": policy.conflict,
        "intervals": [
            {"name": name, "low": variables[name].edges[0], "high": variables[name].edges[-1]}
            for name in base.affect
        ],
        "units": [
            {
                "name": name,
                "label": variables[name].label,
                "cut": policy.cuts.get(name, 0.5),
                "region": variables[name].about.get("region", ""),
            }
            for name in one.table.binaries
        ],
        "regions": [
            {
                "mean": list(m.mean),
                "sd": list(m.sd),
                "r": float(m.correlation[0][1]) if len(m.mean) > 1 else 0.0,
            }
            for m in base.moments
        ],
        "observers": [{"name": name, "label": o.label} for name, o in base.observers.items()],
        "questions": [{"name": name, "label": q.label} for name, q in base.questions.items()],
        "unit": unit_of(one.asked),
        "face": face,
    }


def _main_reasons(one: Source) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return the first reasons there are, without names, and for each item which is its own, 0 for none."""
    names: dict[str, int] = {"": 0}
    own = []
    for reasons in one.table.reasons:
        name = clean(reasons[0].partition(":")[0], 60) if reasons else ""
        own.append(names.setdefault(name, len(names)) if len(names) < 250 else 0)
    return list(names), np.array(own, dtype=np.uint8)


def _grounds(table: Table) -> np.ndarray[Any, Any]:
    """Return of each value, (N, L), the index of its basis, INFERRED, or NOTHING where it is open."""
    return np.where(table.inferred, INFERRED, _or_nothing(table.basis)).astype(np.uint8)


def _or_nothing(basis: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(basis == NO_BASIS, NOTHING, basis).astype(np.uint8)


def _names(items: tuple[str, ...]) -> list[str]:
    """Return the names as they are shown, which are one apiece however alike the items' are."""
    taken: set[str] = set()
    found = []
    for number, item in enumerate(items):
        name = clean(item)
        found.append(f"{name} #{number + 1}" if name in taken else name)
        taken.add(found[-1])
    return found


def _columns(one: Source, other: Compared | None) -> Iterator[str]:
    table = one.table
    yield json_block("items", _names(table.items))
    yield column("decision", table.decision.astype(np.uint8))
    yield column("reason", _main_reasons(one)[1])
    yield column("root", fine(table.root))
    yield column("binary", fine(table.binary))
    certified = 0 if table.certified is None else table.certified
    yield column("accepted", (table.accepted + certified * table.accepted).astype(np.uint8))
    yield column("basis", _grounds(table))
    yield column("origin", table.origin.astype(np.uint8))
    yield column("item-basis", _or_nothing(table.item_basis))
    yield column("marks", marks_of(table))
    yield column("risk", fine(table.risk))
    yield column("bits", np.round(table.bits, 3).astype(np.float32))
    if table.intervals:
        moments = np.concatenate(list(table.intervals.values()), axis=1)
        yield column("intervals", np.round(moments, 3).astype(np.float32))
    yield column("correlation", np.round(table.correlation, 3).astype(np.float32))
    yield column("counts", np.minimum(table.counts, 65535).astype(np.uint16))
    cost = cost_of_items(table, one.asked)
    if cost is not None:
        yield column("cost", np.round(cost, 6).astype(np.float32))
    if other is not None:
        yield column("other-decision", other.decision.astype(np.uint8))
        yield column("other-label", other.label.astype(np.uint8))
        yield column("other-p", fine(other.p))
        yield column("moved", fine(other.moved))
