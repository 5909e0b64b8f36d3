"""Evidence that torch makes on a device, beside numpy's: the same numbers, whatever was asked and declared.

The device is torch's CPU, and one of CUDA that holds no numbers: there it is found what would wait for the
device, or meet a tensor that is not on it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, answers_of, random_base, random_items
from stated_worlds import with_reading, world

from engine import Answers, Inference, compile_network
from engine.inference.device_evidence import evidence_model
from engine.model.policy import View

torch = pytest.importorskip("torch")
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

ITEMS, FEW_ITEMS = 60, 6


def shared_world(seed, items=ITEMS, **shape):
    """Return answers of several observers who follow their labels, looks and families, and who read them."""
    options = {"bins": (4, 3), "observers": 3, "exponent": True, "dependent": True, "families": True}
    base = random_base(Shape(seed=seed, couplings=0, rules=0, **options | shape))
    # Readings of this view may be one.
    views = {"side": View(name="side", repeats=0.3)} if seed % 2 else {}
    base = replace(base, views=views)
    readings = random_items(base, seed, items, readings=4)
    answers = answers_of(base, readings, np.random.default_rng(seed))
    inference, asked = Inference(compile_network(base), base), options | shape
    looks = [inference.observations.shared_look(name) for name in (*answers.labels, *answers.numbers)]
    # The seeds are such that what is asked for is there.
    assert any(looks) == asked["dependent"]
    assert any(look.families for look in looks if look) == asked["families"]
    return inference, answers


def stated_world(items=ITEMS):
    """Return answers to prompts that stated the root, or an earlier answer, and who reads them."""
    inference, rng = world(2, told=0.7, echo=0.6), np.random.default_rng(1)
    base, answers = inference.knowledge, Answers.unasked([f"i{i}" for i in range(items)])
    (observer,) = base.observers.values()
    stated = {base.root: rng.integers(0, 3, items).astype(float)}

    def drawn():
        labels = {
            name: rng.integers(0, len(label.answers), (items, 2)) for name, label in observer.labels.items()
        }
        return labels | {name: rng.choice([-0.5, 0.0, 0.5], (items, 2)) for name in observer.numbers}

    answers = with_reading(answers, inference, "first", drawn())
    for question, view in (("told", "face"), ("told", "side"), ("again", "face")):
        answers = with_reading(answers, inference, question, drawn(), view, stated.items())
    return inference, answers


WORLDS = {
    "looks, families, repeated views": lambda: shared_world(9),
    "types of readings": lambda: shared_world(8, types=2),
    "looks alone": lambda: shared_world(4, families=False, exponent=False),
    "independent observers": lambda: shared_world(6, dependent=False, families=False),
    "told, and shown again": stated_world,
}


@pytest.mark.parametrize("name", WORLDS)
def test_evidence_of_torch_is_that_of_numpy(name):
    inference, answers = WORLDS[name]()
    expected = inference.observations.evidence(answers)
    made = evidence_model(inference.observations, "cpu:0").evidence(answers)
    np.testing.assert_allclose(np.asarray(made.log_weight), expected.log_weight, atol=1e-9)
    assert list(made.log_likelihood) == list(expected.log_likelihood)
    for variable, logs in expected.log_likelihood.items():
        assert torch.is_tensor(made.log_likelihood[variable])
        np.testing.assert_allclose(np.asarray(made.log_likelihood[variable]), logs, atol=1e-9)
    for indices in ("row_item", "has_evidence", "on"):
        np.testing.assert_array_equal(getattr(made, indices), getattr(expected, indices))


def test_another_base_gets_evidence_of_its_own():
    """And the original model stays numpy's."""
    inference, answers = shared_world(8)
    base = inference.knowledge
    on_torch = Inference(inference.network, base, device="cpu:0")
    on_torch.posterior(answers)
    softer = replace(
        base, observers={name: replace(o, exponent=o.exponent / 2) for name, o in base.observers.items()}
    )
    for knowledge in (base, softer):
        expected = inference.with_knowledge(knowledge).posterior(answers)
        changed = on_torch.with_knowledge(knowledge)
        for posterior in (changed.posterior(answers), changed.remembering(answers).posterior(answers)):
            np.testing.assert_allclose(posterior.log_evidence, expected.log_evidence, atol=1e-9)
            np.testing.assert_allclose(posterior.followed, expected.followed, atol=1e-9)
            for name, odds in expected.answer_odds.items():
                np.testing.assert_allclose(posterior.answer_odds[name], odds, atol=1e-9, err_msg=name)
    assert isinstance(on_torch.observations.exponent, np.ndarray)


class IndexedElsewhere(TorchFunctionMode):
    """Indexes tensors of a device that is not there by indices of the CPU, as one that is there does."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        array = args[0] if args else None
        if function is torch.Tensor.__getitem__ and array.device.type == "cuda":
            return array.cpu()[args[1]].to(array.device)
        if function is torch.Tensor.__setitem__ and array.device.type == "cuda":
            if torch.is_tensor(args[2]):
                assert args[2].device == array.device
            array.cpu()[args[1]] = args[2].cpu() if torch.is_tensor(args[2]) else args[2]
            return None
        return function(*args, **kwargs or {})


def small_shared_world():
    return shared_world(4, FEW_ITEMS, binaries=2, bins=(3,), observers=2)


def small_stated_world():
    return stated_world(FEW_ITEMS)


# Slow as it is the first to import what torch makes tensors without numbers of.
@pytest.mark.slow
@pytest.mark.parametrize("made_up", [small_shared_world, small_stated_world])
def test_nothing_waits_for_the_device_or_meets_what_is_not_on_it(made_up):
    """A tensor without numbers refuses both, and says so."""
    inference, answers = made_up()
    expected = inference.observations.evidence(answers)
    with FakeTensorMode(), IndexedElsewhere():
        made = evidence_model(inference.observations, "cuda:0").evidence(answers)
        devices = {logs.device.type for logs in made.log_likelihood.values()}
    assert devices == {"cuda"}
    assert {v: tuple(logs.shape) for v, logs in made.log_likelihood.items()} == {
        v: logs.shape for v, logs in expected.log_likelihood.items()
    }
