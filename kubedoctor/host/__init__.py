"""The door to the machine: what it is asked, and how.

Doors and facts by name, lazy (PEP 562): `from kubedoctor import host` costs nothing, and a module is imported when one
of its names is first used. Doors raise the FactErrors of `kubedoctor.facts`, never OSError.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubedoctor.host.abilities import has_unified_cgroups as has_unified_cgroups
    from kubedoctor.host.abilities import may as may
    from kubedoctor.host.abilities import runs_systemd as runs_systemd
    from kubedoctor.host.adjtime import Clock as Clock
    from kubedoctor.host.adjtime import clock as clock
    from kubedoctor.host.agent import connect as connect
    from kubedoctor.host.agent import netlink_dump as netlink_dump
    from kubedoctor.host.agent import prepare as prepare
    from kubedoctor.host.agent import read_option as read_option
    from kubedoctor.host.agent import udp_socket as udp_socket
    from kubedoctor.host.api import Access as Access
    from kubedoctor.host.api import api_get as api_get
    from kubedoctor.host.api import read_access as read_access
    from kubedoctor.host.buildinfo import BuildInfo as BuildInfo
    from kubedoctor.host.buildinfo import build_info as build_info
    from kubedoctor.host.certificates import CertificateFact as CertificateFact
    from kubedoctor.host.certificates import certificates as certificates
    from kubedoctor.host.certificates import issued_by as issued_by
    from kubedoctor.host.certificates import parse_certificates as parse_certificates
    from kubedoctor.host.cgroup import CgroupLayout as CgroupLayout
    from kubedoctor.host.cgroup import Cgroups as Cgroups
    from kubedoctor.host.cgroup import cgroups as cgroups
    from kubedoctor.host.cluster_network import KubeletDns as KubeletDns
    from kubedoctor.host.cluster_network import Node as Node
    from kubedoctor.host.cluster_network import ServiceNetwork as ServiceNetwork
    from kubedoctor.host.cluster_network import nodes as nodes
    from kubedoctor.host.cluster_network import service_network as service_network
    from kubedoctor.host.cluster_network import told_dns as told_dns
    from kubedoctor.host.cni import CNI_VERSIONS as CNI_VERSIONS
    from kubedoctor.host.cni import CniFile as CniFile
    from kubedoctor.host.cni import CniLoad as CniLoad
    from kubedoctor.host.cni import cni_files as cni_files
    from kubedoctor.host.cni import cni_load as cni_load
    from kubedoctor.host.containerd_config import ContainerdConfig as ContainerdConfig
    from kubedoctor.host.containerd_config import containerd_config as containerd_config
    from kubedoctor.host.cri import CriCondition as CriCondition
    from kubedoctor.host.cri import CriContainer as CriContainer
    from kubedoctor.host.cri import CriSandbox as CriSandbox
    from kubedoctor.host.cri import CriStatus as CriStatus
    from kubedoctor.host.cri import CriVersion as CriVersion
    from kubedoctor.host.cri import ImageFilesystem as ImageFilesystem
    from kubedoctor.host.cri import RuntimeHandler as RuntimeHandler
    from kubedoctor.host.cri import cri_cgroup_driver as cri_cgroup_driver
    from kubedoctor.host.cri import cri_containers as cri_containers
    from kubedoctor.host.cri import cri_image_filesystems as cri_image_filesystems
    from kubedoctor.host.cri import cri_sandboxes as cri_sandboxes
    from kubedoctor.host.cri import cri_status as cri_status
    from kubedoctor.host.cri import cri_version as cri_version
    from kubedoctor.host.crio_config import CrioConfig as CrioConfig
    from kubedoctor.host.crio_config import crio_config as crio_config
    from kubedoctor.host.disk import DiskSpace as DiskSpace
    from kubedoctor.host.disk import disk_space as disk_space
    from kubedoctor.host.disk import in_time as in_time
    from kubedoctor.host.dns import DnsAnswer as DnsAnswer
    from kubedoctor.host.dns import dns_answer as dns_answer
    from kubedoctor.host.documents import Value as Value
    from kubedoctor.host.documents import at as at
    from kubedoctor.host.documents import parse_document as parse_document
    from kubedoctor.host.endpoints import NOBODY as NOBODY
    from kubedoctor.host.endpoints import Health as Health
    from kubedoctor.host.endpoints import Identity as Identity
    from kubedoctor.host.endpoints import Sample as Sample
    from kubedoctor.host.endpoints import health as health
    from kubedoctor.host.endpoints import metrics as metrics
    from kubedoctor.host.endpoints import reachable_url as reachable_url
    from kubedoctor.host.endpoints import secure_address as secure_address
    from kubedoctor.host.errors import as_fact_errors as as_fact_errors
    from kubedoctor.host.errors import fact_error as fact_error
    from kubedoctor.host.errors import printable as printable
    from kubedoctor.host.files import FileKind as FileKind
    from kubedoctor.host.files import FileStatus as FileStatus
    from kubedoctor.host.files import list_directory as list_directory
    from kubedoctor.host.files import open_path as open_path
    from kubedoctor.host.files import read_file as read_file
    from kubedoctor.host.files import read_text as read_text
    from kubedoctor.host.files import stat_file as stat_file
    from kubedoctor.host.holders import Holder as Holder
    from kubedoctor.host.holders import file_holders as file_holders
    from kubedoctor.host.http import HttpAnswer as HttpAnswer
    from kubedoctor.host.http import Tls as Tls
    from kubedoctor.host.http import http_get as http_get
    from kubedoctor.host.http import http_request as http_request
    from kubedoctor.host.http import tls_files as tls_files
    from kubedoctor.host.interfaces import Address as Address
    from kubedoctor.host.interfaces import Link as Link
    from kubedoctor.host.interfaces import addresses as addresses
    from kubedoctor.host.interfaces import links as links
    from kubedoctor.host.kernel import ModuleState as ModuleState
    from kubedoctor.host.kernel import filesystems as filesystems
    from kubedoctor.host.kernel import kernel_module as kernel_module
    from kubedoctor.host.kernel import kernel_release as kernel_release
    from kubedoctor.host.kernel import sysctl as sysctl
    from kubedoctor.host.keys import PublicKeyFact as PublicKeyFact
    from kubedoctor.host.keys import public_key as public_key
    from kubedoctor.host.keys import public_keys as public_keys
    from kubedoctor.host.kubeconfigs import KubeconfigCluster as KubeconfigCluster
    from kubedoctor.host.kubeconfigs import KubeconfigContext as KubeconfigContext
    from kubedoctor.host.kubeconfigs import KubeconfigFact as KubeconfigFact
    from kubedoctor.host.kubeconfigs import KubeconfigUser as KubeconfigUser
    from kubedoctor.host.kubeconfigs import kubeconfig as kubeconfig
    from kubedoctor.host.kubelet_config import KubeletFields as KubeletFields
    from kubedoctor.host.kubelet_config import KubeletSetting as KubeletSetting
    from kubedoctor.host.kubelet_config import NodeVersions as NodeVersions
    from kubedoctor.host.kubelet_config import kubelet_config_directory as kubelet_config_directory
    from kubedoctor.host.kubelet_config import kubelet_configz as kubelet_configz
    from kubedoctor.host.kubelet_config import kubelet_fields as kubelet_fields
    from kubedoctor.host.kubelet_config import kubelet_setting as kubelet_setting
    from kubedoctor.host.kubelet_config import node_versions as node_versions
    from kubedoctor.host.leaders import LEASE_DEADLINE as LEASE_DEADLINE
    from kubedoctor.host.leaders import Asker as Asker
    from kubedoctor.host.leaders import Election as Election
    from kubedoctor.host.leaders import askers as askers
    from kubedoctor.host.leaders import election as election
    from kubedoctor.host.leaders import election_findings as election_findings
    from kubedoctor.host.leaders import leads as leads
    from kubedoctor.host.leaders import seen_lease as seen_lease
    from kubedoctor.host.leaders import untaken_finding as untaken_finding
    from kubedoctor.host.leases import ApiAddresses as ApiAddresses
    from kubedoctor.host.leases import ApiReply as ApiReply
    from kubedoctor.host.leases import Lease as Lease
    from kubedoctor.host.leases import LeaseView as LeaseView
    from kubedoctor.host.leases import api_addresses as api_addresses
    from kubedoctor.host.leases import api_items as api_items
    from kubedoctor.host.leases import api_time as api_time
    from kubedoctor.host.leases import ask_api as ask_api
    from kubedoctor.host.leases import lease as lease
    from kubedoctor.host.leases import lease_renewal as lease_renewal
    from kubedoctor.host.liveness import is_starting as is_starting
    from kubedoctor.host.liveness import liveness_findings as liveness_findings
    from kubedoctor.host.liveness import refusal_finding as refusal_finding
    from kubedoctor.host.liveness import silence_finding as silence_finding
    from kubedoctor.host.meminfo import Memory as Memory
    from kubedoctor.host.meminfo import Swap as Swap
    from kubedoctor.host.meminfo import memory as memory
    from kubedoctor.host.meminfo import swaps as swaps
    from kubedoctor.host.mountinfo import Mount as Mount
    from kubedoctor.host.mountinfo import mount_of as mount_of
    from kubedoctor.host.mountinfo import mounts as mounts
    from kubedoctor.host.owner import Owner as Owner
    from kubedoctor.host.owner import ago as ago
    from kubedoctor.host.owner import describe as describe
    from kubedoctor.host.owner import user_name as user_name
    from kubedoctor.host.ports import WantedPort as WantedPort
    from kubedoctor.host.ports import port_findings as port_findings
    from kubedoctor.host.ports import secure_ports as secure_ports
    from kubedoctor.host.ports import wanted_ports as wanted_ports
    from kubedoctor.host.process import Process as Process
    from kubedoctor.host.process import our_namespaces as our_namespaces
    from kubedoctor.host.process import processes as processes
    from kubedoctor.host.redaction import redacted as redacted
    from kubedoctor.host.resolver import ResolvConf as ResolvConf
    from kubedoctor.host.resolver import resolv_conf as resolv_conf
    from kubedoctor.host.routing import Route as Route
    from kubedoctor.host.routing import default_routes as default_routes
    from kubedoctor.host.routing import route_to as route_to
    from kubedoctor.host.routing import routes as routes
    from kubedoctor.host.rules import Leading as Leading
    from kubedoctor.host.runc import Program as Program
    from kubedoctor.host.runc import RuncBuild as RuncBuild
    from kubedoctor.host.runc import program as program
    from kubedoctor.host.runc import runc_build as runc_build
    from kubedoctor.host.runc import search_path as search_path
    from kubedoctor.host.runtimes import RUNTIME_COMPONENTS as RUNTIME_COMPONENTS
    from kubedoctor.host.runtimes import Runtime as Runtime
    from kubedoctor.host.runtimes import RuntimeNetwork as RuntimeNetwork
    from kubedoctor.host.runtimes import node_runtimes as node_runtimes
    from kubedoctor.host.runtimes import runtime_configuration as runtime_configuration
    from kubedoctor.host.runtimes import runtime_handlers as runtime_handlers
    from kubedoctor.host.runtimes import runtime_network as runtime_network
    from kubedoctor.host.runtimes import served_socket as served_socket
    from kubedoctor.host.sandboxes import made_by_up as made_by_up
    from kubedoctor.host.services import BaseChain as BaseChain
    from kubedoctor.host.services import RuleTable as RuleTable
    from kubedoctor.host.services import ServiceRules as ServiceRules
    from kubedoctor.host.services import Way as Way
    from kubedoctor.host.services import rule_chains as rule_chains
    from kubedoctor.host.services import service_rules as service_rules
    from kubedoctor.host.sockets import Listener as Listener
    from kubedoctor.host.sockets import find_listener as find_listener
    from kubedoctor.host.sockets import listeners as listeners
    from kubedoctor.host.sockets import socket_holders as socket_holders
    from kubedoctor.host.tls import served_certificate as served_certificate
    from kubedoctor.host.tracking import Conntrack as Conntrack
    from kubedoctor.host.tracking import conntrack as conntrack

_HOME: dict[str, str] = {
    # name: module of kubedoctor.host, one a line
    "Access": "api",
    "Address": "interfaces",
    "ApiAddresses": "leases",
    "ApiReply": "leases",
    "Asker": "leaders",
    "BaseChain": "services",
    "BuildInfo": "buildinfo",
    "CNI_VERSIONS": "cni",
    "CertificateFact": "certificates",
    "CgroupLayout": "cgroup",
    "Cgroups": "cgroup",
    "Clock": "adjtime",
    "CniFile": "cni",
    "CniLoad": "cni",
    "Conntrack": "tracking",
    "ContainerdConfig": "containerd_config",
    "CriCondition": "cri",
    "CriContainer": "cri",
    "CriSandbox": "cri",
    "CriStatus": "cri",
    "CriVersion": "cri",
    "CrioConfig": "crio_config",
    "DiskSpace": "disk",
    "DnsAnswer": "dns",
    "Election": "leaders",
    "FileKind": "files",
    "FileStatus": "files",
    "Health": "endpoints",
    "Holder": "holders",
    "HttpAnswer": "http",
    "Identity": "endpoints",
    "ImageFilesystem": "cri",
    "KubeconfigCluster": "kubeconfigs",
    "KubeconfigContext": "kubeconfigs",
    "KubeconfigFact": "kubeconfigs",
    "KubeconfigUser": "kubeconfigs",
    "KubeletDns": "cluster_network",
    "KubeletFields": "kubelet_config",
    "KubeletSetting": "kubelet_config",
    "LEASE_DEADLINE": "leaders",
    "Leading": "rules",
    "Lease": "leases",
    "LeaseView": "leases",
    "Link": "interfaces",
    "Listener": "sockets",
    "Memory": "meminfo",
    "ModuleState": "kernel",
    "Mount": "mountinfo",
    "NOBODY": "endpoints",
    "Node": "cluster_network",
    "NodeVersions": "kubelet_config",
    "Owner": "owner",
    "Process": "process",
    "Program": "runc",
    "PublicKeyFact": "keys",
    "RUNTIME_COMPONENTS": "runtimes",
    "ResolvConf": "resolver",
    "Route": "routing",
    "RuleTable": "services",
    "RuncBuild": "runc",
    "Runtime": "runtimes",
    "RuntimeHandler": "cri",
    "RuntimeNetwork": "runtimes",
    "Sample": "endpoints",
    "ServiceNetwork": "cluster_network",
    "ServiceRules": "services",
    "Swap": "meminfo",
    "Tls": "http",
    "Value": "documents",
    "WantedPort": "ports",
    "Way": "services",
    "addresses": "interfaces",
    "ago": "owner",
    "api_addresses": "leases",
    "api_get": "api",
    "api_items": "leases",
    "api_time": "leases",
    "as_fact_errors": "errors",
    "ask_api": "leases",
    "askers": "leaders",
    "at": "documents",
    "build_info": "buildinfo",
    "certificates": "certificates",
    "cgroups": "cgroup",
    "clock": "adjtime",
    "cni_files": "cni",
    "cni_load": "cni",
    "connect": "agent",
    "conntrack": "tracking",
    "containerd_config": "containerd_config",
    "cri_cgroup_driver": "cri",
    "cri_containers": "cri",
    "cri_image_filesystems": "cri",
    "cri_sandboxes": "cri",
    "cri_status": "cri",
    "cri_version": "cri",
    "crio_config": "crio_config",
    "default_routes": "routing",
    "describe": "owner",
    "disk_space": "disk",
    "dns_answer": "dns",
    "election": "leaders",
    "election_findings": "leaders",
    "fact_error": "errors",
    "file_holders": "holders",
    "filesystems": "kernel",
    "find_listener": "sockets",
    "has_unified_cgroups": "abilities",
    "health": "endpoints",
    "http_get": "http",
    "http_request": "http",
    "in_time": "disk",
    "is_starting": "liveness",
    "issued_by": "certificates",
    "kernel_module": "kernel",
    "kernel_release": "kernel",
    "kubeconfig": "kubeconfigs",
    "kubelet_config_directory": "kubelet_config",
    "kubelet_configz": "kubelet_config",
    "kubelet_fields": "kubelet_config",
    "kubelet_setting": "kubelet_config",
    "leads": "leaders",
    "lease": "leases",
    "lease_renewal": "leases",
    "links": "interfaces",
    "list_directory": "files",
    "listeners": "sockets",
    "liveness_findings": "liveness",
    "made_by_up": "sandboxes",
    "may": "abilities",
    "memory": "meminfo",
    "metrics": "endpoints",
    "mount_of": "mountinfo",
    "mounts": "mountinfo",
    "netlink_dump": "agent",
    "node_runtimes": "runtimes",
    "node_versions": "kubelet_config",
    "nodes": "cluster_network",
    "open_path": "files",
    "our_namespaces": "process",
    "parse_certificates": "certificates",
    "parse_document": "documents",
    "port_findings": "ports",
    "prepare": "agent",
    "printable": "errors",
    "processes": "process",
    "program": "runc",
    "public_key": "keys",
    "public_keys": "keys",
    "reachable_url": "endpoints",
    "read_access": "api",
    "read_file": "files",
    "read_option": "agent",
    "read_text": "files",
    "redacted": "redaction",
    "refusal_finding": "liveness",
    "resolv_conf": "resolver",
    "route_to": "routing",
    "routes": "routing",
    "rule_chains": "services",
    "runc_build": "runc",
    "runs_systemd": "abilities",
    "runtime_configuration": "runtimes",
    "runtime_handlers": "runtimes",
    "runtime_network": "runtimes",
    "search_path": "runc",
    "secure_address": "endpoints",
    "secure_ports": "ports",
    "seen_lease": "leaders",
    "served_certificate": "tls",
    "served_socket": "runtimes",
    "service_network": "cluster_network",
    "service_rules": "services",
    "silence_finding": "liveness",
    "socket_holders": "sockets",
    "stat_file": "files",
    "swaps": "meminfo",
    "sysctl": "kernel",
    "tls_files": "http",
    "told_dns": "cluster_network",
    "udp_socket": "agent",
    "untaken_finding": "leaders",
    "user_name": "owner",
    "wanted_ports": "ports",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kubedoctor.host.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(_HOME)


class _Package(ModuleType):
    """This package: the fact `certificates` stays what it is when the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
