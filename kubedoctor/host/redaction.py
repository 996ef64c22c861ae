"""What looks like a secret is taken out of command lines and environments before anything stores or shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = r"token|passw|secret|credential|api-?key|private-?key|auth$|authorization$|cookie"
_SECRET = re.compile(rf"(?i){_WORDS}")
_HARMLESS = re.compile(r"(?i)file$|path$|dir$|mode$|ttl$|config$|url$|-size$|refresh|enable|allow|lookup")
_USERINFO = re.compile(r"(\w://[^/\s:@]*:)[^/\s]+@")
_BEARER = re.compile(r"(?i)(bearer |basic )\S+")
_WITHIN = re.compile(
    r"(?i)(?P<name>[\w-]*(?:token|passw|secret|credential|api-?key|private-?key|authorization|cookie)[\w-]*)"
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


def redacted(argv: Sequence[str]) -> tuple[str, ...]:
    """Return *argv* with what looks like a secret replaced by `…`: values of flags so named, passwords in URLs."""
    shown, hide_next = [], False
    for argument in argv:
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
    return _USERINFO.sub(r"\1…@", text) if "://" in text else text


def _hide(found: re.Match[str]) -> str:
    if _HARMLESS.search(found["name"]) or (found["between"].isspace() and not found["name"].startswith("-")):
        return found[0]
    return f"{found['name']}{found['between']}…"
