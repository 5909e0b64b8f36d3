"""
Which units an expression shows
===============================

P(action unit | expression), as declared in ``knowledge/activations.yaml``. Each cell also has a
strength: how far a calibration, or an argument, may move it. ``seke knowledge show AU12`` says where
each number is from.
"""

import matplotlib.pyplot as plt
import numpy as np

import seke

base = seke.knowledge()
units, expressions = base.levels["action_units"], base.variables["expression"].states
p = np.array([[cell.p for cell in base.cells[unit]] for unit in units])

figure, axes = plt.subplots(figsize=(6.5, 6.5), layout="constrained")
picture = axes.imshow(p, cmap="Blues", vmin=0, vmax=1, aspect="auto")
axes.set_xticks(range(len(expressions)), expressions, rotation=30, ha="right")
axes.set_yticks(range(len(units)), [f"{unit} {base.variables[unit].label}" for unit in units])
for (row, column), value in np.ndenumerate(p):
    axes.text(
        column,
        row,
        f"{value:.2f}",
        ha="center",
        va="center",
        size=7,
        color="white" if value > 0.6 else "black",
    )
figure.colorbar(picture, label="P(active | expression)")
figure
