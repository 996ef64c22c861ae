"""/proc/PID/stat, and what is told of a process by it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import child

from kubedoctor.cluster.identity import identify, process_state
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.process import processes
from kubedoctor.host.process_stat import parse_stat, read_stat
from kubedoctor.host.usage import proportional_memory, usage

STAT = b"%d (%b) S 41 7 7 0 -1 4194560 12 0 0 0 3 2 0 0 20 0 1 0 8123 2465792 214 18446744073709551615"


@given(st.binary(max_size=15).filter(lambda name: b"\0" not in name))
def test_a_name_may_hold_what_the_fields_are_parted_by(name: bytes) -> None:
    found = parse_stat(STAT % (812, name))
    assert found.name == name.decode(errors="replace")
    assert (found.state, found.parent, found.start_ticks) == ("S", 41, 8123)
    assert (found.flags, found.cpu_ticks, found.resident) == (4194560, 5, 214)


@given(st.binary() | st.binary().map(lambda data: b"1 (" + data + b") " + data))
def test_what_is_no_status_is_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_stat(data)


def test_a_process_that_is_gone_is_none() -> None:
    with child("wait(1)") as (process, _):
        pass
    with pytest.raises(ProcessLookupError):
        read_stat(process.pid)
    with pytest.raises(ProcessLookupError):
        identify(process.pid)
    assert process_state(process.pid) == ""


def test_status_and_check_see_a_process_the_same() -> None:
    with child("wait(1)") as (process, _):
        identity = identify(process.pid)
        seen = next(one for one in SharedLook().get(processes) if one.pid == process.pid)
        assert seen.start_ticks == identity.start_ticks
        assert seen.started == pytest.approx(read_stat(process.pid).started, abs=0.02)
        assert time.time() - 60 < seen.started <= time.time() + 1
        assert usage(process.pid, seen.start_ticks) is not None


def test_usage_is_of_the_process_identified_only() -> None:
    own = identify(os.getpid())
    used = usage(own.pid, own.start_ticks)
    assert used is not None
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert used.memory_bytes == pytest.approx(resident, rel=0.2)
    assert used.cpu_percent > 0
    assert usage(own.pid, own.start_ticks + 1) is None
    assert usage(0, 0) is None
    assert (proportional_memory(own.pid) or 0) > 1 << 20
