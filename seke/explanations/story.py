"""The story of one item: its answers in order, and the posterior after each of them.

A story of a run or of samples has all parts; a story of posteriors alone has only what their record says.
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
from seke.graphics.valence_arousal import DrawnMoments, JointBins
from seke.inference.record import bin_centres
from seke.inference.session import Session
from seke.runs.ledger import order_of
from seke.runs.run_folder import made_up_caution
from seke.samples import single_samples
from seke.sampling.infer import on_samples
from seke.sampling.replay import mark_off_policy
from seke.tables.record_reader import holds_posteriors, posterior_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.samples import SingleSamples

    Facts = Mapping[str, Any]
    Line = tuple[str, str, str, str | None, str]

# Answers in a story; later ones are left out.
MOST_STEPS = 60
# Height and width of the picture of the item at most, in pixels.
SIDE = 360


@dataclass(frozen=True)
class Step:
    """One answer and the posterior after it. about: the variable of the question, empty where there is none.

    answers: variable -> answer -> how often; empty where it reports nothing (`status`).
    p: root state -> probability. numbers: interval variable -> posterior mean.
    """

    observer: str
    question: str
    view: str
    about: str
    status: str
    answers: Mapping[str, Mapping[str, float]]
    p: Mapping[str, float]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Story:
    """Everything that pictures and texts about an item are made from.

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
    posterior: JointBins | DrawnMoments | None = None
    points: tuple[tuple[float, float], ...] = ()
    picture: bytes | None = None


def story_of(
    source: str | Path | Sequence[str | Path],
    item: str,
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    seed: int = 0,
    with_facts: bool = True,
) -> Story:
    """Return an item's story.

    Args:
        source: a run's folder, sample files, or a file of posteriors as `seke infer -o` writes it.
        item: its name.
        knowledge: the base that was inferred with; the shipped base by default.
        population: the prior; that of the run, or the base's usual one, by default.
        seed: of the look-ahead's imagined answers.
        with_facts: whether it has the facts of `seke.explain`, for which the base is compiled again many
            times (seconds).

    Raises:
        engine.SekeError: bad input; an item that is not there; a run made with another base. Samples of a
            run about other items are not checked, nor those of files where no threshold is found on them.
    """
    sources = [Path(file) for file in ([source] if isinstance(source, str | Path) else source)]
    base = read_knowledge(knowledge)
    story = _story_of(sources, item, base, population, seed, with_facts=with_facts)
    caution = next(filter(None, map(made_up_caution, sources)), "")
    return replace(story, facts={**story.facts, "made_up": caution}) if caution and story.facts else story


def _story_of(
    sources: Sequence[Path],
    item: str,
    base: Knowledge,
    population: str | None,
    seed: int,
    *,
    with_facts: bool,
) -> Story:
    if len(sources) == 1 and sources[0].is_dir():
        return _run_story(sources[0], item, base, population, seed, with_facts=with_facts)
    if len(sources) == 1 and holds_posteriors(sources[0]):
        return story_of_record(posterior_record(sources[0], item), base)
    session = mark_off_policy(Session.open(base, population, seed), sources, item)
    session = on_samples(session, sources)
    samples = _samples_about(item, sources, base)
    return story_of_samples(session, samples, item, seed, with_facts=with_facts)


def _samples_about(item: str, sources: Sequence[Path], base: Knowledge) -> SingleSamples:
    """Return the samples about an item; all of them where there are none, so that a message can suggest one.

    Of the other items' samples nothing is checked.
    """
    samples = single_samples(sources, base, item)
    return samples if samples.items else single_samples(sources, base)


def story_of_record(record: Facts, base: Knowledge) -> Story:
    """Return the story of a posterior record alone."""
    return Story(str(record["item"]), base, record, posterior=_moments(record, base))


def _run_story(
    folder: Path, item: str, base: Knowledge, population: str | None, seed: int, *, with_facts: bool
) -> Story:
    from seke.annotation.job import session_of
    from seke.runs.item_list import ITEMS, known_items
    from seke.runs.run_folder import POSTERIORS, SAMPLES

    session = session_of(folder, base, population, seed)
    session = mark_off_policy(session, folder / SAMPLES, item)
    samples = _samples_about(item, [folder / SAMPLES], session.knowledge)
    record = posterior_record(folder / POSTERIORS, item)
    story = story_of_samples(
        session, samples, item, seed, record, order_of(folder, item), with_facts=with_facts
    )
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
    with_facts: bool = True,
) -> Story:
    """Return the story of one item among samples, in a session that is ready.

    record: as it was decided before; order: the lines of its answers as they were asked for.
    """
    base = session.knowledge
    if item not in samples.items:
        raise SekeError(f"no item is called {item!r}{did_you_mean(item, samples.items)}")
    item_samples = samples.about({item})
    whole = item_samples.answers.gathered((item,), np.zeros(len(item_samples.line), dtype=np.int64))
    readings, prior = _readings(session, whole)
    return Story(
        item,
        base,
        record or session.records(whole)[0],
        session.inference.population,
        facts_of(session, whole, seed) if with_facts else {},
        prior,
        readings,
        _steps(session, item_samples, order),
        _joint(session, whole),
        _points(base, item_samples.answers),
    )


