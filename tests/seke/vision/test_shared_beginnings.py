"""What requests begin with alike: against a count letter by letter, and in the two layouts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seke
from seke.prompts import Questions
from seke.vision.capabilities import Dialect
from seke.vision.messages import Call, Picture, Prompt, Settings
from seke.vision.shared_beginnings import (
    SentPrompt,
    common_letters,
    letters_before_picture,
    reusable_share,
)

SETTINGS = Settings("made-up")
LAST = replace(SETTINGS, picture="last")
# Texts that begin with different letters.
TEXTS = ("asdf", "bc", "cdefg", "")
SYSTEMS = ("xyz", "yzxyzx", "")


def letters(system, text, picture, picture_first):
    """A request as it is read: its texts with a sign for its picture."""
    shown = chr(1000 + picture)
    return f"{system}{shown}{text}" if picture_first else f"{system}{text}{shown}"


def alike_letters(one, other):
    """The letters with which both begin."""
    while not other.startswith(one):
        one = one[:-1]
    return one


def counted(sent, picture_first):
    """The share of letters with which an earlier request began, by comparing each with each."""
    whole = alike = 0
    earlier = []
    for request in sent:
        mine = letters(*request, picture_first)
        whole += len(mine) - 1
        best = max((alike_letters(mine, other) for other in earlier), key=len, default="")
        alike += sum(ord(letter) < 1000 for letter in best)
        earlier.append(mine)
    return alike / whole if whole else 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from(SYSTEMS), st.sampled_from(TEXTS), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
def test_the_share_is_that_of_comparing_each_request_with_each(sent, picture_first):
    requests = Counter((system, text) for system, text, _ in sent)
    pictures = defaultdict(set)
    for system, text, picture in sent:
        pictures[system, text].add(picture)
    prompts = [SentPrompt(*key, count, len(pictures[key])) for key, count in requests.items()]
    share = reusable_share(prompts, picture_first=picture_first)
    assert share == pytest.approx(counted(sent, picture_first))


def test_two_questions_begin_alike_as_far_as_the_layout_lets_them():
    first, second = (Prompt.of(text, {}, "You see.") for text in ("Look at it.", "Look away."))
    assert letters_before_picture(first, SETTINGS) == len("You see.")
    assert letters_before_picture(first, LAST) == len("You see.Look at it.")
    assert common_letters(first, second, SETTINGS) == len("You see.Look a")
    assert common_letters(first, second, LAST) == len("You see.Look a")
    other = Prompt.of("Look at it.", {}, "You look.")
    assert common_letters(first, other, SETTINGS) == len("You ")


def test_most_of_each_shipped_prompt_is_shared():
    questions = Questions(seke.knowledge())
    prompts = {request.question: questions.prompt(request) for request in questions.all_requests()}
    shares = {
        name: letters_before_picture(prompt, SETTINGS) / (len(prompt.system) + len(prompt.text))
        for name, prompt in prompts.items()
    }
    assert min(shares.values()) == shares["joint"] > 0.6
    assert min(share for name, share in shares.items() if name != "joint") > 0.8
    assert all(
        common_letters(one, two, SETTINGS) >= len(one.system)
        for one in prompts.values()
        for two in prompts.values()
    )


@pytest.mark.parametrize("picture", ["first", "last"])
@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize("refused", [True, False])
def test_a_request_has_its_parts_in_the_order_of_the_settings(picture, system, refused):
    settings = Settings("made-up", picture=picture, system=system)
    prompt = Prompt.of("Look.", {}, "You see.")
    questions = Questions(seke.knowledge())
    call = Call(next(iter(questions.all_requests())), prompt, Picture(b"j", "image/jpeg", 1, 1, "d"))
    messages = Dialect(system=not refused).messages(call, settings)
    assert [message["role"] for message in messages] == (
        ["system", "user"] if system and not refused else ["user"]
    )
    order = [part.get("text", "picture") for part in messages[-1]["content"]]
    if len(messages) == 2:
        assert messages[0]["content"] == "You see."
        order.insert(0, "You see.")
    assert order == ["You see.", *(["picture", "Look."] if picture == "first" else ["Look.", "picture"])]
