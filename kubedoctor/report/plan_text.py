"""A plan as a person reads it: what would run, from which binaries, what differs from the defaults and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from kubedoctor.cluster.documents import Plan, PlannedComponent, PlannedPort
from kubedoctor.report.text import visible

WIDTH = 80
_NAME, _VERSION = 25, 10
_BUNDLED = re.compile(r"(plugin [a-z0-9-]+)?")
"""The origin of a flag as a bundled plugin sets it; one of a plugin from elsewhere names its distribution as well."""


class ChosenBinary(Protocol):
    """A binary that was settled on; `pending` tells what would be done to get it."""

    @property
    def source(self) -> str:
        """Where it was found: a value of `components.Source`."""

    @property
    def pending(self) -> str:
        """What would be downloaded or built."""


def plan_text(plan: Plan, chosen: Mapping[str, ChosenBinary]) -> str:
    """Return the plan for a terminal. *chosen* holds the binary of each component, by component."""
    place = "in a sandbox" if plan.place_kind == "sandbox" else "on this host"
    version = plan.kubernetes or "of an unknown version"
    blocks = [
        [f'kubernetes {version}, {place}, cluster "{plan.cluster}": this is what would run'],
        *(_component(plan, component, chosen.get(component.name)) for component in plan.components),
    ]
    if more := _more(plan):
        blocks.append(more)
    blocks.append(
        [
            f"  directory   {plan.directory}",
            f"  kubeconfig  {plan.kubeconfig}",
            *(f"  note        {note}" for note in plan.notes),
        ]
    )
    blocks.append(
        [
            "nothing was started or written",
            "  kubedoctor up --dry-run -o shell    as a script that runs without kubedoctor",
            "  kubedoctor up --dry-run -o json     every flag, with where it came from",
        ]
    )
    return "\n".join(visible(line) if line else "" for block in blocks for line in [*block, ""]).rstrip("\n") + "\n"


def _component(plan: Plan, component: PlannedComponent, binary: ChosenBinary | None) -> list[str]:
    common = set.intersection(*(set(each.env.items()) for each in plan.components))
    where = (binary.pending if binary else "") or component.binary
    if binary and not binary.pending:
        where += f" ({binary.source})"
    head = f"  {component.name:<{_NAME}}{component.version or '-':<{_VERSION}}"
    lines = [head + where] if len(head + where) <= WIDTH else [head.rstrip(), f"    {where}"]
    if component.after:
        be, how = "is" if len(component.after) == 1 else "are", "usable" if component.early else "ready"
        lines.append(f"    starts when {' and '.join(component.after)} {be} {how}")
    lines += [f"    {_port(port, published=plan.place_kind == 'sandbox')}" for port in component.ports]
    lines += [f"    {_flag(component, flag):<44}  {origin}" for flag, origin in _changed(component).items()]
    lines += [f"    {name}={value}" for name, value in component.env.items() if (name, value) not in common]
    return lines


def _port(port: PlannedPort, *, published: bool) -> str:
    if not published or not port.outside_address:
        return f"port {port.inside} ({port.name})"
    return f"port {port.inside} ({port.name}) published at {_outside(port.outside_address, port.outside)}"


def _outside(address: str, port: int) -> str:
    if not port:
        return f"a free port of {address}"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _changed(component: PlannedComponent) -> dict[str, str]:
    """Return the flags that are not as a bundled plugin has them by default, with their origin."""
    return {flag: origin for flag, origin in component.origins.items() if not _BUNDLED.fullmatch(origin)}


def _flag(component: PlannedComponent, flag: str) -> str:
    word = f"--{flag}"
    return next((arg for arg in component.argv if arg == word or arg.startswith(f"{word}=")), word)


def _more(plan: Plan) -> list[str]:
    lines = [f"  manifest    {manifest.name}, {len(manifest.objects)} objects" for manifest in plan.manifests]
    lines += [
        f"  publish     port {item.inside} at {_outside(item.outside_address, item.outside)}" for item in plan.publish
    ]
    lines += [
        f"  reach       port {item.port} of the host's loopback" + (f", as {item.name}" if item.name else "")
        for item in plan.reach
    ]
    return lines
