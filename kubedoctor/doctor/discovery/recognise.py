"""Which component a command line is: by the program's name, or, where it has another one, by flags nobody else has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubedoctor.targets import parse_flags

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "containerd",
    "crio",
    "cri-dockerd",
    "dockerd",
    "coredns",
    "k3s",
    "k0s",
    "kwok",
)
"""The names of what is recognised."""

RUNTIMES = ("containerd", "crio", "cri-dockerd", "dockerd")
ALL_IN_ONE = ("k3s", "k0s")
"""Programs that are, or start, all components of a cluster."""

_OTHER_NAMES = {"cri-o": "crio", "kwok-controller": "kwok", "k3s-server": "k3s", "k3s-agent": "k3s"}
_NAMED = "|".join(sorted((*COMPONENTS, *_OTHER_NAMES), key=len, reverse=True))
_SUFFIX = r"(?:[-_.](?:v?\d[a-zA-Z\d+]*|linux|amd64|arm64|armhf|arm|debug|dev|local|static|dirty|real|old|new))*"
_PROGRAM = re.compile(rf"(?:_+\d*go_build_(?:\w+_)?)?({_NAMED}){_SUFFIX}")
"""A name as builds give it: kube-apiserver-v1.37.2, etcd-linux-amd64, k3s-armhf, an IDE's ___go_build_kubelet."""

_SUBCOMMANDS = {"k3s": ("server", "agent"), "k0s": ("controller", "worker")}
_HYPERKUBE = {"apiserver": "kube-apiserver", "controller-manager": "kube-controller-manager"}
_HYPERKUBE |= {"scheduler": "kube-scheduler", "proxy": "kube-proxy"}

_ONES_OWN: dict[str, tuple[frozenset[str], int]] = {
    "kube-apiserver": (
        frozenset({"etcd-servers", "service-account-issuer", "service-cluster-ip-range", "kubelet-client-certificate"}),
        3,  # API servers of others have --etcd-servers too
    ),
    "kube-controller-manager": (
        frozenset(
            {
                "service-account-private-key-file",
                "root-ca-file",
                "cluster-signing-cert-file",
                "use-service-account-credentials",
                "allocate-node-cidrs",
                "node-monitor-grace-period",
            }
        ),
        2,
    ),
    "etcd": (
        frozenset({"listen-client-urls", "advertise-client-urls", "listen-peer-urls", "initial-advertise-peer-urls"}),
        2,
    ),
    "kubelet": (
        frozenset(
            {
                "bootstrap-kubeconfig",
                "container-runtime-endpoint",
                "pod-manifest-path",
                "pod-infra-container-image",
                "node-labels",
                "node-ip",
                "register-with-taints",
            }
        ),
        2,
    ),
    "kube-proxy": (
        frozenset(
            {
                "proxy-mode",
                "conntrack-max-per-core",
                "conntrack-min",
                "iptables-sync-period",
                "detect-local-mode",
                "masquerade-all",
            }
        ),
        2,
    ),
}
"""Flags that tell a component, and how many of them it takes. kube-scheduler and containerd have none of their own."""

_ANYONES_OWN = frozenset().union(*(own for own, _ in _ONES_OWN.values()))

_STARTERS = re.compile(
    r"sudo|su|doas|runuser|setpriv|env|nohup|setsid|timeout|nice|ionice|chrt|taskset|stdbuf|unshare|nsenter|chroot|ip"
    r"|(?:ba|da|z|a|k|fi|c|tc)?sh|busybox|strace|ltrace|gdb|gdbserver|dlv|perf|valgrind|tini|dumb-init|catatonit|s6-.*"
    r"|runc|crun|docker.*|podman|nerdctl|ctr|conmon|containerd-shim.*|systemd.*|ssh|tmux.*|screen|script|watch|xargs"
    r"|find|go|make|python[\d.]*|perl|ruby|node|vi|vim|nano|emacs|less|cat|tail|grep|man|kubectl|kubeadm|crictl|tee"
    r"|time|supervisord|runsvdir|runsv|multilog|kd-.*"
)
"""Programs that have another one's command line in theirs, or search for it."""


def component_name(argv: Sequence[str], executable: str = "") -> str:
    """Return the component that a process with this command line and executable is, "" when it is none we know."""
    words = [word for word in argv[:1] for word in word.split()] + list(argv[1:])  # k3s writes a title of one word
    if not words:
        return ""
    names = [_program(words[0]), _program(executable.removesuffix(" (deleted)"))]
    for name in names:
        if name in _SUBCOMMANDS:
            command = next((word for word in words[1:] if not word.startswith("-")), "")
            if command in _SUBCOMMANDS[name] or words[0].endswith(("k3s-server", "k3s-agent")):
                return name
            if name == names[0]:
                return ""  # `k3s kubectl`, `k0s status`
        elif name:
            return "" if _only_tells(words) else name
    if _last(words[0]) in ("hyperkube", "kube", "km") and len(words) > 1:
        return _HYPERKUBE.get(words[1], words[1] if words[1] in COMPONENTS else "")
    return _by_flags(words)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _program(path: str) -> str:
    found = _PROGRAM.fullmatch(_last(path).replace("kube_", "kube-").replace("controller_m", "controller-m"))
    return _OTHER_NAMES.get(found[1], found[1]) if found else ""


_OTHER_DOINGS = ("--version", "version", "--help", "help", "config", "completion", "grpc-proxy", "gateway")
"""What a component's program does beside being one, by its first word: `kubelet --version`, `etcd grpc-proxy`."""


def _only_tells(words: Sequence[str]) -> bool:
    """Return whether the program is run for something else than being the component."""
    return len(words) > 1 and words[1] in _OTHER_DOINGS


def _by_flags(words: Sequence[str]) -> str:
    if not any(word.lstrip("-").partition("=")[0] in _ANYONES_OWN for word in words[1:]):
        return ""  # nearly all processes of a machine
    if not words[1].startswith("-") or _STARTERS.fullmatch(_last(words[0]).lstrip("-")):
        return ""
    if any(_program(word) or _last(word) == "hyperkube" for word in words[1:] if not word.startswith("-")):
        return ""  # the component's name behind another one's flags: it is started, or searched for
    flags = parse_flags(tuple(words[1:])).keys()
    scores = {name: len(own & flags) for name, (own, needed) in _ONES_OWN.items() if len(own & flags) >= needed}
    return max(scores, key=lambda name: scores[name], default="")
