"""`kubedoctor images`: what pods can be made of where there is no registry."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.console import table
from kubedoctor.cli.names import cluster_option
from kubedoctor.cli.running import running
from kubedoctor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubedoctor.cluster.archives import Archive
    from kubedoctor.cluster.image_loading import Images
    from kubedoctor.report.fetch_lines import FetchLines

_MEBIBYTE = 1 << 20
STDIN = "-"


@click.group(help="Show the images of a cluster's node, and load more from archives.")
def images() -> None:
    """Show and load images."""


@images.command("load")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE|DIR…")
@cluster_option
@pass_app
def load(app: App, archives: tuple[str, ...], name: str) -> None:
    """Load images into a running cluster, and print their names.

    From OCI or docker archives, plain or compressed, from all those in a directory, or from stdin (`-`). In the pods,
    say `imagePullPolicy: IfNotPresent` or `Never`.
    """
    from kubedoctor.cluster.archives import archives_of
    from kubedoctor.cluster.image_loading import images_of
    from kubedoctor.report.fetch_lines import FetchLines

    if archives.count(STDIN) > 1:
        raise UsageError("stdin can be read once")
    cluster, status = running(name)
    files = archives_of(archives)
    with (
        _opened(files, cluster.directory) as found,
        images_of(cluster, status) as store,
        FetchLines(app.console.stderr, app.console.is_live) as lines,
    ):
        for label, file, archive in found:
            if any(not image.name for image in archive.images or ()):
                app.console.warn(f"{label} holds an image without a name: pods cannot ask for it")
            for image in _load(store, label, file, archive, None if app.console.quiet else lines):
                app.console.data(image)


@images.command("list")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="form of the list")
@cluster_option
@pass_app
def list_images(app: App, output: str, name: str) -> None:
    """List the images a running cluster has, and which of them kubedoctor made of binaries."""
    from kubedoctor.cluster.image_loading import images_of

    cluster, status = running(name)
    with images_of(cluster, status) as store:
        found = store.all()
    if output == "json":
        app.console.json({"schema_version": 1, "kind": "Images", "images": found})
        return
    rows = [
        (
            image.name,
            "unknown" if image.size_bytes is None else f"{image.size_bytes / _MEBIBYTE:.1f} MiB",
            image.digest[:19],
            f"made of the binary {image.made_of}" if image.made_of else "",
        )
        for image in found
    ]
    app.console.data(table(rows, ("name", "size", "digest", ""), align="lrl"))


@contextmanager
def _opened(names: Sequence[str], directory: Path) -> Iterator[list[tuple[str, IO[bytes], Archive]]]:
    """Give every archive, opened and looked into: nothing is loaded when one of them is not right."""
    from contextlib import ExitStack

    from kubedoctor.cluster.archives import inspect, opened

    with ExitStack() as stack:
        found = []
        for name in names:
            if name == STDIN:
                file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(dir=directory))
                shutil.copyfileobj(sys.stdin.buffer, file)
                file.flush()
            else:
                file = stack.enter_context(opened(name))
            label = "stdin" if name == STDIN else name
            found.append((label, file, inspect(file, label)))
        yield found


def _load(store: Images, label: str, file: IO[bytes], archive: Archive, lines: FetchLines | None) -> Sequence[str]:
    total = file.seek(0, 2)
    file.seek(0)
    short = Path(label).name

    def watch(done: int) -> None:
        if lines is not None:
            text = f"{done / _MEBIBYTE:.0f} of {total / _MEBIBYTE:.0f} MiB" if done < total else "unpacking"
            lines(short, text)

    names = store.load(file, archive, label, watch)
    if lines is not None:
        lines(short, "loaded" if len(names) == 1 else f"{len(names)} images loaded", 1, 1)
    return names
