"""The exact value of information for one item: what an answer would change, by the whole network.

The gain of a question is the fall of the loss (`decision.loss`), from now to after the answers,
averaged over the answers that the posterior predicts (preposterior analysis; Raiffa & Schlaifer 1961).
Answers to a question about one variable come in patterns of counts, as draws of a reading are exchangeable:

    gain = loss(now) - Σ_c n! / Π_y c_y! · P(c in one order | answers so far) · loss(c)

is exact. Where there are too many patterns, or a question reports several variables, truth, switches, types
and answers are drawn from the posterior itself, and the mean comes with its standard error.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decision.answer_sampler import AnswerSampler, Asking, DrawnPaths
from engine.decision.decision import Option
from engine.decision.loss import Stakes, loss_of, stakes_of, unseen_and_final
from engine.decision.people import price_of
from engine.decision.voi_approximate import LookAhead
from engine.inference.simulation import draw_truth
from engine.model.policy import shown_view
from engine.model.responses import Answers
from engine.observation.answer_patterns import answer_patterns
from engine.observation.evidence import Evidence
from engine.observation.kernels import LabelKernel, NumberKernel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference, Posterior


# Patterns of answers up to which a gain is exact; beyond, it is simulated.
MOST_PATTERNS = 7_000
# Rows of evidence inferred for one gain at most.
MOST_ROWS = 150_000
# Paths of a simulated gain at least.
FEWEST_PATHS = 20
# Views that were shown to an observer, in which it may be asked again.
MOST_VIEWS = 2
# Patterns up to which the outcomes of all samples are listed, else those of one.
MOST_SHOWN = 200


@dataclass(frozen=True)
class Outcome:
    """Possible answers about a variable and their effect.

    counts: answer -> how often it is given. probability: that of these answers. root: (K,) P(root | them).
    """

    variable: str
    counts: Mapping[str, int]
    probability: float
    root: Floats


@dataclass(frozen=True)
class _DrawnItem:
    """Paths drawn from an item's posterior: of each its variant, and what else is drawn within that.

    rows: of the item's evidence. variant, row: (paths,) the variant and its row. truth: variable -> (paths,).
    variants: of each the answers, and which switches are on in its rows, with their bundles.
    """

    rows: int
    variant: Ints
    row: Ints
    truth: Mapping[str, Ints]
    variants: tuple[tuple[Answers, tuple[Bools, Ints]], ...]

    def answers(
        self, inference: Inference, seed: int, asking: Asking, paths: int, count: int
    ) -> tuple[dict[str, Ints], dict[str, Floats]]:
        """Return `AnswerSampler.draw` on the first paths; a reading may be that of the usual view."""
        usual, share = inference.knowledge.usual_view, inference.observations.repeats.get(asking.view, 0.0)
        rng = np.random.default_rng([seed, zlib.crc32(f"repeats {asking.view}".encode())])
        again = rng.random(paths) < share
        labels: dict[str, Ints] = {}
        numbers: dict[str, Floats] = {}
        for number, (item_answers, (on, bundle)) in enumerate(self.variants):
            of_variant = self.variant[:paths] == number
            if share and asking.is_answered(self.variants[0][0]):
                # It was asked already, and is a reading of its own or none.
                again = np.full(paths, not asking.is_answered(item_answers))
            for repeats in (False, True):
                chosen = np.flatnonzero(of_variant & (again == repeats))
                if not chosen.size:
                    continue
                row = self.row[chosen]
                truth = {name: states[chosen] for name, states in self.truth.items()}
                drawn = DrawnPaths(truth, on[row], bundle[row], row)
                asked = replace(asking, view=usual) if repeats else asking
                drawn_labels, drawn_numbers = AnswerSampler(inference, seed, item_answers, asked, drawn).draw(
                    count
                )
                for name, answers in drawn_labels.items():
                    labels.setdefault(name, np.empty((paths, count), answers.dtype))[chosen] = answers
                for name, values in drawn_numbers.items():
                    numbers.setdefault(name, np.empty((paths, count), values.dtype))[chosen] = values
        return labels, numbers


class Preposterior:
    """Computes the exact gain of each question about one item, from the posterior of the whole network."""

    def __init__(self, inference: Inference, seed: int = 0, paths: int = 200) -> None:
        self.inference = inference
        self.observations = inference.observations
        self.look_ahead = LookAhead(inference, seed)
        # Its policy asks for risks as low as the aims.
        self.base = self.look_ahead.base
        self.seed, self.paths = seed, paths

    def options(self, answers: Answers, item: int, named: Collection[str] = ()) -> tuple[Option, ...]:
        """Return all options for an item within its budget, by question, observer, view and batch, sorted.

        An observer may be asked in the first MOST_VIEWS views that it was shown, and in those that the policy
        offers. named: the variables that a contradiction names; questions that check are about these alone.
        """
        item_answers = answers.part(item, item + 1)
        now = self.inference.posterior(item_answers)
        unseen_now = unseen_and_final(self.base, item_answers, now.followed)
        stakes = stakes_of(self.base, now.marginals, *unseen_now)
        before = float(loss_of(self.base, now.marginals, stakes)[0])
        remaining = self.base.policy.budget - int(item_answers.asked[0])
        batches = [batch for batch in self.base.policy.batches if batch <= remaining]
        drawn = self._draw(item_answers)
        questions = list(self.base.questions.values())
        askings = [
            asking
            for asking in self._askings(item_answers)
            if not questions[asking.question].check or asking.about in named
        ]
        exact = self._exact_gains(item_answers, now, askings, batches, stakes, before, drawn.rows)
        options = []
        for number, asking in enumerate(askings):
            observer, question = self.observations.observers[asking.observer], questions[asking.question]
            gains = {batch: (exact[number, batch], 0.0) for batch in batches if (number, batch) in exact}
            others = [batch for batch in batches if batch not in gains]
            if others:
                # Drawn as for all batches: the draws of a path do not depend on which of them are exact.
                simulated = self._simulate_gains(item_answers, asking, batches, stakes, before, drawn)
                gains |= {batch: simulated[batch] for batch in others}
            for batch in batches:
                gain, error = gains[batch]
                price = price_of(self.base, observer.name, question.name, batch)
                names = (observer.name, question.name, asking.about, asking.view)
                # An answer that merely repeats what its prompt stated gains nothing.
                looked = 1 - float(self.observations.echo[asking.observer].probability[asking.question])
                options.append(Option(*names, batch, price, looked * gain, looked * error))
        return tuple(sorted(options, key=lambda option: -option.rate))

    def _askings(self, item_answers: Answers) -> Iterator[Asking]:
        views = [shown_view(item_answers.views[v]) for v in item_answers.reading_view]
        for observer in np.flatnonzero(self.look_ahead.observers(item_answers)[0]).tolist():
            instrument = self.observations.observers[observer]
            shown = [v for v, o in zip(views, item_answers.reading_observer, strict=True) if o == observer]
            continued_views = list(dict.fromkeys(shown or [self.base.usual_view]))[:MOST_VIEWS]
            offered = dict.fromkeys([*continued_views, *self.base.policy.views])
            for number, question in enumerate(self.base.questions.values()):
                reported = () if question.tells else question.variables
                names = tuple(v for v in reported if v in {**instrument.labels, **instrument.numbers})
                for view in offered if names else ():
                    for name in names if question.about_one else (None,):
                        reported = (name,) if name else names
                        yield Asking(observer, number, view, name, reported)

    def _exact_gains(
        self,
        item_answers: Answers,
        now: Posterior,
        askings: Sequence[Asking],
        batches: Sequence[int],
        stakes: Stakes,
        before: float,
        rows: int,
    ) -> dict[tuple[int, int], float]:
        """Return the exact gains by (index of the asking, batch), where patterns are few enough.

        rows: of the item's evidence. Patterns of many questions are inferred at once.
        """
        # An item with many switches takes a row for each of their settings.
        most = min(MOST_PATTERNS, MOST_ROWS // rows)
        groups: list[dict[tuple[int, int], int]] = [{}]
        for number, asking in enumerate(askings):
            kernel = self.observations.kernels[asking.observer, asking.names[0]]
            answers = kernel.alpha.shape[1] if isinstance(kernel, LabelKernel) else 0
            for batch in batches if answers and len(asking.names) == 1 else ():
                count = math.comb(batch + answers - 1, batch)
                if sum(groups[-1].values()) + count > most:
                    groups.append({})
                if count <= most:
                    groups[-1][number, batch] = count
        gains: dict[tuple[int, int], float] = {}
        for group in filter(None, groups):
            asked = [(askings[number].names[0], askings[number], batch) for number, batch in group]
            inferred = self._inferred_patterns(item_answers, now, asked)
            for (number, batch), (_, p, marginals) in zip(group, inferred, strict=True):
                loss = loss_of(self.base, marginals, stakes, askings[number].names)
                gains[number, batch] = before - float(p @ loss)
        return gains

    def futures(self, answers: Answers, item: int, option: Option) -> Answers:
        """Return copies of an item's answers, one a path, each with the answers that it draws for an option.

        Raises:
            ValueError: the option is none of the item's.
        """
        item_answers = answers.part(item, item + 1)
        key = (option.observer, option.question, option.about, option.view)
        asking = next((asking for asking in self._askings(item_answers) if self._key(asking) == key), None)
        if asking is None:
            raise ValueError(f"{key} is no question that may be asked about the item")
        labels, numbers = self._draw(item_answers).answers(
            self.inference, self.seed, asking, self.paths, option.samples
        )
        return self._with_draws(item_answers.tiled(self.paths), asking, labels, numbers, [option.samples])

    def _key(self, asking: Asking) -> tuple[str, str, str | None, str]:
        """Return observer, question, what it is about and view."""
        question = list(self.base.questions)[asking.question]
        return self.observations.observers[asking.observer].name, question, asking.about, asking.view

    def _with_draws(
        self,
        copies: Answers,
        asking: Asking,
        labels: Mapping[str, Ints],
        numbers: Mapping[str, Floats],
        batches: list[int],
    ) -> Answers:
        """Return copies, `paths` for each batch, with drawn answers (paths, draws) about each variable.

        Draw d of path i is in copy i of every batch that is longer than d.
        """
        label_draws = {}
        for name, draws in labels.items():
            item, answer = _rows_of_draws(draws, batches)
            label_draws[name] = (item, answer, np.ones(len(item)))
        number_draws = {name: _rows_of_draws(draws, batches) for name, draws in numbers.items()}
        reading = (asking.observer, asking.question, asking.view)
        return copies.with_answers(reading, label_draws, number_draws)

    def outcomes(self, answers: Answers, item: int, option: Option) -> tuple[Outcome, ...]:
        """Return the effect of each answer that an option may bring, variable by variable.

        A question about one variable has all patterns of its answers, another one answer about each of its
        variables. Numbers come in three ranges.
        """
        item_answers = answers.part(item, item + 1)
        now = self.inference.posterior(item_answers)
        asking = next(
            asking
            for asking in self._askings(item_answers)
            if self.observations.observers[asking.observer].name == option.observer
            and list(self.base.questions)[asking.question] == option.question
            and (asking.about, asking.view) == (option.about, option.view)
        )
        outcomes: list[Outcome] = []
        for name in asking.names:
            kernel = self.observations.kernels[asking.observer, name]
            if isinstance(kernel, NumberKernel):
                outcomes += self._numbers_after(item_answers, now, name, asking, kernel)
                continue
            texts = self.observations.observers[asking.observer].labels[name].answers
            size = len(texts)
            batch = option.samples if len(asking.names) == 1 else 1
            batch = batch if math.comb(batch + size - 1, batch) <= MOST_SHOWN else 1
            counts, p, after = self.patterns(item_answers, now, name, asking, batch)
            for row, probability, root in zip(counts, p, after[self.base.root], strict=True):
                answer_counts = {text: int(count) for text, count in zip(texts, row, strict=True) if count}
                outcomes.append(Outcome(name, answer_counts, float(probability), root))
        return tuple(outcomes)

    def pair_errors(self) -> dict[str, Floats]:
        """Return by question how often the likelier of two root states is the wrong one, (K, K).

        That is the Bayes error of a pair a, b, equally likely, after one answer y of the policy's observer
        about an item without other answers,

            ½ Σ_y min(P(y | a), P(y | b)) = ½ E[min(P(a | y) / P(a), P(b | y) / P(b))],

        exact where a question reports one variable, else the mean over the paths. For a question about one
        variable at a time it is the error with the variable that tells the pair apart best.
        """
        nothing = Answers.nothing()
        now, drawn = self.inference.posterior(nothing), self._draw(nothing)
        errors: dict[str, Floats] = {}
        for asking in self._askings(nothing):
            observer = self.observations.observers[asking.observer].name
            asked = list(self.base.questions.values())[asking.question]
            if (observer, asking.view) == (self.base.policy.ask, self.base.usual_view) and not asked.check:
                question = asked.name
                error = self._error(nothing, now, asking, drawn)
                errors[question] = np.minimum(errors[question], error) if question in errors else error
        return errors

    def _error(self, nothing: Answers, now: Posterior, asking: Asking, drawn: _DrawnItem) -> Floats:
        """Return the Bayes error of each pair of root states after one answer, (K, K), as `pair_errors`."""
        kernel = self.observations.kernels[asking.observer, asking.names[0]]
        if len(asking.names) == 1 and isinstance(kernel, LabelKernel):
            _, p, after = self.patterns(nothing, now, asking.names[0], asking, 1)
            root_after = after[self.base.root]
        else:
            labels, numbers = drawn.answers(self.inference, self.seed, asking, self.paths, 1)
            label_rows, number_rows = (
                {name: _rows_of_draws(draws, [1]) for name, draws in by_name.items()}
                for by_name in (labels, numbers)
            )
            weighed = {name: (*row, np.ones(len(row[0]))) for name, row in label_rows.items()}
            reading = (asking.observer, asking.question, asking.view)
            drawn_answers = nothing.tiled(self.paths).with_answers(reading, weighed, number_rows)
            root_after = self.inference.posterior(drawn_answers).marginals[self.base.root]
            p = np.full(self.paths, 1 / self.paths)
        ratio = root_after / now.marginals[self.base.root]
        smaller = np.minimum(ratio[:, :, None], ratio[:, None, :])
        return np.asarray(np.einsum("n,nab->ab", p, smaller) / 2)

    def _numbers_after(
        self, item_answers: Answers, now: Posterior, name: str, asking: Asking, kernel: NumberKernel
    ) -> Iterator[Outcome]:
        """Yield the effect of a low, a middling and a high answer, each about a third of the answers."""
        steps = round((kernel.high - kernel.low) / kernel.instrument.grid)
        values = np.asarray(kernel.low + kernel.instrument.grid * np.arange(steps + 1), dtype=np.float64)
        numbers = {name: (np.arange(len(values)), values)}
        reading = (asking.observer, asking.question, asking.view)
        after = self.inference.posterior(item_answers.tiled(len(values)).with_answers(reading, {}, numbers))
        p = np.exp(after.log_evidence - now.log_evidence[0])
        third = np.minimum((np.cumsum(p) - p / 2) / p.sum() * 3, 2).astype(np.int64)
        for part in np.unique(third):
            in_third = third == part
            low, high = values[in_third][[0, -1]]
            root = p[in_third] @ after.marginals[self.base.root][in_third] / p[in_third].sum()
            range_text = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
            yield Outcome(name, {range_text: 1}, float(p[in_third].sum()), root)

    def patterns(
        self, item_answers: Answers, now: Posterior, name: str, asking: Asking, batch: int
    ) -> tuple[Floats, Floats, Mapping[str, Floats]]:
        """Return patterns of answers (patterns, answers), their probabilities (patterns,), and marginals.

        The marginals are (patterns, states) each, by variable.
        """
        (inferred,) = self._inferred_patterns(item_answers, now, [(name, asking, batch)])
        return inferred

    def _inferred_patterns(
        self, item_answers: Answers, now: Posterior, asked: Sequence[tuple[str, Asking, int]]
    ) -> Iterator[tuple[Floats, Floats, Mapping[str, Floats]]]:
        """Yield `patterns` of each variable, asking and batch, arrays of its shapes; inferred together.

        Shapes: (patterns, answers), (patterns,) and by variable (patterns, states).
        """
        patterns, parts = [], []
        for name, asking, batch in asked:
            kernel = self.observations.kernels[asking.observer, name]
            assert isinstance(kernel, LabelKernel)
            counts, orders = answer_patterns(kernel.alpha.shape[1], batch)
            item, answer = np.nonzero(counts)
            labels = {name: (item, answer, counts[item, answer])}
            reading = (asking.observer, asking.question, asking.view)
            patterns.append((counts, orders))
            parts.append(item_answers.tiled(len(counts)).with_answers(reading, labels, {}))
        after = self.inference.posterior(Answers.stacked(parts))
        start = 0
        for counts, orders in patterns:
            these = slice(start, start + len(counts))
            start = these.stop
            p = np.exp(orders + after.log_evidence[these] - now.log_evidence[0])
            yield counts, p, {variable: marginal[these] for variable, marginal in after.marginals.items()}

    def _draw(self, item_answers: Answers) -> _DrawnItem:
        """Draw truth, variant and switches from the item's posterior, each variable given those before."""
        evidence = self.observations.evidence(item_answers)
        rows = len(evidence.row_item)
        rng = np.random.default_rng([self.seed, zlib.crc32(b"truth")])
        by_row = replace(evidence, items=rows, row_item=np.arange(rows))
        log_rows = self.inference.log_evidence_rows(by_row)
        share = np.exp(log_rows - log_rows.max())
        row = rng.choice(rows, self.paths, p=share / share.sum())
        logs = {name: log[:, row] for name, log in evidence.log_likelihood.items()}
        drawn = Evidence(
            self.paths,
            np.arange(self.paths),
            np.zeros(self.paths),
            logs,
            np.zeros(0, dtype=bool),
            evidence.on,
        )
        truth = draw_truth(self.inference, drawn, rng)
        variants = self.observations.variants(item_answers)
        count = 1 if variants is None else len(variants.item)
        whole = item_answers if variants is None else variants.answers
        parts = [whole.part(i, i + 1) for i in range(count)]
        switches = [self.observations.switches(part) for part in parts]
        first = np.cumsum([0, *(len(on) for on, _ in switches)])
        variant = np.searchsorted(first, row, side="right") - 1
        return _DrawnItem(
            rows, variant, row - first[variant], truth, tuple(zip(parts, switches, strict=True))
        )

    def _simulate_gains(
        self,
        item_answers: Answers,
        asking: Asking,
        batches: list[int],
        stakes: Stakes,
        before: float,
        drawn: _DrawnItem,
    ) -> dict[int, tuple[float, float]]:
        """Return for each batch the mean gain over the paths, and its standard error."""
        fewer = MOST_ROWS // (2 * drawn.rows * len(batches))
        paths = min(self.paths, max(fewer, FEWEST_PATHS))
        labels, numbers = drawn.answers(self.inference, self.seed, asking, paths, max(batches))
        copies = item_answers.tiled(paths * len(batches))
        after = self.inference.posterior(self._with_draws(copies, asking, labels, numbers, batches))
        loss = loss_of(self.base, after.marginals, stakes, asking.names)
        fall = before - loss.reshape(len(batches), paths)
        error = fall.std(1, ddof=1) / math.sqrt(paths)
        return {b: (float(fall[i].mean()), float(error[i])) for i, b in enumerate(batches)}


def _rows_of_draws(draws: NDArray[Any], batches: list[int]) -> tuple[Ints, NDArray[Any]]:
    """Return the index of the copy and the answer of each draw, both (draws,).

    draws: (paths, count). Path i of batch number k is copy i + k · paths, which has the first `batch` draws.
    """
    paths = len(draws)
    item = [np.repeat(np.arange(paths), batch) + number * paths for number, batch in enumerate(batches)]
    return np.concatenate(item), np.concatenate([draws[:, :batch].reshape(-1) for batch in batches])
