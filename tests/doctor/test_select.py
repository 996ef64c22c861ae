"""Which checks a word means, and what is said of a word that means none."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checks import passing

from kubedoctor.doctor.select import chosen, ignored, words
from kubedoctor.errors import ExitCode, UsageError

CHECKS = [
    passing("etcd.port-taken", tags=("ports",), aliases=("Port-2379", "Port-2380")),
    passing("etcd.unhealthy", tags=("health",)),
    passing("host.swap", tags=("memory",), aliases=("Swap",)),
    passing("host.disk-full", tags=("disk",)),
    passing("runtime.not-answering", aliases=("CRI",)),
]


def ids(*selectors: str) -> list[str]:
    return [check.id for check in chosen(CHECKS, selectors)]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("etcd.port-taken", ["etcd.port-taken"]),
        ("etcd", ["etcd.port-taken", "etcd.unhealthy"]),
        ("etcd.*", ["etcd.port-taken", "etcd.unhealthy"]),
        ("*-[ft]*", ["etcd.port-taken", "host.disk-full"]),
        ("tag:ports", ["etcd.port-taken"]),
        ("tag:*s*", ["etcd.port-taken", "host.disk-full"]),
        ("Swap", ["host.swap"]),
        ("swap", ["host.swap"]),
        ("port-2380", ["etcd.port-taken"]),
        ("cri", ["runtime.not-answering"]),
    ],
)
def test_a_selector_is_an_id_a_pattern_a_plugin_a_tag_or_kubeadms_name(selector: str, found: list[str]) -> None:
    assert ids(selector) == found


def test_without_selectors_all_are_meant_and_their_order_stays() -> None:
    assert ids() == [check.id for check in CHECKS]
    assert ids("host", "etcd.unhealthy", "host.swap") == ["etcd.unhealthy", "host.swap", "host.disk-full"]


@pytest.mark.parametrize(
    ("selector", "near"),
    [
        ("etcd.port-takn", "etcd.port-taken"),
        ("port-taken", "etcd.port-taken"),
        ("disk-ful", "host.disk-full"),
        ("hots", "host"),
        ("tag:portz", "tag:ports"),
        ("Port-2381", "Port-2380"),
    ],
)
def test_a_word_that_means_nothing_is_wrong_use_and_the_nearest_is_named(selector: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(CHECKS, [selector])
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.message == f"no check is called `{selector}`, nor is a plugin or tag"
    if near.casefold() != selector.casefold():
        assert caught.value.hint == f"did you mean `{near}`?"


def test_nothing_is_suggested_that_is_far_away() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(CHECKS, ["zzzzzzzz"])
    assert caught.value.hint == "kubedoctor explain lists all checks"


def test_what_kubeadm_would_ignore_is_taken_even_where_there_is_no_such_check() -> None:
    assert ignored(CHECKS, ["Swap", "NumCPU", "FileAvailable--etc-kubernetes-manifests-etcd.yaml"]) == {"host.swap"}
    assert ignored(CHECKS, ["all"]) == {check.id for check in CHECKS}
    with pytest.raises(UsageError, match=r"no check is called `host\.swpa`"):
        ignored(CHECKS, ["host.swpa"])


def test_words_are_separated_by_commas_as_for_kubeadm() -> None:
    assert words(["Swap,NumCPU", "etcd.* , ", ""]) == ["Swap", "NumCPU", "etcd.*"]


@given(st.lists(st.sampled_from([check.id for check in CHECKS] + ["etcd", "host", "tag:disk", "*"]), min_size=1))
def test_more_selectors_never_mean_less_and_the_order_is_that_of_the_checks(selectors: list[str]) -> None:
    all_ids = [check.id for check in CHECKS]
    found = ids(*selectors)
    assert found == [one for one in all_ids if one in found]
    assert set(found) == {one for selector in selectors for one in ids(selector)}


@given(st.text(alphabet="abcdst.-*?[]!:", max_size=12))
def test_any_word_means_checks_or_is_refused(selector: str) -> None:
    try:
        found = ids(selector)
    except UsageError:
        assert not any(fnmatchcase(check.id, selector) for check in CHECKS)
    else:
        assert found
