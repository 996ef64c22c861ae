"""A node to which the worst happens: a full disk, a power loss, a process killed. It comes back, or tells."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import commands, eventually, free_port, got, kubectl
from support.command import Kubedoctor
from support.guarded import identity_of, one_directory, place_of, refusal
from support.hosts import own_cgroup
from support.images import PROBE, probe_archive
from support.machine import everything, processes
from support.mounts import fill, small_disk
from support.pods import applied, deployment, inside, pod, ready
from support.workloads import service

from kubedoctor.cluster.identity import send
from kubedoctor.cluster.place import is_held

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
]

WEB = service("web", [{"port": 80, "targetPort": 8080}])


# --- full disks -------------------------------------------------------------------------------------------------------


def test_images_that_have_no_room_are_told_and_loaded_when_there_is_some(
    tmp_path: Path, node_binaries: dict[str, Path]
) -> None:
    archive = probe_archive(tmp_path)
    with small_disk(tmp_path / "disk", 260) as disk:
        env = {"API_SECURE_PORT": str(free_port())}
        cli = Kubedoctor(home=disk / "home", bin_dir=one_directory(tmp_path, node_binaries), env=env)
        try:
            said = refusal(cli("up", "--node"))
            assert "images failed" in said
            assert "no space left on device" in said
            assert "MiB are free there: make room" in said
            assert (processes(cli.home), is_held(place_of(cli))) == ([], False)
            assert cli("status", "-o", "json").json["phase"] in ("stopped", "failed")

            subprocess.run(["mount", "-o", "remount,size=600m", str(disk)], check=True)
            cli.ok("up", "--node")
            filling = fill(disk)
            said = refusal(cli("images", "load", str(archive)))
            assert "no space left on device" in said
            assert "hint: make room there, then load it again" in said

            filling.unlink()
            cli.ok("images", "load", str(archive))
            applied(cli, deployment("web", 1, "wait"))  # a pod alone might be evicted: the kubelet looks every 10 s
            ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=1")
        finally:
            cli("down", "--all")
        assert processes(cli.home) == []


# --- killed processes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    """A node with a service of one pod, and a client."""
    directory = tmp_path_factory.mktemp("node")
    with commands(directory, node_binaries) as cli:
        cli.ok("up", "--node", "--image-archive", str(probe_archive(directory)))
        applied(cli, WEB, deployment("web", 1, "serve", ":8080"), pod("client", "wait"))
        ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=1")
        ready(cli, "pod/client")
        yield cli


def answers(cli: Kubedoctor) -> bool:
    """Return whether the service answers a pod that asks for it by its name."""
    return kubectl(cli, "exec", "client", "--", PROBE.path, "get", "http://web").out.startswith("web-")


@pytest.mark.parametrize("component", ["containerd", "kubelet", "kube-proxy"])
def test_a_component_that_is_killed_comes_back_and_pods_answer(node: Kubedoctor, component: str) -> None:
    assert eventually(lambda: answers(node))
    pods = restarts(node)
    killed = identity_of(node, component)
    assert send(killed, signal.SIGKILL)
    assert eventually(lambda: phase(node) == "ready" and identity_of(node, component).pid not in (0, killed.pid), 60)
    assert eventually(lambda: answers(node))
    applied(node, pod(f"after-{component}", "wait"))  # what there is answers even without it: new pods do not
    ready(node, f"pod/after-{component}")
    assert inside(node, f"after-{component}", "get", "http://web").startswith("web-")
    assert {uid: count for uid, count in restarts(node).items() if uid in pods} == pods, "pods did not live on"


@pytest.mark.parametrize("program", ["shim of serve", "pause of serve", "coredns"])
def test_a_pod_any_process_of_which_is_killed_answers_again(node: Kubedoctor, program: str) -> None:
    assert eventually(lambda: answers(node))
    before = restarts(node)
    os.kill(process_of(node, program), signal.SIGKILL)
    assert eventually(lambda: restarts(node) != before, 60)
    assert eventually(lambda: phase(node) == "ready" and answers(node), 60)


def phase(cli: Kubedoctor) -> str:
    return str(cli("status", "-o", "json").json["phase"])


def restarts(cli: Kubedoctor) -> dict[str, int]:
    """Return how often the containers of each pod were restarted, by the pod's uid."""
    return {
        one["metadata"]["uid"]: sum(state["restartCount"] for state in one["status"].get("containerStatuses", []))
        for one in got(cli, "get", "pods", "--all-namespaces")["items"]
    }


def process_of(cli: Kubedoctor, program: str) -> int:
    """Return the pid of a program of a pod's, of its shim, or of the pause beside it."""
    what, _, of = program.rpartition(" of ")
    inside_of = descendants(identity_of(cli, "supervisor").pid)
    words = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in inside_of}
    (found,) = (pid for pid, line in words.items() if line[0].startswith("/") and of in (Path(line[0]).name, line[1]))
    if not what:
        return found
    shim = inside_of[found]
    assert "shim" in words[shim][0]
    return shim if what == "shim" else next(pid for pid, parent in inside_of.items() if parent == shim and pid != found)


def descendants(pid: int) -> dict[int, int]:
    """Return the parents of the processes that come of one, by their pids."""
    found: dict[int, int] = {}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            for child in map(int, path.read_text().split()):
                found |= {child: pid, **descendants(child)}
    return found


# --- power loss -------------------------------------------------------------------------------------------------------


def test_cluster_of_before_a_power_loss_comes_up_and_goes_down(node: Kubedoctor) -> None:
    """The last of those that have this node."""
    assert eventually(lambda: answers(node))
    pods = restarts(node)
    lose_power(node)
    assert phase(node) == "stopped"

    node.ok("up", "--node")
    assert eventually(lambda: answers(node), 60)
    assert restarts(node).keys() == pods.keys(), "there are other pods than before"
    addresses = [one["status"]["podIP"] for one in got(node, "get", "pods", "--all-namespaces")["items"]]
    assert len(set(addresses)) == len(pods), "two pods have one address"

    lose_power(node)
    node.ok("down")
    assert remains(node) == []
    node.ok("down", "--delete")
    assert not any((node.home / "clusters").iterdir())


def lose_power(cli: Kubedoctor) -> None:
    """End every process of the cluster with nobody left to tidy up, and let what is on record be of another boot."""
    for entry in processes(cli.home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(entry.split()[0]), signal.SIGKILL)
    place = place_of(cli)
    assert eventually(lambda: not is_held(place) and processes(cli.home) == [])
    recorded = json.loads(place.state.read_text())
    recorded["boot_id"] = "00000000-0000-4000-8000-000000000000"
    place.state.write_text(json.dumps(recorded))


def remains(cli: Kubedoctor) -> list[str]:
    """Return what the machine has of this cluster: others may run beside it."""
    found, cgroup = everything(cli.home), own_cgroup(cli.home)
    mounts = [line for line in found["mounts"] if str(cli.home) in line]
    return [*mounts, *(path for path in found["cgroups"] if cgroup in path), *found["processes"]]
