"""The small base of faces that fits in tests are made with, and an overlay of it that takes no search."""

from pathlib import Path

FACES = Path(__file__).with_name("few_faces.yaml")
# Where each value by itself is to be safe no thresholds are looked for, which takes half of a calibration.
EACH = """extends: {base}
policy:
  source: judgement
  note: For tests.
  limits: {{expression: {{each: 0.2}}, affect: {{each: 0.2}}, action_units: {{each: 0.1}}}}
"""
