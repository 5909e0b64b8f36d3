"""
What a policy would cost
========================

Made-up faces, asked as the policy asks with tighter and looser limits, beside the plain design that asks
all the same number of times. The policy spends answers where they are worth their price. ``seke plan``
prints this with intervals.
"""

import matplotlib.pyplot as plt

import seke

plan = seke.plan(items=80, limits=[0.5, 1, 2], fixed=[1, 3])

figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", sharex=True)
for design, marker, colour in (("policy", "o", "#0072b2"), ("fixed", "s", "#d55e00")):
    rows = [row for row in plan.rows if row["design"] == design]
    calls = [row["calls"]["mean"] for row in rows]
    for axes, level in zip(panels, ("expression", "affect"), strict=True):
        accepted = [row["levels"][level]["accepted"]["share"] for row in rows]
        axes.plot(calls, accepted, marker, linestyle="-", color=colour, label=design)
        axes.set(title=level, xlabel="answers an item", ylabel="accepted, share", ylim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
panels[0].legend(frameon=False)
figure
