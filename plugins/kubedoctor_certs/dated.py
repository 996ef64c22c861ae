"""Every certificate of a target that has to be valid now, each once, with all the places it is found in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kubedoctor import Evidence, FactError, host
from kubedoctor_certs.consequences import of_edge, of_shown
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Edge, Shown, Source, Survey, Trusted, Use
from kubedoctor_certs.trust import Verdict, judge
from kubedoctor_certs.wording import identity, moment

_ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 - nothing is bound
_API_PORT = 6443


@dataclass(slots=True)
class Dated:
    """A certificate, and what comes of it when it is no good. `is_served`: it is not the one in the file any more.

    `is_minor`: nobody is known who would refuse it.
    """

    fact: host.CertificateFact
    title: str
    who: str
    use: Use
    source: Source
    places: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    explains: list[str] = field(default_factory=list)  # checks that fail when it is no good
    is_served: bool = False
    is_minor: bool = False

    @property
    def is_authority(self) -> bool:
        """Whether it vouches for others."""
        return self.use is Use.SIGNER or self.fact.is_ca

    @property
    def effect(self) -> str:
        """The worst that comes of it, ready to be put behind a message."""
        return f", so {self.effects[0]}" if self.effects else ""

    def evidence(self) -> tuple[Evidence, ...]:
        """Return where it was seen."""
        dates = f"valid from {moment(self.fact.not_before)} to {moment(self.fact.not_after)}"
        observed = f"{identity(self.fact)}, {dates}"
        return tuple(Evidence(source=place, observed=observed) for place in dict.fromkeys(self.places))


class _Dated:
    """Collects certificates by what is in them."""

    def __init__(self) -> None:
        self.found: dict[str, Dated] = {}

    def add(
        self,
        one: host.CertificateFact,
        title: str,
        who: str,
        use: Use,
        source: Source,
        effects: list[str],
        explains: Iterable[str],
    ) -> Dated:
        entry = self.found.setdefault(one.fingerprint, Dated(one, title, who, use, source))
        entry.places.append(str(source))
        entry.effects += effects
        entry.explains += [check for check in explains if check not in entry.explains]
        return entry

    def add_shown(self, shown: Shown, one: host.CertificateFact, effects: list[str]) -> None:
        entry = self.add(one, shown.title, shown.who, shown.use, shown.certificate, effects, of_shown(shown))
        entry.is_minor = shown.is_minor and not entry.effects


def dated(sight: Sight, found: Survey) -> list[Dated]:
    """Return what is shown and served, with its chain, and the authorities that somebody's trust hangs on."""
    result = _Dated()
    consequences: dict[int, list[str]] = {}
    for edge in found.edges:
        consequences.setdefault(id(edge.shown), []).append(edge.effect)
    for shown in found.shown:
        chain = shown.certificate.certificates(sight)
        if isinstance(chain, FactError):
            continue
        effects = _effects(consequences, shown)
        result.add_shown(shown, chain[0], effects)
        for one in chain[1:]:
            if not one.is_self_issued:  # nobody looks at a root that comes along
                title = f"the authority `{one.subject}` above {shown.title}"
                result.add(one, title, shown.who, Use.SIGNER, shown.certificate, effects, of_shown(shown))
    for trusted, one, hanging in _authorities(sight, found):
        effects = [edge.effect for edge in hanging]
        explains = [check for edge in hanging for check in of_edge(edge)]
        result.add(one, f"the authority `{one.subject}`", trusted.who, Use.SIGNER, trusted.source, effects, explains)
    for shown, one, where in _served(sight, found):
        if one.fingerprint not in result.found:
            effects = _effects(consequences, shown)
            title = f"the certificate that {shown.who} serves, no longer the one in its file,"
            entry = result.add(one, title, shown.who, shown.use, shown.certificate, effects, of_shown(shown))
            entry.is_served, entry.places = True, [where]
    return list(result.found.values())


def _effects(consequences: dict[int, list[str]], shown: Shown) -> list[str]:
    """Return what comes of a certificate that nobody takes."""
    if shown.who == "kube-apiserver" and shown.what == "serving certificate":
        return ["nobody can use the API"]
    return consequences.get(id(shown), [])


def _authorities(sight: Sight, found: Survey) -> Iterator[tuple[Trusted, host.CertificateFact, list[Edge]]]:
    """Yield the only authority of a file, and of a bundle those who vouch for somebody: the best one for each.

    With each go the edges that hang on it.
    """
    edges: dict[int, list[Edge]] = {}
    for edge in found.edges:
        edges.setdefault(id(edge.trusted), []).append(edge)
    for trusted in found.trusted:
        bundle = trusted.source.certificates(sight)
        if isinstance(bundle, FactError):
            continue
        own = edges.get(id(trusted), [])
        if len(bundle) == 1:
            yield trusted, bundle[0], own
            continue
        for edge in own:
            chain = edge.shown.certificate.certificates(sight)
            if isinstance(chain, FactError):
                continue
            now = sight.context.now
            best_first = sorted(bundle, key=lambda one: (one.not_before <= now < one.not_after, one.not_after))[::-1]
            judgement = judge(chain, best_first)
            if judgement.verdict is Verdict.TRUSTED and judgement.issuer is not None:
                yield trusted, judgement.issuer, [edge]


def _served(sight: Sight, found: Survey) -> Iterator[tuple[Shown, host.CertificateFact, str]]:
    """Yield what running API servers serve, where they can be asked: another certificate than that in the file?"""
    for shown in found.shown:
        instance = shown.instance
        if shown.what != "serving certificate" or instance is None or instance.name != "kube-apiserver":
            continue
        address, number = host.secure_address(instance, "", _API_PORT)
        address = "127.0.0.1" if address in _ANY_ADDRESS else address
        if not instance.is_running:
            continue
        try:
            served = sight.context.get(host.served_certificate, address, number, instance.net)
        except FactError:  # it does not answer: that is another check's finding, and the file has been seen
            continue
        yield shown, served, f"{address} port {number}"
