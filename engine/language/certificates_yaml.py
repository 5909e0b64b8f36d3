"""The section `certificates`: a guarantee as YAML that a person can read, written and read again.

Names are checked only where the base still is what was certified: upon a base that an overlay changed the
section speaks of what may be gone, and is refused as a whole (`Guarantee.refusals`), not faulty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from engine.language.fields import Fields
from engine.language.numbers import PlainNumber, RecordDumper, rounded_down, rounded_up
from engine.language.yaml_nodes import CITATION, read_text
from engine.language.yaml_tree import digest_of_node
from engine.model.guarantee import (
    ANY,
    PARTS,
    POOLED,
    Asked,
    Certificate,
    Design,
    Guarantee,
    ValueTest,
    least_abstention,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.language.fields import Entries
    from engine.language.yaml_nodes import Node
    from engine.model.variable import Variable

TESTS = "threshold n errors share bound predicted coverage mu missing gold limit aim"
ROUNDING = 1e-9
WIDTH = 160
EDITED = (
    "is not that of this section: it was edited after it was written, so that its promise is nobody's; "
    "certify anew, or take the section out"
)


def certificates(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable], digests: Mapping[str, str]
) -> Guarantee | None:
    """Read the `certificates` section; digests: those of the base as it is now."""
    if node is None:
        return None
    # Their numbers are findings about the base and no part of what it says.
    fields = Fields(fields.faults)
    entries = fields.table(node, "CERTIFICATES")
    entries.cited()
    alpha, delta = entries.value("alpha"), entries.value("delta")
    design, digests_node = entries.value("design"), entries.value("digests")
    certified_digests = digests_node.values(" ".join(PARTS)) if digests_node else dict.fromkeys(PARTS, "")
    before = len(fields.faults)
    reader = _Values(fields, alpha, variables if certified_digests == digests else None)
    tests = (*reader.read(entries.get("values")), *reader.read_pooled(entries.get("pooled")))
    _check_overlaps(entries, tests)
    spent = sum(test.share for test in tests)
    if len(fields.faults) == before and spent > delta + ROUNDING:
        entries.fault("values", f"spends shares of {spent:g} in all, more than delta, {delta:g}")
    sealed = "digest" in entries
    if sealed and len(fields.faults) == before and entries.value("digest") != _digest_of(node):
        entries.fault("digest", EDITED)
    return Guarantee(
        tests,
        digests=certified_digests,
        design=_design(design) if design else Design(False, 0, 0, ()),
        place=node.place,
        sealed=sealed,
        **entries.values("alpha delta unit population items made assumptions"),
        gold_items=entries.value("gold_items") if "gold_items" in entries else "",
    )


def _digest_of(section: Node) -> str:
    """Return a digest of the section without its citations and the digest in it."""
    return digest_of_node(section, ("digest",))


def _check_overlaps(entries: Entries, tests: Sequence[Certificate]) -> None:
    """Note a fault where a variable has a certificate as a whole, or pooled, beside another one."""
    names = [name for test in tests for name in test.pooled or (test.variable,)]
    together = {test.variable: "values" for test in tests if test.value == ANY}
    together |= {name: "pooled" for test in tests for name in test.pooled}
    for name, key in together.items():
        if names.count(name) > 1:
            entries.fault(key, f"certifies {name} twice: all its values together, and by another entry")


def _design(entries: Entries) -> Design:
    readings = tuple(
        Asked(**_checked_range(reading).values("observer question view least most"))
        for reading in entries.value("readings")
    )
    return Design(readings=readings, **_checked_range(entries).values("adaptive least most"))


def _checked_range(entries: Entries) -> Entries:
    """Return the entries; a `most` under their `least` is a fault."""
    least, most = entries.value("least"), entries.value("most")
    if least > most and "most" in entries:
        entries.fault("most", f"is less than `least`, {least}")
    return entries


class _Values:
    """Reads the tests of all values; variables: None where the base is not the one that was certified."""

    def __init__(self, fields: Fields, alpha: float, variables: Mapping[str, Variable] | None) -> None:
        self.fields, self.alpha, self.variables = fields, alpha, variables

    def read(self, node: Node | None) -> Iterator[Certificate]:
        """Yield the tests of values, and of variables as a whole."""
        for name, inner in self._known(node, self.variables, "variable"):
            values = (*self.variables[name].values, ANY) if self.variables is not None else None
            for value, test_node in self._known(inner, values, f"value of {name}"):
                yield self._certificate(test_node, "CERTIFICATE", name, value)

    def read_pooled(self, node: Node | None) -> Iterator[Certificate]:
        """Yield the tests of levels that are pooled."""
        for level, test_node in self._known(node, None, "level"):
            yield self._certificate(test_node, "POOLED", level, POOLED)

    def _certificate(self, node: Node, table: str, name: str, value: str) -> Certificate:
        before = len(self.fields.faults)
        entries = self.fields.table(node, table)
        pooled = tuple(entries.value("of")) if "of" in entries else ()
        each = tuple(
            ValueTest(variable, single, **test.values("n errors bound"))
            for variable, tests in (entries.value("each") or {}).items()
            for single, test in tests.items()
        )
        certificate = Certificate(name, value, pooled=pooled, each=each, **entries.values(TESTS))
        if len(self.fields.faults) == before:
            self._check(node, certificate)
        return certificate

    def _known(self, node: Node | None, allowed: Any, what: str) -> Iterator[tuple[str, Node]]:
        if allowed is not None:
            return self.fields.known(node, allowed, what)
        entries = self.fields.any_table(node).entries.items()
        return ((key, inner) for key, inner in entries if key not in CITATION)

    def _check(self, node: Node, certificate: Certificate) -> None:
        """Note a fault where the counts of a test do not support its threshold, such as an edited one."""
        from engine.metrics.binomial import passes

        if certificate.threshold is None:
            return
        if not passes(certificate.n, certificate.errors, self.alpha, certificate.share):
            errors, n, share = certificate.errors, certificate.n, certificate.share
            what = f"{errors} errors among {n} do not show at most {self.alpha:g} at share {share:g}"
            self.fields.fault(node, f"has a threshold that was not certified: {what}")


def certificates_yaml(guarantee: Guarantee, source: str, note: str = "") -> str:
    """Return the section as text; thresholds are rounded down and bounds up, so that neither claims too much.

    source: an entry of `sources`, or `judgement` with a note.
    """
    design = guarantee.design
    values: dict[str, dict[str, Any]] = {}
    pooled: dict[str, dict[str, Any]] = {}
    for certificate in guarantee.certificates:
        test = _certificate_mapping(certificate, guarantee.alpha)
        if certificate.pooled:
            pooled[certificate.variable] = {"of": list(certificate.pooled), **test}
        else:
            values.setdefault(certificate.variable, {})[certificate.value] = test
    section = {
        "source": source,
        **({"note": note} if note else {}),
        "alpha": PlainNumber(rounded_down(guarantee.alpha)),
        "delta": PlainNumber(rounded_down(guarantee.delta)),
        "unit": guarantee.unit,
        "population": guarantee.population,
        "items": guarantee.items,
        **({"gold_items": guarantee.gold_items} if guarantee.gold_items else {}),
        "made": guarantee.made,
        "digests": dict(guarantee.digests),
        "design": {
            "adaptive": design.adaptive,
            "least": design.least,
            "most": design.most,
            "readings": [vars(reading) for reading in design.readings],
        },
        "assumptions": list(guarantee.assumptions),
        "values": values,
        **({"pooled": pooled} if pooled else {}),
    }
    read = read_text(_dumped(section), "certificates", [])
    node = None if read is None else read.get("certificates")
    assert node is not None, "what is written can be read"
    return f"{_summary(guarantee)}{_dumped({**section, 'digest': _digest_of(node)})}"


def _dumped(section: Mapping[str, Any]) -> str:
    return str(
        yaml.dump(
            {"certificates": dict(section)},
            Dumper=RecordDumper,
            sort_keys=False,
            width=WIDTH,
            allow_unicode=True,
        )
    )


def _summary(guarantee: Guarantee) -> str:
    """Return the comment above the section, which explains its keys."""
    lines = [
        f"Of what is accepted by a certificate below, at most {guarantee.alpha:g} (as a share) is wrong.",
        f"This holds for all with a threshold at once, with probability {1 - guarantee.delta:g}.",
        "It is accepted if its risk is at or under the threshold; without a threshold it never is.",
        f"  n, errors     accepted {guarantee.unit}s in the test, and how many of them were wrong",
        "  share, bound  part of delta spent, and the upper bound of the error at it",
        "  predicted     decisions that it is about; coverage: the share of them that is accepted;",
        "                mu: the share of them that is wrong; abstention: the least share to leave out",
        "  missing, gold how many more accepted ones, all right, it needs; about how much gold",
        "  limit         the policy's limit, whose place the threshold takes",
    ]
    if any(certificate.aim is not None for certificate in guarantee.certificates):
        lines.append("  aim           the risk down to which items were asked, and are asked later")
    if any(certificate.each for certificate in guarantee.certificates):
        lines.append("  each          single values: counts and bounds beside the promise, no part of it")
    values = {certificate.value for certificate in guarantee.certificates}
    if ANY in values:
        lines.append(f"  {ANY}           the variable as a whole: all its values together")
    if POOLED in values:
        lines.append(
            f"  pooled        of each {guarantee.unit} one accepted value of these variables, drawn by chance"
        )
    return "".join(f"# {line}\n" for line in lines)


def _certificate_mapping(certificate: Certificate, alpha: float) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    if certificate.limit is not None:
        mapping["limit"] = PlainNumber(rounded_down(certificate.limit))
    if certificate.threshold is not None:
        mapping["threshold"] = PlainNumber(rounded_down(certificate.threshold))
    if certificate.aim is not None:
        mapping["aim"] = PlainNumber(rounded_down(certificate.aim))
    mapping |= {"n": certificate.n, "errors": certificate.errors}
    mapping |= {
        "share": PlainNumber(rounded_down(certificate.share)),
        "bound": PlainNumber(rounded_up(certificate.bound, 6)),
        "predicted": certificate.predicted,
    }
    mapping |= {
        "coverage": PlainNumber(rounded_down(certificate.coverage, 4)),
        "mu": PlainNumber(rounded_up(certificate.mu, 4)),
    }
    mapping["abstention"] = PlainNumber(rounded_down(least_abstention(certificate.mu, alpha), 4))
    for key in ("missing", "gold"):
        if getattr(certificate, key) is not None:
            mapping[key] = getattr(certificate, key)
    each: dict[str, dict[str, Any]] = {}
    for test in certificate.each:
        bound = PlainNumber(rounded_up(test.bound, 6))
        counted = {"n": test.n, "errors": test.errors, "bound": bound}
        each.setdefault(test.variable, {})[test.value] = counted
    return mapping | ({"each": each} if each else {})
