"""
What the answers about one face say
===================================

Prior, what each reading alone says, and the posterior of the expression. The vision model and the other
observers disagree here, so both fear and surprise stay open, and the next question is worth its price.
"""

import seke

SAMPLES = "../../examples/faces/samples.jsonl"
seke.plot.posterior(SAMPLES, "fear-or-surprise")

# %%
# The same item by its action units: which are accepted, which are to be asked about.

seke.plot.units(SAMPLES, "fear-or-surprise")
