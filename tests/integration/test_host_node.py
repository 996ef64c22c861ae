"""A node on the host: it runs in the machine's containerd, and leaves that machine as it was.

The machine is one of the test: a network and mounts of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import crio
from support.clusters import eventually
from support.command import Done, Kubedoctor
from support.guarded import identity_of, one_directory, refusal
from support.hosts import SOCKET, Host, machine
from support.images import PROBE, probe_archive
from support.machine import difference

from kubedoctor.cluster.identity import send
from kubedoctor.cluster.images import write_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ENDPOINT = f"unix://{SOCKET}"
GUIDE = Path(__file__).parents[1] / "fixtures" / "seed-1.3.sh"
OWN_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "mine",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni-mine",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "198.19.7.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
    ],
}


@pytest.fixture
def host(tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[Host]:
    with machine(tmp_path / "machine", node_binaries) as made:
        yield made


@pytest.fixture
def cli(host: Host, tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    """`kubedoctor` on that machine, whose containerd is named as the guide does."""
    env = {"KUBEDOCTOR_NODE": "on", "CONTAINER_RUNTIME_ENDPOINT": ENDPOINT}
    command = Kubedoctor(home=tmp_path / "home", bin_dir=one_directory(tmp_path, node_binaries), env=env)
    command = host.command(command)
    yield command
    command("down", "--all")


@pytest.fixture
def containerd(host: Host) -> Iterator[Host]:
    with host.containerd():
        yield host


def kubectl(host: Host, cli: Kubedoctor, *arguments: str, stdin: object = None) -> Done:
    config = cli.home / "clusters" / "local" / "kubeconfig" / "admin"
    done = subprocess.run(
        [*host.prefix, str(cli.bin_dir / "kubectl"), f"--kubeconfig={config}", *arguments],
        input="" if stdin is None else json.dumps(stdin),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_pod(host: Host, cli: Kubedoctor, name: str, **fields: object) -> None:
    """Run a pod of the probe that waits, and see that it can be reached."""
    container = {"name": "c", "image": PROBE.name, "imagePullPolicy": "Never", "command": [PROBE.path, "wait"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{**container, **fields}]},
    }
    done = kubectl(host, cli, "apply", "-f", "-", stdin=pod)
    assert done.status == 0, done.err
    done = kubectl(host, cli, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=50s")
    assert done.status == 0, done.err + kubectl(host, cli, "describe", "pod", name).out[-2000:]
    done = kubectl(host, cli, "exec", name, "--", PROBE.path, "lookup", "kubernetes.default.svc.cluster.local")
    assert done.out == "10.0.0.1\n", done.err


def others(host: Host, tmp_path: Path) -> None:
    """Put on the machine what belongs to somebody else: rules of every kind, an image."""
    for argv in (
        ["iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "192.0.2.0/24", "-j", "MASQUERADE"],
        ["iptables", "-N", "MINE"],
        ["iptables", "-A", "MINE", "-m", "comment", "--comment", "not to -j KUBE-SERVICES", "-j", "RETURN"],
        ["iptables", "-A", "FORWARD", "-j", "MINE"],
        ["nft", "add", "table", "inet", "mine"],
        ["nft", "add", "chain", "inet", "mine", "input", "{ type filter hook input priority 5; }"],
        ["nft", "add", "rule", "inet", "mine", "input", "tcp", "dport", "9", "drop"],
    ):
        host.run(*argv)
    host.ctr("--namespace", "others", "images", "import", str(probe_archive(tmp_path)))


def without_counts(found: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return what was found without how many packets chains and rules have seen."""
    counts = re.compile(r" \[\d+:\d+\]|packets \d+ bytes \d+")
    return {**found, "rules": frozenset(counts.sub("", line) for line in found["rules"])}


