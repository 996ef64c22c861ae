"""Issuing: what is on disk and right is kept, the rest is made, authorities before the leaves they sign."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kubedoctor.cluster.pki import ADMIN, SERVICE_ACCOUNT, Issued
from kubedoctor.cluster.pki.authority import Signer, new_key, utc_now
from kubedoctor.cluster.pki.leaf import make_leaf, why_renew
from kubedoctor.cluster.pki.own import own_authorities
from kubedoctor.cluster.pki.pem import PemError, certificates_pem, key_pem, read_certificates, read_key
from kubedoctor.cluster.pki.service_account import settle_service_account
from kubedoctor.cluster.pki.settle import Settlement
from kubedoctor.cluster.pki.store import NotOurs, Store, open_store
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError, PlanError

NEW = "new"
ASKED = "asked for"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9._]*[a-z0-9])?")
_TAKEN = {role.value for role in Authority} | {SERVICE_ACCOUNT}


def issue_all(config: ClusterConfig, certificates: Iterable[Certificate], *, now: datetime | None) -> Issued:
    """See `kubedoctor.cluster.pki.issue`."""
    now = now or utc_now()
    wanted = distinct(certificates)
    own = own_authorities(config.authority, now)
    if config.single_authority and Authority.CLIENT in own:
        raise ConfigError("one authority for servers and clients was asked for, and authority client beside it")
    with open_store(Path(config.pki(""))) as store:
        settle_service_account(store, key_type=config.key_type, users=config.service_account_key)
        settlement = Settlement(store=store, config=config, own=own, now=now)
        signers: dict[Authority, Signer] = {}
        for role in Authority:  # the server's is the first
            leaves = [leaf.name for leaf in wanted if leaf.authority is role]
            signers[role] = settlement.settle(role, leaves=leaves, server=signers.get(Authority.SERVER))
        for leaf in wanted:
            settle_leaf(store, leaf, signers[leaf.authority], config.key_type, now, anew=not config.reuse_certs)
        return Issued(reasons=store.reasons, notes=tuple(store.notes))


def distinct(certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return *certificates* and the administrator's, each once; raise PlanError where two of one name differ."""
    wanted: dict[str, Certificate] = {}
    for certificate in certificates:
        name = certificate.name
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise PlanError(f"`{name}` cannot be the name of a certificate")
        if wanted.setdefault(name, certificate) != certificate:
            raise PlanError(f"certificate {name} is declared twice, differently")
    wanted.setdefault(ADMIN.name, ADMIN)
    return tuple(wanted.values())


def settle_leaf(
    store: Store, wanted: Certificate, signer: Signer, key_type: str, now: datetime, *, anew: bool = False
) -> None:
    """Make sure that the leaf *wanted* is on disk and right; *anew* makes it again whatever is there."""
    reason = _why(store, wanted, signer, key_type, now)
    if anew and reason != NEW:
        reason = ASKED
    if not reason:
        return
    if reason not in (NEW, ASKED):
        store.notes.append(f"{wanted.name} was made anew: {reason}")
    key = new_key(key_type)
    chain = (make_leaf(wanted, signer, key, now), *signer.intermediates)
    store.write_pair(wanted.name, certificates_pem(chain), key_pem(key), reason=reason)


def _why(store: Store, wanted: Certificate, signer: Signer, key_type: str, now: datetime) -> str:
    try:
        certificate, key = store.read(f"{wanted.name}.crt"), store.read(f"{wanted.name}.key")
        if certificate is None and key is None:
            return NEW
        if certificate is None or key is None:
            return f"its {'certificate' if certificate is None else 'key'} was gone"
        found = read_key(key, made_here=True)
        return why_renew(read_certificates(certificate), found, wanted, signer, key_type, now)
    except (NotOurs, PemError) as problem:
        return f"it {problem}"
