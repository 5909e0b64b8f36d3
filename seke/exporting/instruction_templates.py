"""Reads instructions from YAML: what is asked and answered in an export, in many phrasings.

`instructions.yaml` holds them, `instructions.de.yaml` those of another language. A text may have alternatives
in brackets (see `seke.exporting.grammar`) and, in braces, the facts of its task, as `instruction_texts` lists
them for each. The most frequent are

    expressions       all names of expressions, as a list
    expression        its name; p, next and p_next: its probability, the second likeliest, and its probability
    phrase            the expression as the object of a sentence, "a neutral expression"; where `phrases` has
                      none for a state, or a user's layer renames the state and gives none, its name
    shown             the phrase, with the second likeliest expression where the posterior is split
    scales, levels    all numbers, and all levels, whatever is accepted; asked: those that are accepted
    low, high         the range of the numbers
    numbers           the accepted numbers, each as `number` says, or `interval` where probabilities go too;
                      numbers_told: these, and which are left open
    units, likely     the visible units among those accepted; all of them with probabilities
    verdicts          visible units, units that are not visible, and that the others are left open
    parts             all levels, each as `parts` or `soft_parts` says
    reasons           sentences about the evidence for the expression; affect_reasons: for the numbers
    regions           what is visible, region by region
    json              all accepted values of the task as a JSON object, in the names of the base
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Fault, KnowledgeError, SekeError, did_you_mean
from seke.exporting.instruction_reader import InstructionReader
from seke.exporting.instruction_texts import TOP
from seke.exporting.instruction_tree import merge_tree, read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Knowledge
    from seke.exporting.grammar import TextForm
    from seke.exporting.instruction_reader import Anchor, Directions, Phrasing
    from seke.exporting.instruction_tree import Tree
    from seke.exporting.rewording_words import RewordingWords

HERE = Path(__file__).parent
SHIPPED = "instructions"


@dataclass(frozen=True)
class Instructions:
    """All words of an export.

    texts: those taken as they stand, by path; forms: those that are drawn, by path. names, phrases,
    statements, descriptions: by the name that the base has for it; signs: unit -> a clause that says it is
    visible. anchors: number -> points of its scale, from the lowest. directions: by number. regions: name
    -> regions of the base that it takes in. steps: kind -> (least value, word), from the lowest. phrasings:
    of each task and kind (`plain`, `soft`) at least one. turns, compared: kind -> phrasings. rewording: how
    a rewording is read, None where the language says nothing of that. digest: of all.
    """

    texts: Mapping[str, str]
    forms: Mapping[str, TextForm]
    names: Mapping[str, str]
    phrases: Mapping[str, str]
    statements: Mapping[str, str]
    descriptions: Mapping[str, str]
    signs: Mapping[str, TextForm]
    anchors: Mapping[str, tuple[Anchor, ...]]
    directions: Mapping[str, Directions]
    regions: Mapping[str, tuple[str, ...]]
    steps: Mapping[str, tuple[tuple[float, str], ...]]
    phrasings: Mapping[tuple[str, str], tuple[Phrasing, ...]]
    turns: Mapping[str, tuple[Phrasing, ...]]
    compared: Mapping[str, tuple[Phrasing, ...]]
    rewording: RewordingWords | None = None
    digest: str = field(default="", compare=False)

    @property
    def language(self) -> str:
        """Return the language, as the words call it."""
        return self.texts["language"]


def languages() -> tuple[str, ...]:
    """Return the languages that are shipped."""
    names = (path.name.removesuffix(".yaml").partition(".")[2] for path in HERE.glob(f"{SHIPPED}.*yaml"))
    return tuple(sorted(name or "en" for name in names))


def read_instructions(
    base: Knowledge, language: str = "en", templates: Sequence[str | Path] = ()
) -> Instructions:
    """Read the instructions of a language; the user's `templates` override them, in their order.

    Raises:
        engine.KnowledgeError: all faults, with their places.
        engine.SekeError: a language that is not shipped.
    """
    if language not in languages():
        raise SekeError(
            f"no instructions in {language!r}{did_you_mean(language, languages())}; see --templates"
        )
    ending = "" if language == "en" else f".{language}"
    layers = [HERE / f"{SHIPPED}{ending}.yaml", *map(Path, templates)]
    faults: list[Fault] = []
    tree: Tree = {}
    for number, layer in enumerate(layers):
        layer_tree = read_tree(layer, faults, TOP, shipped=number == 0)
        language_node = layer_tree.get("language")
        if language_node is not None and "language" in tree and language_node.value != tree["language"].value:
            tree = {}
        merge_tree(tree, layer_tree)
    parts = InstructionReader(base, tree, str(layers[-1]), faults).parts()
    if faults:
        raise KnowledgeError(faults)
    rewording = parts.pop("rewording")
    content = repr([(name, sorted(part.items())) for name, part in sorted(parts.items())])
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Instructions(**parts, rewording=rewording, digest=digest)
