"""`kubedoctor check` on machines that mean it no good: what hangs, what is huge, what is not what it should be.

Whatever there is, the run ends in its time, crashes nowhere, and says what it could not see.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support import actors
from support.boxes import Box, box
from support.certificates import authority
from support.clusters import eventually
from support.command import Kubedoctor
from support.faults import Seen

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(600),  # the first time binaries are built
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine of the test's own needs root"),
]

PKI = "/etc/kubernetes/pki"
STARTING = 6.0
"""Seconds for the interpreter and its modules, on a machine that has much else to do."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as made:
        yield made


def sound(cli: Kubedoctor, *arguments: str, within: float = 30, cluster: str = "") -> Seen:
    """Run `check`, and insist on what holds whatever the machine is like; *within* are seconds of the run."""
    begin = time.monotonic()
    done = cli("check", *arguments, "-o", "json", "-o", f"text={cli.home.parent}/report.txt")
    took = time.monotonic() - begin
    assert done.status in (0, 1, 4), f"{done.status}\n{done.out}\n{done.err}"
    assert took < within + STARTING, f"{took:.1f} s"
    report: Mapping[str, Any] = done.json
    seen = Seen(done.status, report, cluster)
    assert report["counts"]["crashed"] == 0
    assert "Traceback" not in done.err
    for result in report["results"]:
        assert result["reason"] or result["outcome"] in ("passed", "failed"), result
        for finding in result["findings"]:
            assert finding["message"].isprintable(), finding
    text = (cli.home.parent / "report.txt").read_text()
    assert all(line.isprintable() for line in text.split("\n")), text
    errors = [one for one in report["results"] for finding in one["findings"] if finding["severity"] == "error"]
    assert (done.status == 1) == bool(errors), errors
    return seen


# --- what hangs -------------------------------------------------------------------------------------------------------


def test_a_stopped_etcd_and_a_hung_runtime_are_told_and_the_rest_is_looked_at(
    machine: Box, binaries: Mapping[str, Path]
) -> None:
    etcd = machine.start(binaries["etcd"], f"--data-dir={machine.directory}/etcd", "--log-level=error")
    listening = lambda: ":2379" in machine.run("ss", "-ltn")  # noqa: E731
    assert eventually(listening, 30)
    (pid,) = (pid for pid, words in machine.processes().items() if words[0].endswith("/etcd"))
    machine.run("kill", "-STOP", pid)
    actors.silent_listener(machine, "/run/containerd/containerd.sock")
    actors.silent_ports(machine, 6443, 10248, 10249, 10257, 10259)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "containerd"):
        flags = ("--etcd-servers=http://127.0.0.1:2379",) if name == "kube-apiserver" else ()
        actors.actor(machine, name, *flags)
    seen = sound(machine.command(machine.directory), within=15, cluster="other :6443")
    assert seen.status == 1
    assert "stopped" in seen.message("etcd.unhealthy")
    assert "/run/containerd/containerd.sock did not answer" in seen.message("runtime.not-answering")
    assert seen.outcome("apiserver.not-ready") == "skipped"
    assert seen.outcome("apiserver.port-taken", "other :6443") == "passed"
    assert seen.outcome("host.swap") != "timed-out"
    assert etcd.poll() is None

    machine.run("kill", "-KILL", pid)
    brief = sound(machine.command(machine.directory), "--timeout", "1", within=1, cluster="other :6443")
    late = {check: reason for check, reason in brief.blind().items() if "did not answer in" in reason}
    assert late, brief.blind()
    assert brief.outcome("etcd.port-taken") == "passed"


def test_a_dead_mount_costs_what_lies_on_it(machine: Box) -> None:
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("there is no /dev/fuse to make a dead mount with")
    actors.dead_mounts(machine, "/etc/kubernetes", "/var/lib/etcd")
    actors.actor(machine, "kube-apiserver", f"--tls-cert-file={PKI}/apiserver.crt", "--secure-port=7443")
    actors.actor(machine, "etcd", "--data-dir=/var/lib/etcd", "--listen-client-urls=http://127.0.0.1:2379")
    seen = sound(machine.command(machine.directory), "--timeout", "6", within=6, cluster="kubeadm")
    _, cluster = seen.report["targets"]
    assert cluster["components"] == ["etcd", "kube-apiserver"]
    assert any("/etc/kubernetes/manifests" in note and "did not answer" in note for note in cluster["notes"])
    assert "127.0.0.1:2379 refused the connection" in seen.message("etcd.unhealthy")
    assert "/var/lib/etcd" in seen.blind()["host.disk-full"]
    assert f"{PKI}/" in seen.blind()["certs.expired"]
    assert seen.outcome("etcd.port-taken") == "passed"


