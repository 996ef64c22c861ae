from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import Malformed
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host import cni
from kubedoctor.host.cni import CniFile, cni_files, cni_load, parse_cni
from kubedoctor.jsonform import to_json

BRIDGE = {"type": "bridge", "ipam": {"type": "host-local"}}
GOOD = {"cniVersion": "1.0.0", "name": "net", "plugins": [BRIDGE, {"type": "portmap"}]}


def parsed(document: object, name: str = "10-a.conflist") -> CniFile:
    return parse_cni(json.dumps(document).encode(), f"/etc/cni/net.d/{name}")


def files(directory: Path) -> tuple[CniFile, ...]:
    return SharedLook().get(cni_files, str(directory), 0)


def test_a_list_names_its_programs_once_and_where_addresses_come_from() -> None:
    told = parsed(GOOD)
    assert (told.network, told.version, told.problem) == ("net", "1.0.0", "")
    assert told.programs == ("bridge", "host-local", "portmap")
    assert parsed({**GOOD, "plugins": [BRIDGE, BRIDGE]}).programs == ("bridge", "host-local")


def test_a_single_plugin_is_read() -> None:
    told = parsed({"cniVersion": "0.3.1", "name": "net", **BRIDGE}, "10-a.conf")
    assert (told.programs, told.version, told.problem) == (("bridge", "host-local"), "0.3.1", "")


def test_plugins_that_run_others_name_those_too() -> None:
    assert parsed({**GOOD, "plugins": [{"type": "flannel", "delegate": {"isDefaultGateway": True}}]}).programs == (
        "flannel",
        "bridge",
        "host-local",
    )
    delegate = {"type": "flannel", "delegate": {"type": "macvlan", "ipam": {"type": "dhcp"}}}
    assert parsed({**GOOD, "plugins": [delegate]}).programs == ("flannel", "macvlan", "dhcp")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "is not a JSON object"),
        ({**GOOD, "name": None}, "has no `name`"),
        ({**GOOD, "name": 7}, "has a `name` that is no text"),
        ({**GOOD, "cniVersion": 1.0}, "has a `cniVersion` that is no text"),
        ({**GOOD, "plugins": []}, "has an empty list of `plugins`"),
        ({**GOOD, "plugins": {}}, "has `plugins` that are no list"),
        ({**GOOD, "plugins": [BRIDGE, {"name": "x"}]}, "has no `type` in its plugin 2"),
        ({**GOOD, "cniVersions": "1.0.0"}, "has `cniVersions` that are no list of versions"),
        ({"name": "net", "loadOnlyInlinedPlugins": True}, "has no `plugins`"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(document: object, problem: str) -> None:
    assert parsed(document).problem == problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"name": "net", "plugins": [\n', "is not JSON: it ends too early, at line 2, column 1"),
        (b'{"name": }', "is not JSON: line 1, column 10"),
        (b'{"name": "\xff"}', "is not text in UTF-8"),
        (b'{"name": NaN}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_json_is_said(content: bytes, problem: str) -> None:
    assert parse_cni(content, "/etc/cni/net.d/a.conflist").problem == problem


def test_a_list_in_a_file_for_one_plugin_is_said() -> None:
    assert parsed(GOOD, "10-a.conf").problem == "holds a list of plugins, which only a file named .conflist may"
    assert parsed({"name": "x"}, "10-a.json").problem == "has no `type`"


def test_the_highest_version_that_is_known_is_spoken() -> None:
    assert parsed({**GOOD, "cniVersions": ["0.4.0", "1.1.0", "9.0.0"]}).version == "1.1.0"
    assert parsed({**GOOD, "cniVersions": []}).version == "1.0.0"


def test_files_are_taken_by_name_and_ending(tmp_path: Path) -> None:
    for name in ("20-b.conf", "10-a.conflist", "00-c.json", "readme.txt", "05-x.conf.disabled", ".hidden"):
        (tmp_path / name).write_text("{")
    (tmp_path / "01-directory.conf").mkdir()
    assert [one.name for one in files(tmp_path)] == ["00-c.json", "10-a.conflist", "20-b.conf"]


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert files(tmp_path / "none") == ()


def test_plugins_beside_a_list_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "10-a.conflist").write_text(json.dumps({"name": "net", "cniVersion": "1.1.0"}))
    (told,) = files(tmp_path)
    assert told.problem == "has no `plugins`"
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "1.conf").write_text(json.dumps(BRIDGE))
    (told,) = files(tmp_path)
    assert (told.problem, told.programs) == ("", ("bridge", "host-local"))
    (tmp_path / "net" / "2.conf").write_text("{")
    (told,) = files(tmp_path)
    assert told.problem.startswith("cannot be loaded: net/2.conf is not JSON")


def test_what_cannot_be_read_as_a_file_is_said_of_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "10-fifo.conf")
    (tmp_path / "20-gone.conf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "30-huge.conf").write_bytes(b" " * (cni.LIMIT + 1))
    assert [one.problem for one in files(tmp_path)] == [
        f"cannot be loaded: {tmp_path}/10-fifo.conf is a fifo, not a file",
        "is a symlink that leads nowhere",
        f"cannot be loaded: {tmp_path}/30-huge.conf is larger than {cni.LIMIT} bytes",
    ]


def test_ten_thousand_files_are_malformed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni, "_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.conf").touch()
    with pytest.raises(Malformed, match="more than 3 files"):
        files(tmp_path)


def named(*names: str) -> list[CniFile]:
    return [CniFile(path=f"/d/{name}", problem="is bad" if "bad" in name else "") for name in names]


def told(files: list[CniFile], **options: int) -> tuple[list[str], list[str], list[str]]:
    load = cni_load(files, **options)  # type: ignore[arg-type]
    used, broken, ignored = ([one.name for one in part] for part in (load.used, load.broken, load.ignored))
    return used, broken, ignored


def test_the_first_file_wins() -> None:
    assert told(named("a", "b", "bad")) == (["a"], [], ["b", "bad"])
    assert told(named("a", "b", "c"), most=2) == (["a", "b"], [], ["c"])
    assert told(named("a", "b"), most=0) == (["a", "b"], [], [])
    assert told([]) == ([], [], [])


def test_a_broken_file_before_the_first_stops_all() -> None:
    assert told(named("bad", "b")) == ([], ["bad"], ["b"])
    assert told(named("a", "bad", "c"), most=0) == ([], ["bad"], ["a", "c"])


def test_others_than_containerd_pass_over_it() -> None:
    assert told(named("bad", "b", "c"), passes_over_broken=True) == (["b"], ["bad"], ["c"])


@given(st.binary(max_size=200), st.sampled_from(["a.conf", "a.conflist", "a.json"]))
def test_any_bytes_are_a_file_with_or_without_a_problem(content: bytes, name: str) -> None:
    to_json(parse_cni(content, f"/d/{name}"))


KEYS = st.sampled_from(["name", "type", "plugins", "ipam", "delegate", "cniVersion", "cniVersions", "ranges"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, TREES), st.sampled_from(["a.conf", "a.conflist"]))
def test_any_document_is_judged(document: dict[str, object], name: str) -> None:
    found = parsed(document, name)
    assert bool(found.problem) != bool(found.programs) or found.network
    to_json(found)
