"""Every fact of the machine comes back from a recording as it was."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from kubedoctor import Fact, host
from kubedoctor.doctor.look import SharedLook
from kubedoctor.jsonform import from_json, to_json

FACTS: list[tuple[Fact[Any, Any], tuple[object, ...]]] = [
    (host.cgroups, (0,)),
    (host.clock, ()),
    (host.disk_space, ("/", 0)),
    (host.file_holders, ("/proc/self/exe", 0)),
    (host.filesystems, ()),
    (host.kernel_module, ("overlay",)),
    (host.kernel_release, ()),
    (host.listeners, (0,)),
    (host.memory, ()),
    (host.mounts, (0,)),
    (host.our_namespaces, ()),
    (host.processes, ()),
    (host.swaps, ()),
    (host.sysctl, ("kernel.pid_max", 0)),
]


@pytest.mark.parametrize(("fact", "arguments"), FACTS, ids=lambda one: one.name if isinstance(one, Fact) else None)
def test_a_fact_comes_back_as_it_was(fact: Fact[Any, Any], arguments: tuple[object, ...]) -> None:
    value = SharedLook().get(fact, *arguments)
    assert from_json(fact.kind, json.loads(json.dumps(to_json(value)))) == value
    assert fact.what
    assert fact.name.startswith("host.")
    assert str(os.getpid()) not in fact.key(arguments)
