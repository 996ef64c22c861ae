"""A part of the machine where nobody may make a user namespace: all users as they are, and the limit set to 0."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

# The limit belongs to a user namespace, so it is set in a new one, in which every user is mapped to itself; by a new
# program, since root gets its rights there when it executes one.
_HOLD = "echo made; read mapped; sh -c 'echo 0 > /proc/sys/user/max_user_namespaces' || exit; echo ready; read end"
_EVERYBODY = "0 0 4294967295\n"


@contextlib.contextmanager
def forbidden() -> Iterator[tuple[str, ...]]:
    """Yield the words that run a command there."""
    argv = ["unshare", "--user", "sh", "-c", _HOLD]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "made\n"
            Path(f"/proc/{holder.pid}/uid_map").write_text(_EVERYBODY)
            Path(f"/proc/{holder.pid}/gid_map").write_text(_EVERYBODY)
            holder.stdin.write("mapped\n")
            assert holder.stdout.readline() == "ready\n"
            yield ("nsenter", "--user", f"--target={holder.pid}")
        finally:
            holder.kill()
