"""Which keys of a config the modelling code of transformers reads -> tests/fixtures/read_keys.json

    ORACLE/bin/python tests/oracle/read_keys.py [OUT.json]

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. The model types are those of tests/fixtures/model_types, and
those of the configs nested in them. "keys" has for each what modeling_*.py of its folder takes of anything that is called a config.
"""
import ast
import gzip
import json
import pathlib
import re
import sys

import transformers

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
MODELS = pathlib.Path(transformers.__file__).parent / "models"
DECLARED = re.compile(r'^    model_type(?:: [^=]+)? = "([^"]+)"', re.MULTILINE)


def folders():
    """The folder of each model type."""
    found = {}
    for path in sorted(MODELS.glob("*/configuration_*.py")):
        for name in DECLARED.findall(path.read_text()):
            found.setdefault(name, path.parent)
    return found


def nested_types(config):
    """The model types of a config and of those in it."""
    if isinstance(config.get("model_type"), str):
        yield config["model_type"]
    for value in config.values():
        if isinstance(value, dict):
            yield from nested_types(value)


def is_config(node):
    """Whether an expression is called a config: `config`, `self.config`, `config.vision_config`."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.endswith("config")


def keys_of(path):
    """The keys that a file takes of configs."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and is_config(node.value):
            yield node.attr
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        if is_call and is_config(node.args[0]) and isinstance(node.args[1], ast.Constant):
            yield node.args[1].value


def main():
    types = set()
    for path in sorted((FIXTURES / "model_types").glob("*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        if document["rows"]:
            types |= {document["model_type"], *nested_types(document["rows"][0]["saved"])}
    where = folders()
    keys = {}
    for name in sorted(types & where.keys()):
        read = {key for path in where[name].glob("modeling_*.py") for key in keys_of(path)}
        keys[name] = sorted(key for key in read if not key.startswith("_") and not hasattr(transformers.PreTrainedConfig, key))
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else FIXTURES / "read_keys.json")
    about = {"by": "tests/oracle/read_keys.py", "transformers": transformers.__version__}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(' '.join(found))}" for name, found in keys.items())
    out.write_text(f'{{"about": {json.dumps(about)}, "keys": {{\n{lines}\n}}}}\n')


main()
