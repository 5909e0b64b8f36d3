"""No answer of a server takes the machine's memory, whatever it sends, at whatever address and status."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hostile_server import CALLS, KINDS, Body, Hostile, gzip_whole
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import ONE_QUESTION, pictures
from test_annotate import rows, run
from thorough import examples

from seke.files.shipped import knowledge
from seke.inference.session import Session
from seke.vision import http_bodies
from seke.vision.http_bodies import ANSWER_LIMIT, BodyBounds, BodyError, SeparatorCount, decoded_json

# Resident, of the whole process; in MiB.
MOST_MEMORY = 300
STATUSES = (200, 400, 500, 302)
REASONS = {
    "br": "the answer is compressed as 'br'; asked for was gzip, deflate",
    "zstd": "the answer is compressed as 'zstd'; asked for was gzip, deflate",
    "no gzip": "the answer is no gzip data, though it says so; it begins 'plain text'",
    "values": 'the answer has more than 100,000 values; it begins \'{"choices": [{},{},',
    "data": 'the answer has more than 100,000 values; it begins \'{"object": "list"',
    "deep": 'the answer cannot be read (is nested too deeply); it begins \'{"choices": [[[[',
    "no JSON": "a web page came in place of an answer (is --base-url right?); it begins '<html>",
}
TOO_LONG = "the answer is longer than 8,388,608 bytes"


# The peak that the system notes of a child begins with its parent's; the child knows its own.
MEASURED = """
import re, runpy, sys
from functools import partial
from pathlib import Path
try:
    PROGRAM
finally:
    peak = re.search("VmHWM: *(.*) kB", Path("/proc/self/status").read_text().replace("\\t", " "))[1]
    print("\\npeak", int(peak) >> 10, file=sys.stderr)
"""
SEKE = "from seke.cli.main import main; main(sys.argv[1:])"
ASK = f"runpy.run_path({str(Path(__file__).parent / 'hostile_server.py')!r}, run_name='__main__')"


def run_apart(program, *arguments):
    """Run a program in a process of its own; returns what became of it, and its peak of memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.replace("PROGRAM", program), *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | {"NO_PROXY": "*", "OPENAI_API_KEY": ""},
        timeout=120,
    )
    return done, int(done.stderr.split()[-1])


def same(body, *_):
    return body


