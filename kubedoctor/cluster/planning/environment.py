"""The environment of a component: little, and nothing that changes its behaviour behind the user's back."""

from __future__ import annotations

from collections.abc import Mapping

from kubedoctor.config import ClusterConfig

PASSED_ON = (
    "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
    # what people who build and debug Go programs set
    "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR",
)  # fmt: skip
"""What of the caller's environment components get. Neither ETCD_* (etcd reads its settings from there) nor proxies."""

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def base_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return what every component gets of the *caller*'s environment.

    The system's directories are added to PATH, for an ordinary user's lacks those with iptables and mount.
    """
    path = [part for part in caller.get("PATH", "").split(":") if part.startswith("/")]
    path += [part for part in SYSTEM_PATH if part not in path]
    kept = {name: caller[name] for name in PASSED_ON if caller.get(name)}
    return {"PATH": ":".join(path), "HOME": caller.get("HOME") or "/", "LANG": "C.UTF-8", **kept}


def component_environment(config: ClusterConfig, base: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return a component's whole environment.

    A proxy that the user wants for it (`--env C.HTTPS_PROXY=…`) does not get the cluster's own traffic: kube-apiserver
    would send its connections to itself through it and give up after 30 s.
    """
    environment = {**base, **own}
    if any(name in own for name in _PROXIES) and not any(name in own for name in ("NO_PROXY", "no_proxy")):
        direct = ["localhost", "127.0.0.0/8", "::1", config.address]
        direct += config.service_cluster_ip_range.split(",") + config.cluster_cidr.split(",")
        environment["NO_PROXY"] = ",".join([*direct, ".svc", f".{config.dns_domain}"])
    return environment
