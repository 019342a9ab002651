"""What single keys of a config change in transformers -> tests/fixtures/switches.json.gz

    ORACLE/bin/python tests/oracle/switches.py LOADING.json.gz [OUT.json.gz] [--only REGEX]

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. LOADING is the fixture
of tests/oracle/loading.py, whose small configs are the bases.

Of each base every key of the text part that is a number, a word or a flag gets another value, one
at a time. The model of the base and that of the changed config are built with the same seed; where
their tensors have the same names and shapes, the one gets the weights of the other, and both
compute the logits of a random sequence that is longer than windows and chunks.

The fixture is {"_about": ..., "models": {base: {"config", "keys": {key: [value, effect]}}}}.
`effect`: "none" (same logits), "logits", "shapes" (other tensors), or "refused" (no such model).
"""

import copy
import gzip
import json
import os
import pathlib
import re
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from shrink import text_of
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
CLASS = {"kimi_k2": "deepseek_v3", "minimax_m1": "minimax"}
SKIPPED = {"model_type", "transformers_version", "dtype", "return_dict", "num_labels"}
WORDS = {
    "silu": "gelu",
    "gelu": "silu",
    "gelu_pytorch_tanh": "silu",
    "gelu_new": "silu",
    "relu2": "silu",
    "swigluoai": "gelu",
}
LENGTH = 48


def another(value):
    """Return another value of the same kind, or None."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 2 if value else 1
    if isinstance(value, float):
        return value * 1.5 if value else 0.5
    return WORDS.get(value) if isinstance(value, str) else None


def changes(config):
    """Yield each key of the text part, the key of a flag of the wrapper, and another value."""
    for key, value in text_of(config).items():
        if key not in SKIPPED and not key.startswith("_"):
            new = another(value)
            if new is not None:
                yield key, new


def built(config):
    raw = copy.deepcopy(config)
    raw.pop("time_step_limit", None)  # an infinity that JSON does not bring back
    kind = raw["model_type"] = CLASS.get(raw["model_type"], raw["model_type"])
    made = CONFIG_MAPPING[kind](**raw)
    autos = [AutoModelForCausalLM, AutoModelForImageTextToText]
    if getattr(made, "vision_config", None) is not None:
        autos.reverse()
    torch.manual_seed(0)
    try:
        return autos[0].from_config(made, dtype=torch.float32).eval()
    except ValueError:
        return autos[1].from_config(made, dtype=torch.float32).eval()


def shapes(model):
    return {name: tuple(p.shape) for name, p in model.state_dict().items()}


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


def tied(model):
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def effect(base, before, ids, config, key, value):
    changed = copy.deepcopy(config)
    text_of(changed)[key] = value
    try:
        model = built(changed)
        if shapes(model) != shapes(base) or tied(model) != tied(base):
            return "shapes"
        model.load_state_dict(base.state_dict())
        after = logits(model, ids)
    except Exception:
        return "refused"
    close = after.shape == before.shape and torch.allclose(before, after, rtol=1e-4, atol=1e-6)
    return "none" if close else "logits"


def row(config):
    base = built(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # weights of which every factor shows
        for parameter in base.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    size = text_of(config)["vocab_size"]
    ids = torch.randint(3, min(size, 100), (1, LENGTH), generator=generator)
    before = logits(base, ids)
    return {
        key: [value, effect(base, before, ids, config, key, value)]
        for key, value in changes(config)
    }


def main(loading, out, only):
    given = json.loads(gzip.decompress(loading.read_bytes()))["models"]
    models = {}
    for name, model in given.items():
        if not re.search(only, name):
            continue
        try:
            models[name] = {"config": model["config"], "keys": row(model["config"])}
        except Exception as error:
            print("left out", name, type(error).__name__, str(error)[:100], file=sys.stderr)
            continue
        print(name, len(models[name]["keys"]), file=sys.stderr, flush=True)
    about = {"by": "tests/oracle/switches.py", "transformers": transformers.__version__}
    text = json.dumps({"_about": about, "models": models}, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    only = ""
    if "--only" in sys.argv:
        only = sys.argv[sys.argv.index("--only") + 1]
        arguments.remove(only)
    fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "switches.json.gz"
    out = pathlib.Path(arguments[1]) if len(arguments) > 1 else fixture
    main(pathlib.Path(arguments[0]), out, only)
