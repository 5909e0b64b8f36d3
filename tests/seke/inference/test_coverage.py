"""A guarantee in use: what `seke infer` accepts by it, what it says of it, and when it refuses it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from engine import (
    Answers,
    Certificate,
    Gold,
    LevelDecision,
    ValueTest,
    acceptable,
    certificates_yaml,
    certify,
    decide_levels,
    design_of,
    diagnose,
    fewest,
    mismatches,
    split,
)
from engine.model.guarantee import Asked
from seke import infer, knowledge
from seke.cli.main import main
from seke.console.guarantee_text import certificate_facts, certified_line, lacking, verdict, worst_text
from seke.console.infer_summary import limits_in_words
from seke.explanations.facts import inferred_facts
from seke.explanations.text import head_sentences
from seke.inference.session import Session
from seke.samples import answers_from
from seke.sampling.infer import batches
from seke.sampling.replay import mark_off_policy
from seke.sampling.simulate import simulate

MACHINE = Path(__file__).parents[2] / "engine" / "bases" / "machine.yaml"
DRAWS = 3


@cache
def simulated_items(count, seed, draws=DRAWS, **given):
    parts = list(simulate(MACHINE, count, questions=["walk"], draws=draws, seed=seed, **given))
    samples = [sample for part in parts for sample in part.samples]
    return samples, [row for part in parts for row in part.truth]


def gold_of(base, truth):
    """Turn a label table into gold."""
    columns = {}
    for names in base.levels.values():
        for name in names:
            states = {state: index for index, state in enumerate(base.variables[name].states)}
            categorical = base.variables[name].kind == "categorical"
            columns[name] = np.array(
                [states[row[name]] if categorical else row[name] for row in truth], dtype=float
            )
    return Gold(columns)


@cache
def decided(count, seed):
    """What a calibration infers and decides about items with gold."""
    base = knowledge(MACHINE)
    session = Session.open(base)
    parts = list(answers_from(simulated_items(count, seed)[0], base))
    levels, allowed = [], []
    for answers in parts:
        posterior = session.inference.posterior(answers)
        conflict = diagnose(session.inference, answers, posterior).conflict
        levels.append(decide_levels(base, answers, posterior, conflict))
        allowed.append(acceptable(base, answers, conflict))
    joined = {name: LevelDecision.stacked([part[name] for part in levels]) for name in levels[0]}
    return session, parts, joined, np.concatenate(allowed)


def certified_with(count, seed, **given):
    """Do what a calibration does with gold: infer, decide, certify."""
    base, truth = knowledge(MACHINE), simulated_items(count, seed)[1]
    session, parts, levels, allowed = decided(count, seed)
    fits = split(len(truth), None, 1 / 3, np.random.default_rng(0))
    given = {"alpha": 0.13, "delta": 0.1, "design": design_of(base, parts), **given}
    population = session.inference.population
    given |= {"population": population, "made": "2025-11-25"}
    return certify(base, levels, allowed, gold_of(base, truth), fits, **given)


@pytest.fixture(scope="module")
def guarantee():
    return certified_with(1_500, 1, breadth="values")


@pytest.fixture(scope="module", params=["levels", "values", "pooled"])
def any_guarantee(request):
    return certified_with(1_500, 1, breadth=request.param, rng=np.random.default_rng(1))


def covering(guarantee, variable, value):
    """Return the certificate about a value of a variable."""
    word = str(value).lower() if isinstance(value, bool) else value
    names = variable.values if variable.kind == "interval" else (word,)
    (certificate,) = (c for c in guarantee.certificates if set(names) <= set(c.values_of(variable)))
    return certificate


def overlay(folder, guarantee, name="certified.yaml", more="", base=MACHINE):
    text = f"extends: {base}\n{more}\n{certificates_yaml(guarantee, 'handbook')}"
    (folder / name).write_text(text, "utf-8")
    return folder / name


@pytest.fixture
def folder(tmp_path, monkeypatch, guarantee):
    monkeypatch.chdir(tmp_path)
    for name, samples in (("new", simulated_items(60, 2)[0]), ("fewer", simulated_items(60, 3, draws=2)[0])):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps(sample) + "\n" for sample in samples), "utf-8"
        )
    overlay(tmp_path, guarantee)
    return tmp_path


def seke(*args):
    result = CliRunner(catch_exceptions=False).invoke(main, ["infer", *map(str, args)])
    return result.exit_code, result.stdout, result.stderr


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def answer_odds(base, path):
    """The log-odds that the answers about each binary variable alone give, by item and variable."""
    inference, odds_by_item = Session.open(base).inference, {}
    for answers in answers_from(records(path.read_text()), base):
        odds = inference.posterior(answers).answer_odds
        for i, item in enumerate(answers.items):
            odds_by_item[item] = {name: float(column[i]) for name, column in odds.items()}
    return odds_by_item


def test_limits_of_the_mean_decide_only_where_the_guarantee_does_not_and_that_is_said(tmp_path, guarantee):
    limits = f"{{{knowledge(MACHINE).root}: {{mean: 0.1}}}}"
    path = tmp_path / "mean.yaml"
    path.write_text(f"extends: {MACHINE}\npolicy: {{source: judgement, note: A trial., limits: {limits}}}\n")
    session = Session.open(knowledge(path))
    (line,) = limits_in_words(session, 0)
    assert line.startswith("each value of")
    assert line.endswith(
        "With 60 items whose answers are enough to accept the same value (policy.evidence), or 30 such items "
        "with gold (seke calibrate), the mean risk of the accepted is held to it instead, and more are "
        "accepted"
    )
    covered = replace(session, guarantee=guarantee)
    assert limits_in_words(covered, 1) == [f"where the guarantee does not decide: {line}"]
    assert limits_in_words(covered, 0) == []


def test_what_is_accepted_is_certified_and_by_its_threshold(folder, any_guarantee):
    assert any_guarantee.certified
    overlay(folder, any_guarantee)
    status, out, err = seke("new.jsonl", "-k", "certified.yaml")
    assert status == 0
    base, seen = knowledge(MACHINE), set()
    plain = {record["item"]: record for record in infer("new.jsonl", MACHINE)}
    odds = answer_odds(base, folder / "new.jsonl")
    for record in records(out):
        decision = record["decision"]
        assert decision["guarantee"] == {"alpha": 0.13, "delta": 0.1, "holds": True, "why": ""}
        assert plain[record["item"]]["posteriors"] == record["posteriors"]
        conflict = record["diagnostics"]["conflict"] < base.policy.conflict
        for name, level in decision["levels"].items():
            value = level["value"]
            threshold = covering(any_guarantee, base.variables[name], value).threshold
            assert level["threshold"] == threshold
            may = level["origin"] == "seen" and not conflict
            if isinstance(value, bool):
                # A binary value needs evidence of its own besides.
                log_odds = odds[record["item"]][name] * (1 if value else -1)
                may &= log_odds >= np.log(base.policy.evidence) - 1e-9
            accepted = threshold is not None and level["risk"] <= threshold + 5e-7 and may
            assert (level["decision"] == "accept") == level["certified"] == accepted
            assert (level["basis"] == "certified") == accepted
            seen.add((threshold is not None, accepted))
            if threshold is None and name in ("wear", "load", "flow") and decision["item"] != "accept":
                assert f"uncertified: {name}" in decision["reasons"]
    assert seen == {(True, True), (True, False)} | ({(False, False)} if any_guarantee.failed else set())
    promise = "guaranteed with 90 % confidence: at most 13 % wrong among items accepted as "
    starts = [
        promise,
        *["single values are not promised; in the test the worst value is "]
        * sum(certificate.worst is not None for certificate in any_guarantee.certified),
        *["not certified, so not accepted: "] * bool(any_guarantee.failed),
    ]
    for line, start in zip(err.splitlines()[-len(starts) :], starts, strict=True):
        assert line.startswith(start)


def test_with_draws_of_the_base_less_is_certified_and_the_last_line_says_that_it_was_not_tested(folder):
    certified, threshold_of = [], {}
    for options in ((), ("--knowledge-uncertainty",)):
        status, out, err = seke("new.jsonl", "-k", "certified.yaml", *options)
        assert status == 0
        levels = {
            (record["item"], name): level
            for record in records(out)
            for name, level in record["decision"]["levels"].items()
        }
        certified.append({key for key, level in levels.items() if level["certified"]})
        threshold_of |= {key: levels[key]["threshold"] for key in certified[-1]}
        untested = "it was not tested for these alone" in err
        assert untested == bool(options)
    assert certified[1] < certified[0]
    for key in certified[1]:
        assert levels[key]["risk"] + levels[key]["risk_sd"] <= threshold_of[key] + 2e-6


def with_risks(guarantee, **risks):
    """Return a guarantee whose certificates all have these numbers, and nothing else changed."""
    return replace(guarantee, certificates=tuple(replace(c, **risks) for c in guarantee.certificates))


@pytest.fixture(scope="module")
def worn_items():
    """A session in which only the root has a worth, the answers of 300 items, and what it makes of them."""
    session = Session.open(knowledge(MACHINE))
    policy = session.knowledge.policy
    worth = {name: 1000.0 * (name == session.knowledge.root) for name in policy.worth}
    session = session.under(replace(policy, worth=worth))
    (answers,) = answers_from(simulated_items(300, 6)[0], session.knowledge)
    return session, answers, session.judge(answers).decisions


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_certificate_is_asked_for_down_to_its_own_risk(worn_items, guarantee, adaptive):
    """Between a stricter certificate and the limit asking goes on, between the limit and a looser one not.

    A certificate of items that the policy asked names the risk that they were asked down to.
    """
    session, answers, plain = worn_items
    root = session.knowledge.root
    limit, risk = session.knowledge.policy.limits[root], plain.levels[root].risk
    guarantee = replace(guarantee, design=replace(guarantee.design, adaptive=adaptive))
    ends = {}
    for share in (0.25, 4.0):
        risks = {"threshold": share * limit, "aim": share * limit if adaptive else None}
        judged = replace(session, guarantee=with_risks(guarantee, **risks)).judge(answers)
        assert judged.scope.inside.all()
        asks = np.array([option is not None for option in judged.decisions.next])
        low, high = sorted((share * limit, limit))
        ends[share] = asks[(risk > low) & (risk <= high) & plain.levels[root].eligible]
        assert asks[risk > high].any()
        assert not asks[risk <= low].any()
    before = np.array([option is not None for option in plain.next])
    assert not before[risk <= limit].any()
    assert ends[0.25].any()
    assert not ends[4.0].any()
    assert len(ends[4.0]) > 5


def test_certified_risks_ask_as_limits_of_the_same_size_do(worn_items, guarantee):
    """Where a value has no certificate, nothing is asked for it: a limit of 0, which no risk can reach."""
    session, answers, _ = worn_items
    base = session.knowledge
    policy = replace(base.policy, worth=dict.fromkeys(base.policy.worth, 50.0))
    risks = {name: guarantee.thresholds(base.variables[name]) for name in policy.limits}
    assert np.isnan(np.concatenate(list(risks.values()))).any()
    limits = {name: tuple(np.nan_to_num(values).tolist()) for name, values in risks.items()}
    session = session.under(policy)
    covered = replace(session, guarantee=guarantee).judge(answers)
    limited = session.under(replace(policy, thresholds=limits)).judge(answers)
    assert covered.decisions.next == limited.decisions.next
    assert any(covered.decisions.next)
    assert covered.decisions.next != session.judge(answers).decisions.next


def test_items_that_the_policy_asked_by_itself_in_the_test_are_asked_so_later(worn_items, guarantee):
    """What is certified of an asking holds for that asking alone, whatever the thresholds."""
    session, answers, plain = worn_items
    adaptive = replace(guarantee, design=replace(guarantee.design, adaptive=True))
    judged = replace(session, guarantee=adaptive).judge(answers)
    assert judged.scope.inside.all()
    assert judged.decisions.next == plain.next


def test_an_item_that_is_not_covered_is_asked_by_the_limits(worn_items, guarantee):
    session, answers, plain = worn_items
    off = dict.fromkeys(answers.items[::2], "asked otherwise")
    covered = replace(session, guarantee=with_risks(guarantee, threshold=0.001))
    following = covered.judge(answers).decisions.next
    outside = replace(covered, off_policy=off).judge(answers).decisions.next
    assert outside[::2] == plain.next[::2]
    assert outside[1::2] == following[1::2]
    assert following[::2] != plain.next[::2]


def test_what_was_asked_down_to_is_read_as_written(folder, guarantee):
    aimed = with_risks(guarantee, aim=0.015625)
    again = knowledge(overlay(folder, aimed, "aimed.yaml")).guarantee
    assert {certificate.aim for certificate in again.certificates} == {0.015625}
    assert "asked down to the risk 0.016" in certified_line(again.certified[0], again.unit)


def test_what_is_accepted_of_new_items_is_right_often_enough(any_guarantee):
    """The chain as a whole, from samples to records, on items of which the truth is known."""
    samples, truth = simulated_items(1_500, 7)
    base = replace(knowledge(MACHINE), guarantee=any_guarantee)
    wrong_by_name = {}
    for record, row in zip(infer(samples, base), truth, strict=True):
        of_item = {}
        for name, level in record["decision"]["levels"].items():
            if level["certified"]:
                off = level["value"] != row[name]
                if base.variables[name].kind == "interval":
                    off = abs(level["value"] - row[name]) > base.policy.tolerance[name]
                certificate = covering(any_guarantee, base.variables[name], level["value"])
                of_item.setdefault(certificate.name, []).append(off)
        for name, offs in of_item.items():  # Of pooled ones a random accepted value counts.
            wrong_by_name.setdefault(name, []).append(np.mean(offs))
    assert wrong_by_name.keys() == {certificate.name for certificate in any_guarantee.certified}
    for wrong in wrong_by_name.values():
        assert np.mean(wrong) <= 0.15 + 2 * np.sqrt(0.15 * 0.85 / len(wrong))


def test_every_format_holds_it(folder):
    from pyarrow import parquet

    for name in ("o.csv", "o.parquet"):
        assert seke("new.jsonl", "-k", "certified.yaml", "-o", name)[0] == 0
    with (folder / "o.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["decision.guarantee.alpha"], row["decision.guarantee.holds"]) == ("0.13", "true")
    assert {"decision.levels.wear.certified", "decision.levels.wear.threshold"} < set(row)
    table = parquet.read_table(folder / "o.parquet")
    assert table["decision"][0].as_py()["guarantee"]["delta"] == 0.1


@pytest.mark.parametrize(
    ("more", "args", "reason"),
    [
        (
            "observers: {fitter: {carry: 0.5, source: handbook}}",
            (),
            "observers changed since it was made (digest ",
        ),
        ("policy: {budget: 13, source: handbook}", (), "policy changed since it was made (digest "),
        ("", ("--population", "in-service"), "it was made for population uniform, this is in-service"),
    ],
)
def test_a_change_is_refused_with_the_reason_and_decided_as_without(folder, more, args, reason):
    (folder / "over.yaml").write_text(f"extends: certified.yaml\n{more}\n", "utf-8")
    (folder / "plain.yaml").write_text(f"extends: {MACHINE}\n{more}\n", "utf-8")
    status, out, err = seke("new.jsonl", "-k", "over.yaml", *args)
    assert status == 1
    assert err.splitlines()[-1].startswith(f"the guarantee is refused: {reason}")
    assert seke("new.jsonl", "-k", "plain.yaml", *args)[:2] == (0, out)
    if not args:
        with pytest.warns(UserWarning, match="the guarantee is refused"):
            assert next(infer("new.jsonl", "over.yaml"))["item"] == "item-000000"


def test_items_answered_otherwise_are_not_covered(folder):
    lines = (folder / "new.jsonl").read_text().splitlines()
    other = [json.loads(line) | {"item": "extra"} for line in lines[:2]]
    (folder / "new.jsonl").write_text("\n".join([*lines, *map(json.dumps, other)]) + "\n")
    status, out, err = seke("new.jsonl", "-k", "certified.yaml")
    assert status == 1
    assert err.splitlines()[-1] == (
        "the guarantee is refused for 1 of 61 items, which were not answered like the gold "
        "(extra: 2 answers, in the gold at least 3); they are decided without it"
    )
    *covered, extra = records(out)
    assert all(record["decision"]["guarantee"]["holds"] for record in covered)
    assert extra["decision"]["guarantee"]["why"] == "2 answers, in the gold at least 3"
    (plain,) = infer(other, MACHINE)
    for name, level in extra["decision"]["levels"].items():
        assert level == plain["decision"]["levels"][name] | {"certified": False, "threshold": None}


def test_a_terminal_is_told_in_words(folder):
    status, _, err = seke("fewer.jsonl", "-k", "certified.yaml", "--explain", "item-000003")
    assert status == 1
    assert err.endswith("the guarantee is refused: 2 answers, in the gold at least 3\n")
    phrases = {
        True: "is within the certified threshold",
        False: "is not accepted: no certificate covers",
        None: "is above the limit",
    }
    kinds = set()
    session = mark_off_policy(Session.open(knowledge("certified.yaml")), "new.jsonl")
    (new,) = batches("new.jsonl", session.knowledge)
    for place, record in enumerate(infer("new.jsonl", "certified.yaml")):
        level = record["decision"]["levels"]["wear"]
        if level["risk"] == 0 or (
            level["threshold"] is not None and record["diagnostics"]["conflict"] < 0.01
        ):
            continue
        kind = True if level["certified"] else False if level["threshold"] is None else None
        if kind not in kinds:
            facts = inferred_facts(session, new.part(place, place + 1))
            assert facts["item"] == record["item"]
            assert phrases[kind] in " ".join(" ".join(head_sentences(facts)).split()), record["item"]
            kinds.add(kind)
    assert len(kinds) >= 2


# Designs.


def answers(*samples, base):
    rows = [
        {"observer": "fitter", "question": "walk", "draw": i} | sample for i, sample in enumerate(samples)
    ]
    (batch,) = answers_from(rows, base)
    assert isinstance(batch, Answers)
    return batch


def test_a_design_is_who_was_asked_what_and_how_often():
    base = knowledge(MACHINE)
    worn = {"reports": {"wear": "worn"}}
    listen, refused = {"question": "listen", "reports": {"noisy": True}}, {"status": "refused"}
    batch = answers(
        {"item": "a", **worn},
        {"item": "a", **worn},
        {"item": "a", **listen},
        {"item": "b", **worn},
        {"item": "b", **refused},
        {"item": "b", **listen},
        base=base,
    )
    design = design_of(base, [batch])
    assert (design.least, design.most, design.adaptive) == (3, 3, False)
    # The refused answer of b does not make one answer enough.
    assert design.readings == (Asked("fitter", "walk", "face", 2, 2), Asked("fitter", "listen", "face", 1, 1))
    assert mismatches(design, base, batch) == ["", ""]
    other = answers(
        {"item": "a", **worn},
        {"item": "a", **worn},
        {"item": "a", **worn},
        {"item": "b", **worn},
        {"item": "b", "observer": "logbook", **worn},
        {"item": "b", **listen},
        {"item": "c", **worn},
        {"item": "c", **listen, "view": "back"},
        {"item": "c", **listen},
        {"item": "d", **listen},
        {"item": "d", **listen},
        {"item": "d", **refused},
        {"item": "e", **worn},
        {"item": "e", **refused},
        {"item": "e", **refused},
        {"item": "f", **worn},
        {"item": "f", **worn},
        {"item": "f", **listen},
        {"item": "f", **refused},
        base=base,
    )
    assert mismatches(design, base, other) == [
        "3 answers of fitter, walk, face, in the gold at most 2",
        "logbook, walk, face was not asked in the gold",
        "fitter, listen, back was not asked in the gold",
        "2 answers of fitter, listen, face, in the gold at most 1",
        "",  # What was refused may have been any of the answers.
        "4 answers, in the gold at most 3",
    ]
    adaptive = design_of(base, [batch], adaptive=True)
    assert mismatches(adaptive, base, answers({"item": "a", **worn}, base=base)) == [""]
    assert mismatches(design, base, answers({"item": "a", **worn}, base=base)) == [
        "1 answer, in the gold at least 3"
    ]
    one_question = answers({"item": "a", **worn}, {"item": "a", **worn}, base=base)
    assert mismatches(replace(design, least=2), base, one_question) == ["lacks fitter, listen, face"]
    with pytest.raises(ValueError, match="at least one item"):
        design_of(base, [])


def test_questions_about_one_variable_count_each():
    base = knowledge(MACHINE)
    names = ("hot", "noisy", "shaking")
    batch = answers(*({"item": "a", "question": "check", "reports": {n: True}} for n in names), base=base)
    assert design_of(base, [batch]).readings == (Asked("fitter", "check", "face", 3, 3),)


# When it is made.


def test_a_line_on_all_values(guarantee):
    for certificate in guarantee.failed:
        words = ("more right values", "too many errors", "never occurs")
        assert any(phrase in lacking(certificate, guarantee.unit) for phrase in words)
    levels = [certificate for certificate in guarantee.certified if certificate.is_level]
    assert verdict(guarantee).startswith(
        f"{len(levels)} of 2 levels and {len(guarantee.certified) - len(levels)} of 11 values certified: "
        "at most 13 % wrong, for all of them at once"
    )


def test_the_worst_value_of_a_level_in_words():
    each = ValueTest("wear", "sound", 40, 1, 0.11), ValueTest("wear", "worn", 0, 0, 1.0)
    certificate = Certificate("wear", "any", 0.2, 65, 3, 0.1, 0.08, 80, 0.5, 0.1, each=each)
    facts = certificate_facts(certificate, "item")
    assert facts["about"] == "wear as a whole"
    assert facts["worst"] == {"about": "wear sound", "n": 40, "errors": 1, "bound": 0.11}
    assert worst_text(certificate) == facts["worst_in_words"]
    assert facts["worst_in_words"] == (
        "the worst value is wear sound: 1 wrong of 40, by its own bound up to 11%; "
        "never accepted in the test: worn"
    )
    assert worst_text(replace(certificate, each=())) == ""


def test_the_workbench_shows_what_is_certified_and_in_place_of_which_limit(folder, any_guarantee):
    path = overlay(folder, any_guarantee)

    def workbench(*args):
        result = CliRunner(catch_exceptions=False).invoke(main, ["knowledge", *args])
        return " ".join(result.stdout.split()), result.exit_code

    base, (checked, _) = knowledge(MACHINE), workbench("check", str(path))
    assert verdict(any_guarantee) in checked
    for name in ("wear", "hot", "load"):
        shown, status = workbench("show", name, "-k", str(path))
        assert status == 0
        about = [c for c in any_guarantee.certificates if c.values_of(base.variables[name])]
        assert about
        for certificate in about:
            assert certified_line(certificate, any_guarantee.unit) in shown
            if certificate.threshold is not None:
                assert certified_line(certificate, any_guarantee.unit) in checked
                limits = {base.policy.limits[n] for n in certificate.pooled or (name,)}
                limit = f"in place of the limit {base.policy.limits[name]:g}"
                assert (limit in certified_line(certificate, any_guarantee.unit)) == (len(limits) == 1)
    overlay(folder, any_guarantee, more="policy: {budget: 7, source: handbook}")
    assert "Certificates" not in workbench("show", "wear", "-k", str(path))[0]
    assert "refused: policy changed" in workbench("check", str(path))[0]


def test_too_little_gold_says_how_much_is_missing():
    few = certified_with(60, 5, alpha=0.05)
    assert few.certified == ()
    verdict_text = verdict(few)
    assert verdict_text.startswith("too little gold for any guarantee (at most 5 % wrong")
    tried = max(sum(certificate.share > 0 for certificate in few.certificates), 1)
    assert f"at least {fewest(0.05, 0.1 / tried)} accepted items" in verdict_text
    assert "; closest is " in verdict_text
    # Of subjects one value each counts, however many of their items are labelled.
    of_subjects = verdict(replace(few, unit="subject"))
    assert " accepted subjects without an error" in of_subjects
    assert " more subjects with a right value" in of_subjects
    assert "right values" not in of_subjects
    certificate = replace(few.certificates[0], missing=19, gold=60)
    assert lacking(certificate, "item") == "19 more right values, about 60 more items of gold"
    assert lacking(certificate, "subject") == (
        "19 more subjects with a right value, about 60 more subjects with gold"
    )
