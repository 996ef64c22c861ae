"""What the plan says of image pulls."""

from __future__ import annotations

import pytest
from support.planning import component, plan

from kubedoctor.cluster.documents import Plan, Pulls

MIRROR = ("docker.io=http://127.0.0.1:5000", "quay.io=https://mirror.example")


def pulls(made: Plan) -> Pulls:
    assert made.pulls is not None
    return made.pulls


def test_proxies_of_the_caller_count_outside_and_their_passwords_stay_there() -> None:
    caller = {"https_proxy": "user:word@proxy:3128", "HTTP_PROXY": "http://[fd00::1]", "NO_PROXY": ".inside"}
    made = plan(environment=caller, node=True)
    assert (pulls(made).https_proxy, pulls(made).http_proxy) == ("http://user:word@proxy:3128", "http://[fd00::1]:80")
    assert pulls(made).no_proxy == ".inside"
    assert "word" not in str(component(made, "containerd").env)
    assert {"10.0.0.0/24", "127.0.0.0/8"} <= set(component(made, "containerd").env["NO_PROXY"].split(","))


@pytest.mark.parametrize("value", ["socks5://proxy:1", "https://proxy", "http://", "http://a:b:c", "http://x\ny"])
def test_proxy_that_is_not_understood_is_told(value: str) -> None:
    made = plan(environment={"HTTPS_PROXY": value}, node=True)
    assert pulls(made).https_proxy == ""
    assert any("HTTPS_PROXY is not used for image pulls" in note for note in made.notes)


def test_ports_of_the_hosts_loopback_are_those_of_mirrors() -> None:
    assert pulls(plan(node=True, registry_mirror=MIRROR)).loopback == (5000,)


def test_proxy_of_the_users_own_for_containerd_replaces_ours() -> None:
    own = {"HTTPS_PROXY": "http://mine:1", "HTTP_PROXY": "http://mine:1"}
    assert plan(node=True, env={"containerd": own}).pulls is None


def test_nothing_is_pulled_without_a_node() -> None:
    assert plan(node=False).pulls is None
