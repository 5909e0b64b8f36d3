"""How quick inference is, beside pyAgrum in the same run, and what it costs as bases grow.

    pytest tests/benchmarks/test_engine_speed.py -m slow -s

The reference network (bases/reference.yaml) with soft evidence on every variable, and the shipped one asked
jointly under halo; all marginals, float64, one thread. The peer's network has everything that the engine sums
in closed form as nodes. Meant to hold: 70 times pyAgrum's Shafer-Shenoy on the reference network and 35 times
on the shipped one; under 600 MB for 100,000 items.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from made_up import REFERENCE, joint_answers, soft_evidence, variants

import seke
from engine import Inference, compile_network, cost_of
from engine.observation.kernels import LabelKernel
from seke.inference.session import Session

with warnings.catch_warnings():
    # It warns of parts of itself on import; as an error that would end in a crash.
    warnings.simplefilter("ignore")
    import pyagrum

pytestmark = pytest.mark.slow
ITEMS, PEER_ITEMS = 20_000, 60


@pytest.fixture
def say(capsys):
    def print_now(words, **options):
        with capsys.disabled():
            print(words, **options)

    return print_now


def seconds(call, times=5):
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return min(spent)


def race(calls, times, turns=4):
    """Return the best time of each call; they take turns, so that a busy machine slows them alike."""
    spent = [[] for _ in calls]
    for _ in range(turns):
        for call, call_seconds in zip(calls, spent, strict=True):
            call()  # the first finds another's threads
            call_seconds.append(seconds(call, times))
    return [min(call_seconds) for call_seconds in spent]


class Peer:
    """A network of pyAgrum; tables are (name, parents, P(parents..., name))."""

    def __init__(self, tables, observed):
        self.net, self.observed = pyagrum.BayesNet(), observed
        for name, _, values in tables:
            self.net.add(pyagrum.LabelizedVariable(name, name, values.shape[-1]))
        for name, parents, _ in tables:
            for parent in parents:
                self.net.addArc(parent, name)
        for name, parents, values in tables:
            cpt = self.net.cpt(name)
            axes = [(*parents, name).index(axis) for axis in reversed(cpt.names)]
            cpt[:] = np.ascontiguousarray(values.transpose(axes))

    def posteriors(self, likelihoods, wanted):
        """Yield the marginals of each item; likelihoods: one mapping an item, name -> list."""
        engine = pyagrum.ShaferShenoyInference(self.net)
        engine.setTargets(set(wanted))
        first = True
        for likelihood in likelihoods:
            if first:
                engine.setEvidence({**self.observed, **likelihood})
                first = False
            else:
                for name, values in likelihood.items():
                    engine.chgEvidence(name, values)
            engine.makeInference()
            yield {name: engine.posterior(name).toarray() for name in wanted}


def exported(network, population):
    cpds = network.to_pgmpy(population).get_cpds()
    return [(c.variables[0], tuple(c.variables[1:]), np.moveaxis(c.values, 0, -1)) for c in cpds]


def names_of(network):
    return list(network.states)


def peer_speed(peer, likelihoods, wanted, marginals):
    """Return items a second, after checking that both find the same."""
    start = time.perf_counter()
    results = list(peer.posteriors(likelihoods, wanted))
    spent = time.perf_counter() - start
    for item, result in enumerate(results):
        for name in wanted:
            np.testing.assert_allclose(marginals[name][item], result[name], atol=1e-9, err_msg=name)
    return len(likelihoods) / spent


def test_reference_network(say):
    base = seke.knowledge(REFERENCE)
    network = compile_network(base)
    assert network.treewidth == 3
    inference, evidence = Inference(network, base), soft_evidence(network, ITEMS)
    layout = inference._layout
    log_rows = np.empty((layout.rows, ITEMS))
    ours = ITEMS / seconds(lambda: inference.log_evidence_rows(evidence, log_rows))
    marginals = layout.posterior((), log_rows, np.zeros(0), np.zeros(0), {}).marginals
    likelihoods = [
        {name: np.exp(evidence.log_likelihood[name][:, i]).tolist() for name in names_of(network)}
        for i in range(PEER_ITEMS)
    ]
    peer = Peer(exported(network, inference.population), dict.fromkeys(network.observed(), 0))
    theirs = peer_speed(peer, likelihoods, names_of(network), marginals)
    say(f"\nreference network: {ours:,.0f} items/s, pyAgrum {theirs:,.0f}: {ours / theirs:.0f} times")
    assert ours > 70 * theirs


def reading_tables(inference, observer):
    """The nodes of one joint reading: its switch, and what it brings out of every variable."""
    network, observations = inference.network, inference.observations
    root, base = network.root, inference.knowledge
    question = next(iter(base.questions))
    halo = observations.halo[observer, list(base.questions).index(question)]
    tables = [("switch", (), np.array([1 - halo, halo]))]
    kernel = observations.kernels[observer, root]
    tables.append(("r_root", (root,), kernel.mix))
    seen = observations.seen_state[observer]
    for name in names_of(network)[1:]:
        kernel = observations.kernels[observer, name]
        mix, imagined = kernel.mix, observations.imagined[observer, name][seen]
        off = np.broadcast_to(mix[None], (len(seen), *mix.shape))
        on = np.broadcast_to(imagined[:, None], (len(seen), *mix.shape))
        tables.append((f"r_{name}", ("switch", "r_root", name), np.stack([off, on])))
    return tables


def reading_likelihoods(inference, observer, answers, items):
    """For each item the likelihood of each of the reading's nodes."""
    kernels, root = inference.observations.kernels, inference.network.root
    likelihoods = []
    for item in range(items):
        by_node = {}
        for name in names_of(inference.network):
            kernel = kernels[observer, name]
            if isinstance(kernel, LabelKernel):
                of_item = answers.labels[name].reading == item
                counts = np.bincount(answers.labels[name].answer[of_item], minlength=kernel.alpha.shape[1])
                logs = kernel.log_likelihood(counts[None].astype(float))[0]
            else:
                of_item = answers.numbers[name].reading == item
                logs = kernel.log_likelihood(answers.numbers[name].value[of_item]).sum(0)
            node = "r_root" if name == root else f"r_{name}"
            by_node[node] = np.exp(logs - logs.max()).tolist()
        likelihoods.append(by_node)
    return likelihoods


