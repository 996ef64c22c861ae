"""The check that whoever has to trust a certificate knows the authority that signed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import Absent, Check, Context, Evidence, FactError, Finding, Fix, Malformed, check, host
from kubedoctor_certs.consequences import WORK, of_edge
from kubedoctor_certs.fixes import renewal
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Edge, Source, Survey, Trusted
from kubedoctor_certs.survey import survey
from kubedoctor_certs.trust import Judgement, Verdict, judge
from kubedoctor_certs.wording import seen, short


@dataclass(frozen=True, slots=True)
class Broken:
    """An edge whose authorities do not vouch for its certificate; `right`: where the authority that signed it is."""

    edge: Edge
    chain: tuple[host.CertificateFact, ...]
    bundle: tuple[host.CertificateFact, ...]
    judgement: Judgement
    right: tuple[Source, host.CertificateFact] | None


@check(
    "certs.wrong-issuer",
    title="every certificate is signed by an authority that its peers know",
    looks_at="for each pair of components, and for each kubeconfig: the certificate that one shows, the authorities "
    "that the other takes, and whether one of those really signed it",
    fix="give the one the authority that signed, or issue the certificate of the other anew",
    seen_as=(
        "x509: certificate signed by unknown authority",
        "x509: ECDSA verification failure while trying to verify candidate authority certificate",
        "remote error: tls: bad certificate",
        "Unauthorized",
        "transport: authentication handshake failed",
    ),
    of=("*",),
    tags=("certificates",),
)
def wrong_issuer(context: Context) -> Iterator[Finding]:
    """Two components do not get together when one does not know the authority that signed the other's certificate.

    Often everything was made anew but one file, so the names are the same and the keys are not. The one that refuses
    says so, the other one only sees the connection break; kube-apiserver says nothing of clients that refuse it.
    """
    sight = Sight(context)
    found = survey(context, sight)
    yield from _unusable(sight, found)
    broken, fine = _judged(sight, found)
    for group in _by_culprit(broken, fine):
        yield _finding(context, group, is_bundle=_is_bundles_fault(group[0], broken, fine))
    sight.finish()


def _unusable(sight: Sight, found: Survey) -> Iterator[Finding]:
    """Yield the files of authorities that are not there or hold none; those of kubeconfigs are looked at with them."""
    seen_already = set()
    for trusted in found.trusted:
        problem = trusted.source.certificates(sight)
        if not trusted.name.startswith("--") or trusted.source in seen_already:
            continue
        seen_already.add(trusted.source)
        if isinstance(problem, Absent | Malformed):
            state = "does not exist" if isinstance(problem, Absent) else "is no good"
            yield Finding(
                message=f"the file of authorities that {trusted.who} takes certificates of ({trusted.name}) {state}: "
                f"{trusted.source if isinstance(problem, Absent) else problem.reason}",
                subject=str(trusted.source),
                evidence=(
                    Evidence(source=str(trusted.source), observed=problem.reason, expected="certificates in PEM form"),
                ),
                fixes=(Fix(summary=f"put the authority there, or correct {trusted.name} of {trusted.who}"),),
                explains=WORK.get(trusted.who, ()),  # it ends
            )


def _judged(sight: Sight, found: Survey) -> tuple[list[Broken], list[Edge]]:
    broken, fine = [], []
    for edge in found.edges:
        chain, bundle = edge.shown.certificate.certificates(sight), edge.trusted.source.certificates(sight)
        if isinstance(chain, FactError) or isinstance(bundle, FactError):
            continue
        judgement = judge(chain, bundle)
        if judgement.verdict is Verdict.TRUSTED:
            fine.append(edge)
        else:
            broken.append(Broken(edge, chain, bundle, judgement, _signer(sight, found, judgement.last)))
    return broken, fine


def _signer(sight: Sight, found: Survey, signed: host.CertificateFact) -> tuple[Source, host.CertificateFact] | None:
    """Return where the authority is that really signed the certificate, if it is anywhere."""
    sources = [one.source for one in found.trusted] + [one.certificate for one in found.shown]
    for source in dict.fromkeys(sources):
        certificates = source.certificates(sight)
        for one in () if isinstance(certificates, FactError) else certificates:
            if one.fingerprint != signed.fingerprint and host.issued_by(signed, one):
                return source, one
    return None


def _is_bundles_fault(one: Broken, broken: list[Broken], fine: list[Edge]) -> bool:
    """Return whether the authorities are wrong rather than the certificate.

    They are when nobody they have to vouch for has one of theirs, and the certificate is one that others trust, or
    one whose authority is at hand, or one of several that fail.
    """
    trusted = _place(one.edge.trusted)
    if any(_place(edge.trusted) == trusted for edge in fine):
        return False
    trusted_elsewhere = any(edge.shown.certificate == one.edge.shown.certificate for edge in fine)
    fails = {other.edge.shown.certificate for other in broken if _place(other.edge.trusted) == trusted}
    return trusted_elsewhere or one.right is not None or len(fails) > 1


def _place(trusted: Trusted) -> str:
    """Return what is wrong when the authorities are: a setting of a component, or a file."""
    return f"{trusted.who} {trusted.name}" if trusted.name.startswith("--") else str(trusted.source)


def _by_culprit(broken: list[Broken], fine: list[Edge]) -> list[list[Broken]]:
    """Return the broken edges in groups, each of one wrong file."""
    groups: dict[tuple[bool, str], list[Broken]] = {}
    for one in broken:
        is_bundle = _is_bundles_fault(one, broken, fine)
        culprit = _place(one.edge.trusted) if is_bundle else str(one.edge.shown.certificate)
        groups.setdefault((is_bundle, culprit), []).append(one)
    # The one whose authority is at hand tells most.
    return [sorted(group, key=lambda one: one.right is None) for group in groups.values()]


def _finding(context: Context, group: list[Broken], *, is_bundle: bool) -> Finding:
    first = group[0]
    shown, trusted = first.edge.shown, first.edge.trusted
    evidence = [seen(shown.certificate, first.judgement.last)]
    evidence += [seen(trusted.source, one) for one in _to_show(first)]
    if first.right:
        evidence.append(seen(*first.right, expected="the authority that signed"))
    effects = dict.fromkeys(one.edge.effect for one in group)
    return Finding(
        message=f"{trusted.who} does not trust {shown.title}: {_reason(first)}",
        subject=_place(trusted) if is_bundle else str(shown.certificate),
        evidence=(*evidence, *(Evidence(source=one.edge.shown.title, observed=one.edge.effect) for one in group))
        if len(effects) > 1
        else (*evidence, Evidence(source="consequence", observed=next(iter(effects)))),
        fixes=tuple(_fixes(context, first, is_bundle=is_bundle)),
        explains=tuple(dict.fromkeys(check for one in group for check in of_edge(one.edge))),
    )


def _to_show(one: Broken) -> list[host.CertificateFact]:
    """Return the authorities worth showing: the namesake, else all of a short bundle."""
    return [one.judgement.issuer] if one.judgement.issuer else list(one.bundle[:3])


def _reason(one: Broken) -> str:
    trusted, last, issuer = one.edge.trusted, one.judgement.last, one.judgement.issuer
    file = f"{trusted.source} ({trusted.name})" if trusted.name.startswith("--") else str(trusted.source)
    match one.judgement.verdict:
        case Verdict.OTHER_KEY if issuer is not None:
            other = f", that of {short(one.right[1].fingerprint)} did" if one.right else ""
            return (
                f"the key of `{issuer.subject}` in {file}, {short(issuer.fingerprint)}, did not sign it{other}: "
                "two authorities of one name"
            )
        case Verdict.NOT_AN_AUTHORITY:
            return f"`{last.issuer}` in {file} signed it and is no authority"
        case Verdict.WEAK:
            return f"its signature is {last.signature}, which Kubernetes refuses"
        case _:
            signed = "signed by itself" if last.is_self_issued else f"signed by `{last.issuer}`"
            others = ", ".join(f"`{name}`" for name in list(dict.fromkeys(one.subject for one in one.bundle))[:3])
            more = " and others" if len(one.bundle) > 3 else ""
            return f"it is {signed}, and {file} holds {others}{more}"


def _fixes(context: Context, one: Broken, *, is_bundle: bool) -> Iterator[Fix]:
    shown, trusted = one.edge.shown, one.edge.trusted
    reissue = renewal(context.target, shown.certificate, shown.who, shown.use)
    if one.right is None or one.judgement.verdict in (Verdict.WEAK, Verdict.NOT_AN_AUTHORITY):
        yield reissue
        return
    replace = Fix(summary=_replacement(trusted, one.right[0]))
    yield from (replace, reissue) if is_bundle else (reissue, replace)


def _replacement(trusted: Trusted, right: Source) -> str:
    if trusted.name.startswith("--"):
        return f"give {trusted.who} the authority in {right}: {trusted.name}={right}"
    return f"put the authority in {right} in place of the one in {trusted.source}"


CHECKS: tuple[Check, ...] = (wrong_issuer,)
