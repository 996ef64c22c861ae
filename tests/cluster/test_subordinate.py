"""Subordinate ids: who has which, and what is said to those who have none."""

from __future__ import annotations

import pwd
import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster import subordinate
from kubedoctor.cluster.subordinate import first_free, ranges, refusal

ANNS = "ann:100000:65536\n"
BOTH = "uids and gids in /etc/subuid and /etc/subgid: "


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The texts of /etc/subuid and /etc/subgid of a machine where Ann has all she needs."""
    texts = {"uid": ANNS, "gid": ANNS}
    monkeypatch.setattr(subordinate, "_given", lambda kind: texts[kind])
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann"))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return texts


def test_who_has_ids_and_programs_may_have_a_node(files: dict[str, str]) -> None:
    assert refusal() == ""
    files["uid"] = "bob:1:65536\nann:5:10\n\u00b2:\u00b2:\u00b2\nann:500000:70000\n"
    assert refusal() == ""


@pytest.mark.parametrize(
    ("uids", "gids", "said"),
    [
        ("", ANNS, "uids in /etc/subuid: usermod --add-subuids 165536-231071 ann"),
        (ANNS, "ann:100000:1000\n", "gids in /etc/subgid: usermod --add-subgids 165536-231071 ann"),
        ("", "", f"{BOTH}usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann"),
        ("bob:100000:65536\n", "", f"{BOTH}usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann"),
    ],
)
def test_what_lacks_is_told_with_a_grant_of_ids_that_nobody_has(
    files: dict[str, str], uids: str, gids: str, said: str
) -> None:
    files.update(uid=uids, gid=gids)
    assert refusal() == f"no 65536 subordinate {said}"


def test_programs_that_lack_are_told_with_their_package(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "newgidmap" else f"/usr/bin/{name}")
    assert refusal() == "newgidmap missing (package uidmap or shadow-utils)"


def test_user_without_a_name_cannot_be_given_any(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr("os.geteuid", lambda: 4321)
    assert refusal() == "uid 4321 has no name in /etc/passwd, which newuidmap asks for"


LINES = st.lists(st.tuples(st.text(max_size=3), st.integers(), st.integers()))


@given(st.text() | LINES.map(lambda lines: "\n".join(":".join(map(str, line)) for line in lines)))
def test_ids_that_are_granted_are_free_whatever_stands_in_the_file(text: str) -> None:
    first = first_free(text)
    assert first >= 100_000
    assert all(given.start + given.count <= first for _, given in ranges(text))
