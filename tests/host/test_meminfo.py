from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Malformed
from kubedoctor.host.meminfo import memory, parse_memory, parse_swaps, swaps

SWAPS = (
    b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    b"/swap\\040file                           file\t\t1048572\t\t12\t\t-2\n"
    b"/dev/zram0                              partition\t524284\t\t0\t\t100\n"
)


def test_the_memory_is_that_of_the_machine() -> None:
    found = SharedLook().get(memory)
    assert found.total == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.01)
    assert 0 < found.available <= found.total


def test_swap_is_read_as_the_kernel_writes_it() -> None:
    file, compressed = parse_swaps(SWAPS)
    assert (file.path, file.kind, file.size, file.used, file.priority) == (
        "/swap file",
        "file",
        1048572 << 10,
        12 << 10,
        -2,
    )
    assert (file.is_compressed_memory, compressed.is_compressed_memory) == (False, True)
    assert parse_swaps(SWAPS.split(b"\n")[0] + b"\n") == ()
    assert parse_swaps(b"") == ()


def test_memory_and_swap_agree() -> None:
    look = SharedLook()
    assert bool(look.get(swaps)) == bool(look.get(memory).swap_total)


@given(st.binary())
def test_what_is_no_swap_is_malformed(data: bytes) -> None:
    for text in (data, SWAPS + data):
        with contextlib.suppress(Malformed):
            parse_swaps(text)


@given(st.text())
def test_what_is_no_memory_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_memory(text)
    assert parse_memory(f"{text}\nMemTotal:   12 kB\n").total == 12 << 10
