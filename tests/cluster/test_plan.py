from __future__ import annotations

import json
from typing import Any

import pytest
from support.planning import Binary, GivenComponents, bundled, component, configuration, flag, plan

from kubedoctor.cluster.documents import Plan, Reach
from kubedoctor.cluster.plan import PortWish, components, make_plan
from kubedoctor.components import Component, Kind, Manifest, Port, Probe, ProbeKind
from kubedoctor.config import PlaceKind
from kubedoctor.errors import ConfigError, PlanError
from kubedoctor.jsonform import from_json, to_json

NAMES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


def test_control_plane_starts_in_order_of_need() -> None:
    made = plan()
    assert [item.name for item in made.components] == NAMES
    assert [item.after for item in made.components] == [(), ("etcd",), ("kube-apiserver",), ("kube-apiserver",)]


def test_same_wishes_give_the_same_plan() -> None:
    assert plan(environment={"PATH": "/bin"}) == plan(environment={"PATH": "/bin"})


def test_plan_survives_its_json_form() -> None:
    made = plan(tracing=True, publish=("8080:30080",), set={"kube-apiserver": {"event-ttl": "2h"}})
    assert from_json(Plan, json.loads(json.dumps(to_json(made)))) == made


def test_api_is_reached_as_administrator_on_loopback() -> None:
    api = plan().api
    assert api is not None
    assert (api.kind, api.address, api.port) == ("https", "127.0.0.1", 6443)
    assert api.cert_file.endswith("/pki/client-admin.crt")
    assert api.ca_file.endswith("/pki/server-ca.crt")


def test_api_is_reached_where_it_is_bound() -> None:
    api = plan(api_bind_address="198.18.0.1").api
    assert api is not None
    assert api.address == "198.18.0.1"


def test_without_an_api_server_there_is_no_api_and_no_manifest() -> None:
    manifest = Manifest(name="m", objects=({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}},))
    manager = GivenComponents((Component(name="sidecar", kind=Kind.EXTRA, binary="sidecar"),), (manifest,))
    wanted = components(configuration(), manager)
    made = make_plan(
        configuration(),
        wanted,
        {"sidecar": Binary("/bin/sidecar", "")},
        flags_of=lambda path, _: frozenset(),
        rejects=lambda path, words: None,
    )
    assert made.api is None
    assert made.manifests == ()


def test_users_flags_have_the_last_word_and_their_origin() -> None:
    made = plan(
        set={"kube-apiserver": {"event_ttl": "2h", "kubelet-preferred-address-types": None}},
        layers={"set.kube-apiserver.event_ttl": "--set kube-apiserver.event_ttl"},
    )
    assert flag(made, "kube-apiserver", "event-ttl") == "2h"
    assert flag(made, "kube-apiserver", "kubelet-preferred-address-types") is None
    assert component(made, "kube-apiserver").origins["event-ttl"] == "--set kube-apiserver.event_ttl"
    assert component(made, "kube-apiserver").origins["bind-address"] == "plugin apiserver"


def test_flags_that_follow_an_option_name_its_layer() -> None:
    layers = {"log_level": "environment LOG_LEVEL", "feature_gates.AllBeta": "--feature-gates AllBeta"}
    made = plan(layers=layers | {"kube_controllers": "default"}, log_level=4, feature_gates={"AllBeta": "true"})
    origins = component(made, "kube-scheduler").origins
    assert origins["v"] == "environment LOG_LEVEL"
    assert origins["feature-gates"] == "--feature-gates AllBeta"
    assert origins["secure-port"] == "plugin scheduler"


def test_a_port_that_a_flag_moves_is_probed_at_its_new_place() -> None:
    made = plan(set={"kube-scheduler": {"secure-port": "10300"}})
    assert component(made, "kube-scheduler").ready[0].port == 10300
    assert component(made, "kube-scheduler").ports[0].inside == 10300


def test_api_follows_the_servers_own_port() -> None:
    made = plan(set={"kube-apiserver": {"secure-port": "7443"}})
    assert made.api is not None
    assert made.api.port == 7443


