"""Splits of an export: nothing leaks, whatever belongs together and in whatever order it comes."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import SekeError
from seke.exporting.splits import SplitEntry, assign_splits, shares_of

LABELS = st.sampled_from([None, "fear", "anger", "neutral"])
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@st.composite
def entries(draw):
    count = draw(st.integers(1, 20))
    few = st.integers(0, 8)
    return [
        SplitEntry(
            f"i{number}",
            draw(LABELS),
            draw(st.one_of(st.none(), few.map(lambda n: f"g{n}"))),
            f"p{draw(few)}",
            f"f{draw(few)}",
            draw(st.sampled_from([None, (0.0, 0.0, 9.0, 9.0)])),
            draw(st.integers(1, 20)),
            draw(st.one_of(st.none(), few.map(lambda n: f"c{n}"))),
        )
        for number in range(count)
    ]


def split(split_entries, shares=SHARES, **options):
    """Place items; None where some split would be empty."""
    try:
        return assign_splits(split_entries, shares, **options)
    except SekeError as error:
        assert "gets nothing" in str(error)
        return None


@settings(max_examples=examples(20))
@given(entries(), st.integers(0, 3), st.sampled_from([None, 1.0, 2.5]), st.randoms(use_true_random=False))
def test_what_belongs_together_is_in_one_split_in_whatever_order_it_comes(split_entries, seed, balance, rng):
    where = split(split_entries, seed=seed, balance=balance)
    shuffled = list(split_entries)
    rng.shuffle(shuffled)
    assert split(shuffled, seed=seed, balance=balance) == where
    if where is None:
        return
    for tie in ("group", "picture", "file", "cluster"):
        splits = defaultdict(set)
        for entry in split_entries:
            if entry.item in where.split and getattr(entry, tie) is not None:
                splits[getattr(entry, tie)].add(where.split[entry.item])
        assert all(len(some) == 1 for some in splits.values()), tie
    assert set(where.split.values()) == set(SHARES)


@settings(max_examples=examples(20))
@given(entries(), st.integers(0, 3), st.sampled_from([None, 1.0, 1.5, 3.0]))
def test_every_item_is_accounted_for_once_and_no_class_has_more_than_its_ratio(split_entries, seed, balance):
    where = split(split_entries, {"all": 1.0}, seed=seed, balance=balance)
    parts = [set(where.split), set(where.duplicates), set(where.unbalanced)]
    assert set().union(*parts) == {entry.item for entry in split_entries}
    assert sum(map(len, parts)) == len(split_entries)
    by_name = {entry.item: entry for entry in split_entries}
    shown = Counter((by_name[item].picture, by_name[item].box) for item in where.split)
    assert set(shown.values()) <= {1}
    for item, kept in where.duplicates.items():
        duplicate, original = by_name[item], by_name[kept]
        assert (duplicate.picture, duplicate.box) == (original.picture, original.box)
        assert duplicate.accepted_count <= original.accepted_count
    counts = Counter(by_name[item].label for item in where.split if by_name[item].label)
    before = Counter(by_name[item].label for item in (*where.split, *where.unbalanced))
    del before[None]
    if counts and balance:
        rarest = min(before.values())
        assert min(counts.values()) == rarest
        assert max(counts.values()) <= balance * rarest
        assert all(counts[name] == min(before[name], int(balance * rarest)) for name in before)
    assert balance or not where.unbalanced
    assert all(by_name[item].label for item in where.unbalanced)


def alone(count):
    return [SplitEntry(f"i{n}", None, None, f"p{n}", f"f{n}", None, 1) for n in range(count)]


@pytest.mark.parametrize("count", [10, 999, 5000])
def test_items_that_stand_alone_meet_the_shares(count):
    counts = Counter(assign_splits(alone(count), SHARES).split.values())
    for name, share in SHARES.items():
        assert abs(counts[name] - share * count) <= 1


def labelled(counts, group_of=lambda label, number: None):
    """Return items that stand alone, so many of each class; group_of: the group of each."""
    names = [(label, number) for label, count in counts.items() for number in range(count)]
    return [
        SplitEntry(f"{label}{n}", label, group_of(label, n), f"p{label}{n}", f"f{label}{n}", None, 1)
        for label, n in names
    ]


def class_counts(split_entries, assignment):
    labels = {entry.item: entry.label for entry in split_entries}
    return Counter((labels[item], name) for item, name in assignment.split.items())


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1),
    st.sampled_from([SHARES, {"train": 0.5, "test": 0.5}, {"a": 0.6, "b": 0.25, "c": 0.15}]),
    st.integers(0, 3),
)
def test_classes_of_single_items_are_split_by_the_shares(counts, shares, seed):
    """Every class but the most frequent is within an item of its share, and the sizes are met as before."""
    split_entries = labelled(counts)
    where = split(split_entries, shares, seed=seed)
    if where is None:
        return
    by_class = class_counts(split_entries, where)
    frequent = max(counts, key=lambda label: (counts[label], label))
    for name, share in shares.items():
        size = sum(count for (_, where_name), count in by_class.items() if where_name == name)
        assert abs(size - share * len(split_entries)) <= 1
        for label, count in counts.items():
            off = abs(by_class[label, name] - share * count)
            assert off <= 1 or label == frequent
            is_named = any((u.label, u.split) == (label, name) for u in where.uneven)
            assert is_named == (not by_class[label, name] or off >= max(1, 0.1 * share * count))


def test_a_rare_class_is_in_every_split():
    """Ten of a thousand: by sizes alone the two small splits would often get none of them."""
    split_entries = labelled({"fear": 10, "happiness": 990})
    for seed in range(20):
        by_class = class_counts(split_entries, assign_splits(split_entries, SHARES, seed))
        assert [by_class["fear", name] for name in SHARES] == [8, 1, 1]
        assert [by_class["happiness", name] for name in SHARES] == [792, 99, 99]


def test_persons_are_not_parted_for_their_classes_but_chosen_by_them():
    """Ten persons of four faces: two are afraid. Each half gets five persons, and one that is afraid."""
    people = [
        SplitEntry(
            f"{person}-{n}",
            "fear" if person < 2 else "anger",
            f"g{person}",
            f"p{person}-{n}",
            f"f{person}-{n}",
            None,
            1,
        )
        for person in range(10)
        for n in range(4)
    ]
    for seed in range(20):
        where = assign_splits(people, {"train": 0.5, "test": 0.5}, seed)
        assert class_counts(people, where) == {
            ("fear", "train"): 4,
            ("fear", "test"): 4,
            ("anger", "train"): 16,
            ("anger", "test"): 16,
        }
        assert where.uneven == ()


def test_what_whole_persons_do_not_allow_is_named():
    one_person = labelled({"fear": 6}, lambda label, n: "ann")
    mixed = [*one_person, *labelled({"anger": 6})]
    where = assign_splits(mixed, {"train": 0.5, "test": 0.5})
    assert {(off.label, off.items) for off in where.uneven} == {
        ("fear", 0),
        ("fear", 6),
        ("anger", 0),
        ("anger", 6),
    }
    assert {off.expected for off in where.uneven} == {3.0}


def test_another_seed_is_another_split():
    assert assign_splits(alone(100), SHARES, 1).split != assign_splits(alone(100), SHARES, 2).split


def test_chains_of_ties_hold_together():
    """a and b are one person, b and c one picture with two boxes, c and d one file: all four are one."""
    chain = [
        SplitEntry("a", None, "ann", "p1", "f1", None, 1),
        SplitEntry("b", None, "ann", "p2", "f2", (0.0, 0.0, 1.0, 1.0), 1),
        SplitEntry("c", None, "bob", "p2", "f3", (5.0, 0.0, 1.0, 1.0), 1),
        SplitEntry("d", None, "cem", "p4", "f3", None, 1),
    ]
    unrelated = [SplitEntry(f"x{n}", None, f"g{n}", f"q{n}", f"h{n}", None, 1) for n in range(20)]
    for seed in range(20):
        mixed = [*chain, *unrelated]
        random.Random(seed).shuffle(mixed)
        split_of = assign_splits(mixed, {"train": 0.5, "test": 0.5}, seed).split
        assert len({split_of[name] for name in "abcd"}) == 1


def test_a_duplicate_with_another_label_is_told():
    assignment = assign_splits(
        [
            SplitEntry("a", "fear", None, "p", "f", None, 3),
            SplitEntry("b", "anger", None, "p", "g", None, 2),
            SplitEntry("c", None, None, "p", "h", None, 1),
            SplitEntry("d", "fear", None, "p", "k", None, 1),
        ],
        {"train": 1.0},
    )
    assert assignment.split == {"a": "train"}
    assert assignment.duplicates == {"b": "a", "c": "a", "d": "a"}
    assert assignment.contradicting == ("b",)


def test_a_split_that_would_be_empty_is_refused():
    one_group = [SplitEntry(f"i{n}", None, "ann", f"p{n}", f"f{n}", None, 1) for n in range(9)]
    with pytest.raises(SekeError, match=r"split test gets nothing: 9 items are 1 groups"):
        assign_splits(one_group, {"train": 0.5, "test": 0.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:.8,val:.1", "sum to 0.9"),
        ("train:.8,train:.2", "train is there twice"),
        ("train:x", "'x' is no share"),
        ("train", "'' is no share"),
        ("train:nan", "'nan' is no share"),
        ("../up:1", "no name of a split"),
        ("a b:1", "no name of a split"),
        ("train:1.5", "'1.5' is no share"),
        ("train:0,test:1", "'0' is no share"),
    ],
)
def test_bad_shares_are_refused(text, message):
    with pytest.raises(SekeError, match=message):
        shares_of(text)


def test_shares_are_read():
    assert shares_of("train:.8, val:.1,test:0.1") == SHARES
