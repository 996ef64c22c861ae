"""What the recipes have in common, whatever kind they are."""

from __future__ import annotations

from kubedoctor.cluster.binaries.versions import Version, suits
from kubedoctor.components import Download, Recipe, Source, SourceBuild
from kubedoctor.errors import PluginError


def source_of(recipe: Recipe) -> Source:
    """Return where a binary comes from that *recipe* brings."""
    return Source.DOWNLOAD if isinstance(recipe, Download) else Source.BUILD


def folder_of(recipe: Recipe) -> str:
    """Return what the binary of *recipe* lies in with those it belongs to, empty for one by itself."""
    return "" if isinstance(recipe, SourceBuild) else recipe.folder


def brings(recipe: Recipe, version: str) -> bool:
    """Return whether *version* can be had by *recipe*."""
    return recipe.version == version or any_version(recipe)


def any_version(recipe: Recipe) -> bool:
    """Return whether *recipe* brings other versions than its own too."""
    return not isinstance(recipe, SourceBuild) and recipe.any_version


def serves(recipe: Recipe, name: str, release: Version | None) -> bool:
    """Return whether *recipe* brings the binary *name* for the Kubernetes *release*; raise PluginError if it is odd."""
    if isinstance(recipe, SourceBuild):
        return True
    try:
        return suits(release, recipe.suits) and (isinstance(recipe, Download) or name in recipe.packages)
    except ValueError as problem:
        raise PluginError(f"a recipe for {name}: {problem}") from None