def test_machine_is_as_it_was_after_down(containerd: Host, cli: Kubedoctor, tmp_path: Path) -> None:
    others(containerd, tmp_path)
    with containerd.container_of_others():
        before = without_counts(containerd.everything(cli.home))
        up = cli.ok("up", "--image-archive", str(probe_archive(tmp_path)))
        assert up.err.splitlines()[0].startswith(
            "note: CONTAINER_RUNTIME_ENDPOINT is set: this cluster runs on the host itself, not in a sandbox; "
            "its pods run in containerd v"
        )
        assert kubectl(containerd, cli, "wait", "--for=condition=Ready", "node/127.0.0.1", "--timeout=1s").status == 0
        run_pod(containerd, cli, "client", ports=[{"containerPort": 8080, "hostPort": 18080}])
        assert cli.ok("up", "--image-archive", str(probe_archive(tmp_path))).status == 0, (
            "another `up` finds it as it is"
        )

        would = cli.ok("down", "--dry-run").out
        for line in (
            "would remove pod default/client (",
            "would remove pod kube-system/coredns-",
            "would unmount /var/lib/kubelet/pods/",
            "would remove iptables chain nat/KUBE-SERVICES",
            "would remove /var/lib/kubelet\n",
            "would remove /etc/cni/net.d/10-kubedoctor.conflist",
            "would set vm.overcommit_memory back to ",
        ):
            assert line in would
        assert "MINE" not in would
        assert "theirs" not in would
        cli.ok("down")
        assert difference(before, without_counts(containerd.everything(cli.home))) == {}


def test_next_command_clears_what_a_killed_keeper_left(containerd: Host, cli: Kubedoctor, tmp_path: Path) -> None:
    before = containerd.everything(cli.home)
    cli.ok("up", "--image-archive", str(probe_archive(tmp_path)))
    run_pod(containerd, cli, "client")
    assert send(identity_of(cli, "keeper"), signal.SIGKILL)
    assert eventually(lambda: not {"kubelet", "kube-proxy"} & {name for _, name in containerd.programs()})
    left = difference(before, containerd.everything(cli.home))
    assert {"mounts", "interfaces", "rules", "programs", "below"} <= left.keys()
    assert "would remove pod default/client (" in cli.ok("down", "--dry-run").out
    cli.ok("down")
    assert difference(before, containerd.everything(cli.home)) == {}


def test_pods_of_a_runtime_that_does_not_answer_are_told_and_removed_later(containerd: Host, cli: Kubedoctor) -> None:
    before = containerd.everything(cli.home)
    cli.ok("up")
    (runtime,) = (pid for pid, name in containerd.programs() if name == "containerd")
    os.kill(runtime, signal.SIGSTOP)
    try:
        said = refusal(cli("down"))
        assert (
            f"something of the cluster is left on this machine: the container runtime does not work: {SOCKET}" in said
        )
        assert cli("status", "-o", "json").json["phase"] == "stopped"
    finally:
        os.kill(runtime, signal.SIGCONT)
    cli.ok("down")
    assert difference(before, containerd.everything(cli.home)) == {}


@pytest.mark.parametrize("mode", ["nftables"])
def test_machine_is_as_it_was_after_another_proxy_mode(containerd: Host, cli: Kubedoctor, mode: str) -> None:
    before = containerd.everything(cli.home)
    cli.ok("up", env={"KUBE_PROXY_MODE": mode})
    assert "table ip kube-proxy" in containerd.run("nft", "list", "tables")
    cli.ok("down")
    assert difference(before, containerd.everything(cli.home)) == {}


@pytest.mark.skipif(not all(map(shutil.which, crio.PROGRAMS)), reason=f"not all of {crio.PROGRAMS} are on PATH")
def test_pods_run_in_crio_and_the_machine_is_as_it_was_after_down(host: Host, cli: Kubedoctor) -> None:
    with crio.crio(host):
        before = host.everything(cli.home)
        up = cli.ok("up", env={"CONTAINER_RUNTIME_ENDPOINT": f"unix://{crio.SOCKET}"})
        assert "its pods run in cri-o " in up.err
        run_pod(host, cli, "client", imagePullPolicy="IfNotPresent")
        cli.ok("down")
        left = difference(before, host.everything(cli.home))
        assert [line for lines in left.values() for line in lines if not line[2:].startswith(crio.OWN)] == []


