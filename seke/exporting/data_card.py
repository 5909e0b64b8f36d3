"""Writes the data card of an export: README.md with the front matter that the Hugging Face hub reads.

Names from outside (sources, models, notes) each become one line of text, never markup.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.exporting.accepted_labels import ESTABLISHED_BASES
from seke.exporting.doubt import MODEL, PEOPLE
from seke.exporting.features import card_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge
    from seke.exporting.counts import ExportCounts
    from seke.exporting.licences import Licence
    from seke.exporting.source import ExportSource

    Record = dict[str, Any]

TEMPLATE = "card.md"
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")
WHERE = {
    "messages": "`messages/SPLIT.jsonl`; LLaMA-Factory finds it with this folder as its `dataset_dir`",
    "trl": "`trl/SPLIT.jsonl`, prompt and completion for TRL's SFTTrainer",
    "llava": "`llava/SPLIT.json`, with this folder as `--image_folder`",
    "imagefolder": '`load_dataset("imagefolder", data_dir="images")`',
    "parquet": "`parquet/SPLIT.parquet`, all that is known of an item; `load_dataset` of this folder",
}
LOADED = ("messages", "trl")
PARQUET = "parquet"
# Licences that the hub has a name for, of those that pictures are under.
HUB_LICENCES = (
    "cc0-1.0",
    *(f"cc-{kind}-4.0" for kind in ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")),
)
# The hub's size categories: upper bounds in items, and their names.
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
WORDS = {1_000: "1K", 10_000: "10K", 100_000: "100K", 1_000_000: "1M", 10_000_000: "10M"}


def card_facts(
    facts: Record, source: ExportSource, base: Knowledge, licences: Mapping[str, Licence], features: Record
) -> Record:
    """Return what the card says besides counts, as JSON values: `card` in export.json.

    facts: the rest of export.json. features: of the parquet columns, none where there are no such files.
    """
    population = base.populations[facts["population"]]
    observers = [base.observers[name] for name in source.observers if name in base.observers]
    used = {cell.source for cells in base.cells.values() for cell in cells} | {
        moment.source for moment in base.moments
    }
    states = base.variables[base.root].states
    return {
        "run": source.card,
        "levels": list(base.levels),
        "states": list(states),
        "units": {name: base.variables[name].label for name in base.cells},
        "ungrouped": _ungrouped(facts, source),
        "prior": {
            "p": ", ".join(f"{state} {p:.3g}" for state, p in zip(states, population.p, strict=True)),
            "note": population.note,
        },
        "observer_notes": [f"{observer.name}: {observer.note}" for observer in observers if observer.note],
        "knowledge_sources": [source.cite for name, source in base.sources.items() if name in used],
        "licences": {name: asdict(terms) for name, terms in licences.items()},
        "features": features,
    }


def card_text(facts: Record, tally: ExportCounts) -> str:
    """Return the text of the card; facts: the content of export.json."""
    card = facts["card"]
    established = (*ESTABLISHED_BASES, "inferred")
    words = {
        **card,
        "facts": facts,
        "front": _front(facts, tally),
        "tally": tally,
        "levels_in_words": ", ".join(
            f"{tally.values[name]:,} values of {name.replace('_', ' ')}" for name in card["levels"]
        ),
        "where": WHERE,
        "sources": sorted(tally.sources.items()),
        "nameless": "not stated (the manifest has no column source)",
        "uncalibrated": sum(count for basis, count in tally.bases.items() if basis not in established),
        "people": PEOPLE,
        "model": MODEL,
    }
    return f"{_template().render(words)}\n"


def _ungrouped(facts: Record, source: ExportSource) -> int:
    """Return how many items of the source name no group of the kind that is not parted."""
    key = facts["group"]
    if key == "item":
        return 0
    return sum(getattr(listed_item, key, None) is None for listed_item in source.items.values())


def _front(facts: Record, tally: ExportCounts) -> str:
    """Return the front matter, its values as JSON, which is YAML, so that no name can break out of it."""
    count = sum(facts["splits"].values())
    size = next((most for most in SIZES if count < most), None)
    above = max((most for most in SIZES if most <= count), default=None)
    made_up = ["made-up-answers"] if facts["scripted"] else []
    front_matter: Record = {
        "pretty_name": "Perceived facial expressions, accepted by seke",
        "language": [facts["language"]],
        **_licence(facts, tally),
        "annotations_creators": ["machine-generated"],
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
    configs = _configs(facts)
    if configs:
        front_matter["configs"] = configs
    if PARQUET in facts["formats"]:
        front_matter["dataset_info"] = {
            "config_name": PARQUET,
            "features": card_features(facts["card"]["features"]),
        }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in front_matter.items())


def _configs(facts: Record) -> list[Record]:
    """Return the configurations by which `datasets` loads the folder; the first is the default.

    A folder is read by one reader. So where there are parquet files, the others are not declared.
    """
    endings = {PARQUET: "parquet"} if PARQUET in facts["formats"] else dict.fromkeys(LOADED, "jsonl")
    configs: list[Record] = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": f"{name}/{split}.{ending}"} for split in facts["splits"]],
        }
        for name, ending in endings.items()
        if name in facts["formats"]
    ]
    if configs:
        configs[0]["default"] = True
    return configs


def _licence(facts: Record, tally: ExportCounts) -> Record:
    """Return the licence of all pictures by the hub's name, where they have one in common that it knows."""
    terms = facts["card"]["licences"]
    stated = {terms[source]["licence"] if source in terms else facts["licence"] for source in tally.sources}
    name = re.sub(r"[\s_]+", "-", stated.pop().strip().lower()) if len(stated) == 1 else ""
    if name in HUB_LICENCES:
        return {"license": name}
    return {"license": "other", "license_name": "of-the-pictures-see-below"}


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    rooms = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    rooms.filters |= {"text": _text, "cell": _text, "thousands": lambda count: f"{count:,}"}
    return rooms.from_string(Path(__file__).with_name(TEMPLATE).read_text("utf-8"))


def _text(value: Any) -> str:
    """Return one line of text that is no markup."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(value)).split())
    return MARKUP.sub(r"\\\1", line)
