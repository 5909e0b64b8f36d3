"""`seke.report`: makes one page of a run or of posterior records."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Knowledge, SekeError, notebook_frame
from seke.console.decision_words import BASES, UNCALIBRATED
from seke.files.atomic import write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.face import face_data, face_table
from seke.graphics.shapes import clean
from seke.graphics.thumbnails import thumbnails
from seke.reports.basis_section import item_marks
from seke.reports.comparison import Comparison, compare_records
from seke.reports.encoding import column, json_block, json_blocks, pictures, quantize
from seke.reports.gold_comparison import GoldComparison, gold_comparison
from seke.reports.html import report_page
from seke.reports.inputs import ReportInputs, is_run, read_inputs
from seke.reports.item_details import gold_details, item_details
from seke.reports.knowledge_section import knowledge_facts, sensitivities
from seke.reports.observer_section import observer_facts
from seke.reports.overview_section import cost_of_items, cost_unit, overview_facts
from seke.reports.records_table import NO_BASIS, ORIGINS
from seke.reports.sample_contributions import SampleContributions, contributions_of
from seke.runs.failures import failure_lines
from seke.runs.run_folder import SAMPLES
from seke.tables.label_table import LabelTable, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Gold
    from seke.reports.records_table import RecordTable

    Facts = dict[str, Any]
    Base = Knowledge | str | Path | None

# Thumbnails in a page at most, by default; bounds the size of the file.
THUMBNAILS = 1000
# Letters of a reason why requests failed: a server's message, and how a body begins.
MOST_FAILURE = 600
# Codes in the page's columns: a value that is only inferred, and an open value, which has no basis.
INFERRED, NOTHING = 254, 255
# The largest difference of a recomputed probability from its record, which has six digits.
SLACK = 1e-3


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return (
            f"<Report of {self.items:,} items, a page of {len(self.html) >> 10:,} kB; save(path) writes it>"
        )

    def _repr_html_(self) -> str:
        return notebook_frame(
            f"A report of {self.items:,} items", self.html, notes=["save(path) writes it as a file."]
        )


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
    keep_gold_evidence: bool = False,
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
        population: the prior that was inferred with; that of the run, or the base's usual one, by default.
        keep_gold_evidence: whether what is compared with gold may rest on a data set's labels of it.

    Warns:
        UserWarning: where no picture is of any item, and where gold entered as evidence.

    Raises:
        engine.KnowledgeError, engine.SekeError: bad input.
    """
    base = read_knowledge(knowledge)
    paths, image_paths = _path_list(samples), _path_list(images)
    with_pictures = not redact_images and most_thumbnails > 0
    inputs = read_inputs(
        source, base, samples=paths, images=image_paths, population=population, pictures=with_pictures
    )
    item_gold = None if gold is None else _gold_of(inputs, gold)
    other = None if compare is None else _inputs_of_other(compare, compare_knowledge or base)
    content = _Content.of(inputs, item_gold, other, keep_gold_evidence=keep_gold_evidence)
    if content.remark:
        warnings.warn(content.remark, stacklevel=2)
    facts = content.facts()
    if sensitivity and inputs.item_samples is not None:
        sample_paths = [Path(source) / SAMPLES] if is_run(Path(source)) else paths
        facts["knowledge"]["sensitivities"] = sensitivities(sample_paths, inputs.base, inputs.population)
    images_shown = content.thumbnails(most_thumbnails)
    facts["pictures"] = sum(image is not None for image in images_shown)
    if images_shown and not facts["pictures"]:
        facts["missing"].append("the pictures have moved (name their new place with --images)")
    blocks = [json_block("facts", facts), *content.blocks(), *pictures("pictures", images_shown)]
    about = facts["base"]["made_with"] + (f"; population {inputs.population}" if inputs.population else "")
    page = report_page(Path(source).name or str(source), about, blocks)
    return Report(page, facts, len(inputs.table.items))


