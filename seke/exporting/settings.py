"""The options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean
from seke.exporting.accepted_labels import Grounds
from seke.exporting.comparison import check_formats
from seke.exporting.formats import FORMATS
from seke.exporting.instruction_texts import TASKS
from seke.exporting.splits import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

USUAL_TASKS = TASKS[:3]


@dataclass(frozen=True)
class ExportSettings:
    """The options of an export; see `export`."""

    formats: tuple[str, ...] = ("messages",)
    tasks: tuple[str, ...] = USUAL_TASKS
    soft: bool = False
    language: str = "en"
    templates: tuple[str, ...] = ()
    group: str = "group"
    split: str = "train:1"
    balance: float | None = None
    seed: int = 0
    copy_images: bool = False
    licence: str = ""
    uncalibrated: bool = False
    inferred: bool = False
    allow_scripted: bool = False
    near_duplicates: str | None = None
    undecided: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ExportSettings:
        """Return the options of a call, which may name one of a kind by itself.

        Raises:
            engine.SekeError: formats, tasks and groups that do not exist.
        """
        several = {
            name: (value,) if isinstance(value, str) else tuple(map(str, value))
            for name, value in given.items()
            if name in ("formats", "tasks", "templates")
        }
        return cls(**{**given, **several})

    @cached_property
    def grounds(self) -> Grounds:
        """Which values may be exported besides calibrated and certified ones."""
        return Grounds(self.uncalibrated, self.inferred, self.undecided)

    def __post_init__(self) -> None:
        """Refuse formats, tasks and groups that do not exist."""
        for option, given, allowed in (
            ("--format", self.formats, FORMATS),
            ("--task", self.tasks, TASKS),
            ("--group", (self.group,), GROUPS),
        ):
            for name in given:
                if name not in allowed:
                    raise SekeError(f"{option}: {name!r} is not known{did_you_mean(name, allowed)}")
            if len(set(given)) < len(given) or not given:
                raise SekeError(f"{option}: {', '.join(given) or 'nothing'}; name each once")
        if self.undecided and TASKS[0] not in self.tasks:
            raise SekeError(f"--undecided: is about --task {TASKS[0]}, which is not among the tasks")
        if self.balance is not None and not self.balance >= 1:
            raise SekeError(f"--balance: {self.balance:g}; allowed is a ratio of at least 1")
        check_formats(self.formats, self.tasks)
