from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.cluster.paths import NAME
from kubedoctor.config import options, variables_of
from kubedoctor.configuration.checks import CLUSTER_NAME
from kubedoctor.configuration.environment import environment_layer
from kubedoctor.configuration.layers import Resolved, load, resolve
from kubedoctor.configuration.options import flag_layer, is_mapping
from kubedoctor.configuration.tables import file_layer
from kubedoctor.errors import ConfigError
from kubedoctor.options import Form

BASE = Path("/base")

# Three values an option may take, none of them its default, and as texts: what a variable and a flag would hold.
BY_FORM = {
    Form.PORT: ("1001", "1002", "1003"),
    Form.LEVEL: ("5", "6", "7"),
    Form.SECONDS: ("1.5", "2", "3"),
    Form.ADDRESS: ("192.0.2.1", "192.0.2.2", "2001:db8::3"),
    Form.HOST: ("one.example", "two.example", "192.0.2.3"),
    Form.URL: ("https://one.example/x", "https://two.example", "http://three.example"),
    Form.DURATION: ("1s", "2m", "1h3s"),
    Form.VMODULE: ("a=1", "b=2", "c=3,d*=4"),
}
BY_NAME = {
    "name": ("one", "two", "three"),
    "service_cluster_ip_range": ("10.3.0.0/24", "10.4.0.0/16", "10.5.0.0/24,fd00::/112"),
    "cluster_cidr": ("10.6.0.0/24", "10.7.0.0/16", "10.8.0.0/16,fd01::/64"),
    "first_service_cluster_ip": ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
    "dns_server_ip": ("10.0.0.11", "10.0.0.12", "10.0.0.13"),
    "start_mode": ("nokubelet", "all", "kubeletonly"),
    "node_port_range": ("1-2", "30000+5", "40000"),
    "publish": ("1", "2:3", "127.0.0.1:4:5"),
    "reach": ("1", "a=2", "b.c=3"),
    "kubelet_read_only_port": ("1", "10255", "10256"),
    "registry_mirror": ("a=http://one", "b=https://two", "*=http://three"),
}
SCALARS = [name for name, field in options().items() if not is_mapping(field)]


def texts(field: Field[Any]) -> tuple[str, str, str]:
    if field.metadata["choices"]:
        chosen = [*field.metadata["choices"], *field.metadata["choices"]]
        return chosen[0], chosen[1], chosen[2]
    if field.type == "bool":
        return ("false", "true", "false") if field.default else ("true", "false", "true")
    return BY_NAME.get(field.name) or BY_FORM.get(field.metadata["form"]) or ("first", "second", "third")


def typed(field: Field[Any], text: str) -> object:
    """Return what TOML would hold for a text."""
    match field.type:
        case "bool":
            return text == "true"
        case "int" | "int | None":
            return int(text)
        case "float":
            return float(text)
        case "tuple[str, ...]":
            return [text]
        case _:
            return text


