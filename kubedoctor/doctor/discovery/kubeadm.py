"""What should run on a node that kubeadm set up: static pods, the kubelet, its runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from kubedoctor.doctor.discovery.addresses import DEFAULT_RUNTIME, endpoint, path_of, runtime_socket
from kubedoctor.doctor.discovery.grouping import API, CRI, Cluster
from kubedoctor.doctor.discovery.instances import Found
from kubedoctor.doctor.discovery.layouts import KUBERNETES_DIRECTORY, Layout, layout_of
from kubedoctor.doctor.discovery.machine import directory, environment_file, exists
from kubedoctor.doctor.discovery.recognise import component_name
from kubedoctor.doctor.discovery.settings import kubelet_settings
from kubedoctor.facts import Absent, FactError, Look, fact
from kubedoctor.host import printable, read_file, redacted
from kubedoctor.host.documents import Value, at, parse_document
from kubedoctor.host.process import parse_environment
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance, TargetKind

MANIFESTS = f"{KUBERNETES_DIRECTORY}/manifests"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
_KUBELET_FLAGS = (
    ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS"),
    ("/etc/default/kubelet", "KUBELET_EXTRA_ARGS"),
)
_PROGRAMS = ("/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/opt/bin")
_MOST = 100
"""Files of a manifest directory that are read: kubeadm writes four."""
_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticPod:
    """A component in a manifest of a static pod: its command line and settings, without secrets."""

    name: str
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@fact("targets.static-pods")
def static_pods(look: Look, path: str, root: int) -> tuple[StaticPod, ...]:
    """The components that a manifest of a static pod starts; raise Absent, Denied, Malformed."""
    del look
    return parse_static_pods(read_file(path, root=root, limit=_LIMIT), path)


def parse_static_pods(content: bytes, path: str) -> tuple[StaticPod, ...]:
    """Return the components in a manifest; none where it is no Pod. Raise Malformed."""
    pod = parse_document(content, printable(path))
    containers = at(pod, "spec", "containers") if at(pod, "kind") == "Pod" else None
    found = []
    for container in containers if isinstance(containers, list) else ():
        argv = redacted([*_texts(at(container, "command")), *_texts(at(container, "args"))])
        if name := component_name(argv):
            found.append(StaticPod(name=name, argv=argv, environment=_environment(at(container, "env"))))
    return tuple(found)


def _texts(value: Value) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _environment(value: Value) -> Mapping[str, str]:
    entries = [(at(one, "name"), at(one, "value")) for one in value] if isinstance(value, list) else []
    texts = [f"{name}={text}" for name, text in entries if isinstance(name, str) and isinstance(text, str)]
    return parse_environment("\0".join(texts).encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to look: a root directory and a network, as processes, and the home they are known by."""

    root: int
    net: int
    home: str


_OURS = _Place(0, 0, "ours")


def add_what_should_run(look: Look, clusters: list[Cluster]) -> None:
    """Add to *clusters*, or make one of, what manifests and files of this node, and of nodes in containers, want."""
    node = None
    for cluster in [one for one in clusters if one.given < 0 and (one.has("kubelet") or _is_kubeadm(one))]:
        kubelet = next((one for one in cluster.all("kubelet") if one.seen), None)
        if kubelet is not None:
            place = _Place(kubelet.instance.root, kubelet.instance.net, kubelet.home)
        elif "ours" in cluster.homes:
            place = _OURS
        else:
            continue
        if _is_kubeadm(cluster) and place.home == "ours":
            node = cluster
        _add_static_pods(look, cluster, place)
    host = node or Cluster([], layout=Layout(TargetKind.KUBEADM))
    if node is None:
        _add_static_pods(look, host, _OURS)
    _add_kubelet(look, host, _OURS, clusters)
    if node is None and (host.members or host.notes):
        clusters.append(host)


def _is_kubeadm(cluster: Cluster) -> bool:
    layouts = [layout_of(one.instance) for one in cluster.members]
    return any(layout and layout.kind is TargetKind.KUBEADM for layout in layouts)


def _add(cluster: Cluster, place: _Place, instance: Instance) -> None:
    files = "ours" if not place.root else place.home
    placed = replace(instance, root=place.root, net=place.net)
    cluster.members.append(Found(instance=placed, home=place.home, files=files))


