"""Pictures of posteriors: values in, shapes out, which are written as SVG text or drawn by matplotlib.

`shapes` has what a picture is made of and both writers; `face`, `bars`, `action_units`, `valence_arousal` and
`trajectory` each draw one thing from plain values, which `explanations` gathers of one item.
"""
