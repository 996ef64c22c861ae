"""Chains of iptables that have come, by the names Kubernetes and CNI give theirs, and the rules that lead into them.

What `iptables-save` prints is taken apart, and what is to go goes to `iptables-restore --noflush` as the same words:
one transaction a table, nothing else touched.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import field
from itertools import pairwise
from shutil import which

from kubedoctor.cluster.cleanup import tables
from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.components import Cleanup
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

FAMILIES = {"ip": "iptables", "ip6": "ip6tables"}
PATIENCE = 30.0
"""Seconds for a command, the wait for the lock of legacy iptables included."""

_CONTAINER = re.compile(r'id: \\?"([0-9a-f]{12,64})')  # as CNI plugins write into the comments of their rules


@dataclass(slots=True)
class Table:
    """A table as iptables-save prints it: the chains users made, and all rules in order."""

    family: str
    name: str
    chains: list[str] = field(default_factory=list)
    rules: list[tuple[str, str]] = field(default_factory=list)  # chain, and the rule without `-A CHAIN`

    def keys(self, prefix: str) -> list[str]:
        """Return the names of its chains that begin so, told from those of other tables."""
        return [f"{self.family} {self.name} {chain}" for chain in self.chains if chain.startswith(prefix)]


def saved() -> list[Table]:
    """Return all tables of both families; those of a family without its program are not there."""
    return [table for family, program in FAMILIES.items() if which(program) for table in _save(family, program)]


def _save(family: str, program: str) -> list[Table]:
    return list(parse(family, _run([f"{program}-save"])))


def _run(argv: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise KubedoctorError(f"{argv[0]}: {problem}") from None
    if done.returncode:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise KubedoctorError(f"{argv[0]}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def parse(family: str, text: str) -> Iterator[Table]:
    """Yield the tables in the output of iptables-save."""
    table: Table | None = None
    for line in text.splitlines():
        if line.startswith("*"):
            table = Table(family, line[1:].strip())
            yield table
        elif table is not None and line.startswith(":"):
            name, _, policy = line[1:].partition(" ")
            if policy.startswith("-"):
                table.chains.append(name)
        elif table is not None and line.startswith("-A "):
            chain, _, rule = line[3:].partition(" ")
            table.rules.append((chain, rule))


def target(rule: str) -> str:
    """Return the chain, or the verdict, that a rule leads to, "" when it only counts; quoted texts are none of it."""
    words = shlex.split(rule)
    return next((value for word, value in pairwise(words) if word in ("-j", "-g")), "")


def look(cleanup: Cleanup) -> Before:
    """Return the chains of such names that are there, and what of nftables iptables-nft would make anew."""
    there = [key for table in saved() for key in table.keys(cleanup.name)]
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=(*there, *tables.of_iptables()))


def tell(one: Before, record: HostRecord) -> list[str]:
    """Return a line for each chain that would go."""
    del record
    return [
        f"would remove {FAMILIES[table.family]} chain {table.name}/{chain}"
        for table in saved()
        for chain in _ours(table, one)
    ]


def clear(one: Before, record: HostRecord) -> None:
    """Remove the chains that have come and each rule that leads into one, then what iptables-nft made for them."""
    del record
    for table in saved():
        if ours := _ours(table, one):
            _run([f"{FAMILIES[table.family]}-restore", "--noflush"], removal(table, ours))
    tables.clear_empty(one.there)


def _ours(table: Table, one: Before) -> list[str]:
    known = set(one.there)
    come = [chain for chain in table.chains if chain.startswith(one.name)]
    come = [chain for chain in come if f"{table.family} {table.name} {chain}" not in known]
    return without_others(table, come)


def without_others(table: Table, chains: list[str]) -> list[str]:
    """Return those of *chains* that no container is served by.

    Plugins write the container into the comments of its rules. Ours are gone by now, and took their rules along: who is
    named still is somebody else's, and their chains stay, those that they lead to too.
    """
    candidates = set(chains)
    kept = set()
    for chain, rule in table.rules:
        if _CONTAINER.search(rule):
            kept |= {chain, target(rule)} & candidates
    links = [(chain, target(rule)) for chain, rule in table.rules] if kept else []
    grown = bool(kept)
    while grown:  # a kept chain keeps what it leads to, and what leads to it
        linked = {name for link in links if kept & set(link) for name in link} & candidates
        grown = not linked <= kept
        kept |= linked
    return [chain for chain in chains if chain not in kept]


def removal(table: Table, chains: list[str]) -> str:
    """Return what iptables-restore takes to remove *chains* and the rules that lead into them."""
    gone = set(chains)
    leading = [(c, rule) for c, rule in table.rules if c not in gone and target(rule) in gone]
    lines = [f"*{table.name}"]
    lines += [f"-D {chain} {rule}" for chain, rule in leading]
    lines += [f"-F {chain}" for chain in chains]
    lines += [f"-X {chain}" for chain in chains]
    return "\n".join([*lines, "COMMIT", ""])
