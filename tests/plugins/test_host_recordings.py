"""The faults of a machine as real ones showed them, looked at again."""

from __future__ import annotations

import pytest
from kubedoctor_host.cgroups import cgroup_controllers_missing
from kubedoctor_host.disk import disk_full
from kubedoctor_host.swap import swap
from support.instances import messages, recorded

from kubedoctor import Check

FOUND = (
    (swap, "4 MiB) and failSwapOn is true: the kubelet does not start"),
    (disk_full, "/disk is full, 0 B left: etcd ends, or does not start"),
    (cgroup_controllers_missing, "for the kubelet (which does not run): memory is not mounted"),
)


@pytest.mark.parametrize(("check", "words"), FOUND, ids=lambda one: getattr(one, "id", ""))
def test_a_recorded_fault_is_found_again_and_no_other(check: Check, words: str) -> None:
    result = recorded(check)
    (message,) = messages(result)
    assert (result.outcome, result.findings[0].severity) == ("failed", "error")
    assert message.endswith(words)
    for other, _ in FOUND:
        if other is not check:
            assert recorded(other, check.id).outcome == "passed"
