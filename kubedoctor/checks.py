"""What a check is, and what it finds: the contract between the doctor and the plugins.

A check is a function from facts to findings. It reads facts only, changes nothing, and says nothing when all is well::

    @check("acme.gizmo-stuck", title="the gizmo turns", looks_at="/run/gizmo", fix="restart the gizmo")
    def gizmo_stuck(context: Context) -> Iterator[Finding]:
        \"""A gizmo that does not turn lets every pod wait.\"""
        if context.get(gizmo).speed == 0:
            yield Finding(message="the gizmo has stopped", subject="gizmo")

Raise NotApplicable when there is nothing to look at. A FactError that is not caught makes the result unknown (or timed
out), never passed; what was found before it still counts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeVar

from kubedoctor.facts import Fact
from kubedoctor.records import dataclass
from kubedoctor.targets import Target

P = ParamSpec("P")
T = TypeVar("T")

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")
DEADLINE = 3.0
"""Seconds a check has unless it says otherwise: the slowest healthy one here needs 0.2."""


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    ERROR = "error"  # something does not work
    WARNING = "warning"  # it will not, or not always
    INFO = "info"


class Phase(StrEnum):
    """When a check has something to say."""

    PREFLIGHT = "preflight"  # can a cluster start here
    RUNNING = "running"  # is this one well


class Outcome(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"  # it found something
    IGNORED = "ignored"  # it found something that the user does not want to count
    SKIPPED = "skipped"  # a check it builds on failed
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"  # it could not look
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"


class Safety(StrEnum):
    """What a fix may cost."""

    SAFE = "safe"
    DISRUPTIVE = "disruptive"  # something is restarted
    DESTRUCTIVE = "destructive"  # something is lost
    MANUAL = "manual"  # a person has to decide or to do it


class StepKind(StrEnum):
    """What a step of a fix does."""

    RUN = "run"  # argv
    WRITE_FILE = "write-file"  # path, content
    REMOVE_FILE = "remove-file"  # path
    SYSCTL = "sysctl"  # key, value
    RESTART_COMPONENT = "restart-component"  # component


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, as data; `undo` is the command that takes it back, empty when nothing does.

    `within` is a process in whose network and with whose files it has to be done, an instance's `net` or `root`: on the
    machine itself the same command would meet another thing of that name. 0: on the machine itself.
    """

    kind: StepKind
    argv: tuple[str, ...] = ()
    path: str = ""
    content: str = ""
    key: str = ""
    value: str = ""
    component: str = ""
    undo: tuple[str, ...] = ()
    within: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What to do about a finding. `summary` is an imperative: "stop it", "renew the certificate"."""

    summary: str
    safety: Safety = Safety.MANUAL
    steps: tuple[Step, ...] = ()
    link: str = ""


def run(*argv: str, undo: tuple[str, ...] = (), within: int = 0) -> Step:
    """Return the step that runs a command, in the namespaces of the process *within*."""
    return Step(kind=StepKind.RUN, argv=argv, undo=undo, within=within)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen where: `source` is a file, an address, a process; `expected` what a healthy one shows."""

    source: str
    observed: str
    expected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, in one line without a full stop, about `subject`, which stays the same from run to run.

    `subject` names the thing in its own terms (`etcd :2379`, `/etc/kubernetes/pki/apiserver.crt`): no pid, no time.
    `severity` None takes the check's. `explains` are checks whose findings on the same target follow from this one:
    they are shown below it. A check that would have nothing to look at then names this one in its `requires` instead.
    """

    message: str
    subject: str = ""
    severity: Severity | None = None
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    explains: tuple[str, ...] = ()


class NotApplicable(Exception):  # noqa: N818 - a state, not a mistake
    """There is nothing this check could look at; *reason* says why, in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Context(Protocol):
    """What a check is given."""

    @property
    def target(self) -> Target:
        """What is looked at."""

    @property
    def now(self) -> float:
        """The time of this run, seconds since the epoch: the recorded machine's, when one is looked at."""

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact's value, gathered now or before; raise the FactError that says why it cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check with all that is said of it. `what` is its documentation, from the function's docstring.

    `of` names the components it is about: it runs on each target that has one of them (`*`: on every cluster); without
    it, it runs once, on the machine. On the machine, checks of the phase `preflight` see the components that `up` would
    start. `requires` are checks whose failure on the same target makes this one pointless.
    """

    id: str
    title: str  # the good case: "etcd's ports are free"
    what: str
    run: Callable[[Context], Iterable[Finding] | None]
    looks_at: str
    fix: str
    seen_as: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = (Phase.RUNNING,)
    severity: Severity = Severity.ERROR
    requires: tuple[str, ...] = ()
    needs: str = ""  # a right: "root"
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # kubeadm's names
    deadline: float = DEADLINE  # seconds
    since: str = "0.1"


def check(
    id: str,  # noqa: A002 - what everybody calls it
    *,
    title: str,
    looks_at: str,
    fix: str,
    seen_as: tuple[str, ...] = (),
    of: tuple[str, ...] = (),
    phases: tuple[Phase, ...] = (Phase.RUNNING,),
    severity: Severity = Severity.ERROR,
    requires: tuple[str, ...] = (),
    needs: str = "",
    tags: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    deadline: float = DEADLINE,
    since: str = "0.1",
) -> Callable[[Callable[[Context], Iterable[Finding] | None]], Check]:
    """Make a function the check *id*, which is `<plugin>.<problem>` in kebab-case; its docstring is the explanation.

    Raise ValueError for an id of another form or a function without a docstring.
    """
    if not ID.fullmatch(id):
        raise ValueError(f"`{id}` is not an id: <plugin>.<problem>, lower-case words joined by `-`")

    def make(function: Callable[[Context], Iterable[Finding] | None]) -> Check:
        what = inspect.getdoc(function)
        if not what:
            raise ValueError(f"{id}: the function has no docstring, which is what `explain` says")
        return Check(
            id=id,
            title=title,
            what=what,
            run=function,
            looks_at=looks_at,
            fix=fix,
            seen_as=seen_as,
            of=of,
            phases=phases,
            severity=severity,
            requires=requires,
            needs=needs,
            tags=tags,
            aliases=aliases,
            deadline=deadline,
            since=since,
        )

    return make
