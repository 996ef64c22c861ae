"""What Kubernetes promises of pods and workloads, asked of a node that `up` made. Nobody here wrote any of it.

All objects are applied at once when the module begins, so that they become what they become side by side; each test
then looks at its own.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.clusters import commands, eventually, free_port, got, kubectl
from support.command import Kubedoctor
from support.images import PROBE, probe_archive, probe_binary
from support.workloads import Object, claim, container, job, pod, service, workload

from kubedoctor.cluster.images import write_archive

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(1800)]

LONGEST = 60
"""Seconds for anything to become so; on a quiet machine all but the CronJob takes a few."""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an archive of the probe."""
    return probe_archive(tmp_path_factory.mktemp("archives")).parent


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path], archives: Path
) -> Iterator[Kubedoctor]:
    """A cluster with a node, to which the objects of every case have been given."""
    with commands(tmp_path_factory.mktemp("node"), node_binaries) as cli:
        cli.ok("up", "--node", "--image-archive", str(archives))
        apply(cli, *(one for case in CASES for one in case.objects))
        yield cli


def apply(cli: Kubedoctor, *objects: Object) -> None:
    done = kubectl(cli, "apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(objects)})
    assert done.status == 0, done.err


def becomes(cli: Kubedoctor, what: str, condition: str) -> None:
    """Wait until *what* is so; *condition* is as `kubectl wait --for` takes it."""
    done = kubectl(cli, "wait", f"--for={condition}", what, f"--timeout={LONGEST - 5}s")
    assert done.status == 0, f"{done.err}{kubectl(cli, 'describe', what).out[-3000:]}"


def comes_true(condition: Callable[[], Any], what: str = "") -> None:
    assert eventually(lambda: bool(condition()), LONGEST), what


def inside(cli: Kubedoctor, name: str, *command: str) -> str:
    done = kubectl(cli, "exec", name, "-c", "c", "--", PROBE.path, *command)
    assert done.status == 0, done.err
    return done.out


def states(cli: Kubedoctor, name: str) -> list[Any]:
    """Return the statuses of the pod's containers."""
    return list(got(cli, "get", "pod", name)["status"].get("containerStatuses", []))


def restarts(cli: Kubedoctor, name: str) -> int:
    return sum(int(state["restartCount"]) for state in states(cli, name))


def events(cli: Kubedoctor, name: str) -> str:
    return kubectl(cli, "events", f"--for=pod/{name}").out


@dataclass(frozen=True)
class Case:
    """Objects, and what has to become of them."""

    name: str
    objects: tuple[Object, ...]
    check: Callable[[Kubedoctor], None]


# --- how pods live and end --------------------------------------------------------------------------------------------


def never_restarted(cli: Kubedoctor) -> None:
    becomes(cli, "pod/never", "jsonpath={.status.phase}=Failed")
    (state,) = states(cli, "never")
    assert state["state"]["terminated"]["exitCode"] == 3
    assert state["restartCount"] == 0


def restarted_on_failure(cli: Kubedoctor) -> None:
    becomes(cli, "pod/on-failure", "jsonpath={.status.phase}=Succeeded")
    assert restarts(cli, "on-failure") == 1


def restarted_always(cli: Kubedoctor) -> None:
    comes_true(lambda: restarts(cli, "always") >= 1)
    (state,) = states(cli, "always")
    assert state["lastState"]["terminated"]["exitCode"] == 0


def initialised(cli: Kubedoctor) -> None:
    becomes(cli, "pod/initialised", "condition=Ready")
    assert inside(cli, "initialised", "cat", "/data/second") == "2"
    first, second, beside = got(cli, "get", "pod", "initialised")["status"]["initContainerStatuses"]
    assert first["state"]["terminated"]["finishedAt"] <= second["state"]["terminated"]["startedAt"]
    assert "running" in beside["state"]  # a sidecar goes on


def not_initialised(cli: Kubedoctor) -> None:
    becomes(cli, "pod/not-initialised", "jsonpath={.status.phase}=Failed")
    (state,) = states(cli, "not-initialised")
    assert state["state"]["waiting"]["reason"] == "PodInitializing"
    assert not state["started"]


def alive(cli: Kubedoctor) -> None:
    comes_true(lambda: restarts(cli, "alive") >= 1)
    assert "Liveness probe failed" in events(cli, "alive")


def becomes_ready(cli: Kubedoctor) -> None:
    becomes(cli, "pod/gets-ready", "jsonpath={.status.phase}=Running")
    comes_true(lambda: "Readiness probe failed" in events(cli, "gets-ready"))
    slices = ("get", "endpointslices", "-l", "kubernetes.io/service-name=gets-ready")
    (there,) = got(cli, *slices)["items"]
    assert [one["conditions"]["ready"] for one in there["endpoints"]] == [False]
    inside(cli, "gets-ready", "write", "/data/ready", "")
    becomes(cli, "pod/gets-ready", "condition=Ready")
    comes_true(lambda: got(cli, *slices)["items"][0]["endpoints"][0]["conditions"]["ready"])
    assert restarts(cli, "gets-ready") == 0


def started(cli: Kubedoctor) -> None:
    becomes(cli, "pod/slow", "condition=Ready")
    assert restarts(cli, "slow") == 0
    assert "Startup probe failed" in events(cli, "slow")


def told_to_end(cli: Kubedoctor) -> None:
    becomes(cli, "pod/polite", "condition=Ready")
    argv = [str(cli.bin_dir / "kubectl"), f"--kubeconfig={admin(cli)}", "logs", "-f", "polite"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "listening\n"
        assert kubectl(cli, "delete", "pod", "polite").status == 0
        assert following.stdout.read() == "heard terminated\nended by itself\n"


def killed_after_its_grace(cli: Kubedoctor) -> None:
    becomes(cli, "pod/stubborn", "condition=Ready")
    began = time.monotonic()
    assert kubectl(cli, "delete", "pod", "stubborn").status == 0
    assert 2 <= time.monotonic() - began < 15


def killed_by_its_limit(cli: Kubedoctor) -> None:
    becomes(cli, "pod/hog", "jsonpath={.status.phase}=Failed")
    (state,) = states(cli, "hog")
    ended = state["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def hooks_run(cli: Kubedoctor) -> None:
    becomes(cli, "pod/hooked", "condition=Ready")
    assert inside(cli, "hooked", "cat", "/data/begun") == "by postStart"
    began = time.monotonic()
    assert kubectl(cli, "delete", "pod", "hooked").status == 0
    assert time.monotonic() - began >= 2, "preStop was not waited for"


def is_looked_into(cli: Kubedoctor) -> None:
    """An ephemeral container in the namespaces of a pod that runs already."""
    becomes(cli, "pod/client", "condition=Ready")
    debugger = ("--image", PROBE.name, "--image-pull-policy=Never", "-c", "debugger", "--", PROBE.path, "wait")
    assert kubectl(cli, "debug", "client", "--profile=general", *debugger).status == 0
    comes_true(lambda: "running" in str(got(cli, "get", "pod", "client")["status"].get("ephemeralContainerStatuses")))


EXEC_READY = {"exec": {"command": [PROBE.path, "cat", "/data/ready"]}, "periodSeconds": 1}
EXEC_ALIVE = {"exec": {"command": [PROBE.path, "cat", "/data/alive"]}, "periodSeconds": 1, "failureThreshold": 2}
HTTP = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
TCP = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}

LIFE = (
    Case("restart policy Never", (pod("never", container("exit", "333"), restartPolicy="Never"),), never_restarted),
    Case(
        "restart policy OnFailure",
        (pod("on-failure", container("second", "/data/tried"), restartPolicy="OnFailure"),),
        restarted_on_failure,
    ),
    Case("restart policy Always", (pod("always", container("exit", "")),), restarted_always),
    Case(
        "init containers run in turn, sidecars beside",
        (
            pod(
                "initialised",
                container("wait"),
                initContainers=[
                    container("write", "/data/first", "1", name="first"),
                    container("write", "/data/second", "2", name="second"),
                    container("wait", name="beside", restartPolicy="Always"),
                ],
            ),
        ),
        initialised,
    ),
    Case(
        "nothing starts when an init container fails",
        (
            pod(
                "not-initialised",
                container("wait"),
                initContainers=[container("cat", "/data/none", name="first")],
                restartPolicy="Never",
            ),
        ),
        not_initialised,
    ),
    Case("liveness probe", (pod("alive", container("wait", livenessProbe=EXEC_ALIVE)),), alive),
    Case(
        "readiness probe",
        (
            service("gets-ready", [{"port": 80}]),
            pod("gets-ready", container("wait", readinessProbe=EXEC_READY), labels={"app": "gets-ready"}),
        ),
        becomes_ready,
    ),
    Case(
        "startup probe",
        (
            pod(
                "slow",
                container("later", "4", ":8080", startupProbe={**TCP, "failureThreshold": 60}, livenessProbe=TCP),
            ),
        ),
        started,
    ),
    Case(
        "graceful deletion",
        (pod("polite", container("hear", "1"), terminationGracePeriodSeconds=30),),
        told_to_end,
    ),
    Case(
        "hooks",
        (
            pod(
                "hooked",
                container(
                    "wait",
                    lifecycle={
                        "postStart": {"exec": {"command": [PROBE.path, "write", "/data/begun", "by postStart"]}},
                        "preStop": {"sleep": {"seconds": 2}},
                    },
                ),
                terminationGracePeriodSeconds=20,
            ),
        ),
        hooks_run,
    ),
    Case("ephemeral container", (), is_looked_into),
    Case(
        "end of the grace period",
        (pod("stubborn", container("hear", "3600"), terminationGracePeriodSeconds=2),),
        killed_after_its_grace,
    ),
    Case(
        "memory limit",
        (pod("hog", container("eat", resources={"limits": {"memory": "24Mi"}}), restartPolicy="Never"),),
        killed_by_its_limit,
    ),
)


# --- workloads --------------------------------------------------------------------------------------------------------


def job_completes(cli: Kubedoctor) -> None:
    becomes(cli, "job/works", "condition=Complete")
    assert got(cli, "get", "job", "works")["status"]["succeeded"] == 3


def job_fails(cli: Kubedoctor) -> None:
    becomes(cli, "job/fails", "condition=Failed")
    status = got(cli, "get", "job", "fails")["status"]
    assert status["failed"] == 1
    assert {one["reason"] for one in status["conditions"]} == {"BackoffLimitExceeded"}


def cron_fires(cli: Kubedoctor) -> None:
    """The schedule is every minute, and it was made when the module began."""
    assert eventually(lambda: got(cli, "get", "cronjob", "cron")["status"].get("lastSuccessfulTime"), 90)


def daemon_set_runs(cli: Kubedoctor) -> None:
    becomes(cli, "daemonset/everywhere", "jsonpath={.status.numberReady}=1")
    assert got(cli, "get", "daemonset", "everywhere")["status"]["desiredNumberScheduled"] == 1


def stateful_set_keeps_names(cli: Kubedoctor) -> None:
    becomes(cli, "statefulset/db", "jsonpath={.status.readyReplicas}=2")
    pods = {name: got(cli, "get", "pod", name) for name in ("db-0", "db-1")}
    ready = next(one for one in pods["db-0"]["status"]["conditions"] if one["type"] == "Ready")
    assert ready["lastTransitionTime"] <= pods["db-1"]["metadata"]["creationTimestamp"]
    becomes(cli, "pod/client", "condition=Ready")
    for name, one in pods.items():
        comes_true(
            lambda n=name, o=one: (  # type: ignore[misc]
                kubectl(cli, "exec", "client", "--", PROBE.path, "lookup", f"{n}.db").out == f"{o['status']['podIP']}\n"
            ),
            f"{name}.db has no address",
        )
    addresses = sorted(one["status"]["podIP"] for one in pods.values())
    assert sorted(inside(cli, "client", "lookup", "db.default.svc.cluster.local").split()) == addresses
    inside(cli, "db-0", "write", "/data/mark", "kept")
    assert kubectl(cli, "delete", "pod", "db-0").status == 0
    becomes(cli, "statefulset/db", "jsonpath={.status.readyReplicas}=2")
    comes_true(lambda: kubectl(cli, "exec", "db-0", "--", PROBE.path, "cat", "/data/mark").out == "kept")


def deployment_rolls(cli: Kubedoctor) -> None:
    becomes(cli, "deployment/rolling", "condition=Available")
    assert kubectl(cli, "set", "env", "deployment/rolling", "ROUND=two").status == 0
    done = kubectl(cli, "rollout", "status", "deployment/rolling", f"--timeout={LONGEST - 5}s")
    assert done.status == 0, done.err
    assert kubectl(cli, "exec", "deployment/rolling", "--", PROBE.path, "env", "ROUND").out == "two\n"
    assert kubectl(cli, "rollout", "undo", "deployment/rolling").status == 0
    assert kubectl(cli, "rollout", "status", "deployment/rolling", f"--timeout={LONGEST - 5}s").status == 0


CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "cron"},
    "spec": {
        "schedule": "* * * * *",
        "jobTemplate": {"spec": job("x", {}, container("env", "HOME"))["spec"]},
    },
}
DATA = {"metadata": {"name": "data"}, "spec": claim("data")["spec"]}
STATEFUL = workload(
    "StatefulSet",
    "db",
    {"serviceName": "db", "replicas": 2, "volumeClaimTemplates": [DATA]},
    container("serve", ":8080", readinessProbe=HTTP),
)

