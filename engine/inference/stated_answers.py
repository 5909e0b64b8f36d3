"""Made-up answers to prompts that stated something of the items (`observation.told_readings`, `echo`).

A reading whose prompt told it something follows that, in place of a look, with the probability that its
observer declares; an answer whose prompt stated an earlier one merely repeats it with the echo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.inference.choice import choose
from engine.observation.kernels import LabelKernel
from engine.observation.told_readings import stated_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.shared_switch import SharedSwitch
    from engine.observation.evidence import ObservationModel

# Under which the root state that is followed stands beside the types of variables.
FOLLOWED = ""


def follow_stated(
    observations: ObservationModel,
    observer: int,
    question: str,
    stated: Mapping[str, Floats],
    reading_types: dict[str, Ints],
    switch: SharedSwitch,
    carry: float,
    rng: np.random.Generator,
) -> None:
    """Replace the types of a reading, (N,) each, by those that what was stated implies, where it is followed.

    stated: variable -> (N,), NaN where nothing was stated. switch: of the observer's told readings.
    """
    base = observations.knowledge
    halo = float(observations.halo_of_given[observer, list(base.questions).index(question)])
    values = np.stack([stated[name] for name in base.variables if name in stated], axis=1)
    names = [name for name in base.variables if name in stated]
    items = len(values)
    informed: Bools = np.asarray(~np.isnan(values).all(1))
    if not halo or not informed.any():
        return
    rows, kind = np.unique(values, axis=0, return_inverse=True)
    givens = [
        tuple((name, value) for name, value in zip(names, row, strict=True) if not np.isnan(value))
        for row in rows.tolist()
    ]
    root = np.stack([stated_root(observations, given) for given in givens])[kind.reshape(-1)]
    on, same = switch.draw(halo, carry, items, rng)
    on &= informed
    first = dict(switch.types)

    def shared(name: str, drawn: Ints) -> Ints:
        kept = first.get(name, np.full(len(drawn), -1))
        return np.asarray(np.where(same & (kept >= 0), kept, drawn))

    state = shared(FOLLOWED, choose(root, rng.random(items)))
    switch.keep(FOLLOWED, state, on)
    for name, types in reading_types.items():
        implied = _implied(observations, observer, name)[state]
        followed = shared(name, choose(implied, rng.random(items)))
        reading_types[name] = np.where(on, followed, types)
        switch.keep(name, followed, on)


def _implied(observations: ObservationModel, observer: int, name: str) -> Floats:
    """Return P(type | root state that is followed), (K + 1, M)."""
    kernel = observations.kernels[observer, name]
    if name != observations.network.root or not isinstance(kernel, LabelKernel):
        return np.asarray(observations.imagined[observer, name])
    named = np.arange(len(observations.network.root_states) + 1)[:, None] == observations.seen_state[observer]
    return np.asarray(named * kernel.share)


def repeat_stated(
    observations: ObservationModel,
    observer: int,
    question: str,
    name: str,
    answers: NDArray[Any],
    stated: Floats,
    chance: Floats,
) -> NDArray[Any]:
    """Return the answers about a variable, (N, draws), of which some merely repeat what was stated.

    stated: (N,), NaN where nothing was. chance: (N, draws) uniform numbers from 0 to 1; an answer whose
    number is below the echo is what was stated. What an observer has no answer for is never repeated.
    """
    base, echo = observations.knowledge, observations.echo[observer]
    value = stated
    if name in echo.answer_of:
        known = ~np.isnan(stated)
        value = np.full(len(stated), np.nan)
        value[known] = echo.answer_of[name][stated[known].astype(np.int64)]
        value[value < 0] = np.nan
    probability = echo.probability[list(base.questions).index(question)]
    repeated = (chance < probability) & ~np.isnan(value)[:, None]
    filled = np.nan_to_num(value).astype(answers.dtype)
    return np.asarray(np.where(repeated, filled[:, None], answers))
