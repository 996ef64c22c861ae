"""What command lines say of who listens where and who talks to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import kubeconfig, look_at

from kubedoctor.doctor.discovery.addresses import (
    Endpoint,
    api_address,
    endpoint,
    endpoints,
    etcd_clients,
    meets,
    path_of,
    runtime_socket,
    wanted_api,
    wanted_runtime,
)
from kubedoctor.facts import Denied
from kubedoctor.targets import Instance


def instance(name: str, *flags: str, directory: str = "", **environment: str) -> Instance:
    return Instance(name=name, source="", argv=(name, *flags), directory=directory, environment=environment)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://127.0.0.1:2379", Endpoint("127.0.0.1", 2379)),
        ("127.0.0.1:6443", Endpoint("127.0.0.1", 6443)),
        ("https://[::1]:6443/x", Endpoint("::1", 6443)),
        (":6443", Endpoint("", 6443)),
        ("https://api.example", Endpoint("api.example", 443)),
        ("unix:///var/run/crio/crio.sock", Endpoint(path="/run/crio/crio.sock")),
        ("unix:/run/a.sock", Endpoint(path="/run/a.sock")),
        ("/run/a.sock", Endpoint(path="/run/a.sock")),
        ("http://localhost:0", None),
        ("https://[::1", None),
        ("a:99999", None),
        ("", None),
    ],
)
def test_addresses_are_read_in_every_form(text: str, found: Endpoint | None) -> None:
    assert endpoint(text) == found


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    for one in endpoints(text):
        assert one.path or 0 < one.port < 65536


@pytest.mark.parametrize(
    ("needed", "offered", "so"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("localhost:1", "127.0.0.1:1", True),
        ("localhost:1", "[::1]:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("10.0.0.9:1", "127.0.0.1:1", False),
        ("127.0.0.1:1", "10.0.0.9:1", False),
        ("10.0.0.9:1", "0.0.0.0:1", True),
        ("api.example:1", "10.0.0.9:1", True),
        ("/run/a", "/run/a", True),
        ("/run/a", "127.0.0.1:1", False),
    ],
)
def test_who_may_be_a_client_of_whom(needed: str, offered: str, so: bool) -> None:
    one, other = endpoint(needed), endpoint(offered)
    assert one is not None
    assert other is not None
    assert meets(one, other) is so


def test_etcd_is_reached_where_flags_environment_or_file_say() -> None:
    look = look_at([], {"/etc/etcd.yaml": "listen-client-urls: http://127.0.0.1:5\ndata-dir: /d\n"})
    default = etcd_clients(look, instance("etcd"))
    assert default == {Endpoint("localhost", 2379)}
    assert etcd_clients(look, instance("etcd", "--listen-client-urls", "http://127.0.0.1:7")) == {
        Endpoint("127.0.0.1", 7)
    }
    assert etcd_clients(look, instance("etcd", ETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:9")) == {
        Endpoint("127.0.0.1", 9)
    }
    by_file = instance("etcd", "--config-file=/etc/etcd.yaml", "--listen-client-urls=http://127.0.0.1:7")
    assert etcd_clients(look, by_file) == {Endpoint("127.0.0.1", 5)}


def test_an_api_server_listens_where_its_flags_say() -> None:
    assert api_address(instance("kube-apiserver")) == Endpoint("0.0.0.0", 6443)
    assert api_address(instance("kube-apiserver", "--bind-address=::", "--secure-port=7")) == Endpoint("::", 7)
    assert api_address(instance("kube-apiserver", "--secure-port=many")) is None
    assert api_address(instance("k3s", "--https-listen-port=16443")) == Endpoint("0.0.0.0", 16443)


def test_clients_name_their_api_server_by_flag_or_file() -> None:
    files = {
        "/k": kubeconfig("https://127.0.0.1:6443"),
        "/w/k": kubeconfig("https://[::1]:7"),
        "/s.yaml": "clientConnection:\n  kubeconfig: /k\n",
        "/bootstrap": kubeconfig("https://10.0.0.1:8"),
    }
    look = look_at([], files)
    assert wanted_api(look, instance("kubelet", "--kubeconfig=/k")) == Endpoint("127.0.0.1", 6443)
    assert wanted_api(look, instance("kubelet", "--kubeconfig=k", directory="/w")) == Endpoint("::1", 7)
    assert wanted_api(look, instance("kube-scheduler", "--config=/s.yaml")) == Endpoint("127.0.0.1", 6443)
    assert wanted_api(look, instance("kube-proxy", "--config=/s.yaml", "--master=http://h:9")) == Endpoint("h", 9)
    waiting = instance("kubelet", "--kubeconfig=/none", "--bootstrap-kubeconfig=/bootstrap")
    assert wanted_api(look, waiting) == Endpoint("10.0.0.1", 8)
    assert wanted_api(look, instance("kube-scheduler")) is None


def test_a_kubeconfig_that_may_not_be_read_is_not_guessed_at() -> None:
    look = look_at([], {"/k": Denied("needs root to read /k")})
    with pytest.raises(Denied):
        wanted_api(look, instance("kubelet", "--kubeconfig=/k"))


def test_runtimes_listen_where_flags_files_and_defaults_say() -> None:
    look = look_at([], {"/c.toml": 'version = 3\n[grpc]\naddress = "/run/mine.sock"\n', "/broken.toml": "= ="})
    assert runtime_socket(look, instance("containerd")) == {Endpoint(path="/run/containerd/containerd.sock")}
    assert runtime_socket(look, instance("containerd", "-c", "/c.toml")) == {Endpoint(path="/run/mine.sock")}
    assert runtime_socket(look, instance("containerd", "-c", "/broken.toml")) == runtime_socket(
        look, instance("containerd")
    )
    assert runtime_socket(look, instance("containerd", "-a", "/run/k3s/c.sock")) == {Endpoint(path="/run/k3s/c.sock")}
    assert runtime_socket(look, instance("crio", "--listen=/run/x")) == {Endpoint(path="/run/x")}
    assert runtime_socket(look, instance("dockerd", "-H", "fd://")) == {Endpoint(path="/run/docker.sock")}


def test_a_kubelet_names_its_runtime_by_flag_file_or_default() -> None:
    look = look_at([], {"/k.yaml": "containerRuntimeEndpoint: unix:///run/crio/crio.sock\n", "/silent.yaml": "{}"})
    crio, default = Endpoint(path="/run/crio/crio.sock"), Endpoint(path="/run/containerd/containerd.sock")
    assert wanted_runtime(look, instance("kubelet", "--config=/k.yaml")) == crio
    assert wanted_runtime(look, instance("kubelet", "--config=/silent.yaml")) == default
    told = instance("kubelet", "--config=/k.yaml", "--container-runtime-endpoint=unix:///run/a")
    assert wanted_runtime(look, told) == Endpoint(path="/run/a")
    assert wanted_runtime(look, instance("cri-dockerd")) == Endpoint(path="/run/docker.sock")


def test_a_relative_path_is_of_the_working_directory() -> None:
    assert path_of(instance("kubelet", "--config=k.yaml", directory="/var"), "config") == "/var/k.yaml"
    assert path_of(instance("kubelet", "--config=k.yaml"), "config") == ""
    assert path_of(instance("kubelet"), "config") == ""
