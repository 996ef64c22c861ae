"""Authorities of the user's own: `authority` of the configuration, role to `CERT,KEY`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from kubedoctor.cluster.pki.authority import Signer, UnfitError, assemble, subject, unfit, unfit_now
from kubedoctor.cluster.pki.pem import PemError, read_certificates, read_key
from kubedoctor.components import Authority
from kubedoctor.errors import ConfigError

_LIMIT_BYTES = 1 << 20  # no chain of certificates is longer; a wrong path may be a disk image


def own_authorities(wishes: Mapping[str, str], now: datetime) -> dict[Authority, Signer]:
    """Return the user's authorities, each fit for its role; raise ConfigError naming the role and the file."""
    return {_role(name): _authority(_role(name), value, now) for name, value in wishes.items()}


def _role(name: str) -> Authority:
    try:
        return Authority(name if name.endswith("-ca") else f"{name}-ca")
    except ValueError:
        known = ", ".join(role.value.removesuffix("-ca") for role in Authority)
        raise ConfigError(f"authority `{name}` is none of {known}") from None


def _authority(role: Authority, value: str, now: datetime) -> Signer:
    option = f"authority {role.value.removesuffix('-ca')}"
    certificate_file, comma, key_file = value.partition(",")
    if not (comma and certificate_file and key_file) or "," in key_file:
        raise ConfigError(f"{option}: `{value}` is not CERT,KEY: the path of a certificate and that of its key")
    file = certificate_file
    try:
        certificates = read_certificates(_content(certificate_file))
        file = key_file
        key = read_key(_content(key_file))
    except PemError as problem:
        raise ConfigError(f"{option}: {file} {problem}", hint=problem.hint) from None
    except OSError as problem:
        raise ConfigError(f"{option}: {file} cannot be read: {problem.strerror or problem}") from None
    try:
        signer = assemble(certificates, key)
    except UnfitError as problem:
        raise ConfigError(f"{option}: {certificate_file} {problem} in {key_file}") from None
    if why := unfit(signer, role) or unfit_now(signer, now):
        raise ConfigError(f"{option}: `{subject(signer.certificate)}` in {certificate_file} {why}")
    return signer


def _content(path: str) -> bytes:
    with Path(path).expanduser().open("rb") as stream:
        return stream.read(_LIMIT_BYTES)
