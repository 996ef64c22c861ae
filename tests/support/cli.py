"""The program called in this process: what it wrote and how it ended."""

from __future__ import annotations

import io
from dataclasses import dataclass

from kubedoctor.cli.app import App
from kubedoctor.cli.console import Console
from kubedoctor.cli.main import run


@dataclass(frozen=True)
class Called:
    """What a call came to."""

    status: int
    out: str
    err: str


def call(*arguments: str) -> Called:
    """Run one command line, without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    status = run(arguments, app=App(Console(stdout=out, stderr=err)))
    return Called(status, out.getvalue(), err.getvalue())
