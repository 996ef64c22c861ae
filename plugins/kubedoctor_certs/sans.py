"""The check that serving certificates are for the names and addresses by which they are dialled."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Check, Context, Evidence, FactError, Finding, Fix, Severity, TargetKind, check, host
from kubedoctor_certs.consequences import of_shown
from kubedoctor_certs.fixes import renewal
from kubedoctor_certs.names import SERVICE
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Needed, Shown
from kubedoctor_certs.survey import survey


@check(
    "certs.san-missing",
    title="serving certificates are for the names that are dialled",
    looks_at="the subject alternative names of kube-apiserver's and etcd's serving certificates; the servers in "
    "kubeconfigs, --master, --etcd-servers, --advertise-address, the first address of the service range",
    fix="issue the certificate anew with the missing names, or use a name it has",
    seen_as=(
        "x509: certificate is valid for 127.0.0.1, 10.0.0.1, not 198.18.0.1",
        "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
        "unable to load configmap based request-header-client-ca-file",
    ),
    of=("kube-apiserver", "etcd"),
    tags=("certificates",),
)
def san_missing(context: Context) -> Iterator[Finding]:
    """Clients refuse a server whose certificate is not for the name or address that they dialled.

    An address has to be there as an address, a name as a name; the common name counts for nothing.
    kube-controller-manager ends then, kube-scheduler goes on and does nothing.
    """
    sight = Sight(context)
    found = survey(context, sight)
    sni = _sni_names(context, sight)
    for shown in {id(one.shown): one.shown for one in found.needed}.values():
        chain = shown.certificate.certificates(sight)
        if isinstance(chain, FactError):
            continue
        missing = [
            one
            for one in found.needed
            if one.shown is shown and not chain[0].covers(one.host) and not any(cert.covers(one.host) for cert in sni)
        ]
        if finding := _finding(context, shown, chain[0], missing):
            yield finding
    sight.finish()


def _sni_names(context: Context, sight: Sight) -> list[host.CertificateFact]:
    """Return the certificates that API servers have for names of their own, `--tls-sni-cert-key=FILE,KEY:NAME`."""
    found = []
    for server in context.target.all("kube-apiserver"):
        for value in server.flags.get("tls-sni-cert-key", ()):
            file = value.partition(",")[0]
            chain = sight.certificates(file, server.root) if file.startswith("/") else ()
            found += [] if isinstance(chain, FactError) else list(chain[:1])
    return found


def _finding(
    context: Context, shown: Shown, certificate: host.CertificateFact, missing: list[Needed]
) -> Finding | None:
    used = [one for one in missing if one.is_used]
    others = [one for one in missing if not one.is_used and not _is_left_out(context, one, missing)]
    if not used and not others:
        return None
    first, *more = dict.fromkeys(one.host for one in (used or others))
    who = ", ".join(dict.fromkeys(one.why.partition(" uses it")[0] for one in used if one.host == first))
    by = f", by which it is dialled ({who})" if used else ""
    names = ", ".join(certificate.sans[:8]) or "no name or address at all"
    return Finding(
        message=f"{shown.title} is not for {first}{by}" + (f"; nor for {', '.join(more)}" if more else ""),
        subject=str(shown.certificate),
        severity=None if used else _severity_of_unused(context),
        evidence=(
            Evidence(source=str(shown.certificate), observed=f"for {names}{' …' if len(certificate.sans) > 8 else ''}"),
            *(Evidence(source=one.why, observed=one.host, expected="among them") for one in (*used, *others)),
        ),
        fixes=_fixes(context, shown, [one.host for one in (*used, *others)]),
        explains=of_shown(shown) if used else (),
    )


def _severity_of_unused(context: Context) -> Severity:
    """Return how much names matter that nobody seen dials: those that pods would, where there are no pods, not much."""
    return Severity.INFO if context.target.kind is TargetKind.KWOKCTL else Severity.WARNING


def _is_left_out(context: Context, one: Needed, missing: list[Needed]) -> bool:
    """Return whether a name that hardly anybody uses need not be there: it matters beside others that are missing."""
    is_usual = context.target.kind in (TargetKind.KUBEADM, TargetKind.KUBEDOCTOR)  # they put all of them in
    return one.is_rare and not is_usual and all(other.host != SERVICE for other in missing)


def _fixes(context: Context, shown: Shown, names: list[str]) -> tuple[Fix, ...]:
    if context.target.kind is TargetKind.KUBEADM and shown.who == "kube-apiserver":
        added = ", ".join(dict.fromkeys(names))
        return (
            Fix(
                summary=f"add {added} to apiServer.certSANs of the ClusterConfiguration, move {shown.certificate} and "
                "its key away, run `kubeadm init phase certs apiserver --config FILE` and restart kube-apiserver"
            ),
        )
    if context.target.kind is TargetKind.KUBEDOCTOR:
        return (Fix(summary="`kubedoctor down` and `up`: it issues certificates anew that lack a name"),)
    return (renewal(context.target, shown.certificate, shown.who, shown.use),)


CHECKS: tuple[Check, ...] = (san_missing,)
