"""How much of a bare client's speed is left with a ledger, prompts, inference and decisions around it.

    pytest tests/benchmarks/test_client_throughput.py -m slow -s

A server in a process of its own answers each request after a second; 2,000 pictures, 64 and 256 on their way
at once. The peer is a loop over AsyncOpenAI that sends the same bodies and parses the answers. Both have run
once before, so that nothing is imported or compiled meanwhile. Meant to hold: 90 % of the peer's throughput,
and at most twice its CPU an answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seke
from seke.annotation.job import Job
from seke.datasets.images import picture_of, view_of
from seke.prompts import Questions
from seke.vision.client import Endpoint
from seke.vision.messages import Settings

pytestmark = pytest.mark.slow
ITEMS = 2000
SERVER = Path(__file__).parents[1] / "seke" / "vision" / "server.py"
SETTINGS = Settings("made-up")


@pytest.fixture
def url(tmp_path):
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, SERVER, str(port), "1.0"], **silent)
    time.sleep(1)
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait()


def bare(paths, url, concurrency):
    """The peer: how many answers, seconds, CPU."""
    from openai import AsyncOpenAI

    base = seke.knowledge()
    questions = Questions(base)
    asked = questions.all_requests()[0]

    async def go():
        gate = asyncio.Semaphore(concurrency)
        async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

            async def ask_one(path):
                async with gate:
                    picture = picture_of(path, view_of(base, "face"))
                    prompt = questions.prompt(asked)
                    data = f"data:image/jpeg;base64,{base64.b64encode(picture.data).decode()}"
                    content = [
                        {"type": "text", "text": prompt.text},
                        {"type": "image_url", "image_url": {"url": data}},
                    ]
                    schema = {"name": "answer", "strict": True, "schema": dict(prompt.schema)}
                    completion = await client.chat.completions.create(
                        model="made-up",
                        messages=[{"role": "user", "content": content}],
                        response_format={"type": "json_schema", "json_schema": schema},
                        max_tokens=600,
                    )
                    return json.loads(completion.choices[0].message.content)

            return await asyncio.gather(*(ask_one(path) for path in paths))

    started, cpu = time.perf_counter(), time.process_time()
    answers = asyncio.run(go())
    return len(answers), time.perf_counter() - started, time.process_time() - cpu


def ours(paths, url, concurrency, place, strategy):
    model = Endpoint(SETTINGS, base_url=url, concurrency=concurrency)
    job = Job.of(paths, place, model, SETTINGS, strategy=strategy, concurrency=concurrency)
    started, cpu = time.perf_counter(), time.process_time()
    summary = job.run()
    assert summary.finished
    return summary.totals.answers, time.perf_counter() - started, time.process_time() - cpu


@pytest.mark.parametrize("concurrency", [64, 256])
def test_throughput(tmp_path, url, concurrency, capsys):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(ITEMS):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"f{i}.png")
    paths = sorted(folder.iterdir())
    bare(paths[:5], url, 5)
    ours(paths[:5], url, 5, tmp_path / "before", "policy")
    measurements = {
        "bare AsyncOpenAI": bare(paths, url, concurrency),
        "seke annotate, one answer an item": ours(paths, url, concurrency, tmp_path / "a", "fixed:1"),
        "seke annotate, as the policy asks": ours(paths[:500], url, concurrency, tmp_path / "b", "policy"),
    }
    with capsys.disabled():
        print(f"\n{concurrency} on their way at once, {ITEMS} pictures")
        for name, (answers, wall, cpu) in measurements.items():
            print(
                f"  {name:34} {answers / wall:6.1f} answers/s, CPU {1000 * cpu / answers:5.2f} ms an answer"
            )
    (n, wall, cpu), (m, other, more) = list(measurements.values())[:2]
    assert m / other > 0.9 * n / wall
    assert more / m < 2 * cpu / n
