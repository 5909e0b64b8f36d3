"""Compiled networks on disk: the same network again, and nothing but it."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from brute_force import Shape, answers_of, random_base, random_items
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, compile_network, compiled
from engine.compilation.cache import MOST_FILES, engine_digest

BASE = random_base(Shape(states=3, binaries=3, bins=(4, 3), couplings=2, rules=2, seed=5))


def same(actual, expected):
    if isinstance(actual, np.ndarray):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    elif is_dataclass(actual):
        assert type(actual) is type(expected)
        for field in fields(actual):
            same(getattr(actual, field.name), getattr(expected, field.name))
    elif isinstance(actual, dict):
        assert list(actual) == list(expected)
        for key, value in actual.items():
            same(value, expected[key])
    elif isinstance(actual, tuple):
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            same(a, b)
    else:
        assert type(actual) is type(expected)
        assert actual == expected or actual != actual


def no_compiling(_):
    raise AssertionError("compiles")


@settings(max_examples=examples(15), deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6))
def test_what_is_read_is_what_was_compiled(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("cache")
    base = random_base(Shape(seed=seed, bins=(4, 3) if seed % 2 else (), rules=1))
    base = replace(base, digest=str(seed))
    fresh = compiled(base, folder)
    again = compiled(base, folder)
    assert len(list(folder.iterdir())) == 1
    same(fresh, again)
    answers = answers_of(base, random_items(base, seed))
    computed, cached = (Inference(n, base).posterior(answers) for n in (fresh, again))
    np.testing.assert_array_equal(computed.log_evidence, cached.log_evidence)


def test_a_kept_network_is_taken_without_a_fit(tmp_path, monkeypatch):
    compiled(BASE, tmp_path)
    monkeypatch.setattr("engine.compilation.compiler.build_network", no_compiling)
    assert compiled(BASE, tmp_path).rules
    with pytest.raises(AssertionError, match="compiles"):
        compiled(replace(BASE, digest="another"), tmp_path)


def test_another_policy_is_no_other_network(base_of, overlay_of, tmp_path, monkeypatch):
    machine = base_of("machine")
    fresh = compiled(machine, tmp_path)
    changed = overlay_of("policy: {budget: 3, source: judgement, note: x}\n")
    assert changed.policy.budget != machine.policy.budget
    assert changed.digest != machine.digest
    monkeypatch.setattr("engine.compilation.compiler.build_network", no_compiling)
    same(fresh, compiled(changed, tmp_path))


def test_another_order_of_states_is_another_network(tmp_path):
    """The digest of a base does not know the order of a mapping's keys; arrays do."""
    compiled(BASE, tmp_path)
    root = BASE.variables[BASE.root]
    turned = replace(root, states=root.states[::-1])
    base = replace(BASE, variables={**BASE.variables, BASE.root: turned})
    assert compiled(base, tmp_path).root_states == turned.states
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", None])
def test_what_cannot_be_read_is_compiled_anew(tmp_path, damage):
    fresh = compiled(BASE, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    same(fresh, compiled(BASE, tmp_path))
    assert path.read_bytes() == whole


def test_pickles_are_not_read(tmp_path):
    compiled(BASE, tmp_path)
    (path,) = tmp_path.iterdir()
    pickled = io.BytesIO()
    np.savez(pickled, np.array([print], dtype=object), structure=np.array("[]"))
    signed(path, pickled.getvalue())
    assert compiled(BASE, tmp_path).rules


def signed(path, data):
    """Write what looks as if it had been written here."""
    path.write_bytes(hashlib.sha256(data).digest() + data)


@settings(max_examples=examples(20), deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_flipped_bit_is_compiled_anew(kept, place, bit):
    path, whole, fresh = kept
    data = bytearray(whole)
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    same(compiled(BASE, path.parent), fresh)
    assert path.read_bytes() == whole


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    fresh = compiled(BASE, folder)
    (path,) = folder.iterdir()
    return path, path.read_bytes(), fresh


DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize(
    "structure", ["[]", "{", DEEP, '["Network", [1]]', '["tuple", 3]', '["array", 99]', "7"]
)
def test_a_file_of_another_structure_is_compiled_anew(kept, structure):
    """Also one with a digest of its own, whatever reading it raises."""
    path, whole, fresh = kept
    content = io.BytesIO()
    np.savez(content, np.zeros(2), structure=np.array(structure))
    signed(path, content.getvalue())
    same(compiled(BASE, path.parent), fresh)
    assert path.read_bytes() == whole


@pytest.mark.skipif(os.name != "posix", reason="folders have no owner and mode of this kind")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, mode):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    same(compile_network(BASE), compiled(BASE, folder))
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    compiled(BASE, folder)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="folders have no owner and mode of this kind")
def test_a_folder_that_is_made_is_this_users_alone(tmp_path):
    compiled(BASE, tmp_path / "new" / "cache")
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_takes_no_files_keeps_none(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    same(compile_network(BASE), compiled(BASE, blocked))
    same(compile_network(BASE), compiled(BASE, None))


def test_old_files_go(tmp_path):
    for number in range(MOST_FILES + 3):
        (tmp_path / f"{number}.npz").write_bytes(b"")
    compiled(BASE, tmp_path)
    assert len(list(tmp_path.iterdir())) == MOST_FILES


@pytest.mark.parametrize("name", ["reader.py", "fields.txt"])
def test_another_source_of_the_engine_is_another_key(tmp_path, name):
    (tmp_path / "before" / "language").mkdir(parents=True)
    (tmp_path / "before" / "language" / name).write_text("n = 8")
    (tmp_path / "after" / "language").mkdir(parents=True)
    (tmp_path / "after" / "language" / name).write_text("n = 9")
    assert engine_digest(tmp_path / "before") != engine_digest(tmp_path / "after")
