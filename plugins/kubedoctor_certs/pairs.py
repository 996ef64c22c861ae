"""The check that certificates and keys are there, can be read and belong together."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Absent, Check, Context, Evidence, FactError, Finding, Fix, Malformed, check, host
from kubedoctor_certs.consequences import WORK
from kubedoctor_certs.fixes import renewal
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Shown, Source
from kubedoctor_certs.survey import survey
from kubedoctor_certs.wording import identity, short


@check(
    "certs.key-mismatch",
    title="every certificate has its key",
    looks_at="the certificates and keys that the flags of components, their configuration files and kubeconfigs name, "
    "and those that kubeadm and k3s keep in their usual places: the hashes of their public keys",
    fix="put the key in place that belongs to the certificate, or issue both anew",
    seen_as=(
        "tls: private key does not match public key",
        "failed to init kubernetes.io/kubelet-serving certificate controller: error reading CA cert file",
    ),
    of=("*",),
    tags=("certificates",),
)
def key_mismatch(context: Context) -> Iterator[Finding]:
    """A component ends at its start when the key is not that of the certificate, or one of them cannot be read.

    Its message names neither of the two files, or the certificate's when the key is wrong.
    """
    sight = Sight(context, tells_broken=True)
    found = survey(context, sight)
    keys = _keys(sight, found.shown)
    for shown in {(one.certificate, one.key): one for one in reversed(found.shown)}.values():
        certificate = shown.certificate.certificates(sight)
        key = shown.key.key(sight) if shown.key else None
        if not shown.kubeconfig:  # what a kubeconfig names is looked at with it
            yield from _unusable(context, shown, certificate, key)
        if not isinstance(certificate, FactError) and isinstance(key, host.PublicKeyFact) and certificate[0].key:
            if not key.private:
                yield _no_private_key(context, shown)
            elif key.hash != certificate[0].key:
                yield _mismatch(context, shown, certificate[0], key, keys)
    sight.finish()


def _unusable(context: Context, shown: Shown, certificate: object, key: object) -> Iterator[Finding]:
    """Yield which of the two is not there or is no good."""
    parts = (("certificate", shown.certificate, shown.names[0], certificate), ("key", shown.key, shown.names[1], key))
    for what, source, name, found in parts:
        if not isinstance(found, Absent | Malformed) or (shown.made and isinstance(found, Absent)):
            continue
        named = f" ({name})" if name else ""
        thing = shown.title if what == "certificate" else f"the key of {shown.title}"
        is_there = isinstance(found, Malformed)
        yield Finding(
            message=f"{thing}{named} is no good: {found.reason}"
            if is_there
            else f"{thing} does not exist: {source}{named}",
            subject=str(source),
            evidence=(Evidence(source=str(source), observed=found.reason, expected=f"a {what} in PEM form"),),
            fixes=(renewal(context.target, shown.certificate, shown.who, shown.use),),
            explains=WORK.get(shown.who, ()),  # it ends at its start
        )


def _no_private_key(context: Context, shown: Shown) -> Finding:
    return Finding(
        message=f"{shown.key} holds a public key where {shown.who} needs the private one",
        subject=str(shown.key),
        fixes=(renewal(context.target, shown.certificate, shown.who, shown.use),),
        explains=WORK.get(shown.who, ()),  # it ends at its start
    )


def _mismatch(
    context: Context, shown: Shown, certificate: host.CertificateFact, key: host.PublicKeyFact, keys: dict[str, Source]
) -> Finding:
    right = keys.get(certificate.key)
    elsewhere = f"; its key is {right}" if right else ""
    named = f" ({shown.names[1]})" if shown.names[1] else ""
    fixes = [renewal(context.target, shown.certificate, shown.who, shown.use)]
    if right:
        fixes.insert(0, Fix(summary=f"give {shown.who} {right} in place of {shown.key}"))
    return Finding(
        message=f"{shown.key}{named} is not the key of {shown.title} {shown.certificate}{elsewhere}",
        subject=str(shown.certificate),
        evidence=(
            Evidence(
                source=str(shown.certificate),
                observed=f"{identity(certificate)}, {certificate.key_type} key {short(certificate.key)}",
            ),
            Evidence(
                source=str(shown.key),
                observed=f"{key.algorithm} key {short(key.hash)}",
                expected=short(certificate.key),
            ),
        ),
        fixes=tuple(fixes),
        explains=WORK.get(shown.who, ()),  # it ends at its start
    )


def _keys(sight: Sight, shown: list[Shown]) -> dict[str, Source]:
    """Return where each private key is that can be seen, by the hash of its public half."""
    found: dict[str, Source] = {}
    for one in shown:
        key = one.key.key(sight) if one.key else None
        if one.key is not None and isinstance(key, host.PublicKeyFact) and key.private:
            found.setdefault(key.hash, one.key)
    return found


CHECKS: tuple[Check, ...] = (key_mismatch,)