def _inputs_of_other(path: str | Path, knowledge: Base) -> ReportInputs:
    """Return the inputs of what is compared with; knowledge: its base."""
    return read_inputs(path, read_knowledge(knowledge), pictures=False)


def _gold_of(inputs: ReportInputs, gold: str | Path | LabelTable) -> Gold:
    """Return the gold of the items of the records."""
    labels = gold if isinstance(gold, LabelTable) else read_labels(gold, inputs.base)
    return labels.gold_of(inputs.table.items)


@dataclass(frozen=True)
class _Content:
    """What a page shows: what was read, and what the samples say of it, where there are any.

    gold: of the items, and compared: what is compared with it; comparison: with another run or file of
    records; each None where there is none.
    """

    inputs: ReportInputs
    gold: Gold | None
    contributions: SampleContributions | None
    comparison: Comparison | None
    compared: GoldComparison | None

    @classmethod
    def of(
        cls,
        inputs: ReportInputs,
        gold: Gold | None,
        other: ReportInputs | None,
        *,
        keep_gold_evidence: bool,
    ) -> _Content:
        """Compare with what was read of another source, and see that the samples lead to the records.

        Raises:
            engine.SekeError: they do not; the two sources have no item in common.
        """
        comparison = None if other is None else compare_records(inputs, other)
        contributions = None
        if inputs.item_samples is not None:
            contributions = contributions_of(inputs.session.inference, inputs.table, inputs.item_samples)
            _check(inputs, contributions)
        responses = None if contributions is None else contributions.responses
        compared = None if gold is None else gold_comparison(inputs, gold, responses, keep=keep_gold_evidence)
        return cls(inputs, gold, contributions, comparison, compared)

    @property
    def remark(self) -> str:
        """Return which gold is among the evidence, and what was done about it; no text where none is."""
        return "" if self.compared is None else self.compared.remark

    def facts(self) -> Facts:
        """Return what the page's sections show, as JSON values."""
        inputs, contributions, gold = self.inputs, self.contributions, self.gold
        cost = cost_of_items(inputs.table, inputs.item_samples)
        observed = contributions
        if contributions is not None and self.compared is not None and self.compared.answers is not None:
            observed = replace(contributions, responses=self.compared.answers)
        return {
            "name": clean(inputs.name),
            "items": len(inputs.table.items),
            "missing": list(inputs.missing),
            "run": inputs.summary.get("facts"),
            "stopped": inputs.summary.get("stopped", ""),
            "failures": [
                clean(line, MOST_FAILURE) for line in failure_lines(inputs.summary.get("failures", ()))
            ],
            "base": _base(inputs, contributions),
            "overview": overview_facts(inputs, cost, gold, self.compared),
            "knowledge": knowledge_facts(inputs, contributions, gold),
            "observers": None if observed is None else observer_facts(inputs, observed, gold),
            "comparison": None if self.comparison is None else self.comparison.facts,
            "reasons": _main_reasons(inputs)[0],
        }

    def thumbnails(self, most: int) -> list[Any]:
        """Return a small picture of each item, None where there is none or of more than `most`."""
        items, faces = self.inputs.table.items, self.inputs.pictures
        return list(thumbnails(items, faces, self.inputs.base, most)) if faces else []

    def blocks(self) -> Iterator[str]:
        """Yield the data of the items: columns, then what is shown of each when it is opened."""
        yield from _columns(self.inputs, self.comparison)
        details_of_gold = None if self.gold is None else gold_details(self.inputs.table, self.gold)
        yield from json_blocks("details", item_details(self.inputs, self.contributions, details_of_gold))


def _check(inputs: ReportInputs, contributions: SampleContributions) -> None:
    """Refuse samples whose posteriors differ from the records."""
    difference = np.abs(contributions.posterior.marginals[inputs.base.root] - inputs.table.root).max(1)
    item = int(difference.argmax())
    if difference[item] > SLACK:
        raise SekeError(
            f"{inputs.table.path}: these samples give other posteriors than the records, under population "
            f"{inputs.population} (item {inputs.table.items[item][:80]!r}: P({inputs.base.root}) differs by "
            f"{difference[item]:.2g}); name the samples, the --population and the base (-k) that they were "
            "inferred with"
        )


