"""Finished runs about made-up faces, and scripted people who answer what is exported of them."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing

from made_run import picture

import seke
from seke.files.atomic import write_file
from seke.inference.session import Session
from seke.runs.ledger import NAME, TABLES
from seke.samples import answers_from


def run_of(folder, samples, base=None):
    """Write the folder of a run whose model gave these samples; every item has the same picture."""
    base = base or seke.knowledge()
    names = list(dict.fromkeys(sample["item"] for sample in samples))
    session = Session.open(base)
    records = [record for part in answers_from(samples, base) for record in session.records(part)]
    facts = {
        "model": "scripted",
        "settings": {"temperature": 1.0},
        "observer": base.policy.ask,
        "population": session.inference.population,
        "strategy": "policy",
        "budget": base.policy.budget,
        "digests": dict(base.digests),
        "knowledge": f"{base.name} {base.digest}",
    }
    folder.mkdir(parents=True)
    path = picture(folder / "faces" / "face.png")
    with closing(sqlite3.connect(folder / NAME)) as db:
        db.executescript(TABLES)
        db.executemany("INSERT INTO facts VALUES (?, ?)", [(k, json.dumps(v)) for k, v in facts.items()])
        db.commit()
    rows = {
        "samples.jsonl": samples,
        "posteriors.jsonl": records,
        "items.jsonl": [{"item": name, "path": str(path)} for name in names],
    }
    for name, lines in rows.items():
        write_file("".join(json.dumps(line) + "\n" for line in lines).encode(), folder / name)
    decisions = [record["decision"]["item"] for record in records]
    summary = {"items": {d: decisions.count(d) for d in dict.fromkeys(decisions)}, "facts": facts}
    summary |= {
        "samples": len(samples),
        "per_item": {"mean": 2.0},
        "promises": [],
        "refused": [],
        "finished": True,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def made_faces(count, seed=0, draws=2, base=None, **options):
    """Return made-up faces: the model's samples, item -> a look of a person, item -> truth."""
    base = base or seke.knowledge()
    (batch,) = seke.simulate(
        base, count, draws=draws, observers=["gpt-4o", "human"], questions=["joint"], seed=seed, **options
    )
    samples = [sample for sample in batch.samples if sample["observer"] == "gpt-4o"]
    looks = {}
    for sample in batch.samples:
        if sample["observer"] == "human" and sample["draw"] == 0:
            values = {name: sample[name] for name in ("expression", "valence", "arousal")}
            looks[sample["item"]] = values | sample["action_units"]
    return samples, looks, {row["item"]: row for row in batch.truth}


def scripted_answers(tasks, looks, annotator, *, anchoring=0.0, error=0.0, seed=0, base=None):
    """Return a person's answers, as the page writes them.

    anchoring: how often a value that is shown is merely repeated. error: how often one is anything instead of
    what a look brings.
    """
    base, chance = base or seke.knowledge(), random.Random(f"{annotator} {seed}")
    for task in tasks:
        values = {}
        for name in task.asks:
            variable = base.variables[name]
            value = looks[task.item][name]
            if chance.random() < error:
                options = {"binary": [True, False], "categorical": list(variable.states)}
                value = chance.choice(options.get(variable.kind, [-1.0, -0.5, 0.0, 0.5, 1.0]))
            values[name] = task.prediction[name] if task.shown and chance.random() < anchoring else value
        yield {
            "task": task.key,
            "item": task.item,
            "annotator": annotator,
            "status": "ok",
            "values": values,
            "shown": task.shown,
            "seconds": 20.0,
        }


def write_answers(path, answers):
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return path
