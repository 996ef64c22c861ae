"""`up` as a whole, without a word to the user: start a cluster, or bring one that runs to what is wished for now."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cluster import bringup, clusterfile, ports, ways
from kubedoctor.cluster import place as places
from kubedoctor.cluster.certificates import users_of
from kubedoctor.cluster.cleanup.run import clear as clear_host
from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.documents import Event, Phase, Plan
from kubedoctor.cluster.launch import EarlyKeeper
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.cluster.plan import PortWish
from kubedoctor.cluster.prepare import Choice, Prepared, choose, plan_of, prepare, telling_of_full_disks, write_all
from kubedoctor.cluster.settling import Session, read_plan
from kubedoctor.cluster.setup.missing import Wish, require_for_node
from kubedoctor.cluster.status import existing
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import AlreadyRunning, ConfigError, KubedoctorError, NotRunning
from kubedoctor.records import dataclass

if TYPE_CHECKING:
    from kubedoctor.cluster.binaries.choice import Progress
    from kubedoctor.plugins import Manager

_LONGEST_END = 35.0
"""Seconds until a cluster that is being stopped is gone; its keeper kills what is left after 30."""


def start(
    session: Session,
    choice: Choice,
    early: EarlyKeeper,
    wait: bringup.Wait,
    tell: Callable[[Event], None],
    *,
    begin: Callable[[Plan], None],
) -> Prepared:
    """Start the cluster and return when it is ready; *begin* is called with the plan before anything runs."""
    clusterfile.make_directories(session.paths)
    lock = places.acquire(session.place)
    try:
        _check_readable(session.place)
        prepared = prepare(session.config, choice)
        _remember(session)
    except BaseException:
        with contextlib.suppress(KubedoctorError):  # what went wrong first is what counts; the next command tells of it
            clear_host(session.place)
        os.close(lock)
        raise
    begin(prepared.plan)
    with telling_of_full_disks(session.paths.directory):
        bringup.start(early, prepared, session.place, lock, wait, tell)
    return prepared


def _check_readable(place: PlacePaths) -> None:
    """Raise KubedoctorError for a state that a newer kubedoctor wrote; a corrupt one of a stopped place is replaced."""
    try:
        places.read_state(place)
    except KubedoctorError as problem:
        if "newer" in problem.message:
            raise
        place.state.unlink(missing_ok=True)


def _remember(session: Session) -> None:
    record = clusterfile.read(session.paths)
    if record is not None:
        changed = replace(
            record,
            flags={name: list(v) if isinstance(v, tuple) else v for name, v in session.flags.items()},
            environment=session.environment,
            preserve=session.config.preserve_etcd,
        )
        clusterfile.write(session.paths, changed)


@dataclass(frozen=True, slots=True)
class Change:
    """What bringing a running cluster to new wishes comes to."""

    plan: Plan
    restarted: tuple[str, ...]


def change(
    session: Session,
    choice: Choice,
    wait: bringup.Wait,
    tell: Callable[[Event], None],
    *,
    begin: Callable[[Plan], None],
    forced: tuple[str, ...] = (),
) -> Change:
    """Bring a running cluster to what is wished for: what differs is restarted, and *forced* components are.

    Raise KubedoctorError for wishes that need a place of another making, such as more ports of the host reached inside.
    """
    current = read_plan(session.place)
    record = clusterfile.read(session.paths) or clusterfile.ClusterFile(name=session.config.name)
    _refuse_another_place(session.config, current)
    openings = _open_more(session, choice, record, current)
    bound = {**record.ports, **{opening.key: opening.outside for opening in openings}}
    plan = plan_of(session.config, choice, bound)
    if (plan.reach, plan.wire) != (current.reach, current.wire):
        raise ConfigError(
            "the ways between host and sandbox are settled when a cluster starts",
            hint=f"kubedoctor down --name {session.config.name}, then `up` with the new --reach, --uplink or --attach",
        )
    with ControlClient(session.place.socket) as keeper:
        since = _last_seq(session.place)
        renewed = write_all(session.config, choice, plan, record)
        _remember(session)
        forced = (*forced, *users_of(session.paths, Path(session.config.pki("")), renewed))
        prepared = Prepared(plan, tuple(openings), renewed)
        for entry in prepared.listeners():
            keeper.request(
                "publish", inside=entry["inside"], outside=entry["outside"], descriptors=[entry["descriptor"]]
            )
        prepared.close()
        restarted = tuple(keeper.request("apply", components=list(forced))["restarted"])
        if restarted or not _is_ready(keeper):
            begin(plan)
            bringup.follow(keeper, plan, wait, _from_now(tell), since)
    if wait.attached is not None:
        _attach(session.place, wait.attached)
    return Change(plan, restarted)


def _from_now(tell: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return *tell* with the time counted from the first event it hears, not from when the cluster was started."""
    began: list[float] = []

    def counted(event: Event) -> None:
        began.append(event.elapsed)
        tell(replace(event, elapsed=max(0.0, event.elapsed - began[0])))

    return counted


