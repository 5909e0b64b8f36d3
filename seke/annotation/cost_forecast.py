"""Forecast of a run's requests and cost: the strategy is simulated on made-up items, nothing is sent.

Each made-up item stands for one of the run's. It has that item's known labels as its answers, and a truth of
that label where the set names the root; else its truth is drawn from the population. What all items come to
is a bootstrap: the made-up items' costs are drawn with replacement, then as many of these as there are items.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, people_asked, prior_truth
from seke.annotation.expected_tokens import expected_tokens, kind_of
from seke.datasets.images import view_of
from seke.datasets.manifest import label_sample
from seke.samples import answers_from
from seke.sampling.answerers import SimulatedSource
from seke.sampling.ceiling import ceiling
from seke.sampling.loop import Loop, Request, run_to_completion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Floats, Ints, Option
    from seke.annotation.job import Job
    from seke.annotation.stopping_rules import Label, Rule
    from seke.datasets.manifest import Item
    from seke.vision.messages import Settings
    from seke.vision.prices import Prices


# Items that are made up. With 200 the standard error of a mean cost is about a fourteenth of the spread.
MADE_UP = 200
# Truths that are drawn for the labelled ones to choose from: of a state of .01 about twenty.
POOL = 2_000
# Resamples of the made-up items; the quantiles of a thousand are steady to about a hundredth of the range.
RESAMPLES = 1_000
# Of the range, as shares.
LOW, HIGH = 0.1, 0.9


@dataclass(frozen=True)
class Forecast:
    """For all items: answers by question, requests, tokens, and their price in USD.

    labelled: how many of the items have labels of the set. prompt_tokens, answer_tokens: expected. price: the
    middle one; price_low, price_high: 10 % and 90 % of the resamples. most_prompt_tokens, most_answer_tokens,
    price_most: were each answer a request of its own, as long as it may be; see `prices.Estimate`. Prices
    are None where none are known. ceiling: level -> share of its values that endless answers would get
    accepted, observers being as the base has them. observers: answers by who is asked; unpriced: those whose
    prices are not known and not in the price, where some are. people: how many items would wait for which
    people; what these answer is in none of the other figures.
    """

    items: int
    labelled: int
    answers: Mapping[str, float]
    requests: float
    prompt_tokens: float
    answer_tokens: float
    most_prompt_tokens: float
    most_answer_tokens: float
    price: float | None = None
    price_low: float | None = None
    price_high: float | None = None
    price_most: float | None = None
    ceiling: Mapping[str, float] = field(default_factory=dict)
    observers: Mapping[str, float] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()
    people: Mapping[str, float] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        """Return everything as one mapping; `people` where any may be asked."""
        facts = asdict(self)
        if not self.people:
            del facts["people"]
        return facts


def forecast(job: Job, settings: Settings, prices: Mapping[str, Prices | None], seed: int = 0) -> Forecast:
    """Return the forecast for the job's items, from made-up items of its base.

    prices: observer -> the prices of its model's tokens, where they are known.
    """
    rng = np.random.default_rng(seed)
    names = [f"made-up-{i}" for i in range(MADE_UP)]
    # All items where there are few, as often as it takes; else some, evenly spaced.
    count = len(job.items)
    items = [job.items[i * count // MADE_UP if count > MADE_UP else i % count] for i in range(MADE_UP)]
    everything, shares = _requests(job, dict(zip(names, items, strict=True)), rng, seed)
    people = people_asked(job.annotator.base)
    requests = [request for request in everything if request.observer not in people]
    looks = {(request.observer, request.item) for request in everything if request.observer in people}
    waits = Counter(observer for observer, _ in looks)
    option = job.annotator.session.first
    view = view_of(job.annotator.base, option.view if option else job.annotator.base.usual_view)
    lengths = expected_tokens(job.annotator.base, job.items, view, requests, settings)
    # (observers, MADE_UP, 5): requests, prompt and answer tokens of each item, and the most these may be.
    observers = list(dict.fromkeys(request.observer for request in requests))
    place = {name: i for i, name in enumerate(names)}
    per_item = np.zeros((len(observers), MADE_UP, 5))
    answers, by_observer = Counter[str](), Counter[str]()
    for request in requests:
        length, n = lengths[kind_of(request)], request.samples
        row = [1, length.prompt, n * length.answer, n * length.most_prompt, n * length.most_answer]
        per_item[observers.index(request.observer), place[request.item]] += row
        answers[request.question] += n
        by_observer[request.observer] += n
    scale = count / MADE_UP
    estimate = Forecast(
        count,
        sum(bool(item.labels) for item in job.items),
        {name: n * scale for name, n in answers.items()},
        *(per_item.sum((0, 1)) * scale).tolist(),
    )
    estimate = replace(
        estimate,
        ceiling={level: round(part, 4) for level, part in shares.items()},
        observers={name: n * scale for name, n in by_observer.items()},
        people={name: waits[name] * scale for name in people},
    )
    return _add_prices(estimate, dict(zip(observers, per_item, strict=True)), prices, rng)


def _add_prices(
    estimate: Forecast,
    per_item: Mapping[str, Floats],
    prices: Mapping[str, Prices | None],
    rng: np.random.Generator,
) -> Forecast:
    """Return the forecast with the cost of the observers whose prices are known.

    per_item: observer -> (MADE_UP, 5), as in `forecast`.
    """
    priced = {name: price for name in per_item if (price := prices.get(name)) is not None}
    if not priced and (per_item or not any(prices.values())):
        return estimate
    costs, worst, scale = np.zeros(MADE_UP), 0.0, estimate.items / MADE_UP
    for name, price in priced.items():
        costs += [price.of(prompt, 0, answer) for prompt, answer in per_item[name][:, 1:3].tolist()]
        largest_tokens = per_item[name].sum(0) * scale
        worst += price.of(float(largest_tokens[3]), 0, float(largest_tokens[4]))
    low, middle, high = np.quantile(_resample_totals(costs, estimate.items, rng), (LOW, 0.5, HIGH)).tolist()
    unpriced = tuple(name for name in per_item if name not in priced)
    return replace(
        estimate,
        price=middle,
        price_low=low,
        price_high=high,
        price_most=max(worst, high),
        unpriced=unpriced,
    )


def _resample_totals(costs: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return bootstrap totals (RESAMPLES,) of the cost of `count` items from M made-up costs, USD."""
    resampled = rng.choice(costs, (RESAMPLES, len(costs)))
    repeats = rng.multinomial(count, np.full(len(costs), 1 / len(costs)), RESAMPLES)
    return np.asarray((resampled * repeats).sum(1))


