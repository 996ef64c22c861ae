"""The key pair of service-account tokens."""

from __future__ import annotations

from pathlib import Path

from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.pki import SERVICE_ACCOUNT
from kubedoctor.cluster.pki.authority import new_key
from kubedoctor.cluster.pki.pem import PemError, PrivateKey, key_pem, public_pem, read_key
from kubedoctor.cluster.pki.store import CERTIFICATE_MODE, KEY_MODE, NotOurs, Store
from kubedoctor.errors import ConfigError, KubedoctorError

KEY, PUBLIC = f"{SERVICE_ACCOUNT}.key", f"{SERVICE_ACCOUNT}.pub"


def settle_service_account(store: Store, *, key_type: str, users: str) -> None:
    """Make sure of service-account.key and .pub, and that *users*, the path of a key of the user's own or "", is one.

    The key stays as long as the data does, whatever else is issued anew: with another one no token of any pod counts.
    """
    if users:
        _check(users)
    key = _found(store)
    if key is None:
        key = new_key(key_type)
        write_atomically(store.path(KEY), key_pem(key), mode=KEY_MODE)
        store.reasons[SERVICE_ACCOUNT] = "new"
    if _public(store) != public_pem(key):
        write_atomically(store.path(PUBLIC), public_pem(key), mode=CERTIFICATE_MODE)
        store.reasons.setdefault(SERVICE_ACCOUNT, "its public half was not that of the key")


def _found(store: Store) -> PrivateKey | None:
    try:
        data = store.read(KEY)
        return None if data is None else read_key(data, made_here=True)
    except (NotOurs, PemError) as problem:
        path = store.path(KEY)
        raise KubedoctorError(
            f"{path} {problem}", hint=f"put the right key there, or make all tokens issued so far invalid: rm {path}"
        ) from None


def _public(store: Store) -> bytes | None:
    try:
        return store.read(PUBLIC)
    except NotOurs:
        return None


def _check(path: str) -> None:
    try:
        read_key(Path(path).expanduser().read_bytes())
    except PemError as problem:
        raise ConfigError(f"SERVICE_ACCOUNT_KEY: {path} {problem}", hint=problem.hint) from None
    except OSError as problem:
        raise ConfigError(f"SERVICE_ACCOUNT_KEY: {path} cannot be read: {problem.strerror or problem}") from None
