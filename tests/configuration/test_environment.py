from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubedoctor.config import options, variables_of
from kubedoctor.configuration.environment import environment_layer, known_variables, near_misses, option_variables
from kubedoctor.configuration.layers import Resolved, resolve
from kubedoctor.configuration.options import flag_layer
from kubedoctor.configuration.values import Layer
from kubedoctor.configuration.variables import CONFUSED, GONE, NODE, OWN, SILENT
from kubedoctor.errors import ConfigError

BASE = Path("/base")

# The page that many know local-up-cluster.sh from, word for word.
GUIDE = (Path(__file__).parents[1] / "fixtures" / "seed-1.3.sh").read_text()

# Every variable of hack/local-up-cluster.sh and hack/lib/etcd.sh of v1.37, and those of older guides.
SCRIPT = """
KUBE_VERBOSE GO_OUT START_MODE ENABLE_DAEMON CONTROLPLANE_SUDO KUBELET_SUDO PROXY_SUDO USER KUBERNETES_SERVER_CACHE_DIR
FEATURE_GATES EMULATED_VERSION LEADER_ELECT ENABLE_TRACING AUTH_ARGS KUBE_CACHE_MUTATION_DETECTOR
KUBE_PANIC_WATCH_DECODE_ERROR KUBETEST_IN_DOCKER ARTIFACTS CERT_DIR TMP_DIR LOG_DIR LOG_LEVEL LOG_SPEC POD_MANIFEST_PATH
API_HOST API_HOST_IP API_BIND_ADDR ADVERTISE_ADDRESS EXTERNAL_HOSTNAME NODE_PORT_RANGE API_SECURE_PORT KCM_SECURE_PORT
SCHEDULER_SECURE_PORT KUBELET_HOST KUBELET_PORT KUBELET_HEALTHZ_PORT KUBELET_READ_ONLY_PORT HOSTNAME_OVERRIDE
SERVICE_CLUSTER_IP_RANGE FIRST_SERVICE_CLUSTER_IP WAIT_FOR_URL_API_SERVER MAX_TIME_FOR_URL_API_SERVER
AUTHORIZATION_CONFIG AUTHORIZATION_MODE AUTHORIZATION_WEBHOOK_CONFIG_FILE AUTHENTICATION_WEBHOOK_CONFIG_FILE
DISABLE_ADMISSION_PLUGINS ADMISSION_CONTROL_CONFIG_FILE ALLOW_PRIVILEGED RUNTIME_CONFIG ENABLE_ADMISSION_PLUGINS
AUDIT_POLICY_FILE EGRESS_SELECTOR_CONFIG_FILE STORAGE_BACKEND STORAGE_MEDIA_TYPE API_CORS_ALLOWED_ORIGINS
SERVICE_ACCOUNT_LOOKUP SERVICE_ACCOUNT_KEY REUSE_CERTS ENABLE_SINGLE_CA_SIGNER CLUSTER_SIGNING_CERT_FILE
CLUSTER_SIGNING_KEY_FILE KUBE_CONTROLLERS CLAIM_BINDER_SYNC_PERIOD ENABLE_HOSTPATH_PROVISIONER EXTERNAL_CLOUD_PROVIDER
EXTERNAL_CLOUD_PROVIDER_BINARY EXTERNAL_CLOUD_VOLUME_PLUGIN CLOUD_PROVIDER CLOUD_CONFIG CLOUD_CTLRMGR_FLAGS
KUBELET_FLAGS
CONTAINER_RUNTIME_ENDPOINT IMAGE_SERVICE_ENDPOINT RUNTIME_REQUEST_TIMEOUT CGROUP_DRIVER CGROUP_ROOT CGROUPS_PER_QOS
FAIL_SWAP_ON LIMITED_SWAP CPU_CFS_QUOTA ENABLE_CONTROLLER_ATTACH_DETACH LOCAL_STORAGE_CAPACITY_ISOLATION EVICTION_HARD
EVICTION_SOFT EVICTION_PRESSURE_TRANSITION_PERIOD TOPOLOGY_MANAGER_POLICY MEMORY_MANAGER_POLICY CPUMANAGER_POLICY
CPUMANAGER_POLICY_OPTIONS CPUMANAGER_RECONCILE_PERIOD KUBELET_RESOLV_CONF KUBELET_AUTHENTICATION_WEBHOOK CLIENT_CA_FILE
KUBELET_PROVIDER_ID KUBE_PROXY_MODE KUBE_ENABLE_CLUSTER_DNS KUBE_ENABLE_NODELOCAL_DNS KUBE_DNS_SERVER_IP KUBE_DNS_NAME
KUBE_LOCAL_DNS_IP KUBE_DNS_MEMORY_LIMIT DNS_ADDON CNI_CONFIG_DIR CNI_PLUGINS_VERSION CNI_TARGETARCH
KUBE_DEFAULT_STORAGE_CLASS ENABLE_CSI_SNAPSHOTTER ETCD_VERSION ETCD_HOST ETCD_PORT ETCD_LOGLEVEL ETCD_DIR PRESERVE_ETCD
ETCD_DRY_RUN ETCD_UNSUPPORTED_ARCH DNS_SERVER_IP DNS_DOMAIN DNS_MEMORY_LIMIT LOCAL_DNS_IP ENABLE_CLUSTER_DNS
ENABLE_NODELOCAL_DNS DEFAULT_STORAGE_CLASS CLUSTER_CIDR KUBELET_IMAGE KUBECONFIG_TOKEN KUBELET_CIDFILE API_PORT
PROXY_HEALTHZ_PORT PROXY_METRICS_PORT KUBELET_AUTHORIZATION_WEBHOOK ETCD_LOGFILE KUBE_INTEGRATION_ETCD_URL DRY_RUN
KUBECTL
ROOT_CA_FILE CNI_PLUGINS_URL CFSSL_PATH CONFIGURE_CLOUD_ROUTES DOCKER_OPTS DOCKER_ROOT CONTAINER_RUNTIME NET_PLUGIN
CNI_BIN_DIR CHAOS_CHANCE ALLOW_ANY_TOKEN ENABLE_RBAC INSECURE_SCHEDULER INSECURE_CONTROLLER_MANAGER
"""

