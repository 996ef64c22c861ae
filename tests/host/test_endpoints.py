from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_server import b64, client, http, kubeconfig, served, server_tls
from support.instances import running

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Denied, Malformed, Silent
from kubedoctor.host.endpoints import (
    Health,
    Identity,
    Sample,
    health,
    metrics,
    parse_samples,
    reachable_url,
    secure_address,
)

PAGE = """# HELP a_total something
# TYPE a_total counter
a_total{code="200",path="/a b\\"{}"} 12
a_total{code="500"} 1.5e+03 1700000000
a_total_other 7
b 1
b_bucket{le="+Inf"} +Inf
"""


def test_a_health_endpoint_is_told_as_it_answers() -> None:
    with served(http(200, "ok"), http(500, "[-]etcd failed: reason withheld")) as server:
        look, url = SharedLook(), f"http://127.0.0.1:{server.port}"
        assert look.get(health, f"{url}/healthz", 0) == Health(status=200, text="ok")
        unwell = look.get(health, f"{url}/readyz", 0)
    assert (unwell.status, unwell.is_well) == (500, False)


def test_silence_and_nonsense_are_answers_too() -> None:
    with served(b"SSH-2.0-x\r\n") as server:
        look = SharedLook()
        assert "not HTTP" in look.get(health, f"http://127.0.0.1:{server.port}/", 0).problem
    assert look.get(health, "http://127.0.0.1:1/", 0) == Health(problem="127.0.0.1:1 refused the connection")


def test_who_is_not_answered_is_denied_and_who_has_a_certificate_is_answered(tmp_path: Path) -> None:
    certificate, key = client().write(tmp_path, "client")
    one = Identity(certificate=certificate, key=key)
    other = Identity(kubeconfig=kubeconfig(tmp_path, user={"client-certificate": certificate, "client-key": key}))
    with served(http(200, "ok"), tls=server_tls(tmp_path, clients=True)) as server:
        look, url = SharedLook(), f"https://127.0.0.1:{server.port}/"
        with pytest.raises(Denied):
            look.get(health, url, 0)
        assert look.get(health, url, 0, one).is_well
        assert look.get(health, url, 0, other).is_well
        with pytest.raises(Absent):
            look.get(health, url, 0, Identity(certificate=str(tmp_path / "none"), key=key))


def test_a_token_is_never_shown_to_a_server_that_is_not_checked(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, user={"token": b64(b"geheim")})
    with served(http(200, "ok"), tls=server_tls(tmp_path)) as server:
        with pytest.raises(Denied, match="client certificate"):
            SharedLook().get(health, f"https://127.0.0.1:{server.port}/", 0, Identity(kubeconfig=path))
        assert server.requests == []


def test_metrics_are_taken_by_their_whole_names() -> None:
    with served(http(200, PAGE)) as server:
        found = SharedLook().get(metrics, f"http://127.0.0.1:{server.port}/metrics", 0, ("a_total", "b_bucket"))
    assert found == (
        Sample(name="a_total", value=12, labels={"code": "200", "path": '/a b\\"{}'}),
        Sample(name="a_total", value=1500, labels={"code": "500"}),
    )


@pytest.mark.parametrize(("answer", "error"), [(401, Denied), (403, Denied), (404, Malformed), (500, Malformed)])
def test_metrics_that_are_not_told_are_a_fact_error(answer: int, error: type[Exception]) -> None:
    with served(http(answer, "no")) as server, pytest.raises(error):
        SharedLook().get(metrics, f"http://127.0.0.1:{server.port}/metrics", 0, ("a",))
    with pytest.raises(Silent):
        SharedLook().get(metrics, "http://127.0.0.1:1/metrics", 0, ("a",))


def test_a_metric_with_too_many_samples_or_no_number_is_malformed() -> None:
    with pytest.raises(Malformed, match="more than"):
        list(parse_samples("a 1\n" * 5000, ("a",)))
    with pytest.raises(Malformed, match="no number"):
        list(parse_samples("a one\n", ("a",)))


@given(st.text(max_size=300))
def test_any_page_is_samples_or_malformed(page: str) -> None:
    with contextlib.suppress(Malformed):
        assert all(one.name == "a" for one in parse_samples(f"{page}\na{page}\na{{{page}}} 1", ("a",)))


def test_a_metric_with_a_label_without_end_takes_no_time_to_speak_of() -> None:
    begin = time.thread_time()
    assert list(parse_samples(f"a{{{'b' * 500_000}}} 1", ("a",))) == [Sample(name="a", value=1.0)]
    assert time.thread_time() - begin < 2


def test_wildcards_are_reached_by_loopback() -> None:
    assert reachable_url("https", "0.0.0.0", 1) == "https://127.0.0.1:1"
    assert reachable_url("https", "::", 1) == "https://[::1]:1"
    assert reachable_url("http", "10.0.0.1", 80) == "http://10.0.0.1:80"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], ("0.0.0.0", 6443)),
        (["--secure-port=7", "--bind-address=::1"], ("::1", 7)),
        (["--secure-port=many"], ("0.0.0.0", 6443)),
        (["--secure-port=-1"], ("0.0.0.0", 6443)),
    ],
)
def test_where_a_component_serves_stands_in_its_flags(flags: list[str], expected: tuple[str, int]) -> None:
    assert secure_address(running("kube-apiserver", *flags), "0.0.0.0", 6443) == expected


def test_what_a_server_says_is_kept_without_secrets() -> None:
    with served(http(503, '{"health": "false", "reason": "no login: password=hunter2"}')) as server:
        told = SharedLook().get(health, f"http://127.0.0.1:{server.port}/health", 0)
    assert told.text == '{"health": "false", "reason": "no login: password=…"}'
