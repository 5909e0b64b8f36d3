"""JSON Schema of the knowledge language, for editors: it completes names and catches typing slips.

It is about one file at a time, and a file may hold any part of a base; so nothing is required, and what only
the whole can tell (names, sums, formulas, citations) is left to the reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.language.fields import LOOSE_NAME, NAME
from engine.language.read_dependence import LEAST_COUNT, LEAST_SHARE, MOST_COUNT, MOST_FOLLOWS, MOST_SHARE
from engine.language.read_fits import MOST_ITEMS, SETS
from engine.language.read_observers import SMALLEST_CELL, SMALLEST_SD, STRONGEST
from engine.language.read_policy import (
    LARGEST,
    LEAST_CONFLICT,
    LEAST_LIMIT,
    MOST_CONFLICT,
    MOST_LIMIT,
    SMALLEST,
)
from engine.language.read_tables import LEAST, MOST
from engine.language.read_variables import KINDS, LEAST_BINS, MOST_BINS
from engine.model.guarantee import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.knowledge import Knowledge

    Json = dict[str, Any]

VERSION = 1
TEXT: Json = {"type": ["string", "number"]}
FLAG: Json = {"type": "boolean"}
NAMES: Json = {"type": "array", "items": {"type": "string"}}
# A judgement needs a note beside it that says why.
JUDGED: Json = {
    "if": {"properties": {"source": {"const": "judgement"}}, "required": ["source"]},
    "then": {"required": ["note"]},
}
FORMULA: Json = {"type": "string", "examples": ["a & !b", "x > 0", "count(a, b, c) >= 2", "c in [d, e]"]}


def json_schema(base: Knowledge | None = None) -> Json:
    """Return the schema; with a base its names are offered wherever the language takes them."""
    known = _Known(base)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:seke:knowledge:{VERSION}",
        "title": f"seke knowledge, version {VERSION}",
        **_table(
            {
                "name": TEXT,
                "description": TEXT,
                "extends": _with_description(
                    {"type": "string"}, "What this is laid upon: shipped, or a path."
                ),
                "remove": _with_description(NAMES, "Dotted paths to take out of the base."),
                "sources": _named(
                    _table(dict.fromkeys(("cite", "url", "used", "confirmed"), TEXT)), known.sources
                ),
                "variables": _named(_variable(), known.variables, strict=True),
                "codes": _named(_table({"label": TEXT, "description": TEXT, "hides": NAMES})),
                "levels": _named(NAMES, known.levels, strict=True),
                "words": _named(_number(LEAST, MOST)),
                "priors": _priors(known),
                "activations": _activations(known),
                "affect": _affect(known),
                "couplings": _named(_coupling(), known.couplings),
                "rules": _named(_rule(), known.rules),
                "observers": _named(_observer(known), known.observers),
                "questions": _named(_question(), known.questions),
                "views": _named(_view()),
                "dependence": _dependence(known),
                "policy": _policy(known),
                "fits": _fits(known),
                "certificates": _certificates(known),
            }
        ),
    }


class _Known:
    """The names that a base has, by what they name."""

    def __init__(self, base: Knowledge | None) -> None:
        variables = base.variables if base else {}
        self.sources = (*(base.sources if base else ()), "judgement")
        self.variables = tuple(variables)
        self.binary = tuple(name for name, variable in variables.items() if variable.kind == "binary")
        self.categorical = tuple(
            name for name, variable in variables.items() if variable.kind == "categorical"
        )
        self.interval = tuple(name for name, variable in variables.items() if variable.kind == "interval")
        self.states = variables[base.root].states if base else ()
        self.levels = tuple(base.levels) if base else ()
        self.populations = tuple(base.populations) if base else ()
        self.couplings = tuple(coupling.name for coupling in base.couplings) if base else ()
        self.rules = tuple(rule.name for rule in base.rules) if base else ()
        self.observers = tuple(base.observers) if base else ()
        self.questions = tuple(base.questions) if base else ()
        self.kinds = tuple(base.dependence.kinds) if base and base.dependence else ()
        self.families = tuple(base.dependence.families) if base and base.dependence else ()


def _with_description(schema: Json, description: str) -> Json:
    return {**schema, "description": description}


def _number(low: float, high: float, description: str = "") -> Json:
    schema: Json = {"type": "number", "minimum": low, "maximum": high}
    return _with_description(schema, description) if description else schema


def _table(properties: Json) -> Json:
    """Return the schema of a mapping with these keys, beside `source` and `note`."""
    source = _with_description({"type": "string"}, "An entry of `sources`, or judgement with a note.")
    note = _with_description(TEXT, "Why, or what exactly.")
    return {
        "type": ["object", "null"],
        "properties": {**properties, "source": source, "note": note},
        "additionalProperties": False,
        **JUDGED,
    }


def _named(entry: Json, known: Iterable[str] = (), *, strict: bool = False) -> Json:
    """Return the schema of a mapping from names to entries; known names are offered."""
    pattern = (NAME if strict else LOOSE_NAME).pattern
    return {
        "type": ["object", "null"],
        "properties": {**dict.fromkeys(known, entry), "source": {"type": "string"}, "note": TEXT},
        "propertyNames": {"pattern": f"^({pattern})$"},
        "additionalProperties": entry,
        **JUDGED,
    }


def _never(key: str, *keys: str) -> Json:
    """Return the schema of a mapping that does not hold a key together with any of `keys`."""
    return {"not": {"anyOf": [{"required": [key, k]} for k in keys]}}


def _source() -> Json:
    return _table(dict.fromkeys(("cite", "url", "used", "confirmed"), TEXT))


def _variable() -> Json:
    table = _table(
        {
            "kind": {"enum": list(KINDS)},
            "label": TEXT,
            "description": TEXT,
            "about": _named(TEXT),
            "states": _named(TEXT, strict=True),
            "range": _with_description(_pair({"type": "number"}), "The least and the greatest value."),
            "bins": {"type": "integer", "minimum": LEAST_BINS, "maximum": MOST_BINS},
        }
    )
    kind_keys = {key for keys in KINDS.values() for key in keys}
    conditions = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": dict.fromkeys(sorted(kind_keys - set(keys)), False)},
        }
        for kind, keys in KINDS.items()
    ]
    return {**table, "allOf": conditions}


def _pair(item: Json) -> Json:
    return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


def _priors(known: _Known) -> Json:
    share = _named(_number(1e-6, 1), known.states)
    population = _table({"p": {"anyOf": [{"const": "uniform"}, share]}, "add": share})
    return _table(
        {
            "variable": _offered(known.categorical),
            "reference": _offered(known.populations),
            "populations": _named(population, known.populations),
        }
    )


def _offered(names: Iterable[str]) -> Json:
    """Return the schema of a name; an overlay may bring others than the known ones."""
    return {"type": "string", "examples": list(names)}


def _cell() -> Json:
    word = {"type": "string", "pattern": f"^({NAME.pattern})$"}
    p = _with_description(
        {"anyOf": [_number(LEAST, MOST), word]}, "P(active | state): a number or a likelihood word."
    )
    return _table({"p": p, "n": _strength()})


def _strength() -> Json:
    return _number(0.1, STRONGEST, "How firmly that is held: as if seen in so many items.")


def _activations(known: _Known) -> Json:
    cell = _cell()
    row = _named(cell, known.binary)
    row["properties"]["like"] = _with_description(
        _named(_number(0, 1), known.states), "Start as a mixture of these states."
    )
    return _table({"background": cell, "cells": _named(row, known.states)})


def _affect(known: _Known) -> Json:
    moments = _table(
        {
            "mean": {"type": "array", "items": {"type": "number"}},
            "sd": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}},
            "correlation": _number(-0.99, 0.99),
            "n": _strength(),
            "like": _named(_number(0, 1), known.states),
        }
    )
    return _table({"variables": NAMES, "moments": _named(moments, known.states)})


def _coupling() -> Json:
    ratio = _number(0.001, 1000, "Above 1 together, below 1 against each other, all else being equal.")
    return _table(
        {"pair": _pair({"type": "string"}), "odds_ratio": ratio, "n": _strength(), "statement": TEXT}
    )


def _rule() -> Json:
    confidence = _number(0.001, 0.999, "P(then | if) in the compiled network, reference population.")
    return _table(
        {"if": FORMULA, "then": FORMULA, "confidence": confidence, "n": _strength(), "statement": TEXT}
    )


def _observer(known: _Known) -> Json:
    share = _number(SMALLEST_CELL, 1)
    deviation = {"type": "number", "minimum": SMALLEST_SD, "maximum": STRONGEST}
    sd = {
        "sd": _with_description(
            _named(deviation), "Standard deviations of numbers beside it; a fit begins there."
        )
    }
    count = _number(0.1, STRONGEST, "How many answers a row counts for; a fit begins there.")
    counts = {"n": {"anyOf": [count, _named(count)]}}
    scatter = {"repeat": _number(0.01, 0.999), "strength": _number(0.1, STRONGEST), **sd}
    misread = _number(0.001, 1, "Its share of the readings that bring out a wrong answer.")
    kinds = _table({"share": _number(0.001, 1), "misread": misread, **scatter})
    weight = _table({"weight": _number(0.001, 1000), **sd})
    rows = _named(_named(share, known.states, strict=True), known.states)
    pull = _named(_named(_number(-10, 10), known.states, strict=True), known.states)
    pull["additionalProperties"]["properties"] |= sd
    label = _table(
        {
            "confusion": _with_description(rows, "P(one answer | truth): a row for each true state."),
            "settled": _with_description(rows, "P(what it settles on | truth), around which draws scatter."),
            "accuracy": _number(0, 1),
            **scatter,
            **counts,
            "types": _named(kinds),
            "ranking": _table({"bonus": _number(-10, 10), "habit": rows, "pull": pull, **counts, **sd}),
            "distribution": weight,
        }
    )
    label = {
        **label,
        "allOf": [
            _never("confusion", "accuracy", "settled"),
            _never("settled", "confusion", "types"),
            _never("types", "repeat", "strength"),
        ],
    }
    rates = {"sensitivity": _number(0.01, 0.9999), "specificity": _number(0.01, 0.9999), "n": _strength()}
    cells = _named(_table({**rates, **scatter}), known.binary)
    positive = {"type": "number", "exclusiveMinimum": 0}
    gauge = {"gain": _number(0.1, 10), "offset": {"type": "number"}, "slip": _number(0, 0.9)}
    gauge |= {**dict.fromkeys(("perception", "noise", "grid"), positive), **sd}
    halo = _table({"given": _offered(known.categorical), "probability": _number(0, 0.99), **sd})
    brought = _named(_named(_number(0.001, 0.999), known.binary), known.states)
    brought["additionalProperties"]["properties"] |= sd
    observer = _table(
        {
            "label": TEXT,
            "description": TEXT,
            "askable": FLAG,
            "origin": {"enum": ["seen", "label"]},
            "kind": _with_description(_offered(known.kinds), "An entry of dependence.kinds."),
            "follows": _number(
                0, MOST_FOLLOWS, "How often it settles on what all see; its kind's otherwise."
            ),
            "family": _with_description(
                TEXT, "The model that it is a prompt, size or training of; its fellows name it, too."
            ),
            "copy_of": _with_description(
                _offered(known.observers), "The observer that this is another name of."
            ),
            "cost": _number(0, 1e6),
            "exponent": _number(0, 10),
            "carry": _number(0, 1),
            "n": count,
            "spread": _number(SMALLEST_SD, 10, "Standard deviation of the log of what a fit begins with."),
            **sd,
            "halo": _named(halo, known.questions),
            "stereotype": _with_description(brought, "P(true) that its label brings with it under halo."),
            "categorical": _named(label, known.categorical),
            "binary": _table({"cells": cells, **scatter, "distribution": weight}),
            "interval": _named(_table(gauge), known.interval),
        }
    )
    forbidden = sorted(set(observer["properties"]) - {"copy_of", "label", "description", "source", "note"})
    copied = {"if": {"required": ["copy_of"]}, "then": {"properties": dict.fromkeys(forbidden, False)}}
    return {**observer, "allOf": [*observer.get("allOf", ()), copied]}


def _dependence(known: _Known) -> Json:
    share, count = _number(LEAST_SHARE, MOST_SHARE), _number(LEAST_COUNT, MOST_COUNT)
    clarity = _table({"right": share, "seen": share})
    sure = _with_description(count, "For how many items `follows` counts in the draws of a fit.")
    kind = {
        "follows": _number(0, MOST_FOLLOWS),
        "people": _with_description(FLAG, "They are people: an item waits for those that may be asked."),
        "n": sure,
    }
    follows = _number(0, 1, "How often a reading is what its family makes of the item.")
    family = _table({"follows": follows, "n": sure})
    return _table(
        {
            "clear": _with_description(clarity, "Items that look like what they are."),
            "ambiguous": _with_description(clarity, "Items that look like this or that."),
            "kinds": _named(_table(kind), known.kinds),
            "default": _with_description(_offered(known.kinds), "The kind of observers that name none."),
            "family": _with_description(family, "What holds for families without an entry of their own."),
            "families": _named(family, known.families),
            **dict.fromkeys(("n", "look_n", "seen_n"), count),
        }
    )


def _question() -> Json:
    return _table(
        {
            "label": TEXT,
            "reports": NAMES,
            "cost": _number(0, 1e6),
            "further": _with_description(
                _number(0, 1e6), "Price of each further answer of a request; else as the cost."
            ),
            "about": {"const": "one"},
            "enlarge": FLAG,
            "prompt": TEXT,
        }
    )


def _view() -> Json:
    box = {"type": "array", "items": _number(0, 1), "minItems": 4, "maxItems": 4}
    size = {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST}
    return _table({"size": size, "margin": _number(0, 2), "grey": FLAG, "regions": _named(box)})


def _policy(known: _Known) -> Json:
    names = (*known.levels, *known.variables)
    whole = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
    batches = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 1000}, "minItems": 1}
    return _table(
        {
            "required": NAMES,
            "limits": _named(_limit(), names),
            "worst": _number(
                0.0001, 0.9999, "No single risk above it is accepted under a limit of the mean."
            ),
            "confidence": _number(0.5, 0.999, "With which a threshold keeps its limit in an uncertain fit."),
            "evidence": _number(1, 1000, "Least likelihood ratio for an accepted binary value."),
            "calibrated_from": {**whole, "description": "Items with gold that make a fit a calibration."},
            "labels": {"enum": ["look", "final"]},
            "cuts": _named(_number(0.01, 0.99), names),
            "tolerance": _named(_number(1e-6, 1e6), names),
            "worth": _named(_number(0, 1e9), names),
            "budget": whole,
            "batches": batches,
            "conflict": _number(LEAST_CONFLICT, MOST_CONFLICT),
            "ask": _offered(known.observers),
            "others": NAMES,
            "views": {"type": "array", "items": TEXT},
            "first": _table({"question": _offered(known.questions), "samples": whole}),
        }
    )


def _limit() -> Json:
    risk = _number(LEAST_LIMIT, MOST_LIMIT)
    table = _table({"each": risk, "mean": risk})
    return {"anyOf": [risk, {**table, "minProperties": 1}]}


def _fits(known: _Known) -> Json:
    count = {"type": "integer", "minimum": 0, "maximum": MOST_ITEMS}
    reading = _table(
        {
            **dict.fromkeys(("observer", "model", "question", "prompt", "view"), TEXT),
            **dict.fromkeys(("least", "most"), count),
            "gold": _named(_named(count)),
        }
    )
    share = _number(0, 1)
    threshold = _table(
        {"limit": share, "risk": share, "items": count, "accepted": count, "mean": share, "aim": share}
    )
    return _named(
        _table(
            {
                "made": {"type": "string", "format": "date"},
                "population": _offered(known.populations),
                "persons": count,
                "observers": _named(TEXT),
                "readings": {"type": "array", "items": reading},
                **dict.fromkeys(SETS, _named(_named(threshold))),
            }
        )
    )


def _certificates(known: _Known) -> Json:
    share, count = _number(0, 1), {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}
    chance = _number(0.0001, 0.9999)
    test = _table(
        {
            "threshold": _with_description(
                share, "The highest risk accepted; without it the value is not accepted."
            ),
            **dict.fromkeys(("share", "bound", "coverage", "mu", "abstention"), share),
            **dict.fromkeys(("n", "errors", "predicted", "missing", "gold"), count),
        }
    )
    range_ = {"least": count, "most": count}
    reading = _table({**dict.fromkeys(("observer", "question", "view"), TEXT), **range_})
    design = {"adaptive": FLAG, **range_, "readings": {"type": "array", "items": reading}}
    table = _table(
        {
            "alpha": chance,
            "delta": chance,
            "unit": {"enum": ["item", "subject"]},
            "population": _offered(known.populations),
            "items": count,
            "made": {"type": "string", "format": "date"},
            "digests": _table(dict.fromkeys(PARTS, TEXT)),
            "design": _table(design),
            "assumptions": NAMES,
            "values": _named(_named(test), known.variables),
        }
    )
    return _with_description(table, "What `seke calibrate` certified; not to be edited by hand.")
