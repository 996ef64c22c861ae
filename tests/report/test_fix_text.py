"""Fixes as what a person types."""

from __future__ import annotations

import pytest

from kubedoctor import Fix, Step, StepKind, TargetKind, run
from kubedoctor.doctor.documents import ReportedTarget
from kubedoctor.report.fix_text import command_of


@pytest.mark.parametrize(
    ("step", "command"),
    [
        (run("kill", "812"), "kill 812"),
        (run("rm", "/a b/c"), "rm '/a b/c'"),
        (Step(kind=StepKind.SYSCTL, key="vm.swappiness", value="0"), "sysctl -w vm.swappiness=0"),
        (Step(kind=StepKind.REMOVE_FILE, path="/etc/cni/net.d/x"), "rm /etc/cni/net.d/x"),
        (Step(kind=StepKind.RESTART_COMPONENT, component="etcd"), "kubedoctor restart etcd"),
        (Step(kind=StepKind.WRITE_FILE, path="/a", content="b c"), "printf %s 'b c' > /a"),
        (run("echo", "\x1b[2J"), "echo '\\x1b[2J'"),
    ],
)
def test_a_step_is_a_command(step: Step, command: str) -> None:
    assert command_of(Fix(summary="mend it", steps=(step,))) == command


def test_several_steps_are_one_line_and_none_is_nothing() -> None:
    assert command_of(Fix(summary="mend it", steps=(run("a"), run("b")))) == "a && b"
    assert command_of(Fix(summary="ask somebody")) == ""


RESTART = Step(kind=StepKind.RESTART_COMPONENT, component="kubelet")
FLUSH = run("iptables", "-F", "KUBE-SERVICES", within=812)


@pytest.mark.parametrize(
    ("kind", "name", "step", "command"),
    [
        (TargetKind.KUBEDOCTOR, "local", RESTART, "kubedoctor restart kubelet"),
        (TargetKind.KUBEDOCTOR, "two", RESTART, "kubedoctor restart --name two kubelet"),
        (TargetKind.KUBEDOCTOR, "two in /h o", RESTART, "KUBEDOCTOR_HOME='/h o' kubedoctor restart --name two kubelet"),
        (TargetKind.KUBEADM, "kubeadm", RESTART, "systemctl restart kubelet"),
        (TargetKind.KUBEADM, "kubeadm", Step(kind=StepKind.RESTART_COMPONENT, component="etcd"), ""),
        (TargetKind.OTHER, "other :6443", RESTART, ""),
        (TargetKind.KUBEDOCTOR, "local", FLUSH, "kubedoctor enter iptables -F KUBE-SERVICES"),
        (TargetKind.KUBEDOCTOR, "two", FLUSH, "kubedoctor enter --name two iptables -F KUBE-SERVICES"),
        (TargetKind.KUBEADM, "kubeadm", FLUSH, "nsenter --all --target 812 iptables -F KUBE-SERVICES"),
        (TargetKind.KUBEDOCTOR, "a in /h", run("kubedoctor", "down"), "KUBEDOCTOR_HOME=/h kubedoctor down"),
        (
            TargetKind.KUBEDOCTOR,
            "local",
            Step(kind=StepKind.WRITE_FILE, path="/a", content="b c", within=812),
            """kubedoctor enter sh -c 'printf %s '"'"'b c'"'"' > /a'""",
        ),
    ],
)
def test_a_command_is_for_the_cluster_that_is_ill(kind: TargetKind, name: str, step: Step, command: str) -> None:
    target = ReportedTarget(id=name, kind=kind, title="a cluster")
    assert command_of(Fix(summary="mend it", steps=(step,)), target) == command
