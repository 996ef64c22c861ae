from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.planning import flag, plan

from kubedoctor.cluster.planning.gates import listed, parse
from kubedoctor.cluster.planning.removed_gates import PERMANENT
from kubedoctor.errors import PlanError


class Kubernetes:
    """Programs that know certain gates, and one of them one more."""

    def __init__(self, *known: str, scheduler: str = "") -> None:
        self.known = set(known)
        self.scheduler = scheduler
        self.questions = 0

    def __call__(self, path: str, words: Sequence[str]) -> str | None:
        self.questions += 1
        known = self.known | ({self.scheduler} if path.endswith("scheduler") else set())
        for word in words:
            if word.startswith("--feature-gates="):
                for gate, value in parse(word.partition("=")[2]).items():
                    if gate not in known:
                        return f"unrecognized feature gate: {gate}"
                    if gate.startswith("Locked") and value == "false":
                        return f"cannot set feature gate {gate} to false, feature is locked to true"
        return None


def test_known_gates_are_passed_to_all() -> None:
    made = plan(rejects=Kubernetes("B", "A"), feature_gates={"B": "true", "A": "false"})
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert flag(made, name, "feature-gates") == "A=false,B=true"
    assert flag(made, "etcd", "feature-gates") is None


def test_gate_of_one_program_is_passed_to_that_one_only() -> None:
    made = plan(rejects=Kubernetes("A", scheduler="S"), feature_gates={"A": "true", "S": "true"})
    assert flag(made, "kube-scheduler", "feature-gates") == "A=true,S=true"
    assert flag(made, "kube-apiserver", "feature-gates") == "A=true"
    assert made.notes == ()


def test_removed_gate_is_left_out_with_one_line_when_the_wish_is_permanent_now() -> None:
    made = plan(rejects=Kubernetes("A"), feature_gates={"SidecarContainers": "true", "A": "true"})
    assert flag(made, "kube-apiserver", "feature-gates") == "A=true"
    assert made.notes == (
        "feature gate SidecarContainers=true left out: Kubernetes v1.37.2 has no such gate any more, it is always so",
    )


def test_without_any_gate_left_the_flag_goes_too() -> None:
    made = plan(rejects=Kubernetes(), feature_gates={"SidecarContainers": "true"})
    assert flag(made, "kube-apiserver", "feature-gates") is None


def test_removed_gate_is_refused_when_the_wish_is_the_opposite_of_what_is_permanent() -> None:
    with pytest.raises(PlanError, match=r"SidecarContainers cannot be false: .* gone and always on"):
        plan(rejects=Kubernetes(), feature_gates={"SidecarContainers": "false"})


def test_gate_newer_than_the_binary_is_refused_though_newer_ones_have_removed_it() -> None:
    with pytest.raises(PlanError, match=r"v1\.24\.0 has no feature gate SidecarContainers"):
        plan(rejects=Kubernetes(), feature_gates={"SidecarContainers": "true"}, kubernetes_version="v1.24.0")


def test_unknown_gate_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(PlanError, match="has no feature gate WatchLists") as refused:
        plan(rejects=Kubernetes("WatchList"), feature_gates={"WatchLists": "true"})
    assert refused.value.hint == "did you mean WatchList?"


def test_value_a_locked_gate_cannot_have_is_refused_in_the_binarys_words() -> None:
    with pytest.raises(PlanError, match="cannot set feature gate LockedOn to false, feature is locked to true"):
        plan(rejects=Kubernetes("LockedOn"), feature_gates={"LockedOn": "false"})


def test_gates_by_set_are_the_users_own_business() -> None:
    made = plan(
        rejects=Kubernetes("A"),
        feature_gates={"A": "true"},
        set={"kube-scheduler": {"feature-gates": "A=false"}},
    )
    assert flag(made, "kube-scheduler", "feature-gates") == "A=false"
    assert flag(made, "kube-apiserver", "feature-gates") == "A=true"


def test_without_gates_no_binary_is_asked() -> None:
    kubernetes = Kubernetes()
    plan(rejects=kubernetes)
    assert kubernetes.questions == 0


def test_gates_are_read_from_help() -> None:
    text = (
        "      --feature-gates mapStringBool   A set of key=value pairs. Options are:\n"
        "                                      kube:AllAlpha=true|false (ALPHA - default=false)\n"
        "                                      WatchList=true|false (BETA - default=true)\n"
    )
    assert listed(text) == {"AllAlpha", "WatchList"}


def test_table_of_removed_gates_holds_what_was_checked_by_hand() -> None:
    assert PERMANENT["SidecarContainers"] == (True, 33)
    assert PERMANENT["WatchFromStorageWithoutResourceVersion"] == (False, 33)
    assert "DynamicResourceAllocation" not in PERMANENT  # 1.37 still has it
