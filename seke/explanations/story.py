"""One item's story: what was answered in which order, and what came of it.

Of a run or of samples a story has all there is; of posteriors alone what their record says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, Knowledge, SekeError, did_you_mean, joint_marginal, said_of
from seke.explanations.facts import facts_of
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.thumbnails import face_of, thumbnail
from seke.graphics.valence_arousal import Grid, Moments
from seke.inference.session import Session
from seke.runs.ledger import order_of
from seke.samples import single_samples
from seke.sampling.infer import on_samples
from seke.sampling.replay import mark_off_policy
from seke.tables.record_reader import holds_posteriors, posterior_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.samples import SingleSamples

    Facts = Mapping[str, Any]
    Line = tuple[str, str, str, str | None, str]

MOST_STEPS = 60
# Of the item's picture, in pixels.
SIDE = 360


@dataclass(frozen=True)
class Step:
    """One answer, and what was believed after it. about: the variable it was about, or none.

    said: variable -> answer -> how often; empty where it was refused or could not be read (`status`).
    p: root state -> probability. numbers: interval variable -> posterior mean.
    """

    observer: str
    question: str
    view: str
    about: str
    status: str
    said: Mapping[str, Mapping[str, float]]
    p: Mapping[str, float]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Story:
    """All that can be drawn or told of an item.

    record: its posterior record. facts: those of `seke.explain`, none where only posteriors are at hand.
    prior: root state -> probability. readings: title, second line, root state -> likelihood with sum 1, of
    each reading by itself. steps: by answer. posterior: of the two interval variables. points: answers about
    both. picture: a JPEG, where it is at hand.
    """

    item: str
    base: Knowledge
    record: Facts
    population: str = ""
    facts: Facts = field(default_factory=dict)
    prior: Mapping[str, float] | None = None
    readings: tuple[tuple[str, str, Mapping[str, float]], ...] = ()
    steps: tuple[Step, ...] = ()
    posterior: Grid | Moments | None = None
    points: tuple[tuple[float, float], ...] = ()
    picture: bytes | None = None


def story_of(
    source: str | Path | Sequence[str | Path],
    item: str,
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    seed: int = 0,
    why: bool = True,
) -> Story:
    """Return an item's story.

    Args:
        source: a run's folder, sample files, or a file of posteriors as `seke infer -o` writes it.
        item: its name.
        knowledge: the base that was inferred with; the shipped base by default.
        population: the prior; that of the run, or the base's reference, by default.
        seed: of the look-ahead's imagined answers.
        why: with the facts of `seke.explain`, for which the base is compiled again many times (seconds).

    Raises:
        engine.SekeError: bad input; an item that is not there; a run made with another base.
    """
    sources = [Path(one) for one in ([source] if isinstance(source, str | Path) else source)]
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    if len(sources) == 1 and sources[0].is_dir():
        return _of_run(sources[0], item, base, population, seed, why=why)
    if len(sources) == 1 and holds_posteriors(sources[0]):
        return story_of_record(posterior_record(sources[0], item), base)
    session = on_samples(mark_off_policy(Session.open(base, population, seed), sources), sources)
    return story_of_samples(session, single_samples(sources, base), item, seed, why=why)


def story_of_record(record: Facts, base: Knowledge) -> Story:
    """Return the story of a posterior record alone."""
    return Story(str(record["item"]), base, record, posterior=_moments(record, base))


def _of_run(
    folder: Path, item: str, base: Knowledge, population: str | None, seed: int, *, why: bool
) -> Story:
    from seke.annotation.job import session_of
    from seke.runs.item_list import ITEMS, known_items
    from seke.runs.run_folder import POSTERIORS, SAMPLES

    session = session_of(folder, base, population, seed)
    session = mark_off_policy(session, folder / SAMPLES)
    samples = single_samples([folder / SAMPLES], session.network.knowledge)
    record = posterior_record(folder / POSTERIORS, item)
    story = story_of_samples(session, samples, item, seed, record, order_of(folder, item), why=why)
    known = known_items(folder).get(item) if (folder / ITEMS).is_file() else None
    return replace(story, picture=None if known is None else thumbnail(face_of(known), base, SIDE))


def story_of_samples(
    session: Session,
    samples: SingleSamples,
    item: str,
    seed: int = 0,
    record: Facts | None = None,
    order: Sequence[Line] = (),
    *,
    why: bool = True,
) -> Story:
    """Return the story of one item among samples, in a session that is ready.

    record: as it was decided before; order: the lines of its answers as they were asked for.
    """
    base = session.network.knowledge
    if item not in samples.items:
        raise SekeError(f"no item is called {item!r}{did_you_mean(item, samples.items)}")
    mine = samples.about({item})
    whole = mine.answers.gathered((item,), np.zeros(len(mine.line), dtype=np.int64))
    readings, prior = _readings(session, whole)
    return Story(
        item,
        base,
        record or session.records(whole)[0],
        session.inference.population,
        facts_of(session, whole, seed) if why else {},
        prior,
        readings,
        _steps(session, mine, order),
        _joint(session, whole),
        _points(base, mine.answers),
    )


def _readings(
    session: Session, whole: Answers
) -> tuple[tuple[tuple[str, str, Mapping[str, float]], ...], Mapping[str, float]]:
    """Return of each reading what it alone says of the root, P(answers | state) with sum 1; and the prior."""
    base, root, states = session.network.knowledge, session.network.root, session.network.root_states
    prior = session.inference.posterior(Answers.nothing()).marginals[root][0]
    every = np.ones(len(whole.reading_item), dtype=bool)
    alone = session.inference.posterior(whole.each_reading(every)).marginals[root] / prior
    questions, observers = list(base.questions), list(base.observers)
    found = []
    for r, likelihood in enumerate(alone / alone.sum(1, keepdims=True)):
        view = whole.views[whole.reading_view[r]]
        below = observers[whole.reading_observer[r]] + (f", {view}" if view != Answers.USUAL_VIEW else "")
        p = dict(zip(states, likelihood.tolist(), strict=True))
        found.append((questions[whole.reading_question[r]], below, p))
    return tuple(found), dict(zip(states, prior.tolist(), strict=True))


def _steps(session: Session, mine: SingleSamples, order: Sequence[Line]) -> tuple[Step, ...]:
    """Return what was believed after each answer: the posterior of the answers so far."""
    base, root = session.network.knowledge, session.network.root
    one = np.zeros(1, dtype=np.int64)
    places = _ordered(mine, order)[:MOST_STEPS]
    so_far = [
        mine.answers.only(np.isin(np.arange(len(mine.line)), places[: count + 1]))
        for count in range(len(places))
    ]
    parts = [
        some.gathered((str(count),), np.repeat(one, len(some.items))) for count, some in enumerate(so_far)
    ]
    found = session.inference.posterior(Answers.stacked(parts)) if parts else None
    steps = []
    for count, place in enumerate(places):
        assert found is not None
        answer = mine.answers.part(place, place + 1)
        _, observer, question, about, view = mine.line[place]
        p = dict(zip(session.network.root_states, found.marginals[root][count].tolist(), strict=True))
        numbers = {name: float(found.marginals[name][count] @ _middles(base, name)) for name in base.affect}
        refused, unreadable = bool(answer.refused[0]), bool(answer.unreadable[0])
        status = "refused" if refused else "unreadable" if unreadable else "ok"
        told = said_of(session.inference, answer)
        steps.append(Step(observer, question, view, about or "", status, told, p, numbers))
    return tuple(steps)


def _ordered(mine: SingleSamples, order: Sequence[Line]) -> list[int]:
    """Return the answers' indices in the order in which they came; where none is known, as in their files."""
    waiting: dict[Line, list[int]] = defaultdict(list)
    for place, line in enumerate(mine.line):
        waiting[line].append(place)
    first = []
    for line in order:
        # A refused answer to a question about one variable is about none.
        if found := waiting.get(line) or waiting.get((*line[:3], None, line[4])):
            first.append(found.pop(0))
    # What a set says of itself was there before anything was asked.
    rest = [place for place in np.argsort(mine.place).tolist() if place not in set(first)]
    return [*rest, *first]


