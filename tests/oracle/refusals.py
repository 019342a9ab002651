"""Which values of a config transformers refuses or cannot run -> tests/fixtures/refusals.json.gz

    ORACLE/bin/python tests/oracle/refusals.py [OUT.json.gz] [--only REGEX]

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. For each model_type among
the bundled specs the published config is made small (shrink.py). Then each of its keys is spoilt, one
at a time: null, absent, zero, negative, fractional, a string, a boolean, one more, ten times as much,
an unknown word, a list of another length; and kinds of RoPE are put in with keys missing or spoilt.
Of a wrapper these are the keys of its text part, which is built alone.

The fixture is {"_about": ..., "models": {spec: {"config", "rows": [[key, value, stage, error]]}}}.
`key` is dotted within the text part; the value "<absent>" means that the key is not there. `stage`
is where transformers raises: "config" (the configuration class), "model" (its construction),
"forward" (a pass over 40 tokens), or "" where it does not.
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
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shrink import CLASS, shrink, text_of

transformers.logging.set_verbosity(transformers.logging.CRITICAL)
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
ABSENT = "<absent>"
# Keys that name tokens, dropout, training or output: they are no part of an architecture.
PASS = re.compile(
    r"(^_|token_id|token_index|dropout|_pdrop|pdrop$|initializer|^output_|use_cache|return_dict|chunk_size_feed"
    r"|id2label|label2id|num_labels|problem_type|transformers_version|architectures|dtype|name_or_path"
    r"|is_encoder_decoder|is_decoder|torchscript|use_bfloat16|gradient|_coef$|jitter|z_loss|model_type"
    r"|auto_map|cache_implementation|quantization|tokenizer|summary_|vision|audio|image|seq_aux|alpha$|ep_size|pretraining_tp)"
)
LENGTH = 40
SCALINGS = {
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    "longrope": {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "original_max_position_embeddings": 16},
    "nonsense": {"factor": 4.0},
}


def spoilt(value, at=""):
    """Yield values that a key may not have, and some that it may."""
    yield ABSENT
    yield None
    if isinstance(value, bool):
        yield from ("yes", 2)
    elif isinstance(value, int):
        yield from (0, -1, value + 1, value + 0.5, float(value), str(value), True)
        if value <= 64 and "layers" not in at:
            yield 10 * value
    elif isinstance(value, float):
        yield from (0, -1.0, int(value), str(value), True)
    elif isinstance(value, str):
        yield from ("nonsense", "", 3)
    elif isinstance(value, list):
        yield from ([], value + value[-1:], value[:-1], "x", 3)
        if value:
            yield ["nonsense", *value[1:]]
            yield [None, *value[1:]]
    elif isinstance(value, dict):
        yield from ({}, "x", [1])


def changes(config):
    """Yield each key of the text part and a value for it."""
    for key, value in config.items():
        if PASS.search(key):
            continue
        for new in spoilt(value, key):
            yield key, new
        if isinstance(value, dict):
            for inner, held in value.items():
                if not PASS.search(inner):
                    for new in spoilt(held, inner):
                        yield f"{key}.{inner}", new
    rope = next((k for k in ("rope_scaling", "rope_parameters") if isinstance(config.get(k), dict)), "rope_scaling")
    if any(isinstance(v, dict) for v in (config.get(rope) or {}).values()):
        return
    beside = {k: v for k, v in (config.get(rope) or {}).items() if k in ("rope_theta", "partial_rotary_factor")}
    if "rope_theta" not in config and not beside:
        return
    for kind, keys in SCALINGS.items():
        whole = {**beside, "rope_type": kind, **keys}
        yield rope, whole
        for inner, held in keys.items():
            for new in spoilt(held, inner):
                yield rope, {k: v for k, v in {**whole, inner: new}.items() if v != ABSENT}


def with_value(config, key, value):
    changed = copy.deepcopy(config)
    at = text_of(changed)
    *parents, last = key.split(".")
    for parent in parents:
        at = at[parent]
    if value == ABSENT:
        at.pop(last)
    else:
        at[last] = value
    return changed


def configured(raw):
    raw = copy.deepcopy(raw)
    kind = raw["model_type"] = CLASS.get(raw["model_type"], raw["model_type"])
    if kind == "minimax":  # M1's names of the class's keys
        for block, short in (("full_attention", "full_attn"), ("linear_attention", "linear_attn"), ("mlp", "mlp")):
            for factor in ("alpha", "beta"):
                if f"layernorm_{block}_{factor}" in raw:
                    raw[f"{short}_{factor}_factor"] = raw.pop(f"layernorm_{block}_{factor}")
    if "attn_type_list" in raw:
        raw["layer_types"] = ["full_attention" if t else "linear_attention" for t in raw["attn_type_list"]]
    return CONFIG_MAPPING[kind](**raw)


def built(config):
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        for part in (config.get_text_config(), config):
            try:
                return auto.from_config(part, dtype=torch.float32).eval()
            except ValueError as error:
                if "nrecognized configuration class" not in str(error):
                    raise
                last = error
    raise last


def outcome(raw):
    """Return where transformers raises, and what."""
    stage = "config"
    try:
        config = configured(raw)
        stage = "model"
        torch.manual_seed(0)
        model = built(config)
        stage = "forward"
        ids = torch.randint(3, 60, (1, LENGTH), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)
            model(input_ids=ids[:, :8])
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return stage, f"{type(error).__name__}: {' '.join(lines)[:160]}"
    return "", ""


def plain(raw):
    """Return a small config without what no architecture needs."""
    config = shrink(raw)
    for part in (config, text_of(config)):
        for key in ("quantization_config", "auto_map"):
            part.pop(key, None)
    return json.loads(json.dumps(config), parse_constant=lambda name: None)


def main(out, only):
    models, seen = {}, set()
    for path in sorted((ROOT / "specs").glob("*.json")):
        spec = json.loads(path.read_text()) if path.name != "index.json" else {}
        raw = spec.get("config") or {}
        key = (raw.get("model_type"), (raw.get("text_config") or {}).get("model_type"))
        if spec.get("config_file") != "config.json" or key in seen or not re.search(only, path.stem):
            continue
        config = plain(raw)
        stage, error = outcome(config)
        if stage:
            print("left out", path.stem, stage, error, file=sys.stderr, flush=True)
            continue
        seen.add(key)
        rows = [[k, v, *outcome(with_value(config, k, v))] for k, v in changes(text_of(config))]
        models[path.stem] = {"config": config, "rows": rows}
        print(path.stem, len(rows), sum(bool(r[2]) for r in rows), file=sys.stderr, flush=True)
    about = {"by": "tests/oracle/refusals.py", "transformers": transformers.__version__}
    text = json.dumps({"_about": about, "models": models}, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


main(
    pathlib.Path(next((a for a in sys.argv[1:] if a.endswith(".gz")), ROOT / "tests/fixtures/refusals.json.gz")),
    sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else "",
)
