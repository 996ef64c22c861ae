"""Where certificates and keys stand: in files, or embedded in a kubeconfig; and who uses them for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from kubedoctor import FactError, Instance, Malformed, host
from kubedoctor_certs.sight import Sight


class Part(StrEnum):
    """What of a kubeconfig is meant."""

    NONE = ""  # a file of its own
    CA = "certificate-authority-data"
    CERTIFICATE = "client-certificate-data"
    KEY = "client-key-data"


@dataclass(frozen=True, slots=True)
class Source:
    """A file as process *root* sees it; with *part*, what is embedded in it for cluster or user *entry*."""

    path: str
    root: int = 0
    part: Part = Part.NONE
    entry: str = ""

    def __str__(self) -> str:
        path = host.printable(self.path)
        return f"{path} ({self.part})" if self.part else path

    def certificates(self, sight: Sight) -> tuple[host.CertificateFact, ...] | FactError:
        """Return the certificates that stand here, at least one, or why not."""
        if not self.part:
            return sight.certificates(self.path, self.root)
        config = sight.kubeconfig(self.path, self.root)
        if isinstance(config, FactError):
            return config
        if self.part is Part.CA:
            found = next((one.ca for one in config.clusters if one.name == self.entry), ())
        else:
            found = next((one.certificates for one in config.users if one.name == self.entry), ())
        return found or Malformed(f"{self} cannot be read")

    def key(self, sight: Sight) -> host.PublicKeyFact | FactError:
        """Return the key that stands here, or why not."""
        if not self.part:
            return sight.key(self.path, self.root)
        config = sight.kubeconfig(self.path, self.root)
        if isinstance(config, FactError):
            return config
        found = next((one.key for one in config.users if one.name == self.entry), None)
        return found or Malformed(f"{self} cannot be read")


class Use(StrEnum):
    """What a certificate is shown for."""

    SERVER = "server"
    CLIENT = "client"
    SIGNER = "signer"  # it signs others; it is an authority


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that *who* shows or signs with, and its key where one belongs to it.

    `what` is what it is to its owner: "serving certificate". `names` are the flags or fields that name both.
    `kubeconfig`: the one it is used by. `made`: its owner makes it when it is not there. `is_minor`: nobody is known
    who looks at it closely.
    """

    who: str
    what: str
    use: Use
    certificate: Source
    key: Source | None = None
    names: tuple[str, str] = ("", "")
    instance: Instance | None = None
    kubeconfig: str = ""
    made: bool = False
    is_minor: bool = False

    @property
    def title(self) -> str:
        """The certificate in words: "kube-apiserver's serving certificate"."""
        return f"{self.who}'s {self.what}"


@dataclass(frozen=True, slots=True)
class Trusted:
    """The authorities that *who* takes certificates of; `name` is the flag or field that names them.

    `is_api`: those by whom it knows the API server.
    """

    who: str
    source: Source
    name: str
    instance: Instance | None = None
    is_api: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """*trusted* has to vouch for *shown*, else `effect`."""

    shown: Shown
    trusted: Trusted
    effect: str


@dataclass(frozen=True, slots=True)
class UsedKubeconfig:
    """A kubeconfig that *who* uses. `instead`: one that is taken when this one is not there.

    `server`: an address that counts instead of the one in it (`--master`). `asks_api`: it leads to the API server;
    else to a webhook.
    """

    who: str
    path: str
    root: int
    name: str = ""  # the flag
    instead: str = ""
    server: str = ""
    asks_api: bool = True
    instance: Instance | None = None

    def __str__(self) -> str:
        return host.printable(self.path)


@dataclass(frozen=True, slots=True)
class Needed:
    """A name that a serving certificate has to be for; *why* in words: "kube-scheduler uses it".

    `is_used`: somebody dials it; else somebody might. `is_rare`: so few do that some distributions leave it out.
    """

    shown: Shown
    host: str
    why: str
    is_used: bool = True
    is_rare: bool = False


@dataclass(slots=True)
class Survey:
    """All of a target that has to do with certificates."""

    shown: list[Shown] = field(default_factory=list)
    trusted: list[Trusted] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    kubeconfigs: list[UsedKubeconfig] = field(default_factory=list)
    needed: list[Needed] = field(default_factory=list)