def test_a_thread_that_nothing_can_end_does_not_keep_the_command(machine: Box) -> None:
    """A process is there until its last thread is gone: what hangs in state D is left behind, and said to be."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("there is no /dev/fuse to make a dead mount with")
    actors.dead_mounts(machine, "/etc/kubernetes", "/var/lib/etcd", taking=True)
    actors.actor(machine, "etcd", "--data-dir=/var/lib/etcd", "--listen-client-urls=http://127.0.0.1:2379")
    cli = machine.command(machine.directory)
    seen = sound(cli, "--timeout", "3", within=3, cluster="other :2379")
    assert "/var/lib/etcd" in seen.blind()["host.disk-full"]
    assert seen.outcome("etcd.port-taken", "other :2379") == "passed"

    begin = time.monotonic()
    done = cli("check", "--timeout", "3")
    assert time.monotonic() - begin < 3 + STARTING
    left = {pid for pid, states in threads(machine).items() if "D" in states}
    assert len(left) == 2, threads(machine)
    assert any(f"process {pid} stays until" in done.err for pid in left), done.err

    (server,) = (pid for pid, words in machine.processes().items() if {"/etc/kubernetes", "/var/lib/etcd"} <= {*words})
    machine.run("kill", "-KILL", server)
    assert eventually(lambda: not left & threads(machine).keys(), 10)


def threads(machine: Box) -> dict[int, str]:
    """Return the state of each thread of all that runs in the box."""
    found: dict[int, str] = {}
    for stat in machine.path("/proc").glob("[0-9]*/task/*/stat"):
        with contextlib.suppress(OSError):
            state = stat.read_text(errors="replace").rpartition(")")[2].split()[0]
            pid = int(stat.parts[-4])
            found[pid] = found.get(pid, "") + state
    return found


# --- what is no file --------------------------------------------------------------------------------------------------

FILES = {
    "kube-apiserver": [f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key", f"{PKI}/ca.crt", f"{PKI}/sa.pub"],
    "etcd": ["/etc/kubernetes/etcd.yaml"],
    "kubelet": ["/etc/kubernetes/kubelet.conf"],
    "kube-scheduler": ["/etc/kubernetes/scheduler.yaml"],
    "kube-proxy": ["/etc/kubernetes/proxy.yaml"],
    "kube-controller-manager": ["/etc/kubernetes/manager.conf"],
    "containerd": ["/etc/containerd/config.toml", "/etc/cni/net.d/10-net.conflist"],
    "": ["/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml", "/etc/default/kubelet"],
}
KUBELET = "/var/lib/kubelet/config.yaml"
FLAGS = {
    "kube-apiserver": (
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--service-account-key-file={PKI}/sa.pub",
    ),
    "etcd": ("--config-file=/etc/kubernetes/etcd.yaml",),
    "kubelet": ("--kubeconfig=/etc/kubernetes/kubelet.conf", f"--config={KUBELET}"),
    "kube-scheduler": ("--config=/etc/kubernetes/scheduler.yaml",),
    "kube-proxy": ("--config=/etc/kubernetes/proxy.yaml",),
    "kube-controller-manager": ("--kubeconfig=/etc/kubernetes/manager.conf",),
    "containerd": (),
}
WORDS = {
    "fifo": "is a fifo, not a file",
    "sparse": "is larger than",
    "device": "is a device, not a file",
    "loop": "Too many levels of symbolic links",
    "kernel": "is a stream of the kernel's, not a file",
}


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine with all components; their files are the tests'."""
    with box(tmp_path_factory.mktemp("strange")) as made:
        actors.crowd(made, [(name, flags, {}) for name, flags in FLAGS.items()])
        yield made


@pytest.mark.parametrize(
    ("kind", "node"),
    [("fifo", False), ("fifo", True), ("sparse", True), ("device", False), ("loop", True), ("kernel", False)],
)
def test_what_is_no_file_is_said_to_be_none(strange: Box, kind: str, node: bool) -> None:
    """With *node*, the kubelet's own settings can be read, so what they lead to is looked at."""
    files = [file for files in FILES.values() for file in files]
    actors.strange_files(strange, kind, *files, *([] if node else [KUBELET]))
    if node:
        strange.run("rm", "-f", KUBELET)
        strange.write(KUBELET, "kind: KubeletConfiguration\n")
    seen = sound(strange.command(strange.directory), within=10, cluster="kubeadm")
    assert seen.report["targets"][1]["id"] == "kubeadm"
    blind = seen.blind()
    assert {reason for reason in blind.values() if WORDS[kind] not in reason} == set()
    assert {
        "etcd.port-taken",
        "etcd.data-dir-in-use",
        "certs.expired",
        "certs.wrong-issuer",
    } - seen.failed() <= blind.keys()
    assert WORDS[kind] in blind["apiserver.service-account-key-mismatch"]
    broken = [str(finding["message"]) for finding in seen.findings("certs.kubeconfig-broken")]
    assert any(f"/etc/kubernetes/kubelet.conf {WORDS[kind]}" in one.replace(": Too", " Too") for one in broken), broken
    notes = [note for target in seen.report["targets"] for note in target["notes"]]
    assert any("/etc/kubernetes/admin.conf" in note and WORDS[kind] in note for note in notes), notes
    if node:
        assert "/etc/containerd/config.toml" in blind["runtime.cri-disabled"]
    else:
        assert KUBELET in blind["cni.no-config"]