WORKLOADS = (
    Case("Job", (job("works", {"completions": 3, "parallelism": 2}, container("env", "HOME")),), job_completes),
    Case("Job that fails", (job("fails", {"backoffLimit": 0}, container("exit", "1")),), job_fails),
    Case("DaemonSet", (workload("DaemonSet", "everywhere", {}, container("wait")),), daemon_set_runs),
    Case(
        "StatefulSet with names in DNS and volumes of its own",
        (service("db", [{"port": 8080}], clusterIP="None"), STATEFUL, pod("client", container("wait"))),
        stateful_set_keeps_names,
    ),
    Case(
        "Deployment that rolls on and back",
        (workload("Deployment", "rolling", {"replicas": 2}, container("serve", ":8080", readinessProbe=HTTP)),),
        deployment_rolls,
    ),
)


# --- what pods are given ----------------------------------------------------------------------------------------------


def given_configuration(cli: Kubedoctor) -> None:
    becomes(cli, "pod/configured", "condition=Ready")
    assert inside(cli, "configured", "cat", "/config/key") == "value"
    assert inside(cli, "configured", "cat", "/etc/one") == "value"
    assert inside(cli, "configured", "cat", "/secret/word") == "hush"
    assert inside(cli, "configured", "env", "KEY") == "value\n"
    assert inside(cli, "configured", "env", "WORD") == "hush\n"


