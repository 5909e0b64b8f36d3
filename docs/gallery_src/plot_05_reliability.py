"""
Are stated probabilities true?
==============================

Made-up faces with answers of the declared observers: stated probabilities against the share that was
right. The band is what calibrated predictions would show by chance, with as few items. On data of yours
``seke bench score`` draws the same.
"""

import seke

batches = list(seke.simulate(items=400, questions=["joint"], draws=2, seed=1))
truth = [row for batch in batches for row in batch.truth]
samples = [sample for batch in batches for sample in batch.samples]
seke.plot.reliability(seke.score(list(seke.infer(samples)), truth, bootstrap=0))

# %%
# The same where the answers get worse, from item to item, until most of them are random (``drift``):
# what is declared is no longer true, and the posteriors are too sure. No number of the base says so;
# labels of your own do.

from engine import Misfit

batches = list(seke.simulate(items=400, questions=["joint"], draws=2, seed=1, misfit=Misfit(drift=0.8)))
truth = [row for batch in batches for row in batch.truth]
samples = [sample for batch in batches for sample in batch.samples]
seke.plot.reliability(seke.score(list(seke.infer(samples)), truth, bootstrap=0))
