"""Several built-in observers at once: a picture -> samples of each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.observers import expression_network, landmarks
from seke.observers.networks import (
    ObserverMissingError,
    built_in_observers,
    check_files,
    declaration_of,
    network_of,
    runtime_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine import Knowledge
    from seke.observers.landmarks import FaceLandmarker
    from seke.observers.seen import Face, PictureObserver, Report, ShownPart

    Record = dict[str, Any]


@dataclass(frozen=True)
class ObserverPanel:
    """Observers that look at the same face of a picture.

    observers: those whose answers are wanted. finder: the one that finds the face.
    """

    base: Knowledge
    finder: FaceLandmarker
    observers: tuple[PictureObserver, ...]
    # Networks take one picture at a time.
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(
        cls,
        base: Knowledge,
        names: Sequence[str],
        files: Sequence[Path] = (),
        crops: int = expression_network.CROPS,
    ) -> ObserverPanel:
        """Load the networks of these observers.

        files: networks in place of those of packages, by their ending. crops: draws of the network of
        expressions.

        Raises:
            ObserverMissingError: a package or a file is not there; the message says how to get it.
            engine.SekeError: no such observer; the base lacks it, its question or what it reports.
        """
        check_files(files)
        for name in names:
            _check_base(base, name)
        path = network_of(landmarks.NAME, files)
        # All that can be missing is known before anything is loaded.
        paths = {name: network_of(name, files) for name in names}
        try:
            finder = landmarks.FaceLandmarker(path)
        except (ValueError, RuntimeError) as error:
            raise SekeError(f"{path}: is no network that can be run ({error})") from None
        observers: list[PictureObserver] = [
            finder if name == landmarks.NAME else expression_network.ExpressionNetwork(paths[name], crops)
            for name in dict.fromkeys(names)
        ]
        return cls(base, finder, tuple(observers))

    @property
    def names(self) -> tuple[str, ...]:
        """The observers whose answers are wanted."""
        return tuple(observer.name for observer in self.observers)

    @property
    def networks(self) -> dict[str, str]:
        """Observer -> its network's file, by name and the beginning of its digest; who finds faces too."""
        return {observer.name: observer.network for observer in (self.finder, *self.observers)}

    def close(self) -> None:
        """End the networks."""
        self.finder.close()

    def samples(self, item: str, shown: ShownPart) -> list[Record]:
        """Return the samples of each observer about the face that is meant; without a face none judged it."""
        with self._turn:
            faces = self.finder.faces(shown)
            return [
                sample
                for observer in self.observers
                for sample in self._samples(item, observer, shown, faces)
            ]

    def _samples(
        self, item: str, observer: PictureObserver, shown: ShownPart, faces: Sequence[Face]
    ) -> Iterator[Record]:
        key = {"item": item, "observer": observer.name, "question": observer.question}
        if not faces:
            yield {**key, "draw": 0, "status": "not_judged", "extra": {"faces": 0}}
            return
        face, *others = faces
        facts: Record = {"faces": len(faces), "box": shown.in_picture(face.box)}
        if others:
            facts["others"] = [shown.in_picture(other.box) for other in others]
        facts |= observer.facts(face)
        for draw, report in enumerate(observer.reports(shown, face)):
            extra = {} if draw else {"extra": facts}
            yield {**key, "draw": draw, **reported_fields(self.base, observer.name, report), **extra}


def reported_fields(base: Knowledge, observer: str, report: Report) -> Record:
    """Return the fields of a sample that hold a report: by level, as the base has them.

    Variables that the base lacks, or that its observer of this name does not report, are left out.
    """
    fields: Record = {}
    known = base.observers[observer].instruments
    for name in (name for name in base.variables if name in report):
        value = report[name]
        if name not in known and value is not None:
            continue
        level = next((level for level, members in base.levels.items() if name in members), None)
        if level is None:
            fields.setdefault("reports", {})[name] = value
        elif base.variables[name].kind == "binary":
            fields.setdefault(level, {})[name] = value
        else:
            fields[level] = value
    return fields


def usable_observers(files: Sequence[Path], problems: Callable[[str], None]) -> tuple[str, ...]:
    """Return the built-in observers whose packages and files are there, the one that finds the face first.

    Raises:
        ObserverMissingError: that one is not.
    """
    names = [landmarks.NAME]
    for name in (landmarks.NAME, *built_in_observers()):
        try:
            network_of(name, files)
            runtime_of(name)
        except ObserverMissingError as error:
            if name == landmarks.NAME:
                raise
            problems(f"without {name}: {error}")
        else:
            names.append(name)
    return tuple(dict.fromkeys(names))


def unseen_variables(base: Knowledge, names: Sequence[str]) -> list[str]:
    """Return the variables that the policy requires and none of these observers reports."""
    return [
        variable
        for level in base.policy.required
        for variable in base.levels[level]
        if not any(variable in base.observers[name].instruments for name in names)
    ]


def _check_base(base: Knowledge, name: str) -> None:
    """See that a base has a built-in observer, its question, and an instrument for what it reports."""
    declared = declaration_of(name)
    cure = f"; extend the shipped base, or copy its observers/{name}.yaml into yours"
    if name not in base.observers:
        raise SekeError(f"the base {base.name} has no observer {name!r}{cure}")
    if declared["question"] not in base.questions:
        raise SekeError(
            f"the base {base.name} has no question {declared['question']!r}, which {name} answers"
        )
    labels = base.observers[name].labels
    if "classes" in declared:
        instrument = labels.get(declared["variable"])
        answers = instrument.answers if instrument is not None else ()
        lacking = [state for state in declared["classes"] if state not in answers]
        if lacking:
            raise SekeError(
                f"observer {name!r} of the base {base.name} has no answer {', '.join(lacking)}, which the "
                f"network gives{cure}"
            )
