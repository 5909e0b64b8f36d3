"""Make answers.jsonl: made-up answers about the drawn faces, for a first try without a model.

    python examples/annotate/record.py

They come from `seke.vision.fake.ScriptedModel`, which is told what each drawing is meant to show and errs
now and then. No vision model has seen these pictures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import seke
from engine import view_in_form
from seke.datasets.images import picture_of, view_of
from seke.prompts import Questions
from seke.sampling.loop import Request
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Call

HERE = Path(__file__).parent
OBSERVER, DRAWS, VERIFIED = "gpt-4o", 8, 6
MEANT = {
    "at-rest": ("neutral", 0.0, -0.1, []),
    "smile": ("happiness", 0.6, 0.1, ["AU6", "AU12"]),
    "broad-smile": ("happiness", 0.8, 0.4, ["AU6", "AU12", "AU25"]),
    "brows-down": ("anger", -0.6, 0.5, ["AU4", "AU7", "AU24"]),
    "startled": ("surprise", 0.1, 0.8, ["AU1", "AU2", "AU5", "AU25", "AU26"]),
    "downcast": ("sadness", -0.6, -0.3, ["AU1", "AU4", "AU15"]),
}


class Nothing:
    """A journal that keeps nothing."""

    async def sent(self, *_: object) -> int:
        """Count nothing."""
        return 0

    async def answered(self, *_: object) -> None:
        """Keep nothing."""

    async def failed(self, *_: object) -> None:
        """Keep nothing."""


async def main() -> None:
    """Write the file."""
    base = seke.knowledge()
    truths = {
        item: {
            "expression": label,
            "valence": v,
            "arousal": a,
            **{unit: unit in units for unit in base.cells},
        }
        for item, (label, v, a, units) in MEANT.items()
    }
    model, questions = ScriptedModel(7, truths, error=0.12), Questions(base)
    picture = picture_of(HERE / "at-rest.png", view_of(base, "face"))
    with (HERE / "answers.jsonl").open("w") as file:
        for item in MEANT:
            for question in base.questions.values():
                abouts = question.variables if question.about_one else (None,)
                for about, form in itertools.product(abouts, range(question.forms)):
                    samples, view = VERIFIED if about else DRAWS, view_in_form("face", form)
                    request = Request(item, OBSERVER, question.name, about, view, 0, samples)
                    call = Call(request, questions.prompt(request), picture)
                    for choice in await model.ask(call, Nothing()):
                        reading = {"item": item, "observer": OBSERVER, "question": question.name}
                        reading |= {"about": about} if about else {}
                        reading |= {"view": view} if form else {}
                        answer = {**reading, "draw": choice.draw, "text": choice.text}
                        file.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
