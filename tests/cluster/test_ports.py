from __future__ import annotations

import os
import socket

import pytest

from kubedoctor.cluster import ports
from kubedoctor.cluster.planning.ports import PortWish
from kubedoctor.errors import ConfigError


def wish(outside: int, *, exact: bool = False, key: str = "kube-apiserver.https") -> PortWish:
    return PortWish(key=key, address="127.0.0.1", outside=outside, exact=exact)


def opened(wished: PortWish, **options: object) -> tuple[int, list[str]]:
    defaults: dict[str, object] = {"default_cluster": False, "kept": {}, "avoid": frozenset()}
    openings, notes = ports.open_all([wished], **{**defaults, **options})  # type: ignore[arg-type]
    for opening in openings:
        opening.listener.close()
    return openings[0].outside, notes


@pytest.fixture
def taken() -> int:
    return ports.free_port("127.0.0.1")


def test_default_cluster_has_the_usual_port(taken: int) -> None:
    assert opened(wish(taken), default_cluster=True) == (taken, [])


def test_taken_usual_port_is_told_with_its_owner(taken: int) -> None:
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(ports.PortTaken) as told:
        opened(wish(taken), default_cluster=True)
    assert f"port {taken} is taken by" in told.value.message
    assert f"pid {os.getpid()}" in told.value.message
    assert "nothing was started" in told.value.message
    assert "kubedoctor up --port kube-apiserver.https=" in told.value.hint


def test_other_cluster_gets_a_free_port_that_no_other_keeps() -> None:
    first, _ = opened(wish(6443))
    second, _ = opened(wish(6443), avoid=frozenset({first}))
    assert ports.FREE_FROM <= first < second < ports.FREE_TO


def test_port_of_the_last_time_is_kept(taken: int) -> None:
    assert opened(wish(6443), kept={"kube-apiserver.https": taken}) == (taken, [])


def test_kept_port_that_is_taken_is_replaced_and_said(taken: int) -> None:
    with socket.create_server(("127.0.0.1", taken)):
        chosen, notes = opened(wish(6443), kept={"kube-apiserver.https": taken})
    assert chosen != taken
    assert notes[0].startswith(f"port {taken} of kube-apiserver.https is taken by `")


def test_named_port_must_be_had(taken: int) -> None:
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(ports.PortTaken):
        opened(wish(taken, exact=True))


def test_nothing_stays_bound_when_one_is_taken(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wishes = [wish(taken, exact=True, key="a.x"), wish(other.getsockname()[1], exact=True, key="b.x")]
        with pytest.raises(ports.PortTaken):
            ports.open_all(wishes, default_cluster=False, kept={}, avoid=frozenset())
    ports.bind("127.0.0.1", taken).close()


def test_address_of_another_machine_is_refused() -> None:
    strange = PortWish(key="kube-apiserver.https", address="192.0.2.1", outside=6443, exact=True)
    with pytest.raises(ConfigError, match="is no address of this machine"):
        opened(strange)


def test_ports_of_a_host_place_have_to_be_free(taken: int) -> None:
    ports.require_free([wish(taken, exact=True)])
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(ports.PortTaken):
        ports.require_free([wish(taken, exact=True)])
