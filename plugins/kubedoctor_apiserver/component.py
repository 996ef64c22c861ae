"""What kube-apiserver is run with."""

from __future__ import annotations

import ipaddress
import json

from kubedoctor import (
    Authority,
    Certificate,
    ClusterConfig,
    Component,
    File,
    FlagValue,
    Kind,
    Kubeconfig,
    Port,
    Probe,
    ProbeKind,
    Stop,
)

NAME = "kube-apiserver"
PORT = 6443
ETCD_PORT = 2379

ISSUER = "https://kubernetes.default.svc"
TRACING_FILE = "apiserver-tracing.json"

USABLE = (
    "/readyz?exclude=poststarthook/rbac/bootstrap-roles"
    "&exclude=poststarthook/scheduling/bootstrap-system-priority-classes"
)
"""Both of these look only once a second whether they are done; nodes and administrators need no role of theirs."""

STOP_SECONDS = 1.5
"""On SIGTERM it waits for watches to end; its data is in etcd, so SIGKILL after this long loses nothing."""


def apiserver(config: ClusterConfig) -> Component:
    """Return kube-apiserver as *config* wants it."""
    port = config.port_inside(PORT, config.api_port)
    reached = _sandboxed(config) or config.node  # by pods, which no loopback address leads to
    bind = config.api_bind_address or ("0.0.0.0" if reached else "127.0.0.1")  # noqa: S104 - see above
    return Component(
        name=NAME,
        kind=Kind.CONTROL_PLANE,
        binary=NAME,
        flags={
            "bind-address": bind,
            "secure-port": port,
            **_advertised(config),
            **_etcd(config),
            **_serving(config),
            **_service_accounts(config),
            **_authorization(config),
            **_admission(config),
            **_aggregation(config),
            **_options(config),
            **config.version_flags(),
            **config.logging_flags(),
        },
        files=_files(config),
        env=config.debugging_environment(),
        certificates=_certificates(config),
        kubeconfigs=(Kubeconfig(name="admin", certificate="client-admin", inside=False),),
        ports=(
            Port(
                name="https",
                inside=port,
                publish=config.api_port or PORT,
                publish_address=config.api_host_ip,
                exact=config.api_port is not None,
            ),
        ),
        after=("etcd",),
        usable=(Probe(kind=ProbeKind.API, port="https", path=USABLE),),
        ready=(Probe(kind=ProbeKind.API, port="https", path="/readyz"),),
        stop=Stop(timeout=STOP_SECONDS),
    )


def _sandboxed(config: ClusterConfig) -> bool:
    return config.place_kind == "sandbox"


def _advertised(config: ClusterConfig) -> dict[str, FlagValue]:
    """Return what nodes and pods are told the API's address is.

    A loopback address cannot be advertised: kube-apiserver exits after a second. Without nodes nobody needs one, so
    nothing is advertised then; with a node on the host kube-apiserver finds the address of the default route itself.
    """
    wished = config.advertise_address or ("" if _is_loopback(config.api_host_ip) else config.api_host_ip)
    if _sandboxed(config):
        wished = config.advertise_address or config.address
    if wished and not _is_loopback(wished):
        return {"advertise-address": wished, "endpoint-reconciler-type": None}
    if config.advertise_address or not config.node:
        return {"advertise-address": config.advertise_address or "127.0.0.1", "endpoint-reconciler-type": "none"}
    return {"advertise-address": None, "endpoint-reconciler-type": None}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _etcd(config: ClusterConfig) -> dict[str, FlagValue]:
    external = config.external_address("etcd")
    if external and not external.startswith("https://"):
        return {"etcd-servers": external if "://" in external else f"http://{external}"}
    port = config.port_inside(ETCD_PORT, config.etcd_port)
    return {
        "etcd-servers": external or f"https://127.0.0.1:{port}",
        "etcd-cafile": config.pki("etcd-ca.crt"),
        "etcd-certfile": config.pki("client-etcd.crt"),
        "etcd-keyfile": config.pki("client-etcd.key"),
    }


def _serving(config: ClusterConfig) -> dict[str, FlagValue]:
    return {
        "tls-cert-file": config.pki("serving-kube-apiserver.crt"),
        "tls-private-key-file": config.pki("serving-kube-apiserver.key"),
        "client-ca-file": config.pki("client-ca.crt"),
        "kubelet-client-certificate": config.pki("client-kube-apiserver.crt"),
        "kubelet-client-key": config.pki("client-kube-apiserver.key"),
        "kubelet-certificate-authority": config.pki("server-ca.crt") if config.node else None,
        # By host name, as is the default, `logs` and `exec` wait for a name server that does not know the node.
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "external-hostname": config.external_hostname or None,
        "cors-allowed-origins": config.cors_allowed_origins or None,
    }


