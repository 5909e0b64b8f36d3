"""The parts of a calibration, for those that tell of it and for the one that makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Check, ComponentTrial, Entry, Fit, FitRecord, Guarantee, Knowledge


@dataclass(frozen=True, repr=False)
class CalibrationParts:
    """What a fit of the observers came to; `Calibration` says what each part is."""

    base: Knowledge
    fit: Fit
    entries: tuple[Entry, ...]
    untold: Mapping[str, str]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    overlay: str
    guarantee: Guarantee | None
    record: FitRecord
    facts: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[ComponentTrial, ...] | None = None
