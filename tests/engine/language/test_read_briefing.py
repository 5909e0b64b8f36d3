"""What is told to all who are asked: read, refused, removed, and part of the digests of what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Briefing, KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from renaming import Names

    from engine import Knowledge

TEXT = """
briefing:
  intensity: 2
  source: judgement
  note: As the log counts.
  counts: It counts from a slight change on.
  confounders: {dust: dust on the case}
  unlike:
    heat-or-noise: {of: [hot, noisy], statement: One is felt and one is heard.}
    noise-or-shaking: {of: [noisy, shaking], statement: One is heard and one is seen.}
"""


def test_a_briefing_says_what_counts_and_what_looks_alike(
    overlay_of: Callable[..., Knowledge], base_of: Callable[[str], Knowledge], names: Names
) -> None:
    briefing = overlay_of(TEXT).briefing
    assert isinstance(briefing, Briefing)
    assert (briefing.intensity, briefing.note) == (2, "As the log counts.")
    assert briefing.counts == "It counts from a slight change on."
    assert dict(briefing.confounders) == {"dust": "dust on the case"}
    assert [alike.of for alike in briefing.unlike] == [
        (names["hot"], names["noisy"]),
        (names["noisy"], names["shaking"]),
    ]
    assert base_of("machine").briefing is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("of: [hot, noisy], statement: Again.", "are told apart in unlike.heat-or-noise already"),
        ("of: [noisy, hot, dripping], statement: Again.", "are told apart in unlike.heat-or-noise already"),
        ("of: [dripping], statement: Alone.", "must name at least two variables"),
        ("of: [dripping, wear], statement: Strange.", "no binary variable is called"),
        ("of: [dripping, hot]", "needs `statement`"),
    ],
)
def test_faults_of_what_looks_alike(overlay_of: Callable[..., Knowledge], change: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        overlay_of(f"{TEXT}    more: {{{change}}}\n")


def test_an_intensity_needs_a_source(overlay_of: Callable[..., Knowledge]) -> None:
    with pytest.raises(KnowledgeError, match="has no source"):
        overlay_of("briefing: {intensity: 2}\n")


def test_a_variable_that_is_removed_takes_along_what_tells_it_apart(
    overlay_of: Callable[..., Knowledge], folder: Path, names: Names
) -> None:
    (folder / "briefed.yaml").write_text(names.rename(f"extends: machine.yaml\n{TEXT}"), "utf-8")
    base = overlay_of("remove: [variables.shaking, couplings.rattle, rules.dry]\n", "briefed")
    assert base.briefing is not None
    assert [alike.name for alike in base.briefing.unlike] == ["heat-or-noise"]


def test_what_is_told_is_part_of_each_question_and_of_nothing_else(
    overlay_of: Callable[..., Knowledge], base_of: Callable[[str], Knowledge]
) -> None:
    without, base = base_of("machine"), overlay_of(TEXT)
    other = overlay_of(TEXT.replace("slight", "strong"))
    for question, digest in base.question_digests.items():
        assert digest != without.question_digests[question]
        assert digest != other.question_digests[question]
    assert {part for part, digest in base.digests.items() if digest != other.digests[part]} == {"prompts"}
    assert base.digest != other.digest


def test_a_view_has_no_more_pixels_at_least_than_at_most(overlay_of: Callable[..., Knowledge]) -> None:
    with pytest.raises(KnowledgeError, match="is more than `size`"):
        overlay_of("views: {source: judgement, note: x, small: {size: 100, least: 101}}\n")
    view = overlay_of(
        "views: {source: judgement, note: x, small: {size: 100, least: 90, detail: low}}\n"
    ).views
    assert (view["small"].options["least"], view["small"].options["detail"]) == (90, "low")
    assert not view["small"].options["mirror"]
