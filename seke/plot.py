"""Pictures for notebooks: figures of matplotlib, by the same drawing code as `seke plot` and the pages.

import seke
seke.plot.face({"AU6": 0.9, "AU12": 0.95})
seke.plot.story("run", "face-0017")
seke.plot.reliability(seke.score("posteriors.jsonl", "gold.csv"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Knowledge, SekeError, did_you_mean
from seke.console.extras import optional_package
from seke.explanations import figures as pictures
from seke.explanations.story import Story, story_of, story_of_record
from seke.files.inputs import path_of
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.face import face as drawn_face
from seke.graphics.face import face_table
from seke.results.inferred_records import InferredRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from matplotlib.figure import Figure

    from seke.benchmarking.score import ScoreReport
    from seke.graphics.shapes import Drawing

    Source = str | Path | Collection[str | Path] | Mapping[str, Any] | InferredRecords | Story
    Base = Knowledge | str | Path | None

__all__ = [
    "course",
    "face",
    "fit",
    "network",
    "picture",
    "posterior",
    "reliability",
    "risk_coverage",
    "story",
    "units",
    "va",
]

# Rows of the picture of a fit.
MOST_UNKNOWNS = 40


def __dir__() -> list[str]:
    return __all__


def face(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw a face from action units.

    Args:
        source: action unit -> probability, None or NaN where it is unknown; names of action units that are
            active; or what `story` takes.
        item: the one to draw of that.
        knowledge: the base that was inferred with, whose further units may be named; they are not drawn.

    Raises:
        engine.SekeError: no such action unit, or a number that is no probability; otherwise as `story`.
    """
    optional_package("matplotlib")
    if item is None and isinstance(source, list | tuple | set | frozenset):
        source = dict.fromkeys(map(str, source), 1.0)
    if isinstance(source, Mapping) and "decision" not in source:
        return drawn_face(_unit_probabilities(source, knowledge)).figure()
    return _figure("face", source, item, knowledge)


def posterior(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw prior, what each reading says, and posterior of the expression."""
    return _figure("posterior", source, item, knowledge)


def va(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw the plane of valence and arousal: answers, posterior, where expressions lie."""
    return _figure("va", source, item, knowledge)


def units(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw the action units with the decision about each."""
    return _figure("units", source, item, knowledge)


def course(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw the expression's probabilities after each answer."""
    return _figure("course", source, item, knowledge)


def story(source: Source, item: str | None = None, knowledge: Base = None) -> Figure:
    """Draw all of these on one sheet.

    Args:
        source: a run's folder, sample files, a file of posteriors, a posterior record, or several, as
            `seke.infer` returns them; or a Story.
        item: its name; not needed where the source is about one item.
        knowledge: the base that was inferred with; the shipped base by default.

    Raises:
        engine.SekeError: bad input; a picture that the source has nothing for.
    """
    optional_package("matplotlib")
    return pictures.sheet(_story(source, item, knowledge, with_facts=True)).figure()


def risk_coverage(report: ScoreReport | Mapping[str, Any]) -> Figure:
    """Draw errors against coverage; report: what `seke.score` returns, or its facts."""
    optional_package("matplotlib")
    from seke.benchmarking.plots import risk_coverage as curves

    return curves(_facts(report))


def reliability(report: ScoreReport | Mapping[str, Any], of: str = "") -> Figure:
    """Draw stated probabilities against observed shares. of: a variable, or `binary` for all binary ones."""
    optional_package("matplotlib")
    from seke.benchmarking.plots import reliability as diagram

    return diagram(_facts(report), of)


def network(knowledge: Base = None) -> Figure:
    """Draw the compiled network of a base."""
    optional_package("matplotlib")
    from seke.knowledge_tools.graph import figure_of, network_graph

    return figure_of(network_graph(knowledge))


def fit(trace: str | Path) -> Figure:
    """Draw the draws of a fit (`seke calibrate --trace`) by ArviZ: prior against posterior, 90 % intervals.

    Of more than MOST_UNKNOWNS unknowns those that moved farthest, in standard deviations of the prior.
    """
    optional_package("matplotlib")
    from seke.graphics.fit import forest

    allowed = "the file that `seke calibrate --trace FILE.nc` writes"
    return forest(path_of(trace, "trace", allowed), MOST_UNKNOWNS)


def picture(name: str, source: Source, item: str | None = None, knowledge: Base = None) -> Drawing:
    """Return a picture of an item by its name: face, posterior, va, units, course.

    Raises:
        engine.SekeError: a picture that the source has nothing for.
    """
    item_story = _story(source, item, knowledge)
    drawings: dict[str, Callable[[Story], Drawing]] = {
        drawing_name: draw for drawing_name, _, draw in pictures.pictures_of(item_story)
    }
    if name not in drawings:
        raise SekeError(
            f"{item_story.item}: there is nothing to draw {name} from; there is {', '.join(drawings)}"
        )
    return drawings[name](item_story)


def _figure(name: str, source: Source, item: str | None, knowledge: Base) -> Figure:
    optional_package("matplotlib")
    return picture(name, source, item, knowledge).figure()


def _story(source: Source, item: str | None, knowledge: Base, *, with_facts: bool = False) -> Story:
    if isinstance(source, Story):
        return source
    if isinstance(source, Mapping):
        base = read_knowledge(knowledge)
        return story_of_record(source, base)
    if item is None:
        raise SekeError("name the item that is to be drawn")
    records = source if isinstance(source, InferredRecords) else None
    if records is not None:
        named = {str(record["item"]): record for record in records}
        if item not in named:
            raise SekeError(f"no item is called {item!r}{did_you_mean(item, named)}")
        return story_of_record(named[item], records.knowledge)
    if not isinstance(source, str | Path | Sequence):
        raise SekeError(
            f"met {type(source).__name__}; allowed are a run's folder, sample files, a file of posteriors, a "
            "posterior record, or what seke.infer returns"
        )
    return story_of(source, item, knowledge, with_facts=with_facts)


def _unit_probabilities(units: Mapping[str, Any], knowledge: Base) -> dict[str, float]:
    """Return the probabilities of the units that are known."""
    drawn = face_table()["units"]
    unknown = [name for name in units if name not in drawn]
    # A base is read, which takes its time, only for units that are not drawn.
    variables = read_knowledge(knowledge).variables if unknown else {}
    for name in unknown:
        if name not in variables or variables[name].kind != "binary":
            raise SekeError(f"{name}: no such action unit{did_you_mean(str(name), drawn)}")
    try:
        known = {name: float(p) for name, p in units.items() if p is not None}
    except (TypeError, ValueError):
        raise SekeError(f"met {units!r}; allowed are probabilities, as in {{'AU12': 0.9}}") from None
    return {name: p for name, p in known.items() if p == p}  # noqa: PLR0124 - all but NaN


def _facts(report: ScoreReport | Mapping[str, Any]) -> Mapping[str, Any]:
    return report if isinstance(report, Mapping) else report.facts
