"""Writes the data card of an export: README.md with the front matter that the Hugging Face hub reads.

Names from outside (sources, models, notes) each become one line of text, never markup.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.exporting.accepted_labels import ESTABLISHED_BASES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge
    from seke.exporting.counts import ExportCounts
    from seke.exporting.licences import Licence
    from seke.runs.run_folder import RunFolder

    Record = dict[str, Any]

TEMPLATE = "card.md"
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")
WHERE = {
    "messages": "`messages/SPLIT.jsonl`; LLaMA-Factory finds it with this folder as its `dataset_dir`",
    "trl": "`trl/SPLIT.jsonl`, prompt and completion for TRL's SFTTrainer",
    "llava": "`llava/SPLIT.json`, with this folder as `--image_folder`",
    "imagefolder": '`load_dataset("imagefolder", data_dir="images")`',
    "parquet": "`parquet/SPLIT.parquet`, the posterior of every level, accepted or not",
}
LOADED = ("messages", "trl")
# The hub's size categories: upper bounds in items, and their names.
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
WORDS = {1_000: "1K", 10_000: "10K", 100_000: "100K", 1_000_000: "1M", 10_000_000: "10M"}


def card_text(
    facts: Record, run: RunFolder, base: Knowledge, tally: ExportCounts, licences: Mapping[str, Licence]
) -> str:
    """Return the text of the card; facts: the content of export.json."""
    population = base.populations[facts["population"]]
    observer_names = (run.facts["observer"], *run.facts["also"])
    observers = [base.observers[name] for name in observer_names if name in base.observers]
    used = {cell.source for cells in base.cells.values() for cell in cells} | {
        moment.source for moment in base.moments
    }
    observer_notes = [f"{observer.name}: {observer.note}" for observer in observers if observer.note]
    states = base.variables[base.root].states
    words = {
        "facts": facts,
        "front": _front(facts),
        "run": run,
        "tally": tally,
        "tally_levels": list(base.levels),
        "levels_told": ", ".join(
            f"{tally.values[name]:,} values of {name.replace('_', ' ')}" for name in base.levels
        ),
        "where": WHERE,
        "ungrouped": _ungrouped(facts, run),
        "sources": sorted(tally.sources.items()),
        "nameless": "not stated (the manifest has no column source)",
        "states": states,
        "units": [base.variables[name] for name in base.cells],
        "prompts": {
            question: {
                "answers": sum(answers_by_digest.values()),
                "prompts": len(answers_by_digest),
                "digests": ", ".join(f"`{digest[:16]}`" for digest in list(answers_by_digest)[:3]),
            }
            for question, answers_by_digest in run.prompts.items()
        },
        "uncalibrated": sum(
            count for basis, count in tally.bases.items() if basis not in (*ESTABLISHED_BASES, "inferred")
        ),
        "promises": run.summary.get("promises", ()),
        "prior": {
            "p": ", ".join(f"{state} {p:.3g}" for state, p in zip(states, population.p, strict=True)),
            "note": population.note,
        },
        "observer_notes": observer_notes,
        "knowledge_sources": [source for name, source in base.sources.items() if name in used],
        "licences": licences,
    }
    return f"{_template().render(words)}\n"


def _ungrouped(facts: Record, run: RunFolder) -> str:
    key = facts["group"]
    lacking = (
        sum(getattr(listed_item, key, None) is None for listed_item in run.items.values())
        if key != "item"
        else 0
    )
    if not lacking:
        return "every item names one."
    return f"items of the run that name none, and were drawn one by one: {lacking:,}."


def _front(facts: Record) -> str:
    """Return the front matter, its values as JSON, which is YAML, so that no name can break out of it."""
    count = sum(facts["splits"].values())
    size = next((most for most in SIZES if count < most), None)
    above = max((most for most in SIZES if most <= count), default=None)
    made_up = ["made-up-answers"] if facts["scripted"] else []
    front_matter: Record = {
        "pretty_name": "Perceived facial expressions, accepted by seke",
        "language": [facts["language"]],
        "license": "other",
        "license_name": "of-the-pictures-see-below",
        "task_categories": ["image-text-to-text", "image-classification"],
        "tags": ["facial-expression", "action-units", "valence-arousal", "machine-annotated", *made_up],
        "size_categories": [
            f"n<{WORDS[size]}"
            if size == SIZES[0]
            else f"{WORDS[above or 0]}<n<{WORDS[size]}"
            if size
            else f"n>{WORDS[SIZES[-1]]}"
        ],
    }
    configs: list[Record] = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": f"{name}/{split}.jsonl"} for split in facts["splits"]],
        }
        for name in LOADED
        if name in facts["formats"]
    ]
    if configs:
        configs[0]["default"] = True
        front_matter["configs"] = configs
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in front_matter.items())


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    rooms = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    rooms.filters |= {"text": _text, "cell": _text, "thousands": lambda count: f"{count:,}"}
    return rooms.from_string(Path(__file__).with_name(TEMPLATE).read_text("utf-8"))


def _text(value: Any) -> str:
    """Return one line of text that is no markup."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(value)).split())
    return MARKUP.sub(r"\\\1", line)
