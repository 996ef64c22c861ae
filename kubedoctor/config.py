"""What a cluster is asked to be: one frozen dataclass, every value of which knows where it came from.

The layers are laid over each other in `kubedoctor.configuration.layers`; this module is the table that they, the
command line's help and the reference page read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubedoctor.components import FlagValue
from kubedoctor.node_config import HostRuntime, NodeConfig
from kubedoctor.options import Form, option
from kubedoctor.records import dataclass

if TYPE_CHECKING:
    from kubedoctor.mirrors import Mirror

PULL_PROXY = ("127.0.0.2", 3128)
"""Where the keeper's proxy for image pulls listens inside: beside 127.0.0.1, where components bind what they like."""

_HOST_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


class PlaceKind(StrEnum):
    """Where a plan runs."""

    SANDBOX = "sandbox"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(NodeConfig):
    """The settled wishes for one cluster. Plugins read it; nothing writes it."""

    # which cluster, where
    name: str = option("local", help="name of the cluster")
    host: bool = option(False, help="run on the host itself instead of in a sandbox")
    node: bool = option(True, help="run a node: runtime, kubelet, kube-proxy")

    # which binaries
    kubernetes: str = option("", env=("KUBE_VERSION",), help="Kubernetes version: exact, 1.36, or latest")
    binary: Mapping[str, str] = option({}, help="binary of one component: C=PATH", form=Form.FILE)
    bin_dir: str = option("", env=("GO_OUT",), help="directory that holds binaries by their names", form=Form.DIRECTORY)
    checkout: str = option("", help="Kubernetes checkout whose _output folders hold binaries", form=Form.DIRECTORY)
    download: bool = option(True, help="allow downloads of releases")
    download_url: str = option(
        "https://dl.k8s.io/release", help="base URL of Kubernetes releases", flag="-", form=Form.URL
    )
    github_url: str = option("https://github.com", help="base URL of the other releases", flag="-", form=Form.URL)
    build: bool = option(True, help="allow building from Go modules")

    # which components
    only: tuple[str, ...] = option((), help="run these components only")
    without: tuple[str, ...] = option((), help="leave these components out")
    external: tuple[str, ...] = option((), help="components that run elsewhere: C, or C=ADDRESS")
    start_mode: str = option(
        "",
        env=("START_MODE",),
        help="local-up-cluster.sh's start mode: all, nokubelet, nokubeproxy, both with a comma, or kubeletonly",
        flag="-",
    )

    # addresses and ports
    api_host: str = option(
        "localhost", env=("API_HOST",), help="host name of the API in certificates", flag="-", form=Form.HOST
    )
    api_host_ip: str = option(
        "127.0.0.1", env=("API_HOST_IP",), help="outside address the API is published at", flag="-", form=Form.ADDRESS
    )
    api_port: int | None = option(
        None,
        env=("API_SECURE_PORT",),
        help="outside port of the API (6443, or a free one)",
        form=Form.PORT,
        port_of="kube-apiserver",
    )
    api_bind_address: str = option(
        "", env=("API_BIND_ADDR",), help="address kube-apiserver binds inside", flag="-", form=Form.ADDRESS
    )
    advertise_address: str = option(
        "", env=("ADVERTISE_ADDRESS",), help="address kube-apiserver advertises", flag="-", form=Form.ADDRESS
    )
    external_hostname: str = option(
        "", env=("EXTERNAL_HOSTNAME",), help="external host name of the API", flag="-", form=Form.HOST
    )
    node_port_range: str = option("", env=("NODE_PORT_RANGE",), help="range of node ports: 30000-32767", flag="-")
    service_cluster_ip_range: str = option(
        "10.0.0.0/24", env=("SERVICE_CLUSTER_IP_RANGE",), help="service addresses", form=Form.CIDR
    )
    first_service_cluster_ip: str = option(
        "",
        env=("FIRST_SERVICE_CLUSTER_IP",),
        help="address of service kubernetes (the first of the service addresses)",
        flag="-",
        form=Form.ADDRESS,
    )
    cluster_cidr: str = option("10.1.0.0/16", env=("CLUSTER_CIDR",), help="pod addresses", form=Form.CIDR)
    dns_server_ip: str = option(
        "",
        env=("KUBE_DNS_SERVER_IP", "DNS_SERVER_IP"),
        help="address of the DNS service (the tenth of the service addresses)",
        flag="-",
        form=Form.ADDRESS,
    )
    dns_domain: str = option(
        "cluster.local", env=("KUBE_DNS_NAME", "DNS_DOMAIN"), help="cluster domain", flag="-", form=Form.HOST
    )
    ports: Mapping[str, int] = option(
        {}, help="outside port of a component: C=PORT, or C.NAME=PORT for one of several", flag="--port"
    )
    publish: tuple[str, ...] = option((), help="make a port of the inside reachable: [ADDRESS:][OUTSIDE:]INSIDE")
    uplink: bool = option(False, help="let pods get out of the sandbox, by a link to the host; needs root")
    attach: bool = option(False, help="let the host get at addresses of pods and services; needs root")
    reach: tuple[str, ...] = option((), help="make a port of the host's loopback reachable inside: [NAME=]PORT")

    # etcd
    etcd_host: str = option(
        "", env=("ETCD_HOST",), help="outside address etcd is published at", flag="-", form=Form.HOST
    )
    etcd_port: int | None = option(
        None,
        env=("ETCD_PORT",),
        help="outside port etcd is published at",
        flag="-",
        form=Form.PORT,
        port_of="etcd",
    )
    etcd_dir: str = option("", env=("ETCD_DIR",), help="etcd's data directory", flag="-", form=Form.PATH)
    preserve_etcd: bool = option(True, env=("PRESERVE_ETCD",), help="keep etcd's data over `down`", flag="-")
    etcd_log_level: str = option(
        "",
        env=("ETCD_LOGLEVEL",),
        help="etcd's log level",
        flag="-",
        choices=("debug", "info", "warn", "error", "panic", "fatal"),
    )
    unsafe_no_fsync: bool = option(False, help="etcd without fsync: faster, for throw-away clusters")

    # the API server
    authorization_mode: str = option("Node,RBAC", env=("AUTHORIZATION_MODE",), help="authorization modes", flag="-")
    authorization_config: str = option(
        "",
        env=("AUTHORIZATION_CONFIG",),
        help="authorization configuration file; replaces the modes and the webhook",
        flag="-",
        form=Form.FILE,
    )
    authorization_webhook_config_file: str = option(
        "", env=("AUTHORIZATION_WEBHOOK_CONFIG_FILE",), help="authorization webhook", flag="-", form=Form.FILE
    )
    authentication_webhook_config_file: str = option(
        "", env=("AUTHENTICATION_WEBHOOK_CONFIG_FILE",), help="token webhook", flag="-", form=Form.FILE
    )
    enable_admission_plugins: tuple[str, ...] = option(
        (), env=("ENABLE_ADMISSION_PLUGINS",), help="admission plugins beside the default ones", flag="-"
    )
    disable_admission_plugins: tuple[str, ...] = option(
        (), env=("DISABLE_ADMISSION_PLUGINS",), help="default admission plugins to turn off", flag="-"
    )
    admission_control_config_file: str = option(
        "", env=("ADMISSION_CONTROL_CONFIG_FILE",), help="admission configuration file", flag="-", form=Form.FILE
    )
    runtime_config: str = option(
        "", env=("RUNTIME_CONFIG",), help="API groups and versions to turn on or off", flag="-"
    )
    allow_privileged: bool = option(True, env=("ALLOW_PRIVILEGED",), help="allow privileged pods", flag="-")
    audit_policy_file: str = option(
        "", env=("AUDIT_POLICY_FILE",), help="audit policy; auditing is off without", flag="-", form=Form.FILE
    )
    egress_selector_config_file: str = option(
        "", env=("EGRESS_SELECTOR_CONFIG_FILE",), help="egress selector configuration", flag="-", form=Form.FILE
    )
    cors_allowed_origins: str = option("", env=("API_CORS_ALLOWED_ORIGINS",), help="CORS origins", flag="-")
    storage_backend: str = option("", env=("STORAGE_BACKEND",), help="storage backend", flag="-")
    storage_media_type: str = option("", env=("STORAGE_MEDIA_TYPE",), help="storage media type", flag="-")
    service_account_lookup: bool = option(
        True, env=("SERVICE_ACCOUNT_LOOKUP",), help="check that tokens' secrets exist", flag="-"
    )
    service_account_key: str = option(
        "", env=("SERVICE_ACCOUNT_KEY",), help="service-account key of the user's own", flag="-", form=Form.PATH
    )

    # controllers and scheduler
    kube_controllers: str = option("*", env=("KUBE_CONTROLLERS",), help="controllers to run", flag="-")
    leader_elect: bool = option(False, env=("LEADER_ELECT",), help="leader election", flag="-")
    cluster_signing_cert_file: str = option(
        "", env=("CLUSTER_SIGNING_CERT_FILE",), help="CA that signs CSRs", flag="-", form=Form.FILE
    )
    cluster_signing_key_file: str = option(
        "", env=("CLUSTER_SIGNING_KEY_FILE",), help="its key", flag="-", form=Form.FILE
    )
    claim_binder_sync_period: str = option(
        "", env=("CLAIM_BINDER_SYNC_PERIOD",), help="PV claim binder period", flag="-", form=Form.DURATION
    )
    enable_hostpath_provisioner: bool = option(
        False, env=("ENABLE_HOSTPATH_PROVISIONER",), help="host-path volumes", flag="-"
    )
    kcm_port: int | None = option(
        None,
        env=("KCM_SECURE_PORT",),
        help="outside port of kube-controller-manager",
        flag="-",
        form=Form.PORT,
        port_of="kube-controller-manager",
    )
    scheduler_port: int | None = option(
        None,
        env=("SCHEDULER_SECURE_PORT",),
        help="outside port of kube-scheduler",
        flag="-",
        form=Form.PORT,
        port_of="kube-scheduler",
    )
    cloud_provider: str = option("", env=("CLOUD_PROVIDER",), help="cloud provider", flag="-")
    cloud_config: str = option("", env=("CLOUD_CONFIG",), help="cloud configuration file", flag="-", form=Form.FILE)
    external_cloud_provider: bool = option(
        False, env=("EXTERNAL_CLOUD_PROVIDER",), help="cloud controllers run elsewhere", flag="-"
    )
    external_cloud_volume_plugin: str = option(
        "", env=("EXTERNAL_CLOUD_VOLUME_PLUGIN",), help="volume plugin while cloud controllers run elsewhere", flag="-"
    )
    configure_cloud_routes: bool = option(
        True, env=("CONFIGURE_CLOUD_ROUTES",), help="let the cloud provider make routes to nodes", flag="-"
    )

    # everything
    feature_gates: Mapping[str, str] = option({}, env=("FEATURE_GATES",), help="feature gates: A=true,B=false")
    emulated_version: str = option("", env=("EMULATED_VERSION",), help="version to emulate", flag="-")
    log_level: int = option(2, env=("LOG_LEVEL",), help="log level of all components", form=Form.LEVEL)
    log_spec: str = option("", env=("LOG_SPEC",), help="--vmodule of all components", flag="-", form=Form.VMODULE)
    tracing: bool = option(False, env=("ENABLE_TRACING",), help="send traces to localhost:4317", flag="-")
    cache_mutation_detector: bool = option(
        False,
        env=("KUBE_CACHE_MUTATION_DETECTOR",),
        help="components panic when something changes an object in their caches",
        flag="-",
    )
    panic_watch_decode_error: bool = option(
        False,
        env=("KUBE_PANIC_WATCH_DECODE_ERROR",),
        help="components panic when a watch brings what they cannot decode",
        flag="-",
    )

    # one component
    set: Mapping[str, Mapping[str, FlagValue]] = option(
        {}, help="a flag of a component: C.flag=value, C.flag for a bare one; C.flag- removes it"
    )
    env: Mapping[str, Mapping[str, str]] = option({}, help="environment of a component: C.K=V")
    v: Mapping[str, int] = option({}, help="log level of a component: C=n, or n for all")
    vmodule: Mapping[str, str] = option({}, help="--vmodule of a component: C=PATTERN=n,…")
    json_logs: tuple[str, ...] = option((), help="a component that logs JSON: C; C- takes it back")

    # keys and directories
    cert_dir: str = option(
        "", env=("CERT_DIR",), help="directory of certificates, keys and kubeconfigs", flag="-", form=Form.PATH
    )
    log_dir: str = option("", env=("LOG_DIR",), help="directory of logs", flag="-", form=Form.PATH)
    key_type: str = option("ecdsa", help="ecdsa (P-256) or rsa (2048)", choices=("ecdsa", "rsa"))
    authority: Mapping[str, str] = option({}, help="a CA of your own: server|client|request-header|etcd=CERT,KEY")
    reuse_certs: bool = option(True, env=("REUSE_CERTS",), help="keep certificates that are still right", flag="-")
    single_authority: bool = option(
        False, env=("ENABLE_SINGLE_CA_SIGNER",), help="one CA for servers and clients", flag="-"
    )

    # manner
    daemon: bool = option(
        True,
        env=("ENABLE_DAEMON",),
        help="`up` returns when the cluster is ready; false: it stays attached, as with --foreground",
        flag="-",
    )
    verbose: int = option(0, env=("KUBE_VERBOSE",), help="how much kubedoctor itself tells", flag="-", form=Form.LEVEL)
    timeout: float = option(120.0, help="seconds until a cluster that is not ready counts as failed", form=Form.SECONDS)

    # settled by the core, not options: where things lie
    plugin: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # [plugin.NAME] tables of the file
    place_kind: PlaceKind = PlaceKind.SANDBOX
    runtime: HostRuntime | None = None  # of a node on the host; a sandbox has one of its own
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
        """Return the path a `File` of this name is written to; an absolute name is the path itself."""
        return str(self.place_directory / "config" / name)

    def data(self, name: str) -> str:
        """Return the path of a component's data directory."""
        return str(self.place_directory / "data" / name)

    def private(self, path: str) -> str:
        """Return where the content of a sandbox's own directory *path* is kept outside (see `Component.private`)."""
        return self.data(f"private{path}")

    def log(self, name: str) -> str:
        """Return the path of a log file, such as `kube-apiserver.log`."""
        return str((Path(self.log_dir) if self.log_dir else self.place_directory / "logs") / name)

    @property
    def address(self) -> str:
        """The address of the place as its own components see it: never a loopback one in a sandbox."""
        # 198.18.0.0/15 is reserved for benchmarking (RFC 2544): it is on no one's network. Place n has 198.18.0.n.
        return f"198.18.0.{self.node_index}" if self.place_kind is PlaceKind.SANDBOX else "127.0.0.1"

    @property
    def pull_proxy(self) -> str:
        """The proxy that the runtime of a sandbox pulls images through; "" on the host, which has a network.

        `$(KUBEDOCTOR_INSTANCE)` becomes a secret of this run when the component starts: others inside do not get in.
        """
        if self.place_kind is not PlaceKind.SANDBOX:
            return ""
        return f"http://kubedoctor:$(KUBEDOCTOR_INSTANCE)@{PULL_PROXY[0]}:{PULL_PROXY[1]}"

    @property
    def mirrors(self) -> tuple[Mirror, ...]:
        """The mirrors of registries, as the runtime inside names them."""
        from kubedoctor.mirrors import parse_mirror

        return tuple(parse_mirror(text) for text in self.registry_mirror)

    @property
    def in_user_namespace(self) -> bool:
        """Whether the place is an ordinary user's sandbox: root inside, but not to the machine."""
        from os import geteuid

        return self.place_kind is PlaceKind.SANDBOX and geteuid() != 0

    @property
    def node_name(self) -> str:
        """The name of the node: HOSTNAME_OVERRIDE, else the sandbox's host name, which is the cluster's.

        On the host it is 127.0.0.1, as local-up-cluster.sh has it: the node's address then is the same.
        """
        return self.hostname_override or (self.name if self.place_kind is PlaceKind.SANDBOX else "127.0.0.1")

    @property
    def node_cgroup(self) -> str:
        """The name of the cgroup that pods run below, in every hierarchy; the same at every start of this place."""
        from hashlib import sha256  # clusters of one name can live in several homes

        mark = sha256(str(self.place_directory).encode()).hexdigest()[:8]
        return f"kubedoctor-{self.name}-{self.place}-{mark}"

    @property
    def pods_cgroup(self) -> str:
        """The name of the cgroup of this place that its pods run below, "" where they run below another one.

        systemd would nest a name with dashes, so with its driver pods on the host are where they are on every node.
        """
        if self.runtime is not None and (self.cgroup_root or self.settled_cgroup_driver == "systemd"):
            return ""
        return "" if self.in_user_namespace else self.node_cgroup

    @property
    def settled_cgroup_driver(self) -> str:
        """The cgroup driver of kubelet and runtime: in a sandbox cgroupfs, for systemd is not in it."""
        return self.cgroup_driver or (self.runtime.cgroup_driver if self.runtime else "cgroupfs")

    @property
    def pod_range(self) -> str:
        """The pod addresses of this place: the n-th /24 (or /64) of the cluster's, as its controllers count."""
        from ipaddress import ip_network
        from itertools import islice

        first = ip_network(self.cluster_cidr.partition(",")[0].strip(), strict=False)
        prefix = max(first.prefixlen, 24 if first.version == 4 else 64)
        return str(next(islice(first.subnets(new_prefix=prefix), self.node_index - 1, None), first))

    @property
    def dns_address(self) -> str:
        """The address of the cluster's DNS service: the tenth of the service addresses, unless set."""
        from ipaddress import ip_address

        return self.dns_server_ip or str(ip_address(self._first_service_addresses()[0]) + 9)

    def port_inside(self, standard: int, wished: int | None) -> int:
        """Return the port a component binds: the standard one in a sandbox, on the host the one *wished* for."""
        return wished or standard if self.place_kind is PlaceKind.HOST else standard

    def external_address(self, component: str) -> str | None:
        """Return where *component* runs when `--external` names it: "" without an address, None when it is ours."""
        for name, _, address in (entry.partition("=") for entry in self.external):
            if name == component:
                return address
        return None

    def logging_flags(self) -> dict[str, FlagValue]:
        """Return the flags by which every Kubernetes program logs as asked for."""
        return {"v": self.log_level, "vmodule": self.log_spec or None, "logging-format": None}

    def version_flags(self) -> dict[str, FlagValue]:
        """Return the flags of the control plane's programs that choose features and the version to emulate."""
        emulated = self.emulated_version
        if emulated and "=" not in emulated:
            emulated = f"kube={emulated.removeprefix('v')}"
        gates = ",".join(f"{name}={value}" for name, value in sorted(self.feature_gates.items()))
        return {"feature-gates": gates or None, "emulated-version": emulated or None}

    @property
    def first_service_address(self) -> str:
        """The address of the service `kubernetes`: the first of the range, unless set."""
        return self.first_service_cluster_ip or self._first_service_addresses()[0]

    def _first_service_addresses(self) -> tuple[str, ...]:
        from ipaddress import ip_network

        ranges = [text.strip() for text in self.service_cluster_ip_range.split(",")]
        try:
            return tuple(str(ip_network(text, strict=False)[1]) for text in ranges)
        except (ValueError, IndexError):
            from kubedoctor.errors import ConfigError

            raise ConfigError(
                f"service_cluster_ip_range: `{self.service_cluster_ip_range}` is not a range of addresses",
                hint="10.0.0.0/24, or one of each family with a comma",
            ) from None

    def api_server_names(self) -> tuple[str, ...]:
        """Return every address and name kube-apiserver is reached by, for its certificate; without wildcard ones."""
        from os import uname

        machine = uname().nodename  # `(none)` where nobody has set one
        names = (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{self.dns_domain}",
            "localhost",
            self.api_host,
            self.external_hostname,
            machine if machine.isascii() and set(machine.lower()) <= _HOST_NAME_CHARACTERS else "",
            "127.0.0.1",
            "::1",
            self.first_service_cluster_ip,
            *self._first_service_addresses(),
            self.address,
            self.advertise_address,
            self.api_bind_address,
            self.api_host_ip,
        )
        return tuple(dict.fromkeys(name for name in names if name not in ("", "0.0.0.0", "::")))  # noqa: S104 - left out

    def debugging_environment(self) -> dict[str, str]:
        """Return the variables by which every Kubernetes program looks for defects of its own."""
        wishes = {
            "KUBE_CACHE_MUTATION_DETECTOR": self.cache_mutation_detector,
            "KUBE_PANIC_WATCH_DECODE_ERROR": self.panic_watch_decode_error,
        }
        return {name: "true" for name, wanted in wishes.items() if wanted}

    def plugin_settings(self, name: str) -> Mapping[str, Any]:
        """Return the `[plugin.NAME]` table of the configuration file."""
        return self.plugin.get(name, {})


