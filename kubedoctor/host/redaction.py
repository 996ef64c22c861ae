"""What looks like a secret is taken out of command lines and environments before anything stores or shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANYWHERE = r"token|passw|passphrase|passcode|pwd|secret|credential|(?:api|access|private)[-_]?key|cookie"
_SECRET = re.compile(rf"(?i){_ANYWHERE}|pass$|auth$|authorization$")
_HARMLESS = re.compile(r"(?i)file$|path$|dir$|mode$|ttl$|config$|url$|-size$|refresh|enable|allow|lookup")
_USERINFO = re.compile(r"(\w://)(?:([^/\s:@]*:)[^/\s]+|[^/\s:@]+)@")
_PAIR = re.compile(r"(?:^|(?<==))([^\s/:@=]+:)[^\s/@]+@(?!sha\d)")
"""`user:password@` without the scheme of a URL, as in a proxy's address; an image's tag before its digest is none."""
_QUERY = re.compile(rf"(?i)([?&][\w.-]*(?:{_ANYWHERE})[\w.-]*=)[^&\s#]+")
_BEARER = re.compile(r"(?i)(bearer |basic )\S+")
_WITHIN = re.compile(
    rf"(?i)(?P<name>[\w-]*(?:{_ANYWHERE}|authorization)[\w-]*)"
    r"""(?P<between>["']?\s*[=:]\s*|\s+)(?P<value>"[^"]*"|'[^']*'|(?!(?:bearer|basic)\b)[^\s"',;]+)"""
)
"""A name and its value within one argument, as in `sh -c "kubeadm join --token x"`."""
_SHAPES = re.compile(
    r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)"  # PEM
    r"|eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # a JSON web token
    r"|\b[a-z0-9]{6}\.[a-z0-9]{16}\b",  # a bootstrap token
    re.DOTALL,
)


_SHORTEST = 20
"""Characters of the shortest that has one of those shapes."""
_USERS = frozenset({"-u", "-U", "--user", "--proxy-user"})
"""Flags that take `user:password` in curl and many others; `1000:1000` is a user and a group."""
_SHORT = {
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mongo", "mongosh", "sshpass"), "-p"
    ),
    "redis-cli": "-a",
    "ldapsearch": "-w",
}
"""Programs that take a password behind a flag of one letter, in the same word or the next."""


def redacted(argv: Sequence[str]) -> tuple[str, ...]:
    """Return *argv* with what looks like a secret replaced by `…`: values of flags so named, passwords in URLs."""
    shown, hide_next, hide_pair = [], False, False
    flag = _SHORT.get(argv[0].rpartition("/")[2], "") if len(argv) > 1 else ""
    for argument in argv:
        if flag and argument.startswith(flag):
            shown.append(flag if argument == flag else f"{flag}…")
            hide_next = argument == flag
            continue
        if hide_pair:
            argument = _without_password(argument)
        hide_pair = argument in _USERS
        if argument.startswith("-u") and ":" in argument:
            argument = _without_password(argument)
        name, equals, value = argument.partition("=")
        secret = _is_secret(name) and value not in ("true", "false")  # --anonymous-auth=false tells nobody anything
        if hide_next and not argument.startswith("-"):
            shown.append("…")
            hide_next = False
            continue
        if secret and equals:
            shown.append(f"{name}=…" if " " not in name else _without_secrets(argument))
        else:
            shown.append(_without_secrets(argument))
        hide_next = secret and not equals and argument.startswith("-")
    return tuple(shown)


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def _without_secrets(text: str) -> str:
    if len(text) >= _SHORTEST:
        text = _SHAPES.sub("…", text)
    if " " in text or "\n" in text or "{" in text:
        text = _WITHIN.sub(_hide, _BEARER.sub(r"\1…", text))
    if "@" in text:
        text = _USERINFO.sub(r"\1\2…@", text) if "://" in text else _PAIR.sub(r"\1…@", text)
    if "?" in text:
        text = _QUERY.sub(r"\1…", text)
    return "pass:…" if text.startswith("pass:") else text  # as openssl takes them


def _without_password(pair: str) -> str:
    user, colon, password = pair.partition(":")
    return f"{user}{colon}…" if password and not password.isdigit() and not password.startswith("/") else pair


def _hide(found: re.Match[str]) -> str:
    if _HARMLESS.search(found["name"]) or (found["between"].isspace() and not found["name"].startswith("-")):
        return found[0]
    return f"{found['name']}{found['between']}…"
