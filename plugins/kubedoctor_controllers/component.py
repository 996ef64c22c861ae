"""What kube-controller-manager is run with."""

from __future__ import annotations

from kubedoctor import (
    Authority,
    Certificate,
    ClusterConfig,
    Component,
    FlagValue,
    Kind,
    Kubeconfig,
    Port,
    Probe,
    ProbeKind,
    Stop,
)

NAME = "kube-controller-manager"
PORT = 10257
HOST_PATHS = "/tmp/hostpath_pv"  # noqa: S108 - where its host path provisioner writes, whatever it is told

# With credentials for each controller it makes some 100 requests before anything runs. At the default of 20 a second
# that is 5 s of waiting.
QUERIES_PER_SECOND = 1000
BURST = 2000


def controller_manager(config: ClusterConfig) -> Component:
    """Return kube-controller-manager as *config* wants it.

    It works when the ServiceAccount `default` exists: no pod can be made before.
    """
    port = config.port_inside(PORT, config.kcm_port)
    kubeconfig = config.kubeconfig("controller")
    flags: dict[str, FlagValue] = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        # Without them it makes an RSA key and certificate at every start.
        "tls-cert-file": config.pki("serving-kube-controller-manager.crt"),
        "tls-private-key-file": config.pki("serving-kube-controller-manager.key"),
        "use-service-account-credentials": True,
        "service-account-private-key-file": config.service_account_key or config.pki("service-account.key"),
        "root-ca-file": config.pki("server-ca.crt"),
        "cluster-signing-cert-file": config.cluster_signing_cert_file or config.pki("client-ca.crt"),
        "cluster-signing-key-file": config.cluster_signing_key_file or config.pki("client-ca.key"),
        "allocate-node-cidrs": True,
        "cluster-cidr": config.cluster_cidr,
        "service-cluster-ip-range": config.service_cluster_ip_range,
        "controllers": config.kube_controllers if config.kube_controllers != "*" else None,
        "leader-elect": config.leader_elect,
        "kube-api-qps": QUERIES_PER_SECOND,
        "kube-api-burst": BURST,
        "pvclaimbinder-sync-period": config.claim_binder_sync_period or None,
        "enable-hostpath-provisioner": True if config.enable_hostpath_provisioner else None,
        "cloud-provider": "external" if config.external_cloud_provider else config.cloud_provider or None,
        "cloud-config": config.cloud_config or None,
        "external-cloud-volume-plugin": config.external_cloud_volume_plugin or None,
        "configure-cloud-routes": None if config.configure_cloud_routes else False,
        **config.version_flags(),
        **config.logging_flags(),
    }
    return Component(
        name=NAME,
        kind=Kind.CONTROL_PLANE,
        binary=NAME,
        flags=flags,
        env=config.debugging_environment(),
        certificates=(
            Certificate(
                name="client-controller",
                authority=Authority.CLIENT,
                common_name="system:kube-controller-manager",
                client=True,
            ),
            Certificate(
                name="serving-kube-controller-manager",
                authority=Authority.SERVER,
                common_name=NAME,
                sans=("localhost", "127.0.0.1", "::1"),
                server=True,
            ),
        ),
        kubeconfigs=(Kubeconfig(name="controller", certificate="client-controller"),),
        private=(HOST_PATHS,) if config.enable_hostpath_provisioner else (),
        ports=(Port(name="https", inside=port, publish=config.kcm_port, exact=config.kcm_port is not None),),
        after=("kube-apiserver",),
        ready=_ready(config),
        stop=Stop(timeout=2.0),
    )


def _ready(config: ClusterConfig) -> tuple[Probe, ...]:
    healthy = Probe(kind=ProbeKind.HTTPS, port="https", path="/healthz", ca="server-ca")
    controllers = config.set.get(NAME, {}).get("controllers", config.kube_controllers)
    if not _makes_service_accounts(str(controllers or "*")):
        return (healthy,)
    account = Probe(kind=ProbeKind.API, path="/api/v1/namespaces/default/serviceaccounts/default")
    return (healthy, account)


def _makes_service_accounts(controllers: str) -> bool:
    """Return whether *controllers*, as `--controllers` takes them, has the one that makes ServiceAccounts."""
    names = {name.strip() for name in controllers.split(",")}
    ours = {"serviceaccount-controller", "serviceaccount"}  # the second is its name before 1.29, still understood
    if names & {f"-{name}" for name in ours}:
        return False
    return bool(names & ours) or "*" in names
