"""What fusing a lab's instruments gains over each alone and over a vote, on simulated faces.

    python examples/lab/measure.py [--items 2000]

Truth and answers are drawn from the base (`seke.simulate`): OpenFace marks units, a vision model answers
once, two students name the expression. Once the students are of one family, as lab.yaml says, and once they
are not; each time the answers are fused with the family declared and without it. Numbers of a simulation
are as good as the base.
"""

from __future__ import annotations

import argparse
import collections
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import seke

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine import Knowledge

    Record = dict[str, Any]

HERE = Path(__file__).parent
STUDENTS = ("student-1", "student-2")
# Who is asked what.
ASKED = {"openface": "action_units", "gpt-4o": "joint", **dict.fromkeys(STUDENTS, "expression")}


def without_family(base: Knowledge) -> Knowledge:
    """The base with students whose errors are no more alike than those of other coders."""
    observers = {
        name: replace(observer, family="", family_follows=0.0) if name in STUDENTS else observer
        for name, observer in base.observers.items()
    }
    return replace(base, observers=observers)


def simulated(base: Knowledge, items: int, seed: int) -> tuple[dict[str, Record], list[Record]]:
    """Return gold by item, and one answer of each instrument about each."""
    truth, samples = [], []
    questions = sorted(set(ASKED.values()))
    for batch in seke.simulate(base, items, draws=1, observers=list(ASKED), questions=questions, seed=seed):
        truth += batch.truth
        samples += [record for record in batch.samples if ASKED[record["observer"]] == record["question"]]
    return {row["item"]: row for row in truth}, samples


def first(answer: Any) -> str:
    """The expression that an answer names, first of all where it names several."""
    return answer[0] if isinstance(answer, list) else answer


def vote(samples: list[Record]) -> dict[str, str]:
    """Return item -> what most say; in a tie what the vision model says."""
    ballots = collections.defaultdict(list)
    for record in sorted(samples, key=lambda record: record["observer"] != "gpt-4o"):
        if record.get("expression"):
            ballots[record["item"]].append(first(record["expression"]))
    return {item: max(names, key=names.count) for item, names in ballots.items()}


def scores(
    records: Iterable[Record], truth: dict[str, Record], units: list[str]
) -> tuple[float, float, float, float]:
    """Return right, stated less true and log loss of the expression, and the mean F1 of the units."""
    right, stated, loss = [], [], []
    counts = np.zeros((3, len(units)))
    for record in records:
        gold = truth[record["item"]]
        p = record["expression"]
        best = max(p, key=p.get)
        right.append(best == gold["expression"])
        stated.append(p[best])
        loss.append(-np.log(max(p[gold["expression"]], 1e-6)))
        for place, unit in enumerate(units):
            stated_unit, true = record["action_units"][unit] > 0.5, bool(gold[unit])
            counts[:, place] += (stated_unit and true, stated_unit, true)
    f1 = (2 * counts[0] / np.maximum(counts[1] + counts[2], 1)).mean()
    share = float(np.mean(right))
    return share, float(np.mean(stated)) - share, float(np.mean(loss)), float(f1)


def print_line(
    name: str, right: float, gap: float | None = None, loss: float | None = None, f1: float | None = None
) -> None:
    """Print a line of the table."""
    cells = [
        "" if value is None else form.format(value) for value, form in ((gap, "{:+.3f}"), (loss, "{:.2f}"))
    ]
    units = "" if f1 is None else f"{f1:.2f}"
    print(f"{name:32} {right:6.3f} {cells[0]:>12} {cells[1]:>9} {units:>9}")


def main(items: int) -> None:
    """Print the table of both simulations."""
    family = seke.knowledge(HERE / "lab.yaml")
    bases = {"a family": family, "no family": without_family(family)}
    units = [name for name in family.levels["action_units"] if name in family.observers["openface"].labels]
    for world, base in bases.items():
        truth, samples = simulated(base, items, seed=1)
        print(f"\nstudents are {world}: {items:,} faces\n{'':32}  right  stated-true  log loss  units F1")
        for names in (("openface",), ("gpt-4o",), ("student-1",), STUDENTS):
            chosen = [record for record in samples if record["observer"] in names]
            print_line(" and ".join(names), *scores(seke.infer(chosen, base), truth, units))
        voted = vote(samples)
        right = float(np.mean([name == truth[item]["expression"] for item, name in voted.items()]))
        print_line("vote of the model and students", right)
        for declared, declared_base in bases.items():
            fused = scores(seke.infer(samples, declared_base), truth, units)
            print_line(f"all, declared as {declared}", *fused)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2000)
    main(parser.parse_args().items)