def asked_of_all(bodies, *options):
    """Ask servers, each of which sends one body; returns what is said of each, and the peak of memory."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Hostile(partial(same, body))) for body in bodies]
        done, peak = run_apart(ASK, *options, *(server.url for server in servers))
    assert done.returncode == 0, done.stderr
    return list(map(json.loads, done.stdout.splitlines())), peak


# Errors are read to another, lower limit, in the same way whatever they send: these stand for all kinds.
FEW = ("gzip", "no gzip", "endless text", "no JSON")
USUAL = [(kind, status) for kind in KINDS for status in STATUSES if status == 200 or kind in FEW]
CODECS = ("idna", "rot13", "zlib", "undefined", "utf-7", "no-such-thing")


@pytest.fixture(scope="module")
def ended():
    """How questions to servers ended: (kind, status) or codec -> lines. One process asks them all."""
    bodies = [Body(*each) for each in USUAL]
    bodies += [Body("no JSON", 400, {"content-type": f"text/html; charset={codec}"}) for codec in CODECS]
    lines, peak = asked_of_all(bodies)
    return dict(zip([*USUAL, *CODECS], lines, strict=True)), peak


def test_hostile_bodies_take_no_memory(ended):
    assert ended[1] < MOST_MEMORY


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_body_ends_as_its_status_says(ended, kind):
    check_ends(kind, {status: ended[0][kind, status] for status in STATUSES if (kind, status) in ended[0]})


@pytest.mark.slow
def test_every_hostile_body_ends_as_its_status_says_at_every_status():
    every = [(kind, status) for kind in KINDS for status in STATUSES]
    lines, peak = asked_of_all([Body(*each) for each in every])
    assert peak < MOST_MEMORY
    said = dict(zip(every, lines, strict=True))
    for kind in KINDS:
        check_ends(kind, {status: said[kind, status] for status in STATUSES})


def check_ends(kind, by_status):
    """by_status: status -> how questions to a server that sends this with it ended."""
    success, reason = by_status[200], REASONS.get(kind, TOO_LONG)
    # A list of models that cannot be read says nothing; what may be paid is bought once more and no oftener.
    assert success[0] == "NoneType: None"
    # The third in a row for one reason is an end.
    unanswered = [line.startswith(f"UnansweredError: {reason}") for line in success[1 : 1 + CALLS]]
    assert unanswered.count(True) == 2
    assert all(reason in line for line in success[1 : 1 + CALLS])
    assert all(line.startswith(f"kept 200: {reason}") for line in success[1 + CALLS :])
    assert 3 * 2 <= len(success) - 1 - CALLS <= 2 * CALLS
    if len(by_status) == 1:
        return
    wrong, broken, moved = (by_status[status] for status in STATUSES[1:])
    assert any("refuses every request (400: " in line for line in wrong[1 : 1 + CALLS])
    assert any(
        "the server no longer answers (the server says 500: " in line for line in broken[1 : 1 + CALLS]
    )
    assert all("the server has moved; give its new address" in line for line in moved[1 : 1 + CALLS])
    if kind == "no JSON":
        assert "kept 400: <html>busy</html>" in wrong
        assert "kept 500: <html>busy</html>" in broken


def test_an_error_is_known_by_its_status_whatever_codec_it_names(ended):
    for codec in CODECS:
        assert "kept 400: <html>busy</html>" in ended[0][codec]


def command(folder, url, base=ONE_QUESTION):
    return folder / "p", "--run", folder / "run", "-k", base, "--model", "made-up", "--base-url", url


def made_run(folder, url, base=ONE_QUESTION):
    return run_apart(SEKE, "annotate", *command(folder, url, base))


def kept(folder):
    with closing(sqlite3.connect(folder / "run" / "ledger.sqlite")) as ledger:
        return [text for (text,) in ledger.execute("SELECT message FROM requests WHERE message IS NOT NULL")]


def test_a_run_goes_on_past_hostile_bodies_keeps_their_beginnings_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    pictures(tmp_path / "p", 3)
    # To compile the base takes more memory than to ask; whoever comes after finds it made.
    Session.open(knowledge(ONE_QUESTION))
    with Hostile(hostile_at_first) as server:
        done, peak = made_run(tmp_path, server.url)
        assert peak < MOST_MEMORY
        assert done.returncode in (0, 1), done.stderr
        assert any("it begins '<html>busy</html>'" in text or "<html>busy" in text for text in kept(tmp_path))
        assert any(text.startswith(TOO_LONG) for text in kept(tmp_path))
        run(*command(tmp_path, server.url))
    assert len(rows(tmp_path / "run" / "posteriors.jsonl")) == 3


@pytest.mark.slow
def test_a_run_of_the_shipped_base_that_is_resumed_takes_no_memory_either(tmp_path):
    pictures(tmp_path / "p", 3)
    Session.open(knowledge())
    with Hostile(hostile_at_first) as server:
        ends = [made_run(tmp_path, server.url, "shipped") for _ in range(2)]
    for done, peak in ends:
        assert peak < MOST_MEMORY
        assert done.returncode in (0, 1), done.stderr
    assert ends[-1][0].returncode == 0
    assert len(rows(tmp_path / "run" / "posteriors.jsonl")) == 3


def hostile_at_first(_, path, count):
    """Script a server of five kinds of bodies, each with success and with an error; then it answers."""
    if path == "/models":
        return Body("data")
    kinds = ["gzip", "endless text", "values", "nested", "no JSON"]
    return Body(kinds[count // 2 % len(kinds)], 500 if count % 2 else 200) if count < 10 else None


OUTLIVED = ["gzip", "endless", "endless text", "values", "deep"]
NO_FILE_OR_BATCH = ["no JSON", "null", "huge identity", "list", "no gzip", "charset"]


@pytest.fixture(scope="module")
def batched():
    """What servers were asked in batches, how that ended, and the process that asked: one asks them all.

    Each address is hostile once, also where results are read; then it answers. The second kinds come with
    status 200 wherever files and batches are told of, and are none.
    """
    with ExitStack() as stack:
        servers = [stack.enter_context(Hostile(hostile_once(kind))) for kind in OUTLIVED]
        servers += [stack.enter_context(Hostile(hostile_once(kind, 200))) for kind in NO_FILE_OR_BATCH]
        done, peak = run_apart(ASK, "--batch", *(server.url for server in servers))
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    ends = dict(zip([*OUTLIVED, *NO_FILE_OR_BATCH], zip(servers, lines, strict=True), strict=True))
    return ends, done, peak


def test_a_run_in_batches_outlives_hostile_bodies_at_every_address(batched):
    ends, _, peak = batched
    assert peak < MOST_MEMORY
    for kind in OUTLIVED:
        server, (answered, failed, words) = ends[kind]
        asked = {(method, path.split("/")[1]) for method, path in server.paths}
        assert {("POST", "files"), ("POST", "batches"), ("GET", "batches"), ("GET", "files")} <= asked
        # The results of the first batch are lost and may be paid; they are bought once more.
        assert (answered, len(failed)) == (2, 2)
        assert all("completed and has no result of it" in message for message in failed)
        assert words


def test_what_is_no_file_or_batch_is_asked_again(batched):
    ends, done, _ = batched
    for kind in NO_FILE_OR_BATCH:
        assert ends[kind][1][0] == 2, kind
    assert len(done.stderr) < 1000


def hostile_once(kind, elsewhere=503):
    """Script a server that is hostile once at each address; elsewhere: its status but for results."""
    visited = set()

    def script(method, path, _):
        place = method, path.split("/")[1], path.endswith("/content")
        if place in visited or path == "/models" or method == "DELETE":
            return None
        visited.add(place)
        return Body(kind, 200 if path.endswith("/content") else elsewhere)

    return script


# By hand ---------------------------------------------------------------------------------------------


class AsyncByteStream:
    """What a body is for the client's own library: known by its name."""

    def __init__(self, pieces):
        self.pieces, self.closed = pieces, False

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece

    async def aclose(self):
        self.closed = True


