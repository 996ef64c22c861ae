"""What a cluster is asked to be: one frozen dataclass, every value of which knows where it came from.

The layers are laid over each other in `kubedoctor.config_layers`; this module is the table they, the command line's help and
the reference page read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from kubedoctor.components import FlagValue


class PlaceKind(StrEnum):
    """Where a plan runs."""

    SANDBOX = "sandbox"
    HOST = "host"


def option(default: Any, *, help: str, env: tuple[str, ...] = (), flag: str = "") -> Any:  # noqa: A002 - click's own word
    """Return a dataclass field that carries its documentation and the environment names it is honoured under.

    `KUBEDOCTOR_<FIELD>` is honoured for every option and comes first; *env* holds the names of local-up-cluster.sh and of
    the seed document. *flag* names the command-line option where it is not `--<field>`; "-" means there is none.
    """
    metadata = {"help": help, "env": env, "flag": flag}
    if isinstance(default, (dict, list)):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """The settled wishes for one cluster. Plugins read it; nothing writes it."""

    # which cluster, where
    name: str = option("local", help="name of the cluster")
    host: bool = option(False, help="run on the host itself instead of in a sandbox")
    node: bool = option(True, help="run a node: runtime, kubelet, kube-proxy")

    # which binaries
    kubernetes: str = option("", env=("KUBE_VERSION",), help="Kubernetes version: exact, 1.36, or latest")
    binary: Mapping[str, str] = option({}, help="binary of one component: C=PATH")
    bin_dir: str = option("", env=("GO_OUT",), help="directory that holds binaries by their names")
    checkout: str = option("", help="Kubernetes checkout whose _output folders hold binaries")
    download: bool = option(True, help="allow downloads of releases", flag="--download/--no-download")
    download_url: str = option("https://dl.k8s.io/release", help="base URL of Kubernetes releases", flag="-")
    github_url: str = option("https://github.com", help="base URL of the other releases", flag="-")
    build: bool = option(True, help="allow building from Go modules", flag="--build/--no-build")

    # which components
    only: tuple[str, ...] = option((), help="run these components only")
    without: tuple[str, ...] = option((), help="leave these components out")
    external: tuple[str, ...] = option((), help="components that run elsewhere: C, or C=ADDRESS")
    start_mode: str = option("", env=("START_MODE",), help="local-up-cluster.sh's start mode", flag="-")

    # addresses and ports
    api_host: str = option("localhost", env=("API_HOST",), help="host name of the API in certificates", flag="-")
    api_host_ip: str = option("127.0.0.1", env=("API_HOST_IP",), help="outside address the API is published at", flag="-")
    api_port: int | None = option(None, env=("API_SECURE_PORT",), help="outside port of the API (6443, or a free one)")
    api_bind_address: str = option("", env=("API_BIND_ADDR",), help="address kube-apiserver binds inside", flag="-")
    advertise_address: str = option("", env=("ADVERTISE_ADDRESS",), help="address kube-apiserver advertises", flag="-")
    external_hostname: str = option("", env=("EXTERNAL_HOSTNAME",), help="external host name of the API", flag="-")
    node_port_range: str = option("", env=("NODE_PORT_RANGE",), help="range of node ports", flag="-")
    service_cluster_ip_range: str = option("10.0.0.0/24", env=("SERVICE_CLUSTER_IP_RANGE",), help="service addresses")
    first_service_cluster_ip: str = option("", env=("FIRST_SERVICE_CLUSTER_IP",), help="address of service kubernetes", flag="-")
    cluster_cidr: str = option("10.1.0.0/16", env=("CLUSTER_CIDR",), help="pod addresses")
    dns_server_ip: str = option("", env=("DNS_SERVER_IP", "KUBE_DNS_SERVER_IP"), help="address of the DNS service", flag="-")
    dns_domain: str = option("cluster.local", env=("DNS_DOMAIN", "KUBE_DNS_NAME"), help="cluster domain", flag="-")
    publish: tuple[str, ...] = option((), help="make a port of the inside reachable: [ADDRESS:][OUTSIDE:]INSIDE")
    reach: tuple[str, ...] = option((), help="make a port of the host's loopback reachable inside: [NAME=]PORT")

    # etcd
    etcd_host: str = option("", env=("ETCD_HOST",), help="outside address etcd is published at", flag="-")
    etcd_port: int | None = option(None, env=("ETCD_PORT",), help="outside port etcd is published at", flag="-")
    etcd_dir: str = option("", env=("ETCD_DIR",), help="etcd's data directory", flag="-")
    preserve_etcd: bool = option(True, env=("PRESERVE_ETCD",), help="keep etcd's data over `down`", flag="-")
    etcd_log_level: str = option("", env=("ETCD_LOGLEVEL",), help="etcd's log level", flag="-")
    unsafe_no_fsync: bool = option(False, help="etcd without fsync: faster, for throw-away clusters")

    # the API server
    authorization_mode: str = option("Node,RBAC", env=("AUTHORIZATION_MODE",), help="authorization modes", flag="-")
    authorization_config: str = option("", env=("AUTHORIZATION_CONFIG",), help="authorization configuration file", flag="-")
    authorization_webhook_config_file: str = option(
        "", env=("AUTHORIZATION_WEBHOOK_CONFIG_FILE",), help="authorization webhook", flag="-"
    )
    authentication_webhook_config_file: str = option(
        "", env=("AUTHENTICATION_WEBHOOK_CONFIG_FILE",), help="token webhook", flag="-"
    )
    enable_admission_plugins: tuple[str, ...] = option(
        (), env=("ENABLE_ADMISSION_PLUGINS",), help="admission plugins beside the default ones", flag="-"
    )
    disable_admission_plugins: tuple[str, ...] = option(
        (), env=("DISABLE_ADMISSION_PLUGINS",), help="default admission plugins to turn off", flag="-"
    )
    admission_control_config_file: str = option(
        "", env=("ADMISSION_CONTROL_CONFIG_FILE",), help="admission configuration file", flag="-"
    )
    runtime_config: str = option("", env=("RUNTIME_CONFIG",), help="API groups and versions to turn on or off", flag="-")
    allow_privileged: bool = option(True, env=("ALLOW_PRIVILEGED",), help="allow privileged pods", flag="-")
    audit_policy_file: str = option("", env=("AUDIT_POLICY_FILE",), help="audit policy; auditing is off without", flag="-")
    egress_selector_config_file: str = option(
        "", env=("EGRESS_SELECTOR_CONFIG_FILE",), help="egress selector configuration", flag="-"
    )
    cors_allowed_origins: str = option("", env=("API_CORS_ALLOWED_ORIGINS",), help="CORS origins", flag="-")
    storage_backend: str = option("", env=("STORAGE_BACKEND",), help="storage backend", flag="-")
    storage_media_type: str = option("", env=("STORAGE_MEDIA_TYPE",), help="storage media type", flag="-")
    service_account_lookup: bool = option(True, env=("SERVICE_ACCOUNT_LOOKUP",), help="check that tokens' secrets exist", flag="-")
    service_account_key: str = option("", env=("SERVICE_ACCOUNT_KEY",), help="service-account key of the user's own", flag="-")

    # controllers and scheduler
    kube_controllers: str = option("*", env=("KUBE_CONTROLLERS",), help="controllers to run", flag="-")
    leader_elect: bool = option(False, env=("LEADER_ELECT",), help="leader election", flag="-")
    cluster_signing_cert_file: str = option("", env=("CLUSTER_SIGNING_CERT_FILE",), help="CA that signs CSRs", flag="-")
    cluster_signing_key_file: str = option("", env=("CLUSTER_SIGNING_KEY_FILE",), help="its key", flag="-")
    claim_binder_sync_period: str = option("", env=("CLAIM_BINDER_SYNC_PERIOD",), help="PV claim binder period", flag="-")
    enable_hostpath_provisioner: bool = option(False, env=("ENABLE_HOSTPATH_PROVISIONER",), help="host-path volumes", flag="-")
    kcm_port: int | None = option(None, env=("KCM_SECURE_PORT",), help="outside port of kube-controller-manager", flag="-")
    scheduler_port: int | None = option(None, env=("SCHEDULER_SECURE_PORT",), help="outside port of kube-scheduler", flag="-")
    cloud_provider: str = option("", env=("CLOUD_PROVIDER",), help="cloud provider", flag="-")
    cloud_config: str = option("", env=("CLOUD_CONFIG",), help="cloud configuration file", flag="-")
    external_cloud_provider: bool = option(False, env=("EXTERNAL_CLOUD_PROVIDER",), help="cloud controllers run elsewhere", flag="-")

    # everything
    feature_gates: Mapping[str, str] = option({}, env=("FEATURE_GATES",), help="feature gates: A=true,B=false")
    emulated_version: str = option("", env=("EMULATED_VERSION",), help="version to emulate", flag="-")
    log_level: int = option(2, env=("LOG_LEVEL",), help="log level of all components")
    log_spec: str = option("", env=("LOG_SPEC",), help="--vmodule of all components", flag="-")
    tracing: bool = option(False, env=("ENABLE_TRACING",), help="send traces to localhost:4317", flag="-")

    # one component
    set: Mapping[str, Mapping[str, FlagValue]] = option({}, help="a flag of a component: C.flag=value; C.flag- removes it")
    env: Mapping[str, Mapping[str, str]] = option({}, help="environment of a component: C.K=V")
    v: Mapping[str, int] = option({}, help="log level of a component: C=n")
    vmodule: Mapping[str, str] = option({}, help="--vmodule of a component: C=PATTERN=n,…")
    json_logs: tuple[str, ...] = option((), help="components that log JSON")

    # keys and directories
    cert_dir: str = option("", env=("CERT_DIR",), help="directory of certificates, keys and kubeconfigs", flag="-")
    log_dir: str = option("", env=("LOG_DIR",), help="directory of logs", flag="-")
    key_type: str = option("ecdsa", help="ecdsa (P-256) or rsa (2048)")
    authority: Mapping[str, str] = option({}, help="a CA of your own: server|client|request-header|etcd=CERT,KEY")
    reuse_certs: bool = option(True, env=("REUSE_CERTS",), help="keep certificates that are still right", flag="-")
    single_authority: bool = option(False, env=("ENABLE_SINGLE_CA_SIGNER",), help="one CA for servers and clients", flag="-")

    # manner
    daemon: bool = option(True, env=("ENABLE_DAEMON",), help="return when ready; else stay attached", flag="-")
    verbose: int = option(0, env=("KUBE_VERBOSE",), help="how much kubedoctor itself tells", flag="-")
    timeout: float = option(120.0, help="seconds until a cluster that is not ready counts as failed")

    # settled by the core, not options: where things lie
    plugin: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # [plugin.NAME] tables of the file
    place_kind: PlaceKind = PlaceKind.SANDBOX
    directory: Path = Path()  # of the cluster
    place: str = "node-1"
    node_index: int = 1

    def pki(self, name: str) -> str:
        """Return the path of a file in the certificate directory, such as `server-ca.crt`."""
        return str((Path(self.cert_dir) if self.cert_dir else self.directory / "pki") / name)

    def kubeconfig(self, name: str) -> str:
        """Return the path of a kubeconfig: kubeconfig/<name>, or <name>.kubeconfig beside the keys under CERT_DIR."""
        if self.cert_dir:
            return str(Path(self.cert_dir) / f"{name}.kubeconfig")
        return str(self.directory / "kubeconfig" / name)

    @property
    def place_directory(self) -> Path:
        """The directory of the place this configuration is for."""
        return self.directory / "places" / self.place

    def file(self, name: str) -> str:
        """Return the path a `File` of this name is written to."""
        return str(self.place_directory / "config" / name)

    def data(self, name: str) -> str:
        """Return the path of a component's data directory."""
        return str(self.place_directory / "data" / name)

    def log(self, name: str) -> str:
        """Return the path of a log file, such as `kube-apiserver.log`."""
        return str((Path(self.log_dir) if self.log_dir else self.place_directory / "logs") / name)

    @property
    def address(self) -> str:
        """The address of the place as its own components see it: never a loopback one in a sandbox."""
        # 198.18.0.0/15 is reserved for benchmarking (RFC 2544): it is on no one's network. Place n has 198.18.0.n.
        return f"198.18.0.{self.node_index}" if self.place_kind is PlaceKind.SANDBOX else "127.0.0.1"

    def plugin_settings(self, name: str) -> Mapping[str, Any]:
        """Return the `[plugin.NAME]` table of the configuration file."""
        return self.plugin.get(name, {})


def options() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that are options, by name, in the order of the reference page."""
    return {f.name: f for f in dataclasses.fields(ClusterConfig) if "help" in f.metadata}