def _service_accounts(config: ClusterConfig) -> dict[str, FlagValue]:
    return {
        "service-account-issuer": ISSUER,
        "service-account-jwks-uri": f"{ISSUER}/openid/v1/jwks",
        "service-account-key-file": config.service_account_key or config.pki("service-account.pub"),
        "service-account-signing-key-file": config.service_account_key or config.pki("service-account.key"),
        "service-account-lookup": None if config.service_account_lookup else False,
    }


def _authorization(config: ClusterConfig) -> dict[str, FlagValue]:
    webhook: dict[str, FlagValue] = {
        "authentication-token-webhook-config-file": config.authentication_webhook_config_file or None,
    }
    if config.authorization_config:  # excludes the other two
        return {"authorization-config": config.authorization_config, **webhook}
    return {
        "authorization-mode": config.authorization_mode,
        "authorization-webhook-config-file": config.authorization_webhook_config_file or None,
        **webhook,
    }


def _admission(config: ClusterConfig) -> dict[str, FlagValue]:
    enabled = list(config.enable_admission_plugins)
    nodes_are_restricted = config.authorization_config or "Node" in config.authorization_mode.split(",")
    if nodes_are_restricted and "NodeRestriction" not in (*enabled, *config.disable_admission_plugins):
        enabled.append("NodeRestriction")
    return {
        "enable-admission-plugins": ",".join(enabled) or None,
        "disable-admission-plugins": ",".join(config.disable_admission_plugins) or None,
        "admission-control-config-file": config.admission_control_config_file or None,
    }


def _aggregation(config: ClusterConfig) -> dict[str, FlagValue]:
    return {
        "requestheader-client-ca-file": config.pki("request-header-ca.crt"),
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": config.pki("client-auth-proxy.crt"),
        "proxy-client-key-file": config.pki("client-auth-proxy.key"),
    }


def _options(config: ClusterConfig) -> dict[str, FlagValue]:
    audited = bool(config.audit_policy_file)
    return {
        "service-cluster-ip-range": config.service_cluster_ip_range,
        "service-node-port-range": config.node_port_range or None,
        "allow-privileged": config.allow_privileged,
        "runtime-config": config.runtime_config or None,
        "audit-policy-file": config.audit_policy_file or None,
        "audit-log-path": config.log("kube-apiserver-audit.log") if audited else None,
        "egress-selector-config-file": config.egress_selector_config_file or None,
        "storage-backend": config.storage_backend or None,
        "storage-media-type": config.storage_media_type or None,
        "tracing-config-file": config.file(TRACING_FILE) if config.tracing else None,
        # Removed in 1.33; the planner leaves out what a binary does not know.
        "cloud-provider": config.cloud_provider or None,
        "cloud-config": config.cloud_config or None,
    }


def _files(config: ClusterConfig) -> tuple[File, ...]:
    if not config.tracing:
        return ()
    tracing = {
        "apiVersion": "apiserver.config.k8s.io/v1beta1",  # known since 1.27
        "kind": "TracingConfiguration",
        "endpoint": "localhost:4317",
        "samplingRatePerMillion": 1_000_000,
    }
    return (File(name=TRACING_FILE, content=json.dumps(tracing, indent=2) + "\n"),)


def _certificates(config: ClusterConfig) -> tuple[Certificate, ...]:
    return (
        Certificate(
            name="serving-kube-apiserver",
            authority=Authority.SERVER,
            common_name="kubernetes.default",
            sans=config.api_server_names(),
            server=True,
        ),
        Certificate(
            name="client-admin",
            authority=Authority.CLIENT,
            common_name="system:admin",
            organizations=("system:masters",),
            client=True,
        ),
        Certificate(
            name="client-kube-apiserver",
            authority=Authority.CLIENT,
            common_name="kube-apiserver",
            organizations=(
                "system:masters",
            ),  # to kubelets: `logs`, `exec`; spares a role binding that would come late
            client=True,
        ),
        Certificate(
            name="client-auth-proxy", authority=Authority.REQUEST_HEADER, common_name="system:auth-proxy", client=True
        ),
    )
