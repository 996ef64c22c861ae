"""What can be wrong with the network configuration that the runtime loads, and its plugins."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubedoctor import (
    Absent,
    Check,
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    Safety,
    Severity,
    Step,
    StepKind,
    check,
    host,
    run,
)
from kubedoctor_cni.component import FILE

ADDONS = "https://kubernetes.io/docs/concepts/cluster-administration/addons/"
PLUGINS = "https://github.com/containernetworking/plugins/releases"
SPECIFICATION = "https://www.cni.dev/docs/spec/"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A runtime's network: where it looks, what is there, what it makes of that, and what it says of it."""

    runtime: host.Runtime
    network: host.RuntimeNetwork
    files: tuple[host.CniFile, ...]
    load: host.CniLoad
    condition: host.CriCondition | None
    last_load: str

    @property
    def is_refused(self) -> bool:
        """Whether the runtime says that pods get no network."""
        return self.condition is not None and not self.condition.status

    @property
    def says(self) -> Evidence:
        """What the runtime says of the network, which may be that all is well."""
        if self.condition is None:
            return Evidence(source=f"{self.runtime.where}", observed="tells nothing of the network")
        words = ("NetworkReady=true", "") if self.condition.status else ("NetworkReady=false", self.condition.message)
        return Evidence(source=f"{self.runtime.where} over the CRI", observed=" ".join(filter(None, words)))


def _seen(context: Context) -> Iterator[_Seen]:
    for runtime in host.node_runtimes(context):
        network = host.runtime_network(context, runtime)
        files = context.get(host.cni_files, network.conf_dir, runtime.root)
        if network.default:  # CRI-O waits for the one of this name, whatever else is there
            files = tuple(one for one in files if one.problem or one.network == network.default)
        load = host.cni_load(files, most=network.most, passes_over_broken=runtime.passes_over_broken)
        try:
            status = context.get(host.cri_status, runtime.socket, runtime.root)
        except FactError:
            yield _Seen(runtime, network, files, load, None, "")
        else:
            yield _Seen(runtime, network, files, load, status.condition("NetworkReady"), status.cni_load)


