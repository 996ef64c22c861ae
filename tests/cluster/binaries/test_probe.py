from __future__ import annotations

import contextlib
import json
import os
import platform
from pathlib import Path
from typing import Literal

import pytest
from support.mirror import Program, asked

from kubedoctor.cluster.binaries import probe
from kubedoctor.cluster.binaries.probe import known_flags, rejects, version_of
from kubedoctor.cluster.identity import wait_gone
from kubedoctor.errors import KubedoctorError

KUBERNETES_HELP = """Usage:
  kube-scheduler [flags]

Misc flags:

      --config string            The path to the configuration file.
      --write-config-to string   If set, write the configuration values
                                 to this file and exit; see also --not-a-flag here
  -v, --v Level                  number for the log level verbosity
      --[no-]profiling           odd
      --leader-elect             Start a leader election client
"""
ETCD_HELP = """Usage:

  etcd [flags]
    Start an etcd server.

  etcd -h | --help
    Show the help information about etcd.

Member:
  --name 'default'
    Human-readable name for this member.
  --memory-mlock
    Enable to enforce etcd pages to stay in RAM. See --not-a-flag.
"""


def test_version_is_asked_once(program: Program) -> None:
    path = program("kube-apiserver", "v1.37.2")
    assert [version_of(str(path)) for _ in range(3)] == ["v1.37.2"] * 3
    assert asked(path) == 1


def test_changed_binary_is_asked_again(program: Program) -> None:
    path = program("kube-apiserver", "v1.37.2")
    version_of(str(path))
    program("kube-apiserver", "v1.37.10")
    assert version_of(str(path)) == "v1.37.10"


def test_touched_binary_is_asked_again(program: Program) -> None:
    path = program("kube-apiserver")
    version_of(str(path))
    os.utime(path, ns=(1, 1))
    version_of(str(path))
    assert asked(path) == 2


def test_version_of_kubectl_is_asked_of_the_client_alone(program: Program) -> None:
    path = program("kubectl", body='[ "$*" = "version --client" ] && echo Client Version: v1.37.2')
    assert version_of(str(path)) == "v1.37.2"
    other = program("mine", body='[ "$*" = "version --client" ] && echo Client Version: v1.37.3')
    assert version_of(str(other), "kubectl") == "v1.37.3"


