from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_server import http, json_answer, kubeconfig, served

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Denied, Malformed, Silent
from kubedoctor.host.leases import (
    ApiReply,
    Lease,
    api_addresses,
    api_items,
    api_time,
    http_date,
    lease,
    lease_renewal,
)
from kubedoctor.host.owner import ago

NAME = ("kube-system", "kube-scheduler")
HELD = {
    "kind": "Lease",
    "metadata": {"managedFields": [{"time": "2026-06-01T11:59:50Z"}, {"time": "2026-06-01T11:00:00Z"}, None]},
    "spec": {
        "holderIdentity": "host_1",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-06-01T11:00:00.500000Z",
        "renewTime": "2026-06-01T10:00:00.000000Z",
        "leaseTransitions": 3,
    },
}


def asked(tmp_path: Path, *answers: bytes) -> Any:
    with served(*answers) as server:
        return SharedLook().get(lease, kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}"), 0, 0, *NAME)


def test_a_lease_is_as_old_as_the_server_says_whatever_its_holders_clock_says(tmp_path: Path) -> None:
    view = asked(tmp_path, json_answer(200, HELD))
    assert view.reply == ApiReply(status=200)
    assert view.lease == Lease(
        holder="host_1", duration=15, acquired=api_time("2026-06-01T11:00:00Z") + 0.5, age=10, transitions=3
    )


def test_without_the_servers_times_the_holders_counts(tmp_path: Path) -> None:
    bare = {"spec": {**HELD["spec"], "renewTime": "2026-06-01T11:59:00Z"}}  # type: ignore[dict-item]
    assert asked(tmp_path, json_answer(200, bare)).lease.age == 60


def test_a_refusal_is_told_in_the_servers_words(tmp_path: Path) -> None:
    refused = asked(tmp_path, json_answer(403, {"kind": "Status", "message": "it is\x1b[31m forbidden"}))
    assert refused.reply == ApiReply(status=403, message="it is?[31m forbidden")
    assert refused.lease is None
    assert refused.reply.is_refusal
    assert asked(tmp_path, http(401, "Unauthorized")).reply == ApiReply(status=401)


def test_an_api_that_does_not_answer_is_a_reply_too(tmp_path: Path) -> None:
    view = SharedLook().get(lease, kubeconfig(tmp_path, "http://127.0.0.1:1"), 0, 0, *NAME)
    assert view.reply == ApiReply(message="127.0.0.1:1 refused the connection")


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"spec": None}, {"spec": {"leaseDurationSeconds": "x", "holderIdentity": 5, "renewTime": []}},
     {"spec": {"leaseDurationSeconds": 1e400}, "metadata": {"managedFields": {"time": 1}}}],
)  # fmt: skip
def test_a_lease_of_any_shape_is_read(tmp_path: Path, document: Any) -> None:
    view = asked(tmp_path, json_answer(200, document))
    assert view.lease.holder == ""
    assert (view.lease.duration, view.lease.age) == (0, 0)


def test_nonsense_instead_of_json_is_an_empty_lease(tmp_path: Path) -> None:
    for body in ("nonsense", "[" * 100_000, "\udcff".encode(errors="surrogateescape")):
        assert asked(tmp_path, http(200, body)).lease.holder == ""


# --- renewal ----------------------------------------------------------------------------------------------------------


def renewed(tmp_path: Path, *answers: bytes) -> bool:
    with served(*answers) as server:
        path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")
        found = SharedLook().get(lease_renewal, path, 0, 0, *NAME)
        assert "watch=true" in server.lines[1]
        assert "resourceVersion=7&" not in server.lines[0]
        assert server.lines[1].split()[1].endswith("resourceVersion=7")
    return found


def test_a_lease_that_is_written_while_it_is_watched_has_a_holder_who_lives(tmp_path: Path) -> None:
    listed = json_answer(200, {"metadata": {"resourceVersion": "7"}})
    assert renewed(tmp_path, listed, json_answer(200, {"type": "MODIFIED"}))
    assert not renewed(tmp_path, listed, http(200, ""))


def test_a_lease_that_may_not_be_watched_is_unknown(tmp_path: Path) -> None:
    listed = json_answer(200, {"metadata": {"resourceVersion": "7"}})
    for answers, error in (
        ((http(403),), Denied),
        ((listed, http(403)), Denied),
        ((http(500),), Silent),
    ):
        with served(*answers) as server:
            path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")
            with pytest.raises(error):
                SharedLook().get(lease_renewal, path, 0, 0, *NAME)
    with pytest.raises(Silent):
        SharedLook().get(lease_renewal, kubeconfig(tmp_path, "http://127.0.0.1:1"), 0, 0, *NAME)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_the_addresses_of_all_apiservers_are_told_once(tmp_path: Path) -> None:
    slices = [
        {"endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2", 5]}, {}]},
        {"endpoints": [{"addresses": ["10.0.0.1"]}]},
        {"endpoints": None},
        None,
    ]
    with served(json_answer(200, {"items": slices})) as server:
        path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")
        found = SharedLook().get(api_addresses, path, 0, 0)
    assert found.addresses == ("10.0.0.1", "10.0.0.2")


# --- times ------------------------------------------------------------------------------------------------------------


def test_times_are_read_and_nonsense_is_no_time() -> None:
    assert api_time("1970-01-01T00:01:00Z") == 60
    assert api_time("1970-01-01T00:01:00.25Z") == 60.25
    assert http_date("Thu, 01 Jan 1970 00:01:00 GMT") == 60
    for nonsense in ("", "1970-01-01", "Thu, 01 Foo 1970 00:01:00 GMT", "1970-01-01T00:01:00+01:00"):
        assert api_time(nonsense) == http_date(nonsense) == 0
    assert api_time(None) == api_time(5) == 0


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", fullmatch=True))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert isinstance(api_time(text), float | int)
    assert isinstance(http_date(text), float | int)


def test_lengths_of_time_are_told_in_one_unit() -> None:
    assert [ago(one) for one in (-5, 0, 59.9, 60, 3599, 7200, 90000)] == [
        "0 s", "0 s", "59 s", "1 min", "59 min", "2 h", "1 d",
    ]  # fmt: skip


def test_items_of_what_is_no_list_are_none() -> None:
    assert api_items({"items": [1]}) == [1]
    assert api_items(None) == api_items({"items": 5}) == []
    assert issubclass(Malformed, Exception)
