"""What of the machine a kubelet goes by."""

from __future__ import annotations

import os

from kubedoctor import Absent, Look, fact, host


@fact("kubelet.node-name")
def node_name(look: Look) -> str:
    """The name a kubelet of this machine gives its node unless it is told another one."""
    del look
    return os.uname().nodename.lower()


@fact("kubelet.systemd-runs")
def systemd_runs(look: Look, root: int) -> bool:
    """Whether systemd manages what process *root* sees: how kubelet, runc and containerd ask; raise Denied."""
    del look
    try:
        return host.stat_file("/run/systemd/system", root=root, follow=True).kind is host.FileKind.DIRECTORY
    except Absent:
        return False
