"""A node of real components, root's and an ordinary user's: pods that run, reach each other, and can be got at."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.clusters import eventually, free_port, got, kubectl
from support.command import Kubedoctor
from support.guarded import identity_of, place_of
from support.images import PROBE, TAR
from support.owners import OURS, USERS, Owner, owner_of
from support.pods import applied, deployment, inside, pod, ready
from support.registry import Registry, registry
from support.workloads import claim, service

from kubedoctor.cluster.documents import PlannedManifest
from kubedoctor.cluster.pod_reasons import reason
from kubedoctor.cluster.settling import read_plan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", params=[OURS, USERS])
def owner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path]
) -> Iterator[Owner]:
    with owner_of(request.param, tmp_path_factory.mktemp("owner"), node_binaries) as owner:
        yield owner


@pytest.fixture(scope="module")
def served(owner: Owner) -> Iterator[Registry]:
    """A registry on the host's loopback."""
    with registry(owner.archive) as served:
        yield served


@pytest.fixture(scope="module")
def node(owner: Owner, served: Registry) -> Iterator[Kubedoctor]:
    """A cluster with a node and images, for all tests of this module."""
    with owner.command() as cli:
        mirror = f"docker.io=http://127.0.0.1:{served.port}"
        cli.ok("up", "--node", "--image-archive", str(owner.archive), "--registry-mirror", mirror)
        applied(cli, pod("client", "wait"))
        yield cli


def test_ready_means_that_everything_works(node: Kubedoctor) -> None:
    status = node.ok("status", "-o", "json").json
    states = {component["name"]: component["state"] for component in status["components"]}
    assert {states.pop(name) for name in ("images", "image-archive")} == {"done"}
    assert set(states.values()) == {"ready"}
    assert {"containerd", "kubelet", "kube-proxy", "coredns"} <= states.keys()
    assert kubectl(node, "wait", "--for=condition=Ready", "node/local", "--timeout=1s").status == 0


def test_service_answers_by_name_by_address_and_from_outside(node: Kubedoctor) -> None:
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
    applied(node, service("web", ports, type="NodePort"), deployment("web", 3, "serve", ":8080"))
    ready(node, "deployment/web", "jsonpath={.status.readyReplicas}=3")
    ready(node, "pod/client")
    address = got(node, "get", "service", "web")["spec"]["clusterIP"]
    for name in ("web", "web.default.svc.cluster.local"):
        assert inside(node, "client", "lookup", name) == f"{address}\n"
        assert inside(node, "client", "get", f"http://{name}").startswith("web-")
    port = free_port()
    node.ok("publish", f"{port}:30080")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
        assert answer.read().decode().startswith("web-")
    names: set[str] = set()  # a rule of chance: each of three is asked within 60 tries, but for one time in 10^10
    assert any(len(names := {*names, inside(node, "client", "get", f"http://{address}")}) == 3 for _ in range(60))


def test_pods_can_be_looked_into(node: Kubedoctor, tmp_path: Path) -> None:
    talker = {"image": TAR.name, "command": [TAR.path, "serve", ":8080"]}
    applied(node, pod("talker", container=talker, spec={"securityContext": {"runAsUser": 1234}}))
    ready(node, "pod/talker")
    refused = kubectl(node, "exec", "talker", "--", TAR.path, "exit", "four")
    assert refused.status == 4
    port = free_port()
    config = node.home / "clusters" / "local" / "kubeconfig" / "admin"
    argv = [str(node.bin_dir / "kubectl"), f"--kubeconfig={config}"]
    with (
        subprocess.Popen([*argv, "logs", "-f", "talker"], stdout=subprocess.PIPE, text=True) as following,
        subprocess.Popen(
            [*argv, "port-forward", "pod/talker", f"{port}:8080"], stdout=subprocess.PIPE, text=True
        ) as forwarding,
    ):
        try:
            assert following.stdout is not None
            assert forwarding.stdout is not None
            assert following.stdout.readline() == "hello\n"
            assert forwarding.stdout.readline().startswith("Forwarding from")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/by-hand", timeout=10) as answer:
                assert answer.read() == b"talker\n"
            assert following.stdout.readline() == "asked for /by-hand\n"
        finally:
            forwarding.terminate()
            following.terminate()
    assert kubectl(node, "logs", "talker").out == "hello\nasked for /by-hand\n"


def test_files_are_copied_into_a_pod_and_out_of_it(node: Kubedoctor, tmp_path: Path) -> None:
    applied(node, pod("carrier", container={"image": TAR.name, "command": [TAR.path, "wait"]}))
    ready(node, "pod/carrier")
    content = bytes(range(256)) * 4096
    (tmp_path / "there").write_bytes(content)
    for source, target in ((str(tmp_path / "there"), "carrier:/copied"), ("carrier:/copied", str(tmp_path / "back"))):
        done = kubectl(node, "cp", source, target)
        assert done.status == 0, done.err
    assert (tmp_path / "back").read_bytes() == content


