"""An observer's contribution about the root: its labels, and the answers that followed one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, distinct, namespace, take_rows, taken_sums
from engine.observation.contributions import ObserverContribution
from engine.observation.reported_answers import positions_of
from engine.observation.told_readings import told_readings

if TYPE_CHECKING:
    from engine.backend.types import Array
    from engine.model.responses import Answers
    from engine.observation.observer_kernels import ObserverKernels
    from engine.observation.switches import Expanded


def root_contribution(
    model: ObserverKernels, answers: Answers, observer: int, followed: Array, together: Array, pairs: Expanded
) -> ObserverContribution:
    """Return an observer's contribution about the root: its labels, and answers that followed a label.

    followed: (readings, K + 1) and together: (bundles, K + 1) log P(other answers | the label followed).
    """
    states, reported = model.seen_state[observer], model.reported(answers, observer, model.network.root)
    local = positions_of(reported.reading, len(answers.reading_item))[pairs.reading]
    by_observer = answers.reading_observer[pairs.reading] == observer
    was_told = told_readings(model, answers)
    by_observer &= ~(was_told[pairs.reading] & pairs.on)
    alone = by_observer & (pairs.bundle < 0)
    plain, on = alone & (local >= 0) & ~pairs.on, alone & pairs.on
    # Readings without a label show only what follows from one; their table stands behind those of the
    # labels.
    unlabelled = len(reported.table)
    label_table = asarray_like(reported.table.reshape(-1, len(states)), followed)
    xp = namespace(label_table)
    table = xp.concatenate([label_table, model.zeros(1, len(states))])
    label_pattern = np.where(local >= 0, np.append(reported.pattern, unlabelled)[local], unlabelled)
    combined = take_rows(table, label_pattern[on]) + take_rows(followed, pairs.reading[on])[:, states]
    number = np.where(plain, label_pattern, 0)
    number[on] = len(table) + np.arange(len(combined))
    used = plain | on
    own_bundles = distinct(pairs.member[0, ~was_told[pairs.member[1]]])
    own_bundles = own_bundles[pairs.bundle_observer[own_bundles] == observer]
    pattern, row = number[used], pairs.row[used]
    if len(own_bundles):
        # A bundle is one factor in each of its rows, whatever the number of its readings.
        member = pairs.member[:, np.isin(pairs.member[0], own_bundles)]
        position = positions_of(reported.reading, len(answers.reading_item))[member[1]]
        stands = np.where(position >= 0, np.append(reported.pattern, unlabelled)[position], unlabelled)
        starts = np.searchsorted(member[0], own_bundles)
        joint = taken_sums(table, stands, starts) + take_rows(together, own_bundles)[:, states]
        bundled = by_observer & (pairs.bundle >= 0)
        once = np.unique(np.stack([pairs.row[bundled], pairs.bundle[bundled]]), axis=1)
        first = len(table) + len(combined)
        pattern = np.concatenate([pattern, first + np.searchsorted(own_bundles, once[1])])
        row = np.concatenate([row, once[0]])
        combined = xp.concatenate([combined, joint])
    return ObserverContribution(observer, xp.concatenate([table, combined]), pattern, row)
