"""One check on one target: what it found, or why it could not look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from kubedoctor.checks import Check, Finding, NotApplicable, Outcome
from kubedoctor.contributions import reason_of
from kubedoctor.doctor.documents import ReportedFinding, Result, fingerprint
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Fact, FactError, Overdue
from kubedoctor.host import redacted
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.targets import Target

P = ParamSpec("P")
T = TypeVar("T")


class CheckContext:
    """What a check is given: its target, and a look that waits no longer for a fact than the check may take."""

    def __init__(self, look: SharedLook, target: Target, patience: float | None = None) -> None:
        self._look = look
        self._target = target
        self._patience = patience

    @property
    def target(self) -> Target:
        """What is looked at."""
        return self._target

    @property
    def now(self) -> float:
        """The time of this run, seconds since the epoch."""
        return self._look.now

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact's value; raise the FactError that says why it cannot be had."""
        return self._look.ask(fact, args, kwargs, self._patience)


@dataclass(slots=True, eq=False)
class Judgement:
    """What a check has come to so far; findings are added as they are made, whatever happens afterwards."""

    findings: list[Finding] = field(default_factory=list)
    outcome: Outcome = Outcome.PASSED
    reason: str = ""
    defect: BaseException | None = None

    def judge(self, check: Check, context: CheckContext) -> None:
        """Run the check; whatever it raises is told by the outcome."""
        try:
            for finding in _findings(check.run(context)):
                self.findings.append(finding)
        except NotApplicable as stop:
            self.outcome, self.reason = Outcome.NOT_APPLICABLE, redacted([stop.reason])[0]
        except Overdue as error:
            self.outcome, self.reason = Outcome.TIMED_OUT, f"{error.reason} in {check.deadline:g} s"
        except FactError as error:
            # `failed` is what a fact raised that it should not have raised: a defect, and no missing right.
            self.outcome = Outcome.CRASHED if error.kind == FactError.kind else Outcome.UNKNOWN
            self.reason = redacted([error.reason])[0]  # a check may raise one of its own
        except (Exception, SystemExit) as error:  # a border: a sick check must not stop the doctor
            self.outcome, self.reason, self.defect = Outcome.CRASHED, redacted([reason_of(error)])[0], error

    def result(self, check: Check, target: Target, *, seconds: float = 0.0) -> Result:
        """Return the result; a check that found something has failed, whatever it could not see besides."""
        found = tuple(self.findings)  # a check that was given up may still be at it
        return Result(
            check=check.id,
            target=target.id,
            title=check.title,
            outcome=Outcome.FAILED if found else self.outcome,
            severity=check.severity,
            seconds=round(seconds, 6),
            reason=self.reason,
            findings=tuple(reported(check, target, finding) for finding in found),
        )


def reported(check: Check, target: Target, finding: Finding) -> ReportedFinding:
    """Return the finding with its fingerprint, and the severity of the check unless it has one of its own.

    What looks like a secret is taken out of what it says, whoever wrote the check.
    """
    return ReportedFinding(
        message=_line(redacted([finding.message])[0]),
        subject=finding.subject,
        severity=finding.severity or check.severity,
        evidence=tuple(replace(one, observed=redacted([one.observed])[0]) for one in finding.evidence),
        fixes=finding.fixes,
        fingerprint=fingerprint(check.id, target.kind, finding.subject),
        explains=finding.explains,
    )


def _line(message: str) -> str:
    """Return a message that cannot steer a terminal: names and values of others may stand in it."""
    return message if message.isprintable() else "".join(one if one.isprintable() else "?" for one in message)


def _findings(given: Any) -> Iterable[Finding]:
    """Yield what a check gives; raise TypeError or ValueError for what is no finding: a report could not hold it."""
    if given is None:
        return
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"returned {type(given).__name__}, not findings")
    for finding in given:
        if not isinstance(finding, Finding):
            raise TypeError(f"found a {type(finding).__name__}, not a Finding")
        from_json(Finding, to_json(finding))
        yield finding