def shares_a_volume(cli: Kubedoctor) -> None:
    becomes(cli, "pod/shared", "condition=Ready")
    inside(cli, "shared", "write", "/data/note", "from c")
    done = kubectl(cli, "exec", "shared", "-c", "other", "--", PROBE.path, "cat", "/data/note")
    assert done.out == "from c"
    assert inside(cli, "shared", "get", "http://localhost:8080") == "shared\n"


def has_a_token(cli: Kubedoctor) -> None:
    becomes(cli, "pod/client", "condition=Ready")
    refused = json.loads(inside(cli, "client", "api", "/api/v1/namespaces/default/secrets"))
    assert "system:serviceaccount:default:default" in refused["message"]
    assert json.loads(inside(cli, "client", "api", "/version"))["gitVersion"].startswith("v1.")


def has_a_token_for_somebody(cli: Kubedoctor) -> None:
    becomes(cli, "pod/tokens", "condition=Ready")
    _, payload, _ = inside(cli, "tokens", "cat", "/token/vault").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["vault"]
    assert claims["kubernetes.io"]["pod"]["name"] == "tokens"


def knows_itself(cli: Kubedoctor) -> None:
    becomes(cli, "pod/selfaware", "condition=Ready")
    found = got(cli, "get", "pod", "selfaware")
    assert inside(cli, "selfaware", "env", "NAME") == "selfaware\n"
    assert inside(cli, "selfaware", "env", "ADDRESS") == f"{found['status']['podIP']}\n"
    assert inside(cli, "selfaware", "env", "NODE") == "local\n"
    assert inside(cli, "selfaware", "env", "LIMIT") == "250\n"
    assert inside(cli, "selfaware", "cat", "/info/labels") == 'colour="green"'


