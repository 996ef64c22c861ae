"""Seeing as much as can be seen: what cannot is remembered, so that the rest still counts and nothing passes unseen."""

from __future__ import annotations

from typing import ParamSpec, TypeVar

from kubedoctor import Absent, Context, Fact, FactError, Malformed, host

P = ParamSpec("P")
T = TypeVar("T")


class Sight:
    """The facts of one check. `finish` at its end raises the first error that left something unknown.

    *tells_broken*: the check has a finding for certificates, keys and kubeconfigs that are no good. To every other one
    they are unseen, like those that cannot be read.
    """

    def __init__(self, context: Context, *, tells_broken: bool = False) -> None:
        self.context = context
        self._tells_broken = tells_broken
        self._unseen: dict[str, FactError] = {}

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T | FactError:
        """Return the value, or the error that stands in its place.

        Absent is seen: something is not there. Anything else makes the check unknown, unless it tells of it.
        """
        try:
            return self.context.get(fact, *args, **kwargs)
        except FactError as problem:
            if not isinstance(problem, (Absent, Malformed) if self._tells_broken else Absent):
                self._miss(problem)
            return problem

    def settings(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T | FactError:
        """Do as `get` for a file of settings: one that is no good leaves everything unknown that it may name."""
        found = self.get(fact, *args, **kwargs)
        if isinstance(found, Malformed):
            self._miss(found)
        return found

    def _miss(self, problem: FactError) -> None:
        self._unseen.setdefault(problem.reason, problem)

    def kubeconfig(self, path: str, root: int) -> host.KubeconfigFact | FactError:
        """Return what a kubeconfig says."""
        found = self.get(host.kubeconfig, path, root)
        return found  # noqa: RET504 - mypy takes the type of the fact from an outer one

    def certificates(self, path: str, root: int) -> tuple[host.CertificateFact, ...] | FactError:
        """Return the certificates of a file."""
        found = self.get(host.certificates, path, root)
        return found  # noqa: RET504 - mypy takes the type of the fact from an outer one

    def key(self, path: str, root: int) -> host.PublicKeyFact | FactError:
        """Return the key of a file."""
        found = self.get(host.public_key, path, root)
        return found  # noqa: RET504 - mypy takes the type of the fact from an outer one

    def finish(self) -> None:
        """Raise the first error, which also tells whether there were others; not how many: equal reasons fold."""
        if not self._unseen:
            return
        first, *others = self._unseen.values()
        if others:
            raise type(first)(f"{first.reason}, and more")
        raise first
