"""Rules of the house that ruff does not know: how code and prose read, and that nothing cited is
absent.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT

PACKAGE = ROOT / "llmarch"
FILES = sorted(PACKAGE.rglob("*.py"))
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

PLUGS = {
    "FAMILY": "config/families/",  # a family file has `read` and `FAMILY`
    "read": "config/families/",
    "open": "sources/",  # a kind of source opens a reference
    "unpack": "checkpoint/packing/",  # a packing has these three
    "accept": "checkpoint/packing/",
    "FACTS": "architecture/catalogue/",  # a group of the catalogue
    "SECTION": "architecture/catalogue/",
    "TERMS": "views/terms/",  # a group of the glossary
    "FORMATS": "checkpoint/packing/",
    "METHODS": "checkpoint/packing/",
    "report": "renderers/",  # a format of reports has `report`, others what they render
    "sheet": "renderers/",
    "comparison": "renderers/",
    "memory": "renderers/",
    "table": "renderers/",
    "listing": "renderers/",
    "rules": "renderers/",
}
"""Names that several files of one folder share because they are its interface."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def hard_to_read(path: Path) -> Iterator[str]:
    """Yield each construct that makes a reader stop."""
    for node in ast.walk(tree(path)):
        inner = [n for n in ast.walk(node) if n is not node]
        if isinstance(node, ast.IfExp) and any(isinstance(n, ast.IfExp) for n in inner):
            yield f"{place(path, node)}: a conditional expression within another"
        if isinstance(node, COMPREHENSIONS) and any(isinstance(n, ast.NamedExpr) for n in inner):
            yield f"{place(path, node)}: an assignment within a comprehension"
        if isinstance(node, (ast.For, ast.comprehension)) and isinstance(node.iter, ast.IfExp):
            yield f"{place(path, node.iter)}: a conditional as what a loop goes over"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_construct_makes_a_reader_stop(path: Path) -> None:
    assert list(hard_to_read(path)) == []


def public_names(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines itself."""
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            names = []
        yield from (n for n in names if not n.startswith("_") and len(n) > 1)


def is_plug(name: str, files: list[str]) -> bool:
    """Return whether a name is the interface of the folder that all of `files` are in."""
    return name in PLUGS and all(f.startswith(PLUGS[name]) for f in files)


COMMANDS = {"calibrate", "diff", "draw", "explain", "fit", "memory", "table"}
"""Functions that are called like a command and what it shows."""


def test_no_two_things_have_one_public_name() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        if path.parent != PACKAGE:
            for name in sorted(set(public_names(path)) - COMMANDS):
                defined[name].append(str(path.relative_to(PACKAGE)))
    twice = {n: f for n, f in defined.items() if len(f) > 1 and not is_plug(n, f)}
    assert twice == {}


PREPOSITIONS = frozenset(
    "about above across again along among at behind below beneath beside between beyond by for"
    " from here in into like of onto over through to toward under upon via where while with within"
    " without".split()
)
"""Words that say where a thing is, not what it is."""

JSON_NAMES = {"at", "beside"}
"""Fields of documents, which keep the names that they were published with."""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_variable_is_a_preposition(path: Path) -> None:
    found: list[str] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        else:
            continue
        if name in PREPOSITIONS - JSON_NAMES:
            found.append(f"{place(path, node)} {name}")
    assert found == []


# Words

NOT_PLAIN = re.compile(
    r"(?<!here )\b(?:is|was|are|were) no (?!(?:longer|wider|taller|faster|less|larger|more)\b)"
    r"[a-z`]|\bis of no \w|\bare others\b|\bsays otherwise than\b"
)
"""Forms of which the usual one is `is not a …`, `differs`, `disagrees with`."""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sentences_have_the_usual_form(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if NOT_PLAIN.search(line)] == []
    assert [line for line in lines if len(line) > 100] == []


# Paths that prose names

CITED = re.compile(r"(?<![\w./-])((?:[\w-]+/)*[\w-]+\.(?:py|md)|(?:[\w-]+/)+)(?![\w/-])")
NOT_OURS = re.compile(
    r"transformers|vllm|vLLM|sglang|bitsandbytes|llama\.cpp|huggingface_hub|mistral-inference|TensorRT"
)
"""Prose about another project, whose files may be named without a folder."""
FOLDERS = {"llmarch", "tests", "docs", "scripts", "specs", "examples", "benchmarks", "design"} | {
    p.name for p in PACKAGE.iterdir() if p.is_dir()
}
"""First parts of paths that are ours."""


def prose() -> Iterator[tuple[Path, str]]:
    """Yield each docstring, and each line of a comment or page, with its file."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "specs" / "README.md"]
    for page in pages:
        if page.name not in ("CHANGELOG.md", "mistral_native.md", "ci.md", "architecture.md"):
            for line in page.read_text(encoding="utf-8").splitlines():
                yield page, line
    for path in [*FILES, *(ROOT / "scripts").glob("*.py"), *(ROOT / "tests").glob("**/*.py")]:
        if "oracle" in path.parts or path == Path(__file__):
            continue
        for node in ast.walk(tree(path)):
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if is_text and isinstance(node.value.value, str):
                yield path, node.value.value
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith("#"):
                yield path, line


def is_ours(cited: str, text: str) -> bool:
    """Return whether a path can only be one of this project."""
    first, _, rest = cited.partition("/")
    if rest:
        return first in FOLDERS
    return not NOT_OURS.search(text) and not cited.endswith("/")


def exists(cited: str, path: Path) -> bool:
    """Return whether a cited file or folder is in the checkout, seen from a file."""
    places = (ROOT, PACKAGE, path.parent, ROOT / "tests", ROOT / "docs", *path.parents)
    return any((folder / cited).exists() for folder in places)


def test_every_file_that_prose_names_exists() -> None:
    absent = {
        f"{path.relative_to(ROOT)}: {cited}"
        for path, text in prose()
        for cited in CITED.findall(text)
        if is_ours(cited, text) and not exists(cited, path)
    }
    assert absent == set()
