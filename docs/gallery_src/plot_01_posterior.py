"""
What one face's answers say
===========================

Prior, what each reading says, and the posterior of the expression.
"""

import seke

seke.plot.posterior("../../examples/faces/samples.jsonl", "fear-or-surprise")
