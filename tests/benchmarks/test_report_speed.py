"""A report of 26,238 items, and of 100,000: how long it takes to make and to open, and how large it is.

    pytest tests/benchmarks/test_report_speed.py -m slow -s

Aimed at, for 26,238: made in 20 s, open in 3 s in headless Chromium, 25 MB without thumbnails. Asserted are
ratios: of making it to inferring the same samples, of opening it to opening that of a hundredth of the items.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
SEKE = (sys.executable, "-c", "from seke.cli.main import main; main()")
MAKING, OPENING = 3.0, 12.0


def timed(*arguments):
    started = time.perf_counter()
    subprocess.run([*SEKE, *map(str, arguments)], check=True, capture_output=True)
    return time.perf_counter() - started


def seconds_of(page, work, done):
    """Seconds from a change of the address until what it shows is there."""
    started = time.perf_counter()
    work()
    page.wait_for_selector(done)
    return time.perf_counter() - started


def opened(path):
    """Open a page afresh: seconds until it is ready, to sort all items, and to open one."""
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_context(offline=True).new_page()
        page.goto("about:blank")
        ready = seconds_of(page, lambda: page.goto(path.as_uri()), "html[data-ready=yes]")
        page.get_by_role("link", name="Items").click()
        page.wait_for_selector("tr.row")
        button = page.get_by_role("button", name="conflict")
        sorting = seconds_of(page, button.click, "th[aria-sort=descending]")
        row = page.locator("tr.row").first
        item = seconds_of(page, row.click, "article.panel")
        browser.close()
    return ready, sorting, item


@pytest.mark.parametrize("count", [26_238, 100_000])
def test_making_and_opening(count, tmp_path, capsys):
    measurements = {}
    for items in (count // 100, count):
        samples, records, page = (tmp_path / f"{items}{end}" for end in ("s.jsonl", "p.jsonl", ".html"))
        options = ("--question", "joint", "--draws", 3)
        timed("simulate", "--items", items, *options, "-o", samples, "--truth", tmp_path / "t.csv")
        inferring = timed("infer", samples, "-o", records)
        gold = ("--gold", tmp_path / "t.csv")
        making = timed("report", records, "--samples", samples, *gold, "-o", page)
        measurements[items] = inferring, making, page.stat().st_size / 1e6, *opened(page)
    inferring, making, size, ready, sorting, item = measurements[count]
    less = measurements[count // 100][3]
    with capsys.disabled():
        print(
            f"\n{count:,} items, 3 answers each, gold: made in {making:.1f} s, {making / inferring:.2f} "
            f"times what inferring takes; {size:.1f} MB; open in {ready:.2f} s ({less:.2f} of a hundredth), "
            f"sorted in {sorting:.2f} s, an item in {item:.2f} s"
        )
    assert making < MAKING * inferring
    assert ready < OPENING * less
