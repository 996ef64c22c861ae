"""What the user can mend, and the exit statuses.

KubedoctorError                 shown as `error: …` and `hint: …`, never as a traceback
├── UsageError                  wrong words, a bad value, a conflicting wish          exit 2
│   └── ConfigError             names the layer (file, environment, flag) of the value
├── PluginError                 a plugin failed where the command needs it            exit 3
├── PlanError                   no plan can be made: cycle, missing binary, skew      exit 1
├── NotRunning                  the command needs a running cluster                   exit 1
├── AlreadyRunning              the place is held by another keeper                   exit 1
└── ComponentFailed             a component did not come up                           exit 1
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of every command."""

    OK = 0
    NOT_WELL = 1  # findings at or above --fail-on, a cluster that did not come up, not ready
    USAGE = 2
    DEFECT = 3  # in kubedoctor or a plugin; a crash file is written
    CANNOT_TELL = 4  # no check could look
    INTERRUPTED = 130


class KubedoctorError(Exception):
    """Something the user can mend. *message* is one line; *hint* is what to do, one command or sentence a line."""

    exit_code: ExitCode = ExitCode.NOT_WELL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KubedoctorError):
    """Wrong words on the command line, or wishes that exclude each other."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A value that cannot be used; the message names the layer it came from."""


class PluginError(KubedoctorError):
    """A plugin failed where the command cannot do without it."""

    exit_code = ExitCode.DEFECT


class PlanError(KubedoctorError):
    """No plan can be made from what was asked for."""


class NotRunning(KubedoctorError):  # noqa: N818 - a state, not a mistake
    """The command needs a running cluster and there is none."""


class AlreadyRunning(KubedoctorError):  # noqa: N818
    """Another keeper holds this place."""


class PreflightFailed(KubedoctorError):  # noqa: N818
    """Checks found what keeps a cluster from starting on this machine."""


class ComponentFailed(KubedoctorError):  # noqa: N818
    """A component, "" if it is the place itself, exited, hung or never became ready."""

    def __init__(self, message: str, *, hint: str = "", component: str = "") -> None:
        super().__init__(message, hint=hint)
        self.component = component
