"""The greeter as a component."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from pathlib import Path

from kubedoctor import (
    Candidate,
    ClusterConfig,
    Component,
    Found,
    Kind,
    KubedoctorError,
    Port,
    Probe,
    ProbeKind,
    Source,
)

NAME = "acme-greeter"
PORT = 8099


def greeter(config: ClusterConfig) -> Component:
    """Return the greeter; `[plugin.acme]` of the configuration file may set its `greeting`."""
    greeting = config.plugin_settings("acme").get("greeting", "hello")
    if not isinstance(greeting, str):
        raise KubedoctorError(f"[plugin.acme]: `greeting` is {greeting!r}, not text", hint='greeting = "hello"')
    return Component(
        name=NAME,
        kind=Kind.EXTRA,
        binary=NAME,
        flags={"port": PORT, "greeting": greeting},
        ports=(Port(name="http", inside=PORT, publish=0),),
        after=("kube-apiserver",),
        ready=(Probe(kind=ProbeKind.HTTP, port="http", contains="ok"),),
    )


def candidates(name: str) -> Iterable[Candidate]:
    """Return the script that pip made from `[project.scripts]`."""
    script = Path(sysconfig.get_path("scripts")) / NAME
    if name == NAME and script.exists():
        yield Found(path=str(script), source=Source.PATH)