def test_shipped_network_under_halo(say):
    base = seke.knowledge()
    network = compile_network(base)
    inference = Inference(network, base)
    answers = joint_answers(base, ITEMS, draws=3)
    observer = list(base.observers).index(base.policy.ask)
    posterior = inference.posterior(answers)
    ours = ITEMS / seconds(lambda: inference.posterior(answers))
    items = PEER_ITEMS // 6
    likelihoods = reading_likelihoods(inference, observer, answers, items)
    tables = exported(network, inference.population) + reading_tables(inference, observer)
    peer = Peer(tables, dict.fromkeys(network.observed(), 0))
    theirs = peer_speed(peer, likelihoods, names_of(network), posterior.marginals)
    ratio = ours / theirs
    say(f"\nshipped, halo, from answers: {ours:,.0f} items/s, pyAgrum {theirs:,.1f}: {ratio:.0f} times")
    # A kinder peer: no nodes for the reading; what is told is given, and the switch makes two runs.
    evidence = soft_evidence(network, ITEMS)
    log_rows = np.empty((inference._layout.rows, ITEMS))
    rows = ITEMS / seconds(lambda: inference.log_evidence_rows(evidence, log_rows))
    marginals = inference._layout.posterior((), log_rows, np.zeros(0), np.zeros(0), {}).marginals
    soft_likelihoods = [
        {name: np.exp(evidence.log_likelihood[name][:, i]).tolist() for name in names_of(network)}
        for i in range(PEER_ITEMS)
    ]
    plain = Peer(exported(network, inference.population), dict.fromkeys(network.observed(), 0))
    kinder = peer_speed(plain, soft_likelihoods, names_of(network), marginals)
    say(f"shipped, soft evidence: {rows:,.0f} items/s, pyAgrum {kinder:,.0f}: {rows / kinder:.0f} times")
    assert ours > 35 * theirs
    assert ours > 35 * kinder / 2


