from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.binaries.versions import Version, Wish, fill, mentioned, suits
from kubedoctor.errors import UsageError

numbers = st.integers(0, 99_999)
words = st.from_regex(r"(0|[1-9][0-9]{0,3}|alpha|beta|rc)(\.(0|[1-9][0-9]{0,3})){0,2}", fullmatch=True)
versions = st.builds(Version, numbers, numbers, numbers, st.one_of(st.just(""), words))


@given(versions)
def test_what_is_written_is_read_back(version: Version) -> None:
    assert Version.parse(str(version)) == version
    assert Version.parse(str(version).removeprefix("v")) == version


@given(st.text(max_size=40))
def test_any_text_is_a_version_or_none(text: str) -> None:
    parsed = Version.parse(text)
    assert parsed is None or Version.parse(str(parsed)) == parsed


@given(st.lists(versions, max_size=6))
def test_order_is_total_and_stable(items: list[Version]) -> None:
    assert sorted(sorted(items, reverse=True)) == sorted(items)


@given(versions, versions)
def test_equal_versions_have_equal_hashes(one: Version, other: Version) -> None:
    assert (one == other) == (not one < other and not other < one)
    if one == other:
        assert hash(one) == hash(other)


def test_order_is_that_of_semver() -> None:
    texts = [
        "v1.38.0-alpha.1",
        "v1.38.0-alpha.2",
        "v1.38.0-alpha.10",
        "v1.38.0-beta.0",
        "v1.38.0-rc.0",
        "v1.38.0",
        "v1.38.1",
    ]
    parsed = [version for text in texts if (version := Version.parse(text))]
    shuffled = parsed[::-1]
    assert sorted(shuffled) == parsed
    assert len(parsed) == len(texts)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Kubernetes v1.37.2", "v1.37.2"),
        ("Kubernetes v1.38.0-alpha.1.50+0123456789abcd-dirty", "v1.38.0-alpha.1.50+0123456789abcd-dirty"),
        ("etcd Version: 3.7.3\nGit SHA: Not provided\nGo Version: go1.26.8", "v3.7.3"),
        ("Client Version: v1.37.2\nKustomize Version: v5.8.1", "v1.37.2"),
        ("containerd github.com/containerd/containerd/v2 v2.4.2 abc", "v2.4.2"),
        ("CNI bridge plugin v1.9.1", "v1.9.1"),
        ("runc version 1.5.2\nspec: 1.3.0", "v1.5.2"),
        ("CoreDNS-1.15.0", "v1.15.0"),
        ("usage: frobnicate", ""),
    ],
)
def test_version_is_found_in_what_binaries_tell(text: str, told: str) -> None:
    assert mentioned(text) == told


@pytest.mark.parametrize("text", ["1.x", "v", "newest", "1.37.2.1", "-1.37", "1..2", "v1.37.2 ; rm", "1.37.٣"])
def test_wish_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a Kubernetes version"):
        Wish.parse(text)


@given(versions, versions)
def test_exact_wish_is_met_by_that_version_only(wished: Version, other: Version) -> None:
    assert Wish.parse(str(wished)).met_by(wished)
    assert Wish.parse(str(wished)).met_by(other) == (wished == other)


@given(versions)
def test_minor_wish_is_met_by_every_patch_of_it(version: Version) -> None:
    wish = Wish.parse(f"{version.major}.{version.minor}")
    assert wish.met_by(version)
    assert not wish.met_by(Version(version.major, version.minor + 1))


def test_local_changes_do_not_make_another_version() -> None:
    dirty = Version.parse("v1.37.2-dirty")
    assert dirty
    assert Wish.parse("1.37.2").met_by(dirty)


def test_nothing_known_meets_latest_and_everything_meets_no_wish() -> None:
    assert not Wish.parse("latest").met_by(Version(1, 37, 2))
    assert Wish.parse("").met_by(Version(1, 37, 2))


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        ("1.34-1.36", ["1.34.0", "1.36.9"], ["1.33.9", "1.37.0"]),
        ("1.37-", ["1.37.0", "1.40.0"], ["1.36.9"]),
        ("-1.33", ["1.33.9", "1.20.0"], ["1.34.0"]),
        ("1.35", ["1.35.0", "1.35.7"], ["1.34.0", "1.36.0"]),
        ("", ["1.1.0", "2.0.0"], []),
    ],
)
def test_recipe_suits_the_versions_in_its_limits(limits: str, inside: list[str], outside: list[str]) -> None:
    assert all(suits(Version.parse(text), limits) for text in inside)
    assert not any(suits(Version.parse(text), limits) for text in outside)


@pytest.mark.parametrize("limits", ["-", "new", "1.34-x", "1.34,1.35"])
def test_limits_that_are_none_are_refused(limits: str) -> None:
    with pytest.raises(ValueError, match="no range"):
        suits(Version(1, 34), limits)


def test_version_is_filled_into_what_a_recipe_says() -> None:
    assert fill("{version}/x-{number}-{major}.{minor}.tar.gz", "v2.4.2") == "v2.4.2/x-2.4.2-2.4.tar.gz"
    assert fill("{other} {version}", "release-12") == "{other} release-12"


@given(st.text(max_size=40), st.text(max_size=20))
def test_anything_can_be_filled(template: str, version: str) -> None:
    assert fill(f"{template.replace('{', '')}{{version}}", version).endswith(version)
