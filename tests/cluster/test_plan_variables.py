"""Every variable makes another plan, or other certificates, than none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.planning import binaries_for, bundled, component, flag, knows_everything, plan, takes_everything

from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.plan import Wanted, components, make_plan
from kubedoctor.config import ClusterConfig, options
from kubedoctor.configuration.layers import load

FILE = "FILE"  # stands for a file that is there
VALUES = {
    "API_HOST": "api.test",
    "API_HOST_IP": "127.0.0.2",
    "API_SECURE_PORT": "7443",
    "API_BIND_ADDR": "198.18.0.1",
    "ADVERTISE_ADDRESS": "198.18.0.9",
    "EXTERNAL_HOSTNAME": "cluster.test",
    "NODE_PORT_RANGE": "31000-31999",
    "SERVICE_CLUSTER_IP_RANGE": "10.96.0.0/16",
    "FIRST_SERVICE_CLUSTER_IP": "10.0.0.7",
    "CLUSTER_CIDR": "10.244.0.0/16",
    "DNS_DOMAIN": "test.local",
    "KUBE_DNS_NAME": "test.local",
    "ETCD_HOST": "127.0.0.2",
    "ETCD_PORT": "12379",
    "ETCD_DIR": "/srv/etcd",
    "ETCD_LOGLEVEL": "debug",
    "AUTHORIZATION_MODE": "RBAC",
    "AUTHORIZATION_CONFIG": FILE,
    "AUTHORIZATION_WEBHOOK_CONFIG_FILE": FILE,
    "AUTHENTICATION_WEBHOOK_CONFIG_FILE": FILE,
    "ENABLE_ADMISSION_PLUGINS": "AlwaysPullImages",
    "DISABLE_ADMISSION_PLUGINS": "ServiceAccount",
    "ADMISSION_CONTROL_CONFIG_FILE": FILE,
    "RUNTIME_CONFIG": "api/all=true",
    "ALLOW_PRIVILEGED": "false",
    "AUDIT_POLICY_FILE": FILE,
    "EGRESS_SELECTOR_CONFIG_FILE": FILE,
    "API_CORS_ALLOWED_ORIGINS": "//localhost(:|$)",
    "STORAGE_BACKEND": "etcd3",
    "STORAGE_MEDIA_TYPE": "application/json",
    "SERVICE_ACCOUNT_LOOKUP": "false",
    "SERVICE_ACCOUNT_KEY": "/srv/sa.key",
    "KUBE_CONTROLLERS": "*,-nodeipam",
    "LEADER_ELECT": "true",
    "CLUSTER_SIGNING_CERT_FILE": FILE,
    "CLUSTER_SIGNING_KEY_FILE": FILE,
    "CLAIM_BINDER_SYNC_PERIOD": "30s",
    "ENABLE_HOSTPATH_PROVISIONER": "true",
    "KCM_SECURE_PORT": "11257",
    "SCHEDULER_SECURE_PORT": "11259",
    "CLOUD_PROVIDER": "fake",
    "CLOUD_CONFIG": FILE,
    "EXTERNAL_CLOUD_PROVIDER": "true",
    "EXTERNAL_CLOUD_VOLUME_PLUGIN": "fake",
    "CONFIGURE_CLOUD_ROUTES": "false",
    "FEATURE_GATES": "AllBeta=true",
    "EMULATED_VERSION": "1.36",
    "LOG_LEVEL": "4",
    "LOG_SPEC": "deployment*=5",
    "ENABLE_TRACING": "true",
    "KUBE_CACHE_MUTATION_DETECTOR": "true",
    "KUBE_PANIC_WATCH_DECODE_ERROR": "true",
    "CERT_DIR": "/srv/keys",
    "LOG_DIR": "/srv/logs",
}
OF_THE_NODE = {
    "CONTAINER_RUNTIME_ENDPOINT": "unix:///run/crio/crio.sock",
    "IMAGE_SERVICE_ENDPOINT": "unix:///run/images.sock",
    "CNI_CONFIG_DIR": "/srv/cni/net.d",
    "CNI_BIN_DIR": "/srv/cni/bin",
    "CLIENT_CA_FILE": FILE,
    "HOSTNAME_OVERRIDE": "other",
    "KUBE_ENABLE_CLUSTER_DNS": "false",
    "ENABLE_CLUSTER_DNS": "false",
    "KUBE_DNS_SERVER_IP": "10.0.0.53",
    "DNS_SERVER_IP": "10.0.0.53",
    "KUBE_DEFAULT_STORAGE_CLASS": "false",
    "DEFAULT_STORAGE_CLASS": "false",
    "KUBE_DNS_MEMORY_LIMIT": "200Mi",
    "DNS_MEMORY_LIMIT": "200Mi",
    "KUBELET_HOST": "198.18.0.1",
    "KUBELET_PORT": "11250",
    "KUBELET_HEALTHZ_PORT": "11248",
    "KUBELET_PROVIDER_ID": "fake://node",
    "KUBELET_AUTHENTICATION_WEBHOOK": "false",
    "KUBELET_AUTHORIZATION_WEBHOOK": "false",
    "KUBELET_READ_ONLY_PORT": "10255",
    "KUBELET_FLAGS": "--max-pods=5 --node-labels 'a=b'",
    "KUBELET_RESOLV_CONF": FILE,
    "CGROUP_DRIVER": "systemd",
    "CGROUP_ROOT": "/pods",
    "CGROUPS_PER_QOS": "false",
    "FAIL_SWAP_ON": "true",
    "LIMITED_SWAP": "true",
    "EVICTION_HARD": "memory.available<1Gi",
    "EVICTION_SOFT": "memory.available<2Gi",
    "EVICTION_PRESSURE_TRANSITION_PERIOD": "5m",
    "CPU_CFS_QUOTA": "false",
    "CPUMANAGER_POLICY": "static",
    "CPUMANAGER_POLICY_OPTIONS": "full-pcpus-only=true",
    "CPUMANAGER_RECONCILE_PERIOD": "5s",
    "MEMORY_MANAGER_POLICY": "Static",
    "TOPOLOGY_MANAGER_POLICY": "best-effort",
    "ENABLE_CONTROLLER_ATTACH_DETACH": "false",
    "LOCAL_STORAGE_CAPACITY_ISOLATION": "false",
    "RUNTIME_REQUEST_TIMEOUT": "5m",
    "POD_MANIFEST_PATH": "/srv/manifests",
    "KUBE_PROXY_MODE": "nftables",
    "PROXY_HEALTHZ_PORT": "11256",
    "PROXY_METRICS_PORT": "11249",
}
TOGETHER = {
    "CLUSTER_SIGNING_CERT_FILE": ("CLUSTER_SIGNING_KEY_FILE",),
    "CLUSTER_SIGNING_KEY_FILE": ("CLUSTER_SIGNING_CERT_FILE",),
}
ELSEWHERE = {
    "KUBE_VERSION", "GO_OUT",  # which binaries
    "START_MODE", "ENABLE_DAEMON", "KUBE_VERBOSE", "PRESERVE_ETCD",  # what the commands do
    "REUSE_CERTS", "ENABLE_SINGLE_CA_SIGNER",  # how keys are made
}  # fmt: skip


def made(environment: dict[str, str], tmp_path: Path, *, node: bool = False) -> tuple[ClusterConfig, Wanted, Plan]:
    resolved = load({"node": node}, env=environment, cwd=tmp_path, home=Path("/var/lib/kubedoctor"))
    wanted = components(resolved.config, bundled(), layers=resolved.origins)
    planned = make_plan(
        resolved.config, wanted, binaries_for(wanted), flags_of=knows_everything, rejects=takes_everything
    )
    return resolved.config, wanted, planned


def environment_of(name: str, tmp_path: Path) -> dict[str, str]:
    there = tmp_path / "file"
    there.write_text("")
    names = (name, *TOGETHER.get(name, ()))
    values = VALUES | OF_THE_NODE
    return {each: str(there) if values[each] == FILE else values[each] for each in names}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_variable_changes_the_plan(name: str, tmp_path: Path) -> None:
    _, plain_wishes, plain = made({}, tmp_path)
    _, wishes, changed = made(environment_of(name, tmp_path), tmp_path)
    assert (changed.components, wishes.certificates) != (plain.components, plain_wishes.certificates)


@pytest.mark.parametrize("name", sorted(OF_THE_NODE))
def test_variable_of_the_node_changes_its_plan(name: str, tmp_path: Path) -> None:
    _, _, plain = made({}, tmp_path, node=True)
    _, _, changed = made(environment_of(name, tmp_path), tmp_path, node=True)
    assert (changed.components, changed.manifests) != (plain.components, plain.manifests)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_flags_a_variable_changes_name_it_as_origin(name: str, tmp_path: Path) -> None:
    _, _, plain = made({}, tmp_path)
    environment = environment_of(name, tmp_path)
    _, _, changed = made(environment, tmp_path)
    for before, after in zip(plain.components, changed.components, strict=True):
        flags = {word.partition("=")[0].removeprefix("--") for word in set(after.argv) - set(before.argv)}
        for changed_flag in flags:
            assert any(variable in after.origins[changed_flag] for variable in environment), changed_flag


def test_every_variable_of_the_table_is_tried_here_or_is_not_the_plans() -> None:
    names = {name for field in options().values() for name in field.metadata["env"]}
    assert names == set(VALUES) | set(OF_THE_NODE) | ELSEWHERE


def test_guide_pasted_verbatim_gives_what_it_says(tmp_path: Path) -> None:
    pasted = {
        "LOG_LEVEL": "4",
        "FEATURE_GATES": "DynamicResourceAllocation=true",
        "API_HOST": "127.0.0.1",
        "API_SECURE_PORT": "6443",
        "API_PORT": "8080",
        "INSECURE_SCHEDULER": "false",
        "SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24",
        "CLUSTER_CIDR": "10.1.0.0/16",
        "FIRST_SERVICE_CLUSTER_IP": "10.0.0.1",
        "DNS_SERVER_IP": "10.0.0.10",
        "DNS_DOMAIN": "cluster.local",
        "ETCD_HOST": "127.0.0.1",
        "ETCD_PORT": "2379",
        "AUTHORIZATION_MODE": "RBAC",
        "ENABLE_ADMISSION_PLUGINS": "NamespaceLifecycle,LimitRanger,ServiceAccount",
        "CLOUD_PROVIDER": "",
        "CLOUD_CONFIG": "",
        "ALLOW_PRIVILEGED": "true",
        "ENABLE_DAEMON": "false",
    }
    _, _, planned = made(pasted, tmp_path)
    assert flag(planned, "kube-apiserver", "v") == "4"
    assert flag(planned, "kube-apiserver", "authorization-mode") == "RBAC"
    assert (
        flag(planned, "kube-apiserver", "enable-admission-plugins") == "NamespaceLifecycle,LimitRanger,ServiceAccount"
    )
    assert flag(planned, "kube-apiserver", "allow-privileged") == ""
    assert flag(planned, "kube-scheduler", "feature-gates") == "DynamicResourceAllocation=true"
    assert component(planned, "etcd").ports[0].outside == 2379


def test_options_without_a_variable_change_the_plan_too() -> None:
    wishes: list[dict[str, Any]] = [
        {"unsafe_no_fsync": True},
        {"publish": ("8080:30080",)},
        {"reach": ("9443",)},
        {"only": ("etcd",)},
        {"without": ("kube-scheduler",)},
        {"external": ("etcd=127.0.0.1:1",)},
        {"set": {"etcd": {"snapshot-count": 5}}},
        {"env": {"etcd": {"GODEBUG": "a=1"}}},
        {"v": {"kube-scheduler": 9}},
        {"vmodule": {"kube-scheduler": "a=9"}},
        {"json_logs": ("kube-scheduler",)},
        {"ports": {"kube-scheduler": 1}},
    ]
    plain = plan()
    for wish in wishes:
        assert plan(**wish) != plain, wish
