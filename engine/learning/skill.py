"""The skill of an observer: one number w between its declared table (0) and never being wrong (1).

It settles on C_w = (1 - w) C0 + w I, its rows deviating from that. Before gold it is as likely as not that
the declared table is its own, w = 0; else each w from 0 to 1 is as likely as any other (a prior at low skill
alone was unsure by .30 where eight gold items came from a strong observer). Given w, gold items are taken one
after another: each is foretold by the row around C_w and what the items before it were settled on,

    log P(w) = Σ_i log Σ_m (n_x C_w[x, m] + counts[x, m]) / (n_x + Σ counts[x]) L_i(m),    x: gold of item i,

with the items' likelihoods L_i(m) of what was settled on, which also share out their count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.backend.types import Floats, Ints


# Skills that are tried between 0 and 1.
COUNT = 100
SKILLS = np.linspace(0, 1, COUNT + 1)[:-1]
# P(w = 0) before gold (judgement: as likely as not, the declared table is the observer's own).
AS_DECLARED = 0.5
PRIOR = AS_DECLARED * (SKILLS == 0) + (1 - AS_DECLARED) / COUNT
# Standard deviations that are taken off the mean (chosen by measurement: see `cautious_skill`).
CAUTION = 0.25


@dataclass(frozen=True)
class SkillEvidence:
    """The evidence of gold about an observer's skill in one variable.

    rows: (K, Y) C0, the declared P(settles on y | truth). able: (K, Y) the same for an observer never wrong.
    counts: (K,) pseudo-counts of each row. state: (N,) the items' gold; log_likelihood: (N, Y)
    log P(answers | settled on y) of each.
    """

    rows: Floats
    able: Floats
    counts: Floats
    state: Ints
    log_likelihood: Floats

    def chains(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield for each state with gold what foretells its items, which no item of another state changes.

        counts[x] C_w[x] at each of SKILLS, (COUNT, Y), and its items' likelihoods in their order, (n, Y).
        """
        around = (1 - SKILLS)[:, None, None] * self.rows + SKILLS[:, None, None] * self.able
        likelihood = np.exp(self.log_likelihood - self.log_likelihood.max(1, keepdims=True))
        for x in np.unique(self.state).tolist():
            yield self.counts[x] * around[:, x], likelihood[self.state == x]


def log_scores(evidence: Iterable[SkillEvidence]) -> Floats:
    """Return log P(answers of the gold items | w) of each of SKILLS, up to a constant, (COUNT,).

    Chains of equally many answers are gone through side by side.
    """
    by_answers: dict[int, list[tuple[Floats, Floats]]] = {}
    for gold_evidence in evidence:
        for chain in gold_evidence.chains():
            by_answers.setdefault(chain[1].shape[1], []).append(chain)
    scores = np.zeros(len(SKILLS))
    for chains in by_answers.values():
        chains.sort(key=lambda chain: -len(chain[1]))
        lengths = np.array([len(likelihood) for _, likelihood in chains])
        settled = np.stack([begin for begin, _ in chains])
        likelihoods = np.zeros((lengths[0], len(chains), 1, settled.shape[2]))
        for place, (_, likelihood) in enumerate(chains):
            likelihoods[: len(likelihood), place, 0] = likelihood
        for step, likelihood in enumerate(likelihoods):
            going = settled[: np.count_nonzero(lengths > step)]
            share = going * likelihood[: len(going)]
            chance = share.sum(2, keepdims=True)
            scores += np.log(chance[:, :, 0] / going.sum(2)).sum(0)
            going += share / chance
    return scores


def cautious_skill(evidence: Iterable[SkillEvidence]) -> float:
    """Return the posterior mean of the one skill w behind all this evidence, less CAUTION of its sd.

    With a uniform prior the mean itself stated .06 too much of an observer without skill at 56 items, and .05
    too much of five vision models after 30; a whole sd less, .05 and .01, but .04 too little of skilled
    observers. With this prior it is .05 and .01, and within .03 of skilled ones, but for .033 at skill .6 in
    the wild. The small part of an sd is for what is chosen for its small risk: of what one draw after another
    accepted at a limit of .05, .079 were wrong with that mean, .053 with this. CAUTION was chosen on these
    data, which are no proof of it (tests/benchmarks: test_simulated_skill, test_shared_errors,
    test_repeated_draws); of AS_DECLARED no other value was tried.
    """
    scores = log_scores(evidence)
    weight = PRIOR * np.exp(scores - scores.max())
    weight /= weight.sum()
    mean = float(weight @ SKILLS)
    return max(0.0, mean - CAUTION * float(np.sqrt(weight @ (SKILLS - mean) ** 2)))
