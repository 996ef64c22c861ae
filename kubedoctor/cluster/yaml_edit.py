"""Changing a kubeconfig as a person would: some lines of it, the rest untouched to the byte.

PyYAML tells where things stand; the lines are edited as text, for a round trip would lose comments and layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

SECTIONS = ("clusters", "contexts", "users")
CURRENT = "current-context"


class LayoutError(ValueError):
    """The file is laid out in a way that is not edited; the message completes `<file> …`."""


class Document:
    """A kubeconfig as text and as a tree. Edits are collected against the lines as they were read."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines(keepends=True)
        self.newline = "\r\n" if self.lines and self.lines[0].endswith("\r\n") else "\n"
        if self.lines and not self.lines[-1].endswith(("\n", "\r")):
            self.lines[-1] += self.newline
        self._edits: list[tuple[int, int, list[str]]] = []
        self._appended: list[str] = []
        self._top = self._read()

    def _read(self) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        try:
            root = yaml.compose("".join(self.lines), Loader=yaml.SafeLoader)
        except yaml.YAMLError as problem:
            raise LayoutError(f"is not YAML that can be read: {_one_line(problem)}") from None
        except RecursionError:
            raise LayoutError("is nested too deeply") from None
        if root is None or _is_null(root):
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise LayoutError("is not a kubeconfig: its top level is no mapping")
        if root.flow_style:
            raise LayoutError("is written in JSON or flow style, `{…}`")
        _refuse_aliases(root, set())
        top: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in root.value:
            if (
                not isinstance(key, yaml.ScalarNode)
                or key.start_mark.column != 0
                or key.end_mark.line != key.start_mark.line
                or key.value in top
            ):
                raise LayoutError(f"has an unusual layout at line {key.start_mark.line + 1}")
            top[key.value] = (key, value)
        return top

    def put(self, section: str, name: str, item: Sequence[str]) -> None:
        """Put *item*, lines without indent, in the place of the one called *name*, else behind the last one."""
        if section not in self._top:
            self._append([f"{section}:", *item])
            return
        key, value = self._top[section]
        if _is_empty(value):
            line = key.start_mark.line
            self._edit(line, line + 1, [self._without_value(key, value), *item])
            return
        items = self._items(section, value)
        indent = " " * value.start_mark.column
        indented = [indent + line for line in item]
        same = [node for node in items if _name_of(node) == name]
        for extra in same[1:]:
            self._edit(*self._extent(extra), [])
        if same:
            self._edit(*self._extent(same[0]), indented)
        else:
            behind = self._behind(value)
            self._edit(behind, behind, indented)

    def take_out(self, section: str, name: str) -> None:
        """Remove the items called *name*; a section that would be left with nothing becomes `[]`."""
        key, value = self._top.get(section, (None, None))
        if key is None or value is None or _is_empty(value):
            return
        items = self._items(section, value)
        mine = [node for node in items if _name_of(node) == name]
        for node in mine:
            self._edit(*self._extent(node), [])
        if mine and len(mine) == len(items):
            line = key.start_mark.line
            head = self.lines[line].rstrip("\r\n")
            self._edit(line, line + 1, [f"{head[: key.end_mark.column]}: []{head[key.end_mark.column :][1:]}"])

    def choose(self, context: str) -> None:
        """Set the current context; *context* is a finished YAML scalar."""
        if CURRENT not in self._top:
            self._append([f"{CURRENT}: {context}"])
            return
        key, value = self._top[CURRENT]
        line = key.start_mark.line
        if not isinstance(value, yaml.ScalarNode) or value.end_mark.line != line:
            raise LayoutError(f"has an unusual layout at line {line + 1}")
        head, tail = self.lines[line][: value.start_mark.column], self.lines[line][value.end_mark.column :]
        self._edit(line, line + 1, [f"{head.rstrip()} {context}{tail.rstrip()}"])

    def begin(self) -> None:
        """Add what makes an empty file a kubeconfig."""
        if not self._top:
            self._append(["apiVersion: v1", "kind: Config"])

    @property
    def is_bare(self) -> bool:
        """Whether nothing is configured: only what every kubeconfig starts with is there."""
        return all(
            _is_empty(value) or (name == CURRENT and value.value == "") or name in ("apiVersion", "kind")
            for name, (_, value) in self._top.items()
        )

    def text(self) -> str:
        """Return the text with all edits made."""
        lines = list(self.lines)
        end = max((self._behind(value) for _, value in self._top.values()), default=len(lines))
        edits = [(end, end, self._appended), *self._edits]  # first: of two insertions at one line it is the lower one
        for begin, stop, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
            lines[begin:stop] = [line + self.newline for line in new]
        return "".join(lines)

    def _append(self, lines: list[str]) -> None:
        self._appended += lines

    def _edit(self, begin: int, end: int, lines: list[str]) -> None:
        self._edits.append((begin, end, lines))

    def _items(self, section: str, value: yaml.Node) -> list[yaml.Node]:
        if not isinstance(value, yaml.SequenceNode):
            raise LayoutError(f"is not a kubeconfig: `{section}` is no list")
        if value.flow_style:
            raise LayoutError(f"has `{section}` in flow style, `[…]`")
        return list(value.value)

    def _behind(self, section: yaml.Node) -> int:
        """Return the index of the line behind *section* and the comments that are indented into its last item."""
        line, indent = _last_line(section) + 1, section.start_mark.column
        while line < len(self.lines):
            text = self.lines[line].lstrip(" ")
            if not text.startswith("#") or len(self.lines[line]) - len(text) <= indent:
                break
            line += 1
        return line

    def _extent(self, item: yaml.Node) -> tuple[int, int]:
        begin = item.start_mark.line
        if self.lines[begin][: item.start_mark.column].strip() != "-":
            raise LayoutError(f"has an unusual layout at line {begin + 1}")
        return begin, _last_line(item) + 1

    def _without_value(self, key: yaml.Node, value: yaml.Node) -> str:
        line = key.start_mark.line
        if value.start_mark.line != line or value.end_mark.line != line:
            raise LayoutError(f"has an unusual layout at line {line + 1}")
        text = self.lines[line]
        return (text[: value.start_mark.column].rstrip() + text[value.end_mark.column :]).rstrip()


def _last_line(node: yaml.Node) -> int:
    """Return the index of the last line of *node* itself; a block's end mark stands behind comments that follow it."""
    last = node.end_mark
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        behind = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") and last.column == 0
        return int(last.line) - 1 if behind else int(last.line)
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    return max((_last_line(part) for part in parts), default=int(node.start_mark.line))


def _refuse_aliases(node: yaml.Node, seen: set[int]) -> None:
    """Raise LayoutError for a tree that uses a node twice: what an alias stands for is written elsewhere."""
    if id(node) in seen:
        raise LayoutError("uses YAML aliases")
    seen.add(id(node))
    if isinstance(node, yaml.CollectionNode):
        for part in node.value:
            for one in part if isinstance(part, tuple) else (part,):
                _refuse_aliases(one, seen)


def _name_of(item: yaml.Node) -> str | None:
    if isinstance(item, yaml.MappingNode):
        for key, value in item.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode):
                return str(value.value)
    return None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_empty(node: yaml.Node) -> bool:
    return _is_null(node) or (isinstance(node, yaml.CollectionNode) and not node.value)


def _one_line(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    said = getattr(problem, "problem", None) or str(problem).splitlines()[0]
    return f"{said} (line {mark.line + 1})" if mark else str(said)