def _requests(
    job: Job, items: Mapping[str, Item], rng: np.random.Generator, seed: int
) -> tuple[list[Request], Mapping[str, float]]:
    """Return all requests about made-up items, each of which stands for an item of the job.

    Besides, the share of each level that endless answers of the model would get accepted, as it is declared.
    """
    session, base, rule = job.annotator.session, job.annotator.base, job.annotator.rule
    names = list(items)
    truth = _truth(prior_truth(session.inference, POOL, rng), list(items.values()), job, rng)
    known = {name: item.labels for name, item in items.items()}
    source = _RecordingSource(SimulatedSource(session.inference, names, truth, seed, known=known))
    known_answers = Answers.unasked(names)
    label_observer = job.annotator.known_by
    labels = [
        label_sample(replace(item, name=name), base, label_observer)
        for name, item in items.items()
        if label_observer is not None and item.labels
    ]
    for part in answers_from(labels, base) if labels else ():
        known_answers = known_answers.joined(part)
    if rule is None:
        run_to_completion(Loop(session), names, source, known=known_answers)
    elif session.first is not None:
        _follow_rule(rule, session.first, names, source, job)
    return source.requests, ceiling(session, names, source.source, known_answers)


def _truth(
    pool: Mapping[str, Ints], items: Sequence[Item], job: Job, rng: np.random.Generator
) -> dict[str, Ints]:
    """Return a truth from the pool for each item, with the item's label where the pool has it."""
    base = job.annotator.base
    states, drawn = base.variables[base.root].states, pool[base.root]
    chosen = []
    for item in items:
        label = item.labels.get(base.root)
        matching = np.flatnonzero(drawn == states.index(label)) if label in states else np.zeros(0, dtype=int)
        chosen.append(int(rng.choice(matching if matching.size else np.arange(len(drawn)))))
    return {name: column[chosen] for name, column in pool.items()}


def _follow_rule(
    rule: Rule, option: Option, names: Sequence[str], source: _RecordingSource, job: Job
) -> None:
    """Ask about items until the stopping rule asks for no more."""
    base = job.annotator.base
    instrument = base.observers[option.observer].labels.get(base.root)
    words: Sequence[str] = instrument.answers if instrument is not None else ()
    labels: dict[str, list[Label]] = {name: [] for name in names}
    line = option.observer, option.question, option.about, option.view
    while requests := [
        Request(name, *line, len(came), samples) for name, came in labels.items() if (samples := rule(came))
    ]:
        column = source.ask(requests).labels.get(base.root)
        came: dict[int, list[Label]] = defaultdict(list)
        if column is not None:
            for reading, answer in zip(column.reading.tolist(), column.answer.tolist(), strict=True):
                came[reading].append(words[answer])
        for place, request in enumerate(requests):
            labels[request.item] += came.get(place, [None] * request.samples)


class _RecordingSource:
    """A source that records its requests."""

    def __init__(self, source: SimulatedSource) -> None:
        self.source = source
        self.requests: list[Request] = []

    def ask(self, requests: Sequence[Request]) -> Answers:
        """Return the answers; see `loop.AnswerSource`."""
        self.requests += requests
        return self.source.ask(requests)
