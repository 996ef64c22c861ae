from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kubedoctor.cluster.identity import ProcessIdentity, identify, is_alive, open_process, send


def test_own_process_is_known_by_pid_and_start() -> None:
    identity = identify(os.getpid())
    assert is_alive(identity)
    assert not is_alive(ProcessIdentity(identity.pid, identity.start_ticks + 1))


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_what_is_no_process_is_not_signalled(pid: int) -> None:
    assert open_process(ProcessIdentity(pid, 0)) is None
    assert not send(ProcessIdentity(pid, 0), signal.SIGKILL)


def test_process_is_signalled_once_and_then_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    identity = identify(child.pid)
    assert send(identity, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not is_alive(identity)
    with pytest.raises(ProcessLookupError):
        identify(child.pid)
