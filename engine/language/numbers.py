"""Numbers and records as the language writes them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import yaml

# Decimals of what is written and read again: far finer than any gold can tell.
DIGITS = 9


def rounded_down(value: float, digits: int = DIGITS) -> str:
    """Return a number as text, rounded down to so many decimals."""
    return _decimal(value, digits, ROUND_FLOOR)


def rounded_up(value: float, digits: int = DIGITS) -> str:
    """Return a number as text, rounded up to so many decimals."""
    return _decimal(value, digits, ROUND_CEILING)


def _decimal(value: float, digits: int, rounding: str) -> str:
    """Return a number as the language writes it, without an exponent."""
    text = f"{Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding=rounding):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class PlainNumber(str):
    """A number that is written as it stands."""

    __slots__ = ()


class RecordDumper(yaml.SafeDumper):
    """Writes what is flat on one line."""

    def ignore_aliases(self, _: Any) -> bool:
        """Write everything out."""
        return True


def _number(dumper: yaml.SafeDumper, value: PlainNumber) -> yaml.Node:
    kind = "int" if value.isdigit() else "float"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", value)


def _mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    flat = not any(isinstance(inner, dict | list) for inner in value.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=flat and "source" not in value)


RecordDumper.add_representer(PlainNumber, _number)
RecordDumper.add_representer(dict, _mapping)