def _attach(place: PlacePaths, attached: Callable[[ControlClient], None]) -> None:
    """Have a cluster that ran before stopped by the end of *attached*, if it is an interrupt."""
    with ControlClient(place.socket) as keeper:
        try:
            attached(keeper)
        except KeyboardInterrupt:
            bringup.stop(keeper, place)
            raise


def _is_ready(keeper: ControlClient) -> bool:
    return bool(keeper.request("status")["place"]["phase"] == "ready")


def _last_seq(place: PlacePaths) -> int:
    """Return the number of the last event so far: what happened before is not this command's doing."""
    try:
        lines = place.events.read_text().splitlines()
        return int(json.loads(lines[-1])["seq"]) if lines else 0
    except (OSError, ValueError, KeyError):
        return 0


def _outlast_an_end(place: PlacePaths) -> None:
    """Return when a cluster that is being stopped is gone: what is wished for then starts it anew."""
    try:
        with ControlClient(place.socket) as keeper:
            patience = _LONGEST_END if keeper.request("status")["place"]["phase"] == Phase.STOPPING else 0.0
    except KubedoctorError:  # it has just ended, or another `up` has not begun yet
        patience = 1.0
    places.wait_free(place, patience)


def _refuse_another_place(config: ClusterConfig, current: Plan) -> None:
    if current.place_kind != config.place_kind:
        raise ConfigError(
            f"cluster `{config.name}` runs in a {current.place_kind} place, not in a {config.place_kind} one",
            hint=f"kubedoctor down --name {config.name}, then `up` again",
        )


def _open_more(session: Session, choice: Choice, record: clusterfile.ClusterFile, current: Plan) -> list[ports.Opening]:
    """Bind the outside ports that the running cluster does not have yet."""
    if session.config.place_kind is PlaceKind.HOST:
        return []
    there = {f"{c.name}.{port.name}": port.outside for c in current.components for port in c.ports if port.outside}
    there |= {f"publish.{item.inside}": item.outside for item in current.publish}
    missing = [wish for wish in choice.wanted.ports if not there.get(wish.key) or _moved(wish, there[wish.key])]
    openings, _ = ports.open_all(
        missing,
        default_cluster=False,
        kept=record.ports,
        avoid=clusterfile.ports_of_others(session.config.name),
    )
    return openings


def _moved(wish: PortWish, outside: int) -> bool:
    return wish.exact and wish.outside != outside


def keeper_of(name: str) -> ControlClient:
    """Return a conversation with the keeper of a running cluster; raise NotRunning when it does not run."""
    try:
        return ControlClient(existing(name).place().socket)
    except NotRunning as problem:
        if "listens" not in problem.message:
            raise
        option = "" if name == "local" else f" --name {name}"
        raise NotRunning(f"cluster `{name}` does not run", hint=f"start it: kubedoctor up{option}") from None


def bring_to_readiness(
    session: Session,
    manager: Manager,
    wait: bringup.Wait,
    tell: Callable[[Event], None],
    *,
    begin: Callable[[Plan], None],
    preflight: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
    forced: tuple[str, ...] = (),
) -> Change:
    """Start the cluster, or change it where it runs; return its plan and, where it ran, what was restarted.

    *preflight* is called before one is started, and raises what stands in the way.
    """
    if places.is_held(session.place):
        _outlast_an_end(session.place)
    if not places.is_held(session.place):
        if session.config.node and session.config.place_kind is PlaceKind.SANDBOX:
            require_for_node(Wish(proxy_mode=session.config.kube_proxy_mode))
        ways.require(session.config)
        early = EarlyKeeper(session.place)
        try:
            preflight()
            choice = choose(session.resolved, session.config, manager, progress=progress)
            return Change(start(session, choice, early, wait, tell, begin=begin).plan, ())
        except AlreadyRunning:
            if not places.is_held(session.place):
                raise
        finally:
            early.abandon()
    else:
        choice = choose(session.resolved, session.config, manager, progress=progress)
    try:
        return change(session, choice, wait, tell, begin=begin, forced=forced)
    except NotRunning:
        raise AlreadyRunning(
            f"another `kubedoctor up` is starting cluster `{session.config.name}`", hint="wait for it, then try again"
        ) from None
