"""Do labels made here teach? Students trained on five kinds of labels of the same paid answers.

    python examples/downstream/run.py --answers DATA [--seeds 5] [--budgets 150,400,1200] [-o table.json]

Each seed draws a truth (another base than the one that labels are inferred with), persons, faces, answers of
two models (three a face, resampled from real ones in DATA) and pictures. GOLD faces calibrate, and every
student learns them. A budget's further faces are labelled in five ways, each teaches the same net, all are
tested on gold of other persons:

    gold       the truth, which no answers buy
    majority   the plain rule: the commonest of the three expressions, the mean number, units that two name
    accepted   values that the policy accepts; of the rest nothing is learned
    inferred   these, and values that follow from what was accepted, though nobody looked
    soft       the posteriors of all values of all faces

The first row is of the GOLD faces alone, without any further.

COMPARISONS were named before the run. Their intervals are Student's over seeds, which share nothing but the
program.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from answers import Models, read_real
from pictures import picture
from scipy.stats import t as student_t
from students import Net, Targets, scores, taught
from world import another_base, drawn_truth

import seke

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = dict[str, Any]

KINDS = ("gold", "majority", "accepted", "inferred", "soft")
COMPARISONS = (("accepted", "majority"), ("soft", "majority"), ("inferred", "accepted"), ("soft", "accepted"))
GOLD, TEST, FACES_OF_A_PERSON = 100, 600, 20
ANSWERS_A_FACE, LEVEL = 3, 0.95
NUMBERS = ("valence", "arousal")


def one_seed(seed: int, budgets: Sequence[int], data: Path) -> list[Record]:
    """Return the scores of all students of a seed, with how many values each kind of label has."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    base = seke.knowledge()
    units, states = list(base.levels["action_units"]), base.variables[base.root].states
    with tempfile.TemporaryDirectory() as scratch:
        truth_base = another_base(base, Path(scratch), rng)
        rows = drawn_truth(truth_base, GOLD + max(budgets) + TEST, seed)
        usual = {
            state: {unit: truth_base.cells[unit][k].p for unit in units} for k, state in enumerate(states)
        }
        models = Models(read_real(data), units, usual, rng)
        asked = rows[: GOLD + max(budgets)]
        answers = [models.answers(row) for row in asked]
        overlay = Path(scratch) / "calibrated.yaml"
        calibrating = [sample for of_face in answers[:GOLD] for sample in of_face]
        overlay.write_text(seke.calibrate(calibrating, gold=rows[:GOLD], with_checks=False).overlay, "utf-8")
        to_label = [sample for of_face in answers[GOLD:] for sample in of_face]
        records = list(seke.infer(to_label, overlay))
    # Persons that are tested are no others.
    persons = 10_000 * seed + np.arange(len(rows)) // FACES_OF_A_PERSON
    persons[-TEST:] += 1
    faces = zip(rows, persons.tolist(), strict=True)
    shown = np.stack([picture(row, units, person, rng) for row, person in faces])
    truth = hard_targets(rows, states, units)
    learned, test = truth.part(0, GOLD), truth.part(len(rows) - TEST, len(rows))

    def scored(student: Net) -> dict[str, float]:
        return scores(student, shown[-TEST:], test)

    by_kind = {
        "gold": truth.part(GOLD, len(asked)),
        "majority": hard_targets([majority(of_face, units) for of_face in answers[GOLD:]], states, units),
        "accepted": decided_targets(records, states, units, ("accept",)),
        "inferred": decided_targets(records, states, units, ("accept", "inferred")),
        "soft": soft_targets(records, states, units),
    }
    results = [{"seed": seed, "faces": 0, "labels": "gold", **scored(taught(shown[:GOLD], learned, seed))}]
    for budget, kind in product(budgets, KINDS):
        targets = by_kind[kind].part(0, budget)
        student = taught(shown[: GOLD + budget], targets.after(learned), seed)
        agrees = targets.expression.argmax(1) == by_kind["gold"].expression[:budget].argmax(1)
        results.append(
            {
                "seed": seed,
                "faces": budget,
                "labels": kind,
                "values": {name: round(float(known.mean()), 3) for name, known in targets.known.items()},
                "right": round(float(agrees[targets.known["expression"] > 0].mean()), 3),
                **scored(student),
            }
        )
    return results


def majority(samples: Sequence[Record], units: Sequence[str]) -> Record:
    """Return the labels of the plain rule; of three different expressions the first."""
    labels = [sample["expression"] for sample in samples]
    named = [sum(unit in sample["action_units"] for sample in samples) for unit in units]
    return {
        "expression": max(labels, key=labels.count),
        **{name: float(np.mean([sample[name] for sample in samples])) for name in NUMBERS},
        **{unit: 2 * count > len(samples) for unit, count in zip(units, named, strict=True)},
    }


def hard_targets(rows: Sequence[Mapping[str, Any]], states: Sequence[str], units: Sequence[str]) -> Targets:
    """Return the targets of label rows; what a row lacks is not learned."""
    expression = np.array([[float(row.get("expression") == state) for state in states] for row in rows])
    numbers = np.array([[float(row.get(name) or 0.0) for name in NUMBERS] for row in rows])
    of_units = np.array([[float(row.get(unit) or 0.0) for unit in units] for row in rows])
    known = {
        "expression": np.array([float("expression" in row) for row in rows]),
        "numbers": np.array([float(all(name in row for name in NUMBERS)) for row in rows]),
        "units": np.array([[float(unit in row) for unit in units] for row in rows]),
    }
    return Targets(expression, numbers, of_units, known)


def decided_targets(
    records: Sequence[Record], states: Sequence[str], units: Sequence[str], decisions: Sequence[str]
) -> Targets:
    """Return the targets of the values that were decided so."""
    rows = []
    for record in records:
        levels = record["decision"]["levels"]
        kept = {name: of["value"] for name, of in levels.items() if of["decision"] in decisions}
        rows.append(
            {name: value == "true" if value in ("true", "false") else value for name, value in kept.items()}
        )
    return hard_targets(rows, states, units)


def soft_targets(records: Sequence[Record], states: Sequence[str], units: Sequence[str]) -> Targets:
    """Return the posteriors as targets: shares of expressions, means, and probabilities of units."""
    return Targets(
        np.array([[record["expression"][state] for state in states] for record in records]),
        np.array([[record[name]["mean"] for name in NUMBERS] for record in records]),
        np.array([[record["action_units"][unit] for unit in units] for record in records]),
        {
            "expression": np.ones(len(records)),
            "numbers": np.ones(len(records)),
            "units": np.ones((len(records), len(units))),
        },
    )


def table(results: Sequence[Record]) -> str:
    """Return the mean scores by budget and kind of label, and the comparisons."""
    tasks = [name for name in results[0] if ", " in name]
    alone = [result for result in results if not result["faces"]]
    results = [result for result in results if result["faces"]]
    seeds = sorted({result["seed"] for result in results})
    at = {(result["seed"], result["faces"], result["labels"]): result for result in results}
    columns = "  ".join(f"{task:>24}" for task in tasks)
    lines = [f"{'faces':>6} {'answers':>8} {'labels':9} {'known':>6} {'right':>6}  {columns}"]
    budgets = sorted({result["faces"] for result in results})
    means = "  ".join(f"{np.mean([result[task] for result in alone]):24.3f}" for task in tasks)
    lines.append(f"{0:6} {0:8} {'-':9} {'-':>6} {'-':>6}  {means}")
    for faces, kind in product(budgets, KINDS):
        cells = [at[seed, faces, kind] for seed in seeds]
        known = np.mean([cell["values"]["expression"] for cell in cells])
        right = np.mean([cell["right"] for cell in cells])
        means = "  ".join(f"{np.mean([cell[task] for cell in cells]):24.3f}" for task in tasks)
        answers = 0 if kind == "gold" else faces * ANSWERS_A_FACE
        lines.append(f"{faces:6,} {answers:8,} {kind:9} {known:6.2f} {right:6.2f}  {means}")
    most = budgets[-1]
    lines += ["", f"differences at {most:,} faces, with {LEVEL:.0%} intervals over {len(seeds)} seeds"]
    for (first, second), task in product(COMPARISONS, tasks):
        pairs = [(at[seed, most, first][task], at[seed, most, second][task]) for seed in seeds]
        lines.append(f"  {first:9} - {second:9} {task:24} {interval(np.array([a - b for a, b in pairs]))}")
    return "\n".join(lines)


def interval(differences: np.ndarray) -> str:
    """Return a mean with Student's interval."""
    mean, count = differences.mean(), len(differences)
    if count < 2:
        return f"{mean:+.3f}"
    half = student_t.ppf((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count)
    return f"{mean:+.3f}  [{mean - half:+.3f}, {mean + half:+.3f}]"


def main() -> None:
    """Run all seeds, print the table, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=Path, required=True, help="folder with the tables of real answers")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budgets", default="150,400,1200", help="faces that are labelled")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    budgets = sorted(int(budget) for budget in given.budgets.split(","))
    started, results = time.perf_counter(), list[Any]()
    every = range(given.seeds), [budgets] * given.seeds, [given.answers] * given.seeds
    with ProcessPoolExecutor(given.processes) if given.processes > 1 else nullcontext() as pool:
        for of_seed in (pool.map if pool else map)(one_seed, *every):
            results += of_seed
            if given.output is not None:
                given.output.write_text(json.dumps(results, indent=1), "utf-8")
            print(f"seed {of_seed[0]['seed']}: {time.perf_counter() - started:.0f} s", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