# Names that desktops, CI systems, container engines, clouds and Kubernetes put into environments.
ORDINARY = """
PATH HOME USER LOGNAME SHELL LANG LC_ALL TERM TERM_PROGRAM COLORTERM DISPLAY WAYLAND_DISPLAY XDG_SESSION_ID
XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK SSH_CONNECTION DESKTOP_SESSION
SESSION_MANAGER INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET RUNTIME_DIRECTORY STATE_DIRECTORY LOGS_DIRECTORY
CREDENTIALS_DIRECTORY GOPATH GOROOT GOFLAGS GO_VERSION CGO_ENABLED NODE_ENV NODE_PATH NODE_VERSION NODE_NAME NODE_IP
JAVA_HOME VIRTUAL_ENV PIP_INDEX_URL HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR CERT_FILE CA_FILE
SUDO_USER SUDO_UID SUDO_GID SUDO_COMMAND CI GITHUB_ACTIONS GITHUB_API_URL GITHUB_REF_NAME RUNNER_TEMP RUNNER_DEBUG
CI_SERVER_HOST CI_SERVER_PORT CI_JOB_ID CI_REGISTRY_IMAGE JENKINS_HOME BUILD_ID JOB_NAME WORKSPACE LOG_FILE LOG_PATH
LOG_FORMAT LOG_TYPE LOG_OUTPUT LOGLEVEL DEBUG_LEVEL PROW_JOB_ID JOB_SPEC PULL_REFS KUBERNETES_PORT
KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT
KUBERNETES_SERVICE_PORT_HTTPS POD_NAME POD_NAMESPACE POD_IP HOST_IP NAMESPACE SERVICE_ACCOUNT SERVICE_ACCOUNT_NAME
SERVICE_ACCOUNT_TOKEN SERVICE_NAME SERVICE_PORT CLUSTER_NAME CLUSTER_DOMAIN CLUSTER_ID CLUSTER_IP ETCD_SERVICE_HOST
ETCD_SERVICE_PORT ETCD_NAME ETCD_DATA_DIR ETCD_CERT_FILE ETCD_KEY_FILE ETCD_ENDPOINTS ETCD_SERVERS ETCD_WAL_DIR
ETCDCTL_API ETCDCTL_ENDPOINTS API_KEY API_URL API_TOKEN API_BASE_URL API_VERSION API_ENDPOINT API_SERVER API_HOSTNAME
API_TIMEOUT DB_HOST DB_PORT REDIS_HOST REDIS_PORT DOCKER_HOST DOCKER_CERT_PATH DOCKER_CONFIG COMPOSE_FILE CONTAINER_ID
CONTAINERD_ADDRESS CONTAINERD_NAMESPACE CONTAINER_HOST CRI_CONFIG_FILE CRI_RUNTIME_ENDPOINT CNI_PATH CNI_VERSION
KUBECONFIG KUBE_EDITOR KUBE_CONTEXT KUBE_NAMESPACE KUBERNETES_VERSION KUBEBUILDER_ASSETS KUBE_ROOT KUBE_TOKEN KUBE_URL
KUBE_GIT_VERSION KUBE_TIMEOUT HELM_HOME KIND_CLUSTER_NAME MINIKUBE_HOME K3S_TOKEN TEST_ASSET_ETCD USE_EXISTING_CLUSTER
AWS_REGION AWS_PROFILE AZURE_CONFIG_DIR CLOUDSDK_CONFIG CLOUD_PROJECT CLOUD_SHELL VSCODE_IPC_HOOK_CLI GIT_EDITOR TMUX
TMPDIR DNS_SERVER DNS_SERVERS DNS_SEARCH EXTERNAL_IP EXTERNAL_URL STORAGE_CLASS STORAGE_DIR STORAGE_TYPE ENABLE_TLS
ENABLE_METRICS FEATURE_FLAGS START_TIME LEADER_ELECTION ENABLE_LEADER_ELECTION PROXY_HOST PROXY_PORT METRICS_PORT
"""