def takes_files_and_gives_them(cli: Kubedoctor) -> None:
    becomes(cli, "pod/client", "condition=Ready")
    content = "0123456789abcdef" * 65536
    argv = [str(cli.bin_dir / "kubectl"), f"--kubeconfig={admin(cli)}", "exec", "-i", "client", "--"]
    into = subprocess.run(
        [*argv, PROBE.path, "write", "/data/big"], input=content, text=True, check=False, timeout=60, stderr=-1
    )
    assert into.returncode == 0, into.stderr
    assert inside(cli, "client", "cat", "/data/big") == content


def runs_as_somebody(cli: Kubedoctor) -> None:
    becomes(cli, "pod/restricted", "condition=Ready")
    assert inside(cli, "restricted", "id") == "1000 3000 [2000 3000]\n"
    inside(cli, "restricted", "write", "/data/mine", "")
    refused = kubectl(cli, "exec", "restricted", "--", PROBE.path, "write", "/mine", "")
    assert "read-only file system" in refused.err


def runs_with_every_right(cli: Kubedoctor) -> None:
    becomes(cli, "pod/privileged", "condition=Ready")
    assert inside(cli, "privileged", "id").startswith("0 0 ")


def volume_binds(cli: Kubedoctor) -> None:
    becomes(cli, "pvc/store", "jsonpath={.status.phase}=Bound")
    becomes(cli, "pod/writer", "condition=Ready")
    inside(cli, "writer", "write", "/data/page", "written")
    assert kubectl(cli, "delete", "pod", "writer").status == 0
    apply(cli, pod("reader", container("cat", "/data/page"), volumes=[STORE], restartPolicy="Never"))
    becomes(cli, "pod/reader", "jsonpath={.status.phase}=Succeeded")
    assert kubectl(cli, "logs", "reader").out == "written"
    volume = got(cli, "get", "pvc", "store")["spec"]["volumeName"]
    assert kubectl(cli, "delete", "pod/reader", "pvc/store").status == 0
    comes_true(lambda: kubectl(cli, "get", "pv", volume).status != 0, "the volume is not removed with its claim")


