"""A plan as a POSIX shell script that starts the same programs, for those who want to see, change or take it apart.

The script needs sh, curl, openssl and the binaries, but not kubedoctor. It runs in the namespaces it is started in:
there is no sandbox, no supervisor that restarts what ends, and no relay.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from kubedoctor.cluster.documents import Plan, PlannedComponent, PlannedProbe
from kubedoctor.components import Authority, Certificate, Kind, Kubeconfig
from kubedoctor.config import ClusterConfig
from kubedoctor.report.shell_library import LIBRARY

_AUTHORITY_DAYS, _LEAF_DAYS = 3650, 365


def plan_shell(
    plan: Plan,
    config: ClusterConfig,
    certificates: Iterable[Certificate],
    *,
    kubeconfigs: Sequence[Kubeconfig],
) -> str:
    """Return the script. Certificates that are there are used, the others it makes with openssl.

    It starts the control plane only: a node needs directories, settings and a cgroup of its own, which a script that
    runs where it is would change for the whole machine.
    """
    plan = _without_node(plan)
    people = next((_shell_kubeconfig(plan, k) for k in kubeconfigs if not k.inside), plan.kubeconfig)
    parts = [
        _head(plan),
        LIBRARY,
        _preconditions(plan),
        _directories(plan, config, kubeconfigs),
        _pki(config, certificates),
        *(_kubeconfig(plan, config, entry) for entry in kubeconfigs),
        *(_component(component) for component in plan.components),
        _manifests(plan),
        _tail(people),
    ]
    return "\n".join(part for part in parts if part)


def _without_node(plan: Plan) -> Plan:
    if not plan.node:
        return plan
    kept = tuple(component for component in plan.components if component.kind != Kind.NODE)
    shown = tuple(manifest for manifest in plan.manifests if not manifest.ready)
    note = "the node is left out: it needs a sandbox of its own, which `kubedoctor up` makes"
    return replace(plan, components=kept, manifests=shown, node=False, notes=(*plan.notes, note))


def _head(plan: Plan) -> str:
    names = ", ".join(component.name for component in plan.components)
    lines = [
        "#!/bin/sh",
        f"# {names}",
        f"# of the kubedoctor cluster {plan.cluster}, Kubernetes {plan.kubernetes or 'of an unknown version'}.",
        "# Starts them in this order, each when those it needs are ready. Ctrl-C stops them all.",
    ]
    if plan.place_kind == "sandbox":
        lines += [
            "#",
            "# `kubedoctor up` runs them in a sandbox with a network of its own. This script runs them where you are:",
            f"# the ports have to be free; {plan.address}, which the API server advertises, is no address of yours.",
        ]
    lines += [f"# note: {note}" for note in plan.notes]
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def _preconditions(plan: Plan) -> str:
    wanted = dict.fromkeys(["curl", "openssl", *(component.argv[0] for component in plan.components)])
    return f"need {words(wanted)}\n"


def _directories(plan: Plan, config: ClusterConfig, kubeconfigs: Sequence[Kubeconfig]) -> str:
    found = [config.pki("x"), *(config.kubeconfig(k.name) for k in kubeconfigs), *_people_files(plan, kubeconfigs)]
    for component in plan.components:
        found += [component.log, *(file.path for file in component.files)]
    folders = [str(PurePosixPath(path).parent) for path in found]
    folders += [folder for component in plan.components for folder in component.directories]
    return f"mkdir -p {words(dict.fromkeys(folders))}\n"


def _pki(config: ClusterConfig, certificates: Iterable[Certificate]) -> str:
    key = "rsa:2048" if config.key_type == "rsa" else "ec -pkeyopt ec_paramgen_curve:P-256"
    lines = [f"PKI={quoted(config.pki('x')[:-2])}", f"NEW_KEY={quoted(key)}"]
    for authority in Authority:
        name = authority.value
        if own := config.authority.get(name.removesuffix("-ca")):
            lines.append(f"authority_of {name} {words(own.split(',', 1))}")
        elif config.single_authority and authority is Authority.CLIENT:
            lines.append(f'authority_of {name} "$PKI/{Authority.SERVER.value}.crt" "$PKI/{Authority.SERVER.value}.key"')
        else:
            lines.append(f"authority {name} {quoted(f'/CN={config.name}-{name}')} {_AUTHORITY_DAYS}")
    for wanted in certificates:
        subject = "".join(f"/O={part}" for part in wanted.organizations) + f"/CN={wanted.common_name}"
        usage = ",".join(name for name, used in (("serverAuth", wanted.server), ("clientAuth", wanted.client)) if used)
        sans = ",".join(f"IP:{name}" if _is_address(name) else f"DNS:{name}" for name in wanted.sans)
        lines.append(f"leaf {words([wanted.name, wanted.authority.value, subject, usage, sans, str(_LEAF_DAYS)])}")
    if not config.service_account_key:
        lines.append("service_account")
    return "\n".join(lines) + "\n"


def _kubeconfig(plan: Plan, config: ClusterConfig, entry: Kubeconfig) -> str:
    if plan.api is None:
        return ""
    name = f"{config.name}-{entry.name}"
    host = f"[{plan.api.address}]" if ":" in plan.api.address else plan.api.address
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": config.name,
                "cluster": {
                    "server": f"https://{host}:{plan.api.port}",
                    "certificate-authority": config.pki("server-ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate": config.pki(f"{entry.certificate}.crt"),
                    "client-key": config.pki(f"{entry.certificate}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": config.name, "user": name}}],
    }
    path = config.kubeconfig(entry.name) if entry.inside else _shell_kubeconfig(plan, entry)
    return _file(path, json.dumps(document, indent=2) + "\n", 0o600)


def _shell_kubeconfig(plan: Plan, entry: Kubeconfig) -> str:
    """Return where the script puts a person's kubeconfig: the one `up` makes leads to the port `up` published."""
    return str(PurePosixPath(plan.directory) / "config" / f"{entry.name}.script.kubeconfig")


