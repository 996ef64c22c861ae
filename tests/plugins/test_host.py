from __future__ import annotations

import kubedoctor_host
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubedoctor_host.wording import listed, size


def test_its_checks_and_facts_carry_its_name() -> None:
    checks = list(kubedoctor_host.kubedoctor_checks())
    assert [one.id for one in checks] == ["host.cgroup-controllers-missing", "host.disk-full", "host.swap"]
    assert all(one.name.startswith("host.") for one in kubedoctor_host.kubedoctor_facts())
    assert {alias for one in checks for alias in one.aliases} == {"SystemVerification", "Swap"}


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (61 << 20, "61 MiB"), (64_400_000, "61.4 MiB"), (1 << 40, "1 TiB")],
)
def test_sizes_are_said_as_people_say_them(count: int, words: str) -> None:
    assert size(count) == words


@given(st.integers(0, 1 << 63))
def test_sizes_are_said_in_few_words(count: int) -> None:
    assert len(size(count)) <= 9


def test_lists_are_said_as_people_say_them() -> None:
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("a", "a and b", "a, b and c")