@check(
    "cni.no-config",
    title="there is a network configuration for pods",
    looks_at="the directory from which the runtime loads its network configuration, as the runtime itself names it",
    fix="install a network add-on, or put its configuration where the runtime looks",
    seen_as=(
        "cni plugin not initialized",
        "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady",
        "no network config found in /etc/cni/net.d",
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("runtime.not-answering",),
    tags=("network",),
)
def no_config(context: Context) -> Iterator[Finding]:
    """Without a network configuration the node is NotReady, and only pods on the host's network start.

    On a new kubeadm node that is as it should be until an add-on is installed. Where the runtime looks stands in its
    configuration: a table that its version does not know is passed over without a word.
    """
    for one in _seen(context):
        if not one.files:
            yield _nothing(context, one)


def _nothing(context: Context, one: _Seen) -> Finding:
    directory, runtime = one.network.conf_dir, one.runtime
    fix = Fix(summary="install a network add-on", link=ADDONS)
    evidence = [Evidence(source=directory, observed="no .conf, .conflist or .json", expected="a file"), one.says]
    what = f"configuration of the network {one.network.default}" if one.network.default else "network configuration"
    message = f"there is no {what} in {directory}, where {runtime.where} looks"
    passed_over = _passed_over(context, runtime)
    if passed_over:
        file, version, table, wanted = passed_over
        message = f"{file} sets {wanted} for networks in a table that version {version} of it does not have: " + message
        fix = Fix(
            summary=f"use plugins.'io.containerd.cri.v1.runtime'.cni in {file}, then restart containerd",
            steps=(Step(kind=StepKind.RESTART_COMPONENT, component="containerd"),),
        )
        evidence.insert(0, Evidence(source=file, observed=f"version = {version}, {table} = {wanted}"))
    again = host.made_by_up(context.target, runtime.root, "it") if not passed_over else ()
    return Finding(message=message, subject=directory, evidence=tuple(evidence), fixes=(*again, fix))


def _passed_over(context: Context, runtime: host.Runtime) -> tuple[str, int, str, str] | None:
    """Return a directory that containerd is meant to look in, and is told in a way it does not take."""
    try:
        config = host.runtime_configuration(context, runtime.instance)
    except FactError:
        return None
    for name, value in config.passed_over.items() if config else ():
        if config and name.endswith(" conf_dir"):
            return config.files[0], config.version, name, value
    return None


@check(
    "cni.config-broken",
    title="the network configuration can be loaded",
    looks_at="each file of network configuration in the order the runtime loads them: JSON, plugins, version",
    fix="mend the file or remove it",
    seen_as=(
        "failed to load CNI config list file",
        "network type not found in",
        "plugin version does not allow STATUS",
        "cni plugin not initialized",
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("cni.no-config",),
    tags=("network",),
)
def config_broken(context: Context) -> Iterator[Finding]:
    """One broken file that sorts first keeps containerd from loading any: the good one behind it is not looked at.

    Files are taken in the order of their names, and only the first counts. A list of plugins has to be in a file named
    .conflist; a version that the plugins do not know is refused by each of them. containerd looks again when a file is
    written or removed, and does not notice one that was moved there.
    """
    for one in _seen(context):
        for file in one.load.broken:
            yield _unloadable(one, file)
        for file in one.load.used:
            if file.version and file.version not in host.CNI_VERSIONS:
                yield _unknown_version(one, file)
                break
        else:
            if one.load.used and one.is_refused and one.last_load not in ("", "OK"):
                yield _not_loaded(one)


def _unloadable(one: _Seen, file: host.CniFile) -> Finding:
    rest = _names(one.load.ignored) if not one.load.used else ""
    if one.load.used:
        follows = f"it is passed over, and {_names(one.load.used)} is used"
    elif rest:
        follows = f"{one.runtime.where} loads no network at all, and does not look at {rest}"
    else:
        follows = f"{one.runtime.where} has no network for pods"
    return Finding(
        message=f"{file.path} {file.problem}: {follows}",
        subject=file.path,
        severity=Severity.WARNING if one.load.used else None,
        evidence=(
            Evidence(source=file.path, observed=file.problem, expected="a network configuration"),
            *_order(one),
            one.says,
        ),
        fixes=(_removal(one, file.path, "mend it, or take it away"), *_renaming(one, file)),
    )


def _renaming(one: _Seen, file: host.CniFile) -> Iterator[Fix]:
    if "only a file named .conflist" in file.problem:
        right = f"{posixpath.splitext(file.path)[0]}.conflist"
        yield Fix(
            summary=f"name it {posixpath.basename(right)}",
            safety=Safety.SAFE,
            steps=(run("mv", file.path, right, undo=("mv", right, file.path), within=one.runtime.root),),
        )


def _unknown_version(one: _Seen, file: host.CniFile) -> Finding:
    newest = host.CNI_VERSIONS[-1]
    return Finding(
        message=f"{file.path} is of version {file.version} of the CNI, which no plugin knows: pods get no network",
        subject=file.path,
        evidence=(
            Evidence(source=file.path, observed=f"cniVersion {file.version}", expected=f"at most {newest}"),
            one.says,
        ),
        fixes=(Fix(summary=f'set "cniVersion" to "1.0.0" in {file.path}', link=SPECIFICATION),),
    )


def _not_loaded(one: _Seen) -> Finding:
    used = _names(one.load.used)
    return Finding(
        message=f"{one.runtime.where} has not loaded {used}, in which nothing is wrong: it says "
        f"{one.condition.message if one.condition else ''}",
        subject=f"{one.network.conf_dir} not loaded",
        evidence=(
            Evidence(source=one.network.conf_dir, observed=f"{used} can be loaded"),
            Evidence(source=f"{one.runtime.where}, its last load", observed=one.last_load, expected="OK"),
            one.says,
        ),
        fixes=(
            Fix(
                summary=f"restart {one.runtime.name}: it does not notice files that are moved or linked there",
                safety=Safety.DISRUPTIVE,
                steps=(Step(kind=StepKind.RESTART_COMPONENT, component=one.runtime.name),),
            ),
        ),
    )


@check(
    "cni.plugin-missing",
    title="the plugins that the network configuration names are installed",
    looks_at="the programs that the network configuration in use needs, in the directories where the runtime looks "
    "for them: there, executable, for this machine",
    fix="install the plugins, or remove the configuration of an add-on that is gone",
    seen_as=(
        'failed to find plugin "bridge" in path [/opt/cni/bin]',
        "failed to setup network for sandbox",
        "exec format error",
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("cni.config-broken",),
    tags=("network",),
)
def plugin_missing(context: Context) -> Iterator[Finding]:
    """Plugins are programs that the runtime starts for each pod; it does not tell when one is missing.

    The node says that it is Ready, NetworkReady=true stands in the runtime's status, and no pod starts. Often the
    configuration is one that an add-on has left behind, and sorts before the one that is meant.
    """
    for one in _seen(context):
        wanted: dict[str, host.CniFile | None] = {"loopback": None} if one.network.needs_loopback else {}
        wanted |= {name: file for file in reversed(one.load.used) for name in file.programs}
        problems = {name: problem for name in wanted if (problem := _lacks(context, one, name))}
        for name, problem in problems.items():
            yield _missing(context, one, name, wanted[name], problem)
        if one.is_refused and not problems:
            yield _refused(one)


def _refused(one: _Seen) -> Finding:
    """Say what a plugin itself says: from version 1.1.0 on it is asked for its status."""
    told = one.condition.message if one.condition else ""
    return Finding(
        message=f"{one.runtime.where} says that pods get no network: {told}",
        subject=f"{one.network.conf_dir} refused",
        evidence=(Evidence(source=one.network.conf_dir, observed=f"used {_names(one.load.used)}"), one.says),
        fixes=(Fix(summary="see what the network add-on says in its own log"),),
    )


def _lacks(context: Context, one: _Seen, name: str) -> str:
    """Return why the program cannot be run, in words that fit behind its name; empty when it can."""
    if "/" in name:
        return "is no name of a plugin"
    for directory in one.network.bin_dirs:
        path = posixpath.join(directory, name)
        try:
            found = context.get(host.program, path, one.runtime.root)
        except Absent:
            continue
        return f"at {path} {found.problem}" if found.problem else ""
    return f"is not in {' or '.join(one.network.bin_dirs)}"


def _missing(context: Context, one: _Seen, name: str, file: host.CniFile | None, problem: str) -> Finding:
    by = f"which {file.path} needs" if file else f"which {one.runtime.where} needs for every pod"
    ready = one.condition is not None and one.condition.status
    no_pod = "no pod starts, though the node is Ready" if ready else "no pod starts"
    others = [other for other in one.load.ignored if not other.problem]
    fixes = [Fix(summary=f"install the plugin in {one.network.bin_dirs[0]}", link=PLUGINS)]
    if file and posixpath.basename(file.path) == FILE:
        fixes = [*host.made_by_up(context.target, one.runtime.root, "it"), *fixes]
    if file and others:
        aside = f"if {file.name} is left over from an add-on, take it away: {others[0].name} is used then"
        fixes.insert(0, _removal(one, file.path, aside))
    return Finding(
        message=f"the network plugin {name}, {by}, {problem}: {no_pod}",
        subject=f"{name} in {':'.join(one.network.bin_dirs)}",
        evidence=(
            Evidence(source=":".join(one.network.bin_dirs), observed=f"{name} {problem}", expected="a program"),
            *_order(one),
            one.says,
        ),
        fixes=tuple(fixes),
    )


# ----------------------------------------------------------------------------------------------------------------------


def _order(one: _Seen) -> Iterator[Evidence]:
    """Tell which file wins, where there is more than one."""
    if len(one.files) > 1:
        used = _names(one.load.used) or "none"
        ignored = f", ignored {_names(one.load.ignored)}" if one.load.ignored else ""
        broken = f", broken {_names(one.load.broken)}" if one.load.broken else ""
        yield Evidence(source=one.network.conf_dir, observed=f"used {used}{broken}{ignored}")


def _names(files: Sequence[host.CniFile]) -> str:
    return ", ".join(file.name for file in files)


def _removal(one: _Seen, path: str, summary: str) -> Fix:
    aside = f"{path}.disabled"
    return Fix(
        summary=summary,
        safety=Safety.DISRUPTIVE,
        steps=(run("mv", path, aside, undo=("mv", aside, path), within=one.runtime.root),),
    )


CHECKS: tuple[Check, ...] = (no_config, config_broken, plugin_missing)
