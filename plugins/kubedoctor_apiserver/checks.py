"""What keeps a kube-apiserver from starting, and from being ready."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from kubedoctor import (
    Check,
    Context,
    Denied,
    Evidence,
    FactError,
    Finding,
    Fix,
    Instance,
    NotApplicable,
    Phase,
    Severity,
    check,
    host,
)
from kubedoctor_apiserver.component import NAME, PORT

HEALTH = "https://kubernetes.io/docs/reference/using-api/health-checks/"
KEYS = "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller"
ANYWHERE = "0.0.0.0"  # noqa: S104 - where it listens unless told otherwise
STARTING = 60.0
"""Seconds after its start in which not being ready is what --livez-grace-period and slow disks make of a good one."""
_FAILED = re.compile(r"^\[-\](\S+) failed", re.MULTILINE)


@check(
    "apiserver.port-taken",
    title="kube-apiserver's port is free",
    looks_at="the listening sockets where kube-apiserver runs or would run, and who holds its --secure-port",
    fix="stop the process that holds the port, or give kube-apiserver another one",
    seen_as=("failed to create listener", "listen tcp 0.0.0.0:6443: bind: address already in use"),
    of=(NAME,),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("ports",),
    aliases=("Port-6443",),
)
def port_taken(context: Context) -> Iterator[Finding]:
    """Kube-apiserver ends at once when another process listens on its port.

    Everything else then fails in its own words: kube-controller-manager cannot load a configmap, kubectl hangs or is
    reset, kube-scheduler runs on and calls itself healthy.
    """
    for instance in context.target.all(NAME):
        yield from host.port_findings(context, instance, host.secure_ports(instance, ANYWHERE, PORT))


@check(
    "apiserver.advertise-loopback",
    title="kube-apiserver advertises an address that others reach",
    looks_at="--advertise-address and --endpoint-reconciler-type",
    fix="advertise an address of the node, or give --endpoint-reconciler-type=none where there are no nodes",
    seen_as=("cannot use public IP 127.0.0.1 with endpoint reconciler", "may not be in the loopback range"),
    of=(NAME,),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("configuration",),
)
def advertise_loopback(context: Context) -> Iterator[Finding]:
    """Kube-apiserver writes the advertised address into the endpoints of the service `kubernetes`.

    A loopback address is not allowed there. It finds out late: its whole API is set up, then it ends with status 1.
    """
    for instance in context.target.all(NAME):
        address = instance.flag("advertise-address")
        if not _is_loopback(address) or instance.flag("endpoint-reconciler-type") == "none":
            continue
        yield Finding(
            message=f"{NAME} is told to advertise {address}, a loopback address, and ends because of it",
            subject=f"{NAME} --advertise-address",
            evidence=(
                Evidence(
                    source=f"command line of {NAME} ({instance.source})",
                    observed=f"--advertise-address={address}",
                    expected="an address of this node, or --endpoint-reconciler-type=none",
                ),
            ),
            fixes=(
                Fix(summary="leave --advertise-address out, or give it an address of this node"),
                Fix(summary="add --endpoint-reconciler-type=none if no node and no pod needs the API"),
            ),
        )


@check(
    "apiserver.not-ready",
    title="kube-apiserver is ready",
    looks_at="the state of its process, and /readyz?verbose at its --secure-port",
    fix="mend what the failing check names; its reason stands in kube-apiserver's log",
    seen_as=(
        "The connection to the server was refused",
        "readyz check failed",
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    ),
    of=(NAME,),
    requires=("etcd.unhealthy", "etcd.alarm-raised", "apiserver.port-taken", "apiserver.advertise-loopback"),
    tags=("health",),
)
def not_ready(context: Context) -> Iterator[Finding]:
    """A kube-apiserver that is not ready gets no work from load balancers, and often can do none.

    Who is not known to it gets 401 where anonymous requests are off: it is alive then, and is asked again with the
    certificates that other components have.
    """
    for instance in context.target.all(NAME):
        found = host.liveness_findings(instance)
        yield from found or _unready(context, instance)


def _unready(context: Context, instance: Instance) -> Iterator[Finding]:
    url = f"{host.reachable_url('https', *host.secure_address(instance, ANYWHERE, PORT))}/readyz?verbose"
    health = _readiness(context, instance, url)
    if health.is_well:
        return
    failing = _FAILED.findall(health.text)
    if failing:
        what = f"is not ready: {', '.join(failing)}"
    elif health.status:
        what = f"is not ready: /readyz says {health.status}"
    else:
        what = f"does not answer: {health.problem}"
    age = context.now - instance.started
    is_starting = 0 <= age < STARTING
    yield Finding(
        message=f"{NAME} (pid {instance.pid}) {what}{f', {age:.0f} s after its start' if is_starting else ''}",
        subject=NAME,
        severity=Severity.WARNING if is_starting else None,
        evidence=(
            Evidence(
                source=url,
                observed=health.problem or f"{health.status}, failing: {', '.join(failing) or 'it does not say what'}",
                expected="200 readyz check passed",
            ),
        ),
        fixes=(Fix(summary=f"see why in {instance.log or 'its log'}", link=HEALTH),),
    )


def _readiness(context: Context, instance: Instance, url: str) -> host.Health:
    health = context.get(host.health, url, instance.net)
    if health.status not in (401, 403):
        return health
    for identity in _identities(context, instance):
        try:
            known = context.get(host.health, url, instance.net, identity)
        except FactError:
            continue
        if known.status not in (401, 403):
            return known
    raise Denied(
        f"needs a kubeconfig that {NAME} accepts: it is alive, and tells nobody else whether it is ready "
        f"({health.status})"
    )


def _identities(context: Context, instance: Instance) -> Iterator[host.Identity]:
    if context.target.kubeconfig:
        yield host.Identity(kubeconfig=context.target.kubeconfig)
    for client in context.target.all("kube-controller-manager", "kube-scheduler"):
        if kubeconfig := client.path("kubeconfig"):
            yield host.Identity(kubeconfig=kubeconfig, root=client.root)
    certificate, key = instance.path("kubelet-client-certificate"), instance.path("kubelet-client-key")
    if certificate and key:
        yield host.Identity(certificate=certificate, key=key, root=instance.root)


@check(
    "apiserver.service-account-key-mismatch",
    title="tokens of service accounts are signed with keys that kube-apiserver knows",
    looks_at="the public halves of kube-controller-manager's --service-account-private-key-file, of kube-apiserver's "
    "--service-account-signing-key-file, and of its --service-account-key-files",
    fix="give kube-apiserver the public key as one more --service-account-key-file, or the signer the right key",
    seen_as=("invalid bearer token, invalid signature, no keys found", "401 Unauthorized for tokens from secrets"),
    of=(NAME,),
    needs="root",
    tags=("keys",),
)
def service_account_key_mismatch(context: Context) -> Iterator[Finding]:
    """A token that is signed with a key kube-apiserver does not know is nobody's: 401.

    When kube-controller-manager has the other key, only tokens in secrets of the type
    `kubernetes.io/service-account-token` are refused, everything else works, and kube-controller-manager says nothing.
    """
    for instance in context.target.all(NAME):
        files = [instance.absolute(one) for one in _verification_files(instance)]
        if not files or not all(files):
            raise NotApplicable(f"the command line of {NAME} names no key files")
        known = {key.hash for file in files for key in context.get(host.public_keys, file, instance.root)}
        for signer, flag in _signers(context, instance):
            path = signer.path(flag)
            if not path:
                continue
            key = context.get(host.public_key, path, signer.root)
            if key.hash not in known:
                yield _mismatch(signer, flag, path, files, key)


def _verification_files(instance: Instance) -> tuple[str, ...]:
    """Return the files whose keys verify tokens: without the flag kube-apiserver takes the key it serves with."""
    if files := instance.flags.get("service-account-key-file"):
        return files
    return instance.flags.get("tls-private-key-file", ())[-1:]


def _signers(context: Context, instance: Instance) -> Iterator[tuple[Instance, str]]:
    yield instance, "service-account-signing-key-file"
    for manager in context.target.all("kube-controller-manager"):
        yield manager, "service-account-private-key-file"


def _mismatch(signer: Instance, flag: str, path: str, files: list[str], key: host.PublicKeyFact) -> Finding:
    return Finding(
        message=f"{signer.name} signs tokens with {path}, whose public key {NAME} does not know: it refuses them",
        subject=f"{signer.name} --{flag}",
        evidence=(
            Evidence(
                source=f"{path} (--{flag} of {signer.name})",
                observed=f"{key.algorithm}, public key {key.hash[:16]}",
                expected=f"a key of {', '.join(files)} (--service-account-key-file of {NAME})",
            ),
        ),
        fixes=(
            Fix(summary=f"give {signer.name} the private key that belongs to {files[0]}: --{flag}", link=KEYS),
            Fix(summary=f"give {NAME} the public key of {path} too: one more --service-account-key-file"),
        ),
    )


# ----------------------------------------------------------------------------------------------------------------------


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


CHECKS: tuple[Check, ...] = (port_taken, advertise_loopback, not_ready, service_account_key_mismatch)
