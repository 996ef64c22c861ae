from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.cli.config import as_text, as_toml, config
from kubedoctor.cli.config_explain import option_named
from kubedoctor.cli.main import run
from kubedoctor.cli.options import cluster_parameters
from kubedoctor.cli.reference import PAGES
from kubedoctor.config import GROUPS, flag_of, options
from kubedoctor.configuration.environment import option_variables
from kubedoctor.configuration.layers import Resolved, resolve
from kubedoctor.configuration.options import flag_layer
from kubedoctor.configuration.tables import file_layer
from kubedoctor.configuration.values import Layer
from kubedoctor.configuration.wishes import COMPONENT, FLAG

BASE = Path("/base")


@pytest.fixture(autouse=True)
def _no_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in option_variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def settle(flags: dict[str, object]) -> Resolved:
    return resolve(Layer(), Layer(), flag_layer(flags, BASE))


def test_each_value_is_shown_with_its_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECURE_PORT", "7443")
    monkeypatch.setenv("API_PORT", "8080")
    Path("kubedoctor.toml").write_text("[component.etcd.flags]\na = 1\n")
    assert run(["config", "--no-node", "--set", "etcd.b-"]) == 0
    out, err = capsys.readouterr()
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "node = false (--no-node)",
        "api-port = 7443 (environment API_SECURE_PORT)",
        "component.etcd.flags.a = 1 (file kubedoctor.toml: component.etcd.flags.a)",
        "component.etcd.flags.b = unset (--set etcd.b)",
    ]
    assert err.startswith("note: API_PORT has no meaning here")


def test_without_wishes_the_defaults_are_one_option_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "everything is as by default: `kubedoctor config --all` shows it\n")
    assert run(["config", "--all"]) == 0
    out = capsys.readouterr().out
    assert "api-port = unset" in out
    assert "(default, from service-cluster-ip-range 10.0.0.0/24)" in out


def test_json_holds_keys_values_and_origins(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "-o", "json", "--only", "etcd,kube-apiserver", "--only", "kube-scheduler"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["schema_version"]) == ("Configuration", 1)
    assert document["settings"] == [
        {"key": "only", "value": ["etcd", "kube-apiserver", "kube-scheduler"], "origin": "--only"}
    ]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--api-port", "x"], "error: --api-port: expected a port, found `x`"),
        (["--config", "no.toml"], "error: there is no file no.toml"),
        (["--set", "etcd"], "error: --set: expected C.flag=value, found `etcd`"),
        (["--explain", "api-prot"], "error: there is no option `api-prot`"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == line


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.from_regex(COMPONENT, fullmatch=True),
            st.from_regex(FLAG, fullmatch=True),
            st.none() | st.just(True) | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        ),
        max_size=4,
        unique_by=lambda item: item[:2],
    ).filter(lambda items: all(flag != "port" for _, flag, _ in items)),
    st.dictionaries(st.sampled_from(["A", "kube:B"]), st.sampled_from(["true", "false"])),
)
def test_a_file_made_of_a_configuration_says_the_same(
    flags: list[tuple[str, str, str | bool | None]], gates: dict[str, str]
) -> None:
    resolved = settle(
        {
            "set": tuple(
                f"{c}.{f}-" if v is None else f"{c}.{f}" if v is True else f"{c}.{f}={v}" for c, f, v in flags
            ),
            "feature_gates": tuple(f"{name}={value}" for name, value in gates.items()),
            "api_port": "7443",
            "ports": ("etcd.peer=1", "x=2"),
            "json_logs": ("etcd",),
            "env": ('etcd.A=ü\\"\n\x7f',),
            "publish": ("1", "2:3"),
            "node": False,
        }
    )
    text = "\n".join(as_toml(resolved, everything=True))
    again = resolve(file_layer(tomllib.loads(text), "f", BASE, "local"), Layer(), Layer())
    assert again.config == resolved.config


def test_origins_are_aligned() -> None:
    lines = as_text(settle({"api_port": "1", "service_cluster_ip_range": "10.9.0.0/24"}), everything=False)
    assert len({line.index("   (") for line in lines}) == 1


@pytest.mark.parametrize("name", ["api-port", "api_port", "--api-port", "API_SECURE_PORT", "KUBEDOCTOR_API_PORT"])
def test_an_option_is_explained_by_any_of_its_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--explain", name, "--api-port", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("api-port: outside port of the API")
    assert "API_SECURE_PORT" in out
    assert "api-port = 7   (--api-port)" in out


def test_other_variables_are_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (
        ("API_PORT", "no insecure ports"),
        ("CNI_PLUGINS_URL", "of the node"),
        ("TMP_DIR", "is not read"),
        ("--no-build", "building from Go modules"),
        ("set", "removes it"),
    ):
        assert run(["config", "--explain", name]) == 0
        assert words in capsys.readouterr().out


def test_every_option_of_the_table_with_a_flag_is_on_the_command_line() -> None:
    flags = {parameter.name for parameter in cluster_parameters()}
    assert flags == {name for name, field in options().items() if flag_of(field)} | {"config"}
    for parameter in cluster_parameters():
        assert parameter.envvar is None
        assert parameter.default in (None, ()) or str(parameter.default) == "Sentinel.UNSET"
        assert parameter.help
        assert parameter.group in GROUPS.values()


def test_help_groups_the_options() -> None:
    text = CliRunner().invoke(config, ["--help"]).output
    assert "[default: " not in text
    places = [text.index(f"\n{heading}:\n") for heading in GROUPS.values() if f"\n{heading}:\n" in text]
    assert places == sorted(places)
    assert text.index("Options:") < places[0]


def test_every_group_starts_at_an_option() -> None:
    assert set(GROUPS) <= set(options())
    assert next(iter(options())) in GROUPS


def test_every_option_is_found_by_its_own_name() -> None:
    assert all(option_named(name) == name for name in options())


@pytest.mark.parametrize("name", sorted(PAGES))
def test_reference_pages_are_what_the_code_makes(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / name
    assert page.read_text() == PAGES[name](), "run python -m kubedoctor.cli.reference"


def test_the_example_of_the_reference_can_be_used() -> None:
    page = PAGES["configuration.md"]()
    example = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    resolve(file_layer(example, "kubedoctor.toml", BASE, "other"), Layer(), Layer())
