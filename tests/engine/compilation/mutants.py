"""Made-up overlays of the shipped base: extreme numbers, many rules and couplings, many variables."""

from __future__ import annotations

import itertools
import random

JUDGED = "source: judgement, note: Made up."
ODDS = (0.001, 0.02, 0.5, 1, 3, 60, 1000)
SHARES = (0.001, 0.01, 0.3, 0.6, 0.9, 0.99, 0.999)
STRENGTHS = (0.5, 5, 100, 10_000)


def mutant(seed, base):
    """Return the text of an overlay; equal seeds make equal overlays."""
    chance = random.Random(seed)
    units, states = list(base.levels["action_units"]), list(base.variables[base.root].states)
    made = [f"U{number}" for number in range(chance.choice([0, 0, 0, 2, 6, 20]))]
    parts = [
        "extends: shipped",
        _variables(made),
        _couplings(units + made, {frozenset(c.pair) for c in base.couplings}, chance),
        _rules(units + made, states, chance),
        _cells(units, states, chance),
    ]
    return "\n".join(filter(None, parts)) + "\n"


def _variables(made):
    lines = [f"  {name}: {{kind: binary, label: Unit {name}, {JUDGED}}}" for name in made]
    return "variables:\n" + "\n".join(lines) if lines else ""


def _couplings(units, taken, chance):
    pairs = [pair for pair in itertools.combinations(units, 2) if frozenset(pair) not in taken]
    lines = [
        f"  c{number}: {{pair: [{', '.join(pair)}], odds_ratio: {chance.choice(ODDS)}, "
        f"n: {chance.choice(STRENGTHS)}, {JUDGED}}}"
        for number, pair in enumerate(chance.sample(pairs, chance.choice([0, 0, 1, 4, 12, 40, len(pairs)])))
    ]
    return "couplings:\n" + "\n".join(lines) if lines else ""


def _rules(units, states, chance):
    count = chance.choice([0, 0, 1, 3, 10, 40])
    lines = []
    for number in range(count):
        size = chance.choice([1, 1, 2, 3, 6, 12])
        names = chance.sample(units, size)
        formula = chance.choice([" & ", " | "]).join(names)
        if chance.random() < 0.2:
            formula = f"count({', '.join(names)}) >= {chance.randint(1, size)}"
        then = chance.choice([f"expression == {chance.choice(states)}", chance.choice(units), "valence > 0"])
        lines += [
            f'  r{number}: {{if: "{formula}", then: "{then}", confidence: {chance.choice(SHARES)}, '
            f"n: {chance.choice(STRENGTHS)}, {JUDGED}}}"
        ]
        if chance.random() < 0.3:
            lines.append(lines[-1].replace(f"r{number}:", f"again{number}:"))
    return "rules:\n" + "\n".join(lines) if lines else ""


def _cells(units, states, chance):
    lines = []
    for state in chance.sample(states, chance.choice([0, 1, 4, len(states)])):
        cells = ", ".join(
            f"{unit}: {{p: {chance.choice(SHARES)}, n: {chance.choice(STRENGTHS)}, {JUDGED}}}"
            for unit in chance.sample(units, chance.choice([1, 5, len(units)]))
        )
        lines.append(f"    {state}: {{{cells}}}")
    return "activations:\n  cells:\n" + "\n".join(lines) if lines else ""
