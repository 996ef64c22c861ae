"""What looks like a secret is taken out of command lines and environments before anything stores or shows them.

Command lines are anybody's, and nothing else runs while a pattern is searched for in one: each takes time in proportion
to the text, so it begins where a word begins, or its repetitions have an end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_ANYWHERE = r"token|passw|passphrase|passcode|pwd|secret|credential|(?:api|access|private)[-_]?key|cookie"
_SECRET = re.compile(rf"(?i){_ANYWHERE}|pass$|auth$|authorization$")
_SECRET_WITHIN = re.compile(rf"(?i){_ANYWHERE}|authorization")
_HARMLESS = re.compile(r"(?i)file$|path$|dir$|mode$|ttl$|config$|url$|-size$|refresh|enable|allow|lookup")
_USERINFO = re.compile(r"(\w://)(?:([^/\s:@]*:)[^/\s]+|[^/\s:@]+)@")
_PAIR = re.compile(r"(?:^|(?<==))([^\s/:@=]{1,100}:)[^\s/@]{1,200}@(?!sha\d)")
"""`user:password@` without the scheme of a URL, as in a proxy's address; an image's tag before its digest is none."""
_PARAMETER, _ITS_VALUE = re.compile(r"[?&]([\w.-]+)="), re.compile(r"(?P<value>[^&\s#]+)")
"""A part of a URL's query."""
_BEARER = re.compile(r"(?i)(bearer |basic )\S+")
_NAME = re.compile(r"([\w-]+)")
_SETTING = re.compile(
    r"""(?i)(?P<between>["']?\s*[=:]\s*)(?P<value>"[^"]*"|'[^']*'|(?!(?:bearer|basic)\b)[^\s"',;]+)"""
)
_FLAG = re.compile(r"""(?i)\s+(?P<value>"[^"]*"|'[^']*'|(?!(?:bearer|basic)\b)[^\s"',;]+)""")
"""What follows a name within one argument, as in `sh -c "export TOKEN=x; kubeadm join --token x"`."""
_LONGEST = 200
"""Characters at the end of a name that are looked at."""
_SHAPES = re.compile(
    r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)"  # PEM
    r"|eyJ[\w-]{8,1000}\.[\w-]+(?:\.[\w-]*)?"  # a JSON web token
    r"|\b[a-z0-9]{6}\.[a-z0-9]{16}\b",  # a bootstrap token
    re.DOTALL,
)


_SHORTEST = 20
"""Characters of the shortest that has one of those shapes."""
_USERS = frozenset({"-u", "-U", "--user", "--proxy-user"})
"""Flags that take `user:password` in curl and many others; `1000:1000` is a user and a group."""
_USER = re.compile(
    r"""((?:^|(?<=[\s"'(`]))(?:-[uU]\s{0,9}|--(?:proxy-)?user[\s=]\s{0,9})["']?[^\s:"'/]{1,100}:)(?!/|\d+\b)[^\s"']+"""
)
"""Such a flag and its value, within one argument."""
_OPENSSL = re.compile(r"""(-pass(?:in|out)?\s{1,9}["']?pass:)[^\s"']+""")
_SHORT = {
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mongo", "mongosh", "sshpass"), "-p"
    ),
    "redis-cli": "-a",
    "ldapsearch": "-w",
}
"""Programs that take a password behind a flag of one letter, in the same word or the next."""
_PROGRAM = re.compile("|".join(map(re.escape, _SHORT)))
_WORD = re.compile(r"""(?P<end>[;|&\n]+)|(?P<quote>["'])|[^\s;|&"'`(){}]+""")
"""What a command line in one argument consists of: `sh -c "mysql -px; …"`."""
_GAP = re.compile(r"[ \t]*")
_ESCAPED = r"""\\(?P<mark>["']).*?(?:\\(?P=mark)|\Z)|\\."""
_DOUBLE, _SINGLE = r""""(?:[^"\\]|\\.)*(?:"|\Z)""", r"""'[^']*(?:'|\Z)"""
_VALUE = {
    quote: re.compile(rf"""(?:{"|".join([_ESCAPED, *others])}|[^\s"'`;|&()\\])*""", re.DOTALL)
    for quote, others in {"": (_DOUBLE, _SINGLE), '"': (_SINGLE,), "'": (_DOUBLE,)}.items()
}
"""The rest of a word in a shell's sense, by the quote that it stands in; what is cut off ends with the text."""