def _people_files(plan: Plan, kubeconfigs: Sequence[Kubeconfig]) -> list[str]:
    return [_shell_kubeconfig(plan, entry) for entry in kubeconfigs if not entry.inside]


def _component(component: PlannedComponent) -> str:
    files = "".join(_file(file.path, file.content, file.mode) for file in component.files)
    environment = [f"{name}={value}" for name, value in component.env.items()]
    command = ["env", "-i", *environment, *component.argv]
    signal = component.stop_signal.removeprefix("SIG")
    tenths = max(1, round(component.stop_timeout * 10))
    lines = [
        f"start {words([component.name, signal, str(tenths), component.log])} \\",
        *(f"    {quoted(word)} \\" for word in command[:-1]),
        f"    {quoted(command[-1])}",
        *(f"ready {component.name} {_probe(probe)}" for probe in component.ready),
    ]
    return files + "\n".join(lines) + "\n"


def _probe(probe: PlannedProbe) -> str:
    host = f"[{probe.address}]" if ":" in probe.address else probe.address
    match probe.kind:
        case "process":
            return "true"
        case "tcp":
            return f"listens {words([f'{host}:{probe.port}'])}"
    options: list[str] = []
    if probe.kind == "https":
        options += ["--cacert", probe.ca_file] if probe.ca_file else ["--insecure"]
    if probe.cert_file:
        options += ["--cert", probe.cert_file, "--key", probe.key_file]
    return f"answers {words([probe.contains, *options, f'{probe.kind}://{host}:{probe.port}{probe.path}'])}"


def _manifests(plan: Plan) -> str:
    if plan.api is None or not plan.manifests:
        return ""
    api = plan.api
    host = f"[{api.address}]" if ":" in api.address else api.address
    options = ["--cacert", api.ca_file, "--cert", api.cert_file, "--key", api.key_file]
    base = f"https://{host}:{api.port}"
    lines: list[str] = []
    for manifest in plan.manifests:
        for path, item in zip(manifest.paths, manifest.objects, strict=True):
            body = json.dumps(item)
            url = f"{base}{path}?fieldManager=kubedoctor&force=true"
            lines.append(f"ready {words([f'manifest {manifest.name}'])} apply {words([body, *options, url])}")
    lines += [
        f"ready {words([f'manifest {manifest.name}'])} answers '' {words([*options, f'{base}{path}'])}"
        for manifest in plan.manifests
        for path in manifest.wait
    ]
    return "\n".join(lines) + "\n"


def _tail(kubeconfig: str) -> str:
    return f"printf 'ready\\n\\n  export KUBECONFIG=%s\\n\\n' {quoted(quoted(kubeconfig))}\nwatch\n"


def _file(path: str, content: str, mode: int) -> str:
    """Return the lines that write a file; the end mark is one that the content does not have."""
    mark = "END"
    while mark in content.splitlines():
        mark += "_"
    body = content if content.endswith("\n") else content + "\n"
    lines = f"cat >{quoted(path)} <<'{mark}'\n{body}{mark}\n"
    return lines if mode == 0o600 else f"{lines}chmod {mode:04o} {quoted(path)}\n"


def quoted(word: str) -> str:
    """Return *word* as a shell reads it literally."""
    return shlex.quote(word)


def words(items: Iterable[str] | Mapping[str, object]) -> str:
    """Return *items* as words of a command line."""
    return " ".join(shlex.quote(item) for item in items)


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()
