"""Putting running components together into clusters: by who started them, whose files they use, whom they talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field

from kubedoctor.doctor.discovery.addresses import (
    Endpoint,
    api_address,
    etcd_clients,
    etcd_peers,
    etcd_value,
    meets,
    runtime_socket,
    stores,
    wanted_api,
    wanted_runtime,
)
from kubedoctor.doctor.discovery.instances import Found
from kubedoctor.doctor.discovery.layouts import Layout, layout_of
from kubedoctor.facts import FactError, Look
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

API = ("kube-apiserver", "k3s")
CLIENTS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kwok")
CRI = ("containerd", "crio", "cri-dockerd")
"""Runtimes that a kubelet can talk to."""
_STARTERS = ("k3s", "k0s", "dockerd")


@dataclass(slots=True, eq=False)
class Cluster:
    """What belongs together. `given` is the number of the cluster that the caller knew already, -1 for a new one.

    `layout` is whose it is where that is known otherwise than by its members.
    """

    members: list[Found]
    given: int = -1
    layout: Layout | None = None
    notes: list[str] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Return whether a component of one of these names is in it."""
        return any(one.instance.name in names for one in self.members)

    def all(self, *names: str) -> list[Found]:
        """Return the components of these names."""
        return [one for one in self.members if one.instance.name in names]

    @property
    def homes(self) -> set[str]:
        """The network namespaces it is in."""
        return {one.home for one in self.members}


def put_together(look: Look, found: Iterable[Found], given: Sequence[Sequence[Found]] = ()) -> list[Cluster]:
    """Return the clusters that *found* and *given* ones come to: each component in exactly one, the given ones first.

    Given clusters are never joined with each other. The order of *found* does not matter.
    """
    ordered = sorted(found, key=lambda one: (one.instance.name, one.instance.argv, one.home, one.instance.pid))
    clusters = [Cluster(list(members), number) for number, members in enumerate(given)]
    clusters += [Cluster([one]) for one in ordered]
    work = _Work(look, clusters)
    work.join_by_layout()
    work.join_by_starter()
    work.join_by_store()
    work.join_by_runtime()
    work.join_clients()
    work.join_the_rest()
    return work.clusters


