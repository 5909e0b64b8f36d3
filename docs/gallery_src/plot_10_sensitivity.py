"""
Which numbers matter
====================

How far the probability that a decision is right moves when one declared number is moved by a tenth: the
first numbers to look up, argue about, or measure. It is the base of tomatoes in ``examples/plants``,
which compiles in an instant; for the shipped base it takes half a minute.
"""

import matplotlib.pyplot as plt

import seke

report = seke.sensitivity("../../examples/plants/samples.jsonl", "../../examples/plants/knowledge")
rows = sorted(report.facts["numbers"], key=lambda row: -row["per_tenth"])[:12]

figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
axes.barh(
    range(len(rows)),
    [abs(row["largest"]) for row in rows],
    color="#c6d8e8",
    label="of the item that it moves most",
)
axes.barh(range(len(rows)), [row["per_tenth"] for row in rows], color="#0072b2", label="mean of all items")
axes.set_yticks(range(len(rows)), [row["path"] for row in rows], size=8)
axes.invert_yaxis()
axes.set(xlabel="change of P(decided right) for a change of 0.1")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower right")
figure
