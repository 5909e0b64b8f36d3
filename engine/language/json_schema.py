"""JSON Schema of the knowledge language, for editors: it completes names and catches typing slips.

It is made from the table of fields, and is about one file at a time. A file may hold any part of a base; so
nothing is required, and what only the whole tells (names, sums, formulas, citations) is left to the reader.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.language.field_table import TABLES, VARIABLE_KEYS
from engine.language.fields import LOOSE_NAME, NAME
from engine.language.schema_definitions import with_definitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.language.field_table import FieldSpec
    from engine.model.knowledge import Knowledge

    Json = dict[str, Any]
    Names = Mapping[str, tuple[str, ...]]

VERSION = 1
TEXT: Json = {"type": ["string", "number"]}
# A judgement needs a note beside it that says why.
JUDGED: Json = {
    "if": {"properties": {"source": {"const": "judgement"}}, "required": ["source"]},
    "then": {"required": ["note"]},
}
CITATION: Json = {
    "source": {"type": "string", "description": "An entry of `sources`, or judgement with a note."},
    "note": TEXT | {"description": "Why, or what exactly."},
}
FIXED: Json = {
    "text": TEXT,
    "name": TEXT,
    "flag": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "word": {"type": "string", "pattern": f"^({NAME.pattern})$"},
    "formula": {"type": "string", "examples": ["a & !b", "x > 0", "count(a, b, c) >= 2", "c in [d, e]"]},
}


def _never(key: str, *keys: str) -> Json:
    """Return the schema of a mapping that does not hold a key together with any of `keys`."""
    return {"not": {"anyOf": [{"required": [key, k]} for k in keys]}}


def _without(when: Json, keys: Iterable[str]) -> Json:
    """Return the schema of a mapping that has none of `keys` where it is as `when` says."""
    return {"if": when, "then": {"properties": dict.fromkeys(sorted(keys), False)}}


# What holds of several keys of a table.
CONDITIONS: Json = {
    "LIMIT": {"minProperties": 1},
    "LABELS": {
        "allOf": [
            _never("confusion", "accuracy", "settled"),
            _never("settled", "confusion", "types"),
            _never("types", "repeat", "strength"),
        ]
    },
    "VARIABLE": {
        "allOf": [
            _without(
                {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                {"states", "range", "bins", "also"} - set(keys),
            )
            for kind, keys in VARIABLE_KEYS.items()
        ]
    },
    "OBSERVER_OR_COPY": {
        "allOf": [
            _without(
                {"required": ["copy_of"]}, TABLES["OBSERVER"].fields.keys() - TABLES["COPY"].fields.keys()
            )
        ]
    },
}


def json_schema(base: Knowledge | None = None) -> Json:
    """Return the schema; with a base its names are offered wherever the language takes them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:seke:knowledge:{VERSION}",
        "title": f"seke knowledge, version {VERSION}",
        **with_definitions(_schema(TABLES["LAYER"]._replace(doc=""), _names(base))),
    }


def _names(base: Knowledge | None) -> Names:
    """Return the names that a base has, by what they name; none without a base."""
    variables = base.variables if base else {}
    levels, observers = (tuple(part) for part in ((base.levels, base.observers) if base else ((), ())))
    dependence = base.dependence if base else None
    return {
        "source": (*(base.sources if base else ()), "judgement"),
        "variable": tuple(variables),
        **{
            f"{kind} variable": tuple(name for name, variable in variables.items() if variable.kind == kind)
            for kind in VARIABLE_KEYS
        },
        "state": variables[base.root].states if base else (),
        "level": levels,
        "level or variable": (*levels, *variables),
        "population": tuple(base.populations) if base else (),
        "coupling": tuple(coupling.name for coupling in base.couplings) if base else (),
        "rule": tuple(rule.name for rule in base.rules) if base else (),
        **dict.fromkeys(("observer", "askable observer", "observer with tables of its own"), observers),
        "question": tuple(base.questions) if base else (),
        "kind of observer": tuple(dependence.kinds) if dependence else (),
        "family of observers": tuple(dependence.families) if dependence else (),
    }


def _schema(field: FieldSpec, names: Names) -> Json:
    described = {"description": field.doc} if field.doc else {}
    inner = [_schema(entry, names) for entry in field.inner]
    match field.kind:
        case "number" | "whole":
            schema = _number(field)
        case "choice":
            schema = {"enum": list(field.words)} if len(field.words) > 1 else {"const": field.words[0]}
        case "text" | "name" if field.what:
            # An overlay may bring others than the known ones.
            offered = {"examples": list(names[field.what])} if field.what in names else {}
            schema = {"type": "string"} | offered
        case "list":
            item = field.inner[0]
            items = {"type": "string"} if item.kind in ("text", "name") and item.what else inner[0]
            size = {"minItems": field.size} if field.size else {}
            most = {"maxItems": field.size} if field.size and not field.at_least else {}
            schema = {"type": "array", "items": items} | size | most
        case "named":
            schema = _named(field, inner[0], names)
        case "table":
            entries = {key: _schema(entry, names) for key, entry in field.fields.items()}
            schema = {
                "type": ["object", "null"],
                "properties": entries | CITATION,
                "additionalProperties": False,
                **JUDGED,
                **CONDITIONS.get(field.what, {}),
            }
        case "either":
            schema = {"anyOf": inner}
        case kind:
            schema = FIXED[kind]
    return {**schema, **described}


def _number(field: FieldSpec) -> Json:
    schema: Json = {"type": "integer" if field.kind == "whole" else "number"}
    if field.high == math.inf:
        return schema if field.low == -math.inf else schema | {"exclusiveMinimum": field.low}
    return schema | {"minimum": field.low, "maximum": field.high}


def _named(field: FieldSpec, entry: Json, names: Names) -> Json:
    """Return the schema of a mapping from names to entries; known names are offered."""
    pattern = ".+" if field.what == "value" else (NAME if field.strict else LOOSE_NAME).pattern
    return {
        "type": ["object", "null"],
        "properties": {
            **dict.fromkeys(names.get(field.what, ()), entry),
            "source": {"type": "string"},
            "note": TEXT,
            **{key: _schema(inner, names) for key, inner in field.fields.items()},
        },
        "propertyNames": {"pattern": f"^({pattern})$"},
        "additionalProperties": entry,
        **JUDGED,
    }
