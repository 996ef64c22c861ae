"""k3s, which hides its command line, and k0s; both are started by systemd."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import kubeconfig, look_at, process

from kubedoctor.doctor.discovery.machine import parse_environment_file, parse_unit
from kubedoctor.doctor.discovery.services import parse_k3s_settings
from kubedoctor.doctor.targets import discover
from kubedoctor.facts import Denied, Malformed
from kubedoctor.targets import TargetKind

UNIT = "/etc/systemd/system/k3s.service"
WANTED = "/etc/systemd/system/multi-user.target.wants"
K3S_UNIT = """\
[Unit]
Description=Lightweight Kubernetes
[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s \\
    server \\
\t'--https-listen-port' \\
\t'7443' \\
\t'--token' \\
\t'not-to-be-seen' \\
"""
K3S = process(1, "/usr/local/bin/k3s server", executable="/usr/local/bin/k3s")
CONTAINERD = process(
    2,
    "containerd",
    "-c",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "-a",
    "/run/k3s/containerd/containerd.sock",
    parent=1,
    executable="/var/lib/rancher/k3s/data/1/bin/k3s",
)


def test_k3s_and_its_containerd_are_one_target() -> None:
    files = {"/etc/rancher/k3s/k3s.yaml": kubeconfig("https://127.0.0.1:6443")}
    _, found = discover(look_at([K3S, CONTAINERD], files))
    assert (found.id, found.kind, found.title) == ("k3s", TargetKind.K3S, "k3s, API at port 6443")
    assert [one.name for one in found.instances] == ["k3s", "containerd"]
    assert found.kubeconfig == "/etc/rancher/k3s/k3s.yaml"
    assert found.notes == ("k3s hides its command line: only what its configuration file sets is known",)


def test_the_flags_that_k3s_hides_are_those_of_its_files_and_its_unit() -> None:
    files = {
        "/etc/rancher/k3s/config.yaml": "tls-san: [a, b]\nhttps-listen-port: 6443\ntoken: not-to-be-seen\n",
        "/etc/rancher/k3s/config.yaml.d/10-more.yaml": "disable-agent: true\n",
        UNIT: K3S_UNIT,
    }
    _, found = discover(look_at([K3S], files))
    (k3s,) = found.instances
    assert k3s.argv[:2] == ("/usr/local/bin/k3s", "server")
    assert k3s.flags["tls-san"] == ("a", "b")
    assert (k3s.flag("disable-agent"), k3s.flag("https-listen-port")) == ("true", "7443")
    assert found.title == "k3s, API at port 7443"
    assert found.notes == ()
    assert "not-to-be-seen" not in str(found)


def test_a_command_line_that_is_not_hidden_is_kept() -> None:
    _, found = discover(look_at([process(1, "/opt/k3s", "--debug", "server", "--https-listen-port=9443")]))
    assert found.instances[0].argv == ("/opt/k3s", "server", "--debug", "--https-listen-port=9443")
    assert found.title == "k3s, API at port 9443"
    assert found.notes == ()


def test_settings_that_may_not_be_read_are_noted() -> None:
    refused = Denied("needs root to read /etc/rancher/k3s/config.yaml")
    _, found = discover(look_at([K3S], {"/etc/rancher/k3s/config.yaml": refused, UNIT: K3S_UNIT}))
    assert found.notes == ("settings of k3s are not known: needs root to read /etc/rancher/k3s/config.yaml",)


@pytest.mark.parametrize(
    ("unit", "command", "name"),
    [
        ("k3s.service", "/usr/local/bin/k3s server", "k3s"),
        ("k3s-agent.service", "/usr/local/bin/k3s agent --server https://10.0.0.1:6443", "k3s"),
        ("k0scontroller.service", "/usr/local/bin/k0s controller --single=true", "k0s"),
        ("k0sworker.service", "/usr/local/bin/k0s worker", "k0s"),
    ],
)
def test_what_systemd_is_to_start_at_boot_should_run(unit: str, command: str, name: str) -> None:
    files = {f"/etc/systemd/system/{unit}": f"ExecStart={command}\n", f"{WANTED}/{unit}": ""}
    _, found = discover(look_at([], files))
    (instance,) = found.instances
    assert (found.id, instance.name, instance.pid, instance.argv) == (name, name, 0, tuple(command.split()))
    assert instance.source == f"unit /etc/systemd/system/{unit}"


def test_a_unit_that_is_not_wanted_at_boot_is_none_of_our_business() -> None:
    assert len(discover(look_at([], {UNIT: K3S_UNIT}))) == 1


def test_k0s_and_its_children_are_one_target() -> None:
    children = [
        process(2, "/var/lib/k0s/bin/etcd", "--data-dir=/var/lib/k0s/etcd", parent=1),
        process(3, "/var/lib/k0s/bin/kube-apiserver", "--secure-port=6443", parent=1),
        process(4, "/var/lib/k0s/bin/containerd", "--address=/run/k0s/containerd.sock", parent=1),
        process(5, "/var/lib/k0s/bin/kubelet", "--root-dir=/var/lib/k0s/kubelet", parent=1),
    ]
    files = {"/var/lib/k0s/pki/admin.conf": kubeconfig("https://localhost:6443")}
    _, found = discover(look_at([process(1, "/usr/local/bin/k0s", "controller", "--single=true"), *children], files))
    assert (found.id, found.kind) == ("k0s", TargetKind.K0S)
    assert [one.name for one in found.instances] == ["k0s", "etcd", "kube-apiserver", "containerd", "kubelet"]
    assert found.kubeconfig == "/var/lib/k0s/pki/admin.conf"


# --- files of anybody -------------------------------------------------------------------------------------------------


def test_a_unit_tells_its_last_command() -> None:
    assert parse_unit("ExecStart=\nExecStart=-/bin/k3s server --a 'b c'\n", "x") == ("/bin/k3s", "server", "--a", "b c")
    assert parse_unit("[Unit]\n", "x") == ()
    with pytest.raises(Malformed):
        parse_unit("ExecStart=/bin/x 'y\n", "x")


def test_a_variable_of_an_environment_file_is_words() -> None:
    text = '# comment\nKUBELET_KUBEADM_ARGS="--a=b --c"\nOTHER=1\n'
    assert parse_environment_file(text, "x", "KUBELET_KUBEADM_ARGS") == ("--a=b", "--c")
    assert parse_environment_file(text, "x", "NONE") == ()


@given(st.text(max_size=200))
def test_any_text_is_read_or_malformed(text: str) -> None:
    with suppress(Malformed):
        assert isinstance(parse_unit(f"ExecStart={text}", "x"), tuple)
    with suppress(Malformed):
        assert isinstance(parse_environment_file(f"A={text}", "x", "A"), tuple)
    with suppress(Malformed):
        assert isinstance(parse_k3s_settings(text.encode(errors="replace"), "x"), tuple)
