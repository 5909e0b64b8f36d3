"""Where the time of `seke infer` goes, as multiples of `orjson.loads` over the same lines in the same run.

    pytest tests/benchmarks/test_infer_speed.py -m slow -s

131,190 made-up joint samples of 26,238 items, five draws each, and again of items whose answers agree. Meant
to hold: reading, validating and writing together under 10 times the parsing alone; the look-ahead under
0.3 ms for each item that needs one; the whole under their sum plus twice the engine's own time.
"""

from __future__ import annotations

import random
import time

import numpy as np
import orjson
import pytest

import seke
from engine import decide_items, decide_levels, diagnose
from seke.inference.session import Session
from seke.samples import read_batches
from seke.tables.record_writer import Writer

ITEMS, DRAWS = 26_238, 5

pytestmark = pytest.mark.slow


class Clock:
    """Adds up the time of named calls."""

    def __init__(self):
        self.spent = {}

    def __call__(self, name, call, *arguments, **options):
        start = time.perf_counter()
        returned = call(*arguments, **options)
        self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - start
        return returned


def lines_of(base, noise):
    rng = random.Random(1)
    states, units = base.variables["expression"].states, base.levels["action_units"]
    for item in range(ITEMS):
        state, shown = rng.choice(states), sorted(rng.sample(units, 4), key=units.index)
        mean = rng.uniform(-0.8, 0.8), rng.uniform(-0.3, 0.8)
        for draw in range(DRAWS):
            yield orjson.dumps(
                {
                    "item": f"face-{item:05d}",
                    "observer": "gpt-4o",
                    "question": "joint",
                    "draw": draw,
                    "expression": rng.choice(states) if rng.random() < noise else state,
                    "valence": round(mean[0] + rng.choice((-0.1, 0, 0.1)), 1),
                    "arousal": round(mean[1] + rng.choice((-0.1, 0, 0.1)), 1),
                    "action_units": [unit for unit in shown if rng.random() >= noise],
                }
            )


@pytest.mark.parametrize("noise", [0.2, 0.0])
def test_shares_of_a_run(noise, tmp_path, capsys):
    base = seke.knowledge()
    lines = list(lines_of(base, noise))
    samples = tmp_path / "samples.jsonl"
    samples.write_bytes(b"\n".join(lines) + b"\n")
    clock, asked, records = Clock(), 0, 0
    clock("orjson", lambda: [orjson.loads(line) for line in lines])
    session = clock("compile", Session.open, base)
    batches = clock("read", lambda: list(read_batches([samples], base)))
    with Writer(tmp_path / "posteriors.jsonl") as writer:
        for answers in batches:
            posterior = clock("infer", session.inference.posterior, answers)
            diagnostics = clock("diagnose", diagnose, session.inference, answers, posterior)
            levels = clock("decide", decide_levels, base, answers, posterior, diagnostics.conflict)
            ask = ~np.all([level.accepted for level in levels.values()], axis=0)
            asked += int(ask.sum())
            following = clock("look ahead", session.look_ahead.next, answers, posterior, ask)
            decisions = clock(
                "decide",
                decide_items,
                base,
                answers,
                levels,
                following,
                diagnostics.at_odds,
            )
            batch_records = clock(
                "record", session.layout.records, answers, posterior, decisions, diagnostics
            )
            clock("write", writer.write, batch_records)
            records += len(batch_records)
    assert records == ITEMS
    spent = clock.spent
    unit = spent.pop("orjson")
    files = spent["read"] + spent["record"] + spent["write"]
    with capsys.disabled():
        print(f"\n{len(lines)} samples, noise {noise}; orjson alone {unit:.2f} s")
        for name, seconds in spent.items():
            print(f"  {name:11} {seconds:6.2f} s  {seconds / unit:5.1f} x orjson")
        print(f"  reading, recording and writing: {files / unit:.1f} x orjson")
        print(f"  inference: {ITEMS / spent['infer']:.0f} items/s")
        print(f"  look-ahead: {asked} items, {1000 * spent['look ahead'] / max(asked, 1):.2f} ms an item")
