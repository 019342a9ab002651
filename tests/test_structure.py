"""Imports run one way: reference -> source -> raw -> family -> Architecture -> analyses / diff ->
view -> renderer.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llmarch"
IO = ("huggingface_hub", "httpx", "urllib.request", "socket", "ssl", "requests", "subprocess")
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {f"llmarch.{'.'.join(p.relative_to(PACKAGE).with_suffix('').parts)}" for p in FILES}


def imports(path: Path) -> set[str]:
    """Absolute names of what a file imports at run time, ours as `llmarch.x.y`; what only type
    checkers see is left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(n)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for child in node.body
        for n in ast.walk(child)
    }
    package = ["llmarch", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            named = {f"{module}.{a.name}" for a in node.names}
            found |= named if named <= MODULES else {module} | named
    return found


def name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def ours(found: set[str]) -> set[str]:
    return {f.removeprefix("llmarch.") for f in found if f.startswith("llmarch.")}


ROOMS = (
    "errors",
    "views.numbers",  # numbers as people read them: errors and reports need them everywhere
    "architecture",
    "sources.raw",  # raw evidence as data, without the I/O of the other sources
    "tensors",
    "config",
    "analyses",
    "checkpoint",
    "sources",
    "compare",
    "views",
    "scanning",  # rows of many models
    "layout",
    "renderers",
    "api",
    "cli",
)
"""From the bottom: a module may import modules of its own room and of the rooms before it."""
FORBIDDEN = {
    "analyses": {"tensors", "config"},
    "sources": {"tensors", "config", "analyses", "checkpoint"},
    "views": {"sources"},
    "layout": {"sources", "analyses", "checkpoint", "config", "tensors", "compare"},
    "renderers": {"sources"},
}
"""What a room may not import although it comes earlier: a source knows no family, only
sources do I/O, and the count from facts shares no code with the template."""
LOOSE = {"__init__", "__main__", "errors"}


def room_of(module: str) -> str:
    """The room of a module; `sources.raw` and `views.numbers` are rooms of their own."""
    named = ".".join(module.split(".")[:2])
    return named if named in ROOMS else module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    found, here = imports(path), name(path)
    room = room_of(here)
    if room != "renderers":
        assert not any(f.split(".")[0] == "rich" for f in found), "only renderers know rich"
    if room != "sources":
        assert not [f for f in found if f.startswith(IO)], "only sources do I/O"
    if room not in ROOMS:
        return
    rooms = {room_of(f) for f in ours(found)} & set(ROOMS)
    later = {r for r in rooms if ROOMS.index(r) > ROOMS.index(room)}
    assert not later, f"{here} must not import {later}"
    assert not rooms & FORBIDDEN.get(room, set()), f"{here} must not import {rooms}"


KINSHIP = {
    ("phi4_multimodal", "phi3"),
    ("bailing_hybrid", "bailing_moe"),
    ("cohere_compass", "qwen3_vl"),
    ("deepseek_ocr2", "deepseek"),
    ("qwen3_next", "qwen2"),
    ("qwen3_vl", "qwen3"),
    ("qwen_omni", "qwen2_vl"),
    ("qwen_omni", "qwen3"),
    ("qwen_omni", "qwen3_vl"),
    ("qwen3_5", "qwen2"),
    ("qwen3_5", "qwen3_next"),
    ("qwen3_5", "qwen3_vl"),
}
"""Which family file may import another one: the code of the first model is built on the second's.
"""


def test_families_share_the_vocabulary_only() -> None:
    """What families share is in config/blocks and tensors, but for real kin."""
    families = "config.families."
    pairs = {
        (path.stem, module.removeprefix(families).split(".")[0])
        for path in (PACKAGE / "config" / "families").glob("*.py")
        for module in ours(imports(path))
        if module.startswith(families)
    }
    between = {
        (one, other) for one, other in pairs if (PACKAGE / f"config/families/{other}.py").exists()
    }
    assert between == KINSHIP


def test_no_module_stands_loose() -> None:
    assert {p.stem for p in PACKAGE.glob("*.py")} == LOOSE


def dependencies() -> dict[str, set[str]]:
    """Return the modules that each module imports, at module level or inside functions.

    The root package's `__version__` is left out: it is a constant that needs no import.
    """
    paths = {f"llmarch.{name(path)}".removesuffix(".__init__"): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        found = imports(path)
        if "llmarch.__version__" in found:
            found -= {"llmarch", "llmarch.__version__"}
        graph[module] = set()
        for imported in found:
            imported = imported.removesuffix(".__init__")
            while imported and imported not in paths:  # a name in a module
                imported = imported.rpartition(".")[0]
            graph[module] |= {imported} - {"", module}
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle; none if there is no cycle."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in finished:
            return []
        for imported in sorted(graph[module]):
            cycle = visit(imported, [*path, module])
            if cycle:
                return cycle
        finished.add(module)
        return []

    for module in sorted(graph):
        cycle = visit(module, [])
        if cycle:
            return cycle
    return []


def test_no_modules_import_each_other() -> None:
    assert " -> ".join(find_cycle(dependencies())) == ""


def test_cycles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert find_cycle(graph) == ["b", "d", "b"]
    graph = dependencies()
    assert "llmarch.sources.hub.client" in graph["llmarch.sources.hub.common"]  # inside a function
    graph["llmarch.errors"].add("llmarch.cli")
    assert find_cycle(graph)
