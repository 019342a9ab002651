"""The types of values that transformers' configuration classes take -> llmarch/config/field_types.py

    ORACLE/bin/python tests/oracle/config_fields.py REFUSALS.json.gz MODEL_TYPE...

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. REFUSALS is the fixture of
tests/oracle/refusals.py. For each model_type: the fields that its class declares (and the names that
stand for them) with the JSON types that each takes, as letters: b boolean, i integer, f number with a
decimal point, s string, l list, d object, n null. The classes refuse other types (`strict`). Where a
model with null, or with a string for a number, raises later (refusals), that is left out, for
undeclared keys too; but not where a published config of the type, or the class default, has null,
which then depends on other keys.
"""

import collections
import dataclasses
import gzip
import json
import os
import pathlib
import sys
import textwrap
import types
import typing
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from shrink import CLASS, text_of
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity(transformers.logging.CRITICAL)
OUT = pathlib.Path(__file__).resolve().parents[2] / "llmarch/config/field_types.py"
LETTERS = {int: "i", float: "f", bool: "b", str: "s", list: "l", tuple: "l", dict: "d", type(None): "n"}
LEFT_OUT = {"dtype", "transformers_version", "per_layer_config", "quantization_config"}


def letters(hint):
    origin = typing.get_origin(hint)
    if hint is typing.Any:
        return "bdfilns"
    if origin in (typing.Union, types.UnionType):
        return "".join(sorted(set("".join(map(letters, typing.get_args(hint))))))
    if origin is typing.Literal:
        return "".join(sorted({LETTERS[type(value)] for value in typing.get_args(hint)}))
    kind = origin or hint
    if kind in LETTERS:
        return LETTERS[kind]
    return "d"


def redeclared(cls):
    """Fields that a class declares itself: those that only PreTrainedConfig has are not checked."""
    found = {"id2label", "label2id"}
    for each in cls.__mro__:
        if each is transformers.PreTrainedConfig:
            return found
        found |= set(vars(each).get("__annotations__", ()))
    return found


def aliases(model_type):
    """{key: key}: of two names of one attribute the one that is set last, and the one it overwrites.

    Fields are set first, then what else the config has.
    """
    cls = CONFIG_MAPPING[CLASS.get(model_type, model_type)]
    fields = {field.name for field in dataclasses.fields(cls)}
    found = {}
    for alias, name in cls.attribute_map.items():
        if (alias in fields) != (name in fields):
            last, first = (name, alias) if alias in fields else (alias, name)
            found[last] = first
    return found


def declared(model_type):
    """{key: letters} of a configuration class."""
    cls = CONFIG_MAPPING[CLASS.get(model_type, model_type)]
    own = redeclared(cls)
    names = {**vars(typing), **vars(sys.modules[cls.__module__]), "torch": torch, "RopeParameters": dict, "PreTrainedConfig": dict}
    found = {}
    for field in dataclasses.fields(cls):
        if field.name not in own:
            continue
        hint = eval(field.type, names) if isinstance(field.type, str) else field.type
        if field.name not in LEFT_OUT and not field.name.startswith("_"):
            found[field.name] = letters(hint)
    if "rope_parameters" in found:
        found["rope_scaling"] = found["rope_parameters"]
    for alias, name in cls.attribute_map.items():
        if name in found:
            found[alias] = found[name]
    return found


def refused(models):
    """{model_type: {(key, letter)}}: nulls, and strings for numbers, that raise in class or model."""
    found = collections.defaultdict(set)
    for model in models.values():
        config = model["config"]
        text = text_of(config)
        model_type = text.get("model_type", config["model_type"])
        for key, value, stage, error in model["rows"]:
            if not stage or "." in key:
                continue
            if value is None or isinstance(value, str) and isinstance(text[key], (int, float)):
                found[model_type].add((key, "n" if value is None else "s"))
            if isinstance(value, float) and isinstance(text[key], int) and value == text[key]:
                found[model_type].add((key, "f"))
    return found


def published_nulls():
    """{(model_type, key)} that are null in bundled specs."""
    found = set()
    for path in OUT.parents[2].glob("specs/*.json"):
        config = json.loads(path.read_text()).get("config") or {}
        for part in (config, config.get("text_config") or {}):
            found |= {(part.get("model_type"), key) for key, value in part.items() if value is None}
    return found


def main(refusals, model_types):
    published = published_nulls()
    raising = refused(json.loads(gzip.decompress(pathlib.Path(refusals).read_bytes()))["models"])
    table = {}
    for model_type in sorted(model_types):
        if CLASS.get(model_type, model_type) not in CONFIG_MAPPING:
            print("left out", model_type, file=sys.stderr)
            continue
        fields = declared(model_type)
        cls = CONFIG_MAPPING[CLASS.get(model_type, model_type)]
        by_default = {field.name for field in dataclasses.fields(cls) if field.default is None}
        for key, letter in raising.get(model_type, ()):
            own = cls.attribute_map.get(key, key)
            if letter != "n" or ((model_type, key) not in published and own not in by_default):
                fields[key] = fields.get(key, "bdfilns").replace(letter, "")
        table[model_type] = fields
    votes = collections.defaultdict(collections.Counter)
    for fields in table.values():
        for key, types_of_key in fields.items():
            votes[key][types_of_key] += 1
    usual = {key: min(count, key=lambda t: (-count[t], t)) for key, count in votes.items()}

    def block(words):
        return '"""\n' + textwrap.fill(" ".join(words), 94, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False) + '\n    """'

    by_letters = collections.defaultdict(list)
    for key, types_of_key in sorted(usual.items()):
        by_letters[types_of_key].append(key)
    lines = ['"""The types of values that transformers\' configuration classes take.', "", "Generated by tests/oracle/config_fields.py: change it instead.", '"""',"", "from __future__ import annotations", ""]
    lines += ["USUAL_TYPES = {"] + [f'    "{t}": {block(keys)},' for t, keys in sorted(by_letters.items())] + ["}", '"""Keys by the types that most classes take for them, as letters of JSON types (fields.py)."""', ""]
    lines += ["FIELDS = {"]
    for model_type, fields in table.items():
        words = [key if usual[key] == t else f"{key}={t}" for key, t in sorted(fields.items())]
        lines.append(f'    "{model_type}": {block(words)},')
    by_aliases = collections.defaultdict(list)
    for model_type in table:
        by_aliases[" ".join(f"{key}={name}" for key, name in sorted(aliases(model_type).items()))].append(model_type)
    lines += ["}", '"""The keys that the class of a model_type declares, with their types where those are not the', 'usual ones."""', ""]
    lines += ["SECOND_NAMES = {"]
    for words, owners in sorted(by_aliases.items(), key=lambda item: item[1]):
        if words:
            lines.append(f'    {block(owners)}: {block(words.split())},')
    lines += ["}", '"""Second names of fields, by the model types whose class has them (`attribute_map`): where a config', 'has both, the class sets the field first and then the second name, whose value stays."""', ""]
    OUT.write_text("\n".join(lines))
    print(len(table), "model types", OUT.stat().st_size, "bytes")


main(sys.argv[1], sys.argv[2:])
