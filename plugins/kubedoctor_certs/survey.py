"""All of a target that has to do with certificates: who shows which, who has to trust whom, under which names.

What processes say of themselves counts; usual places of a distribution are looked at beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Context, FactError, NotApplicable, TargetKind
from kubedoctor_certs.edges import edges, of_kubeconfig
from kubedoctor_certs.names import needed_names
from kubedoctor_certs.settings import Settings, settings_of
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Shown, Source, Survey, Trusted, Use, UsedKubeconfig
from kubedoctor_certs.tables import (
    AUTHORITIES,
    K3S,
    K3S_PAIRS,
    KUBEADM,
    KUBEADM_KUBECONFIGS,
    KUBEADM_PAIRS,
    KUBECONFIGS,
    KUBELET_PKI,
    PAIRS,
    WEBHOOKS,
)


def survey(context: Context, sight: Sight) -> Survey:
    """Return the survey of the target; raise NotApplicable when nothing there has to do with certificates."""
    result = Survey()
    components = [settings_of(sight, one) for one in context.target.instances if not one.planned]
    for one in components:
        result.shown += _pairs(one)
        result.trusted += _authorities(one)
        result.kubeconfigs += _kubeconfigs(one)
    _usual_places(context, sight, result)
    for used in _distinct(result.kubeconfigs):
        of_kubeconfig(sight, result, used)
    result.edges = list(edges(result, components))
    result.needed = list(needed_names(sight, result, components))
    if not (result.shown or result.trusted or result.kubeconfigs):
        raise NotApplicable("nothing here names a certificate or a kubeconfig")
    return result


def who(one: Settings) -> str:
    """Return what the component is called."""
    return one.instance.name


def _pairs(one: Settings) -> Iterator[Shown]:
    root = one.instance.root
    for pair in PAIRS.get(one.instance.name, ()):
        certificate, key = one.path(pair.certificate), one.path(pair.key)
        if not certificate:
            continue
        names = (f"--{pair.certificate}", f"--{pair.key}")
        key_source = Source(key, root) if key else None
        is_minor = pair.use is Use.SERVER and one.instance.name in ("kube-controller-manager", "kube-scheduler")
        yield Shown(
            who(one), pair.what, pair.use, Source(certificate, root), key_source, names, one.instance, is_minor=is_minor
        )
    if one.instance.name == "kubelet" and not one.path("tls-cert-file"):
        yield _kubelets_own(one)


def _kubelets_own(one: Settings) -> Shown:
    """Return what a kubelet serves when it is given nothing: its own, or one that the cluster signed."""
    directory = one.path("cert-dir", KUBELET_PKI)
    if one.get("server-tls-bootstrap") == "true":
        both = Source(f"{directory}/kubelet-server-current.pem", one.instance.root)
        return Shown(who(one), "serving certificate", Use.SERVER, both, both, instance=one.instance, made=True)
    # It never renews this one, however old: most clusters have API servers that do not look at it.
    certificate, key = (Source(f"{directory}/kubelet.{end}", one.instance.root) for end in ("crt", "key"))
    return Shown(
        who(one), "serving certificate", Use.SERVER, certificate, key, instance=one.instance, made=True, is_minor=True
    )


def _authorities(one: Settings) -> Iterator[Trusted]:
    for flag in AUTHORITIES.get(one.instance.name, ()):
        if path := one.path(flag):
            yield Trusted(who(one), Source(path, one.instance.root), f"--{flag}", one.instance)


def _kubeconfigs(one: Settings) -> Iterator[UsedKubeconfig]:
    name, root = one.instance.name, one.instance.root
    for flag in KUBECONFIGS.get(name, ()):
        if path := one.path(flag):
            instead = ""
            if name == "kubelet":  # it has one until the other one is made
                instead = one.path("bootstrap-kubeconfig" if flag == "kubeconfig" else "kubeconfig")
            server = one.get("master") if flag == "kubeconfig" else ""
            yield UsedKubeconfig(who(one), path, root, f"--{flag}", instead, server, instance=one.instance)
    for flag in WEBHOOKS.get(name, ()):
        if path := one.path(flag):
            yield UsedKubeconfig(who(one), path, root, f"--{flag}", asks_api=False, instance=one.instance)


def _distinct(used: list[UsedKubeconfig]) -> Iterator[UsedKubeconfig]:
    """Yield each kubeconfig of each user once, though three flags name it."""
    seen = set()
    for one in used:
        key = one.who, one.path, one.root, one.asks_api
        if key not in seen:
            seen.add(key)
            yield one


def _usual_places(context: Context, sight: Sight, result: Survey) -> None:
    target = context.target
    if target.kubeconfig and all((one.path, one.root) != (target.kubeconfig, 0) for one in result.kubeconfigs):
        result.kubeconfigs.append(UsedKubeconfig("kubectl", target.kubeconfig, 0))
    named = {one.certificate.path for one in result.shown}
    if target.kind is TargetKind.KUBEADM:
        kubelet = target.first("kubelet")
        root = kubelet.root if kubelet else 0
        for name, (title, use) in KUBEADM_PAIRS.items():
            owner, _, what = title.partition("'s ")
            _add_pair(sight, result, named, f"{KUBEADM}/pki/{name}", root, owner, what, use)
        known = {one.path for one in result.kubeconfigs}
        for name, owner in KUBEADM_KUBECONFIGS.items():
            path = f"{KUBEADM}/{name}"
            if path not in known and not _is_absent(sight.kubeconfig(path, root)):
                result.kubeconfigs.append(UsedKubeconfig(owner, path, root))
    for k3s in target.all("k3s"):
        directory = f"{k3s.flag('data-dir') or k3s.flag('d') or K3S}/server/tls"
        for name, use in K3S_PAIRS.items():
            _add_pair(sight, result, named, f"{directory}/{name}", k3s.root, "k3s", f"certificate {name}", use)


def _add_pair(
    sight: Sight, result: Survey, named: set[str], path: str, root: int, owner: str, what: str, use: Use
) -> None:
    """Add what lies in a usual place, unless a process named it already or it is not there."""
    certificate = Source(f"{path}.crt", root)
    if certificate.path in named or _is_absent(certificate.certificates(sight)):
        return
    key = Source(f"{path}.key", root)
    if use is Use.SIGNER and _is_absent(key.key(sight)):  # kept elsewhere, as it should be
        result.shown.append(Shown(owner, what, use, certificate))
    else:
        result.shown.append(Shown(owner, what, use, certificate, key))


def _is_absent(found: object) -> bool:
    return isinstance(found, FactError) and found.kind == "absent"