def test_node_tells_figures(node: Kubedoctor) -> None:
    ready(node, "pod/client")
    told = json.loads(kubectl(node, "get", "--raw", "/api/v1/nodes/local/proxy/stats/summary").out)
    assert told["node"]["nodeName"] == "local"
    assert "client" in {one["podRef"]["name"] for one in told["pods"]}
    metrics = kubectl(node, "get", "--raw", "/api/v1/nodes/local/proxy/metrics").out
    assert 'kubelet_node_name{node="local"} 1' in metrics


def test_policy_of_the_network_is_accepted(node: Kubedoctor) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed"},
        "spec": {"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": ["Ingress", "Egress"]},
    }
    applied(node, policy)
    assert got(node, "get", "networkpolicy", "closed")["spec"] == policy["spec"]


def test_claim_is_bound_and_keeps_what_is_written(node: Kubedoctor) -> None:
    store = {"volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]}
    mounted = {"volumeMounts": [{"name": "store", "mountPath": "/store"}]}
    applied(node, claim("store"), pod("writer", "wait", container=mounted, spec=store))
    ready(node, "pvc/store", "jsonpath={.status.phase}=Bound")
    ready(node, "pod/writer")
    inside(node, "writer", "write", "/store/page", "written")
    assert kubectl(node, "delete", "pod", "writer").status == 0
    applied(node, pod("writer", "wait", container=mounted, spec=store))
    ready(node, "pod/writer")
    assert inside(node, "writer", "cat", "/store/page") == "written"


def test_config_map_that_changes_reaches_its_pod(node: Kubedoctor) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "first"}}
    reader = pod(
        "reader",
        "wait",
        container={"volumeMounts": [{"name": "settings", "mountPath": "/settings"}]},
        spec={"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]},
    )
    applied(node, config, reader)
    ready(node, "pod/reader")
    assert inside(node, "reader", "cat", "/settings/key") == "first"
    applied(node, {**config, "data": {"key": "second"}})
    # The kubelet looks once a minute; a change of the pod makes it look at once.
    assert kubectl(node, "annotate", "pod", "reader", "look=now").status == 0
    assert eventually(lambda: inside(node, "reader", "cat", "/settings/key") == "second", 100)


def test_image_is_pulled_from_a_registry_of_the_hosts_loopback(node: Kubedoctor, served: Registry) -> None:
    pulled = {"image": "docker.io/library/pulled:1", "imagePullPolicy": "Always"}
    applied(node, pod("pulled", "wait", container=pulled))
    ready(node, "pod/pulled")
    assert any("/blobs/sha256:" in line for line in served.asked)


def test_commands_are_run_inside(node: Kubedoctor) -> None:
    nodes = node.ok("enter", str(node.bin_dir / "kubectl"), "get", "nodes", "-o", "name")
    assert nodes.out == "node/local\n"
    pods = node.ok("enter", "ctr", "--namespace", "k8s.io", "containers", "list")
    assert PROBE.name in pods.out
    assert node.ok("enter", "sh", "-c", "cat /proc/sys/kernel/hostname; id -u").out == "local\n0\n"


def test_pod_that_is_not_ready_says_why(node: Kubedoctor) -> None:
    """As `up` would ask when it has waited for a manifest for too long."""
    wrong = deployment("wrong", 1, "wait")
    wrong["spec"]["template"]["spec"]["containers"][0]["image"] = "nowhere.invalid/none"
    applied(node, wrong)
    manifest = PlannedManifest(
        name="wrong", objects=(wrong,), paths=("/apis/apps/v1/namespaces/default/deployments/wrong",)
    )
    plan = replace(read_plan(place_of(node)), manifests=(manifest,))
    said = 'Container image "nowhere.invalid/none" is not present with pull policy of Never'
    assert eventually(lambda: said in reason(plan, "wrong")), reason(plan, "wrong")
    assert reason(plan, "wrong").startswith("pod wrong-")


def test_limits_are_changed_only_where_they_hold(node: Kubedoctor, owner: Owner) -> None:
    """A kubelet that enforces none would panic, and again whenever it is started: the wish must not get that far."""
    applied(node, pod("sized", "wait", container={"resources": {"limits": {"memory": "64Mi", "cpu": "100m"}}}))
    ready(node, "pod/sized")
    kubelet = identity_of(node, "kubelet")
    more = {"requests": {"memory": "80Mi"}, "limits": {"memory": "80Mi"}}
    larger = {"spec": {"containers": [{"name": "c", "resources": more}]}}
    done = kubectl(node, "patch", "pod", "sized", "--subresource=resize", "--patch", json.dumps(larger))
    if owner.is_root:
        assert done.status == 0, done.err
        return
    assert "this node enforces no cgroup limits" in done.err
    assert kubectl(node, "annotate", "pod", "sized", "look=now").status == 0
    applied(node, pod("afterwards", "wait"))
    ready(node, "pod/afterwards")
    assert identity_of(node, "kubelet") == kubelet
