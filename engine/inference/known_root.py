"""Inference below the root where its state is known: of a fit's items that have gold of it.

Given the root, the tree of one of its states says all; the passes for the others are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.network.junction_tree import Readout, collect, distribute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Floats, Ints
    from engine.inference.device_tree import DeviceTree
    from engine.network.network import Network
    from engine.observation.evidence import Evidence


@dataclass(frozen=True)
class _Branch:
    """The tree at one state of the root: its tables (1, nodes...), outlets, and log P(state) with scales."""

    tables: Sequence[Floats]
    outlets: Sequence[Readout]
    log_root: float


class KnownRoot:
    """Exact inference for rows whose root state is known.

    network: with one tree of `tree` (numpy's) for each state of the root; log_root: (K,) the log-weights of
    the states, with the scales of the tables.
    """

    def __init__(self, network: Network, tree: DeviceTree, log_root: Floats) -> None:
        self._network = network
        self._branches = [self._branch(tree, state, log_root) for state in range(len(log_root))]

    def _branch(self, tree: DeviceTree, state: int, log_root: Floats) -> _Branch:
        outlets = []
        for step, outlet in zip(self._network.steps, tree.outlets, strict=True):
            by_root = outlet.transposed
            if step.grid is None:
                by_root = by_root.reshape(len(by_root), len(log_root), -1)
            of_state = np.ascontiguousarray(by_root[:, state].reshape(len(by_root), -1))
            outlets.append(replace(outlet, transposed=of_state))
        tables = [np.asarray(table)[state][None] for table in tree.tables]
        return _Branch(tables, outlets, float(log_root[state]))

    def beliefs(self, evidence: Evidence, states: Ints) -> tuple[Floats, Mapping[str, Floats]]:
        """Return log P(answers, root state) of each row, (rows,), and the answered variables' marginals.

        evidence: of which each row is an item of its own. states: (rows,) of the root, none below 0.
        """
        root, rows = self._network.root, len(evidence.row_item)
        marginals = {name: np.zeros((len(log), rows)) for name, log in evidence.log_likelihood.items()}
        log_z = np.array(evidence.log_weight)
        for state in np.unique(states).tolist():
            branch, here = self._branches[state], np.flatnonzero(states == state)
            log_z[here] += branch.log_root
            linear = {}
            for name, logs in evidence.log_likelihood.items():
                part = np.asarray(logs)[:, here]
                if name == root:
                    log_z[here] += part[state]
                    marginals[root][state, here] = 1.0
                    continue
                peak = part.max(0)
                linear[name] = np.exp(part - peak)
                log_z[here] += peak
            total, held = collect(self._network.steps, branch.tables, linear)
            # A network of the root alone has no steps, and adds a plain 0.
            log_z[here] += np.broadcast_to(total, (1, len(here)))[0]
            beliefs = distribute(self._network.steps, branch.outlets, held, np.ones((1, len(here))))
            for name in linear:
                marginals[name][:, here] = beliefs.marginals[name]
        return log_z, marginals
