from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.configuration import wishes
from kubedoctor.errors import ConfigError

COMPONENTS = st.from_regex(wishes.COMPONENT, fullmatch=True)
FLAGS = st.from_regex(wishes.FLAG, fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None)
@given(COMPONENTS, FLAGS, VALUES)
def test_a_flag_comes_back_whatever_its_value(component: str, flag: str, value: str) -> None:
    assert wishes.parse_set(f"{component}.{flag}={value}") == (component, flag, value)


@settings(deadline=None)
@given(COMPONENTS, FLAGS)
def test_a_flag_without_value_is_bare_and_one_with_a_dash_removed(component: str, flag: str) -> None:
    assert wishes.parse_set(f"{component}.{flag}") == (component, flag, True)
    assert wishes.parse_set(f"{component}.{flag}-") == (component, flag, None)
    assert wishes.parse_set(f"{component}.--{flag}=1") == (component, flag, "1")


@settings(deadline=None)
@given(COMPONENTS, st.from_regex(wishes.VARIABLE, fullmatch=True), VALUES)
def test_a_variable_comes_back_whatever_its_value(component: str, variable: str, value: str) -> None:
    assert wishes.parse_env(f"{component}.{variable}={value}") == (component, variable, value)


@settings(deadline=None)
@given(COMPONENTS, st.integers(0, 999))
def test_a_level_comes_back(component: str, level: int) -> None:
    assert wishes.parse_level(f"{component}={level}") == (component, level)
    assert wishes.parse_level(str(level)) == ("", level)


@settings(deadline=None)
@given(COMPONENTS, st.from_regex(wishes.VMODULE, fullmatch=True))
def test_a_pattern_comes_back(component: str, pattern: str) -> None:
    assert wishes.parse_vmodule(f"{component}={pattern}") == (component, pattern)


@settings(deadline=None)
@given(COMPONENTS)
def test_json_logs_are_wanted_or_taken_back(component: str) -> None:
    assert wishes.parse_json_logs(component) == (component, True)
    assert wishes.parse_json_logs(f"{component}-") == (component, False)


PORTS = st.integers(1, 65535)
ADDRESSES = st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address))


@settings(deadline=None)
@given(ADDRESSES, PORTS, PORTS)
def test_a_publication_comes_back(address: str, outside: int, inside: int) -> None:
    bare = address.strip("[]")
    assert wishes.parse_publish(f"{address}:{outside}:{inside}") == (bare, outside, inside)
    assert wishes.parse_publish(f"{address}:{inside}") == (bare, 0, inside)
    assert wishes.parse_publish(f"{outside}:{inside}") == ("127.0.0.1", outside, inside)
    assert wishes.parse_publish(str(inside)) == ("127.0.0.1", 0, inside)


@settings(deadline=None)
@given(st.sampled_from(["", "webhook", "a.b.c", "hooks.default.svc"]), PORTS)
def test_a_reach_comes_back(name: str, port: int) -> None:
    assert wishes.parse_reach(f"{name}={port}" if name else str(port)) == (name, port)


@settings(deadline=None)
@given(COMPONENTS, st.sampled_from(["127.0.0.1", "127.0.0.1:2379", "https://etcd.example:2379", "[::1]:2379"]))
def test_an_external_component_comes_back(component: str, address: str) -> None:
    assert wishes.parse_external(component) == (component, "")
    assert wishes.parse_external(f"{component}={address}") == (component, address)


ANYTHING = st.text(max_size=30) | st.from_regex(r"[a-z.=:,\[\]0-9-]{0,12}", fullmatch=True)


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            wishes.parse_set,
            wishes.parse_env,
            wishes.parse_level,
            wishes.parse_vmodule,
            wishes.parse_json_logs,
            wishes.parse_port,
            wishes.parse_gate,
            wishes.parse_publish,
            wishes.parse_reach,
            wishes.parse_external,
            lambda text: wishes.parse_binary(text, Path("/base")),
            lambda text: wishes.parse_authority(text, Path("/base")),
        ]
    ),
    ANYTHING,
)
def test_whatever_is_typed_is_read_or_refused_in_one_line(parse: object, text: str) -> None:
    assert callable(parse)
    message = "read"
    try:
        parse(text)
    except ConfigError as problem:
        message = problem.message
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (wishes.parse_set, "v=4", "expected C.flag=value, found `v=4`"),
        (wishes.parse_set, "etcd.=4", "expected C.flag=value, found `etcd.=4`"),
        (wishes.parse_set, "Etcd.v=4", "`Etcd` cannot be the name of a component"),
        (wishes.parse_set, "etcd.v =4", "`v ` cannot be the name of a flag"),
        (wishes.parse_env, "etcd.A", "expected C.K=V, found `etcd.A`"),
        (wishes.parse_level, "etcd=high", "expected a whole number, found `high`"),
        (wishes.parse_level, "etcd=-1", "expected 0 or more, found -1"),
        (wishes.parse_vmodule, "deployment=5", "expected C=PATTERN=n,…, found `deployment=5`"),
        (wishes.parse_port, "etcd", "expected C=PORT or C.NAME=PORT, found `etcd`"),
        (wishes.parse_port, "etcd=70000", "expected a port from 1 to 65535, found 70000"),
        (wishes.parse_gate, "A", "expected NAME=true or NAME=false, found `A`"),
        (wishes.parse_gate, "A=maybe", "A: expected true or false, found `maybe`"),
        (wishes.parse_publish, "localhost:1:2", "expected [ADDRESS:][OUTSIDE:]INSIDE, found `localhost:1:2`"),
        (wishes.parse_publish, "1.2.3:1:2", "expected an IP address, found `1.2.3`"),
        (wishes.parse_publish, "http", "expected a port, found `http`"),
        (wishes.parse_reach, "-x=1", "expected a host name or an IP address, found `-x`"),
        (wishes.parse_external, "etcd=", "expected C or C=ADDRESS, found `etcd=`"),
    ],
)
def test_what_is_refused_is_said_with_what_was_expected(parse: object, text: str, message: str) -> None:
    assert callable(parse)
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.message == message


def test_files_of_an_authority_are_two_and_absolute() -> None:
    assert wishes.parse_authority("etcd=a.crt, /k/a.key", Path("/base")) == ("etcd", "/base/a.crt,/k/a.key")
    for text in ("etcd=a.crt", "etcd=a,b,c", "kubelet=a,b", "etcd"):
        with pytest.raises(ConfigError):
            wishes.parse_authority(text, Path("/base"))
