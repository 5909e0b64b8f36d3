"""Texts with alternatives: what is drawn, how often, and what cannot be read."""

from __future__ import annotations

from collections import Counter

import pytest

from seke.exporting.grammar import GrammarError, TextForm, seeded


def test_each_alternative_is_drawn_as_often():
    form = TextForm(("[a|b[c|d]] x", r"\[y\] \| {p:.2f}[|!]"))
    assert form.count() == 3 + 2
    rng = seeded(0, "item")
    counts = Counter(form.draw(rng) for _ in range(8000))
    shares = {"a x": 1 / 4, "bc x": 1 / 8, "bd x": 1 / 8}
    shares |= {"[y] | {p:.2f}": 1 / 4, "[y] | {p:.2f}!": 1 / 4}
    assert counts.keys() == shares.keys()
    # Five standard deviations of a binomial.
    assert all(abs(counts[text] - 8000 * p) < 5 * (8000 * p * (1 - p)) ** 0.5 for text, p in shares.items())


def test_the_key_alone_decides():
    form = TextForm(("[a|b|c][d|e|f]",))
    drawn = [form.draw(seeded(seed, "task", "item \udc80")) for seed in (1, 2, 3, 1)]
    assert drawn[0] == drawn[3]
    assert len({*(form.draw(seeded(seed, "x")) for seed in range(99))}) == 9


def test_fields_that_are_sure():
    assert TextForm(("{a} [{b}|{c:.2f}] [{d}|]",)).fields() == ({"a", "b", "c", "d"}, {"a"})
    assert TextForm(("[{a}|x {a}]", "{a}{b}")).fields() == ({"a", "b"}, {"a"})
    assert {*TextForm(("[a|b]-[c|d|e]",)).texts()} == {"a-c", "b-d", "b-e"}


@pytest.mark.parametrize("text", ["[a", "a]", "[a|b", r"[a\]", "[a|[b]"])
def test_brackets_that_do_not_match(text):
    with pytest.raises(GrammarError):
        TextForm((text,)).count()
