"""Pictures of posteriors: values in, shapes out, which are written as SVG text or drawn by matplotlib.

`shapes` has what a picture is made of and both writers; `face`, `bars`, `units`, `plane` and `course` each
draw one thing from plain values; `story` has these values of one item, and `pictures` draws what it has.
"""
