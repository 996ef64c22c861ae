"""Command lines of a sandbox as they read outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cli.outside import as_seen_outside
from kubedoctor.cluster.documents import PlannedPort

HTTPS = PlannedPort(name="https", inside=6443, outside=16443, outside_address="127.0.0.1")
CLIENT, PEER = PlannedPort(name="client", inside=2379), PlannedPort(name="peer", inside=2380)


@pytest.mark.parametrize(
    ("word", "ports", "outside"),
    [
        ("--secure-port=6443", [HTTPS], "--secure-port=16443"),
        ("--bind-address=0.0.0.0", [HTTPS], "--bind-address=127.0.0.1"),
        ("--secure-port=10257", [PlannedPort(name="https", inside=10257)], "--secure-port=0"),
        ("--listen-client-urls=https://127.0.0.1:2379", [CLIENT], "--listen-client-urls=https://127.0.0.1:0"),
        (
            "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:7",
            [CLIENT],
            "--listen-client-urls=https://127.0.0.1:0,https://10.0.0.1:7",
        ),
        (
            "--listen-client-urls=https://0.0.0.0:2379",
            [PlannedPort(name="client", inside=2379, outside=5, outside_address="::1")],
            "--listen-client-urls=https://[::1]:5",
        ),
        ("--listen=:2380", [PEER], "--listen=:0"),
        ("--listen=[::1]:2380", [PEER], "--listen=[::1]:0"),
        ("--initial-cluster=local=http://127.0.0.1:2380", [PEER], "--initial-cluster=local=http://127.0.0.1:2380"),
        ("--etcd-servers=https://127.0.0.1:2379", [HTTPS], "--etcd-servers=https://127.0.0.1:2379"),
        ("--kubelet-port=10250", [HTTPS], "--kubelet-port=10250"),
        ("--v=6443", [HTTPS], "--v=6443"),
        ("--listen-x=https://[::1", [HTTPS], "--listen-x=https://[::1"),
        ("server", [HTTPS], "server"),
    ],
)
def test_only_what_is_published_is_bound_outside(word: str, ports: list[PlannedPort], outside: str) -> None:
    assert as_seen_outside(["x", word], ports) == ("x", outside)


@given(
    st.lists(st.text()), st.lists(st.builds(PlannedPort, name=st.just("p"), inside=st.integers(1, 65535)), max_size=3)
)
def test_every_word_has_one_outside(argv: list[str], ports: list[PlannedPort]) -> None:
    assert len(as_seen_outside(argv, ports)) == len(argv)
