"""Pictures of posteriors: values in, shapes out, which are written as SVG text or drawn by matplotlib.

`shapes` has what a picture is made of and both writers; `face`, `bars`, `units` and `plane` each draw one thing.
"""