def _path_list(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _base(inputs: ReportInputs, contributions: SampleContributions | None) -> Facts:
    """Return the facts of the base that the page needs to show an item."""
    base = inputs.base
    policy, variables = base.policy, base.variables
    face = face_data() if any(name in face_table()["units"] for name in inputs.table.binaries) else None
    prior = base.populations[inputs.session.inference.population].p
    return {
        "made_with": f"knowledge {base.name} {base.digest}",
        "population": inputs.population or "not stated",
        "root": base.root,
        "states": list(variables[base.root].states),
        "prior": [round(float(p), 4) for p in (prior if contributions is None else contributions.prior)],
        "levels": {level: list(names) for level, names in base.levels.items()},
        "order": list(inputs.table.levels),
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
            for name in base.intervals
        ],
        "units": [
            {
                "name": name,
                "label": variables[name].label,
                "cut": policy.cuts.get(name, 0.5),
                "region": variables[name].about.get("region", ""),
            }
            for name in inputs.table.binaries
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
        "unit": cost_unit(inputs.item_samples),
        "face": face,
    }


def _main_reasons(inputs: ReportInputs) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return the distinct first reasons, without names, and (N,) the index of each item's, 0 for none."""
    names: dict[str, int] = {"": 0}
    item_reasons = []
    for reasons in inputs.table.reasons:
        name = clean(reasons[0].partition(":")[0], 60) if reasons else ""
        item_reasons.append(names.setdefault(name, len(names)) if len(names) < 250 else 0)
    return list(names), np.array(item_reasons, dtype=np.uint8)


def _basis_codes(table: RecordTable) -> np.ndarray[Any, Any]:
    """Return of each value, (N, L), the index of its basis, INFERRED, or NOTHING where it is open."""
    return np.where(table.inferred, INFERRED, _code_open_values(table.basis)).astype(np.uint8)


def _code_open_values(basis: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(basis == NO_BASIS, NOTHING, basis).astype(np.uint8)


def _names(items: tuple[str, ...]) -> list[str]:
    """Return the items' names as the page shows them, made distinct where they would look alike."""
    taken: set[str] = set()
    shown_names = []
    for number, item in enumerate(items):
        name = clean(item)
        shown_names.append(f"{name} #{number + 1}" if name in taken else name)
        taken.add(shown_names[-1])
    return shown_names


def _columns(inputs: ReportInputs, comparison: Comparison | None) -> Iterator[str]:
    table = inputs.table
    yield json_block("items", _names(table.items))
    yield column("decision", table.decision.astype(np.uint8))
    yield column("reason", _main_reasons(inputs)[1])
    yield column("root", quantize(table.root))
    yield column("binary", quantize(table.binary))
    certified = 0 if table.certified is None else table.certified
    yield column("accepted", (table.accepted + certified * table.accepted).astype(np.uint8))
    yield column("basis", _basis_codes(table))
    yield column("origin", table.origin.astype(np.uint8))
    yield column("item-basis", _code_open_values(table.item_basis))
    yield column("marks", item_marks(table))
    yield column("risk", quantize(table.risk))
    yield column("bits", np.round(table.bits, 3).astype(np.float32))
    if table.intervals:
        moments = np.concatenate(list(table.intervals.values()), axis=1)
        yield column("intervals", np.round(moments, 3).astype(np.float32))
    yield column("correlation", np.round(table.correlation, 3).astype(np.float32))
    yield column("counts", np.minimum(table.counts, 65535).astype(np.uint16))
    cost = cost_of_items(table, inputs.item_samples)
    if cost is not None:
        yield column("cost", np.round(cost, 6).astype(np.float32))
    if comparison is not None:
        yield column("other-decision", comparison.decision.astype(np.uint8))
        yield column("other-label", comparison.label.astype(np.uint8))
        yield column("other-p", quantize(comparison.p))
        yield column("moved", quantize(comparison.moved))
