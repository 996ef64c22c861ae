"""What containerd is told of mirrors."""

from __future__ import annotations

import tomllib

from kubedoctor_runtime import registries
from kubedoctor_runtime.component import containerd

from kubedoctor.config import ClusterConfig

MIRRORS = ("docker.io=http://127.0.0.1:5000", "*=https://all.example/v2/all", "docker.io=https://second.example")


def test_each_registry_has_its_mirrors_in_order() -> None:
    files = {file.name.partition("/")[2]: tomllib.loads(file.content) for file in registries.files(config())}
    assert list(files) == ["docker.io/hosts.toml", "_default/hosts.toml"]
    assert list(files["docker.io/hosts.toml"]["host"]) == ["http://localhost.:5000", "https://second.example"]
    assert files["_default/hosts.toml"]["host"]["https://all.example/v2/all"]["override_path"] is True


def test_registry_of_the_hosts_loopback_is_asked_by_its_mirror_only() -> None:
    (file,) = registries.files(config("localhost:5000=http://localhost:5000"))
    assert tomllib.loads(file.content)["server"] == "http://localhost.:5000"


def test_other_mirrors_are_in_another_directory_so_that_none_is_left() -> None:
    first, second = registries.directory(config()), registries.directory(config("a=http://b"))
    assert first != second
    assert f'config_path = "{first}"' in configuration(config())


def test_without_mirrors_those_of_the_machine_count() -> None:
    assert not registries.files(config(mirrors=()))
    assert 'config_path = "/etc/containerd/certs.d"' in configuration(config(mirrors=()))


def test_containerd_alone_is_given_the_proxy() -> None:
    assert containerd(config()).env == dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY"), "http://kubedoctor:$(KUBEDOCTOR_INSTANCE)@127.0.0.2:3128"
    )


def config(*more: str, mirrors: tuple[str, ...] = MIRRORS) -> ClusterConfig:
    return ClusterConfig(registry_mirror=more or mirrors)


def configuration(config: ClusterConfig) -> str:
    return next(file.content for file in containerd(config).files if file.name == "containerd.toml")
