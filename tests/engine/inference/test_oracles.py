"""The shipped base against pgmpy and pyAgrum, with everything that the engine sums in closed form as nodes.

What an observer sees (m), what each reading brings out (r) and the halo's switches are variables of the
exported network here; answers are children that were observed.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from engine import Inference, compile_network
from engine.observation.kernels import LabelKernel
from seke.files.shipped import knowledge
from seke.samples import answers_from

with warnings.catch_warnings():
    # Both warn of parts of themselves on import; as an error that would end pyAgrum's in a crash.
    warnings.simplefilter("ignore")
    import pyagrum
    from pgmpy.factors.discrete import TabularCPD
    from pgmpy.inference import VariableElimination
    from pgmpy.models import DiscreteBayesianNetwork

ITEMS = {
    "nothing": [],
    "a label": [("gpt-4o", "expression", "face", [{"expression": "surprise"}])],
    "two joint readings under halo": [
        (
            "gpt-4o",
            "joint",
            "face",
            [
                {"expression": "happiness", "valence": 0.6, "AU12": True},
                {"expression": "contempt", "AU12": True, "AU14": True},
            ],
        ),
        ("gpt-4o", "joint", "grey", [{"expression": "happiness", "AU12": False, "AU14": True}]),
        ("gpt-4o", "action_units", "face", [{"AU12": True}, {"AU12": True, "AU4": True}]),
    ],
    "several observers": [
        (
            "gpt-4o",
            "joint",
            "face",
            [{"expression": ["fear", "surprise", "anger"], "AU1": True, "AU25": False}],
        ),
        ("gpt-4o", "expression", "face", [{"expression": ["surprise", "fear"]}, {"expression": "surprise"}]),
        (
            "human",
            "joint",
            "face",
            [{"expression": {"fear": 0.7, "surprise": 0.3}, "arousal": 0.9, "AU20": True}],
        ),
        ("human", "joint", "crop", [{"expression": "disgust", "valence": -0.45, "AU20": False}]),
        ("au-detector", "action_units", "face", [{"AU1": 0.8, "AU26": 0.1, "AU4": True}]),
    ],
}


@pytest.fixture(scope="module")
def network():
    return compile_network(knowledge())


@pytest.fixture(scope="module", params=["uniform", "in-the-wild"])
def inference(request, network):
    return Inference(network, knowledge(), request.param)


def records(name):
    item_records = []
    for observer, question, view, draws in ITEMS[name]:
        for number, draw in enumerate(draws):
            units = {k: v for k, v in draw.items() if k.startswith("AU")}
            answers = {k: v for k, v in draw.items() if not k.startswith("AU")}
            key = {"item": name, "observer": observer, "question": question, "view": view, "draw": number}
            item_records.append({**key, **answers, **({"action_units": units} if units else {})})
    return item_records


def posterior_of(name, inference):
    base = inference.knowledge
    if not ITEMS[name]:
        # A refused answer tells nothing.
        given = [{"item": name, "observer": "gpt-4o", "question": "joint", "draw": 0, "status": "refused"}]
    else:
        given = records(name)
    (answers,) = answers_from(given, base)
    return inference.posterior(answers)


class Explicit:
    """Tables of the exported network and of one item's readings: name, parents, P(parents..., name)."""

    def __init__(self, inference, readings):
        self.inference = inference
        self.network = inference.network
        self.base = inference.knowledge
        self.tables = []
        for cpd in self.network.to_pgmpy(inference.population).get_cpds():
            self.tables.append((cpd.variables[0], tuple(cpd.variables[1:]), np.moveaxis(cpd.values, 0, -1)))
        self.observed = dict.fromkeys(self.network.observed(), 0)
        under_halo = [
            observer for observer, question, _, draws in readings if self.halo_of(observer, question, draws)
        ]
        # Whose switches may be one: the carry decides, and then all are of one label and one stereotype.
        self.shared = {observer for observer in under_halo if under_halo.count(observer) > 1}
        for place, reading in enumerate(readings):
            self.reading(place, *reading)
        self.tails(readings)

    def halo_of(self, observer, question, draws):
        halo = self.base.observers[observer].halo.get(question)
        return halo if {name for draw in draws for name in draw} != {self.base.root} else None

    def sizes(self):
        return {name: values.shape[-1] for name, _, values in self.tables}

    def add(self, name, parents, values):
        self.tables.append((name, parents, values))

    def evidence(self, name, parents, likelihood):
        """Add a child that was observed: state 0 has this likelihood, scaled."""
        true = likelihood / likelihood.max()
        self.add(name, parents, np.stack([true, 1 - true], axis=-1))
        self.observed[name] = 0

    def kernel(self, observer, name):
        index = list(self.base.observers).index(observer)
        return self.inference.observations.kernels[index, name]

    def brought_out(self, place, observer, name):
        """Add m (one an observer and variable) and this reading's r; return the name of r."""
        seen, brought = f"m_{observer}_{name}", f"r_{place}_{name}"
        mix = self.kernel(observer, name).mix
        if seen not in self.sizes():
            self.settled(seen, observer, name)
        if brought not in self.sizes():
            carry = self.base.observers[observer].carry
            size = mix.shape[1]
            table = carry * np.eye(size)[None] + (1 - carry) * mix[:, None, :]
            self.add(brought, (name, seen), table)
        return brought

    def settled(self, seen, observer, name):
        """Add what an observer settles on: by the truth and, where observers are dependent, by the look."""
        observations = self.inference.observations
        look, index = observations.shared_look(name), list(self.base.observers).index(observer)
        known = observations.observers_of(name)
        if look is None or index not in known:
            self.add(seen, (name,), self.kernel(observer, name).mix)
            return
        if f"look_{name}" not in self.sizes():
            self.add(f"look_{name}", (name,), look.look_given_state)
        self.add(seen, (name, f"look_{name}"), look.answer_given[known.index(index)])

    def reading(self, place, observer, question, view, draws):
        declared_observer = self.base.observers[observer]
        names = sorted({name for draw in draws for name in draw})
        root = self.base.root
        halo = self.halo_of(observer, question, draws)
        switched = halo is not None
        if switched:
            self.switch(place, observer, halo.probability, declared_observer.carry)
            self.brought_out(place, observer, root)
        for name in names:
            given = [draw[name] for draw in draws if name in draw]
            brought = self.brought_out(place, observer, name)
            likelihood = self.likelihood(observer, name, given)
            if switched and name != root:
                labels = len(self.kernel(observer, root).answer_of)
                table = np.empty((len(likelihood), 2, labels))
                table[:, 0] = likelihood[:, None]
                table[:, 1] = [self.followed(observer, name, given, label) for label in range(labels)]
                parents = (brought, f"switch_{place}", f"r_{place}_{root}")
                if observer in self.shared:
                    parents = (*parents, f"one_{observer}", self.implied(observer, name))
                    table = np.repeat(np.repeat(table[..., None, None], 2, 3), len(likelihood), 4)
                    table[:, 1, :, 1, :] = likelihood
                self.evidence(f"answer_{place}_{name}", parents, table)
            else:
                self.evidence(f"answer_{place}_{name}", (brought,), likelihood)

    def switch(self, place, observer, halo, carry):
        """Add a reading's switch; of several of an observer it is with probability carry the common one."""
        own = np.array([1 - halo, halo])
        if observer not in self.shared:
            self.add(f"switch_{place}", (), own)
            return
        root = self.base.root
        if f"one_{observer}" not in self.sizes():
            self.add(f"one_{observer}", (), np.array([1 - carry, carry]))
            self.add(f"common_{observer}", (), own)
            self.brought_out(f"common_{observer}", observer, root)
        one = np.stack([np.tile(own, (2, 1)), np.eye(2)])
        self.add(f"switch_{place}", (f"one_{observer}", f"common_{observer}"), one)
        # Where it is the common switch and on, the reading has the common label.
        self.brought_out(place, observer, root)
        name, parents, own_label = self.tables.pop()
        assert name == f"r_{place}_{root}"
        size = own_label.shape[-1]
        table = np.tile(own_label[:, :, None, None, None, :], (1, 1, 2, 2, size, 1))
        table[:, :, 1, 1] = np.eye(size)
        common = f"one_{observer}", f"common_{observer}", f"r_common_{observer}_{root}"
        self.add(name, (*parents, *common), table)

    def implied(self, observer, name):
        """Add what the common label implies of a variable, drawn once; return its name."""
        node, root = f"implied_{observer}_{name}", self.base.root
        if node not in self.sizes():
            labels = self.base.observers[observer].labels[root].answers
            kernel, table = self.kernel(observer, name), self.network.given_root[name]
            stereotype = table[
                [self.network.root_states.index(labels[a]) for a in self.kernel(observer, root).answer_of]
            ]
            if isinstance(kernel, LabelKernel):
                types = stereotype[:, kernel.answer_of] * kernel.share
            else:
                types = stereotype @ kernel.mix
            self.add(node, (f"r_common_{observer}_{root}",), types)
        return node

    def counts(self, observer, name, given):
        instrument = self.base.observers[observer].labels[name]
        counts = np.zeros(len(instrument.answers))
        for answer in given:
            if isinstance(answer, bool):
                counts[int(answer)] += 1
            elif isinstance(answer, float):
                counts += instrument.weight * np.array([1 - answer, answer])
            elif isinstance(answer, dict):
                for label, p in answer.items():
                    counts[instrument.answers.index(label)] += instrument.weight * p
            else:
                counts[instrument.answers.index(answer if isinstance(answer, str) else answer[0])] += 1
        return counts

    def likelihood(self, observer, name, given):
        """P(a reading's answers | what it brings out)."""
        kernel = self.kernel(observer, name)
        if not isinstance(kernel, LabelKernel):
            return np.exp(kernel.log_likelihood(np.array(given, dtype=np.float64)).sum(0))
        counts = self.counts(observer, name, given)
        return np.array([sequence(counts, alpha) for alpha in kernel.alpha])

    def followed(self, observer, name, given, label):
        """P(a reading's answers | they follow this label)."""
        state = self.base.observers[observer].labels[self.base.root].answers[label]
        table = self.network.given_root[name]
        stereotype = table[self.network.root_states.index(state)]
        if name in self.base.observers[observer].numbers:
            mix = self.kernel(observer, name).mix
            return stereotype @ mix @ self.likelihood(observer, name, given)
        kernel = self.kernel(observer, name)
        imagined = stereotype[kernel.answer_of] * kernel.share
        return imagined @ self.likelihood(observer, name, given)

    def tails(self, readings):
        """Add the places after the first; all of one observer's count as one, as far as they are its own."""
        root, every, follows = self.base.root, [], []
        for observer in self.base.observers:
            rankings = [
                draw[root]
                for name, _, _, draws in readings
                for draw in draws
                if name == observer and isinstance(draw.get(root), list)
            ]
            if rankings:
                answers = self.base.observers[observer].labels[root].answers
                tails = self.kernel(observer, root).tails
                logs = []
                for places in rankings:
                    index = [answers.index(place) for place in places] + [len(answers)] * (3 - len(places))
                    logs.append(tails[tuple(index)])
                every.append(np.mean(logs, axis=0))
                follows.append(self.base.observers[observer].follows)
        if every:
            counted = 1 + (len(every) - 1) * np.mean(follows)
            self.evidence("tails", (root,), np.exp(np.sum(every, axis=0) / counted))