def _readings(
    session: Session, whole: Answers
) -> tuple[tuple[tuple[str, str, Mapping[str, float]], ...], Mapping[str, float]]:
    """Return the likelihood of the root from each reading alone, scaled to the sum 1, and the prior.

    A likelihood is P(answers | state) by state, with the title and the second line of its reading.
    """
    base, root, states = session.knowledge, session.network.root, session.network.root_states
    prior = session.inference.posterior(Answers.nothing()).marginals[root][0]
    every = np.ones(len(whole.reading_item), dtype=bool)
    alone = session.inference.posterior(whole.each_reading(every)).marginals[root] / prior
    questions, observers = list(base.questions), list(base.observers)
    readings = []
    for r, likelihood in enumerate(alone / alone.sum(1, keepdims=True)):
        view = whole.views[whole.reading_view[r]]
        below = observers[whole.reading_observer[r]] + (f", {view}" if view != base.usual_view else "")
        p = dict(zip(states, likelihood.tolist(), strict=True))
        readings.append((questions[whole.reading_question[r]], below, p))
    return tuple(readings), dict(zip(states, prior.tolist(), strict=True))


def _steps(session: Session, item_samples: SingleSamples, order: Sequence[Line]) -> tuple[Step, ...]:
    """Return the steps: each answer with the posterior given the answers up to it."""
    base, root = session.knowledge, session.network.root
    item_index = np.zeros(1, dtype=np.int64)
    places = _answer_order(item_samples, order)[:MOST_STEPS]
    so_far = [
        item_samples.answers.only(np.isin(np.arange(len(item_samples.line)), places[: count + 1]))
        for count in range(len(places))
    ]
    parts = [
        answers_so_far.gathered((str(count),), np.repeat(item_index, len(answers_so_far.items)))
        for count, answers_so_far in enumerate(so_far)
    ]
    if not parts:
        return ()
    posterior = session.inference.posterior(Answers.stacked(parts))
    steps = []
    for count, place in enumerate(places):
        answer = item_samples.answers.part(place, place + 1)
        _, observer, question, about, view = item_samples.line[place]
        p = dict(zip(session.network.root_states, posterior.marginals[root][count].tolist(), strict=True))
        numbers = {
            name: float(posterior.marginals[name][count] @ bin_centres(base.variables[name]))
            for name in base.intervals
        }
        void = (name for name in ("refused", "unreadable", "not_judged") if getattr(answer, name)[0])
        status = next(void, "ok")
        answers = said_of(session.inference, answer)
        steps.append(Step(observer, question, view, about or "", status, answers, p, numbers))
    return tuple(steps)


def _answer_order(item_samples: SingleSamples, order: Sequence[Line]) -> list[int]:
    """Return indices of the answers in the order of arrival, or of their files where that is unknown."""
    waiting: dict[Line, list[int]] = defaultdict(list)
    for place, line in enumerate(item_samples.line):
        waiting[line].append(place)
    first = []
    for line in order:
        # A refused answer to a question about one variable is about none.
        if places := waiting.get(line) or waiting.get((*line[:3], None, line[4])):
            first.append(places.pop(0))
    # What a set says of itself was there before anything was asked.
    unasked = [place for place in np.argsort(item_samples.place).tolist() if place not in set(first)]
    return [*unasked, *first]


def _joint(session: Session, whole: Answers) -> JointBins | None:
    base = session.knowledge
    if len(base.intervals) != 2:
        return None
    x, y = base.intervals
    edges = (np.array(base.variables[name].edges) for name in base.intervals)
    return JointBins(joint_marginal(session.inference, whole, (x, y)), *edges)


def _moments(record: Facts, base: Knowledge) -> DrawnMoments | None:
    """Return the moments of the two interval variables; None where a record lacks one of them."""
    given = record.get("posteriors", record)
    if len(base.intervals) != 2 or any(name not in given for name in base.intervals):
        return None
    x, y = (given[name] for name in base.intervals)
    key = f"{base.intervals[0]}_{base.intervals[1]}_correlation"
    return DrawnMoments((x["mean"], y["mean"]), (x["sd"], y["sd"]), given.get(key) or 0.0)


def _points(base: Knowledge, answers: Answers) -> tuple[tuple[float, float], ...]:
    """Return the answers with values of both interval variables, where each sample counts as an item."""
    if len(base.intervals) != 2 or any(name not in answers.numbers for name in base.intervals):
        return ()
    values = []
    for name in base.intervals:
        column = answers.numbers[name]
        items = answers.reading_item[column.reading].tolist()
        values.append(dict(zip(items, column.value.tolist(), strict=True)))
    return tuple((values[0][item], values[1][item]) for item in values[0] if item in values[1])
