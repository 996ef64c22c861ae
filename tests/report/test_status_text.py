from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from kubedoctor.cluster.documents import ComponentStatus, Exit, ProcessStatus, Status, StatusPlace
from kubedoctor.host.usage import Usage
from kubedoctor.report.status_text import Seen, changes, render

NOW = datetime(2026, 1, 1, 2, 14, tzinfo=UTC).timestamp()
START = "2026-01-01T00:00:00Z"


def component(name: str, **more: object) -> ComponentStatus:
    base = ComponentStatus(
        name=name,
        kind="control-plane",
        place="node-1",
        state="ready",
        ready=True,
        ready_since=START,
        version="v1.37.2",
        binary=f"/bin/k8s/{name}",
    )
    return dataclasses.replace(base, **more)  # type: ignore[arg-type]


KUBELET = component(
    "kubelet",
    state="backoff",
    ready=False,
    restarts=4,
    reason="exit status 1",
    last_exit=Exit(time="2026-01-01T02:13:48Z", reason="exit status 1", log_line='unknown field "drivr"'),
)
STATUS = Status(
    cluster="local",
    phase="ready",
    kubeconfig="/k",
    address="https://127.0.0.1:6443",
    since=START,
    places=(
        StatusPlace(name="node-1", kind="sandbox", keeper=ProcessStatus(pid=1), supervisor=ProcessStatus(pid=48213)),
    ),
    components=(
        component("kube-apiserver"),
        component("etcd", version="3.7.3"),
        component("kube-scheduler", binary="/home/me/kube-scheduler"),
        KUBELET,
        component("coredns", state="waiting", ready=False, ready_since="", reason="waits for kubelet"),
    ),
)
SEEN = Seen(
    now=NOW,
    usage={"etcd": Usage(1.2, 43 << 20), "kube-apiserver": Usage(4.4, 285 << 20)},
    supervisor_memory=21 << 20,
    plan={"components": [{"name": "kube-scheduler", "argv": ["x", "--v=6"], "origins": {"v": "--v kube-scheduler=6"}}]},
)


def test_the_status_is_one_line_for_the_cluster_and_one_for_each_component() -> None:
    assert render(STATUS, SEEN) == [
        "cluster local   ready for 2 h 14 min   https://127.0.0.1:6443   sandbox, supervisor 48213 (21 MiB)",
        "",
        "  component       state           for  restarts  cpu   memory  version",
        "  kube-apiserver  ready    2 h 14 min         0  4 %  285 MiB  v1.37.2",
        "  etcd            ready    2 h 14 min         0  1 %   43 MiB  3.7.3",
        "  kube-scheduler  ready    2 h 14 min         0    -        -  v1.37.2  binary /home/me/kube-scheduler; v=6",
        '  kubelet         backoff        12 s         4    -        -  v1.37.2  exit status 1: unknown field "drivr"',
        "  coredns         waiting           -         0    -        -  v1.37.2  waits for kubelet",
    ]


def test_a_stopped_cluster_is_told_without_a_table() -> None:
    stopped = dataclasses.replace(STATUS, phase="stopped", reason="the machine was restarted")
    assert render(stopped, SEEN) == ["cluster local   stopped for 2 h 14 min", "  the machine was restarted"]


def test_escape_sequences_of_a_log_line_do_not_reach_the_terminal() -> None:
    exited = Exit(time=START, reason="exit status 1", log_line="\x1b[2J")
    status = dataclasses.replace(
        STATUS, reason="\x1b]0;x", components=(dataclasses.replace(KUBELET, last_exit=exited),)
    )
    assert not any("\x1b" in line for line in render(status, SEEN))


def test_without_a_terminal_only_changes_are_written() -> None:
    assert changes(STATUS, STATUS, at="12:00:00") == []
    first = changes(None, STATUS, at="12:00:00")
    assert first[0] == "12:00:00  cluster local   ready"
    assert len(first) == 6
    ready = dataclasses.replace(STATUS, components=(component("kubelet", restarts=5, last_exit=KUBELET.last_exit),))
    assert changes(STATUS, ready, at="12:00:01") == [
        '12:00:01  kubelet                  ready      before: exit status 1: unknown field "drivr"'
    ]
