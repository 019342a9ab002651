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
from dataclasses import replace
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
    "adapters",
    "json_show",
    "json_memory",
    "json_brief",
    "json_tables",
    "json_adapter",
    "json_scan",
    "json_compare",
)
"""Modules of this room whose classes have documented fields."""
CONTAINERS = frozenset({"dict", "tuple", "list"})


@frozen
class FieldMeaning(Frozen):
    """One field of a class."""

    text: str
    """The docstring under the field; empty without one."""
    classes: tuple[str, ...]
    """Names of the documented classes that the field's type mentions."""
    containers: int
    """How many parts of a path follow that are names or numbers within the value."""


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
    classes: dict[str, ast.ClassDef] = {}
    unions: dict[str, list[str]] = {}
    for statement in read_statements():
        if isinstance(statement, ast.ClassDef):
            classes[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            unions |= read_union(statement)
    found: dict[str, ClassMeaning] = {}
    for name, node in classes.items():
        found[name] = with_fields_of_bases(read_class(node, classes, unions), node, found)
    return found


def with_fields_of_bases(
    meaning: ClassMeaning, node: ast.ClassDef, before: dict[str, ClassMeaning]
) -> ClassMeaning:
    """Return a class with the fields of its documented bases in front of its own.

    before: the classes that stand before it in the source, as its bases do.
    """
    inherited: dict[str, FieldMeaning] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in before:
            inherited |= before[base.id].fields
    return replace(meaning, fields=inherited | meaning.fields)


def read_statements() -> Iterator[ast.stmt]:
    """Yield the top-level statements of all modules."""
    for module in MODULES:
        source = read_source(module)
        if source is not None:
            yield from ast.parse(source).body


def read_source(module: str) -> bytes | None:
    """Return the source of a module of this room, from a folder or a zip; None if it has none."""
    try:
        return get_data("llmarch.architecture", f"{module}.py")
    except OSError:
        return None


def read_union(statement: ast.Assign) -> dict[str, list[str]]:
    """Return the classes that a name like `Mixer` stands for; nothing for another assignment."""
    target = statement.targets[0]
    value = statement.value
    if not isinstance(target, ast.Name) or not isinstance(value, ast.Subscript):
        return {}
    return {target.id: names_in(value.slice)}


def read_class(
    node: ast.ClassDef, classes: Iterable[str], unions: dict[str, list[str]]
) -> ClassMeaning:
    """Return the docstrings of a class and of its fields.

    classes: names of all documented classes.
    unions: names that stand for several classes, with these.
    """
    fields: dict[str, FieldMeaning] = {}
    field = ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            field = statement.target.id
            fields[field] = read_field(statement.annotation, classes, unions)
        elif field and isinstance(statement, ast.Expr):
            fields[field] = replace(fields[field], text=docstring(statement))
            field = ""
    text = ast.get_docstring(node) or ""
    return ClassMeaning(unwrap(text), fields)


def read_field(
    annotation: ast.expr, classes: Iterable[str], unions: dict[str, list[str]]
) -> FieldMeaning:
    """Return what a type annotation tells about a field, without its text."""
    names = names_in(annotation)
    members: list[str] = []
    for name in names:
        members += unions.get(name, [name])
    return FieldMeaning(
        text="",
        classes=tuple(name for name in members if name in classes),
        containers=len([name for name in names if name in CONTAINERS]),
    )


def docstring(statement: ast.Expr) -> str:
    """Return the text of a statement that is a plain string, else an empty text."""
    constant = statement.value
    if not isinstance(constant, ast.Constant):
        return ""
    text = constant.value
    if not isinstance(text, str):
        return ""
    return unwrap(cleandoc(text))


def unwrap(text: str) -> str:
    """Join the lines of each paragraph and list item."""
    out: list[str] = []
    for line in text.split("\n"):
        follows_text = bool(out and out[-1])
        if line and follows_text and not line.startswith("- "):
            out[-1] += " " + line.strip()
        else:
            out.append(line)
    return "\n".join(out)


def names_in(annotation: ast.expr) -> list[str]:
    """Return the names in a type annotation, in order."""
    names: list[str] = []
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            names.append(node.id)
    return names


class PathMeanings:
    """Meanings by dotted path, for one architecture.

    known: all paths of facts that the architecture has. The fields of a block tell its class, so
    this works for models that were read from tensors alone, too.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = dict.fromkeys(known)
        self.fields_below: dict[str, set[str]] = {}
        for path in self.known:
            parent, _, field = path.rpartition(".")
            while parent:
                self.fields_below.setdefault(parent, set()).add(field)
                parent, _, field = parent.rpartition(".")

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
        is_block = path not in self.known and not found.containers
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
        depth = 0  # names and numbers that lead into the containers of the field
        for i, part in enumerate(parts):
            if field:
                found = classes[owner].fields[field]
                depth = found.containers
                block = ".".join(parts[: i + depth])
                owner, field = self.block_class(block, found), ""
            if depth:
                depth -= 1
                continue
            if owner not in classes or part not in classes[owner].fields:
                return "", ""
            field = part
        return owner, field

    def block_class(self, path: str, field: FieldMeaning) -> str:
        """Return the class of the block at a path: the one that has most of the block's fields."""
        needed = self.fields_below.get(path, set())
        classes = class_meanings()

        def matches(name: str) -> int:
            return len(needed & classes[name].fields.keys())

        return max(field.classes, key=matches, default="")