def read(pieces, coding="", *, success=True, path="/v1/chat/completions"):
    stream = AsyncByteStream(pieces)
    headers = {"content-encoding": coding} if coding else {}
    request = SimpleNamespace(url=SimpleNamespace(path=path))
    response = SimpleNamespace(headers=headers, stream=stream, is_success=success, request=request)

    async def go():
        await BodyBounds().bound_body(response)
        assert "content-encoding" not in headers
        try:
            return b"".join([piece async for piece in response.stream])
        finally:
            await response.stream.aclose()

    content = asyncio.run(go())
    assert stream.closed
    return content


def packed(data, window):
    packer = zlib.compressobj(6, zlib.DEFLATED, window)
    return packer.compress(data) + packer.flush()


CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@settings(deadline=None, max_examples=examples(30))
@given(
    data=st.binary(max_size=2000) | st.binary(min_size=1, max_size=5).map(lambda data: data * 50_000),
    codings=st.lists(st.sampled_from([*CODINGS, "identity"]), max_size=3),
    size=st.integers(1, 5000),
)
def test_what_is_within_the_limits_comes_as_it_was(data, codings, size):
    body = data
    for coding in codings:
        body = body if coding == "identity" else packed(body, CODINGS[coding])
    # Small pieces of small bodies; a large one has some hundreds.
    size = max(size, len(body) // 500)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    assert read(pieces, ", ".join(codings), path="/v1/files/1/content") == data


@settings(deadline=None, max_examples=examples(30))
@given(data=st.binary(min_size=1, max_size=3000), size=st.integers(1, 100))
def test_deflate_without_a_head_is_read_as_some_servers_send_it(data, size):
    body = packed(data, -15)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    try:
        assert read(pieces, "deflate", path="/v1/files/1/content") == data
    except BodyError:
        # Plain data may look like a head; then they cannot be told from damaged ones.
        assert http_bodies._has_zlib_header(pieces[0])


def test_members_of_gzip_data_are_read_as_one_and_what_is_cut_off_is_no_answer():
    body = gzip_whole(b'{"a": ') + gzip_whole(b"1}") + b"and more"
    assert read([body], "gzip") == b'{"a": 1}'
    assert read([bytes([byte]) for byte in body], "GZIP;q=1") == b'{"a": 1}'
    with pytest.raises(BodyError, match="the answer is cut off: its gzip data have no end"):
        read([body[:-20]], "gzip")
    with pytest.raises(BodyError, match="compressed 5 times; at most 3 are read"):
        read([body], "gzip," * 4 + "gzip")


def test_small_pieces_leave_others_their_turn():
    turns = []

    async def go():
        stream = AsyncByteStream([b"x"] * 20_000)
        request = SimpleNamespace(url=SimpleNamespace(path="/v1/files/1/content"))
        response = SimpleNamespace(headers={}, stream=stream, is_success=True, request=request)
        await BodyBounds().bound_body(response)

        async def others():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        waiting = asyncio.create_task(others())
        async for _ in response.stream:
            pass
        waiting.cancel()

    asyncio.run(go())
    assert len(turns) > 1000


def test_the_limit_is_exact_before_and_after_unpacking():
    assert len(read([b"x" * ANSWER_LIMIT])) == ANSWER_LIMIT
    assert len(read([gzip_whole(b"x" * ANSWER_LIMIT)], "gzip")) == ANSWER_LIMIT
    for pieces, coding in (
        ([b"x" * ANSWER_LIMIT, b"y"], ""),
        ([gzip_whole(b"x" * (ANSWER_LIMIT + 1))], "gzip"),
    ):
        with pytest.raises(BodyError, match="longer than 8,388,608 bytes; it begins 'xxx"):
            read(pieces, coding)
    assert read([b"x" * ANSWER_LIMIT, b"y"], path="/v1/files/1/content")[-1:] == b"y"


def test_the_body_of_an_error_ends_at_its_limit_and_never_fails():
    assert len(read([b"x" * 100_000], success=False)) == http_bodies.ERROR_LIMIT
    assert read([b"no gzip"], "gzip", success=False) == b""


@pytest.mark.parametrize("text", [b"[1,2]", b'{"a": [{}, null]}', b'"\xff"', b"[" + b"0," * 99_998 + b"0]"])
def test_json_within_the_limits_is_read(text):
    assert decoded_json(text) == json.loads(text.decode("utf-8", "replace"))


@pytest.mark.parametrize("text", [b"[" * 5000, b"[" + b"0," * 100_000 + b"0]", b"{", b""])
def test_json_that_is_deep_or_large_is_none(text):
    with pytest.raises(ValueError, match=r"has more than 100,000 values|nested too deeply|Expecting"):
        decoded_json(text)


@given(st.text('[{,"\\ax', max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_separators_count_outside_of_strings_however_a_text_is_cut(text, places):
    counted, quoted, escaped = 0, False, False
    for letter in text:
        counted += not quoted and letter in "[{,"
        if quoted and not escaped and letter == "\\":
            escaped = True
            continue
        quoted ^= letter == '"' and not escaped
        escaped = False
    # An unfinished string is one.
    count, data = SeparatorCount(), text.encode()
    cuts = [0, *sorted(places), len(data)]
    for start, stop in itertools.pairwise(cuts):
        count.add(data[start:stop])
    assert count.count == counted
