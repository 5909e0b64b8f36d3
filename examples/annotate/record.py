"""Make answers.jsonl: made-up answers about the drawn faces, for a first try without a model.

    python examples/annotate/record.py

They come from `seke.vision.fake.ScriptedModel`, which is told what each drawing is meant to show and errs
now and then. No vision model has seen these pictures.
"""

from __future__ import annotations

import json
from pathlib import Path

import seke
from seke.start.made_up_answers import made_up_answers, truths_of
from seke.vision.fake import ScriptedModel

HERE = Path(__file__).parent
OBSERVER = "gpt-4o"
MEANT = {
    "at-rest": ("neutral", 0.0, -0.1, []),
    "smile": ("happiness", 0.6, 0.1, ["AU6", "AU12"]),
    "broad-smile": ("happiness", 0.8, 0.4, ["AU6", "AU12", "AU25"]),
    "brows-down": ("anger", -0.6, 0.5, ["AU4", "AU7", "AU24"]),
    "startled": ("surprise", 0.1, 0.8, ["AU1", "AU2", "AU5", "AU25", "AU26"]),
    "downcast": ("sadness", -0.6, -0.3, ["AU1", "AU4", "AU15"]),
}


def main() -> None:
    """Write the file."""
    base = seke.knowledge()
    meant = {
        item: {"units": units, "truth": {"expression": label, "valence": v, "arousal": a}}
        for item, (label, v, a, units) in MEANT.items()
    }
    model = ScriptedModel(7, truths_of(base, meant), error=0.12)
    with (HERE / "answers.jsonl").open("w") as file:
        for answer in made_up_answers(base, model, OBSERVER):
            file.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