def options() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that are options, by name, in the order of the reference page."""
    every = {f.name: f for f in dataclasses.fields(ClusterConfig) if "help" in f.metadata}
    node = [f.name for f in dataclasses.fields(NodeConfig)]
    others = [name for name in every if name not in node]
    place = others.index("cert_dir")  # a base class's fields come first, and the node's concern fewer people
    return {name: every[name] for name in (*others[:place], *node, *others[place:])}


GROUPS = {
    "name": "Which cluster, where",
    "kubernetes": "Which binaries",
    "only": "Which components",
    "api_host": "Addresses and ports",
    "etcd_host": "etcd",
    "authorization_mode": "The API server",
    "kube_controllers": "Controllers and scheduler",
    "feature_gates": "All components",
    "set": "One component",
    "hostname_override": "The node",
    "cert_dir": "Keys and directories",
    "daemon": "Manner",
}
"""The headings of help and reference page: each stands before its first option."""


def flag_of(option_field: dataclasses.Field[Any]) -> str:
    """Return the option as click declares it, such as `--api-port` or `--node/--no-node`; "" if there is none."""
    flag: str = option_field.metadata["flag"]
    if flag == "-":
        return ""
    if flag:
        return flag
    dashed = option_field.name.replace("_", "-")
    return f"--{dashed}/--no-{dashed}" if option_field.type == "bool" else f"--{dashed}"


def variables_of(option_field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Return the environment variables an option is read from, the first that is set being taken."""
    return (f"KUBEDOCTOR_{option_field.name.upper()}", *option_field.metadata["env"])