@pytest.mark.parametrize(
    ("wishes", "option"),
    [
        ({"only": ("kube-schedular",)}, "--only"),
        ({"without": ("etdc",)}, "--without"),
        ({"external": ("apiserver=1.2.3.4:1",)}, "--external"),
        ({"set": {"kube-schedular": {"v": 1}}}, "--set"),
        ({"env": {"etc": {"A": "b"}}}, "--env"),
        ({"v": {"scheduler": 3}}, "--v"),
        ({"vmodule": {"scheduler": "a=1"}}, "--vmodule"),
        ({"json_logs": ("scheduler",)}, "--json-logs"),
        ({"ports": {"scheduler": 1}}, "--port"),
    ],
)
def test_unknown_components_are_refused_with_the_one_that_was_meant(wishes: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{option}: there is no component .*did you mean `") as refused:
        plan(**wishes)
    assert "kube-controller-manager" in refused.value.hint


def test_component_left_out_that_another_needs_is_named_with_both_ways_out() -> None:
    with pytest.raises(PlanError, match="kube-scheduler needs kube-apiserver, which is left out") as refused:
        plan(only=("kube-scheduler",))
    assert "--only kube-scheduler,kube-apiserver" in refused.value.hint
    assert "--external kube-apiserver=ADDRESS" in refused.value.hint
    with pytest.raises(PlanError, match="kube-apiserver needs etcd"):
        plan(without=("etcd",))


def test_only_and_without_choose_components() -> None:
    assert [c.name for c in plan(only=("etcd", "kube-apiserver")).components] == NAMES[:2]
    assert [c.name for c in plan(without=("kube-scheduler",)).components] == NAMES[:3]


def test_leaving_out_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing is left to run"):
        plan(without=tuple(NAMES))


def test_what_start_mode_leaves_out_need_not_exist() -> None:
    assert [c.name for c in plan(start_mode="nokubelet", without=("kubelet",)).components] == NAMES


def test_nodes_components_run_only_with_a_node() -> None:
    manager = GivenComponents(
        (
            Component(name="kubelet", kind=Kind.NODE, binary="kubelet"),
            Component(name="sidecar", kind=Kind.EXTRA, binary="sidecar", after=("kubelet",)),
        )
    )
    assert list(components(configuration(node=False), manager).components) == ["sidecar"]
    assert list(components(configuration(node=True), manager).components) == ["kubelet", "sidecar"]


def test_external_etcd_on_loopback_is_reached_from_the_sandbox() -> None:
    made = plan(external=("etcd=127.0.0.1:12379",))
    assert [c.name for c in made.components] == NAMES[1:]
    assert flag(made, "kube-apiserver", "etcd-servers") == "http://127.0.0.1:12379"
    assert flag(made, "kube-apiserver", "etcd-certfile") is None
    assert made.reach == (Reach(name="", port=12379),)


def test_external_etcd_with_tls_is_asked_with_our_certificate() -> None:
    made = plan(external=("etcd=https://127.0.0.1:12379",))
    assert flag(made, "kube-apiserver", "etcd-servers") == "https://127.0.0.1:12379"
    assert flag(made, "kube-apiserver", "etcd-certfile") == "/var/lib/kubedoctor/clusters/local/pki/client-etcd.crt"


def test_external_component_elsewhere_on_the_network_is_out_of_a_sandboxs_reach() -> None:
    with pytest.raises(PlanError, match=r"a sandbox has no way to 192\.0\.2\.7"):
        plan(external=("etcd=192.0.2.7:2379",))
    made = plan(external=("etcd=192.0.2.7:2379",), place_kind=PlaceKind.HOST)
    assert made.reach == ()


def test_external_api_server_is_where_it_is_said_to_be() -> None:
    made = plan(external=("kube-apiserver=127.0.0.1:7443",), without=("etcd",))
    assert made.api is not None
    assert made.api.port == 7443
    assert component(made, "kube-controller-manager").ready[1].port == 7443


def test_external_address_needs_a_port() -> None:
    with pytest.raises(ConfigError, match=r"`127\.0\.0\.1` has no port"):
        plan(external=("etcd=127.0.0.1",))


def test_reached_port_that_a_component_has_inside_is_refused() -> None:
    with pytest.raises(PlanError, match="port 2379 of the host cannot be reached inside: etcd listens on it there"):
        plan(reach=("2379",))


def test_traces_reach_the_collector_on_the_host() -> None:
    assert plan(tracing=True).reach == (Reach(name="", port=4317),)


def test_reach_keeps_names() -> None:
    assert plan(reach=("hook=9443", "8080")).reach == (Reach(name="hook", port=9443), Reach(name="", port=8080))


def test_only_wished_for_ports_are_to_be_bound_outside() -> None:
    assert components(configuration(), bundled()).ports == (
        PortWish(key="kube-apiserver.https", address="127.0.0.1", outside=6443, exact=False),
    )
    wishes = components(configuration(api_port=7443, etcd_port=12379, publish=("8080:30080",)), bundled()).ports
    assert [(wish.key, wish.outside, wish.exact) for wish in wishes] == [
        ("etcd.client", 12379, True),
        ("kube-apiserver.https", 7443, True),
        ("publish.30080", 8080, True),
    ]


def test_port_option_publishes_any_port_of_a_component() -> None:
    made = plan(ports={"etcd.metrics": 2381, "kube-scheduler": 10259})
    assert [port.outside for port in component(made, "etcd").ports] == [0, 0, 2381]
    assert component(made, "kube-scheduler").ports[0].outside == 10259
    with pytest.raises(ConfigError, match="etcd has no port `metric`"):
        plan(ports={"etcd.metric": 2381})


def test_bound_ports_are_planned_and_unbound_ones_as_wished_for() -> None:
    assert component(plan(), "kube-apiserver").ports[0].outside == 6443
    assert component(plan(bound={"kube-apiserver.https": 20001}), "kube-apiserver").ports[0].outside == 20001
    assert component(plan(name="other"), "kube-apiserver").ports[0].outside == 0


def test_on_the_host_components_have_the_ports_themselves() -> None:
    made = plan(place_kind=PlaceKind.HOST, etcd_port=12379, api_port=7443)
    etcd = component(made, "etcd")
    assert [(port.name, port.inside, port.outside) for port in etcd.ports] == [
        ("client", 12379, 12379),
        ("peer", 12380, 12380),
        ("metrics", 12381, 12381),
    ]
    assert flag(made, "kube-apiserver", "etcd-servers") == "https://127.0.0.1:12379"
    assert flag(made, "kube-apiserver", "secure-port") == "7443"
    wishes = components(configuration(place_kind=PlaceKind.HOST), bundled()).ports
    assert {wish.outside for wish in wishes} == {2379, 2380, 2381, 6443, 10257, 10259}
    assert all(wish.exact for wish in wishes)


def test_probe_of_a_port_that_is_not_there_blames_the_plugin() -> None:
    sick = Component(name="sick", kind=Kind.EXTRA, binary="sick", ready=(Probe(kind=ProbeKind.TCP, port="web"),))
    wanted = components(configuration(), GivenComponents((sick,)))
    with pytest.raises(PlanError, match="the probe of sick asks port `web`"):
        make_plan(
            configuration(),
            wanted,
            {"sick": Binary("/bin/sick", "")},
            flags_of=lambda path, _: frozenset(),
            rejects=lambda path, words: None,
        )


def test_missing_binary_is_named() -> None:
    wanted = components(configuration(), bundled())
    with pytest.raises(PlanError, match="there is no binary for etcd"):
        make_plan(configuration(), wanted, {}, flags_of=lambda path, _: frozenset(), rejects=lambda path, words: None)


def test_third_party_component_is_planned_like_ours() -> None:
    ours = Component(
        name="sidecar",
        kind=Kind.EXTRA,
        binary="sidecar",
        arguments=("serve",),
        flags={"listen": ":9000", "quiet": True, "colour": False, "trace": None},
        ports=(Port(name="web", inside=9000, publish=0),),
        ready=(Probe(kind=ProbeKind.HTTP, port="web", path="/up"),),
    )
    wanted = components(configuration(), GivenComponents((ours,)))
    made = make_plan(
        configuration(),
        wanted,
        {"sidecar": Binary("/bin/sidecar", "v1.0.0")},
        flags_of=lambda path, _: frozenset({"listen", "quiet", "colour"}),
        rejects=lambda path, words: None,
        bound={"sidecar.web": 31000},
    )
    planned = made.components[0]
    assert planned.argv == ("/bin/sidecar", "serve", "--listen=:9000", "--quiet", "--colour=false")
    assert planned.ports[0].outside == 31000
    assert (planned.ready[0].address, planned.ready[0].port, planned.ready[0].path) == ("127.0.0.1", 9000, "/up")
