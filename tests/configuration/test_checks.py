# ruff: noqa: E501 - a message stands on one line, as it is shown
from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor.configuration.checks import require_files
from kubedoctor.configuration.environment import environment_layer
from kubedoctor.configuration.layers import Resolved, resolve
from kubedoctor.configuration.options import flag_layer
from kubedoctor.configuration.values import Layer
from kubedoctor.errors import ConfigError


def settle(flags: dict[str, object] | None = None, env: dict[str, str] | None = None) -> Resolved:
    return resolve(Layer(), environment_layer(env or {}, Path("/base")), flag_layer(flags or {}, Path("/base")))


@pytest.mark.parametrize(
    ("flags", "env", "message"),
    [
        ({"service_cluster_ip_range": "10.0.0.0/33"}, {}, "--service-cluster-ip-range: expected a range such as 10.0.0.0/24, found `10.0.0.0/33`"),
        ({"service_cluster_ip_range": "10.0.0.0/24,10.9.0.0/24"}, {}, "--service-cluster-ip-range: expected one range, or one of IPv4 and one of IPv6, found `10.0.0.0/24,10.9.0.0/24`"),
        ({"service_cluster_ip_range": "10.9.0.0/29"}, {}, "--service-cluster-ip-range: 10.9.0.0/29 has no tenth address for DNS"),
        ({"service_cluster_ip_range": "10.1.4.0/24"}, {}, "service addresses 10.1.4.0/24 (--service-cluster-ip-range) overlap pod addresses 10.1.0.0/16 (cluster-cidr)"),
        ({}, {"CLUSTER_CIDR": "fd00::/64,10.0.0.0/8"}, "service addresses 10.0.0.0/24 (service-cluster-ip-range) overlap pod addresses 10.0.0.0/8 (environment CLUSTER_CIDR)"),
        ({"cluster_cidr": "198.18.0.0/16"}, {}, "--cluster-cidr: 198.18.0.0/16 overlaps 198.18.0.0/15, the addresses of sandboxes"),
        ({}, {"DNS_SERVER_IP": "10.9.0.10"}, "environment DNS_SERVER_IP: 10.9.0.10, the address of DNS, is not in 10.0.0.0/24"),
        ({"service_cluster_ip_range": "10.9.0.0/24"}, {"FIRST_SERVICE_CLUSTER_IP": "10.0.0.1"}, "environment FIRST_SERVICE_CLUSTER_IP: 10.0.0.1, the address of service kubernetes, is not in 10.9.0.0/24"),
        ({}, {"DNS_SERVER_IP": "ten"}, "environment DNS_SERVER_IP: expected an IP address, found `ten`"),
        ({}, {"API_HOST": "a b"}, "environment API_HOST: expected a host name or an IP address, found `a b`"),
        ({"publish": ("1:2:3:4",)}, {}, "--publish: expected [ADDRESS:][OUTSIDE:]INSIDE, found `1:2:3:4`"),
        ({"reach": ("x",)}, {}, "--reach: expected a port, found `x`"),
        ({"external": ("etcd=",)}, {}, "--external: expected C or C=ADDRESS, found `etcd=`"),
        ({"only": ("etcd,Kube",)}, {}, "--only: `Kube` cannot be the name of a component"),
        ({"only": ("etcd",), "without": ("etcd",)}, {}, "--only asks for etcd, --without leaves it out"),
        ({"key_type": "dsa"}, {}, "--key-type: expected one of ecdsa, rsa, found `dsa`"),
        ({"log_level": "-1"}, {}, "--log-level: expected 0 or more, found -1"),
        ({"timeout": "0"}, {}, "--timeout: expected more than 0 seconds, found 0"),
        ({"timeout": "inf"}, {}, "--timeout: expected seconds, found `inf`"),
        ({}, {"LOG_SPEC": "a"}, "environment LOG_SPEC: expected PATTERN=n,…, found `a`"),
        ({}, {"CLAIM_BINDER_SYNC_PERIOD": "15"}, "environment CLAIM_BINDER_SYNC_PERIOD: expected a duration such as 15s, found `15`"),
        ({}, {"NODE_PORT_RANGE": "5-4"}, "environment NODE_PORT_RANGE: expected ports from 1 to 65535, the lower one first, found `5-4`"),
        ({}, {"ETCD_LOGLEVEL": "loud"}, "environment ETCD_LOGLEVEL: expected one of debug, info, warn, error, panic, fatal, found `loud`"),
        ({"api_port": "7000"}, {"ETCD_PORT": "7000"}, "--api-port and environment ETCD_PORT are both port 7000"),
        ({}, {"CLUSTER_SIGNING_CERT_FILE": "a"}, "environment CLUSTER_SIGNING_CERT_FILE needs cluster-signing-key-file too"),
        ({}, {"ENABLE_ADMISSION_PLUGINS": "A,B", "DISABLE_ADMISSION_PLUGINS": "B"}, "environment ENABLE_ADMISSION_PLUGINS enables B, environment DISABLE_ADMISSION_PLUGINS disables it"),
        ({"json_logs": ("c",), "vmodule": ("c=a=1",)}, {}, "--json-logs c excludes --vmodule c: Kubernetes' JSON logs have no vmodule"),
        ({"json_logs": ("kube-scheduler",)}, {"LOG_SPEC": "a=1"}, "--json-logs kube-scheduler excludes environment LOG_SPEC: Kubernetes' JSON logs have no vmodule"),
        ({"set": ("c.logging-format=json", "c.vmodule=a=1")}, {}, "--set c.logging-format excludes --set c.vmodule: Kubernetes' JSON logs have no vmodule"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_layers_named(
    flags: dict[str, object], env: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settle(flags, env)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("flags", "env"),
    [
        ({"service_cluster_ip_range": "fd00::/112"}, {}),
        ({"service_cluster_ip_range": "10.2.0.0/24,fd00::/112", "cluster_cidr": "10.3.0.0/16,fd01::/64"}, {}),
        ({"service_cluster_ip_range": "10.2.0.0/29"}, {"DNS_SERVER_IP": "10.2.0.3"}),
        ({"cluster_cidr": "198.18.0.0/16", "host": True}, {}),
        ({"json_logs": ("etcd",)}, {"LOG_SPEC": "a=1"}),
        ({"json_logs": ("c",), "vmodule": ("d=a=1",)}, {}),
        ({}, {"API_SECURE_PORT": "7000", "ETCD_PORT": "7000", "ETCD_HOST": "127.0.0.2"}),
        ({}, {"API_HOST": "::1", "NODE_PORT_RANGE": "30000+100"}),
    ],
)
def test_what_can_be_is_taken(flags: dict[str, object], env: dict[str, str]) -> None:
    settle(flags, env)


def test_idle_wishes_are_noted(tmp_path: Path) -> None:
    notes = settle(env={"AUTHORIZATION_CONFIG": "a.yaml", "AUTHORIZATION_MODE": "RBAC"}).notes
    assert notes == ("environment AUTHORIZATION_MODE has no effect: environment AUTHORIZATION_CONFIG replaces it",)
    assert settle(env={"AUTHORIZATION_CONFIG": "a.yaml"}).notes == ()
    (note,) = settle(env={"FIRST_SERVICE_CLUSTER_IP": "10.0.0.7"}).notes
    assert note.startswith("environment FIRST_SERVICE_CLUSTER_IP: 10.0.0.7 is in the certificate only")


def test_files_that_were_named_have_to_be_there(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    cases: list[tuple[dict[str, object], dict[str, str], str]] = [
        ({}, {"AUDIT_POLICY_FILE": "/no/audit.yaml"}, "environment AUDIT_POLICY_FILE: there is no file /no/audit.yaml"),
        ({"bin_dir": str(there)}, {}, f"--bin-dir: there is no directory {there}"),
        ({"binary": ("etcd=/no/etcd",)}, {}, "--binary etcd: there is no file /no/etcd"),
    ]
    for flags, env, message in cases:
        resolved = settle(flags, env)
        with pytest.raises(ConfigError) as caught:
            require_files(resolved.config, resolved.origins)
        assert caught.value.message == message
    fine = settle({"binary": (f"etcd={there}",), "bin_dir": str(tmp_path)}, {"AUDIT_POLICY_FILE": str(there)})
    require_files(fine.config, fine.origins)
