"""
Drawn faces
===========

Each action unit moves the landmarks of a schematic face as FACS describes, by its probability. So a
posterior can be looked at without the picture, and unlikely combinations look unlikely.
"""

import seke

seke.plot.face({"AU6": 0.9, "AU12": 1.0, "AU25": 0.8})

# %%
# From answers: the face of an item's posterior.

seke.plot.face("../../examples/faces/samples.jsonl", "afraid-brows")
