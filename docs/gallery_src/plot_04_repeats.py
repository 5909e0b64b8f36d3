"""
What asking again is worth
==========================

A model that is asked the same thing again mostly says the same again. If its answers were independent
draws, ten equal ones would be proof; as they are not, the tenth says next to nothing. What the model
settles on is wrong as often as it is, however often it repeats it (``carry`` and ``repeat`` of an
observer).
"""

import matplotlib.pyplot as plt
import numpy as np

import seke

counts = np.arange(1, 13)
samples = [
    {
        "item": f"{count} answers",
        "observer": "gpt-4o",
        "question": "expression",
        "draw": draw,
        "expression": "anger",
    }
    for count in counts
    for draw in range(count)
]
posterior = [record["expression"]["anger"] for record in seke.infer(samples)]

# %%
# Beside it Bayes' rule for independent answers, by the same table of single answers.

base = seke.knowledge()
answers = base.observers["gpt-4o"].labels["expression"]
of_anger = np.array(answers.confusion)[:, answers.answers.index("anger")]
independent = of_anger ** counts[:, np.newaxis]
independent /= independent.sum(axis=1, keepdims=True)
anger = base.variables["expression"].states.index("anger")

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.plot(counts, independent[:, anger], "s--", color="#d55e00", label="if they were independent")
axes.plot(counts, posterior, "o-", color="#0072b2", label="repeats of one model, as declared")
axes.set(xlabel="equal answers: anger", ylabel="P(anger)", ylim=(0, 1.02), xticks=counts)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower right")
figure
