"""Items a second of `seke infer` by one process, by two, and on Ray with one processor and with two.

    pytest tests/benchmarks/test_ray_speed.py -m slow -s

4,000 made-up items with three joint answers each, from file to file, with limits of the mean, so that all
items are looked at before the first is decided; two shards, so that items are worked on by 2,000, as the
plain command does. Beside them pyAgrum, which is given the likelihoods of each item and finds the posteriors
of the same network: no reading, no decision, no writing. Meant to hold: the records are equal, and Ray with
all its processes takes at most twice the processor time of the plain command, once it has started.
"""

from __future__ import annotations

import gzip
import json
import sys
import time

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from test_engine_speed import Peer, exported, names_of, peer_speed, soft_evidence

from engine import Inference, compile_network
from seke import knowledge, simulate
from seke.cli.main import main
from seke.files.shard_folder import record_files
from seke.results.on_ray import SETTINGS

ITEMS, DRAWS, SHARDS = 4_000, 3, 2
PEER_ITEMS = 20
MOST_TIMES = 2
STORE = 400_000_000  # bytes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "samples.jsonl"
    parts = simulate(knowledge(), ITEMS, questions=["joint"], draws=DRAWS, seed=3)
    path.write_text("".join(json.dumps(row) + "\n" for part in parts for row in part.samples))
    return path


def processor_seconds():
    """Seconds of this process and of all that descend from it, those that ended included."""
    me = psutil.Process()
    times = [me.cpu_times(), *(child.cpu_times() for child in me.children(recursive=True))]
    return sum(t.user + t.system for t in times) + times[0].children_user + times[0].children_system


def timed(*arguments):
    """Return seconds by the clock and of the processors."""
    clock, work = time.perf_counter(), processor_seconds()
    result = CliRunner().invoke(main, [str(argument) for argument in ("infer", *arguments)])
    assert result.exit_code == 0, result.output
    return time.perf_counter() - clock, processor_seconds() - work


def show(name, clock, work):
    print(
        f"\n{name}: {ITEMS / clock:,.0f} items a second by the clock ({clock:.1f} s), "
        f"{ITEMS / work:,.0f} for each second of a processor ({work:.1f} s)",
        file=sys.stderr,
    )


def peer_items_a_second():
    """Return items a second of pyAgrum, for posteriors alone of the same network, checked against ours."""
    base = knowledge()
    network = compile_network(base)
    inference, evidence = Inference(network, base), soft_evidence(network, PEER_ITEMS)
    layout = inference._layout
    log_rows = np.empty((layout.rows, PEER_ITEMS))
    inference.log_evidence_rows(evidence, log_rows)
    marginals = layout.posterior((), log_rows, np.zeros(0), np.zeros(0), {}).marginals
    likelihoods = [
        {name: np.exp(evidence.log_likelihood[name][:, i]).tolist() for name in names_of(network)}
        for i in range(PEER_ITEMS)
    ]
    peer = Peer(exported(network, inference.population), dict.fromkeys(network.observed(), 0))
    return peer_speed(peer, likelihoods, names_of(network), marginals)


def test_items_a_second(samples, tmp_path, monkeypatch):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    ray = pytest.importorskip("ray")
    print(
        f"\npyAgrum, posteriors of {PEER_ITEMS} items alone: {peer_items_a_second():,.1f} items a second",
        file=sys.stderr,
    )
    plain = tmp_path / "plain.jsonl.gz"
    timed(samples, "-o", plain)  # the base is read, what is imported once is imported
    clock, alone = timed(samples, "-o", plain)
    show("one process", clock, alone)
    expected = sorted(gzip.decompress(plain.read_bytes()).splitlines())
    show("two processes", *timed(samples, "-o", tmp_path / "two.jsonl.gz", "--processes", "2"))
    for cpus in (1, 2):
        folder = tmp_path / f"ray-{cpus}"
        options = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
        ray.init("local", num_cpus=cpus, object_store_memory=STORE, **options)
        try:
            on_ray = ("--engine", "ray", "--shards", SHARDS, "--shard-format", "jsonl.gz")
            show(f"Ray, {cpus} CPU, with its processes' start", *timed(samples, "-o", folder, *on_ray))
            # Again, by processes that have imported everything.
            clock, work = timed(samples, "-o", tmp_path / f"again-{cpus}", *on_ray)
            show(f"Ray, {cpus} CPU", clock, work)
        finally:
            ray.shutdown()
        lines = [gzip.decompress(file.read_bytes()).splitlines() for file in record_files(folder)]
        assert sorted(line for part in lines for line in part) == expected
        assert work < MOST_TIMES * alone
