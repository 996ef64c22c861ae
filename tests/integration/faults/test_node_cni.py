"""What is found when the network configuration of a node is wrong: with a real containerd, which says what it loads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.faults import examined
from support.nodes import CHECKS, Node, a_node, added, away, changed, without

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path]) -> Iterator[Node]:
    with a_node(tmp_path_factory.mktemp("cni"), node_binaries) as found:
        yield found


@pytest.fixture
def node(shared: Node) -> Iterator[Node]:
    yield shared
    assert shared.says("True"), "the test has left its fault behind"


def test_nothing_is_found_on_a_healthy_node(node: Node) -> None:
    seen = examined(node.cli, *CHECKS)
    assert seen.findings() == []
    assert seen.blind() == {}
    for check in ("cni.no-config", "cni.config-broken", "cni.plugin-missing"):
        assert seen.outcome(check, "local") == "passed"


def test_an_empty_directory_is_told_as_the_cause(node: Node) -> None:
    with without(node.network):
        assert node.says("not initialized")
        seen = examined(node.cli, *CHECKS, fixture="cni.no-config")
    assert seen.failed() == {"cni.no-config"}
    assert "there is no network configuration in /etc/cni/net.d, where containerd" in seen.message("cni.no-config")
    assert seen.outcome("cni.plugin-missing", "local") == "skipped"


def test_a_broken_file_before_a_good_one_keeps_both_from_being_loaded(node: Node) -> None:
    with added(node.networks / "05-old.conflist", '{"cniVersion": "1.0.0", "name": "old", "plugins": ['):
        assert node.says("not initialized")
        seen = examined(node.cli, *CHECKS, fixture="cni.config-broken")
    assert seen.failed() == {"cni.config-broken"}
    message = seen.message("cni.config-broken")
    assert message.startswith("/etc/cni/net.d/05-old.conflist is not JSON: it ends too early, at line 1")
    assert "loads no network at all, and does not look at 10-kubedoctor.conflist" in message
    (finding,) = seen.findings("cni.config-broken")
    assert finding["fixes"][0]["steps"][0]["argv"][0] == "mv"


def test_a_broken_file_behind_the_good_one_does_no_harm(node: Node) -> None:
    with added(node.networks / "99-old.conflist", "{"):
        assert examined(node.cli, *CHECKS).findings() == []
        assert node.network_condition().startswith("True")


def test_a_list_in_a_file_for_one_plugin_is_told(node: Node) -> None:
    with added(node.networks / "05-net.conf", node.network.read_text()):
        assert node.says("not initialized")
        seen = examined(node.cli, *CHECKS)
    assert "05-net.conf holds a list of plugins" in seen.message("cni.config-broken")
    (finding,) = seen.findings("cni.config-broken")
    assert [fix["summary"] for fix in finding["fixes"]][1] == "name it 05-net.conflist"


def test_a_good_file_that_containerd_has_not_noticed_is_told(node: Node) -> None:
    """It looks when a file is written, and not when one is moved there."""
    with away(node.network):
        assert node.says("not initialized")
    assert node.network_condition().startswith("False")
    seen = examined(node.cli, *CHECKS)
    node.restarted("containerd")
    assert seen.failed() == {"cni.config-broken"}
    message = seen.message("cni.config-broken")
    assert "has not loaded 10-kubedoctor.conflist, in which nothing is wrong" in message


def test_a_version_that_no_plugin_knows_is_told(node: Node) -> None:
    with changed(node.network, ('"1.0.0"', '"1.9.0"')):
        assert node.says("does not allow STATUS")
        seen = examined(node.cli, *CHECKS)
    assert seen.failed() == {"cni.config-broken"}
    assert "is of version 1.9.0 of the CNI, which no plugin knows" in seen.message("cni.config-broken")


def test_a_plugin_that_is_gone_is_found_though_the_runtime_is_content(node: Node) -> None:
    with away(node.plugins / "ptp"):
        assert node.network_condition().startswith("True")
        seen = examined(node.cli, *CHECKS, fixture="cni.plugin-missing")
    assert seen.failed() == {"cni.plugin-missing"}
    message = seen.message("cni.plugin-missing")
    assert message.startswith("the network plugin ptp, which /etc/cni/net.d/10-kubedoctor.conflist needs, is not in")
    assert message.endswith("no pod starts, though the node is Ready")


def test_a_plugin_that_cannot_be_run_is_as_good_as_none(node: Node) -> None:
    with away(node.plugins / "host-local"), added(node.plugins / "host-local", ""):
        (node.plugins / "host-local").chmod(0o755)
        seen = examined(node.cli, *CHECKS)
    assert "the network plugin host-local" in seen.message("cni.plugin-missing")
    assert "at /opt/cni/bin/host-local is empty" in seen.message("cni.plugin-missing")


def test_what_an_addon_left_behind_wins_by_its_name(node: Node) -> None:
    leftover = {"cniVersion": "1.0.0", "name": "k8s-pod-network", "plugins": [{"type": "calico"}]}
    with added(node.networks / "00-calico.conflist", json.dumps(leftover)):
        assert node.says("True")
        seen = examined(node.cli, *CHECKS)
    (finding,) = seen.findings("cni.plugin-missing")
    assert "the network plugin calico, which /etc/cni/net.d/00-calico.conflist needs" in finding["message"]
    assert "10-kubedoctor.conflist is used then" in finding["fixes"][0]["summary"]


def test_a_directory_named_in_a_table_that_does_not_count_is_told(node: Node) -> None:
    """A file of version 4 with the tables of version 2: containerd passes over them in silence."""
    changes = (("version = 2", "version = 4"), ('conf_dir = "/etc/cni/net.d"', 'conf_dir = "/etc/cni/cluster.d"'))
    with changed(node.containerd, *changes), without(node.network):
        node.restarted("containerd")
        seen = examined(node.cli, "cni.*")
    node.restarted("containerd")
    assert "sets /etc/cni/cluster.d for networks in a table that version 4" in seen.message("cni.no-config")
