"""The command line: one command per file, and the only place that prints or exits. Importing this costs nothing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program with the arguments of this process; exits."""
    from kubedoctor.cli.main import run

    sys.exit(run(sys.argv[1:]))
