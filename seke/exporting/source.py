"""What an export is made of: a run of `seke annotate`, or records of `seke infer` with their pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine import Knowledge, SekeError
from seke.exporting.run_answers import RunAnswers
from seke.runs.run_folder import RunFolder, base_to_name

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]


class KnownAnswers(Protocol):
    """The answers about items."""

    @property
    def votes(self) -> Mapping[str, Counter[str]]:
        """Item -> state of the base's root -> people who read it so."""

    def of(self, items: Sequence[str]) -> dict[str, list[Record]]:
        """Return item -> its answers, each with the columns of `run_answers`."""


@dataclass(frozen=True)
class ExportSource:
    """All that an export needs to know of where its labels are from.

    name: what messages call it. items: those whose records can be read. observers: who answered. answers: how
    many there are; scripted: those of them that are made up, None where nobody knows. card: what the card
    says of it (`card.run` of export.json). cautions: what whoever takes its labels should know first.
    left_out: records by the reason why they are no items. folder: of a run, None of records.
    """

    name: str
    population: str
    items: Mapping[str, KnownItem]
    observers: Sequence[str]
    answers: int
    scripted: int | None
    card: Record
    cautions: Sequence[str]
    read_answers: KnownAnswers
    read_records: Callable[[], Iterator[Record]]
    left_out: Mapping[str, int]
    folder: Path | None = None

    @classmethod
    def of_run(cls, path: Path, base: Knowledge) -> ExportSource:
        """Return a run as a source.

        Raises:
            engine.SekeError: no run, one that was not written to its end, or one made with another base.
        """
        run = RunFolder.read(path)
        made_with, base_name = run.facts["knowledge"], f"{base.name} {base.digest}"
        if made_with != base_name:
            hint = base_to_name(path)
            raise SekeError(f"{path}: was made with knowledge {made_with}, this is {base_name}; {hint}")
        return cls(
            str(path),
            run.facts["population"],
            run.items,
            (run.facts["observer"], *run.facts["also"]),
            run.answers,
            run.scripted,
            _card_of(run),
            tuple(run.cautions()),
            RunAnswers(run, base),
            run.records,
            {},
            path,
        )

    def check_answers(self, *, scripted: bool, uncalibrated: bool) -> None:
        """Refuse made-up answers. scripted: whether they are allowed.

        uncalibrated: whether values are that rest on uncalibrated numbers; the message names both options.

        Raises:
            engine.SekeError: there are some.
        """
        if self.scripted and not scripted:
            beside = "" if uncalibrated else " (with --uncalibrated, where no calibration stands behind them)"
            raise SekeError(
                f"{self.name}: {self.cautions[0]}; --allow-scripted exports them all the same{beside}, and "
                "the card says so"
            )


def _card_of(run: RunFolder) -> Record:
    """Return what the card says of a run."""
    named = ("model", "observer", "also", "strategy", "budget", "digests")
    summed = ("samples", "per_item", "finished", "promises", "notes", "refused")
    return {
        "scripted": run.scripted,
        "answers": run.answers,
        "listed": len(run.items),
        "temperature": run.facts["settings"]["temperature"],
        **{name: run.facts[name] for name in named},
        **{name: run.summary.get(name, []) for name in summed},
        "models": [asdict(model) for model in run.models],
        "prompts": {
            question: {
                "answers": sum(answers_by_digest.values()),
                "prompts": len(answers_by_digest),
                "digests": list(answers_by_digest)[:3],
            }
            for question, answers_by_digest in run.prompts.items()
        },
    }
