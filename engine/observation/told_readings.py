"""Readings whose prompt stated something of their item, which they may follow instead of looking.

With the probability h that their observer declares (`halo_of_given`) all answers of such a reading follow
what was stated: a root state, or the root states r that other stated values imply, P(r | stated) = π(r) Π_j
P(stated_j | r) / Z. Their likelihood is then that of answers under the stereotype of r, whatever the item x:

    P(answers | x, followed) = Σ_r P(r | stated) Π_v L_v(r),

so that they say nothing of x, and a reading with h = 1 is none. With 1 - h it is a reading as any other. The
switches of an observer's told readings carry over as those of its halo do, but apart from these: what they
follow is not the observer's own label. Readings that follow together have one r. Places 2 and 3 of a ranking
that was told something are not evidence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace, sums_at, take_rows
from engine.observation.carried_likelihood import log_mixture
from engine.observation.kernels import LEAST, LabelKernel
from engine.observation.reported_answers import NOTHING, positions_of, reported_answers, reported_by_bundle

if TYPE_CHECKING:
    from engine.backend.types import Array, Bools, Floats
    from engine.model.responses import Answers, Given
    from engine.observation.observer_kernels import ObserverKernels
    from engine.observation.switches import Expanded


def told_readings(model: ObserverKernels, answers: Answers) -> Bools:
    """Return which readings may follow what their prompt stated, (R,)."""
    if not answers.givens:
        return np.zeros(len(answers.reading_item), dtype=bool)
    halo = model.halo_of_given[answers.reading_observer, answers.reading_question]
    return np.asarray(~answers.blind & (halo > 0))


def without_told_places(answers: Answers) -> Answers:
    """Return the answers without the rankings of readings that were told something."""
    if answers.blind.all():
        return answers
    kept = {
        name: replace(column, reading=column.reading[seen], places=column.places[seen])
        for name, column in answers.rankings.items()
        for seen in [answers.blind[column.reading]]
    }
    return replace(answers, rankings=kept)


def log_weight_of_told(
    model: ObserverKernels, answers: Answers, followed: Array, together: Array, pairs: Expanded
) -> Array:
    """Return the log-likelihood of the answers that follow what was stated in each row, (rows,).

    followed: (readings, K + 1) and together: (bundles, K + 1) log P(answers but the root's | root state that
    is followed).
    """
    was_told, readings = told_readings(model, answers), len(followed)
    # Readings, and behind them bundles, each of which follows what its first reading was told.
    table = namespace(followed).concatenate([followed, together])
    for observer in np.unique(answers.reading_observer[was_told]).tolist():
        _add_root_answers(model, answers, observer, was_told, table, pairs)
    bundles, first = np.unique(pairs.member[0], return_index=True)
    reading = np.append(np.flatnonzero(was_told), pairs.member[1, first][was_told[pairs.member[1, first]]])
    place = np.append(np.flatnonzero(was_told), readings + bundles[was_told[pairs.member[1, first]]])
    logs = model.zeros(len(table))
    for given in np.unique(answers.reading_given[reading]).tolist():
        here = place[answers.reading_given[reading] == given]
        stated = asarray_like(stated_root(model, answers.givens[given])[None], table)
        logs[here] += log_mixture(take_rows(table, here), stated)[:, 0]
    logs[place] *= model.exponent[answers.reading_observer[reading]]
    alone = pairs.on & was_told[pairs.reading] & (pairs.bundle < 0)
    joint = was_told[pairs.reading] & (pairs.bundle >= 0)
    # A bundle is one factor in each of its rows.
    once = np.unique(np.stack([pairs.row[joint], readings + pairs.bundle[joint]]), axis=1)
    which = np.concatenate([pairs.reading[alone], once[1]])
    return sums_at(logs[which], np.concatenate([pairs.row[alone], once[0]]), len(pairs.row_item))


def _add_root_answers(
    model: ObserverKernels, answers: Answers, observer: int, was_told: Bools, table: Array, pairs: Expanded
) -> None:
    """Add answers about the root of an observer's told readings to `table`, (readings + bundles, K + 1)."""
    root, readings = model.network.root, len(answers.reading_item)
    kernel = model.kernels.get((observer, root))
    reported = NOTHING
    if isinstance(kernel, LabelKernel):
        reported = reported_answers(answers, observer, root, kernel, model.echo[observer])
    chosen = was_told[reported.reading]
    if not chosen.any() or not isinstance(kernel, LabelKernel):
        return
    named = np.arange(len(model.network.root_states) + 1)[:, None] == model.seen_state[observer]
    implied = asarray_like(named.astype(np.float64), kernel.share) * kernel.share
    follows = reported.reading[chosen]
    table[follows] += log_mixture(take_rows(reported.table, reported.pattern[chosen]), implied)
    positions = np.where(was_told, positions_of(reported.reading, readings), -1)
    bundles, which, answered = reported_by_bundle(pairs, observer, positions, reported)
    if len(bundles):
        table[readings + bundles] += take_rows(log_mixture(answered, implied), which)


def stated_root(model: ObserverKernels, given: Given) -> Floats:
    """Return P(root state | what was stated) under the population, and 0 for no state, (K + 1,)."""
    variables, stated = model.knowledge.variables, dict(given)
    p = model.prior.copy()
    if model.network.root in stated:
        p = (np.arange(len(p)) == int(stated[model.network.root])).astype(np.float64)
    else:
        for name, value in stated.items():
            variable = variables[name]
            edges = np.array(variable.edges)
            interval = variable.kind == "interval"
            state = (
                np.clip(np.searchsorted(edges, value, "right") - 1, 0, len(edges) - 2) if interval else value
            )
            p *= model.network.given_root[name][:, int(state)]
    return np.append(p / max(p.sum(), LEAST), 0.0)
