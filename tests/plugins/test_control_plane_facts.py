"""What the plugins of the control plane see: asked of servers and files that a test made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubedoctor_binaries.facts import kubelet_versions, reported_version
from kubedoctor_controllers.facts import undone
from kubedoctor_etcd.facts import config_file, our_environment
from kubedoctor_scheduler.facts import Settings, settings, waiting_pods
from support.http_server import http, json_answer, kubeconfig, served

from kubedoctor import Denied, Malformed, Silent, host
from kubedoctor.doctor.look import SharedLook

OLD, NEW = "2026-06-01T11:00:00Z", "2026-06-01T11:59:55Z"  # the servers say it is 12:00:00


def listed(*items: Any, **metadata: Any) -> bytes:
    return json_answer(200, {"metadata": metadata, "items": list(items)})


def by_path(answers: dict[str, bytes]) -> Callable[[str], bytes]:
    return lambda request: next(answer for part, answer in answers.items() if part in request.partition("\r\n")[0])


@contextlib.contextmanager
def api(tmp_path: Path, *answers: Any) -> Iterator[str]:
    """Serve an API and yield its kubeconfig."""
    with served(*answers) as server:
        yield kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")


# --- controllers ------------------------------------------------------------------------------------------------------


def deployment(name: str, generation: Any, seen: Any, *times: str) -> dict[str, Any]:
    fields = [{"time": time} for time in times]
    metadata = {"namespace": "a", "name": name, "generation": generation, "creationTimestamp": OLD}
    return {"metadata": {**metadata, "managedFields": fields}, "status": {"observedGeneration": seen}}


def namespace(name: str, created: str = OLD, phase: str = "Active") -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}


def test_what_controllers_should_have_done_is_told(tmp_path: Path) -> None:
    answers = {
        "/namespaces?": listed(
            namespace("has"), namespace("lacks"), namespace("new", NEW), namespace("x", OLD, "Gone")
        ),
        "/serviceaccounts?": listed({"metadata": {"name": "default", "namespace": "has"}}),
        "/deployments?": listed(
            deployment("seen", 2, 2),
            deployment("unseen", 2, 1),
            deployment("fresh", 2, 1, NEW),
            deployment("odd", "x", 1),
        ),
    }
    with api(tmp_path, by_path(answers)) as path:
        found = SharedLook().get(undone, path, 0, 0, 30.0)
    assert found.reply == host.ApiReply(status=200)
    assert (found.deployments, found.namespaces, found.waited) == (("a/unseen",), ("lacks",), 3600)


def test_with_more_accounts_than_are_looked_at_nobody_is_said_to_lack_one(tmp_path: Path) -> None:
    answers = {
        "/namespaces?": listed(namespace("lacks")),
        "/serviceaccounts?": listed(**{"continue": "more"}),
        "/deployments?": listed(),
    }
    with api(tmp_path, by_path(answers)) as path:
        assert SharedLook().get(undone, path, 0, 0, 30.0).namespaces == ()


def test_the_first_refusal_is_the_reply(tmp_path: Path) -> None:
    answers = {"/namespaces?": listed(), "/serviceaccounts?": json_answer(403, {"message": "forbidden"})}
    with api(tmp_path, by_path(answers)) as path:
        assert SharedLook().get(undone, path, 0, 0, 30.0).reply == host.ApiReply(status=403, message="forbidden")


def test_without_the_servers_time_nothing_is_late(tmp_path: Path) -> None:
    with api(tmp_path, http(200, '{"items": [{"metadata": {"generation": 2}}]}')) as path:
        found = SharedLook().get(undone, path, 0, 0, 30.0)
        waiting = SharedLook().get(waiting_pods, path, 0, 0, "default-scheduler", 30.0)
    assert (found.times, found.deployments, waiting.pods) == (False, (), ())


# --- scheduler --------------------------------------------------------------------------------------------------------


def pod(name: str, created: str = OLD, *conditions: str) -> dict[str, Any]:
    metadata = {"namespace": "a", "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "status": {"conditions": [{"type": one} for one in conditions]}}


def test_pods_without_a_word_are_told_and_those_with_a_reason_are_not(tmp_path: Path) -> None:
    pods = listed(pod("waits"), pod("new", NEW), pod("refused", OLD, "PodScheduled"), pod("odd", OLD, "Other"), {})
    with api(tmp_path, pods) as path:
        found = SharedLook().get(waiting_pods, path, 0, 0, "default-scheduler", 30.0)
    assert (found.pods, found.waited) == (("a/odd", "a/waits"), 3600)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Settings()),
        (
            "clientConnection: {kubeconfig: /k}\nleaderElection: {leaderElect: false}",
            Settings(kubeconfig="/k", elects=False),
        ),
        (
            "leaderElection: {resourceName: a, resourceNamespace: b}\nprofiles: [{schedulerName: c}, {}, 5]",
            Settings(lease="a", namespace="b", schedulers=("c",)),
        ),
        ("leaderElection: 5\nprofiles: {}\nclientConnection: []", Settings()),
    ],
)
def test_the_schedulers_file_is_read(tmp_path: Path, text: str, expected: Settings) -> None:
    (tmp_path / "conf").write_text(text)
    assert SharedLook().get(settings, str(tmp_path / "conf"), 0) == expected


# --- etcd -------------------------------------------------------------------------------------------------------------


def test_etcds_file_is_read_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(
        "name: a\nquota-backend-bytes: 5\nclient-transport-security: {cert-file: /c, client-cert-auth: true}\n"
        "initial-cluster-token: geheim\nlog-outputs: [stderr]\n"
    )
    found = SharedLook().get(config_file, str(tmp_path / "conf"), 0)
    assert found == {"name": "a", "quota-backend-bytes": "5", "cert-file": "/c", "client-cert-auth": "true"}
    (tmp_path / "conf").write_text("[1, 2]")
    assert SharedLook().get(config_file, str(tmp_path / "conf"), 0) == {}
    (tmp_path / "conf").write_text("a: [")
    with pytest.raises(Malformed):
        SharedLook().get(config_file, str(tmp_path / "conf"), 0)


def test_our_environment_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "a")
    monkeypatch.setenv("ETCD_DISCOVERY_PASSWORD", "geheim")
    monkeypatch.setenv("ETCDCTL_API", "3")
    found = SharedLook().get(our_environment)
    assert found["ETCD_NAME"] == "a"
    assert "geheim" not in str(found)
    assert "ETCDCTL_API" not in found


# --- versions ---------------------------------------------------------------------------------------------------------


def test_servers_tell_their_version(tmp_path: Path) -> None:
    answers = (json_answer(200, {"gitVersion": "v1.37.2"}), json_answer(200, {"etcdserver": "3.7.3"}))
    with served(*answers, http(403), http(200, "[]"), http(200, "x")) as server:
        url = f"http://127.0.0.1:{server.port}/version"
        assert SharedLook().get(reported_version, url, 0, host.NOBODY) == "v1.37.2"
        assert SharedLook().get(reported_version, url, 0, host.NOBODY) == "3.7.3"
        for error in (Denied, Malformed, Malformed):
            with pytest.raises(error):
                SharedLook().get(reported_version, url, 0, host.NOBODY)


def test_nodes_tell_their_kubelets_version(tmp_path: Path) -> None:
    node = {"metadata": {"name": "a"}, "status": {"nodeInfo": {"kubeletVersion": "v1.36.0"}}}
    with api(tmp_path, listed(node, {}, 5), http(401), http(500)) as path:
        assert SharedLook().get(kubelet_versions, path) == {"a": "v1.36.0"}
        for error in (Denied, Silent):
            with pytest.raises(error):
                SharedLook().get(kubelet_versions, path)
