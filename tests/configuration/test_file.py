# ruff: noqa: E501 - a message stands on one line, as it is shown
from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubedoctor.configuration.file import LIMIT, find_file, read_file
from kubedoctor.configuration.layers import load
from kubedoctor.configuration.tables import file_layer
from kubedoctor.errors import ConfigError, ExitCode


def refusal(tmp_path: Path, content: bytes) -> ConfigError:
    (tmp_path / "kubedoctor.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load({}, env={}, cwd=tmp_path)
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.message.isprintable()
    return caught.value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("api-port = 1\napi-port = 2\n", "kubedoctor.toml is not TOML: Cannot overwrite a value (at line 2, column 13)"),
        ("\n\napi-port 1\n", "kubedoctor.toml is not TOML: Expected '=' after a key in a key/value pair (at line 3, column 10)"),
        ("api-port = '1'", "kubedoctor.toml: api-port: expected a whole number, without quotes, found `1`"),
        ("api-port = true", "kubedoctor.toml: api-port: expected a whole number, without quotes, found true"),
        ("api-port = 70000", "kubedoctor.toml: api-port: expected a port from 1 to 65535, found 70000"),
        ("kubernetes = 1.36", "kubedoctor.toml: kubernetes: expected a text in quotes, found 1.36"),
        ("node = 'no'", "kubedoctor.toml: node: expected true or false, without quotes, found `no`"),
        ("timeout = '1'", "kubedoctor.toml: timeout: expected a number, found `1`"),
        ("only = 'etcd'", "kubedoctor.toml: only: expected a list of texts, found `etcd`"),
        ("only = [1]", "kubedoctor.toml: only: expected a text in quotes, found 1"),
        ("bin-dir = 1979-05-27", "kubedoctor.toml: bin-dir: expected a text in quotes, found 1979-05-27"),
        ('bin-dir = "a\\u0000b"', "kubedoctor.toml: bin-dir: holds a NUL character"),
        ("component = 1", "kubedoctor.toml: component: expected a table, found 1"),
        ("component.etcd = []", "kubedoctor.toml: component.etcd: expected a table, found a list"),
        ("component.Etcd.v = 1", "kubedoctor.toml: component: `Etcd` cannot be the name of a component"),
        ("component.etcd.v = -1", "kubedoctor.toml: component.etcd.v: expected 0 or more, found -1"),
        ("component.etcd.flags.a = {}", "kubedoctor.toml: component.etcd.flags: expected a text in quotes, found a table"),
        ("component.etcd.env.a = 1", "kubedoctor.toml: component.etcd.env: expected a text in quotes, found 1"),
        ("component.etcd.vmodule = 'a'", "kubedoctor.toml: component.etcd.vmodule: expected PATTERN=n,…, found `a`"),
        ("component.etcd.ports.Peer = 1", "kubedoctor.toml: component.etcd.ports: `Peer` cannot be the name of a port"),
        ("feature-gates.A = 1", "kubedoctor.toml: feature-gates.A: expected true or false, without quotes, found 1"),
        ("authority.kubelet = 'a,b'", "kubedoctor.toml: authority: expected one of server, client, request-header, etcd, found `kubelet`"),
        ("authority.etcd = 'a'", "kubedoctor.toml: authority.etcd: expected CERT,KEY, found `a`"),
        ("cluster.a.name = 'b'", "kubedoctor.toml: unknown key `cluster.a.name`"),
        ("cluster.a.api-port = 0", "kubedoctor.toml: cluster.a.api-port: expected a port from 1 to 65535, found 0"),
        ("key-type = 'dsa'", "file kubedoctor.toml: key-type: expected one of ecdsa, rsa, found `dsa`"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said_with_file_and_key(tmp_path: Path, content: str, message: str) -> None:
    found = refusal(tmp_path, content.encode()).message
    if "not TOML" in message:  # the words behind are Python's
        assert found.startswith("kubedoctor.toml is not TOML: ")
        assert message.rpartition("(at ")[2] in found
    else:
        assert found == message


@pytest.mark.parametrize(
    ("content", "key", "hint"),
    [
        ("api_port = 1", "api-port", "did you mean `api-port`?"),
        ("apiport = 1", "apiport", "did you mean `api-port`?"),
        ("featuregates.A = true", "featuregates", "did you mean `feature-gates`?"),
        ("component.etcd.flag.a = 1", "component.etcd.flag", "did you mean `flags`?"),
        ("cluster.a.api-prot = 1", "cluster.a.api-prot", "did you mean `api-port`?"),
        ("v = 4", "v", "it belongs to a component: [component.NAME]"),
        ("json-logs = ['etcd']", "json-logs", "it belongs to a component: [component.NAME]"),
        ("zzzzz = 4", "zzzzz", "`kubedoctor config --all` lists what can be set"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_meant(tmp_path: Path, content: str, key: str, hint: str) -> None:
    problem = refusal(tmp_path, content.encode())
    assert problem.message == f"kubedoctor.toml: unknown key `{key if '_' not in content else content.split()[0]}`"
    assert problem.hint == hint


def test_files_that_are_no_configuration_are_refused_in_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"a = 1\n\xff\xfe").message == "kubedoctor.toml is not text in UTF-8 (line 2)"
    assert refusal(tmp_path, b"\x7fELF\x00\x00").message.startswith("kubedoctor.toml is not TOML: ")
    assert (
        refusal(tmp_path, b"#" * (LIMIT + 1)).message
        == "kubedoctor.toml is larger than 1 MiB: not a configuration file"
    )
    assert refusal(tmp_path, b"a = " + b"[" * 100_000).message.startswith("kubedoctor.toml is not TOML: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_whatever_stands_in_a_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    with contextlib.suppress(ConfigError):  # anything else is a defect
        load({"config": "c.toml"}, env={}, cwd=tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TOP = st.sampled_from(
    ["component", "feature-gates", "binary", "authority", "plugin", "cluster", "api-port", "only", "node"]
)


@settings(deadline=None)
@given(st.dictionaries(TOP, JSON | st.dictionaries(st.sampled_from(["etcd", "server", "a"]), JSON), max_size=3))
def test_whatever_the_tables_hold_is_read_or_refused(data: dict[str, Any]) -> None:
    message = "f: "
    try:
        file_layer(data, "f", Path("/base"), "a")
    except ConfigError as problem:
        message = problem.message
    assert message.startswith("f: ")
    assert message.isprintable()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 8 << 30)
    for chosen, message in (
        ("missing.toml", "there is no file missing.toml"),
        (".", f"{'.'} cannot be read: it is a directory, not a file"),
        ("/dev/zero", "/dev/zero cannot be read: it is a device, not a file"),
        ("pipe", "pipe cannot be read: it is a pipe, not a file"),
        ("huge", "huge is larger than 1 MiB: not a configuration file"),
        ("kubedoctor.toml/x", "kubedoctor.toml/x cannot be read: Not a directory"),
        ("a\0b", "holds a NUL character"),
    ):
        (tmp_path / "kubedoctor.toml").touch()
        with pytest.raises(ConfigError) as caught:
            load({"config": chosen}, env={}, cwd=tmp_path)
        assert caught.value.message == message
        if "\0" not in chosen:  # which no variable can hold
            with pytest.raises(ConfigError) as caught:
                load({}, env={"KUBEDOCTOR_CONFIG": chosen}, cwd=tmp_path)
            assert caught.value.message == message


@pytest.mark.parametrize("name", ["kubedoctor.toml", "kubedoctor/config.toml"])
def test_a_pipe_that_nobody_named_is_not_waited_for_either(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read: it is a pipe, not a file"):
        load({}, env={"XDG_CONFIG_HOME": str(tmp_path)}, cwd=tmp_path)


def test_the_first_file_there_is_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, own = tmp_path / "cwd", tmp_path / "xdg"
    (own / "kubedoctor").mkdir(parents=True)
    beside.mkdir()
    env = {"XDG_CONFIG_HOME": str(own)}
    chosen = tmp_path / "chosen.toml"
    assert find_file(str(chosen), env, beside) == chosen
    (own / "kubedoctor" / "config.toml").touch()
    assert find_file("", env, beside) == own / "kubedoctor" / "config.toml"
    (beside / "kubedoctor.toml").touch()
    assert find_file("", env, beside) == beside / "kubedoctor.toml"


def test_a_file_left_by_somebody_else_is_refused_unless_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kubedoctor.toml"
    file.touch(0o644)
    mine = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    if mine != 0:
        with pytest.raises(ConfigError, match=f"belongs to user {mine}, so it is not read"):
            find_file("", {}, tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: mine)
    assert find_file("", {}, tmp_path) == file
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by everybody") as caught:
        find_file("", {}, tmp_path)
    assert caught.value.hint == "if you trust it: --config kubedoctor.toml"
    assert find_file("kubedoctor.toml", {}, tmp_path) == file


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_root_takes_the_file_of_whoever_called_sudo_and_of_no_other(tmp_path: Path) -> None:
    file = tmp_path / "kubedoctor.toml"
    file.touch(0o644)
    os.chown(file, 1234, 1234)
    assert find_file("", {"SUDO_UID": "1234"}, tmp_path) == file
    for env in ({}, {"SUDO_UID": "1235"}, {"SUDO_UID": "x"}):
        with pytest.raises(ConfigError, match="belongs to user 1234"):
            find_file("", env, tmp_path)


def test_flags_in_a_file_may_be_text_numbers_booleans_and_lists(tmp_path: Path) -> None:
    (tmp_path / "kubedoctor.toml").write_text(
        "[component.etcd]\nwithout-flags = ['d']\nbinary = 'etcd'\n"
        "[component.etcd.flags]\na = 1\nb = true\nc = ['x', 'y']\ne = 1.5\nf = 't'\n"
    )
    config = load({}, env={}, cwd=tmp_path).config
    assert config.set == {"etcd": {"a": 1, "b": True, "c": "x,y", "e": "1.5", "f": "t", "d": None}}
    assert config.binary == {"etcd": str(tmp_path / "etcd")}


def test_reading_raises_nothing_but_config_errors_for_odd_paths(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_file(tmp_path / ("x" * 300), "long")
