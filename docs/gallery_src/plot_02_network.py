"""
The knowledge as a network
==========================

What the YAML of the shipped base is compiled into: the expression above valence, arousal and action
units, and the couplings and rules that tie units together beyond what the expression explains.
"""

import seke

seke.plot.network()