def exported(text: str) -> dict[str, str]:
    return {match[1]: match[2].strip('"') for match in re.finditer(r"^export (\w+)=(.*)$", text, re.MULTILINE)}


def settle(env: dict[str, str], flags: dict[str, object] | None = None) -> Resolved:
    return resolve(Layer(), environment_layer(env, BASE), flag_layer(flags or {}, BASE))


def test_the_guides_block_is_understood_as_a_whole() -> None:
    resolved = settle(exported(GUIDE))
    config = resolved.config
    assert config.log_level == 4
    assert config.feature_gates == {"DynamicResourceAllocation": "true"}
    assert (config.api_host, config.api_port) == ("127.0.0.1", 6443)
    assert (config.etcd_host, config.etcd_port) == ("127.0.0.1", 2379)
    assert config.service_cluster_ip_range == "10.0.0.0/24"
    assert config.cluster_cidr == "10.1.0.0/16"
    assert (config.first_service_cluster_ip, config.dns_server_ip) == ("10.0.0.1", "10.0.0.10")
    assert config.dns_domain == "cluster.local"
    assert config.authorization_mode == "RBAC"
    assert config.enable_admission_plugins == ("NamespaceLifecycle", "LimitRanger", "ServiceAccount")
    assert (config.cloud_provider, config.cloud_config) == ("", "")
    assert resolved.origins["cloud_provider"] == "default"
    assert config.allow_privileged is True
    assert config.daemon is False
    assert [note.partition(" ")[0].rstrip(":,") for note in resolved.notes] == [
        "API_PORT",
        "INSECURE_CONTROLLER_MANAGER",
        "INSECURE_SCHEDULER",
    ]
    assert resolved.config.container_runtime_endpoint == "unix:///run/containerd/containerd.sock"


def test_every_variable_of_the_script_is_known() -> None:
    assert set(SCRIPT.split()) - known_variables() == set()


def test_no_variable_has_two_meanings() -> None:
    tables = [set(option_variables()), set(NODE), set(GONE), set(SILENT), set(OWN), set(CONFUSED)]
    assert sum(map(len, tables)) == len(set().union(*tables))
    assert set(CONFUSED.values()) <= set(option_variables()) | NODE
    assert len(option_variables()) == sum(len(variables_of(field)) for field in options().values())


def test_an_ordinary_environment_causes_no_note() -> None:
    env = dict.fromkeys(set(ORDINARY.split()) - NODE - GONE.keys(), "x")
    assert environment_layer({**env, "USER": "root", "KUBE_VERSION": ""}, BASE).notes == []
    assert settle({**env, "USER": "x y"}).config == settle({}).config


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FEATURE_GATE", "FEATURE_GATES"),
        ("FEATURES_GATES", "FEATURE_GATES"),
        ("KUBE_FEATURE_GATES", "FEATURE_GATES"),
        ("API_SERVER_PORT", "API_SECURE_PORT"),
        ("API_SECUREPORT", "API_SECURE_PORT"),
        ("SERVICE_CIDR", "SERVICE_CLUSTER_IP_RANGE"),
        ("CLUSTER_CDIR", "CLUSTER_CIDR"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("ENABLE_DEAMON", "ENABLE_DAEMON"),
        ("CLOUD_PROVDER", "CLOUD_PROVIDER"),
        ("ETCD_LOG_LEVEL", "ETCD_LOGLEVEL"),
        ("CERTS_DIR", "CERT_DIR"),
        ("AUTHORISATION_MODE", "AUTHORIZATION_MODE"),
        ("KUBELET_HOSTS", "KUBELET_HOST"),
        ("KUBEDOCTOR_API_PROT", "KUBEDOCTOR_API_PORT"),
        ("KUBEDOCTOR_FEATUREGATE", "KUBEDOCTOR_FEATURE_GATES"),
    ],
)
def test_a_near_miss_is_reported_with_what_was_meant(name: str, meant: str) -> None:
    assert near_misses({name: "1"}) == [f"{name} is not read: did you mean {meant}?"]


@pytest.mark.parametrize("name", sorted(GONE))
def test_a_variable_without_meaning_gets_one_line(name: str) -> None:
    resolved = settle({name: "true"})
    assert resolved.notes == (f"{name} has no meaning here: {GONE[name]}",)
    assert resolved.config == settle({}).config


