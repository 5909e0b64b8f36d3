"""Folders of runs as `seke annotate` leaves them, made from posterior records without asking anybody."""

from __future__ import annotations

import copy
import functools
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from PIL import Image

import seke
from seke.runs.ledger import NAME, TABLES

EXAMPLES = Path(__file__).parents[1] / "examples" / "faces" / "samples.jsonl"
SENT = 1_780_000_000.0


def made_run(folder, records, items, promises=()):
    """Write a run; items: what items.jsonl has of each record beside its name."""
    folder.mkdir(parents=True)
    base = seke.knowledge()
    facts = {
        "model": "made-up",
        "settings": {"temperature": 1.0},
        "observer": "gpt-4o",
        "population": "uniform",
        "strategy": "policy",
        "budget": 20,
        "digests": dict(base.digests),
        "knowledge": f"{base.name} {base.digest}",
    }
    with closing(sqlite3.connect(folder / NAME)) as db:
        db.executescript(TABLES)
        db.executemany("INSERT INTO facts VALUES (?, ?)", [(k, json.dumps(v)) for k, v in facts.items()])
        db.execute(
            "INSERT INTO requests (number, item, observer, question, about, view, draws, upto, prompt, "
            "picture, state, sent, ended, model, fingerprint) VALUES (1, 'a', 'gpt-4o', 'joint', '', 'face', "
            "'[0]', 1, 'p', 'q', 'answered', ?, ?, 'made-up-2026', 'fp_1')",
            (SENT, SENT + 86_400),
        )
        db.commit()
    lines = [{"item": record["item"], **more} for record, more in zip(records, items, strict=True)]
    for name, rows in (("posteriors.jsonl", records), ("items.jsonl", lines)):
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    summary = {"samples": 5 * len(lines), "per_item": {"mean": 5.0}, "finished": True}
    summary |= {"promises": list(promises), "refused": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@functools.cache
def example_records():
    """Return the records of the example's samples; they are copied by who changes them."""
    return tuple(seke.infer(EXAMPLES))


def made_records(count, seed=0):
    """Posterior records of the shipped base, with names of their own and decisions shuffled by chance."""
    rng = random.Random(seed)
    kinds = example_records()
    for number in range(count):
        record = copy.copy(rng.choice(kinds))
        levels = {
            name: {**level, "decision": "accept" if rng.random() < 0.7 else "reject"}
            for name, level in record["decision"]["levels"].items()
        }
        yield {
            **record,
            "item": f"face-{number:06d}",
            "decision": {**record["decision"], "levels": levels},
        }


def picture(path, shade=90):
    """Write a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), (shade % 256, shade // 256 % 256, 128)).save(path)
    return path
