"""The truth of a trial: another base than the one that the labels are inferred with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

import seke

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Knowledge

    Record = dict[str, Any]

# A drawn probability or spread stays off its bounds by these.
EDGE, LEAST_SD = 0.005, 0.1
SOURCE = {"source": "judgement", "note": "drawn at random within n, as the truth of a trial"}


def another_base(base: Knowledge, folder: Path, rng: np.random.Generator) -> Knowledge:
    """Return a base whose cells and moments are drawn within their n, and that lacks half of the rules.

    A cell is drawn from the Beta distribution of n faces around it; a mean from the normal one of n faces;
    a spread from the scaled chi distribution.
    """
    states = base.variables[base.root].states
    cells: dict[str, Any] = {state: dict(SOURCE) for state in states}
    for unit, by_state in base.cells.items():
        for state, cell in zip(states, by_state, strict=True):
            drawn = rng.beta(cell.n * cell.p, cell.n * (1 - cell.p))
            cells[state][unit] = {"p": round(float(np.clip(drawn, EDGE, 1 - EDGE)), 4), "n": cell.n}
    moments = {
        state: {
            "mean": [
                round(float(np.clip(rng.normal(mean, sd / np.sqrt(of.n)), -0.9, 0.9)), 4)
                for mean, sd in zip(of.mean, of.sd, strict=True)
            ],
            "sd": [round(max(LEAST_SD, float(sd * np.sqrt(rng.chisquare(of.n) / of.n))), 4) for sd in of.sd],
            "correlation": of.correlation[0][1],
            "n": of.n,
            **SOURCE,
        }
        for state, of in zip(states, base.moments, strict=True)
    }
    dropped = rng.permutation([rule.name for rule in base.rules])[: len(base.rules) // 2]
    overlay = {
        "extends": "shipped",
        "remove": [f"rules.{name}" for name in sorted(dropped)],
        "activations": {"cells": cells},
        "affect": {"moments": moments},
    }
    path = folder / "truth.yaml"
    path.write_text(yaml.safe_dump(overlay, sort_keys=False), "utf-8")
    return seke.knowledge(path)


def drawn_truth(base: Knowledge, items: int, seed: int) -> list[Record]:
    """Return the label rows of made-up faces."""
    batches = seke.simulate(base, items, draws=1, questions=["expression"], seed=seed)
    return [row for batch in batches for row in batch.truth]