def _middles(base: Knowledge, name: str) -> Any:
    edges = np.array(base.variables[name].edges)
    return (edges[:-1] + edges[1:]) / 2


def _joint(session: Session, whole: Answers) -> Grid | None:
    base = session.network.knowledge
    if len(base.affect) != 2:
        return None
    x, y = base.affect
    edges = (np.array(base.variables[name].edges) for name in base.affect)
    return Grid(joint_marginal(session.inference, whole, (x, y)), *edges)


def _moments(record: Facts, base: Knowledge) -> Moments | None:
    """Return what a record says of two interval variables."""
    given = record.get("posteriors", record)
    if len(base.affect) != 2 or any(name not in given for name in base.affect):
        return None
    x, y = (given[name] for name in base.affect)
    key = f"{base.affect[0]}_{base.affect[1]}_correlation"
    return Moments((x["mean"], y["mean"]), (x["sd"], y["sd"]), given.get(key) or 0.0)


def _points(base: Knowledge, answers: Answers) -> tuple[tuple[float, float], ...]:
    """Return the answers that tell both interval variables, each sample being an item."""
    if len(base.affect) != 2 or any(name not in answers.numbers for name in base.affect):
        return ()
    values = []
    for name in base.affect:
        column = answers.numbers[name]
        items = answers.reading_item[column.reading].tolist()
        values.append(dict(zip(items, column.value.tolist(), strict=True)))
    return tuple((values[0][item], values[1][item]) for item in values[0] if item in values[1])