def test_variables_of_the_node_are_said_once_and_only_if_set() -> None:
    notes = settle(dict.fromkeys(NODE, "x")).notes
    assert len(notes) == 1
    assert notes[0].endswith(": of the node, which this version does not read yet")
    assert settle(dict.fromkeys(NODE, "")).notes == ()


def test_empty_variables_are_not_set() -> None:
    names = [name for name in option_variables() if name != "KUBEDOCTOR_CONFIG"]
    assert settle(dict.fromkeys(names, "")).config == settle({}).config
    assert settle(dict.fromkeys(names, "  ")).config == settle({}).config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("yes", True),
        ("ON", True),
        ("false", False),
        ("0", False),
        ("off", False),
    ],
)
def test_booleans_are_what_people_write(text: str, value: bool) -> None:
    assert settle({"LEADER_ELECT": text}).config.leader_elect is value


def test_the_scripts_own_name_wins_over_the_one_it_ignores_and_a_difference_is_noted() -> None:
    resolved = settle({"DNS_SERVER_IP": "10.0.0.20", "KUBE_DNS_SERVER_IP": "10.0.0.30"})
    assert resolved.config.dns_server_ip == "10.0.0.30"
    (note,) = resolved.notes
    assert note.startswith(
        "KUBE_DNS_SERVER_IP is `10.0.0.30`, DNS_SERVER_IP is `10.0.0.20`: KUBE_DNS_SERVER_IP is taken"
    )
    assert settle({"DNS_SERVER_IP": "10.0.0.20"}).config.dns_server_ip == "10.0.0.20"
    assert settle({"DNS_DOMAIN": "a.b", "KUBE_DNS_NAME": "a.b"}).notes == ()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOG_LEVEL", "debug", "environment LOG_LEVEL: expected a whole number, found `debug`"),
        ("LEADER_ELECT", "maybe", "environment LEADER_ELECT: expected true or false, found `maybe`"),
        ("API_SECURE_PORT", "https", "environment API_SECURE_PORT: expected a port, found `https`"),
        ("API_SECURE_PORT", "0", "environment API_SECURE_PORT: expected a port from 1 to 65535, found 0"),
        ("ETCD_PORT", "tcp://10.0.0.3:2379", "environment ETCD_PORT: expected a port, found `tcp://10.0.0.3:2379`"),
        ("FEATURE_GATES", "A", "environment FEATURE_GATES: expected NAME=true or NAME=false, found `A`"),
        ("KUBEDOCTOR_SET", "etcd.a='x", "environment KUBEDOCTOR_SET: a quote is not closed in `etcd.a='x`"),
        ("START_MODE", "nokubelets", "environment START_MODE: `nokubelets` is no start mode"),
        ("START_MODE", "all,nokubelet", "environment START_MODE: `all,nokubelet` is no start mode"),
    ],
)
def test_a_value_that_cannot_be_read_names_its_variable(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settle({name: value})
    assert caught.value.message == message


def test_a_general_name_meant_for_another_program_is_no_obstacle_once_the_option_is_set() -> None:
    with pytest.raises(ConfigError) as caught:
        settle({"LOG_LEVEL": "debug"})
    assert (
        caught.value.hint == "if LOG_LEVEL is meant for another program, set KUBEDOCTOR_LOG_LEVEL or give --log-level"
    )
    assert settle({"LOG_LEVEL": "debug"}, {"log_level": "5"}).config.log_level == 5
    assert settle({"LOG_LEVEL": "debug", "KUBEDOCTOR_LOG_LEVEL": "6"}).config.log_level == 6


@pytest.mark.parametrize("mode", ["all", "nokubelet", "nokubeproxy", "nokubelet,nokubeproxy", "kubeletonly"])
def test_the_scripts_start_modes_are_taken(mode: str) -> None:
    assert settle({"START_MODE": mode}).config.start_mode == mode


def test_items_with_commas_are_separated_by_spaces_and_quoted() -> None:
    config = settle({"KUBEDOCTOR_SET": "etcd.a=1,2 'etcd.b=x y'", "KUBEDOCTOR_VMODULE": "c=a=1,b=2"}).config
    assert config.set == {"etcd": {"a": "1,2", "b": "x y"}}
    assert config.vmodule == {"c": "a=1,b=2"}


def test_paths_are_seen_from_the_current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = settle({"GO_OUT": "../out", "CERT_DIR": "~/certs", "LOG_DIR": "/logs/", "ETCD_DIR": "e e"}).config
    assert (config.bin_dir, config.cert_dir) == ("/out", "/home/me/certs")
    assert (config.log_dir, config.etcd_dir) == ("/logs", "/base/e e")
