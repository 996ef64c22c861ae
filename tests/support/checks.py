"""Facts and checks made up for tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kubedoctor import Check, Context, Fact, Finding, Instance, Look, Target, TargetKind, check
from kubedoctor.doctor.jobs import jobs
from kubedoctor.doctor.prerequisites import graph
from kubedoctor.doctor.runner import Job

MACHINE = Target(id="machine", kind=TargetKind.MACHINE, title="this machine")


def cluster(name: str, *components: str, kind: TargetKind = TargetKind.OTHER) -> Target:
    return Target(
        id=name,
        kind=kind,
        title=f"cluster {name}",
        instances=tuple(Instance(name=one, source="a test", pid=1000) for one in components),
    )


def made(check_id: str, run: Callable[[Context], Iterable[Finding] | None], **options: Any) -> Check:
    """Return a check that runs *run*."""

    def function(context: Context) -> Iterable[Finding] | None:
        """Look at it."""
        return run(context)

    return check(check_id, title=f"{check_id} is well", looks_at="it", fix="mend it", **options)(function)


def passing(check_id: str, **options: Any) -> Check:
    return made(check_id, lambda _: None, **options)


def finding(check_id: str, *messages: str, **options: Any) -> Check:
    def run(_: Context) -> Iterator[Finding]:
        yield from (Finding(message=message, subject=message) for message in messages or ("it is broken",))

    return made(check_id, run, **options)


def raising(check_id: str, error: BaseException, **options: Any) -> Check:
    def run(_: Context) -> None:
        raise error

    return made(check_id, run, **options)


def asking(check_id: str, fact: Fact[Any, Any], *arguments: object, **options: Any) -> Check:
    """Return a check that asks for a fact, and finds something when the answer is False."""

    def run(context: Context) -> Iterator[Finding]:
        if context.get(fact, *arguments) is False:
            yield Finding(message=f"{fact.name} is false", subject=fact.name)

    return made(check_id, run, **options)


def fact_of(name: str, gather: Callable[..., Any], **options: Any) -> Fact[Any, Any]:
    def function(look: Look, *arguments: Any) -> Any:
        return gather(look, *arguments)

    function.__annotations__["return"] = Any
    return Fact(name=name, gather=function, **options)


def jobs_of(*checks: Check, targets: tuple[Target, ...] = (MACHINE,), owner: str = "") -> list[Job]:
    return jobs(checks, targets, graph(checks), owner=lambda _: owner)