def sequence(counts, alpha):
    """P(sequence of answers) of a Dirichlet-multinomial."""
    log = math.lgamma(alpha.sum()) - math.lgamma(alpha.sum() + counts.sum())
    log += sum(math.lgamma(a + c) - math.lgamma(a) for a, c in zip(alpha, counts, strict=True))
    return math.exp(log)


def compare(name, inference, expected, atol=1e-9):
    """Check that the engine gives the expected distribution of each variable, variable -> (states,)."""
    posterior = posterior_of(name, inference)
    for variable, p in expected.items():
        np.testing.assert_allclose(
            p, posterior.marginals[variable][0], atol=atol, err_msg=f"{name}: {variable}"
        )


@pytest.mark.parametrize("name", ITEMS)
def test_pyagrum_agrees(name, inference):
    explicit = Explicit(inference, ITEMS[name])
    net, sizes = pyagrum.BayesNet(), explicit.sizes()
    for node, size in sizes.items():
        net.add(pyagrum.LabelizedVariable(node, node, size))
    for node, parents, _ in explicit.tables:
        for parent in parents:
            net.addArc(parent, node)
    for node, parents, values in explicit.tables:
        cpt = net.cpt(node)
        axes = [(*parents, node).index(axis) for axis in reversed(cpt.names)]
        cpt[:] = np.ascontiguousarray(values.transpose(axes))
    oracle = pyagrum.LazyPropagation(net)
    oracle.setEvidence(explicit.observed)
    oracle.makeInference()
    base = inference.knowledge
    wanted = (base.root, *base.cells, *base.intervals)
    compare(name, inference, {v: oracle.posterior(v).toarray() for v in wanted})


