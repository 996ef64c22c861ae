"""What there is to look at on this machine, with everything ready to look at it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kubedoctor.doctor.look import SharedLook, UnwaitingLook
from kubedoctor.doctor.threads import Threads

if TYPE_CHECKING:
    from kubedoctor.plugins import Manager
    from kubedoctor.targets import Target

SECONDS = 5.0
"""The search for what runs here takes a few milliseconds for each component; what hangs all over ends it."""

FIRST, AGAIN = 0.3, 0.06
"""The parts of its time that the search waits for the first fact that hangs, and for each other one: it goes on without
them, and a dead server has many files that it would look at."""


@contextmanager
def survey(
    manager: Manager, *, kubeconfig: str = "", seconds: float = SECONDS
) -> Iterator[tuple[SharedLook, Sequence[Target]]]:
    """Yield a look at this machine and the targets on it; the network namespaces of others are open meanwhile.

    The search takes *seconds* at most. Raise KubedoctorError for a kubeconfig that cannot be read.
    """
    from kubedoctor.cli.targets import known_targets

    look = SharedLook()
    known = known_targets(manager, flags={}, environment=os.environ, kubeconfig=kubeconfig)
    targets = _discovered(look, known, min(seconds, SECONDS))
    foreign = sorted({instance.net for target in targets for instance in target.instances} - {0})
    if not foreign:
        yield look, targets
        return
    from kubedoctor.host.agent import dismiss, prepare

    prepare(foreign)  # it forks, so it comes before the threads
    try:
        yield look, targets
    finally:
        dismiss()


def _discovered(look: SharedLook, known: Sequence[Target], seconds: float) -> Sequence[Target]:
    """Return what runs here; only what is known before when the search does not come back.

    What hangs is given up, and the search begins again: what it has seen it does not look at twice.
    """
    until = time.monotonic() + seconds
    patience, awaited = FIRST * seconds, ""
    while (left := until - time.monotonic()) > 0:
        search = _Search(look, known)
        threads = Threads(1, look.working_for)
        threads.start(None, search.run, min(patience, left))
        while (ended := threads.next(until)) is None:
            pass
        if ended.in_time:
            return search.result()
        hanging, patience = look.give_up(ended.thread), AGAIN * seconds
        if not hanging:
            break
        awaited = hanging
    machine, *others = known
    note = f"what runs here is not known: {awaited or 'the search'} did not answer in {seconds:g} s"
    return (replace(machine, notes=(*machine.notes, note), unseen=True), *others)


class _Search:
    """The search, and what it came to."""

    def __init__(self, look: SharedLook, known: Sequence[Target]) -> None:
        self._look = UnwaitingLook(look)
        self._known = known
        self._found: Sequence[Target] = ()
        self._defect: BaseException | None = None

    def run(self) -> None:
        """Search; it raises nothing here."""
        from kubedoctor.doctor.targets import discover

        try:
            self._found = discover(self._look, self._known)
        except (Exception, SystemExit) as error:  # raised again for the one who waits
            self._defect = error

    def result(self) -> Sequence[Target]:
        """Return the targets; raise what the search has raised."""
        if self._defect is not None:
            raise self._defect
        return self._found
