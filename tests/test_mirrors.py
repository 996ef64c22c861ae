from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.errors import ConfigError
from kubedoctor.mirrors import Mirror, parse_mirror


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("docker.io=https://mirror.example", Mirror(registry="docker.io", url="https://mirror.example")),
        ("docker.io=http://127.0.0.1:5000", Mirror(registry="docker.io", url="http://localhost.:5000", loopback=5000)),
        ("*=http://localhost:5000/", Mirror(registry="*", url="http://localhost.:5000", loopback=5000)),
        ("localhost:5000=https://localhost:5000", Mirror(registry="localhost:5000", url="https://localhost.:5000", loopback=5000)),  # noqa: E501 - a table
        ("docker.io=http://[::1]:5000", Mirror(registry="docker.io", url="http://localhost.:5000", loopback=5000)),
        ("docker.io=http://localhost", Mirror(registry="docker.io", url="http://localhost.:80", loopback=80)),
        ("quay.io=https://10.1.2.3:5000", Mirror(registry="quay.io", url="https://10.1.2.3:5000")),
        (
            "docker.io=https://harbor.example/v2/hub",
            Mirror(registry="docker.io", url="https://harbor.example/v2/hub", path=True),
        ),
    ],
)  # fmt: skip
def test_mirror_is_named_as_a_sandbox_has_to_name_it(text: str, mirror: Mirror) -> None:
    assert parse_mirror(text) == mirror


@pytest.mark.parametrize(
    "text",
    [
        "docker.io", "=http://a", "docker.io=", "docker.io=ftp://a", "docker.io=http://", "a/b=http://c", "a=http://u:p@b",
        "a=http://b:99999", "a=http://b:x", "a=http://b/?q", "a=http://b c", "a\nb=http://c", "a=http://b#c", "../x=http://b",
        "a=http://127.0.0.2:5000",
    ],
)  # fmt: skip
def test_what_names_no_mirror_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_mirror(text)
    assert raised.value.hint
    assert "\n" not in raised.value.message


@given(st.one_of(st.text(), st.builds("{}=http://{}".format, st.text(), st.text())))
def test_no_text_makes_it_fail_otherwise_or_write_what_breaks_a_file(text: str) -> None:
    with contextlib.suppress(ConfigError):
        mirror = parse_mirror(text)
        assert mirror.registry.isascii()
        assert "/" not in mirror.registry
        assert mirror.registry not in (".", "..")
        assert not set(mirror.url) & set('"\\\n ')