def redacted(argv: Sequence[str]) -> tuple[str, ...]:
    """Return *argv* with what looks like a secret replaced by `…`: values of flags so named, passwords in URLs."""
    shown, hide_next, hide_pair, flag = [], False, False, ""
    for argument in argv:
        if flag and argument.startswith(flag):
            shown.append(flag if argument == flag else f"{flag}…")
            hide_next = argument == flag
            continue
        flag = _SHORT.get(argument.rpartition("/")[2], flag)  # `env`, `sudo`, `docker exec` stand before it
        if hide_pair:
            argument = _without_password(argument)
        hide_pair = argument in _USERS
        name, equals, value = argument.partition("=")
        if argument.startswith("-u") and ":" in argument:
            argument = _without_password(argument)
        elif name in _USERS and equals:
            argument = f"{name}={_without_password(value)}"
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
        text = _BEARER.sub(r"\1…", text)
        text = _OPENSSL.sub(r"\1…", _USER.sub(r"\1…", text))
        if _PROGRAM.search(text):
            text = _without_short(text)
        if _SECRET_WITHIN.search(text):
            text = _without_values(text, _NAME, _in_words)
    if "@" in text:
        text = _USERINFO.sub(r"\1\2…@", text) if "://" in text else _PAIR.sub(r"\1…@", text)
    if "?" in text:
        text = _without_values(text, _PARAMETER, _in_query)
    return "pass:…" if text.startswith("pass:") else text  # as openssl takes them


def _without_password(pair: str) -> str:
    user, colon, password = pair.partition(":")
    return f"{user}{colon}…" if password and not password.isdigit() and not password.startswith("/") else pair


def _without_short(text: str) -> str:
    """Return *text*, which is or holds a command line, without what stands behind the flags of `_SHORT`."""
    parts: list[str] = []
    position = done = 0
    flag = outer = ""
    while word := _WORD.search(text, position):
        position = word.end()
        if quote := word["quote"]:
            outer = "" if quote == outer else outer or quote
        elif word["end"]:
            flag = ""
        elif flag and word[0].startswith(flag):
            begin = word.start() + len(flag)
            if begin == position:  # it stands in quotes, or in the next word
                begin = _end(_GAP, text, begin)
            end = begin if text.startswith("-", begin) else _end(_VALUE[outer], text, begin)
            if end > begin:
                parts += [text[done:begin], "…"]
                done = position = end
        else:
            flag = _SHORT.get(word[0].rpartition("/")[2], flag)
    return "".join([*parts, text[done:]])


def _end(pattern: re.Pattern[str], text: str, begin: int) -> int:
    """Return where what *pattern* matches from *begin* on ends: there, when it is nothing."""
    found = pattern.match(text, begin)
    return found.end() if found else begin


def _without_values(
    text: str, names: re.Pattern[str], value_of: Callable[[re.Match[str]], re.Match[str] | None]
) -> str:
    """Return *text* without the values of names that speak of a secret; *value_of* finds what follows a name."""
    parts: list[str] = []
    position = done = 0
    while name := names.search(text, position):
        position = name.end()
        begin, end = name.span(1)
        begin = max(begin, end - _LONGEST)
        if not _SECRET_WITHIN.search(text, begin, end) or _HARMLESS.search(text[begin:end]):
            continue
        if told := value_of(name):
            parts += [text[done : told.start("value")], "…"]
            done = position = told.end()
    return "".join([*parts, text[done:]])


def _in_words(name: re.Match[str]) -> re.Match[str] | None:
    found = _SETTING.match(name.string, name.end())
    if found and found["between"].strip() == ":" and name.string[: name.start()].endswith("/"):
        return None  # `/run/token: No such file or directory`
    return _FLAG.match(name.string, name.end()) if found is None and name[1].startswith("-") else found


def _in_query(name: re.Match[str]) -> re.Match[str] | None:
    return _ITS_VALUE.match(name.string, name.end())