def settle(
    file: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Resolved:
    name = str((flags or {}).get("name") or (env or {}).get("KUBEDOCTOR_NAME") or (file or {}).get("name", "local"))
    return resolve(
        file_layer(file or {}, "kubedoctor.toml", BASE, name),
        environment_layer(env or {}, BASE),
        flag_layer(flags or {}, BASE),
    )


@pytest.mark.parametrize("present", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("name", SCALARS)
def test_of_any_subset_of_layers_the_highest_present_wins(name: str, present: tuple[bool, bool, bool]) -> None:
    field = options()[name]
    in_file, in_env, in_flags = texts(field)
    key, variable = name.replace("_", "-"), variables_of(field)[-1]
    # a pair of files goes together, so its other half is always there
    pair = {
        "cluster_signing_cert_file": "cluster_signing_key_file",
        "cluster_signing_key_file": "cluster_signing_cert_file",
    }
    base = {pair[name].replace("_", "-"): "other"} if name in pair and any(present) else {}
    flag: dict[str, object] = {name: (in_flags == "true") if field.type == "bool" else in_flags}
    resolved = settle(
        {**base, **({key: typed(field, in_file)} if present[0] else {})},
        {variable: in_env} if present[1] else {},
        flag if present[2] else {},
    )
    expected, origin = None, "default"
    for there, text, said in (
        (present[0], in_file, f"file kubedoctor.toml: {key}"),
        (present[1], in_env, f"environment {variable}"),
        (present[2], in_flags, None),
    ):
        if there:
            expected, origin = typed(field, text), said or origin
    if present[2]:
        assert resolved.origins[name].startswith("--")
    else:
        assert resolved.origins[name].startswith(origin)
    value = getattr(resolved.config, name)
    if expected is None:
        assert value == field.default or resolved.origins[name].startswith("default, from")
    elif field.type == "str" and field.metadata["form"] in (Form.FILE, Form.PATH, Form.DIRECTORY):
        assert value == f"/base/{expected}"
    elif isinstance(expected, list):
        paths = field.metadata["form"] in (Form.FILE, Form.PATH, Form.DIRECTORY)
        assert value == tuple(f"/base/{one}" if paths else one for one in expected)
    else:
        assert value == expected


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9).map(str)),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9).map(str)),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.integers(0, 9).map(str))),
)
def test_flags_of_a_component_merge_one_by_one(
    file: dict[str, str], env: dict[str, str], flags: dict[str, str | None]
) -> None:
    resolved = settle(
        {"component": {"etcd": {"flags": file}}},
        {"KUBEDOCTOR_SET": " ".join(f"etcd.{flag}={value}" for flag, value in env.items())},
        {"set": tuple(f"etcd.{flag}-" if value is None else f"etcd.{flag}={value}" for flag, value in flags.items())},
    )
    assert resolved.config.set.get("etcd", {}) == {**file, **env, **flags}
    for flag in {**file, **env, **flags}:
        origin = resolved.origins[f"set.etcd.{flag}"]
        if flag in flags:
            assert origin == f"--set etcd.{flag}"
        elif flag in env:
            assert origin == "environment KUBEDOCTOR_SET"
        else:
            assert origin == f"file kubedoctor.toml: component.etcd.flags.{flag}"


def test_every_mapping_merges_its_parts() -> None:
    resolved = settle(
        {
            "feature-gates": {"A": True, "B": True},
            "component": {
                "c1": {"v": 1, "json-logs": True, "env": {"X": "1"}, "vmodule": "a=1", "port": 11, "ports": {"p": 12}},
                "c2": {"v": 1, "json-logs": True, "binary": "./one"},
            },
            "binary": {"c1": "/two"},
            "authority": {"server": "a.crt,a.key"},
            "plugin": {"acme": {"colour": "green", "sizes": [1, 2]}},
        },
        {"FEATURE_GATES": "B=false,C=1", "KUBEDOCTOR_JSON_LOGS": "c3"},
        {"v": ("c2=2",), "json_logs": ("c1-",), "env": ("c1.Y=2",), "ports": ("c1.q=13",), "feature_gates": ("D=off",)},
    )
    config = resolved.config
    assert config.feature_gates == {"A": "true", "B": "false", "C": "true", "D": "false"}
    assert config.v == {"c1": 1, "c2": 2}
    assert config.json_logs == ("c2", "c3")
    assert config.env == {"c1": {"X": "1", "Y": "2"}}
    assert config.vmodule == {"c1": "a=1"}
    assert config.ports == {"c1": 11, "c1.p": 12, "c1.q": 13}
    assert config.binary == {"c1": "/two", "c2": "/base/one"}
    assert config.authority == {"server": "/base/a.crt,/base/a.key"}
    assert config.plugin_settings("acme") == {"colour": "green", "sizes": [1, 2]}
    assert resolved.origins["feature_gates.D"] == "--feature-gates D"
    assert resolved.origins["plugin.acme.colour"] == "file kubedoctor.toml: plugin.acme.colour"


def test_kubedoctors_own_variable_comes_before_the_scripts() -> None:
    resolved = settle(env={"KUBEDOCTOR_API_PORT": "1", "API_SECURE_PORT": "2"})
    assert (resolved.config.api_port, resolved.origins["api_port"]) == (1, "environment KUBEDOCTOR_API_PORT")