@pytest.mark.parametrize("name", ITEMS)
def test_pgmpy_agrees(name, inference):
    explicit = Explicit(inference, ITEMS[name])
    model, sizes = DiscreteBayesianNetwork(), explicit.sizes()
    model.add_nodes_from(sizes)
    for node, parents, values in explicit.tables:
        model.add_edges_from((parent, node) for parent in parents)
        card = [sizes[parent] for parent in parents]
        flat = np.moveaxis(values, -1, 0).reshape(sizes[node], -1)
        model.add_cpds(
            TabularCPD(node, sizes[node], flat, evidence=list(parents) or None, evidence_card=card or None)
        )
    assert model.check_model()
    oracle = VariableElimination(model)
    # Each query eliminates anew, and pyAgrum compares all: half of these under one prior, half under another.
    queried = ("expression", "valence", "arousal", "AU12", "AU20", "AU25")
    expected = {
        variable: oracle.query([variable], evidence=explicit.observed, show_progress=False).values
        for variable in queried[inference.population == "uniform" :: 2]
    }
    compare(name, inference, expected)


def test_the_export_is_sound_and_has_the_declared_numbers(network):
    base = knowledge()
    for population in base.populations:
        model = network.to_pgmpy(population)
        assert model.check_model()
        assert all(node.isidentifier() and node.isascii() for node in model.nodes())
        oracle = VariableElimination(model)
        observed = network.observed()
        root = oracle.query([base.root], evidence=observed, show_progress=False)
        assert root.state_names[base.root] == list(network.root_states)
        np.testing.assert_allclose(root.values, base.populations[population].p, atol=1e-9)
        for name in ("AU6", "AU12", "AU25"):
            joint = oracle.query([base.root, name], evidence=observed, show_progress=False)
            table = joint.values if joint.variables[0] == base.root else joint.values.T
            given_root = (table / table.sum(1, keepdims=True))[:, 1]
            np.testing.assert_allclose(given_root, [cell.p for cell in base.cells[name]], atol=1e-4)


