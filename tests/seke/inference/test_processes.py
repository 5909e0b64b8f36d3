"""Batches worked on by several processes: in order, and with what goes wrong said."""

import os
import signal

import pytest

from engine import SekeError
from seke.inference.processes import workers


def squared(number):
    if number == 7:
        raise ValueError("seven")
    if number == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def halved(number):
    return number / 2


def worked_on(work, batches, processes):
    with workers(processes, work) as shared:
        yield from shared(work, batches)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_do_several_works_at_once(processes):
    with workers(processes, squared, halved) as shared:
        inner = (result for _, result in shared(squared, range(6)))
        assert [result for _, result in shared(halved, inner)] == [0, 0.5, 2, 4.5, 8, 12.5]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_all_are_given_back_in_order(processes):
    taken = []

    def batches():
        for number in (5, 3, 1, 4, 2, 0):
            taken.append(number)
            yield number

    pairs = worked_on(squared, batches(), processes)
    assert next(pairs) == (5, 25)
    # No more are read than are on their way.
    assert len(taken) <= 2 * processes
    assert list(pairs) == [(3, 9), (1, 1), (4, 16), (2, 4), (0, 0)]


@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_work_raises_comes_out(processes):
    with pytest.raises(ValueError, match="seven"):
        list(worked_on(squared, [1, 7, 2], processes))


def test_a_killed_process_is_named():
    with pytest.raises(SekeError, match="one of 2 processes was ended from outside"):
        list(worked_on(squared, [1, 8, 2], 2))
