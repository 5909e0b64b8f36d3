"""
The same answers under other knowledge
======================================

How faces look depends on how they came about. The shipped overlays for posed faces, spontaneous ones and
pictures of the web read the same answers differently.
"""

import matplotlib.pyplot as plt
import numpy as np

import seke

SAMPLES = "../../examples/faces/samples.jsonl"
bases = ["shipped", "posed", "spontaneous", "in-the-wild"]
items = ["fear-or-surprise", "stereotype-against-units", "with-extra"]
records = {base: {record["item"]: record for record in seke.infer(SAMPLES, base)} for base in bases}
states = seke.knowledge().variables["expression"].states

figure, panels = plt.subplots(len(items), 1, figsize=(7, 6.5), layout="constrained", sharex=True)
for item, axes in zip(items, panels, strict=True):
    for shift, base in zip(np.linspace(-0.3, 0.3, 4), bases, strict=True):
        p = [records[base][item]["expression"][state] for state in states]
        axes.bar(np.arange(len(states)) + shift, p, 0.2, label=base)
    axes.set(title=item, ylabel="probability", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
panels[-1].set_xticks(range(len(states)), states)
panels[0].legend(frameon=False, ncols=4)
figure
