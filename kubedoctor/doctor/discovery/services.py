"""k3s and k0s: what hides from a command line, and what systemd should have started."""

from __future__ import annotations

from dataclasses import replace

from kubedoctor.doctor.discovery.grouping import Cluster
from kubedoctor.doctor.discovery.instances import Found
from kubedoctor.doctor.discovery.machine import directory, exists, unit_command
from kubedoctor.facts import Absent, FactError, Look, fact
from kubedoctor.host import printable, read_file, redacted
from kubedoctor.host.documents import Value, mapping, parse_document
from kubedoctor.targets import Instance

_K3S_CONFIG = "/etc/rancher/k3s/config.yaml"
_UNITS = "/etc/systemd/system"
_SERVICES = {"k3s": ("k3s.service", "k3s-agent.service"), "k0s": ("k0scontroller.service", "k0sworker.service")}
_LIMIT = 64 << 10


@fact("targets.k3s-settings")
def k3s_settings(look: Look, path: str, root: int) -> tuple[str, ...]:
    """The flags that a configuration file of k3s stands for, without secrets; raise Absent, Denied, Malformed."""
    del look
    return parse_k3s_settings(read_file(path, root=root, limit=_LIMIT), path)


def parse_k3s_settings(content: bytes, path: str) -> tuple[str, ...]:
    """Return the flags that the settings stand for; raise Malformed."""
    settings = mapping(parse_document(content, printable(path)))
    return redacted([f"--{name}={text}" for name, value in settings.items() for text in _texts(value)])


def _texts(value: Value) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, bool):
        return [str(value).lower()]
    return [str(value)] if isinstance(value, str | int | float) else []


def with_settings(look: Look, found: Found, notes: list[str]) -> Found:
    """Return a k3s with the flags that it has hidden: it writes a title over them, since there may be secrets."""
    instance = found.instance
    words = [word for one in instance.argv for word in one.split()] if len(instance.argv) == 1 else list(instance.argv)
    role = next((word for word in words[1:] if word in ("server", "agent")), "server")
    own = [word for word in words[1:] if word != role]
    flags = _configured(look, instance, notes)
    if not own:
        unit = _SERVICES["k3s"][role == "agent"]
        try:
            command = look.get(unit_command, f"{_UNITS}/{unit}", instance.root)
            flags += command[command.index(role) + 1 :] if role in command else ()
        except Absent:
            notes.append("k3s hides its command line: only what its configuration file sets is known")
        except FactError as problem:
            notes.append(f"k3s hides its command line: {problem.reason}")
    return replace(found, instance=replace(instance, argv=(words[0], role, *flags, *own)))


def _configured(look: Look, instance: Instance, notes: list[str]) -> tuple[str, ...]:
    main = instance.environment.get("K3S_CONFIG_FILE") or instance.flag("config") or _K3S_CONFIG
    files = [main]
    try:
        names = look.get(directory, f"{main}.d", instance.root)
        files += [f"{main}.d/{name}" for name in names if name.endswith((".yaml", ".yml"))]
    except FactError:
        pass  # few have any
    flags: tuple[str, ...] = ()
    for file in files:
        try:
            flags += look.get(k3s_settings, file, instance.root)
        except Absent:
            continue
        except FactError as problem:
            notes.append(f"settings of k3s are not known: {problem.reason}")
    return flags


def add_what_should_run(look: Look, clusters: list[Cluster]) -> None:
    """Add k3s and k0s where systemd is to start them at boot and nothing of them runs."""
    for name, units in _SERVICES.items():
        if any(cluster.has(name) and "ours" in cluster.homes for cluster in clusters):
            continue
        for unit in units:
            path = f"{_UNITS}/{unit}"
            try:
                if not look.get(exists, f"{_UNITS}/multi-user.target.wants/{unit}", 0):
                    continue
                argv = look.get(unit_command, path, 0)
            except FactError:
                continue  # these directories are readable to all
            if argv:
                instance = Instance(name=name, source=f"unit {path}", argv=argv, executable=argv[0])
                clusters.append(Cluster([Found(instance=instance, home="ours", files="ours")]))
