"""`-o FORMAT[=FILE]`, several times: where a report goes, and in which form."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.records import dataclass

FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Output:
    """A form of the report and the file it goes to; stdout when `file` is empty."""

    form: str
    file: str = ""


def parse(values: Sequence[str]) -> list[Output]:
    """Return what is to be written: text to stdout too, unless something else goes there.

    Raise UsageError for an unknown format, a file that cannot be made, and two forms that go to the same place.
    """
    outputs = [_parse(value) for value in values]
    if not any(output.file == "" for output in outputs):
        outputs.insert(0, Output("text"))
    for number, output in enumerate(outputs):
        if output.file in (other.file for other in outputs[:number]):
            where = output.file or "stdout"
            raise UsageError(f"two forms of the report go to {where}", hint=f"-o {output.form}=FILE")
    return outputs


def _parse(value: str) -> Output:
    form, equals, file = value.partition("=")
    if form not in FORMATS:
        import difflib

        near = difflib.get_close_matches(form, FORMATS, n=1)
        raise UsageError(
            f"there is no format `{form}`",
            hint=f"did you mean `{near[0]}`?" if near else f"one of {', '.join(FORMATS)}",
        )
    if equals and not file:
        raise UsageError(f"-o {form}= names no file", hint=f"-o {form} writes to stdout")
    if file:
        insist_on_place(file, f"-o {value}")
    return Output(form, file)


def insist_on_place(file: str, option: str) -> None:
    """Raise UsageError when *file* cannot be made where it is wanted: better now than after the work is done."""
    path = Path(file)
    if path.is_dir():
        raise UsageError(f"{option}: {file} is a directory", hint="name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{option}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}")


def write(file: str, data: bytes, *, mode: int | None = None) -> None:
    """Write *data* to *file* in one step, with *mode* (default: what the umask says).

    What is no regular file, such as /dev/stderr or a named pipe, is written to. Root acts as whoever owns the
    directory. Raise KubedoctorError when it cannot be written.
    """
    from kubedoctor.cluster.files import write_atomically
    from kubedoctor.cluster.persons_file import acting_as, owner_of

    path = Path(file).absolute()
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with path.open("wb") as stream:
                stream.write(data)
            return
        with acting_as(owner_of(path)):
            write_atomically(Path(os.path.realpath(path)), data, mode=_usual_mode() if mode is None else mode)
    except OSError as problem:
        raise KubedoctorError(f"{file}: cannot be written: {problem.strerror or problem}") from None


def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the format; the file is the shell's."""
    return [CompletionItem(form) for form in FORMATS if form.startswith(incomplete)]


def _usual_mode() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask
