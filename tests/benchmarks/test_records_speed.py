"""Contract of speed: reading samples and writing posteriors against `orjson.loads` alone.

Run with `pytest -m slow -s tests/benchmarks`. Nothing is asserted about time: the ratios are
printed, and reading + writing is meant to stay under 10 times the parsing alone.
"""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from engine import Knowledge
from engine.knowledge import LabelInstrument, NumberInstrument, Observer, Policy, Question, Variable
from seke.records import Writer
from seke.samples import read_batches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ITEMS = 26_238
DRAWS = 5
STATES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
UNITS = tuple(f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """A base of the shipped one's size."""
    edges = tuple(index / 10 for index in range(-10, 11))
    variables = [Variable("expression", "categorical", STATES, "")]
    variables += [Variable(n, "interval", (), "", edges=edges) for n in ("valence", "arousal")]
    variables += [Variable(unit, "binary", ("false", "true"), "") for unit in UNITS]
    labels = {unit: LabelInstrument(variable=unit, answers=("false", "true")) for unit in UNITS}
    labels["expression"] = LabelInstrument(variable="expression", answers=STATES)
    numbers = {n: NumberInstrument(variable=n) for n in ("valence", "arousal")}
    observer = Observer(name="gpt-4o", askable=True, labels=labels, numbers=numbers)
    asked = ("expression", "valence", "arousal", *UNITS)
    levels = {
        "expression": ("expression",),
        "affect": ("valence", "arousal"),
        "action_units": UNITS,
    }
    return Knowledge(
        name="speed",
        description="",
        sources={},
        variables={variable.name: variable for variable in variables},
        codes={},
        levels=levels,
        root="expression",
        reference="",
        populations={},
        cells={},
        affect=(),
        moments=(),
        couplings=(),
        rules=(),
        observers={"gpt-4o": observer},
        questions={"joint": Question(name="joint", variables=asked)},
        policy=Policy(),
        digest="",
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """131,190 joint answers of 26,238 items."""
    chance = random.Random(1)
    path = tmp_path_factory.mktemp("speed") / "samples.jsonl"
    with path.open("w") as file:
        for item in range(ITEMS):
            for draw in range(DRAWS):
                record = {
                    "item": f"face-{item:06d}",
                    "observer": "gpt-4o",
                    "question": "joint",
                    "draw": draw,
                    "expression": chance.choice(STATES),
                    "valence": round(chance.uniform(-1, 1), 2),
                    "arousal": round(chance.uniform(-1, 1), 2),
                    "action_units": chance.sample(UNITS, chance.randint(2, 6)),
                }
                file.write(json.dumps(record) + "\n")
    return path


def posteriors(count: int) -> list[dict[str, Any]]:
    """Posterior records with every field of the contract."""
    chance = random.Random(2)

    def number() -> float:
        return round(chance.random(), 4)

    def interval() -> dict[str, float]:
        return {key: number() for key in ("mean", "sd", "q05", "q95")}

    def level(value: object) -> dict[str, object]:
        return {"decision": "accept", "value": value, "risk": number()}

    return [
        {
            "item": f"face-{item:06d}",
            "expression": {state: number() for state in STATES},
            "valence": interval(),
            "arousal": interval(),
            "valence_arousal_correlation": number(),
            "quadrant": {name: number() for name in ("q1", "q2", "q3", "q4")},
            "action_units": {unit: number() for unit in UNITS},
            "decision": {
                "item": "accept",
                "levels": {
                    "expression": level("happiness"),
                    "valence": level(number()),
                    "arousal": level(number()),
                    **{unit: level(chance.random() < 0.3) for unit in UNITS},
                },
                "next": None,
                "reasons": [],
            },
            "diagnostics": {
                "samples": DRAWS,
                "refused": 0,
                "unreadable": 0,
                "entropy_bits": number(),
                "epistemic_bits": number(),
                "conflict_bits": number(),
                "log_evidence_nats": -number(),
                "violations": [{"rule": "a_rule", "probability": number()}],
            },
        }
        for item in range(count)
    ]


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """The shortest of some runs, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.slow
def test_reading_and_writing_against_parsing_alone(
    knowledge: Knowledge, samples: Path, tmp_path: Path
) -> None:
    orjson = pytest.importorskip("orjson")
    lines = samples.read_bytes().splitlines()
    records = posteriors(ITEMS)

    def parse() -> None:
        for line in lines:
            orjson.loads(line)

    def read(in_order: bool = False, in_memory: int = 400_000) -> int:
        batches = read_batches([samples], knowledge, in_order=in_order, in_memory=in_memory)
        return sum(int(batch.samples.sum()) for batch in batches)

    def write() -> None:
        with Writer(tmp_path / "out.jsonl") as writer:
            for start in range(0, ITEMS, 2048):
                writer.write(records[start : start + 2048])

    assert read() == len(lines)
    alone = best(parse)
    ratios = {
        "read, gathered in memory": best(read) / alone,
        "read, sorted": best(lambda: read(in_order=True)) / alone,
        "read, spilled": best(lambda: read(in_memory=1000), 1) / alone,
        "write": best(write) / alone,
    }
    print(f"\norjson.loads over {len(lines):,} lines: {alone:.3f} s")
    for name, ratio in ratios.items():
        print(f"{name:28s} {ratio:5.2f} x")
    both = ratios["read, gathered in memory"] + ratios["write"]
    print(f"{'read + write':28s} {both:5.2f} x (contract: at most 10)")
