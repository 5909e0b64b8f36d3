"""
Which answer weighed how much
=============================

The log-odds of the label that won, in bits, after each answer about one face. One bit doubles the odds.
An answer that repeats an earlier one adds little; one that disagrees takes away.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import seke

ITEM, LABEL = "asked-every-way", "fear"
lines = Path("../../examples/faces/samples.jsonl").read_text().split("\n")
answers = [sample for sample in map(json.loads, filter(None, lines)) if sample["item"] == ITEM]

# %%
# Each prefix of the answers becomes an item of its own.

prefixes = [{**sample, "item": f"first {k}"} for k in range(1, len(answers) + 1) for sample in answers[:k]]
p = np.array([record["expression"][LABEL] for record in seke.infer(prefixes)])
log_odds = np.log2(p / (1 - p))
prior = np.log2(1 / 7)
before = np.concatenate([[prior], log_odds[:-1]])

figure, axes = plt.subplots(figsize=(7, 0.28 * len(answers) + 1.2), layout="constrained")
colours = np.where(log_odds >= before, "#0072b2", "#d55e00")
axes.barh(range(len(answers)), log_odds - before, left=before, color=colours)
axes.set_yticks(range(len(answers)), [f"{sample['observer']}, {sample['question']}" for sample in answers])
axes.invert_yaxis()
axes.axvline(0, color="black", linewidth=0.8)
axes.set(xlabel=f"log-odds of {LABEL}, bits", title=f"{ITEM}: from the prior to the posterior")
axes.spines[["top", "right"]].set_visible(False)
figure
