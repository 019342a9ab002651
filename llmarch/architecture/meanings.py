"""The meaning of every fact and JSON key, read from the docstrings in the source.

A field's meaning is the string under it. The compiler drops these strings, so they cost a start
nothing; here they are parsed from the source files, which takes some 20 ms for all of them and
happens only when somebody asks (`show --explain`, `schema`, docs/glossary.md). pydantic could read
them too (`use_attribute_docstrings`), but only while it builds a validator: `check` would take
0.2 s longer, measured.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import cleandoc
from pkgutil import get_data

from .frozen import Frozen, frozen

MODULES = (
    "primitives",
    "quantization",
    "mixers",
    "feed_forward",
    "encoders",
    "schema",
    "json_show",
    "json_compare",
    "json_memory",
)
"""Modules of this room whose classes have documented fields."""
CONTAINERS = ("dict", "tuple", "list")


@frozen
class FieldMeaning(Frozen):
    """One field of a class."""

    text: str
    """The docstring under the field; empty without one."""
    classes: tuple[str, ...]
    """Names of the documented classes that the field's type mentions."""
    is_container: bool
    """Whether the next part of a path is a name or a number within the value."""


@frozen
class ClassMeaning(Frozen):
    """One documented class."""

    text: str
    """The class docstring."""
    fields: dict[str, FieldMeaning]
    """Fields in the order of the source."""


@cache
def class_meanings() -> dict[str, ClassMeaning]:
    """Return every documented class by name; empty if the package is installed without source."""
    trees = [ast.parse(source) for source in map(read_source, MODULES) if source]
    statements = [statement for tree in trees for statement in tree.body]
    classes = {s.name: s for s in statements if isinstance(s, ast.ClassDef)}
    aliases = dict(find_unions(statements))
    return {name: read_class(node, classes, aliases) for name, node in classes.items()}


def read_source(module: str) -> bytes | None:
    """Return the source of a module of this room, from a folder or a zip; None if it has none."""
    try:
        return get_data("llmarch.architecture", f"{module}.py")
    except OSError:
        return None


def find_unions(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names that stand for several classes, such as `Mixer`, with these classes."""
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Subscript):
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, names_in(statement.value.slice)


def read_class(
    node: ast.ClassDef, classes: Iterable[str], aliases: dict[str, list[str]]
) -> ClassMeaning:
    """Return the docstrings of a class and of its fields."""
    fields: dict[str, FieldMeaning] = {}
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        names = names_in(statement.annotation)
        expanded = [member for name in names for member in aliases.get(name, [name])]
        fields[statement.target.id] = FieldMeaning(
            text=docstring(following),
            classes=tuple(name for name in expanded if name in classes),
            is_container=any(name in CONTAINERS for name in names),
        )
    return ClassMeaning(unwrap(ast.get_docstring(node) or ""), fields)


def docstring(statement: ast.stmt | None) -> str:
    """Return the text of a statement that is a plain string, else an empty text."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return ""
    value = statement.value.value
    return unwrap(cleandoc(value)) if isinstance(value, str) else ""


def unwrap(text: str) -> str:
    """Join the lines of each paragraph and list item."""
    out: list[str] = []
    for line in text.split("\n"):
        starts_anew = not line or line.startswith("- ") or not out or not out[-1]
        if starts_anew:
            out.append(line)
        else:
            out[-1] += " " + line.strip()
    return "\n".join(out)


def names_in(annotation: ast.expr) -> list[str]:
    """Return the names in a type annotation, in order."""
    return [node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)]


class PathMeanings:
    """Meanings by dotted path, for one architecture.

    known: all paths of facts that the architecture has. The fields of a block tell its class, so
    this works for models that were read from tensors alone, too.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = dict.fromkeys(known)
        self.fields_below: dict[str, set[str]] = {}
        for path in self.known:
            parts = path.split(".")
            for i in range(1, len(parts)):
                self.fields_below.setdefault(".".join(parts[:i]), set()).add(parts[i])

    def blocks(self) -> list[str]:
        """Return the paths of all blocks, such as `mixers.full` and `mixers.full.rope`."""
        return list(self.fields_below)

    def meaning(self, path: str) -> str:
        """Return the meaning of a path, empty if it has none.

        A fact (`mixers.full.heads`) has the meaning of its field, a block (`mixers.full`) that of
        its class.
        """
        owner, field = self.locate(path)
        if not owner:
            return ""
        classes = class_meanings()
        if not field:
            return classes[owner].text
        found = classes[owner].fields[field]
        is_block = path not in self.known and not found.is_container
        block = self.block_class(path, found) if is_block else ""
        return classes[block].text if block else found.text

    def locate(self, path: str) -> tuple[str, str]:
        """Return the class and field that a path leads to.

        The field is empty where the path ends at a block within a dict or tuple; the class is empty
        where the schema has no such path.
        """
        classes = class_meanings()
        owner, field = "Architecture", ""
        parts = path.split(".")
        for i, part in enumerate(parts):
            if field:
                container = classes[owner].fields[field]
                end = i + 1 if container.is_container else i
                owner = self.block_class(".".join(parts[:end]), container)
                field = ""
                if container.is_container:
                    continue
            if owner not in classes or part not in classes[owner].fields:
                return "", ""
            field = part
        return owner, field

    def block_class(self, path: str, field: FieldMeaning) -> str:
        """Return the class of the block at a path: the one that has most of the block's fields."""
        needed = self.fields_below.get(path, set())
        classes = class_meanings()
        return max(
            field.classes, key=lambda name: len(needed & classes[name].fields.keys()), default=""
        )