class _Work:
    def __init__(self, look: Look, clusters: list[Cluster]) -> None:
        self._look = look
        self.clusters = clusters
        self._cluster_of = {id(member): cluster for cluster in clusters for member in cluster.members}
        self._files_of: dict[int, set[str]] = {}

    def _join(self, one: Cluster, other: Cluster) -> Cluster:
        """Join two clusters and return what they have become; two that were given stay two."""
        if one is other or (one.given >= 0 and other.given >= 0):
            return one
        first, second = sorted((one, other), key=self.clusters.index)
        first.members += second.members
        self._cluster_of |= {id(member): first for member in second.members}
        first.notes += second.notes
        self.clusters.remove(second)
        return first

    def _join_equal(self, key: Callable[[Found], object]) -> None:
        """Join clusters that have members of an equal key; None is equal to nothing."""
        seen: dict[object, Found] = {}
        for one in [member for cluster in self.clusters for member in cluster.members]:
            if (wanted := key(one)) is not None:
                self._join(self._of(seen.setdefault(wanted, one)), self._of(one))

    def _of(self, member: Found) -> Cluster:
        return self._cluster_of[id(member)]

    def _join_matching(
        self, clients: Sequence[str], servers: Sequence[str], match: Callable[[Instance, Instance], bool]
    ) -> None:
        for client in self._members(*clients):
            for server in self._members(*servers):
                if client is not server and client.home == server.home and match(client.instance, server.instance):
                    self._join(self._of(client), self._of(server))

    def _members(self, *names: str) -> list[Found]:
        return [one for cluster in self.clusters for one in cluster.all(*names)]

    # --- step by step -------------------------------------------------------------------------------------------------

    def join_by_layout(self) -> None:
        """A distribution has one cluster in a network namespace, or one for each of its directories."""

        def key(one: Found) -> tuple[Layout, str] | None:
            layout = layout_of(one.instance)
            return (layout, "" if layout.directory else one.home) if layout else None

        self._join_equal(key)

    def join_by_starter(self) -> None:
        """k0s starts each component as a process of its own, k3s and dockerd their containerd."""
        starters = {one.instance.pid: one for one in self._members(*_STARTERS)}
        for one in [member for cluster in self.clusters for member in cluster.members]:
            if one.parent in starters and one.instance.pid:
                self._join(self._of(one), self._of(starters[one.parent]))

    def join_by_store(self) -> None:
        """kube-apiserver says where its etcd is, etcd who its peers are; and one data directory is one cluster's."""
        look = self._look
        etcds = [
            (one, etcd_clients(look, one.instance), *etcd_peers(look, one.instance)) for one in self._members("etcd")
        ]
        apis = [(one, stores(one.instance)) for one in self._members("kube-apiserver")]
        for server, for_clients, for_peers, _ in etcds:
            for api, wanted in apis:
                if api.home == server.home and _any_meets(wanted, for_clients):
                    self._join(self._of(api), self._of(server))
            for other, _, _, expected in etcds:
                if other.home == server.home and _any_meets(expected, for_peers):
                    self._join(self._of(other), self._of(server))

        def directory(one: Found) -> tuple[str, str] | None:
            if one.instance.name != "etcd":
                return None
            path = etcd_value(look, one.instance, "data-dir")
            path = (
                path if path.startswith("/") else f"{one.instance.directory}/{path}" if one.instance.directory else ""
            )
            return (one.files, path) if path else None

        self._join_equal(directory)

    def join_by_runtime(self) -> None:
        """A kubelet names its runtime; the only kubelet and the only runtime belong together, whatever it names."""
        for kubelet in self._members("kubelet"):
            runtimes = [one for one in self._members(*CRI) if one.home == kubelet.home]
            kubelets = [one for one in self._members("kubelet") if one.home == kubelet.home]
            if len(runtimes) == 1 and len(kubelets) == 1:
                self._join(self._of(kubelet), self._of(runtimes[0]))
            elif runtimes and (wanted := self._wanted(kubelet, wanted_runtime)):
                for runtime in runtimes:
                    if _any_meets({wanted}, runtime_socket(self._look, runtime.instance)):
                        self._join(self._of(kubelet), self._of(runtime))
        self._join_matching(("cri-dockerd",), ("dockerd",), self._uses)
        unused = [one for one in self._members("containerd") if not self._of(one).has("kubelet", *API)]
        for docker in self._members("dockerd"):
            for runtime in unused:
                if docker.home == runtime.home and self._uses(docker.instance, runtime.instance):
                    self._join(self._of(docker), self._of(runtime))

    def _uses(self, client: Instance, server: Instance) -> bool:
        wanted = wanted_runtime(self._look, client)
        return wanted is not None and _any_meets({wanted}, runtime_socket(self._look, server))

    def join_clients(self) -> None:
        """What talks to an API server belongs to it: to the only one there is, else to the one it names."""
        for client in self._members(*CLIENTS):
            own = self._of(client)
            servers = self._apis(client.home)
            if own.has(*API) or not servers:
                continue
            if len(servers) == 1:
                self._join(own, servers[0])
                continue
            wanted = self._wanted(client, wanted_api)
            named = [one for one in servers if wanted and self._serves(one, wanted)]
            shared = [one for one in servers if any(self._share_a_file(client, member) for member in one.members)]
            for server in (named or shared)[:1]:
                self._join(own, server)

    def _apis(self, home: str) -> list[Cluster]:
        return [cluster for cluster in self.clusters if cluster.has(*API) and home in cluster.homes]

    def _serves(self, cluster: Cluster, wanted: Endpoint) -> bool:
        addresses = (api_address(one.instance) for one in cluster.all(*API))
        return any(address is not None and meets(wanted, address) for address in addresses)

    def _wanted(self, client: Found, ask: Callable[[Look, Instance], Endpoint | None]) -> Endpoint | None:
        try:
            return ask(self._look, client.instance)
        except FactError as problem:
            self._of(client).notes.append(f"whom {client.instance.name} talks to is not known: {problem.reason}")
            return None

    def _share_a_file(self, one: Found, other: Found) -> bool:
        """Return whether the command lines of both name one and the same file of a cluster: a key, a certificate."""
        return one.home == other.home and bool(self._files(one) & self._files(other))

    def _files(self, one: Found) -> set[str]:
        if id(one) not in self._files_of:
            values = (value for given in one.instance.flags.values() for value in given)
            named = {value for value in values if value.startswith("/")}
            self._files_of[id(one)] = {name for name in named if name.endswith((".crt", ".key", ".pem", ".pub"))}
        return self._files_of[id(one)]

    def join_the_rest(self) -> None:
        """What is left joins the only cluster in its network namespace, if it lacks just that."""
        for home in sorted({home for cluster in self.clusters for home in cluster.homes}):
            if not self._apis(home):
                self._join_without_api(home)
            there = self._apis(home) or self._with(home, "kubelet") or self._with(home, *CLIENTS)
            if len(there) != 1:
                continue
            cluster = there[0]
            stray = [one for one in self._with(home, "etcd") if one is not cluster]
            if len(stray) == 1 and _stores_here(cluster):
                cluster = self._join(cluster, stray[0])
            stray = [one for one in self._with(home, *CRI) if one is not cluster and not is_docker(one)]
            if len(stray) == 1 and cluster.has("kubelet") and not cluster.has(*CRI):
                cluster = self._join(cluster, stray[0])
            for resolver in [one for one in self._with(home, "coredns") if one is not cluster]:
                cluster = self._join(cluster, resolver)

    def _join_without_api(self, home: str) -> None:
        """Join clients that have no API server, and the only etcd: theirs is what does not run."""
        layouts = {
            layout
            for cluster in self._with(home, *CLIENTS, "etcd")
            for one in cluster.members
            if (layout := layout_of(one.instance)) is not None
        }
        clients = self._with(home, *CLIENTS)
        if len(layouts) > 1 or not clients:
            return
        first = clients[0]
        for other in clients[1:]:
            first = self._join(first, other)

    def _with(self, home: str, *names: str) -> list[Cluster]:
        return [cluster for cluster in self.clusters if cluster.has(*names) and home in cluster.homes]


def is_docker(cluster: Cluster) -> bool:
    """Return whether it is Docker with what belongs to it, and no Kubernetes has to do with it."""
    return cluster.has("dockerd") and not any(
        one.instance.name not in ("dockerd", "containerd") for one in cluster.members
    )


def _stores_here(cluster: Cluster) -> bool:
    """Return whether its etcd is to be on this machine, and was not found."""
    if cluster.has("etcd", "k3s"):
        return False
    wanted = [one for api in cluster.all("kube-apiserver") for one in stores(api.instance)]
    return not wanted or any(meets(Endpoint("127.0.0.1", one.port), one) for one in wanted)


def _any_meets(needed: Iterable[Endpoint], offered: Iterable[Endpoint]) -> bool:
    offers = list(offered)
    return any(meets(one, other) for one in needed for other in offers)