@pytest.mark.parametrize(
    ("component", "option"),
    [
        ("kube-apiserver", "api_port"),
        ("etcd", "etcd_port"),
        ("kube-controller-manager", "kcm_port"),
        ("kube-scheduler", "scheduler_port"),
    ],
)
def test_port_as_a_flag_is_the_outside_port_where_there_is_an_option_for_it(component: str, option: str) -> None:
    by_set = settle(flags={"set": (f"{component}.port=23790",)})
    assert getattr(by_set.config, option) == 23790
    assert by_set.origins[option] == f"--set {component}.port"
    assert by_set.config.set == {}
    assert getattr(settle(flags={"ports": (f"{component}=23790",)}).config, option) == 23790
    assert getattr(settle(file={"component": {component: {"port": 23790}}}).config, option) == 23790


def test_port_of_other_components_stays_a_flag() -> None:
    assert settle(flags={"set": ("webhook.port=8443",)}).config.set == {"webhook": {"port": "8443"}}


def test_one_layer_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--set etcd\.port says 2, --port etcd says 1$"):
        settle(flags={"ports": ("etcd=1",), "set": ("etcd.port=2",)})


def test_level_without_a_component_is_that_of_all() -> None:
    assert settle(env={"LOG_LEVEL": "4"}, flags={"v": ("6", "etcd=1")}).config.log_level == 6


def test_patterns_of_one_component_add_up() -> None:
    assert settle(flags={"vmodule": ("c=a=1", "c=b=2")}).config.vmodule == {"c": "a=1,b=2"}


def test_service_addresses_follow_from_the_range() -> None:
    resolved = settle(flags={"service_cluster_ip_range": "10.20.0.0/24"})
    assert resolved.config.first_service_cluster_ip == "10.20.0.1"
    assert resolved.config.dns_server_ip == "10.20.0.10"
    assert resolved.origins["dns_server_ip"] == "default, from service-cluster-ip-range 10.20.0.0/24"


def test_overlay_of_a_cluster_counts_for_that_cluster_only() -> None:
    file = {"api-port": 1, "cluster": {"other": {"api-port": 2, "feature-gates": {"A": True}}}}
    assert settle(file).config.api_port == 1
    other = settle(file, flags={"name": "other"})
    assert other.config.api_port == 2
    assert other.origins["api_port"] == "file kubedoctor.toml: cluster.other.api-port"
    assert other.origins["feature_gates.A"] == "file kubedoctor.toml: cluster.other.feature-gates.A"


def test_load_reads_the_file_and_fills_the_directory(tmp_path: Path) -> None:
    (tmp_path / "kubedoctor.toml").write_text('bin-dir = "bin"\nname = "two"\n[cluster.two]\napi-port = 5\n')
    resolved = load({"checkout": "src"}, env={}, cwd=tmp_path, home=Path("/home-of-clusters"))
    assert resolved.file == tmp_path / "kubedoctor.toml"
    assert resolved.config.bin_dir == str(tmp_path / "bin")
    assert resolved.config.checkout == str(tmp_path / "src")
    assert resolved.config.api_port == 5
    assert resolved.config.directory == Path("/home-of-clusters/clusters/two")
    assert resolved.config.place == "node-1"


def test_paths_of_a_file_are_seen_from_its_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "c.toml").write_text('audit-policy-file = "audit.yaml"\n')
    for flags, env in (({"config": "etc/c.toml"}, {}), ({}, {"KUBEDOCTOR_CONFIG": "etc/c.toml"})):
        resolved = load(flags, env=env, cwd=tmp_path)
        assert resolved.config.audit_policy_file == str(tmp_path / "etc" / "audit.yaml")
        assert resolved.origins["audit_policy_file"] == "file etc/c.toml: audit-policy-file"


def test_a_name_cannot_leave_the_directory_of_clusters() -> None:
    with pytest.raises(ConfigError, match=r"^--name: `\.\./x` cannot be a cluster's name$"):
        settle(flags={"name": "../x"})


def test_names_of_clusters_are_the_same_here_and_there() -> None:
    assert CLUSTER_NAME.pattern == NAME.pattern


def test_options_nobody_knows_are_a_defect_of_the_caller() -> None:
    with pytest.raises(TypeError):
        settle(flags={"api_prot": "1"})
