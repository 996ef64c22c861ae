"""What there is to look at on this machine, with everything ready to look at it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kubedoctor.doctor.look import SharedLook

if TYPE_CHECKING:
    from kubedoctor.plugins import Manager
    from kubedoctor.targets import Target

SECONDS = 5.0
"""The search for what runs here takes a few milliseconds for each component; a file system that hangs ends it."""


@contextmanager
def survey(manager: Manager, *, kubeconfig: str = "") -> Iterator[tuple[SharedLook, Sequence[Target]]]:
    """Yield a look at this machine and the targets on it; the network namespaces of others are open meanwhile.

    Raise KubedoctorError for a kubeconfig that cannot be read.
    """
    from kubedoctor.cli.targets import known_targets

    look = SharedLook()
    targets = _discovered(look, known_targets(manager, flags={}, environment=os.environ, kubeconfig=kubeconfig))
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


def _discovered(look: SharedLook, known: Sequence[Target]) -> Sequence[Target]:
    """Return what runs here; only what is known before when the search does not come back."""
    from kubedoctor.doctor.targets import discover

    found: list[Sequence[Target]] = []
    defects: list[BaseException] = []

    def search() -> None:
        try:
            found.append(discover(look, known))
        except (Exception, SystemExit) as error:  # raised again by the thread that waits
            defects.append(error)

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if defects:
        raise defects[0]
    if found:
        return found[0]
    awaited = look.awaited(thread.ident or 0) or "the search"
    machine, *others = known
    note = f"what runs here is not known: {awaited} did not answer in {SECONDS:g} s"
    return (replace(machine, notes=(*machine.notes, note)), *others)