def default_class(cli: Kubedoctor) -> None:
    (found,) = got(cli, "get", "storageclasses")["items"]
    assert found["metadata"]["name"] == "standard"
    assert found["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


STORE = {"name": "data", "persistentVolumeClaim": {"claimName": "store"}}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "value"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "words"}, "stringData": {"word": "hush"}}


def of_field(path: str) -> Object:
    return {"fieldRef": {"fieldPath": path}}


GIVEN = (
    Case(
        "ConfigMap and Secret",
        (
            SETTINGS,
            SECRET,
            pod(
                "configured",
                container(
                    "wait",
                    volumeMounts=[
                        {"name": "settings", "mountPath": "/config"},
                        {"name": "settings", "mountPath": "/etc/one", "subPath": "key"},
                        {"name": "words", "mountPath": "/secret"},
                    ],
                    env=[
                        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}},
                        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "words", "key": "word"}}},
                    ],
                ),
                volumes=[
                    {"name": "settings", "configMap": {"name": "settings"}},
                    {"name": "words", "secret": {"secretName": "words"}},
                ],
            ),
        ),
        given_configuration,
    ),
    Case("emptyDir", (pod("shared", container("wait"), container("serve", ":8080", name="other")),), shares_a_volume),
    Case("service account", (), has_a_token),
    Case(
        "projected token",
        (
            pod(
                "tokens",
                container("wait", volumeMounts=[{"name": "token", "mountPath": "/token"}]),
                volumes=[
                    {
                        "name": "token",
                        "projected": {"sources": [{"serviceAccountToken": {"path": "vault", "audience": "vault"}}]},
                    }
                ],
            ),
        ),
        has_a_token_for_somebody,
    ),
    Case(
        "downward API",
        (
            pod(
                "selfaware",
                container(
                    "wait",
                    resources={"limits": {"cpu": "250m"}},
                    volumeMounts=[{"name": "info", "mountPath": "/info"}],
                    env=[
                        {"name": "NAME", "valueFrom": of_field("metadata.name")},
                        {"name": "ADDRESS", "valueFrom": of_field("status.podIP")},
                        {"name": "NODE", "valueFrom": of_field("spec.nodeName")},
                        {
                            "name": "LIMIT",
                            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}},
                        },
                    ],
                ),
                labels={"colour": "green"},
                volumes=[
                    {
                        "name": "info",
                        "downwardAPI": {"items": [{"path": "labels", **of_field("metadata.labels")}]},
                    }
                ],
            ),
        ),
        knows_itself,
    ),
    Case("exec carries input and output", (), takes_files_and_gives_them),
    Case(
        "security context",
        (
            pod(
                "restricted",
                container(
                    "wait",
                    securityContext={
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                ),
                securityContext={
                    "runAsUser": 1000,
                    "runAsGroup": 3000,
                    "fsGroup": 2000,
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            ),
        ),
        runs_as_somebody,
    ),
    Case(
        "privileged",
        (pod("privileged", container("wait", securityContext={"privileged": True})),),
        runs_with_every_right,
    ),
    Case("default storage class", (), default_class),
    Case(
        "a claim is bound, keeps what is written, and is removed",
        (claim("store"), pod("writer", container("wait"), volumes=[STORE])),
        volume_binds,
    ),
)


# --- the network ------------------------------------------------------------------------------------------------------


def host_port_answers(cli: Kubedoctor) -> None:
    becomes(cli, "pod/on-host-port", "condition=Ready")
    becomes(cli, "pod/client", "condition=Ready")
    address = got(cli, "get", "node", "local")["status"]["addresses"][0]["address"]
    assert inside(cli, "client", "get", f"http://{address}:18080") == "on-host-port\n"
    port = free_port()
    cli.ok("publish", f"{port}:18080")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
        assert answer.read() == b"on-host-port\n"


def host_network(cli: Kubedoctor) -> None:
    becomes(cli, "pod/on-host-network", "condition=Ready")
    found = got(cli, "get", "pod", "on-host-network")["status"]
    assert found["podIP"] == found["hostIP"]
    becomes(cli, "pod/client", "condition=Ready")
    assert inside(cli, "client", "get", f"http://{found['podIP']}:18081") == "local\n"


def stays_with_one(cli: Kubedoctor) -> None:
    becomes(cli, "deployment/sticky", "condition=Available")
    becomes(cli, "pod/client", "condition=Ready")
    comes_true(lambda: kubectl(cli, "exec", "client", "--", PROBE.path, "get", "http://sticky").status == 0)
    assert len({inside(cli, "client", "get", "http://sticky") for _ in range(6)}) == 1


def reaches_itself(cli: Kubedoctor) -> None:
    """A pod behind its own service: without masquerading its answer would never come back."""
    becomes(cli, "pod/narcissus", "condition=Ready")
    asks = ("exec", "narcissus", "--", PROBE.path, "get", "http://hairpin")
    comes_true(lambda: kubectl(cli, *asks).out == "narcissus\n", "it does not answer itself")


def nothing_outside(cli: Kubedoctor) -> None:
    becomes(cli, "pod/client", "condition=Ready")
    began = time.monotonic()
    refused = kubectl(cli, "exec", "client", "--", PROBE.path, "lookup", "example.com")
    assert refused.status == 1
    assert "no such host" in refused.err
    assert time.monotonic() - began < 5


def policy_is_accepted(cli: Kubedoctor) -> None:
    assert got(cli, "get", "networkpolicy", "closed")["spec"]["podSelector"] == {"matchLabels": {"app": "none"}}


def node_tells_figures(cli: Kubedoctor) -> None:
    becomes(cli, "pod/client", "condition=Ready")
    told = json.loads(kubectl(cli, "get", "--raw", "/api/v1/nodes/local/proxy/stats/summary").out)
    assert told["node"]["nodeName"] == "local"
    assert "client" in {one["podRef"]["name"] for one in told["pods"]}
    assert (
        "container_cpu_usage_seconds_total"
        in kubectl(cli, "get", "--raw", "/api/v1/nodes/local/proxy/metrics/resource").out
    )


POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": ["Ingress", "Egress"]},
}

