"""Which checks are meant: by id, glob, tag, plugin, or the name that kubeadm has for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from kubedoctor.checks import Check
from kubedoctor.errors import UsageError

TAG = "tag:"

KUBEADM = (
    "all",
    "containerruntimeversion",
    "controlplanenodesready",
    "createjob",
    "coredns*",
    "cri",
    "diravailable-*",
    "etcdversion",
    "externaletcd*",
    "fileavailable-*",
    "filecontent-*",
    "fileexisting-*",
    "firewalld",
    "hostname",
    "httpproxy*",
    "imagepull",
    "isdockersystemdcheck",
    "isprivilegeduser",
    "kubeletversion",
    "kubernetesversion",
    "mem",
    "numcpu",
    "port-*",
    "staticpodmanifest",
    "service-*",
    "swap",
    "systemverification",
)
"""What `kubeadm init --ignore-preflight-errors` knows: a list of its names may hold some that we have no check for."""


def words(values: Iterable[str]) -> list[str]:
    """Return the words of an option that may be given several times, with several words joined by commas each."""
    return [word for value in values for word in (part.strip() for part in value.split(",")) if word]


def chosen(checks: Sequence[Check], selectors: Sequence[str]) -> list[Check]:
    """Return the checks that any of *selectors* means, in their order; all of them without a selector.

    Raise UsageError for a selector that means none.
    """
    if not selectors:
        return list(checks)
    found = set[str]()
    for selector in selectors:
        matching = {check.id for check in checks if matches(check, selector)}
        if not matching:
            raise unknown(checks, selector)
        found |= matching
    return [check for check in checks if check.id in found]


def ignored(checks: Sequence[Check], selectors: Sequence[str]) -> set[str]:
    """Return the ids of the checks whose findings shall not count; `all` means every check, as for kubeadm.

    Raise UsageError for a selector that means none, unless it is a name of kubeadm's.
    """
    found = set[str]()
    for selector in selectors:
        matching = {check.id for check in checks if selector == "all" or matches(check, selector)}
        if not matching and not any(fnmatchcase(selector.lower(), name) for name in KUBEADM):
            raise unknown(checks, selector)
        found |= matching
    return found


def matches(check: Check, selector: str) -> bool:
    """Return whether the selector means the check."""
    if selector.startswith(TAG):
        return any(fnmatchcase(tag, selector.removeprefix(TAG)) for tag in check.tags)
    if fnmatchcase(check.id, selector) or check.id.partition(".")[0] == selector:
        return True
    return any(fnmatchcase(alias.lower(), selector.lower()) for alias in check.aliases)


def unknown(checks: Sequence[Check], selector: str) -> UsageError:
    """Return the error for a selector that means nothing, with the nearest that means something."""
    near = nearest(checks, selector)
    hint = f"did you mean `{near}`?" if near else "kubedoctor explain lists all checks"
    return UsageError(f"no check is called `{selector}`, nor is a plugin or tag", hint=hint)


def nearest(checks: Sequence[Check], selector: str) -> str:
    """Return what is most like *selector* among what could have been meant; empty when nothing is."""
    ids = [check.id for check in checks]
    tags = {f"{TAG}{tag}" for check in checks for tag in check.tags}
    plugins = {one.partition(".")[0] for one in ids}
    aliases = {alias for check in checks for alias in check.aliases}
    found = difflib.get_close_matches(selector, [*ids, *sorted(plugins), *sorted(tags), *sorted(aliases)], n=1)
    if not found:  # the problem without its plugin, as in `port-taken`
        short = {one.partition(".")[2]: one for one in reversed(ids)}
        found = [short[one] for one in difflib.get_close_matches(selector, list(short), n=1)]
    return found[0] if found else ""
