"""The page and its server in a real browser: played by keyboard, resumed, in two tabs; nothing leaves it.

They want Chromium (of the system) and the package playwright, and are passed over without them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from review_runs import made_faces, run_of

import seke
from engine import SekeError
from seke.graphics.shapes import DARK
from seke.review.serve import AnswerFile, review_server
from seke.review.tasks import read_tasks

COUNT = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    samples, _, _ = made_faces(COUNT, seed=2)
    run = run_of(folder / "run", samples)
    seke.review_export(run, folder / "t.html", "page", blind=0.5)
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


def watched(page):
    """Note what a page complains of, and what it asks for."""
    page.problems, page.asked = [], []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: page.problems.append(dialog.message))
    page.on("request", lambda request: page.asked.append(request.url))
    return page


@pytest.fixture(scope="module")
def one_window(browser):
    """A window with one tab, for all: each new one costs a process."""
    with browser.new_context(accept_downloads=True) as context:
        watched(context.new_page())
        yield context


@pytest.fixture
def windows(one_window):
    """Set the window up, without a network unless that is asked for; at the end no tab complained."""
    tab = one_window.pages[0]

    def window(*, offline=True, width=1280, height=900, scheme="light"):
        one_window.set_offline(offline)
        tab.set_viewport_size({"width": width, "height": height})
        tab.emulate_media(color_scheme=scheme)
        return one_window

    yield window
    assert [page.problems for page in one_window.pages if page.problems] == []
    for page in one_window.pages[1:]:
        page.close()
    if tab.url.startswith("file:"):
        tab.evaluate("localStorage.clear()")
    tab.goto("about:blank")
    tab.asked.clear()


def begin(context, address, name="anna"):
    tab = context.pages[0]
    page = tab if tab.url == "about:blank" else watched(context.new_page())
    page.goto(address)
    page.wait_for_selector("html[data-ready=yes]")
    page.fill("#who", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#start", state="hidden")
    return page


def shown_task(page, tasks):
    """The task that the page shows."""
    return tasks[page.evaluate("data.tasks[place].task")]


def play(page, task):
    """Answer a task by keys alone; return the values."""
    values = {}
    for name in task.asks:
        variable = seke.knowledge().variables[name]
        if variable.kind == "categorical":
            page.keyboard.press("4")
            values[name] = variable.states[3]
        elif variable.kind == "interval":
            page.keyboard.press("v" if name == "valence" else "b")
            page.keyboard.press("ArrowRight")
            values[name] = 0.05
    units = [name for name in task.asks if seke.knowledge().variables[name].kind == "binary"]
    values |= dict.fromkeys(units, False)
    if len(units) == 1:
        page.keyboard.press("1")
        values[units[0]] = True
    elif units:
        page.keyboard.press("q")
        page.keyboard.press("Shift+W")
        values |= {units[0]: True, units[1]: None}
    page.keyboard.press("Enter")
    return values


def answered(page, count, tasks):
    """Wait until the page counts so many answers."""
    page.locator("#count", has_text=f"{count} of {len(tasks)}").wait_for()


def saved(page, path):
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ten_faces_are_played_by_keyboard_and_imported(made, run, windows, tmp_path):
    tasks = read_tasks(made / "run" / "review" / "tasks.jsonl")
    page = begin(windows(), (made / "t.html").as_uri())
    answers = {}
    for number in range(10):
        task = shown_task(page, tasks)
        assert page.inner_text("#count") == f"{number} of {len(tasks)}"
        assert task.item not in page.inner_text("body")  # a file's name may tell the label
        answers[task.key] = play(page, task)
    lines = saved(page, tmp_path / "answers.jsonl")
    assert {line["task"]: line["values"] for line in lines} == answers
    assert all(line["annotator"] == "anna" and line["shown"] is False for line in lines)
    while page.is_visible("#work"):
        page.keyboard.press("n")
        page.wait_for_timeout(20)
    assert "10 answered, 0 cannot be judged" in page.inner_text("#sum")
    assert page.is_visible("#save-all")
    imported = seke.review_import([tmp_path / "answers.jsonl"], run)
    assert imported.new == 10
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_what_the_run_believes_is_hidden_until_asked_for_and_then_noted(made, windows, tmp_path):
    tasks = read_tasks(made / "run" / "review" / "tasks.jsonl")
    page, seen = begin(windows(), (made / "t.html").as_uri()), {}
    for _ in range(6):
        task = shown_task(page, tasks)
        assert page.is_hidden("#believed")
        page.keyboard.press("p")
        assert page.is_visible("#believed") == task.shown == seen.setdefault(task.key, task.shown)
        if task.shown:
            assert "The run believes: " in page.inner_text("#believed")
        play(page, task)
    lines = saved(page, tmp_path / "answers.jsonl")
    assert {line["task"]: line["shown"] for line in lines} == seen
    assert set(seen.values()) == {True, False}


def test_back_clear_skip_and_cannot_be_judged(made, windows, tmp_path):
    tasks = read_tasks(made / "run" / "review" / "tasks.jsonl")
    page = begin(windows(), (made / "t.html").as_uri())
    first = shown_task(page, tasks)
    page.keyboard.press("Enter")
    assert page.inner_text("#message")  # nothing is answered yet, or nothing is marked
    assert shown_task(page, tasks) == first
    play(page, first)
    page.keyboard.press("x")
    page.keyboard.press("n")
    assert page.inner_text("#count") == f"3 of {len(tasks)}"
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert shown_task(page, tasks) == first
    assert page.inner_text("#state") == "answered"
    page.keyboard.press("z")
    page.keyboard.press("x")
    # It goes on at the next face that is open.
    assert page.inner_text("#item") == f"face 4 of {len(tasks)}"
    lines = {line["task"]: line for line in saved(page, tmp_path / "answers.jsonl")}
    assert [lines[key]["status"] for key in list(lines)] == ["not_judged", "not_judged", "refused"]
    assert lines[first.key]["values"] == {}


def test_answers_survive_a_reload_and_two_tabs_know_of_each_other(made, windows, tmp_path):
    tasks, context = read_tasks(made / "run" / "review" / "tasks.jsonl"), windows()
    page = begin(context, (made / "t.html").as_uri())
    play(page, shown_task(page, tasks))
    other = begin(context, (made / "t.html").as_uri())
    assert other.inner_text("#count") == f"1 of {len(tasks)}"
    play(other, shown_task(other, tasks))
    answered(page, 2, tasks)
    play(page, shown_task(page, tasks))
    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    page.fill("#who", "anna")
    page.keyboard.press("Enter")
    page.wait_for_selector("#work:not([hidden])")
    assert len(saved(page, tmp_path / "a.jsonl")) >= 2
    stranger = begin(context, (made / "t.html").as_uri(), "ben")
    assert stranger.inner_text("#count") == f"0 of {len(tasks)}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_takes_the_scheme_of_the_system(made, windows, scheme):
    context = windows(width=390, height=844, scheme=scheme)
    page = begin(context, (made / "t.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = tuple(int(DARK["paper"][at : at + 2], 16) for at in (1, 3, 5))
    assert (paper == f"rgb{dark}") == (scheme == "dark")
    small = page.eval_on_selector_all(
        ".panel button", "all => all.map(b => b.getBoundingClientRect().height).filter(h => h > 0 && h < 40)"
    )
    assert small == []  # wide enough for a thumb


def test_text_from_outside_stays_text(tmp_path, windows):
    samples, _, _ = made_faces(2, seed=3)
    names = {"item-000000": "</script><img src=x onerror=alert(1)>", "item-000001": "a&b"}
    run = run_of(tmp_path / "run <b>", [{**sample, "item": names[sample["item"]]} for sample in samples])
    seke.review_export(run, tmp_path / "t.html", "page")
    page = begin(windows(), (tmp_path / "t.html").as_uri(), "<i>anna</i>")
    assert page.locator("h1").inner_text() == "run <b>: t"
    assert {task["item"] for task in page.evaluate("data.tasks")} <= set(names.values())


# The server ---------------------------------------------------------------------------------------


def ask(address, data=None, **headers):
    """Return status and text of a request."""
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def server(run):
    with review_server(run, blind=0.5) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def test_the_server_answers_only_its_own_address(server):
    plain = f"http://127.0.0.1:{server.server_port}/"
    assert server.address.startswith(plain)
    assert ask(server.address)[0] == 200
    assert ask(plain)[0] == ask(f"{plain}guess/")[0] == ask(f"{plain}guess/answers")[0] == 403
    assert ask(server.address, Host="evil.example")[0] == 403
    assert ask(f"{server.address}nothing")[0] == 404
    json_type = {"Content-Type": "application/json"}
    assert ask(f"{server.address}answer", b"{}") == (400, "an answer is JSON of at most 64 KB")
    assert ask(f"{server.address}answer", b"{", **json_type) == (400, "is no JSON")
    assert ask(f"{server.address}answer", b" " * 70_000, **json_type)[0] == 400
    status, text = ask(f"{server.address}answer", b"{}", **json_type)
    assert (status, text[:20]) == (400, "task: is missing or ")
    task = next(iter(server.kept.tasks.values()))
    answer = {
        "task": task.key,
        "item": task.item,
        "annotator": "a",
        "status": "ok",
        "values": {},
        "shown": False,
    }
    for changed in ({"task": "x"}, {"item": "x"}, {"annotator": " "}):
        assert (
            ask(f"{server.address}answer", json.dumps({**answer, **changed}).encode(), **json_type)[0] == 400
        )
    assert not server.kept.path.exists()
    assert ask(f"{server.address}answer", json.dumps(answer).encode(), **json_type) == (200, "")
    assert ask(f"{server.address}answers?annotator=b") == (200, "")
    assert json.loads(ask(f"{server.address}answers?annotator=a")[1]) == answer


def test_two_tabs_and_a_second_person_are_served(server, windows):
    context = windows(offline=False)
    page, other = begin(context, server.address), begin(context, server.address)
    tasks = server.kept.tasks
    play(page, shown_task(page, tasks))
    answered(page, 1, tasks)
    other.reload()
    other.wait_for_selector("html[data-ready=yes]")
    other.fill("#who", "anna")
    other.keyboard.press("Enter")
    answered(other, 1, tasks)
    answered(begin(context, server.address, "ben"), 0, tasks)
    assert [url for url in page.asked if not url.startswith((server.address, "data:"))] == []


def test_a_killed_server_loses_no_answer_and_goes_on(tmp_path, windows):
    run = run_of(tmp_path / "run", made_faces(3, seed=2)[0])
    command = [sys.executable, "-c", "from seke.cli.main import main; main()", "review", "serve", str(run)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def started():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        process.stdout.readline()
        return process, process.stdout.readline().strip()

    process, address = started()
    tasks = read_tasks(run / "review" / "tasks.jsonl")
    page = begin(windows(offline=False), address)
    played = shown_task(page, tasks)
    values = play(page, played)
    answered(page, 1, tasks)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    play(page, shown_task(page, tasks))
    page.locator("#message", has_text="is not kept").wait_for()
    page.problems.clear()  # a browser says that nobody answered
    served = run / "review" / "served.jsonl"
    (line,) = served.read_text().splitlines()
    assert json.loads(line)["values"] == values
    with served.open("a") as file:
        file.write('{"task": "cut o')  # the end of a line that was being written
    process, address = started()
    try:
        again = begin(windows(offline=False), address)
        answered(again, 1, tasks)
        assert served.read_text() == line + "\n"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()
    assert process.returncode == 0
    assert seke.review_import([served], run).new == 1


def test_a_port_that_is_taken_is_named(server, run):
    with pytest.raises(SekeError, match=f"port {server.server_port} of 127.0.0.1 cannot be used"):
        review_server(run, port=server.server_port)


def test_a_line_that_was_cut_off_is_no_answer(tmp_path):
    path = tmp_path / "served.jsonl"
    path.write_text('{"annotator": "a"}\n{"annot')
    kept = AnswerFile(path, {})
    assert kept.of("a") == b'{"annotator": "a"}\n'
    assert path.read_text() == '{"annotator": "a"}\n'