@pytest.mark.parametrize(
    ("name", "asked_with", "told", "version"),
    [
        ("containerd", "--version", "containerd github.com/containerd/containerd/v2 v2.4.2 0123abc", "v2.4.2"),
        ("containerd", "--version", "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1", "v1.6.20"),
        ("containerd-shim-runc-v2", "-v", "shim:\n  Version:  v2.4.2\n  Go version: go1.26.8", "v2.4.2"),
        ("runc", "--version", "runc version 1.5.2\nspec: 1.3.0\ngo: go1.26.8\nlibseccomp: 2.5.4", "v1.5.2"),
        ("runc", "--version", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev", "v1.1.5+ds1"),
        ("coredns", "--version", "CoreDNS-1.15.0\nlinux/amd64, go1.26.8, ", "v1.15.0"),
        ("pause", "-v", "pause v3.10.2", "v3.10.2"),
        ("ptp", "", "CNI ptp plugin v1.9.1\nCNI protocol versions supported: 0.1.0, 1.1.0", "v1.9.1"),
        ("ptp", "", "CNI ptp plugin version unknown\nCNI protocol versions supported: 0.1.0, 1.1.0", ""),
        ("kubelet", "--version", "Kubernetes v1.37.2", "v1.37.2"),
        ("kubeadm", "version -o short", "v1.37.2", "v1.37.2"),
    ],
)
def test_each_program_is_asked_in_its_own_way(
    program: Program, name: str, asked_with: str, told: str, version: str
) -> None:
    path = program(name, body=f"[ \"$*\" = '{asked_with}' ] && cat <<END\n{told}\nEND")
    assert version_of(str(path)) == version


def test_program_that_fails_tells_no_version(program: Program) -> None:
    assert version_of(str(program("odd", body="echo v1.2.3; exit 1"))) == ""


def test_program_that_does_not_end_is_ended_with_its_children(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.5)
    path = program("server", body='sleep 60 & echo $! > "$0.child"; wait')
    assert version_of(str(path)) == ""
    child = int(Path(f"{path}.child").read_text())
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(child)
        try:
            assert wait_gone(handle, 10)
        finally:
            os.close(handle)


def test_environment_of_etcd_does_not_reach_the_question(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_CONFIG_FILE", "/nowhere")
    path = program("etcd", body='[ -z "$ETCD_CONFIG_FILE" ] && echo etcd Version: 3.7.3')
    assert version_of(str(path)) == "v3.7.3"


def test_nothing_is_written_when_nothing_is_to_be_remembered(program: Program, cache: Path) -> None:
    version_of(str(program("kube-apiserver")), remember=False)
    known_flags(str(program("kube-apiserver", body="echo '  --v int'")), remember=False)
    assert not cache.exists()


def test_damaged_or_foreign_memory_is_asked_anew(program: Program, cache: Path) -> None:
    path = program("kube-apiserver")
    version_of(str(path))
    (record,) = (cache / "probes").iterdir()
    for damage in ("{", "[]", json.dumps({"version": "v9.9.9", "path": "/other"})):
        record.write_text(damage)
        assert version_of(str(path)) == "v1.37.2"
    assert asked(path) == 4


def test_cache_that_cannot_be_written_does_no_harm(program: Program, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "probes").write_text("in the way")
    assert version_of(str(program("kube-apiserver"))) == "v1.37.2"


def test_flags_of_kubernetes_are_those_at_the_beginning_of_lines(program: Program) -> None:
    path = program("kube-scheduler", body=f"cat <<'EOF'\n{KUBERNETES_HELP}\nEOF")
    assert known_flags(str(path)) == {"config", "write-config-to", "v", "leader-elect"}
    assert known_flags(str(path)) == known_flags(str(path))
    assert asked(path) == 1


def test_a_subcommand_is_asked_for_flags_of_its_own(program: Program) -> None:
    path = str(
        program("ctr", body='[ "$1 $2" = "images import" ] && echo "   --local  import" || echo "   --debug  more"')
    )
    for _ in range(2):
        assert known_flags(path, ("images", "import")) == {"local"}
        assert known_flags(path) == {"debug"}


def test_flags_of_etcd_are_read_from_its_own_form(program: Program) -> None:
    path = program("etcd", body=f"cat >&2 <<'EOF'\n{ETCD_HELP}\nEOF")
    assert known_flags(str(path)) == {"name", "memory-mlock"}


def test_version_and_flags_are_remembered_together(program: Program) -> None:
    path = program("etcd", body="echo '3.7.3'; echo '  --name x'")
    assert (version_of(str(path)), known_flags(str(path))) == ("v3.7.3", frozenset({"name"}))
    assert (version_of(str(path)), known_flags(str(path))) == ("v3.7.3", frozenset({"name"}))
    assert asked(path) == 2


def test_flags_of_a_program_that_is_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(KubedoctorError, match="cannot be run"):
        known_flags(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("Error: unknown flag: --bogus", "unknown flag: --bogus"),
        ('E1123 05:25:42.6   218 run.go:72] "command failed" err="unrecognized gate: Foo"', "unrecognized gate: Foo"),
        ('E1123 05:25:42.6   218 run.go:72] "x" err="bad \\"y\\""', 'bad "y"'),
        ("flag provided but not defined: -bogus\nUsage:\n", "flag provided but not defined: -bogus"),
        ("", "exit status 3"),
    ],
)
def test_refused_arguments_are_told_in_the_words_of_the_binary(program: Program, output: str, told: str) -> None:
    path = program("kube-apiserver", body=f"cat <<'EOF'\n{output}\nEOF\nexit 3")
    assert rejects(str(path), ["--bogus"]) == told


def test_accepted_arguments_are_none(program: Program) -> None:
    path = program("kube-apiserver", body='[ "$1" = --good ] && [ "$2" = --version ]')
    assert rejects(str(path), ["--good"]) is None


def elf(machine: int, *, big: bool = False) -> bytes:
    order: Literal["big", "little"] = "big" if big else "little"
    return b"\x7fELF" + bytes([2, 2 if big else 1, 1]) + bytes(9) + (2).to_bytes(2, order) + machine.to_bytes(2, order)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0, "does not exist"),
        (b"#!/bin/sh\n", 0o644, "is not executable"),
        (b"hello", 0o755, "is not a program"),
        (b"", 0o755, "is not a program"),
        (elf(183), 0o755, "is built for aarch64, this machine is x86_64"),
        (elf(22, big=True), 0o755, "is built for s390x, this machine is x86_64"),
        (elf(999), 0o755, "is built for machine type 999, this machine is x86_64"),
        (elf(62), 0o755, ""),
        (elf(3), 0o755, ""),
        (b"#!/bin/sh\n", 0o755, ""),
    ],
)
def test_reason_why_a_file_cannot_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, mode: int, why: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    path = tmp_path / "program"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    assert probe.unusable(str(path)) == why


def test_directory_is_not_a_program(tmp_path: Path) -> None:
    assert probe.unusable(str(tmp_path)) == "is not a file"
