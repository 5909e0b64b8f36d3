"""
Expressions in the plane of valence and arousal
===============================================

Mean and one standard deviation of each expression, as declared in ``knowledge/affect.yaml``. They
overlap: valence and arousal alone seldom settle a label.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

import seke

base = seke.knowledge()
figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
colours = plt.get_cmap("tab10").colors
for state, moments, colour in zip(base.variables["expression"].states, base.moments, colours, strict=False):
    covariance = np.outer(moments.sd, moments.sd) * np.array(moments.correlation)
    variances, axes_of_ellipse = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(*axes_of_ellipse[::-1, 1]))
    width, height = 2 * np.sqrt(variances[::-1])
    axes.add_patch(Ellipse(moments.mean, width, height, angle=angle, color=colour, alpha=0.18))
    axes.text(*moments.mean, state, ha="center", va="center", color=colour, weight="bold")
axes.axhline(0, color="grey", linewidth=0.8)
axes.axvline(0, color="grey", linewidth=0.8)
axes.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="valence", ylabel="arousal", aspect="equal")
figure

# %%
# One face: the answers, and the posterior's regions of 50 and 90 %.

seke.plot.va("../../examples/faces/samples.jsonl", "afraid-brows")
