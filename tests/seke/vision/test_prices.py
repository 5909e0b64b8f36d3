"""Price lists: what is read, and what is said of what cannot be."""

from __future__ import annotations

import asyncio
import math
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import ONE_QUESTION, SMALL_FACES
from thorough import examples

from engine import SekeError
from seke.annotation.cost_forecast import _resample_totals, forecast
from seke.annotation.job import Job
from seke.cli.main import main
from seke.runs.ledger import Ledger
from seke.sampling.loop import Request
from seke.vision.errors import OutOfMoneyError
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Call, Choice, Picture, Prompt, Reply, Settings
from seke.vision.prices import Estimate, Prices, read_prices

EXAMPLE = Path(__file__).parents[3] / "examples" / "annotate"
GOOD = """
source: the page of prices, 2026-11-26
models:
  big: {prompt: 2.5, cached: 1.25, answer: 1e1, batch: .5}
  own: {prompt: 0, answer: 0, source: a machine of ours}
"""


def test_prices_of_a_model(tmp_path):
    (tmp_path / "p.yaml").write_text(GOOD)
    big = read_prices(tmp_path / "p.yaml", "big")
    assert big == Prices(prompt=2.5, answer=10.0, cached=1.25, batch=0.5)
    assert read_prices(tmp_path / "p.yaml", "own") == Prices(0, 0)
    # In a batch, 1 M prompt tokens of which 0.4 M were cached, and 0.5 M of answers: half of 1.5 + 0.5 + 5.
    assert big.in_batch().of(1_000_000, 400_000, 500_000) == pytest.approx(3.5)
    assert big.in_batch().in_batch() == big.in_batch()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("big:", "bug:", "no prices of 'big'; did you mean bug"),
        ("prompt: 2.5", "prompts: 2.5", "p.yaml:4: no such key: prompts; allowed are prompt, answer"),
        ("prompt: 2.5", "prompt: -1", "p.yaml:4: prompt: -1; allowed is USD"),
        ("prompt: 2.5", "prompt: .nan", "prompt: .nan; allowed"),
        ("prompt: 2.5", "prompt: [1]", "prompt: a sequence; allowed"),
        ("prompt: 2.5", "prompt: 2.5, prompt: 3", "p.yaml:4: prompt is there twice"),
        ("prompt: 2.5, ", "", "p.yaml:4: models.big: prompt is missing"),
        ("batch: .5", "batch: 50", "batch: 50; allowed is a share from 0 to 1"),
        ("source: the page of prices, 2026-11-26", "", "no source; state where"),
        ("models:", "model:", "no such key: model;"),
        ("models:", "models: 5 #", "p.yaml:"),
        ("{prompt", "{{prompt", "p.yaml:"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path, old, new, message):
    assert old in GOOD
    (tmp_path / "p.yaml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SekeError) as fault:
        read_prices(tmp_path / "p.yaml", "big")
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_no_file_or_an_empty_one(tmp_path):
    with pytest.raises(SekeError, match="cannot be read"):
        read_prices(tmp_path / "p.yaml", "big")
    (tmp_path / "p.yaml").write_text("")
    with pytest.raises(SekeError, match=r"p\.yaml:1: a mapping"):
        read_prices(tmp_path / "p.yaml", "big")


def test_a_forecast_with_a_price_list(tmp_path):
    def printed(*options, status=0):
        args = [
            "annotate",
            EXAMPLE,
            "--run",
            tmp_path / "run",
            "-k",
            ONE_QUESTION,
            "--dry-run",
            "--strategy",
            "fixed:2",
            *options,
        ]
        result = CliRunner().invoke(main, [*map(str, args)])
        assert result.exit_code == status, result.output
        return result.output

    shipped = EXAMPLE / "prices.yaml"
    assert "at most 0.00 USD" in printed("--model", "llava", "--prices", shipped)
    assert "no prices of 'gpt-4o'" in printed("--model", "gpt-4o", "--prices", shipped, status=2)
    both = printed("--model", "llava", "--prices", shipped, "--price-in", "1", "--price-out", "1", status=2)
    assert "not both" in both

    def cost(*options):
        output = printed("--model", "gpt-4o", "--price-in", "2", "--price-out", "8", *options)
        return float(output.split("at most ")[-1].split(" USD")[0])

    assert cost("--batch") == pytest.approx(cost() / 2, abs=0.01)


def test_what_is_known_already_is_not_bought(tmp_path):
    """Of labelled items the label is known and not answered again, so that fewer joint answers are needed.

    What is asked instead is short, but without a cache each request pays for the definitions again.
    """
    base = tmp_path / "sure.yaml"
    table = "{accuracy: 0.95, source: judgement, note: Labels that are seldom wrong.}"
    observers = f"{{dataset-label: {{categorical: {{expression: {table}}}}}}}"
    base.write_text(f"extends: {SMALL_FACES}\nobservers: {observers}\n")

    def forecast_of(images, **options):
        settings = Settings("gpt-4o")
        job = Job.of([images], tmp_path / "run", ScriptedModel(), settings, knowledge=base, **options)
        return forecast(job, settings, {"gpt-4o": Prices(2, 8)})

    labelled = tmp_path / "labelled.csv"
    (tmp_path / "smile.png").write_bytes((EXAMPLE / "smile.png").read_bytes())
    rows = [f"smile.png,f{i},happiness" for i in range(30)]
    labelled.write_text("\n".join(["path,item,expression", *rows]) + "\n")
    plain = tmp_path / "plain.csv"
    plain.write_text(labelled.read_text().replace(",happiness", "").replace(",expression", ""))
    with_labels, without = forecast_of(labelled), forecast_of(plain)
    assert (with_labels.labelled, without.labelled) == (30, 0)
    assert with_labels.answers.get("joint", 0) < 0.5 * without.answers["joint"]
    assert sum(with_labels.answers.values()) < sum(without.answers.values())
    for estimate in (with_labels, without):
        assert estimate.price_low < estimate.price < estimate.price_high < estimate.price_most
    # Rules ask the same of each item, or between K and N.
    fixed = forecast_of(plain, strategy="fixed:3")
    assert fixed.answers == {"joint": 90}
    assert fixed.requests == 30
    assert fixed.price_low == pytest.approx(fixed.price_high)
    agree = forecast_of(plain, strategy="agree:2/4")
    assert 60 < agree.answers["joint"] < 120
    assert agree.price_low < agree.price_high


def test_the_range_of_a_total_by_the_normal_law():
    """Of many items with independent costs: mean ± 1.2816 sd sqrt(n + n²/m), from m that were made up."""
    rng = np.random.default_rng(0)
    costs, count = rng.exponential(1.0, 200), 1000
    totals = _resample_totals(costs, count, rng)
    low, middle, high = np.quantile(totals, (0.1, 0.5, 0.9))
    width = 1.2816 * costs.std() * np.sqrt(count + count**2 / len(costs))
    assert middle == pytest.approx(count * costs.mean(), rel=0.02)
    assert (high - low) / 2 == pytest.approx(width, rel=0.12)


# What may be spent -----------------------------------------------------------------------------------

DEAR = Prices(prompt=2.0, answer=8.0)
BOUND = Settings("m", max_tokens=600)


def ask_call(number, side=100, question="joint"):
    picture = Picture(b"", "image/jpeg", side, side, f"q{number}")
    request = Request(f"f{number}", "gpt-4o", question, None, "face", 0, 1)
    return Call(request, Prompt("Look.", {}, "p"), picture)


async def spend(ledger, requests, at_once):
    """Ask as a run does: the first request alone, then so many at once; return the largest reservation."""
    estimate, free, reserved = Estimate(DEAR, BOUND), asyncio.Semaphore(at_once), [0.0]

    async def ask(number, tokens, side, wait):
        call = ask_call(number, side, f"question {number % 2}")
        async with free, estimate.turn():
            reserved.append(estimate.worst(call, 1))
            sent = await ledger.sent(call, (0,), reserved[-1])
            for _ in range(wait):
                await asyncio.sleep(0)
            # As many tokens of a prompt as a server by tiles counts; 170 a tile, and text before.
            prompt = 800 + 170 * math.ceil(side / 512) ** 2
            price = DEAR.of(prompt, 0, tokens)
            reply = Reply((Choice(0, "", "stop"),), "m", None, None, prompt, tokens, 0, price)
            estimate.note(call, reply)
            await ledger.answered(sent, reply)

    tasks = (ask(number, *request) for number, request in enumerate(requests))
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(end is None or isinstance(end, OutOfMoneyError) for end in ends)
    return max(reserved), any(ends)


@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.integers(50, 1100), st.integers(0, 5)), min_size=15, max_size=25
    ),
    st.integers(1, 16),
    st.floats(0.008, 0.12),
)
@settings(max_examples=examples(15), deadline=None)
def test_no_lengths_of_answers_within_their_bound_pass_what_may_be_spent(requests, at_once, limit):
    with tempfile.TemporaryDirectory() as folder, closing(Ledger(Path(folder), made_record, limit)) as ledger:
        ledger.patient = True
        reserved, ended = asyncio.run(spend(ledger, requests, at_once))
        assert ledger.totals().spent <= limit
        # Ended so, less remains than one request could have cost.
        assert not ended or limit - ledger.totals().spent < reserved


