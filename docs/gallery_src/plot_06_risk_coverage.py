"""
Keep the surest
===============

If only the items with the lowest stated risk are kept, how many of them are wrong? One curve a variable;
a useful risk makes it rise from the left to the right.
"""

import seke

batches = list(seke.simulate(items=400, questions=["joint"], draws=2))
truth = [row for batch in batches for row in batch.truth]
samples = [sample for batch in batches for sample in batch.samples]
seke.plot.risk_coverage(seke.score(list(seke.infer(samples)), truth, bootstrap=0))
