"""Rules that a scan has to keep, read from TOML: a gate for CI and model registries."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from .._bounds import read_toml
from ..errors import CheckpointError, did_you_mean

MOST_RULES = 10_000
"""Rules of one file; each is tested on every row, which takes a millisecond or more."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule; exactly one of `require`, `reference`, `frozen`, `descends_from` and `twin` is given.

    `require` is a condition on the rows of `table` for which `where` holds; a row for which it is unknown
    breaks the rule unless `unknown` is "pass". With a `reference`, a scan or bundle, every model may drift
    `most_drift` nats at most from the model of its name there, or from `model`, or where there is none
    from all models there together; `where` then narrows the layers of both, and `clean` leaves sparse
    kernels out.

    Layers whose names match a pattern of `frozen` have to be equal to those of the parent, bit for bit, and
    models have to be below the model `descends_from` in the forest of the scan. `where` then is a condition
    on models, and `unknown` says what becomes of those whose parent or weights are not known.

    With a `twin`, a checkpoint, every model has to be that network as it was trained: folded, rounded or
    quantized at most.
    """

    name: str
    table: Literal["layers", "models"] = "layers"
    where: str | None = None
    require: str | None = None
    unknown: Literal["fail", "pass"] = "fail"
    reference: Path | None = None
    model: str | None = None
    most_drift: float | None = None
    clean: bool = False
    frozen: tuple[str, ...] = ()
    descends_from: str | None = None
    twin: Path | None = None

    @property
    def is_of_lineage(self) -> bool:
        """Return whether the rule is on descent, for which kin are looked for."""
        return bool(self.frozen) or self.descends_from is not None

    @property
    def unit(self) -> Literal["layer", "model"]:
        """The rows that are counted."""
        is_of_layers = self.table == "layers" if self.require else bool(self.frozen)
        return "layer" if is_of_layers else "model"

    @property
    def requirement(self) -> str:
        """A phrase for what the rule asks for."""
        if self.frozen:
            return f"{', '.join(self.frozen)} frozen"
        if self.descends_from is not None:
            return f"descends from {self.descends_from}"
        if self.twin is not None:
            return f"the same network as {self.twin.name}"
        return self.require or f"drift of at most {self.most_drift:g}"


def read_rules(path: Path) -> list[Rule]:
    """Read the rules of a TOML file, one `[[rule]]` each; paths in it count from its folder.

    Raises CheckpointError, naming the file, the rule and what was expected.
    """
    text = read_toml(path, "a file of rules")
    _check_keys(path, "", text, ["rule"])
    rules = text.get("rule")
    if not (isinstance(rules, list) and rules and all(isinstance(rule, dict) for rule in rules)):
        raise _wrong(path, "", "expected rules, each under [[rule]], found none")
    if len(rules) > MOST_RULES:
        raise _wrong(path, "", f"expected at most {MOST_RULES:,} rules, found {len(rules):,}")
    read = [_rule(path, i + 1, rule) for i, rule in enumerate(rules)]
    _check_names(path, read)
    return read


def _rule(path: Path, number: int, entry: dict[str, Any]) -> Rule:
    name = entry.get("name")
    rule = name if isinstance(name, str) and name else f"number {number}"
    _check_keys(path, rule, entry, [*_TYPES, "drift"])
    for key, value in entry.items():
        if key != "drift":
            _check_value(path, rule, key, value)
    if "name" not in entry:
        raise _wrong(path, rule, "expected a name")
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        raise _wrong(path, rule, f"expected one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}")
    _check_beside(path, entry, kinds[0])
    if kinds[0] == "reference":
        return _drift_rule(path, entry)
    if kinds[0] == "frozen":
        patterns = entry["frozen"]
        entry = entry | {"frozen": tuple([patterns] if isinstance(patterns, str) else patterns)}
    if kinds[0] == "twin":
        entry = entry | {"twin": path.parent / entry["twin"]}
    return Rule(**entry)


def _check_beside(path: Path, entry: dict[str, Any], kind: str) -> None:
    """Check that no key is given that the kind of rule does not look at."""
    if kind != "reference":
        for key in ("drift", "model"):
            if key in entry:
                raise _wrong(path, entry["name"], f"expected {key} only beside a reference")
    for key in _UNUSED[kind]:
        if key in entry:
            article = "a " if kind == "reference" else ""
            raise _wrong(path, entry["name"], f"expected no {key} beside {article}{kind}")


def _drift_rule(path: Path, entry: dict[str, Any]) -> Rule:
    name = entry["name"]
    drift = entry.get("drift")
    if not isinstance(drift, dict) or "max" not in drift:
        raise _wrong(path, name, "expected drift = {max = NATS} beside a reference")
    _check_keys(path, name, drift, ["max", "clean"])
    most, clean = drift["max"], drift.get("clean", False)
    if isinstance(most, bool) or not isinstance(most, int | float) or not most >= 0:
        raise _wrong(path, name, f"expected the largest drift in nats, found {most!r}")
    if not isinstance(clean, bool):
        raise _wrong(path, name, f"expected clean as true or false, found {clean!r}")
    return Rule(
        name=name,
        where=entry.get("where"),
        reference=path.parent / entry["reference"],
        model=entry.get("model"),
        most_drift=float(most),
        clean=clean,
    )


def _check_keys(path: Path, rule: str, keys: Iterable[str], allowed: list[str]) -> None:
    for key in keys:
        if key not in allowed:
            hint = did_you_mean(key, allowed) or "."
            raise _wrong(path, rule, f"unknown key {key!r}{hint} Known are {', '.join(allowed)}")


def _check_value(path: Path, rule: str, key: str, value: object) -> None:
    allowed = _TYPES[key]
    if key == "frozen" and isinstance(value, list):
        if not (value and all(isinstance(pattern, str) and pattern for pattern in value)):
            raise _wrong(
                path, rule, f"expected frozen as a text or a list of texts, found {value!r}"
            )
        return
    if not isinstance(value, str) or not value or (allowed and value not in allowed):
        expected = " or ".join(map(repr, allowed)) if allowed else "a text"
        hint = did_you_mean(value, allowed)
        raise _wrong(path, rule, f"expected {key} as {expected}, found {value!r}{hint}")


def _check_names(path: Path, rules: list[Rule]) -> None:
    for name, count in Counter(rule.name for rule in rules).items():
        if count > 1:
            raise _wrong(path, name, "expected one rule of this name, found two")


def _wrong(path: Path, rule: str, reason: str) -> CheckpointError:
    return CheckpointError(reason, path=path, tensor=f"rule {rule!r}" if rule else None)


_TYPES: dict[str, tuple[str, ...]] = {
    "name": (),
    "table": ("layers", "models"),
    "where": (),
    "require": (),
    "unknown": ("fail", "pass"),
    "reference": (),
    "model": (),
    "frozen": (),
    "descends_from": (),
    "twin": (),
}

_KINDS = ("require", "reference", "frozen", "descends_from", "twin")
_UNUSED = {
    "require": (),
    "reference": ("table", "unknown"),
    "frozen": ("table",),
    "descends_from": ("table",),
    "twin": ("table",),
}
