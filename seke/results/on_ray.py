"""Samples -> records in shards, by the processes of a Ray cluster (https://docs.ray.io).

    files --read--> samples of each shard --look--> thresholds of the mean, over all shards
                             |                                  |
                             +--------------------------------> infer --> a file for each shard

Ray keeps what is read, in memory and on disk, places the work, and does it anew where a process or a machine
is lost. What it returns is written here alone, so the other machines need not see the folder.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.console.extras import optional_package
from seke.files.faults import Faults
from seke.progress import task
from seke.results.shard_work import ShardResult, infer_shard, look_at_shard, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import EligibleRisks
    from seke.files.shard_folder import ShardFolder
    from seke.inference.session import Session
    from seke.progress import Task
    from seke.results.shard_work import ShardWork

AUTO = "auto"
# Seconds: for a cluster's address to answer; between two looks at what is waited for.
CONNECT_TIMEOUT, LOOK_AGAIN = 10, 5
LONGEST_TEXT = 300  # letters of what Ray says of a failure
# Of Ray: nothing is sent to its makers; work that needs no GPU does not hide those that there are; a head
# that does not answer is tried twice, for 45 seconds each, and not for 15 minutes.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "2",
}


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected to the cluster of an address, or started on this machine alone.

    address: HOST:PORT of the head, or `auto` for the cluster that this machine is in; None for this machine,
    where Ray that runs in this process already is taken as it is.

    Raises:
        engine.SekeError: Ray is not installed, or no cluster is there.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    ray = optional_package("ray")
    if address is None and ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            with task("starting Ray on this machine", soon=True):
                ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        else:
            with task(f"waiting for the Ray cluster at {address}", soon=True):
                _check_address(address)
                ray.init(address, **quiet)
    # Ray ends the process where a cluster does not answer.
    except (ConnectionError, RuntimeError, TimeoutError, ValueError, SystemExit) as error:
        where = "on this machine" if address is None else f"at {address}"
        text = " ".join(str(error).split()).partition(". ")[0]
        raise SekeError(f"no Ray {where}: {text}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address at which nothing answers: Ray tries that one for minutes."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise SekeError(
            f"--address: met {address}; allowed are HOST:PORT of the head of a cluster, and {AUTO}"
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
    except OSError as error:
        raise ConnectionError(f"nothing answers there ({error.strerror or error})") from None


def cpus_of(ray: Any) -> int:
    """Return the CPUs of the cluster.

    Raises:
        engine.SekeError: it has none, so nothing would ever begin.
    """
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if not cpus:
        raise SekeError("the Ray cluster has no CPU for work; start its nodes with --num-cpus=2 or more")
    return cpus


def session_as_begun(session: Session, folder: ShardFolder) -> Session:
    """Return the session with the thresholds that a folder was begun with, where it has any."""
    thresholds = folder.manifest.thresholds
    if thresholds is None:
        return session
    return session.with_policy(replace(session.knowledge.policy, thresholds=thresholds))


def infer_shards(ray: Any, work: ShardWork, folder: ShardFolder) -> Session:
    """Make the shards that a folder lacks; return the session with the thresholds that decided.

    Raises:
        engine.SekeError: samples that cannot be read, with their places, or are not those that the folder
            was begun with; nothing is written of these. Shards that could not be made; the others are.
    """
    missing = folder.missing()
    packed = _read(ray, work)
    session = session_as_begun(work.session, folder)
    first_time = session.has_mean_limits and folder.manifest.thresholds is None
    begun = [number for number, shard in enumerate(folder.manifest.shards) if first_time or shard.samples]
    risks = _look(ray, work, {number: packed[number] for number in begun}, folder, with_risks=first_time)
    if first_time:
        session = session.within_limits(risks)
        folder.manifest.thresholds = dict(session.knowledge.policy.thresholds)
    folder.save()
    sent = ray.put(replace(work, session=session))
    infer = ray.remote(_infer)
    waiting = {infer.remote([sent], *packed[number]): number for number in missing}
    del packed
    with task("inferring", total=len(missing), unit="shards") as inferring:
        faults = Faults()
        for number, result in _results(ray, waiting, inferring):
            if result.fault:
                faults.note(_about(number, folder, result.fault), (number,))
                continue
            folder.note_samples(number, result.samples)
            folder.write(number, result.records, result.counts)
    if faults:
        made = len(folder.manifest.shards) - faults.count
        text = "\n".join(faults.lines())
        raise SekeError(
            f"{text}\n{made} of {len(folder.manifest.shards)} shards are in {folder.path}; the same command "
            "goes on with the others"
        )
    return session


def _read(ray: Any, work: ShardWork) -> list[list[Any]]:
    """Return for each shard references to its packed samples of each file."""
    read, sent = ray.remote(_read_file).options(num_returns=work.shards + 1), ray.put(work)
    by_file = [read.remote([sent], index) for index in range(len(work.names))]
    waiting = {result: index for index, (result, *_) in enumerate(by_file)}
    faults = Faults()
    with task("reading samples", total=len(by_file), unit="files") as reading:
        for index, result in _results(ray, waiting, reading):
            if result.fault:
                faults.note(result.fault, (index,))
    faults.raise_all()
    return [[parts[number + 1] for parts in by_file] for number in range(work.shards)]


def _look(
    ray: Any, work: ShardWork, packed: dict[int, list[Any]], folder: ShardFolder, *, with_risks: bool
) -> dict[str, list[EligibleRisks]]:
    """Check the samples of shards against those that a folder was begun with; return risks, if asked."""
    look, sent = ray.remote(_look_at), ray.put(work)
    waiting = {look.remote([sent], with_risks, *parts): number for number, parts in packed.items()}
    risks: dict[str, list[EligibleRisks]] = {}
    faults = Faults()
    text = "looking for thresholds of the mean risk" if with_risks else "comparing the samples"
    with task(text, total=len(waiting), unit="shards") as looking:
        for number, result in _results(ray, waiting, looking):
            if result.fault:
                faults.note(_about(number, folder, result.fault), (number,))
                continue
            folder.note_samples(number, result.samples)
            for name, parts in result.risks.items():
                risks.setdefault(name, []).extend(parts)
    faults.raise_all()
    return risks


def _about(number: int, folder: ShardFolder, fault: str) -> str:
    return f"{fault} (shard {number + 1} of {len(folder.manifest.shards)})"


def _results(ray: Any, waiting: dict[Any, int], progress: Task) -> Iterator[tuple[int, ShardResult]]:
    """Yield the number and the result of each piece of work as it is done; of what Ray gave up, a fault."""
    while waiting:
        done, _ = ray.wait(list(waiting), timeout=LOOK_AGAIN)
        if not done and not progress.done:
            free = ray.available_resources().get("CPU", 0)
            progress.note = f"waiting for the cluster, of which {free:g} CPUs are free"
        for reference in done:
            number = waiting.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = ShardResult(f"a process of the cluster failed: {_plain(error)}")
            progress.note = ""
            yield number, result
            progress.advance()


def _plain(error: Exception) -> str:
    """Return in a line what Ray says; of what was raised on another machine the last line alone."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if hasattr(error, "cause") else " ".join(lines))[:LONGEST_TEXT]


# What Ray calls in the processes of the cluster. `sent` is a list, so that Ray gives out the reference and
# not what it refers to, which is then made once in each process and not once for each piece of work.


@lru_cache(maxsize=2)
def _received(reference: Any) -> ShardWork:
    received: ShardWork = optional_package("ray").get(reference)
    return received


def _read_file(sent: list[Any], index: int) -> list[Any]:
    result, packed = read_file(_received(sent[0]), index)
    return [result, *packed]


def _look_at(sent: list[Any], with_risks: bool, *packed: list[bytes]) -> ShardResult:
    return look_at_shard(_received(sent[0]), packed, with_risks=with_risks)


def _infer(sent: list[Any], *packed: list[bytes]) -> ShardResult:
    return infer_shard(_received(sent[0]), packed)
