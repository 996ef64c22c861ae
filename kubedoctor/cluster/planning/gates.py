"""Feature gates: each component gets those its binary knows; what is permanent by now is met by leaving it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from kubedoctor.cluster.binaries.versions import Version
from kubedoctor.cluster.planning.flags import argument
from kubedoctor.cluster.planning.names import closest
from kubedoctor.cluster.planning.removed_gates import PERMANENT
from kubedoctor.components import Component
from kubedoctor.errors import PlanError
from kubedoctor.records import dataclass

FLAG = "feature-gates"
_LISTED = re.compile(r"^\s*(?:--feature-gates.*\s)?(?:[a-z][-a-z0-9]*:)?([A-Z]\w+)=true\|false", re.MULTILINE)
_UNRECOGNIZED = re.compile(r"unrecognized feature gate: (\S+)")

Refuses = Callable[[list[str]], "str | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A component that gates are wished for: its version and how to ask its binary (None: it is not there yet)."""

    component: Component
    by_user: bool  # set by `--set`: passed on as it is, the binary judges it
    version: str
    refuses: Refuses | None


def settle_gates(
    asked: Mapping[str, Asked], known_gates: Callable[[], frozenset[str]]
) -> tuple[dict[str, Component], list[str]]:
    """Return the components with the gates their binaries know, and a line for each gate that is left out everywhere.

    *known_gates* is asked for names to suggest, when there is something to suggest for.
    Raise PlanError for a gate nobody knows and whose wish is not known to be met, and for a value a binary refuses.
    """
    unknown: dict[str, set[str]] = {}
    changed: dict[str, Component] = {}
    wished: dict[str, str] = {}
    for name, item in asked.items():
        gates = parse(item.component.flags.get(FLAG))
        if not gates or item.by_user:
            changed[name] = item.component
            continue
        wished |= gates
        unknown[name] = _unknown(item, gates)
        kept = {gate: value for gate, value in gates.items() if gate not in unknown[name]}
        text = ",".join(f"{gate}={value}" for gate, value in kept.items())
        changed[name] = replace(item.component, flags={**item.component.flags, FLAG: text or None})

    nobody = set(wished).intersection(*unknown.values()) if unknown else set()
    versions = [asked[name].version for name in unknown]
    return changed, [_without(gate, wished[gate], versions, known_gates) for gate in sorted(nobody)]


def listed(help_text: str) -> frozenset[str]:
    """Return the gates that the `--help` of a program lists; settled ones are known to it but not listed."""
    return frozenset(_LISTED.findall(help_text))


def parse(value: object) -> dict[str, str]:
    """Return the gates in a `--feature-gates` value, by name."""
    if not isinstance(value, str):
        return {}
    items = (item.partition("=") for item in value.split(",") if item.strip())
    return {name.strip(): wanted.strip() or "true" for name, _, wanted in items}


def _unknown(item: Asked, gates: Mapping[str, str]) -> set[str]:
    """Return the gates the binary does not recognize; raise PlanError when it refuses for another reason."""
    if item.refuses is None:  # not there to be asked: all that can be told is what its version has settled
        return {gate for gate, wanted in gates.items() if _met(gate, wanted, [item.version])}
    emulated = argument("emulated-version", item.component.flags.get("emulated-version"))
    unknown: set[str] = set()
    while left := {gate: value for gate, value in gates.items() if gate not in unknown}:
        text = ",".join(f"{gate}={value}" for gate, value in left.items())
        problem = item.refuses([*([emulated] if emulated else []), f"--{FLAG}={text}"])
        if problem is None:
            break
        found = _UNRECOGNIZED.search(problem)
        gate = next((name for name in left if found and name.rpartition(":")[2] == found[1].rpartition(":")[2]), "")
        if not gate:
            raise PlanError(
                f"{item.component.name} refuses the feature gates {text}: {problem}",
                hint="change them with --feature-gates or FEATURE_GATES",
            )
        unknown.add(gate)
    return unknown


def _met(gate: str, wanted: str, versions: list[str]) -> bool:
    permanent = PERMANENT.get(gate.rpartition(":")[2])
    if permanent is None:
        return False
    value, since = permanent
    parsed = [Version.parse(version) for version in versions]
    return (wanted == "true") is value and all(p is not None and p.line >= (1, since) for p in parsed)


def _without(gate: str, wanted: str, versions: list[str], known_gates: Callable[[], frozenset[str]]) -> str:
    """Return the line that tells why *gate* is left out; raise PlanError when it can't be."""
    version = next((text for text in versions if text), "this Kubernetes")
    if _met(gate, wanted, versions):
        return f"feature gate {gate}={wanted} left out: Kubernetes {version} has no such gate any more, it is always so"
    if gate.rpartition(":")[2] in PERMANENT and _met(gate, "false" if wanted == "true" else "true", versions):
        always = "on" if wanted == "false" else "off"
        raise PlanError(
            f"feature gate {gate} cannot be {wanted}: in Kubernetes {version} it is gone and always {always}",
            hint="take it out of --feature-gates, or choose an older version with --kubernetes",
        )
    meant = closest(gate, sorted(known_gates()))
    raise PlanError(
        f"Kubernetes {version} has no feature gate {gate}",
        hint=f"did you mean {meant}?" if meant else "`kube-apiserver --help` lists the gates it has",
    )