def test_memory_of_100_000_items(say):
    code = (
        "import sys, resource; sys.path.insert(0, 'tests/benchmarks')\n"
        "import seke\n"
        "from engine import Inference, compiled\n"
        "from seke.files.networks import network_of\n"
        "from made_up import joint_answers\n"
        "base = seke.knowledge()\n"
        "inference = Inference(network_of(base), base)\n"
        "answers = joint_answers(base, 100_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "inference.posterior(answers)\n"
        "print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    before, peak = (int(number) / 1000 for number in shown.split()[-2:])
    say(f"\n100,000 items: {peak:.0f} MB at the peak, {before:.0f} MB of it before, with samples and imports")
    assert peak < 600


def test_one_item(say):
    base = seke.knowledge()
    # Nothing is worth asking, so that records are made without looking ahead.
    session = Session.open(
        replace(base, policy=replace(base.policy, worth=dict.fromkeys(base.policy.worth, 0)))
    )
    answers, inference = joint_answers(base, 1, draws=3), session.inference
    evidence = soft_evidence(session.network, 1)
    log_rows = np.empty((inference._layout.rows, 1))
    on_torch = Inference(session.network, session.knowledge, device="cpu:0")
    calls = {
        "answers to record": lambda: session.records(answers),
        "answers to posterior": lambda: inference.posterior(answers),
        "the network, numpy": lambda: inference.log_evidence_rows(evidence, log_rows),
        "the network, torch": lambda: on_torch.log_evidence_rows(evidence, log_rows),
    }
    for name, call in calls.items():
        spent = [seconds(call, times=1) for _ in range(200)]
        say(f"\none item, {name}: {1000 * statistics.median(spent):.2f} ms (median)", end="")


def test_what_bigger_bases_cost(say):
    say(f"\n{'base':40} treewidth  message  items/s  expected")
    misses = []
    for name, base in variants():
        network = compile_network(base)
        inference, evidence, cost = Inference(network, base), soft_evidence(network, 16_384), cost_of(network)
        log_rows = np.empty((inference._layout.rows, evidence.items))
        speed = evidence.items / seconds(
            lambda i=inference, e=evidence, f=log_rows: i.log_evidence_rows(e, f)
        )
        say(
            f"{name:40} {cost.treewidth:9} {cost.largest_message:8} {speed:8,.0f} {cost.items_a_second:9,.0f}"
        )
        misses.append(cost.items_a_second / speed)
    # Machines differ, but bases should stand in the same relation.
    middle = statistics.median(misses)
    assert all(0.5 < miss / middle < 2 for miss in misses), misses
    base = seke.knowledge()
    network = compile_network(base)
    inference = Inference(network, base)
    for items in (1, 10, 100, 1_000, 10_000, 100_000):
        evidence = soft_evidence(network, items)
        log_rows = np.empty((inference._layout.rows, items))
        spent = seconds(lambda e=evidence, f=log_rows: inference.log_evidence_rows(e, f), times=3)
        say(f"shipped, {items:7,} items: {1e6 * spent / items:8.1f} us an item")


def test_on_a_cuda_device(say):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for name, base in (("reference", seke.knowledge(REFERENCE)), ("shipped", seke.knowledge())):
        network = compile_network(base)
        evidence = soft_evidence(network, 500_000)
        exact = Inference(network, base)
        part = evidence.part(0, 2000, 0, 2000)
        truth, cost = np.empty((exact._layout.rows, 2000)), cost_of(network)
        exact.log_evidence_rows(part, truth)
        for single in (False, True):
            inference = Inference(network, base, device="cuda", single=single)
            log_rows = np.empty((inference._layout.rows, evidence.items))
            inference.log_evidence_rows(part, log_rows[:, :2000])
            np.testing.assert_allclose(log_rows[:, :2000], truth, atol=1e-4 if single else 1e-9)
            speed = evidence.items / seconds(
                lambda i=inference, f=log_rows, e=evidence: i.log_evidence_rows(e, f), times=3
            )
            moved = speed * cost.elements * (4 if single else 8) * 2 / 1e9
            bits = 32 if single else 64
            say(f"{name}, float{bits}: {speed:,.0f} items/s, {moved:,.0f} GB/s read and written")
