"""Renewing on demand: a certificate made again from what it says itself, an authority with all that it signed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from kubedoctor.cluster.pki import SERVICE_ACCOUNT, Issued
from kubedoctor.cluster.pki.authority import (
    Signer,
    UnfitError,
    authority_name,
    issued_by,
    make_signer,
    new_key,
    unfit,
    unfit_now,
    utc_now,
)
from kubedoctor.cluster.pki.issuing import ASKED, settle_leaf
from kubedoctor.cluster.pki.leaf import described
from kubedoctor.cluster.pki.pem import PemError, read_certificates
from kubedoctor.cluster.pki.settle import broken, read_signer
from kubedoctor.cluster.pki.store import NotOurs, Store, open_store
from kubedoctor.components import Authority, Certificate
from kubedoctor.errors import KubedoctorError, UsageError

ROLES = {role.value: role for role in Authority}


def renew_named(directory: Path, names: Iterable[str], *, cluster: str, now: datetime | None = None) -> Issued:
    """Renew the certificates called *names*, in which an authority stands for itself and every leaf it signed.

    Raise UsageError for a name that is not there, and KubedoctorError for what cannot be renewed; nothing is written
    before every name is known to be.
    """
    now = now or utc_now()
    with open_store(directory) as store:
        renewal = _Renewal(store, cluster, now)
        renewal.run(list(dict.fromkeys(names)))
        return Issued(reasons=store.reasons, notes=tuple(store.notes))


def leaf_names(directory: Path) -> tuple[str, ...]:
    """Return the names of all leaves that an authority of *directory* signed."""
    with open_store(directory) as store:
        return tuple(_Renewal(store, "", utc_now()).leaves)


class _Renewal:
    """The directory as it was before: its authorities, and which of them signed what."""

    def __init__(self, store: Store, cluster: str, now: datetime) -> None:
        self.store, self.cluster, self.now = store, cluster, now
        self.problems: dict[Authority, str] = {}
        self.signers: dict[Authority, Signer] = {}
        for role in Authority:
            try:
                if found := read_signer(store, role):
                    self.signers[role] = found
            except (NotOurs, PemError, UnfitError) as problem:
                self.problems[role] = str(problem)
        self.leaves: dict[str, tuple[Certificate, x509.Certificate]] = {}
        self.unsigned: dict[str, str] = {}
        for path in sorted(store.directory.glob("*.crt")):
            if (name := path.name.removesuffix(".crt")) not in ROLES:
                self._look_at(name)

    def _look_at(self, name: str) -> None:
        try:
            leaf = read_certificates(self.store.read(f"{name}.crt") or b"")[0]
            role = next((role for role, signer in self.signers.items() if issued_by(leaf, signer.certificate)), None)
            if role is None:
                self.unsigned[name] = "is signed by none of the cluster's authorities"
                return
            like = Certificate(name=name, authority=role, common_name="")
            self.leaves[name] = (described(leaf, like), leaf)
        except (NotOurs, PemError) as problem:
            self.unsigned[name] = str(problem)
        except ValueError:
            self.unsigned[name] = "has extensions that cannot be read"

    def run(self, names: list[str]) -> None:
        """Renew *names*."""
        for name in names:
            self._require(name)
        roles = [ROLES[name] for name in names if name in ROLES]
        old_signers = dict(self.signers)
        for role in roles:
            if role not in self.signers or self.signers[role] is old_signers.get(role):
                self._renew_authority(role, old_signers)
        again = [name for name, (leaf, _) in self.leaves.items() if name in names or self._changed(leaf, old_signers)]
        for name in again:
            wanted, old = self.leaves[name]
            signer = self.signers[wanted.authority]
            if problem := unfit(signer, wanted.authority) or unfit_now(signer, self.now):
                raise broken(self.store, wanted.authority, problem)
            settle_leaf(self.store, wanted, signer, _key_type(old), self.now, anew=True)

    def _changed(self, leaf: Certificate, old: dict[Authority, Signer]) -> bool:
        return self.signers[leaf.authority] is not old[leaf.authority]

    def _require(self, name: str) -> None:
        if name in self.leaves:
            return
        if name in ROLES:
            signer = self.signers.get(ROLES[name])
            if signer and not signer.made_here and not (unfit(signer, ROLES[name]) or unfit_now(signer, self.now)):
                raise KubedoctorError(
                    f"{name} is an authority of your own, which only you can renew",
                    hint=f"kubedoctor up --authority {name.removesuffix('-ca')}=CERT,KEY",
                )
            return
        if name in self.unsigned:
            raise KubedoctorError(
                f"{self.store.path(f'{name}.crt')} {self.unsigned[name]}", hint="`kubedoctor up` makes it anew"
            )
        if name == SERVICE_ACCOUNT:
            raise UsageError(f"{name} is a key and no certificate: it does not expire")
        known = ", ".join([*(role.value for role in self.signers), *self.leaves])
        raise UsageError(f"there is no certificate `{name}`", hint=f"there are {known}" if known else "kubedoctor up")

    def _renew_authority(self, role: Authority, old: dict[Authority, Signer]) -> None:
        before = old.get(role)
        shared = [other for other, signer in old.items() if before and signer.certificate == before.certificate]
        key = new_key(_key_type(before.certificate) if before else "ecdsa")
        signer = make_signer(authority_name(min(shared, default=role, key=_order), self.cluster), key, self.now)
        for each in shared or [role]:  # one authority for servers and clients stays one
            self.store.write_pair(each.value, *signer.files(), reason=ASKED)
            self.signers[each] = signer


def _order(role: Authority) -> int:
    return list(Authority).index(role)


def _key_type(certificate: x509.Certificate) -> str:
    return "rsa" if isinstance(certificate.public_key(), rsa.RSAPublicKey) else "ecdsa"