NETWORK = (
    Case(
        "hostPort",
        (pod("on-host-port", container("serve", ":8080", ports=[{"containerPort": 8080, "hostPort": 18080}])),),
        host_port_answers,
    ),
    Case("host network", (pod("on-host-network", container("serve", ":18081"), hostNetwork=True),), host_network),
    Case(
        "session affinity",
        (
            service("sticky", [{"port": 80, "targetPort": 8080}], sessionAffinity="ClientIP"),
            workload("Deployment", "sticky", {"replicas": 2}, container("serve", ":8080", readinessProbe=HTTP)),
        ),
        stays_with_one,
    ),
    Case(
        "a pod reaches itself by its service",
        (
            service("hairpin", [{"port": 80, "targetPort": 8080}]),
            pod("narcissus", container("serve", ":8080"), labels={"app": "hairpin"}),
        ),
        reaches_itself,
    ),
    Case("names outside are unknown at once", (), nothing_outside),
    Case("NetworkPolicy", (POLICY,), policy_is_accepted),
    Case("figures of the node", (), node_tells_figures),
)

CASES = (*LIFE, *WORKLOADS, *GIVEN, *NETWORK, Case("CronJob", (CRON,), cron_fires))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kubernetes_does_as_it_promises(node: Kubedoctor, case: Case) -> None:
    case.check(node)


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_are_loaded_into_a_running_cluster(node: Kubedoctor, archives: Path, tmp_path: Path) -> None:
    binary = probe_binary()
    short = tmp_path / "short.tar"
    write_archive(short, [replace(PROBE, name="loaded:1")], {PROBE.binary: binary})
    done = node.ok("images", "load", str(short), str(archives))
    assert done.out.splitlines() == ["docker.io/library/loaded:1", PROBE.name]
    apply(node, pod("of-loaded", container("env", "HOME", image="loaded:1"), restartPolicy="Never"))
    becomes(node, "pod/of-loaded", "jsonpath={.status.phase}=Succeeded")
    listed = {image["name"]: image for image in node.ok("images", "list", "-o", "json").json["images"]}
    assert {"docker.io/library/loaded:1", PROBE.name} <= listed.keys()
    assert "loaded:1" not in listed
    assert {image["made_of"]: name.rpartition("/")[2] for name, image in listed.items() if image["made_of"]} == {
        "pause": "pause:3.10.2",
        "coredns": "coredns:v1.15.0",
    }
    assert listed[PROBE.name]["size_bytes"] > Path(binary).stat().st_size
    assert listed[PROBE.name]["digest"] == listed["docker.io/library/loaded:1"]["digest"]
    shown = node.ok("images", "list").out
    assert "made of the binary coredns" in shown


def test_archives_that_are_none_load_nothing(node: Kubedoctor, archives: Path, tmp_path: Path) -> None:
    before = node.ok("images", "list").out
    whole = (archives / "probe.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[5000:5100] = bytes(100)  # in a layer: its digest is not right any more
    (tmp_path / "text").write_text("no archive")
    for file, said in (("cut.tar", "is damaged"), ("text", "is not an archive"), ("none", "there is no such file")):
        done = node("images", "load", str(archives), str(tmp_path / file))
        assert (done.status, done.out) == (2, ""), done.err
        assert f"error: {tmp_path / file}" in done.err
        assert said in done.err
    assert node.ok("images", "list").out == before


def admin(cli: Kubedoctor) -> Path:
    return cli.home / "clusters" / "local" / "kubeconfig" / "admin"
