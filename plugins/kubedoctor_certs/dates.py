"""Checks of the dates of certificates: over, soon over, not begun."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Check, Context, Evidence, Finding, Fix, Safety, Severity, Step, StepKind, Target, check
from kubedoctor_certs.dated import Dated, dated
from kubedoctor_certs.fixes import renewal
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Use
from kubedoctor_certs.survey import survey
from kubedoctor_certs.wording import DAY, moment, span

LEAF = (30 * DAY, 7 * DAY)
AUTHORITY = (180 * DAY, 30 * DAY)
"""Seconds before the end at which it is a warning, and an error: an authority is replaced in more steps."""
LEAF_SHARE = (0.10, 0.05)
AUTHORITY_SHARE = (0.20, 0.05)
"""The same as shares of a life, for short ones: a kubelet renews its certificate when 10 to 30 % of its is left."""
TOLERANCE = 5
"""Seconds by which a certificate that was issued during this run may begin later than the run."""
_LOOKS_AT = (
    "the certificates, with their chains, and the authorities that the flags of components, their configuration files "
    "and kubeconfigs name, those embedded in kubeconfigs, what kubeadm and k3s keep in their usual places, and the "
    "certificate that kube-apiserver serves"
)


@check(
    "certs.expired",
    title="no certificate has expired",
    looks_at=_LOOKS_AT,
    fix="issue it anew, and restart who uses it",
    seen_as=(
        "x509: certificate has expired or is not yet valid: current time … is after …",
        "Unauthorized",
        "unable to load configmap based request-header-client-ca-file: Unauthorized",
    ),
    of=("*",),
    tags=("certificates",),
)
def expired(context: Context) -> Iterator[Finding]:
    """Nobody takes a certificate after its end: servers answer `Unauthorized` to clients, clients hang up on servers.

    Who shows the certificate is told nothing of dates; those stand in the log of the other side at best.
    """
    sight = Sight(context)
    for one in dated(sight, survey(context, sight)):
        if one.fact.not_after <= context.now:
            over = span(context.now - one.fact.not_after)
            yield Finding(
                message=f"{one.title} expired {over} ago{one.effect}",
                subject=str(one.source),
                severity=Severity.WARNING if one.is_minor else None,
                evidence=one.evidence(),
                fixes=(_fix(context.target, one),),
                explains=tuple(one.explains),
            )
    sight.finish()


@check(
    "certs.expires-soon",
    title="no certificate expires soon",
    looks_at=_LOOKS_AT,
    fix="issue it anew, and restart who uses it",
    of=("*",),
    severity=Severity.WARNING,
    tags=("certificates",),
)
def expires_soon(context: Context) -> Iterator[Finding]:
    """A certificate is worth a warning 30 days before its end, and an error 7 days before; an authority 180 and 30.

    Of short lives it is the last tenth and twentieth, of an authority's the last fifth and twentieth, so what renews
    itself in time (a kubelet's client certificate) is not reported.
    """
    sight = Sight(context)
    for one in dated(sight, survey(context, sight)):
        severity = urgency(one, context.now)
        if severity is not None:
            left = span(one.fact.not_after - context.now)
            yield Finding(
                message=f"{one.title} expires in {left}",
                subject=str(one.source),
                severity=severity,
                evidence=one.evidence(),
                fixes=(_fix(context.target, one),),
            )
    sight.finish()


def urgency(one: Dated, now: float) -> Severity | None:
    """Return how bad it is that the certificate ends when it does; None when it has time, or is over."""
    left, life = one.fact.not_after - now, one.fact.life
    spans, shares = (AUTHORITY, AUTHORITY_SHARE) if one.is_authority else (LEAF, LEAF_SHARE)
    warning, error = (min(most, share * life) for most, share in zip(spans, shares, strict=True))
    if not 0 < left < warning or one.is_minor:
        return None
    return Severity.ERROR if left < error else Severity.WARNING


@check(
    "certs.not-yet-valid",
    title="every certificate has begun to be valid",
    looks_at=f"{_LOOKS_AT}; and the clock",
    fix="set the clock; if it is right, issue the certificate anew",
    seen_as=("x509: certificate has expired or is not yet valid: current time … is before …",),
    of=("*",),
    tags=("certificates", "clock"),
)
def not_yet_valid(context: Context) -> Iterator[Finding]:
    """A certificate that begins in the future was issued where the clock was ahead, or the clock here is behind.

    Messages of components say "has expired or is not yet valid" for both; the dates tell which.
    """
    sight = Sight(context)
    for one in dated(sight, survey(context, sight)):
        ahead = one.fact.not_before - context.now
        if ahead > TOLERANCE:
            clock = Evidence(
                source="the clock of this machine", observed=moment(context.now), expected="the time of other machines"
            )
            yield Finding(
                message=f"{one.title} becomes valid in {span(ahead)}{one.effect}: the clock here is behind, or was "
                "ahead where it was issued",
                subject=str(one.source),
                evidence=(*one.evidence(), clock),
                fixes=(
                    Fix(summary="set the clock if it is behind: chronyc makestep, or timedatectl set-ntp true"),
                    _fix(context.target, one),
                ),
                explains=tuple(one.explains),
            )
    sight.finish()


def _fix(target: Target, one: Dated) -> Fix:
    if one.is_served:
        step = Step(kind=StepKind.RESTART_COMPONENT, component=one.who)
        return Fix(summary=f"restart {one.who}: the file is good", safety=Safety.DISRUPTIVE, steps=(step,))
    return renewal(target, one.source, one.who, Use.SIGNER if one.is_authority else one.use)


CHECKS: tuple[Check, ...] = (expired, expires_soon, not_yet_valid)