# --- what is much -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_much_of_everything_takes_its_time_and_ends(machine: Box, backend: str) -> None:
    rules = actors.nat_rules(200, 100)
    machine.run(f"iptables-{backend}-restore", stdin=rules)
    actors.sockets(machine, 10_000)
    machine.write(f"{PKI}/ca.crt", b"".join(authority(f"ca-{number}").pem for number in range(300)))
    flags = (f"--client-ca-file={PKI}/ca.crt", "--service-cluster-ip-range=10.0.0.0/24")
    actors.actor(machine, "kube-apiserver", *flags, padding=20)
    words = ("a" * 100_000, "token" * 20_000, f"@{'=a:' * 30_000}", "eyJ" * 30_000)
    programs = [(name, "") for name in ("kube-proxy", "kubelet", "etcd")] + [("python3", word) for word in words]
    actors.crowd(machine, [(name, [f"-c {word}"] if word else [], {}) for name, word in programs])
    seen = sound(machine.command(machine.directory), cluster="kubeadm")
    assert seen.report["counts"]["timed_out"] == 0, seen.blind()
    assert seen.outcome("proxy.leftover-rules", "kubeadm") in ("passed", "failed")
    assert seen.outcome("certs.expires-soon") in ("passed", "failed")


# --- what is said -----------------------------------------------------------------------------------------------------

SAID = (
    "",
    "\x1b[31mred\x1b]0;title\x07",
    "http://[::1",
    "https://127.0.0.1:99999999999999",
    "http://127.0.0.1:0",
    "127.0.0.1:-1",
    "a\nb\r\nc",
    "\u202egnp\u2066",
    "/" + "x/" * 3000,
    "-" * 300,
    "=,=,=",
    "/proc/self/fd/0",
    "../../../../etc/shadow",
    "/dev/zero",
    "unix:///dev/null",
    "\udcff\udcfe",
    "9" * 5000,
    "0x10",
    "[",
    "{",
    "%00%ff",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "unix:" + "/a" * 200,
    "https://127.0.0.1:6443/../..?x#y@z",
    "\u00b2",
    "http://127.0.0.1:\u0662\u0663",
    "/proc/kmsg",
)
"""Values of flags and variables that nobody means: terminals, addresses, paths, numbers and bytes that are none."""
TOLD = {
    "kube-apiserver": "etcd-servers tls-cert-file tls-private-key-file client-ca-file service-account-key-file "
    "secure-port bind-address advertise-address service-cluster-ip-range etcd-cafile etcd-certfile cert-dir "
    "service-account-issuer",
    "etcd": "data-dir listen-client-urls name listen-peer-urls listen-metrics-urls cert-file trusted-ca-file "
    "initial-cluster advertise-client-urls config-file",
    "kubelet": "config kubeconfig container-runtime-endpoint hostname-override pod-manifest-path root-dir cert-dir "
    "feature-gates config-dir cgroup-driver seccomp-default",
    "containerd": "config address root state",
    "crio": "config listen cgroup-manager cni-config-dir root",
    "kube-proxy": "config kubeconfig proxy-mode metrics-bind-address hostname-override healthz-bind-address "
    "cluster-cidr",
    "kube-scheduler": "config kubeconfig secure-port bind-address master leader-elect-resource-name",
    "kube-controller-manager": "kubeconfig secure-port bind-address master service-account-private-key-file "
    "root-ca-file leader-elect leader-elect-resource-namespace",
    "k3s": "server data-dir https-listen-port config write-kubeconfig",
    "cri-dockerd": "docker-endpoint container-runtime-endpoint",
    "dockerd": "host containerd",
    "coredns": "conf",
}


@pytest.mark.parametrize("part", range(3))
def test_components_may_say_anything_of_themselves(machine: Box, part: int) -> None:
    def person(name: str, value: str, number: int) -> tuple[str, list[str], dict[str, str]]:
        flags = TOLD[name].split()
        environment = {"K3S_CONFIG_FILE": value, "KUBECONFIG": value, "HTTPS_PROXY": value}
        if name == "etcd" and number % 2:
            environment |= {f"ETCD_{flag.upper().replace('-', '_')}": value for flag in flags if flag != "config-file"}
            return name, [], environment
        chosen = flags if number % 3 else flags[:-1]
        return name, [f"--{flag}={value}" for flag in chosen], environment

    people = [person(name, value, number) for number, value in enumerate(SAID[part::3]) for name in TOLD]
    actors.crowd(machine, people)
    seen = sound(machine.command(machine.directory))
    assert seen.status == 1
    found = [name for target in seen.report["targets"][1:] for name in target["components"]]
    assert {*TOLD} - {"dockerd"} <= {*found}, found


def test_processes_may_end_while_they_are_looked_at(machine: Box) -> None:
    actors.passers_by(machine, "etcd", "kube-apiserver", "kubelet", "containerd", "k3s", "kube-proxy")
    cli = machine.command(machine.directory)
    for arguments in ((), ("--record", f"{machine.directory}/seen.gz"), ("--phase", "running")):
        sound(cli, *arguments, within=10)
    sound(cli, "--from", f"{machine.directory}/seen.gz", within=5)
