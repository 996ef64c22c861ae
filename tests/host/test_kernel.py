from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, FactError, Malformed
from kubedoctor.host.adjtime import clock
from kubedoctor.host.kernel import (
    ModuleState,
    filesystems,
    kernel_module,
    kernel_release,
    parse_module_paths,
    sysctl,
)


def test_settings_are_read_by_either_spelling() -> None:
    look = SharedLook()
    expected = Path("/proc/sys/fs/file-max").read_text().strip()
    assert look.get(sysctl, "fs.file-max", 0) == look.get(sysctl, "fs/file-max", 0) == expected
    assert look.get(sysctl, "net.ipv4.ip_forward", 0) in ("0", "1")
    assert look.get(sysctl, "net/ipv4/conf/lo/rp_filter", 0) in ("0", "1", "2")


def test_a_setting_that_this_kernel_has_not_is_absent() -> None:
    for key in ("net.ipv4.no_such", "no.such", "net"):
        with pytest.raises((Absent, Malformed)):
            SharedLook().get(sysctl, key, 0)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "net/../../self/environ", "a b", "net\n"])
def test_what_is_no_setting_is_not_read(key: str) -> None:
    with pytest.raises(FactError):
        SharedLook().get(sysctl, key, 0)


def test_filesystems_and_release_are_the_kernels() -> None:
    look = SharedLook()
    assert "proc" in look.get(filesystems)
    assert look.get(kernel_release) == os.uname().release


def test_modules_are_told_with_either_spelling() -> None:
    look = SharedLook()
    assert look.get(kernel_module, "no-such-module") is ModuleState.ABSENT
    for name in [path.name for path in Path("/sys/module").iterdir()][:5]:
        assert (
            look.get(kernel_module, name.replace("_", "-")) is look.get(kernel_module, name) is not ModuleState.ABSENT
        )


def test_the_names_of_modules_are_read_from_their_index() -> None:
    text = "kernel/net/br-netfilter.ko.zst: kernel/net/bridge/bridge.ko.zst\nkernel/fs/ext4/ext4.ko:\n"
    assert parse_module_paths(text) == {"br_netfilter", "ext4"}


@given(st.text())
def test_any_index_is_read(text: str) -> None:
    parse_module_paths(text)


@given(st.text())
def test_any_key_is_an_answer_or_a_fact_error(key: str) -> None:
    with contextlib.suppress(FactError):
        SharedLook().get(sysctl, f"kernel.{key}", 0)


def test_the_clock_is_told() -> None:
    found = SharedLook().get(clock)
    assert found.synchronised == (not found.status & 0x40)
    assert found.max_error >= 0
