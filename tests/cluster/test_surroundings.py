from __future__ import annotations

from kubedoctor.cluster.surroundings import variables


def test_without_a_proxy_only_the_kubeconfig_is_set() -> None:
    assert variables("/k", "https://127.0.0.1:6443", {"NO_PROXY": "x"}) == {"KUBECONFIG": "/k"}


def test_with_a_proxy_the_address_goes_around_it() -> None:
    found = variables("/k", "https://[fd00::1]:6443", {"https_proxy": "http://p", "no_proxy": "a, b"})
    assert found["NO_PROXY"] == found["no_proxy"] == "a,b,fd00::1"


def test_what_goes_around_the_proxy_already_is_left() -> None:
    assert variables("/k", "", {"HTTPS_PROXY": "p", "NO_PROXY": "127.0.0.1"}) == {"KUBECONFIG": "/k"}
    assert variables("/k", "", {"HTTPS_PROXY": "p", "NO_PROXY": "*"}) == {"KUBECONFIG": "/k"}
