"""What an ordinary user is told who may not have a node, or not all of one; the node itself is tested with root's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.guarded import refusal
from support.owners import AS_USERS, Grounds, grounds

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800), *AS_USERS]


@pytest.fixture(scope="module")
def found(node_binaries: dict[str, Path]) -> Iterator[Grounds]:
    with grounds(node_binaries) as found:
        yield found


def test_without_subordinate_ids_the_control_plane_runs_and_the_grant_is_told(found: Grounds) -> None:
    with found.command(ids="somebody:100000:65536\n") as cli:
        up = cli.ok("up", "--node")
        assert (
            "note: no node for this user (no 65536 subordinate uids and gids in /etc/subuid and /etc/subgid: "
            "usermod --add-subuids 165536-231071 --add-subgids 165536-231071 nobody): "
            "the control plane runs without one\n"
        ) in up.err
        assert "kubelet" not in up.err
        assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"


@pytest.mark.parametrize("option", ["--uplink", "--attach"])
def test_way_that_needs_root_is_refused(found: Grounds, option: str) -> None:
    with found.command() as cli:
        said = refusal(cli("up", "--node", option), status=2)
        assert f"error: {option} needs root: it makes a link in the host's network" in said
        assert "images are pulled, --publish and --reach work without it" in said