def test_nothing_is_left_when_up_is_killed(containerd: Host, cli: Kubedoctor) -> None:
    before = containerd.everything(cli.home)
    with cli.popen("up") as up:
        assert eventually(lambda: "kubelet" in {name for _, name in containerd.programs()}, 60)
        up.kill()
    assert eventually(lambda: difference(before, containerd.everything(cli.home)) == {}), difference(
        before, containerd.everything(cli.home)
    )


def test_network_of_the_users_own_is_left_alone(containerd: Host, cli: Kubedoctor, tmp_path: Path) -> None:
    for plugin in ("bridge", "host-local", "loopback"):
        containerd.run("install", "-D", str(containerd.binaries[plugin]), f"/opt/cni/bin/{plugin}")
    containerd.run("tee", "/etc/cni/net.d/05-mine.conflist", stdin=json.dumps(OWN_NETWORK))
    before = containerd.everything(cli.home)
    cli.ok("up", "--image-archive", str(probe_archive(tmp_path)))
    assert containerd.run("ls", "/etc/cni/net.d").split() == ["05-mine.conflist"]
    done = kubectl(containerd, cli, "get", "pods", "--all-namespaces", "-o", "jsonpath={.items[*].status.podIP}")
    assert done.out.startswith("198.19.7.")
    cli.ok("down")
    assert difference(before, containerd.everything(cli.home)) == {}


def test_guide_pasted_verbatim_gives_a_ready_node(containerd: Host, cli: Kubedoctor) -> None:
    before = containerd.everything(cli.home)
    argv = cli.argv("up")[len(containerd.prefix) :]
    pasted = [*containerd.prefix, "bash", "-c", '. "$0" && exec "$@"', str(GUIDE), *argv]
    environment = replace(cli, env={"KUBEDOCTOR_NODE": "on"}).environment()
    up = subprocess.Popen(pasted, env=environment, stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    said = []
    for line in up.stderr:
        said.append(line)
        if line.startswith("attached"):
            break
    assert said[-1].startswith("attached"), "".join(said)
    assert kubectl(containerd, cli, "wait", "--for=condition=Ready", "node/127.0.0.1", "--timeout=1s").status == 0
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    assert difference(before, containerd.everything(cli.home)) == {}


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_kubelet_of_others_is_named(containerd: Host, cli: Kubedoctor, tmp_path: Path) -> None:
    theirs = shutil.copy(shutil.which("sleep") or "", tmp_path / "kubelet")
    with subprocess.Popen([*containerd.prefix, theirs, "1000"]) as kubelet:
        try:
            assert eventually(lambda: "kubelet" in {name for _, name in containerd.programs()})
            said = refusal(cli("up"))
            assert f"a kubelet runs on this host already: kubelet, pid {kubelet.pid} ({theirs})" in said
            assert "run in a sandbox beside it" in said
        finally:
            kubelet.kill()


def test_pods_of_others_are_named(containerd: Host, cli: Kubedoctor, tmp_path: Path) -> None:
    """A kubelet ends every pod that its API does not know of."""
    from kubedoctor_runtime.component import PAUSE

    write_archive(tmp_path / "pause.tar", [PAUSE], {"pause": str(containerd.binaries["pause"])})
    containerd.ctr("--namespace", "k8s.io", "images", "import", str(tmp_path / "pause.tar"))
    with containerd.pod_of_others():
        said = refusal(cli("up"))
    assert "has pods of others (theirs/web): a kubelet would end them" in said


def test_runtime_that_is_not_there_is_an_error_unless_the_guide_names_it(host: Host, cli: Kubedoctor) -> None:
    said = refusal(cli("up", env={"CONTAINER_RUNTIME_ENDPOINT": "unix:///run/elsewhere.sock"}), status=2)
    assert "CONTAINER_RUNTIME_ENDPOINT: there is no /run/elsewhere.sock" in said
    said = refusal(cli("up", "--host", env={"CONTAINER_RUNTIME_ENDPOINT": ""}), status=2)
    assert "needs a container runtime, and none is at /run/containerd/containerd.sock" in said
    assert "/run/crio/crio.sock" in said
    done = cli("up", "--dry-run")
    assert (
        "nothing is at CONTAINER_RUNTIME_ENDPOINT (/run/containerd/containerd.sock): the node has a sandbox" in done.err
    )
    assert "containerd" in done.out
