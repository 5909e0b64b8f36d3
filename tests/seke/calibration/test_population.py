"""What gold says of the population, and of the people it is of; a population that is learned."""

import csv
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from few_faces import EACH, FACES
from scipy.stats import multinomial

import seke
from engine import Gold, compile_network
from seke.calibration.fit_warnings import chance, gold_warnings
from seke.cli.main import main


@pytest.fixture(scope="module")
def base():
    return seke.knowledge(FACES)


def gold_of(base, counts):
    return Gold({base.root: np.repeat(np.arange(len(counts)), counts).astype(float)})


def warned(base, counts, *, persons=0, learned=False):
    return list(gold_warnings(base, gold_of(base, counts), base.reference, persons, learned=learned))


@pytest.mark.parametrize("counts", [(9, 1, 2), (4, 4, 4), (12, 0, 0), (0, 2, 10)])
def test_the_chance_is_that_of_all_counts_that_are_as_far_off(counts):
    p, n = np.array([0.5, 0.3, 0.2]), sum(counts)
    every = np.array([whole for whole in product(range(n + 1), repeat=3) if sum(whole) == n])
    far = ((every - n * p) ** 2 / (n * p)).sum(1)
    exact = multinomial.pmf(every, n, p)[
        far >= ((np.array(counts) - n * p) ** 2 / (n * p)).sum() - 1e-9
    ].sum()
    assert chance(np.array(counts), p) == pytest.approx(exact, abs=0.015)


def test_gold_that_the_population_would_hardly_give_is_told_and_what_to_do(base):
    states = base.variables[base.root].states
    many, few = (18, *(0,) * (len(states) - 1)), (2, *(1,) * (len(states) - 1))
    (warning,) = warned(base, many)
    assert warning.startswith(
        f"gold {base.root} is {states[0]} 18 of 18, where the population {base.reference} has about "
    )
    assert "add --learn-population, or choose one that fits (--population)" in warning
    assert warned(base, few) == []
    # What is learned from few labels is doubted for another reason.
    (shaky,) = warned(base, many, learned=True)
    assert shaky.startswith("the population was learned with observers that have little gold")


def test_gold_of_few_people_is_told(base):
    even = (2,) * len(base.variables[base.root].states)
    (warning,) = warned(base, even, persons=4)
    assert warning.startswith("gold is of 4 persons: so few do not show how much others differ")
    assert warned(base, even, persons=10) == []


def run(*args):
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == 0, result.output
    return result


def test_a_learned_population_has_a_name_of_its_own_and_is_the_usual_one(base, tmp_path):
    samples, gold, overlay = tmp_path / "s.jsonl", tmp_path / "gold.csv", tmp_path / "fit.yaml"
    simulated = ("--items", 60, "--question", "expression", "--draws", 2)
    run("simulate", "-k", FACES, *simulated, "-o", samples, "--truth", gold)
    rows = list(csv.DictReader(gold.read_text().splitlines()))
    state = rows[0]["expression"]
    kept = [row for row in rows if row["expression"] == state]
    with gold.open("w") as file:
        writer = csv.DictWriter(file, ["item", "expression"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    (tmp_path / "each.yaml").write_text(EACH.format(base=FACES))
    given = (samples, "-k", tmp_path / "each.yaml", "--gold", gold, "--learn-population", "-o", overlay)
    summary = run("calibrate", *given).stdout
    assert "population learned" in summary
    fitted = seke.knowledge(overlay)
    assert (fitted.reference, fitted.usual_population) == (base.reference, "learned")
    assert fitted.populations[base.reference].p == base.populations[base.reference].p
    place = base.variables[base.root].states.index(state)
    assert fitted.populations["learned"].p[place] > 1.2 * base.populations[base.reference].p[place]
    assert [record.population for record in fitted.fits] == ["learned"]
    # Rules are meant under the reference, so the network is the same but for the further prior.
    before, after = compile_network(seke.knowledge(tmp_path / "each.yaml")), compile_network(fitted)
    for name, table in before.given_root.items():
        np.testing.assert_allclose(after.given_root[name], table, atol=1e-9)
    assert "population learned" in run("infer", samples, "-k", overlay, "-o", tmp_path / "r.jsonl").stderr
    chosen = run("infer", samples, "-k", overlay, "--population", base.reference, "-o", tmp_path / "u.jsonl")
    assert f"population {base.reference}" in chosen.stderr
