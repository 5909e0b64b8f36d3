"""What `seke annotate --show-prompts` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.annotation.job import Job
    from seke.vision.messages import Prompt, Settings


def print_prompts(job: Job, settings: Settings) -> None:
    """Print the views of a run, all its prompts, and how they begin alike."""
    from seke.prompts import Questions

    questions, views = Questions(job.annotator.base), job.annotator.base.views
    for view in views.values():
        options = view.options
        kinds = "".join(f", {kind}" for kind in ("grey", "mirror") if options[kind])
        detail = options["detail"] or settings.detail
        sides = f"{options['least']} to" if options["least"] else "at most"
        sides += f" {options['size']} pixels a side"
        print(f"--- picture in view {view.name}: {sides}, detail {detail}{kinds}")
    plain: list[tuple[str, Prompt]] = []
    system = ""
    for request in questions.all_requests(job.items[0].name):
        about = f", here about {request.about}" if request.about else ""
        variants = questions.variants(request)
        plain.append((f"{request.question} to {request.observer}", variants[0][1]))
        for case, prompt in variants:
            if prompt.system != system:
                system = prompt.system
                print(f"--- told first, in all questions that follow\n{system}\n")
            print(f"--- {request.question} to {request.observer}{about}{case} ({prompt.digest[:16]})")
            print(f"{prompt.text}\n--- its form: {json.dumps(prompt.schema)}\n")
    print("\n".join(_shared_beginnings(plain, settings)))


def _shared_beginnings(prompts: list[tuple[str, Prompt]], settings: Settings) -> Iterator[str]:
    """Yield lines on what a server can keep that stores how requests begin."""
    from seke.vision.shared_beginnings import common_letters, letters_before_picture

    place = "before" if settings.picture == "first" else "after"
    yield f"--- letters with which requests begin alike, the picture {place} the question"
    for name, prompt in prompts:
        whole = len(prompt.system) + len(prompt.text)
        others = [common_letters(prompt, other, settings) for _, other in prompts if other is not prompt]
        yield (
            f"{name}: {letters_before_picture(prompt, settings):,} of {whole:,} about another picture, "
            f"{max(others, default=0):,} in another question about the same picture"
        )
