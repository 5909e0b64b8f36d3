"""A small multi-task net that learns expression, valence, arousal and action units; its scores on gold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS, BATCH, RATE, MOST_WEIGHTS = 300, 64, 5e-3, 200_000
# Pictures of a batch are moved by so many pixels at most.
MOST_MOVED = 3


@dataclass
class Targets:
    """What students learn, of N pictures, with weights of 0 where nothing is known.

    expression: (N, K) shares. numbers: (N, 2). units: (N, U) probabilities. known: task -> (N,) weights, of
    units (N, U).
    """

    expression: np.ndarray
    numbers: np.ndarray
    units: np.ndarray
    known: Mapping[str, np.ndarray]

    def part(self, start: int, stop: int) -> Targets:
        """Return those of the pictures from start to stop."""
        rows = slice(start, stop)
        known = {name: weights[rows] for name, weights in self.known.items()}
        return Targets(self.expression[rows], self.numbers[rows], self.units[rows], known)

    def after(self, others: Targets) -> Targets:
        """Return the others' targets with these behind them."""
        known = {name: np.concatenate([others.known[name], self.known[name]]) for name in self.known}
        pairs = (
            (others.expression, self.expression),
            (others.numbers, self.numbers),
            (others.units, self.units),
        )
        return Targets(*map(np.concatenate, pairs), known)


class Net(nn.Module):
    """Three strided convolutions and two layers over all three tasks."""

    def __init__(self, states: int, units: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 5, 2, 2), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU(), nn.Dropout(0.2),
            nn.Flatten(), nn.Linear(48 * 6 * 6, 96), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(96, states + 2 + units),
        )  # fmt: skip
        self.parts = states, 2, units
        assert sum(weights.numel() for weights in self.parameters()) <= MOST_WEIGHTS

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the logits of expressions, the numbers, and the logits of units."""
        return torch.split(self.body(pictures[:, None]), self.parts, dim=1)


def taught(pictures: np.ndarray, targets: Targets, seed: int) -> Net:
    """Return a net that learned from pictures (N, 48, 48) for STEPS batches, on a GPU where there is one."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = Net(targets.expression.shape[1], targets.units.shape[1]).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    shown = torch.as_tensor(pictures, device=device)
    expression, numbers, units = (torch.as_tensor(values, dtype=torch.float32, device=device) for values in (
        targets.expression, targets.numbers, targets.units))  # fmt: skip
    known = {
        name: torch.as_tensor(weights, dtype=torch.float32, device=device)
        for name, weights in targets.known.items()
    }
    # A picture of which nothing is known is not in a data set.
    has_labels = np.flatnonzero(
        sum(weights.reshape(len(shown), -1).any(1) for weights in targets.known.values())
    )
    labelled = torch.as_tensor(has_labels)
    generator = torch.Generator().manual_seed(seed)
    net.train()
    for _ in range(STEPS):
        at = labelled[torch.randint(len(labelled), (BATCH,), generator=generator)].to(device)
        moved = torch.randint(-MOST_MOVED, MOST_MOVED + 1, (2,), generator=generator).tolist()
        of_label, of_numbers, of_units = net(torch.roll(shown[at], moved, (1, 2)))
        entropy = -(expression[at] * torch.log_softmax(of_label, 1)).sum(1)
        squares = ((of_numbers - numbers[at]) ** 2).sum(1)
        binary = nn.functional.binary_cross_entropy_with_logits(of_units, units[at], reduction="none")
        loss = _mean(entropy, known["expression"][at]) + 2 * _mean(squares, known["numbers"][at])
        loss = loss + 3 * _mean(binary, known["units"][at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.cpu().eval()


def _mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)


def scores(net: Net, pictures: np.ndarray, gold: Targets) -> dict[str, float]:
    """Return macro F1 of expressions, mean CCC of valence and arousal, and mean F1 of units, on gold."""
    with torch.no_grad():
        of_label, of_numbers, of_units = (part.numpy() for part in net(torch.as_tensor(pictures)))
    truth = gold.expression.argmax(1)
    return {
        "expression, macro F1": float(f1_score(truth, of_label.argmax(1), average="macro")),
        "valence and arousal, CCC": float(
            np.mean([concordance(gold.numbers[:, k], of_numbers[:, k]) for k in (0, 1)])
        ),
        "action units, mean F1": float(
            f1_score(gold.units > 0.5, of_units > 0, average="macro", zero_division=0)
        ),
    }


def concordance(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return Lin's concordance (doi:10.2307/2532051)."""
    together = ((truth - truth.mean()) * (predicted - predicted.mean())).mean()
    return float(2 * together / (truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2))
