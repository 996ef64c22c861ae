"""The documentation tells what the code does: pages made from it are fresh, hooks described, links lead somewhere."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from kubedoctor import hookspecs
from kubedoctor.reference import CALLED, DOCUMENTS, heading, hooks, pages
from kubedoctor.testing import LoadPlugin

pytest_plugins = ["kubedoctor.testing"]

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
MARKDOWN = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    fresh = pages()[name]
    assert (REFERENCE / name).is_file(), "run `python -m kubedoctor.reference`"
    assert (REFERENCE / name).read_text() == fresh, "run `python -m kubedoctor.reference`"


def test_no_generated_page_is_left_from_what_is_gone() -> None:
    made = {REFERENCE / name for name in pages()}
    assert not [path for path in (REFERENCE / "schemas").iterdir() if path not in made]


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_has_a_heading_with_its_exact_arguments(hook: str) -> None:
    assert f"\n## {heading(hook)}\n" in (REFERENCE / "hooks.md").read_text()
    assert heading(hook) == f"{hook}({', '.join(inspect.signature(getattr(hookspecs, hook)).parameters)})"
    assert hook in CALLED


def test_the_hooks_in_the_guide_work_as_they_stand(load_plugin: LoadPlugin) -> None:
    guide = (DOCS / "how-to" / "write-a-plugin.md").read_text()
    blocks = [
        block for block in re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL) if "@hookimpl" in block
    ]
    module = ModuleType("guide")
    exec("from kubedoctor import *", vars(module))
    for block in blocks:
        exec(block, vars(module))
    acme = load_plugin(module, name="acme")
    (loaded,) = [plugin for plugin in acme.manager.plugins if plugin.name == "acme"]
    assert len(loaded.hooks) == len(blocks) == 5
    plan = acme.plan()
    assert "acme" in [manifest.name for manifest in plan.manifests]
    assert "--port=8099" in acme.component("acme-greeter").argv
    assert "--event-ttl=2h0m0s" in acme.component("kube-apiserver").argv
    assert acme.manager.binaries("acme-greeter", acme.config())
    assert acme.manager.problems == []


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_a_schema_is_one_document_with_all_its_definitions(kind: type) -> None:
    found = json.loads((REFERENCE / "schemas" / f"{kind.__name__}.json").read_text())
    assert found["title"] == kind.__name__
    references = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(found)))
    assert references == set(found.get("$defs", {}))


# --- links ------------------------------------------------------------------------------------------------------------


def anchor(title: str) -> str:
    """Return the anchor of a heading, as forges make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (fragment and fragment not in anchors(path)):
            broken.append(target)
    assert not broken
