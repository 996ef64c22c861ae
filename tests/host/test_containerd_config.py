from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor import Absent, Malformed
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.containerd_config import ContainerdConfig, containerd_config, understand
from kubedoctor.host.toml import parse_toml
from kubedoctor.jsonform import to_json

VERSION_1 = """
disabled_plugins = ["cri", "aufs"]
[grpc]
  address = "/run/c.sock"
[plugins.cri.cni]
  conf_dir = "/etc/cni/one"
  bin_dir = "/opt/one"
[plugins.opt]
  path = "/srv/opt"
"""
VERSION_2 = """
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "mine"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.mine]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.mine.options]
      BinaryName = "/usr/local/bin/runc"
      SystemdCgroup = true
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "/etc/cni/two"
  max_conf_num = 3
[plugins."io.containerd.grpc.v1.cri".registry.configs."r.example".auth]
  password = "hunter2"
"""
VERSION_3 = """
version = 3
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_dir = "/etc/cni/three"
  bin_dirs = ["/opt/three", "/opt/other"]
  use_internal_loopback = true
"""
VERSION_4 = """
version = 4
[plugins.'io.containerd.server.v1.grpc']
  address = "/run/four.sock"
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "/etc/cni/passed-over"
"""


def read(text: str) -> ContainerdConfig:
    return understand({"/c.toml": parse_toml(text.encode(), "/c.toml")})


def test_version_1_has_short_names() -> None:
    told = read(VERSION_1)
    assert (told.version, told.address, told.cni_conf_dir, told.opt_directory) == (
        1,
        "/run/c.sock",
        "/etc/cni/one",
        "/srv/opt",
    )
    assert told.cni_bin_dirs == ("/opt/one",)
    assert (told.disables_cri, told.refused) == (("cri",), ())
    assert told.disabled_in == {"cri": "/c.toml", "aufs": "/c.toml"}


def test_version_2_has_one_table_for_all_of_the_cri() -> None:
    told = read(VERSION_2)
    assert (told.version, told.default_handler, told.cni_conf_dir, told.cni_max_conf) == (2, "mine", "/etc/cni/two", 3)
    (handler,) = told.handlers
    assert (handler.name, handler.binary, handler.systemd_cgroup) == ("mine", "/usr/local/bin/runc", True)
    assert "hunter2" not in str(to_json(told))


def test_version_3_has_a_table_of_its_own_and_takes_over_the_old_one() -> None:
    told = read(VERSION_3)
    assert (told.cni_conf_dir, told.cni_bin_dirs) == ("/etc/cni/three", ("/opt/three", "/opt/other"))
    assert told.internal_loopback
    both = read(VERSION_3 + '[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/old"\nmax_conf_num = 5\n')
    assert (both.cni_conf_dir, both.cni_max_conf) == ("/etc/cni/three", 5)


def test_version_4_passes_over_the_table_of_version_2() -> None:
    told = read(VERSION_4)
    assert (told.address, told.cni_conf_dir) == ("/run/four.sock", "")
    assert told.passed_over == {'plugins."io.containerd.grpc.v1.cri" conf_dir': "/etc/cni/passed-over"}


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_short_name_is_refused_from_version_2_on(version: int) -> None:
    told = read(f'version = {version}\ndisabled_plugins = ["cri"]')
    assert (told.refused, told.disables_cri) == (("cri",), ())


@pytest.mark.parametrize(
    "plugin", ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
)
def test_any_plugin_of_the_cri_disables_it(plugin: str) -> None:
    assert read(f'version = 3\ndisabled_plugins = ["{plugin}", "io.containerd.x.y"]').disables_cri == (plugin,)


def test_files_that_are_imported_are_laid_over_the_first(tmp_path: Path) -> None:
    main, drop_ins = tmp_path / "config.toml", tmp_path / "conf.d"
    drop_ins.mkdir()
    main.write_text(f'imports = ["conf.d/*.toml", "{tmp_path}/last.toml"]\n{VERSION_2}')
    (drop_ins / "10-a.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        '[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/a"\n'
    )
    (drop_ins / "20-b.txt").write_text("no TOML at all [")
    (tmp_path / "last.toml").write_text('version = 2\nimports = ["config.toml"]\n[grpc]\naddress = "/last.sock"\n')
    told = SharedLook().get(containerd_config, str(main), 0)
    assert told.files == (str(main), str(drop_ins / "10-a.toml"), str(tmp_path / "last.toml"))
    assert (told.cni_conf_dir, told.cni_max_conf, told.default_handler, told.address) == ("/a", 3, "mine", "/last.sock")
    assert told.disabled_in == {"io.containerd.grpc.v1.cri": str(drop_ins / "10-a.toml")}


def test_an_import_that_is_not_there_is_absent_unless_it_is_a_pattern(tmp_path: Path) -> None:
    main = tmp_path / "config.toml"
    main.write_text('imports = ["none.d/*.toml"]')
    assert SharedLook().get(containerd_config, str(main), 0).files == (str(main),)
    main.write_text('imports = ["none.toml"]')
    with pytest.raises(Absent, match=r"none\.toml does not exist"):
        SharedLook().get(containerd_config, str(main), 0)


def test_imports_without_end_are_malformed(tmp_path: Path) -> None:
    for number in range(70):
        (tmp_path / f"{number}.toml").write_text(f'imports = ["{number + 1}.toml"]')
    with pytest.raises(Malformed, match="imports more than 64 files"):
        SharedLook().get(containerd_config, str(tmp_path / "0.toml"), 0)


def test_what_is_no_toml_is_told_with_its_place_and_not_its_content() -> None:
    with pytest.raises(Malformed, match="is not TOML: line 2, column 22") as told:
        parse_toml(b'a = 1\npassword = "hunter2" x', "/c.toml")
    assert "hunter2" not in told.value.reason
    with pytest.raises(Malformed, match="not text in UTF-8"):
        parse_toml(b"a = '\xff'", "/c.toml")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 50_000,
        "a." * 100_000 + "b = 1",
        "a\t. " * 100_000 + "b = 1",
        '"a".' * 100_000 + "b = 1",
        """"a b". 'c d' .""" * 30_000 + "b = 1",
        "[" + "a. " * 100_000 + "b]",
    ],
    ids=["lists", "tables", "dots", "spaced dots", "quotes", "spaces in quotes", "a header"],
)
def test_what_is_nested_deeply_is_malformed_or_read(text: str) -> None:
    with contextlib.suppress(Malformed):
        understand({"/a": parse_toml(text.encode(), "/a"), "/b": parse_toml(text.encode(), "/b")})


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        to_json(read(text))


NAMES = ("version", "imports", "disabled_plugins", "plugins", "grpc", "address", "cni", "conf_dir", "containerd", "cri")
TABLES = ("runtimes", "options", "BinaryName", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime")
KEYS = st.sampled_from([*NAMES, *TABLES])
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
TREES = st.recursive(
    VALUES, lambda one: st.lists(one, max_size=2) | st.dictionaries(KEYS, one, max_size=3), max_leaves=12
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, TREES), max_size=3))
def test_any_documents_are_understood(documents: list[dict[str, object]]) -> None:
    to_json(understand({f"/{number}": one for number, one in enumerate(documents)}))  # type: ignore[misc]
