"""What stands where a runtime's socket should be."""

from __future__ import annotations

from kubedoctor import Look, fact, host


@fact("runtime.socket-file")
def socket_file(look: Look, path: str, root: int) -> str:
    """What stands at *path*, as seen by process *root*: `socket`, `file`, `fifo` …; raise Absent, Denied."""
    del look
    return host.stat_file(path, root=root, follow=True).kind.value
