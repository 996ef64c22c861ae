"""What a node is asked to be: the options of kubelet, kube-proxy, the runtime and what runs on every node."""

from __future__ import annotations

from kubedoctor.options import Form, option
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRuntime:
    """The container runtime that a node on the host uses: somebody else's, found as it is."""

    name: str  # as it tells: containerd, cri-o
    version: str
    socket: str
    cgroup_driver: str  # cgroupfs or systemd
    pause_image: str = ""  # of its pods' sandboxes; "" when it does not tell
    images: frozenset[str] = frozenset()  # that it had without us
    cni_config_dir: str = ""
    cni_bin_dir: str = ""

    @property
    def is_containerd(self) -> bool:
        """Return whether `ctr` can talk to it."""
        return self.name == "containerd"


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """The settled wishes for the node of a place."""

    hostname_override: str = option("", env=("HOSTNAME_OVERRIDE",), help="name of the node", flag="-", form=Form.HOST)
    container_runtime_endpoint: str = option(
        "",
        env=("CONTAINER_RUNTIME_ENDPOINT",),
        help="socket of a containerd or CRI-O of yours: the node runs on the host then, as with --host",
        flag="-",
    )
    image_service_endpoint: str = option(
        "", env=("IMAGE_SERVICE_ENDPOINT",), help="socket that serves images, where it is another one", flag="-"
    )
    cni_config_dir: str = option(
        "", env=("CNI_CONFIG_DIR",), help="directory of network configurations", flag="-", form=Form.PATH
    )
    cni_bin_dir: str = option("", env=("CNI_BIN_DIR",), help="directory of CNI plugins", flag="-", form=Form.PATH)

    image_archive: tuple[str, ...] = option(
        (), help="archive of images to load, OCI or docker-archive, or a directory of such", form=Form.PATH
    )
    registry_mirror: tuple[str, ...] = option(
        (), help="where images of a registry (*: of all) are looked for first: docker.io=http://127.0.0.1:5000"
    )
    cluster_dns: bool = option(
        True, env=("KUBE_ENABLE_CLUSTER_DNS", "ENABLE_CLUSTER_DNS"), help="run CoreDNS", flag="-"
    )
    dns_memory_limit: str = option(
        "170Mi", env=("KUBE_DNS_MEMORY_LIMIT", "DNS_MEMORY_LIMIT"), help="memory limit of CoreDNS", flag="-"
    )
    default_storage_class: bool = option(
        True,
        env=("KUBE_DEFAULT_STORAGE_CLASS", "DEFAULT_STORAGE_CLASS"),
        help="make the default class `standard`, whose volumes are directories of the node",
        flag="-",
    )

    # kubelet
    client_ca_file: str = option(
        "", env=("CLIENT_CA_FILE",), help="CA of those who may talk to the kubelet", flag="-", form=Form.FILE
    )
    kubelet_host: str = option(
        "", env=("KUBELET_HOST",), help="address the kubelet listens at", flag="-", form=Form.ADDRESS
    )
    kubelet_port: int | None = option(
        None, env=("KUBELET_PORT",), help="outside port of the kubelet", flag="-", form=Form.PORT, port_of="kubelet"
    )
    kubelet_healthz_port: int = option(
        10248, env=("KUBELET_HEALTHZ_PORT",), help="kubelet's port of /healthz", flag="-", form=Form.PORT
    )
    kubelet_provider_id: str = option(
        "", env=("KUBELET_PROVIDER_ID",), help="how the cloud provider knows the node", flag="-"
    )
    kubelet_authentication_webhook: bool = option(
        True, env=("KUBELET_AUTHENTICATION_WEBHOOK",), help="the kubelet asks the API who somebody is", flag="-"
    )
    kubelet_authorization_webhook: bool = option(
        True, env=("KUBELET_AUTHORIZATION_WEBHOOK",), help="the kubelet asks the API what somebody may", flag="-"
    )
    kubelet_read_only_port: int = option(
        0, env=("KUBELET_READ_ONLY_PORT",), help="kubelet's port without authentication; 0: none", flag="-"
    )
    kubelet_flags: str = option(
        "", env=("KUBELET_FLAGS",), help="further flags of the kubelet, as in a shell", flag="-"
    )
    kubelet_resolv_conf: str = option(
        "", env=("KUBELET_RESOLV_CONF",), help="resolv.conf of pods that do not use the cluster's DNS", flag="-",
        form=Form.FILE,
    )  # fmt: skip
    cgroup_driver: str = option(
        "",
        env=("CGROUP_DRIVER",),
        help="cgroup driver of kubelet and runtime",
        flag="-",
        choices=("cgroupfs", "systemd"),
    )
    cgroup_root: str = option("", env=("CGROUP_ROOT",), help="cgroup that pods run below", flag="-")
    cgroups_per_qos: bool = option(True, env=("CGROUPS_PER_QOS",), help="a cgroup for each class of pods", flag="-")
    fail_swap_on: bool = option(False, env=("FAIL_SWAP_ON",), help="kubelet refuses to run where swap is on", flag="-")
    limited_swap: bool = option(False, env=("LIMITED_SWAP",), help="let burstable pods swap", flag="-")
    eviction_hard: str = option(
        "memory.available<100Mi,nodefs.available<2%,nodefs.inodesFree<2%,imagefs.available<2%",
        env=("EVICTION_HARD",),
        help="when the kubelet evicts pods at once",
        flag="-",
    )
    eviction_soft: str = option("", env=("EVICTION_SOFT",), help="when it evicts after a while", flag="-")
    eviction_pressure_transition_period: str = option(
        "1m", env=("EVICTION_PRESSURE_TRANSITION_PERIOD",), help="how long pressure is said after it", flag="-",
        form=Form.DURATION,
    )  # fmt: skip
    cpu_cfs_quota: bool = option(True, env=("CPU_CFS_QUOTA",), help="enforce limits of processors", flag="-")
    cpu_manager_policy: str = option("", env=("CPUMANAGER_POLICY",), help="none or static", flag="-")
    cpu_manager_policy_options: str = option(
        "", env=("CPUMANAGER_POLICY_OPTIONS",), help="options of the CPU manager: A=true,…", flag="-"
    )
    cpu_manager_reconcile_period: str = option(
        "", env=("CPUMANAGER_RECONCILE_PERIOD",), help="period of the CPU manager", flag="-", form=Form.DURATION
    )
    memory_manager_policy: str = option("", env=("MEMORY_MANAGER_POLICY",), help="None or Static", flag="-")
    topology_manager_policy: str = option(
        "", env=("TOPOLOGY_MANAGER_POLICY",), help="none, best-effort, restricted or single-numa-node", flag="-"
    )
    enable_controller_attach_detach: bool = option(
        True, env=("ENABLE_CONTROLLER_ATTACH_DETACH",), help="volumes are attached by the controllers", flag="-"
    )
    local_storage_capacity_isolation: bool = option(
        True, env=("LOCAL_STORAGE_CAPACITY_ISOLATION",), help="count what pods store locally", flag="-"
    )
    runtime_request_timeout: str = option(
        "2m", env=("RUNTIME_REQUEST_TIMEOUT",), help="patience of the kubelet with the runtime", flag="-",
        form=Form.DURATION,
    )  # fmt: skip
    pod_manifest_path: str = option(
        "", env=("POD_MANIFEST_PATH",), help="directory of static pods", flag="-", form=Form.PATH
    )

    # kube-proxy
    kube_proxy_mode: str = option(
        "", env=("KUBE_PROXY_MODE",), help="how services are made", flag="-", choices=("iptables", "nftables", "ipvs")
    )
    proxy_healthz_port: int | None = option(
        None, env=("PROXY_HEALTHZ_PORT",), help="outside port of kube-proxy's health", flag="-", form=Form.PORT
    )
    proxy_metrics_port: int | None = option(
        None, env=("PROXY_METRICS_PORT",), help="outside port of kube-proxy's metrics", flag="-", form=Form.PORT
    )
