"""Ways of packets between sandbox and host, on a machine of the test's own: out by --uplink, in by --attach."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.clusters import eventually
from support.command import Kubedoctor
from support.guarded import ETCD, guarded, identity_of, refusal
from support.images import PROBE, probe_archive
from support.networks import needs
from support.outside import MACHINE, NAME, OUTSIDE, Machine, kubectl, machine
from support.pods import deployment, pod

from kubedoctor.cluster.identity import send

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link in the host's network"),
]
GET = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end="")
"""


@pytest.fixture
def here() -> Iterator[Machine]:
    needs("ip", "nft", "nsenter")
    with machine() as made:
        yield made


@pytest.fixture
def cli(here: Machine, tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    """A command on that machine, which is as it was when everything is stopped."""
    before = here.state()
    prefix = here.command(Kubedoctor(tmp_path, tmp_path)).prefix
    with guarded(tmp_path, node_binaries, prefix=prefix) as command:
        yield command
        command("down", "--all")
        assert here.state() == before


def run_pods(cli: Kubedoctor, *objects: Mapping[str, Any]) -> None:
    done = kubectl(cli, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    assert done.status == 0, done.err


def ready(cli: Kubedoctor, what: str, condition: str = "condition=Ready") -> None:
    done = kubectl(cli, "wait", f"--for={condition}", what, "--timeout=50s")
    assert done.status == 0, done.err


def inside(cli: Kubedoctor, name: str, *command: str) -> str:
    done = kubectl(cli, "exec", name, "--", PROBE.path, *command)
    assert done.status == 0, done.err
    return done.out


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def test_pods_get_out_and_the_host_gets_at_pods_and_services(here: Machine, cli: Kubedoctor, tmp_path: Path) -> None:
    archive = probe_archive(tmp_path)
    names = {"KUBELET_RESOLV_CONF": str(here.resolv_conf(tmp_path))}
    cli.ok("up", "--node", "--uplink", "--attach", "--image-archive", str(archive), env=names)
    run_pods(cli, SERVICE, deployment("web", 1, "serve", ":8080"), pod("client", "wait"))
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=1")
    ready(cli, "pod/client")

    assert inside(cli, "client", "get", f"http://{OUTSIDE}") == MACHINE, "what goes out is not masqueraded"
    assert inside(cli, "client", "lookup", NAME) == f"{OUTSIDE}\n"
    assert inside(cli, "client", "get", f"http://{NAME}") == MACHINE
    assert inside(cli, "client", "get", "http://web").startswith("web-")

    address = kubectl(cli, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}").out
    assert here.net.python(GET, f"http://{address}:8080").startswith("web-")
    service = kubectl(cli, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").out
    assert here.net.python(GET, f"http://{service}").startswith("web-")


def test_nothing_is_left_when_the_keeper_is_killed(here: Machine, cli: Kubedoctor, tmp_path: Path) -> None:
    before = here.state()
    resolv_conf = {"KUBELET_RESOLV_CONF": str(here.resolv_conf(tmp_path))}
    cli.ok("up", *ETCD, "--uplink", "--attach", env=resolv_conf)
    during = here.state()
    assert "kd-wire0" in during
    assert "flags owner" in during
    assert "10.0.0.0/24" in during
    assert send(identity_of(cli, "keeper"), signal.SIGKILL)
    assert eventually(lambda: here.state() == before), here.state()


def test_two_clusters_have_wires_of_their_own_unless_their_ranges_are_one(
    here: Machine, cli: Kubedoctor, tmp_path: Path
) -> None:
    cli.ok("up", *ETCD, "--attach")
    said = refusal(cli("up", *ETCD, "--attach", "--name", "two", env={"API_SECURE_PORT": ""}), status=2)
    assert "--attach: 10.1.0.0/24 cannot be had: this machine has a route to 10.1.0.0/24 by kd-wire0" in said
    other = ("--cluster-cidr", "10.2.0.0/16", "--service-cluster-ip-range", "10.3.0.0/24")
    cli.ok("up", *ETCD, "--attach", "--name", "two", *other, env={"API_SECURE_PORT": ""})
    routes = here.net.run("ip", "route")
    assert "10.1.0.0/24 via 198.19.0.2 dev kd-wire0" in routes
    assert "10.2.0.0/24 via 198.19.0.6 dev kd-wire1" in routes
    cli.ok("down", "--name", "two")
    assert "kd-wire1" not in here.net.run("ip", "link")


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        (["sysctl -qw net.ipv4.conf.wan0.forwarding=0"], "forwards no packets that come in by wan0"),
        (["ip route del default"], "no default route"),
        (["iptables -P FORWARD DROP"], "drops what is to be forwarded"),
        (
            ["nft add table inet f", "nft add chain inet f c { type filter hook forward priority 0; policy drop; }"],
            "nftables' chain inet f c (policy drop)",
        ),
    ],
)
def test_uplink_that_cannot_work_is_refused_with_the_reason(
    here: Machine, cli: Kubedoctor, tmp_path: Path, commands: list[str], reason: str
) -> None:
    for command in commands:
        here.net.run(*command.split())
    try:
        done = cli("up", *ETCD, "--uplink", env={"KUBELET_RESOLV_CONF": str(here.resolv_conf(tmp_path))})
    finally:
        if any("nft" in command or "iptables" in command for command in commands):
            here.net.run("iptables", "-P", "FORWARD", "ACCEPT")
            here.net.run("nft", "flush", "ruleset")
        here.net.run("ip", "route", "replace", "default", "via", OUTSIDE)
    assert reason in refusal(done, status=2)


def test_uplink_is_refused_where_no_name_server_is_in_reach(here: Machine, cli: Kubedoctor, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.53\n")
    done = cli("up", *ETCD, "--uplink", env={"KUBELET_RESOLV_CONF": str(path)})
    assert "names no server for names outside that a pod can reach" in refusal(done, status=2)


def test_a_running_cluster_gets_no_wire(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    assert "settled when a cluster starts" in refusal(cli("up", *ETCD, "--attach"), status=2)
