"""Which kind of faces a set looks like: how well several bases foretell its answers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, Inference, KnowledgeError, SekeError, declared_of
from seke.console.plain_text import count
from seke.console.rich_table import table_lines
from seke.files.networks import network_of
from seke.files.shipped import SHIPPED, shipped_bases
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.sampling.infer import batches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine import Floats, Knowledge
    from seke.files.frames import Samples

    Facts = dict[str, Any]

# Items at most: a difference of .05 nats an item with a sd of 1 is then outside its interval.
MOST_ITEMS = 1_000
# Standard normal quantile of a 95 % interval.
Z = 1.96


@dataclass(frozen=True, repr=False)
class BaseComparison(TextReport):
    """How well several bases foretell the same answers.

    facts: `items` compared, `of` how many, and `bases`, the best first: `base`, `used` (whether it is the one
    in use), `log_evidence` (mean log P(answers) of an item, nats), `gain` (that less the used base's),
    `interval` (95 % of the gain; normal, over items), `better` (share of the items that it foretells better).
    """

    facts: Facts

    def __str__(self) -> str:
        rows = [
            (
                base["base"] + " (used)" * base["used"],
                f"{base['log_evidence']:.3f}",
                "" if base["used"] else f"{base['gain']:+.3f}",
                "" if base["used"] else "{:+.3f} to {:+.3f}".format(*base["interval"]),
                "" if base["used"] else f"{100 * base['better']:.0f} %",
            )
            for base in self.facts["bases"]
        ]
        head = ("base", "log evidence", "less the used one's", "95 %", "items for it")
        items, of = self.facts["items"], self.facts["of"]
        taken = count(items, "item") if items == of else f"{items:,} of {of:,} items, drawn by chance"
        return "\n".join(
            [f"Evidence an item under each base, in nats, over {taken}:", *table_lines(head, rows)]
        )


def compare_bases(
    samples: Samples,
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
) -> BaseComparison:
    """Compare the base in use with those of other kinds of faces, by the evidence of the same answers.

    A shipped base is compared with the other shipped ones. One's own, such as a calibrated overlay, is
    compared with itself under each of the shipped overlays. A gain of 1 nat an item means that the answers
    about an item are e times as likely.

    Args:
        samples: as for `infer`; of more than 1,000 items so many are drawn by chance, always the same ones.
        knowledge: the base in use; the shipped one by default.
        population: the prior to use; the reference of each base by default.

    Raises:
        engine.KnowledgeError, engine.AnswerError: bad knowledge or samples, with their places.
        engine.SekeError: no items, or no other base fits the one in use.
    """
    used = read_knowledge(knowledge)
    others = other_bases(used)
    answers, of = _drawn(batches(samples, used))
    names = {used.name: used, **others}
    log_evidence = {name: _log_evidence(base, answers, population) for name, base in names.items()}
    facts = [_facts(name, logs, log_evidence[used.name], used.name) for name, logs in log_evidence.items()]
    facts.sort(key=lambda base: -base["log_evidence"])
    return BaseComparison({"items": len(answers.items), "of": of, "bases": facts})


def other_bases(used: Knowledge) -> dict[str, Knowledge]:
    """Return name -> base of each other kind of faces: shipped ones, or shipped overlays upon one's own.

    An overlay that does not fit one's own base, for what it names is not there, is left out.

    Raises:
        engine.SekeError: no overlay fits, with the first reason.
    """
    files = shipped_bases()
    shipped = {base.digest: base for base in map(read_knowledge, files.values())}
    if used.digest in shipped:
        return {base.name: base for digest, base in shipped.items() if digest != used.digest}
    del files[SHIPPED]
    others, misfits = {}, {}
    for overlay, file in files.items():
        try:
            others[f"{used.name} as {overlay}"] = declared_of(used).with_overlay(file.read_text("utf-8"))
        except KnowledgeError as error:
            misfits[overlay] = error.faults[0]
    if not others:
        overlay, fault = next(iter(misfits.items()))
        raise SekeError(
            f"no shipped overlay fits {used.name}, so there is nothing to compare it with; "
            f"{overlay}: {fault.path}: {fault.message}"
        )
    return others


def _drawn(parts: Iterable[Answers]) -> tuple[Answers, int]:
    """Return the answers about at most `MOST_ITEMS` items, drawn by chance, and how many items there are.

    Those with the smallest checksums of their names are taken, so that a set is compared on the same items
    again, in whatever order it comes.

    Raises:
        engine.SekeError: no items.
    """
    kept: list[Answers] = []
    ranks, of = np.zeros(0, np.int64), 0
    for answers in parts:
        of += len(answers.items)
        checksums = [zlib.crc32(item.encode("utf-8", "surrogatepass")) for item in answers.items]
        # No item of a larger checksum than the last that counts so far can be among the first in the end.
        last = np.partition(ranks, MOST_ITEMS - 1)[MOST_ITEMS - 1] if len(ranks) >= MOST_ITEMS else np.inf
        chosen = np.asarray(checksums) <= last
        kept.append(answers.only(chosen))
        ranks = np.concatenate([ranks, np.asarray(checksums)[chosen]])
    if not of:
        raise SekeError("no items to compare bases on")
    chosen = np.zeros(len(ranks), bool)
    chosen[np.argsort(ranks, kind="stable")[:MOST_ITEMS]] = True
    return Answers.stacked(kept).only(chosen), of


def _log_evidence(base: Knowledge, answers: Answers, population: str | None) -> Floats:
    """Return log P(answers) of each item under a base, nats, (N,)."""
    inference = Inference(network_of(base), base, population)
    return inference.log_evidence(answers)


def _facts(name: str, logs: Floats, used: Floats, used_name: str) -> Facts:
    """Return what is said of one base; logs, used: (N,) log evidence under it and under the base in use."""
    gains = logs - used
    margin = Z * float(gains.std(ddof=1)) / np.sqrt(len(gains)) if len(gains) > 1 else float("inf")
    gain = float(gains.mean())
    return {
        "base": name,
        "used": name == used_name,
        "log_evidence": float(logs.mean()),
        "gain": gain,
        "interval": [gain - margin, gain + margin],
        "better": float((gains > 0).mean()),
    }
