"""The kit for authors of plugins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubedoctor import Component, Kind, Port, Probe, ProbeKind, hookimpl
from kubedoctor.errors import PluginError
from kubedoctor.testing import LoadPlugin

pytest_plugins = ["kubedoctor.testing"]


@hookimpl
def kubedoctor_components(config: Any) -> list[Component]:
    port = int(config.plugin_settings("acme").get("port", 8080))
    return [
        Component(
            name="acme",
            kind=Kind.EXTRA,
            binary="acme",
            flags={"listen": f":{port}"},
            ports=(Port(name="http", inside=port),),
            ready=(Probe(kind=ProbeKind.HTTP, port="http"),),
        )
    ]


@hookimpl
def kubedoctor_modify_components(components: dict[str, Component]) -> None:
    if "kube-apiserver" in components:
        components["kube-apiserver"] = components["kube-apiserver"].with_flags({"profiling": False})


ACME = SimpleNamespace(
    kubedoctor_components=kubedoctor_components, kubedoctor_modify_components=kubedoctor_modify_components
)


def test_a_component_is_planned_with_the_settings_of_its_plugin(load_plugin: LoadPlugin) -> None:
    acme = load_plugin(ACME, name="acme", bundled=False)
    assert acme.component("acme").argv == ("/bin/acme", "--listen=:8080")
    changed = acme.component("acme", plugin={"acme": {"port": 9090}})
    assert changed.argv == ("/bin/acme", "--listen=:9090")
    assert changed.ports[0].inside == 9090


def test_what_it_changes_in_a_bundled_component_is_seen(load_plugin: LoadPlugin) -> None:
    apiserver = load_plugin(ACME, name="acme").component("kube-apiserver")
    assert "--profiling=false" in apiserver.argv
    assert apiserver.origins["profiling"] == "plugin acme (acme-under-test 0)"


def test_a_component_that_is_not_planned_fails_the_test_and_names_those_that_are(load_plugin: LoadPlugin) -> None:
    with pytest.raises(AssertionError, match="`acne` is not in the plan, which has acme"):
        load_plugin(ACME, bundled=False).component("acne")


def test_a_plugin_that_does_not_load_as_it_is_fails_the_test(load_plugin: LoadPlugin) -> None:
    with pytest.raises(AssertionError, match="kubedoctor_components is not marked with @hookimpl"):
        load_plugin(SimpleNamespace(kubedoctor_components=lambda config: [config]))


def test_an_error_of_a_hook_comes_out_as_it_is(load_plugin: LoadPlugin) -> None:
    @hookimpl
    def kubedoctor_components() -> list[Component]:
        raise KeyError("x")

    with pytest.raises(PluginError, match="KeyError: 'x'"):
        load_plugin(SimpleNamespace(kubedoctor_components=kubedoctor_components)).plan()
