"""Fixes as what a person types."""

from __future__ import annotations

import pytest

from kubedoctor import Fix, Step, StepKind, run
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
