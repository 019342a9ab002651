"""Make docs/families.md: which model types are read, how each is checked, and which are not."""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from llmarch.config.families import MODEL_TYPES, find_family
from llmarch.sources.aliases import bundled_models

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "model_types"
sys.path.insert(0, str(ROOT / "tests"))
from helpers.model_types import CODE_NOT_READ, DIFFERENT, REFUSED, WITHOUT_FIXTURE  # noqa: E402

HEAD = """# Model types

<!-- Made by scripts/families_page.py from the families, tests/fixtures/model_types and specs/. -->

A config is read by the family of its `model_type`. Each type is held against transformers 5.23.0:
at the defaults of its class, and with one key changed at a time, total and tensors must be equal
(`tests/config/test_model_types.py`). Of code that makers publish with a model, the published files
take the place of transformers. What is refused or differs is in the last column. A model of
any other type is observed: total and blocks come from the tensor headers.

| model_type | family | modelling code | settings checked | bundled models | refused or different |
| --- | --- | --- | --- | --- | --- |
"""
NOT_READ = """
## Not read

transformers has classes for these types; llmarch observes them from their headers.

"""
OWN_CODE = """
Of models with code of their own these are observed, too:

"""


def page() -> str:
    """Return the text of the page."""
    rows = [row(model_type) for model_type in sorted(MODEL_TYPES)]
    others = [name for name in fixtures() if name not in MODEL_TYPES]
    own_code = [f"- `{name}`: {reason}" for name, reason in CODE_NOT_READ.items()]
    tail = ", ".join(others) + "\n" + OWN_CODE + "\n".join(own_code) + "\n"
    return HEAD + "\n".join(rows) + "\n" + NOT_READ + tail


def fixtures() -> list[str]:
    """Return the model types that transformers was asked about."""
    return sorted(path.name.removesuffix(".json.gz") for path in FIXTURES.glob("*.json.gz"))


def row(model_type: str) -> str:
    """Return the row of a model type."""
    family = find_family(model_type)
    code = family.refs.get(model_type, family.ref).rpartition(" ")[2]
    models = ", ".join(aliases().get(model_type, ()))
    cells = (
        model_type,
        family.title,
        f"`{code}`",
        checked(model_type),
        models,
        remarks(model_type),
    )
    return f"| {' | '.join(cells)} |"


def checked(model_type: str) -> str:
    """Return how many settings are compared, or what the type is held against instead."""
    if model_type in WITHOUT_FIXTURE:
        return WITHOUT_FIXTURE[model_type]
    path = FIXTURES / f"{model_type}.json.gz"
    if not path.exists():
        return "not yet"
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return str(len(document["rows"]))


def remarks(model_type: str) -> str:
    """Return the settings that are refused or read otherwise, with the reasons."""
    words: list[str] = []
    for kind, table in (("refused", REFUSED), ("different", DIFFERENT)):
        for setting, reason in table.get(model_type, {}).items():
            keys = setting.replace("|", ", ") or "every setting"
            words.append(f"{kind}: {keys} ({reason})")
    return "; ".join(words)


def aliases() -> dict[str, list[str]]:
    """Return the bundled models of each model type."""
    found: dict[str, list[str]] = defaultdict(list)
    for alias, model in bundled_models().items():
        found[str(model.get("model_type"))].append(alias)
    return found