def test_all_declared_numbers_hold_in_the_shipped_base(network):
    base = knowledge()
    for name, row in base.cells.items():
        np.testing.assert_allclose(network.given_root[name][:, 1], [cell.p for cell in row], atol=1e-4)
    node = network.node_of[base.intervals[0]]
    p = network.marginals[node.name]
    edges = [np.array(base.variables[name].edges) for name in base.intervals]
    values = [((e[:-1] + e[1:]) / 2)[node.index[:, i]] for i, e in enumerate(edges)]
    for state, declared in enumerate(base.moments):
        mean = np.array([p[state] @ x for x in values])
        second = np.array([[p[state] @ (x * y) for y in values] for x in values])
        covariance = second - np.outer(mean, mean) + np.diag([(e[1] - e[0]) ** 2 / 12 for e in edges])
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(mean, declared.mean, atol=1e-4)
        np.testing.assert_allclose(sd, declared.sd, atol=1e-4)
        np.testing.assert_allclose(covariance / np.outer(sd, sd), declared.correlation, atol=1e-4)


def test_every_confidence_is_reached_in_the_shipped_base(network):
    """P(then | if) by pgmpy, over the joint of what each rule speaks of."""
    base = knowledge()
    model = network.to_pgmpy()
    oracle = VariableElimination(model)
    observed = network.observed()
    for rule, declared in zip(network.rules, base.rules, strict=True):
        assert rule.status == "met", rule.name
        spoken = sorted(declared.condition.variables() | declared.then.variables())
        joint = oracle.query(spoken, evidence=observed, show_progress=False)
        order = [joint.variables.index(name) for name in spoken]
        table = joint.values.transpose(order)
        values = dict(zip(spoken, np.ix_(*(np.arange(n) for n in table.shape)), strict=True))
        condition, then = (
            np.broadcast_to(f.holds(values), table.shape) for f in (declared.condition, declared.then)
        )
        p_if = (table * condition).sum()
        assert (table * (condition & then)).sum() / p_if == pytest.approx(rule.confidence, abs=1e-3)
        assert p_if == pytest.approx(rule.p_if, abs=1e-6)


def test_no_clique_without_intervals_is_wide(network):
    assert network.cells(blocks=False) <= 512
