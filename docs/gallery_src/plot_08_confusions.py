"""
How observers confuse expressions
=================================

The declared tables: a row for each true expression, how often one answer names each. These are priors,
with sources; ``seke calibrate`` learns yours from some gold.
"""

import matplotlib.pyplot as plt
import numpy as np

import seke

base = seke.knowledge()
states = base.variables["expression"].states
names = ["gpt-4o", "human", "fer", "dataset-label"]

figure, panels = plt.subplots(2, 2, figsize=(8, 7.6), layout="constrained")
for name, axes in zip(names, panels.flat, strict=True):
    answers = base.observers[name].labels["expression"]
    axes.imshow(np.array(answers.confusion), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(answers.answers)), answers.answers, rotation=40, ha="right", size=8)
    axes.set_yticks(range(len(states)), states, size=8)
    for (row, column), value in np.ndenumerate(np.array(answers.confusion)):
        if value >= 0.1:
            colour = "white" if value > 0.6 else "black"
            axes.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center", size=7, color=colour)
    axes.set(title=name, ylabel="true", xlabel="answer")
figure
