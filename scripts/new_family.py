"""Begin a family: a file to fill in, its row, and what is still to be done.

python scripts/new_family.py NAME --from CONFIG.json [--title "Title"]

NAME is the file in llmarch/config/families/. The stub reads a Llama-like decoder; the config's
model_type gets a row in MODEL_TYPES.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAMILIES = ROOT / "llmarch" / "config" / "families"
REGISTRY = FAMILIES / "__init__.py"

STUB = '''"""{plain_title}: what it is, and what differs from its nearest neighbour."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    return blocks.decoder(
        c,
        mixers={{"full": blocks.attention(c)}},
        ffns={{"dense": blocks.dense(c)}},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="{name}",
    title={quoted_title},
    ref=modeling("{model_type}"),
    read=read,
    naming=tensors.Naming(),
    defaults={{
        "{model_type}": {{
            "tie_word_embeddings": False,
        }},
    }},
    config_class={{"{model_type}": "{config_class}"}},
)
'''

NEXT = """\
wrote {file}, and {model_type} in its registry

Next:
1. `llmarch show {config}` says which keys are missing or not read. Read each key, or `c.ignore` it
   with the reason. blocks.attention, dense, moe_* and the others are in llmarch/config/blocks/.
2. `make oracle ARGS="model_types {model_type}"` writes what transformers makes of the type: class
   defaults (put those that published configs omit into `defaults`), and all tensors at the defaults
   and with one key changed at a time. `pytest tests/config -k {model_type}` holds the family
   against them. Without a class in transformers, add the type to WITHOUT_FIXTURE in
   tests/helpers/model_types.py, leave `defaults` and `config_class` empty, and add a checkpoint to
   tests/fixtures/headers/.
3. A spec with the published config (specs/README.md), then `make docs`.
   A norm that is not an RMSNorm, an MLP without a gate, a block with biases: blocks.layer_norm and
   families/gpt2.py show these; with other names of norms give final_norm and the step too.
4. Facts that no count would catch (scales, windows, norms, RoPE) in tests/config/families/.
5. `make fast`, then `make test check`.
"""


class StubError(Exception):
    """Why nothing was written."""


def model_type_of(config: Path) -> str:
    """Return the model_type of a config. Raises StubError."""
    try:
        document = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StubError(f"{config}: {error}") from error
    found = document.get("model_type") if isinstance(document, dict) else None
    if not isinstance(found, str):
        raise StubError(f"{config} has no model_type")
    return found


def registered(source: str, model_type: str, name: str) -> str:
    """Return the registry with a row for `model_type`, rows sorted. Raises StubError."""
    table = re.search(r"(?s)MODEL_TYPES: dict\[str, str\] = \{\n(.*?)\n\}", source)
    assert table is not None
    rows = table[1].splitlines()
    if any(row.strip().startswith(f'"{model_type}":') for row in rows):
        raise StubError(f"{model_type} has a family already")
    rows = sorted([*rows, f'    "{model_type}": "{name}",'])
    return source.replace(table[1], "\n".join(rows))


def begin(name: str, config: Path, title: str) -> str:
    """Write the stub, its rows, and return what to do next. Raises StubError."""
    file = FAMILIES / f"{name}.py"
    if not name.isidentifier() or file.exists():
        raise StubError(f"{name} is not a new module name")
    model_type = model_type_of(config)
    registry = registered(REGISTRY.read_text(encoding="utf-8"), model_type, name)
    config_class = "".join(part.title() for part in model_type.split("_")) + "Config"
    values = {
        "name": name,
        "plain_title": re.sub(r'["\\\\]', "", title),
        "quoted_title": json.dumps(title, ensure_ascii=False),
        "model_type": model_type,
        "config_class": config_class,
    }
    file.write_text(STUB.format(**values), encoding="utf-8")
    REGISTRY.write_text(registry, encoding="utf-8")
    shown = {"file": file.relative_to(ROOT), "config": config}
    return NEXT.format(**values, **shown)


def main() -> int:
    """Read the arguments; return the exit code."""
    parser = argparse.ArgumentParser(description="Begin a family.")
    parser.add_argument("name", help="the module in llmarch/config/families/")
    parser.add_argument("--from", dest="config", type=Path, required=True, metavar="CONFIG.json")
    parser.add_argument("--title", help="as people call it")
    given = parser.parse_args()
    try:
        print(begin(given.name, given.config, given.title or given.name))
    except StubError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