def test_little_of_a_budget_remains_unused(tmp_path):
    rng = np.random.default_rng(0)
    requests = [(int(rng.integers(20, 120)), 300, int(rng.integers(0, 6))) for _ in range(200)]
    with closing(Ledger(tmp_path, made_record, 0.4)) as ledger:
        ledger.patient = True
        assert asyncio.run(spend(ledger, requests, 16))[1]
        # 0.4 USD, of which a request takes 0.0025 and may take 0.0071: 1.8 % at most are left.
        assert 0.982 * 0.4 < ledger.totals().spent <= 0.4


def made_record(call, choice):
    return {"item": call.request.item, "draw": choice.draw}


def test_a_larger_picture_or_another_question_is_reckoned_with_before_its_first_reply():
    estimate = Estimate(DEAR, BOUND)
    estimate.note(ask_call(0, 400), Reply((), "m", prompt_tokens=1000))
    assert estimate.tokens(ask_call(1, 512), 1)[0] == pytest.approx(1000 * 1.2 * (512 / 400) ** 2, abs=1)
    # 513 pixels a side take four tiles of 512.
    assert estimate.tokens(ask_call(1, 513), 2) == (4800, 1200)
    assert estimate.tokens(ask_call(1, 100), 1)[0] == 1200
    # A token has a byte at least: "Look." and "{}" are seven.
    assert estimate.tokens(ask_call(1, 400, "other"), 1)[0] == math.ceil(1007 * 1.2)