def _add_static_pods(look: Look, cluster: Cluster, place: _Place) -> None:
    where = _static_pod_directory(look, cluster, place)
    if not where:
        return
    try:
        names = look.get(directory, where, place.root)
    except Absent:
        return
    except FactError as problem:
        cluster.notes.append(f"what should run is not known: {problem.reason}")
        return
    for name in names[:_MOST]:
        path = f"{where}/{name}"
        try:
            pods = look.get(static_pods, path, place.root)
        except FactError as problem:
            cluster.notes.append(f"a static pod is not known: {problem.reason}")
            continue
        for pod in pods:
            if not cluster.has(pod.name):
                instance = Instance(
                    name=pod.name, source=f"manifest {path}", argv=pod.argv, environment=pod.environment
                )
                _add(cluster, place, instance)


def _static_pod_directory(look: Look, cluster: Cluster, place: _Place) -> str:
    """Return where the kubelet looks for manifests: what it is told by flag or file; "" when nowhere."""
    if cluster.layout is not None or _is_kubeadm(cluster):
        return MANIFESTS  # kubeadm writes the file that says so: no need to read it
    kubelet = cluster.all("kubelet")[0].instance
    if told := path_of(kubelet, "pod-manifest-path"):
        return told.rstrip("/")
    try:
        return look.get(kubelet_settings, path_of(kubelet, "config"), place.root).static_pods.rstrip("/")
    except FactError:
        return ""


def _add_kubelet(look: Look, cluster: Cluster, place: _Place, clusters: list[Cluster]) -> None:
    """Add the kubelet, and the runtime it is to use, where kubeadm's files are there and they do not run."""
    try:
        files = [f"{KUBERNETES_DIRECTORY}/{name}" for name in ("kubelet.conf", "bootstrap-kubelet.conf")]
        joined = [path for path in files if look.get(exists, path, place.root)]
        if not joined or (not cluster.has("kubelet") and not look.get(exists, KUBELET_CONFIG, place.root)):
            return
    except FactError as problem:
        if cluster.members or cluster.notes:
            cluster.notes.append(f"whether the kubelet should run is not known: {problem.reason}")
        return
    if not cluster.has("kubelet"):
        program = _program(look, "kubelet")
        flags = (f"--kubeconfig={files[0]}", f"--bootstrap-kubeconfig={files[1]}", f"--config={KUBELET_CONFIG}")
        argv = (program or "kubelet", *flags, *_kubelet_flags(look))
        _add(cluster, place, Instance(name="kubelet", source=f"file {KUBELET_CONFIG}", argv=argv, executable=program))
    if not cluster.has(*CRI):
        _add_runtime(look, cluster, place, clusters)


def _kubelet_flags(look: Look) -> tuple[str, ...]:
    words: tuple[str, ...] = ()
    for path, name in _KUBELET_FLAGS:
        try:
            words += look.get(environment_file, path, 0, name)
        except FactError:
            continue  # most nodes have the first only
    return words


def _add_runtime(look: Look, cluster: Cluster, place: _Place, clusters: list[Cluster]) -> None:
    """Add the runtime the kubelet is to use: the one that runs there, else the one that is installed."""
    kubelet = cluster.all("kubelet")[0].instance
    told = kubelet.flag("container-runtime-endpoint")
    if not told:
        try:
            told = look.get(kubelet_settings, path_of(kubelet, "config") or KUBELET_CONFIG, 0).runtime
        except FactError:
            told = ""
    wanted = endpoint(told or DEFAULT_RUNTIME)
    if wanted is None or not wanted.path:
        return
    for other in [one for one in clusters if one is not cluster and one.given < 0 and place.home in one.homes]:
        for member in other.all(*CRI):
            if not other.has("kubelet", *API) and wanted in runtime_socket(look, member.instance):
                other.members.remove(member)
                cluster.members.append(member)
        if not other.members:
            clusters.remove(other)
    name = next((one for one in CRI if one in wanted.path.rpartition("/")[2]), "")
    if name and not cluster.has(*CRI) and (program := _program(look, name)):
        source = f"runtime of the kubelet at {wanted.path}"
        _add(cluster, place, Instance(name=name, source=source, argv=(program,), executable=program))


def _program(look: Look, name: str) -> str:
    for where in _PROGRAMS:
        try:
            if look.get(exists, f"{where}/{name}", 0):
                return f"{where}/{name}"
        except FactError:
            continue
    return ""
