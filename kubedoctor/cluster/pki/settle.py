"""One authority settled: the user's own, the one on disk, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kubedoctor.cluster.pki.authority import (
    Signer,
    UnfitError,
    assemble,
    authority_name,
    is_ending,
    make_signer,
    new_key,
    unfit,
    unfit_now,
)
from kubedoctor.cluster.pki.pem import PemError, read_certificates, read_key
from kubedoctor.cluster.pki.store import NotOurs, Store
from kubedoctor.components import Authority
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What the settling of an authority goes by."""

    store: Store
    config: ClusterConfig
    own: Mapping[Authority, Signer]
    now: datetime

    def settle(self, role: Authority, *, leaves: list[str], server: Signer | None) -> Signer:
        """Return the signer for *role*, on disk when this returns.

        *leaves* are the names it signs; *server* is the server's authority, settled before the others.
        """
        if role in self.own:
            return self._copy(role, self.own[role], "an authority of your own")
        if role is Authority.CLIENT and self.config.single_authority and server is not None:
            return self._copy(role, server, "the same as server-ca")
        if not self.config.reuse_certs:
            return self._make(role, "asked for" if self.store.exists(f"{role}.crt") else "new")
        try:
            found = read_signer(self.store, role)
        except (NotOurs, PemError, UnfitError) as problem:
            if any(self.store.exists(f"{name}.crt") for name in leaves):
                raise broken(self.store, role, str(problem)) from None
            return self._replace(role, str(problem))
        if found is None:
            return self._make(role, "new")
        if role is Authority.CLIENT and server is not None and found.certificate == server.certificate:
            return self._replace(role, "was the same as server-ca")
        return self._keep(role, found)

    def _keep(self, role: Authority, found: Signer) -> Signer:
        dates = unfit_now(found, self.now)
        if problem := unfit(found, role) or ("" if found.made_here else dates):
            raise broken(self.store, role, problem)
        if not found.made_here or not (dates or is_ending(found.certificate, self.now)):
            return found
        reason = dates or f"expires in {(found.certificate.not_valid_after_utc - self.now).days} days"
        self.store.notes.append(f"{role} {reason}: renewed with the same key")
        # Subject and key stay: what it signed remains valid, and whoever trusts the old one trusts the new one.
        return self._write(role, make_signer(found.certificate.subject, found.key, self.now), reason)

    def _copy(self, role: Authority, signer: Signer, reason: str) -> Signer:
        try:
            there = (self.store.read(f"{role}.crt"), self.store.read(f"{role}.key"))
        except NotOurs:
            there = (None, None)
        return signer if there == signer.files() else self._write(role, signer, reason)

    def _replace(self, role: Authority, problem: str) -> Signer:
        self.store.notes.append(f"{role} {problem}: made anew")
        return self._make(role, problem)

    def _make(self, role: Authority, reason: str) -> Signer:
        key = new_key(self.config.key_type)
        return self._write(role, make_signer(authority_name(role, self.config.name), key, self.now), reason)

    def _write(self, role: Authority, signer: Signer, reason: str) -> Signer:
        self.store.write_pair(role.value, *signer.files(), reason=reason)
        return signer


def read_signer(store: Store, role: Authority) -> Signer | None:
    """Return the authority on disk, None when there is nothing of it; raise NotOurs, PemError or UnfitError."""
    certificate, key = store.read(f"{role}.crt"), store.read(f"{role}.key")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UnfitError(f"has no {'certificate' if certificate is None else 'key'} beside it")
    return assemble(read_certificates(certificate), read_key(key, made_here=True))


def broken(store: Store, role: Authority, problem: str) -> KubedoctorError:
    """Return the error for an authority that is not replaced unasked: what it signed would no longer count."""
    return KubedoctorError(
        f"{store.path(f'{role}.crt')} {problem}",
        hint=f"put the right {role}.crt and {role}.key there, or make it and all it signed anew:\n"
        f"kubedoctor certs renew {role}",
    )
