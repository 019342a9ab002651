"""What transformers makes of each decoder type -> tests/fixtures/model_types/TYPE.json.gz

    ORACLE/bin/python tests/oracle/model_types.py [TYPE...]        (all types of TYPES without a name)

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0; never a dependency of llmarch. A type is built on the meta
device from its class defaults, and with one field changed at a time, for every field of the configuration and of its text and vision
parts that the class can build. To be quick, stacks are cut to DEPTH layers where the field is not the depth itself. `defaults` are the
declared defaults of the class and its parts, as class_defaults.py gives them; `given` is what the class needs beyond them. Each row:

  set      the keys that were given, {dotted key: value}; nothing else stands in config.json but model_type
  saved    the config as transformers writes it, with every default; after the first row only the keys that differ from its
  tensors  number of an entry of `tables`: [[folded name, shape, [[first, last], ...]], ...] as published checkpoints name them, by
           transformers' reverse conversion, with persistent buffers; {} stands for a number, whose spans follow in the order of the name

`facts` are read from the modules of the row `cut`, built on the CPU where it is small enough: scaling and window of each attention module,
epsilon of each norm, and the rotary frequencies. Nothing of llmarch is imported.
"""
import gzip, json, os, pathlib, re, sys, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch, transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as LM, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as VL

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from class_defaults import entry
from tensor_tables import DEPTH, DEPTH_KEYS, candidates, folded

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/fixtures/model_types"
PARTS = ("text_config", "vision_config", "audio_config", "llm_config", "attn_config", "ffn_config", "high_res_vision_config", "perceiver_config", "qformer_config",
         "vision_config.sam_config", "vision_config.encoder_config")
# What a class needs beyond its own defaults, which it cannot build or run; stands in every row.
GIVEN = {
    "deepseek_v2": {"num_experts_per_tok": 6}, "nemotron": {"num_key_value_heads": 8}, "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128, "num_experts": 8, "moe_topk": 2}, "ministral": {"head_dim": 128}, "glm4_moe": {"head_dim": 128},
    "mimo_v2_flash": {}, "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention"] * 10 + ["conv"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 4]], "num_layers": 8}, "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 262144},
    "qwen3_5": {"vision_config.out_hidden_size": 4096}, "qwen3_5_moe": {"vision_config.out_hidden_size": 2048}, "qwen3_vl": {"vision_config.out_hidden_size": 4096},
    "qwen3_vl_moe": {"vision_config.out_hidden_size": 2048}, "dots1": {"n_shared_experts": 2, "n_routed_experts": 128, "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "num_experts_per_tok": 6},
    "qwen2_vl": {"vision_config.hidden_size": 8192}, "qwen2_5_vl": {"vision_config.out_hidden_size": 8192},
    "qwen3_omni_moe_thinker": {"text_config.head_dim": 128, "vision_config.out_hidden_size": 2048, "audio_config.output_dim": 2048},
    "qwen4_exp_text": {"head_dim": 128}, "vipllava": {"vision_config.num_hidden_layers": 12},
    "deepseek_ocr2": {"text_config.num_experts_per_tok": 6, "text_config.num_hidden_layers": 8, "text_config.mlp_layer_types": ["dense"] + ["sparse"] * 7, "vision_config.encoder_config.hidden_size": 896,
                      "vision_config.encoder_config.num_attention_heads": 14, "vision_config.encoder_config.num_key_value_heads": 2},
    "aya_vision": {"vision_config.num_attention_heads": 16},
    "gemma4_unified": {"vision_config.patch_size": 16, "audio_config.audio_embed_dim": 640},
    "mllama": {"text_config.num_hidden_layers": 8, "text_config.cross_attention_layers": [3, 6]},
    "zamba2": {"num_hidden_layers": 12, "layers_block_type": (["linear_attention"] * 2 + ["hybrid"]) * 4, "n_mamba_heads": 80},
    "zamba": {"num_hidden_layers": 9, "layers_block_type": (["linear_attention"] * 2 + ["hybrid"]) * 3},
    "dbrx": {"attn_config.rope_theta": 500000.0},
    "cohere_compass_text": {"num_hidden_layers": 8, "layer_types": ["sliding_attention", "full_attention"] * 4, "rope_parameters.full_attention": None,
                            "rope_parameters.sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}, "logit_scale": 0.25},
    "cohere_compass": {"text_config.num_hidden_layers": 8, "text_config.layer_types": ["sliding_attention", "full_attention"] * 4,
                       "text_config.rope_parameters.full_attention": None, "vision_config.out_hidden_size": 8192,
                       "text_config.rope_parameters.sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
}
# Where the reverse conversion is not what the Hub has: (pattern, replacement), as tests/oracle/make_fixtures.py
PUBLISHED = {"gpt2": [(r"^transformer\.", "")], "bloom": [(r"^transformer\.", "")],
             "kimi_k25": [(r"\.model\.blocks\.", ".model.layers."), (r"\.encoder\.patch_embed\.", ".patch_embed."), (r"^model\.mm_projector\.", "mm_projector.")],
             "olmo_hybrid": [(r"(\.(?:3|7|11|15|19|23|27|31)\.)feedforward_layer_norm", r"\1post_attention_layernorm")],   # full layers have that name
             "minimax": [(r".*\.(diagonal_decay|key_decay|query_decay|slope_rate)$", "")]}   # buffers that no file holds


def config_of(t, given):
    """The configuration object, from keys that may be dotted."""
    kw = {}
    for key, value in {**GIVEN.get(t, {}), **given}.items():
        *parents, last = key.split(".")
        at = kw
        for p in parents: at = at.setdefault(p, {})
        at[last] = value
    return CONFIG_MAPPING[t](**kw)


def build(t, given):
    """(model on the meta device, configuration); raises what the class raises."""
    config = config_of(t, given)
    autos = [AutoModelForCausalLM, AutoModelForImageTextToText]
    if t in VL: autos.reverse()
    with torch.device("meta"):
        try: return autos[0].from_config(config), config
        except ValueError as error:
            if "nrecognized configuration class" not in str(error): raise
            return autos[1].from_config(config), config


def tensors(model):
    """Published names folded, with shapes and the numbers that stand in each place."""
    every = dict(model.named_parameters(remove_duplicate=False))
    own = dict(model.named_parameters()) | {n: x for n, x in model.state_dict().items() if n not in every}
    published = {}
    for name, x in revert_weight_conversion(model, own).items():
        for pattern, to in PUBLISHED.get(model.config.model_type, ()): name = re.sub(pattern, to, name)
        if name: published[name] = x
    return folded(published)


def parts_of(t):
    """{prefix: default values} of the configuration and its parts."""
    config = config_of(t, {})
    out = {"": config.to_dict()}
    for part in PARTS:
        sub = part_of(config, part)
        if sub is not None and hasattr(sub, "to_dict"): out[part + "."] = sub.to_dict()
    return out


def part_of(config, path):
    """The part of a configuration at a dotted path, None if there is none."""
    for name in path.split("."): config = getattr(config, name, None)
    return config


def cut(parts):
    """Keys that cut the stacks to DEPTH layers."""
    given = {}
    for prefix, values in parts.items():
        for key in DEPTH_KEYS:
            if isinstance(values.get(key), int) and values[key] > DEPTH: given[prefix + key] = DEPTH if "vision_config." not in prefix else 3
    return given


def facts(model):
    """What modules say: scaling and windows of attention by layer, epsilon of norms, rotary frequencies."""
    out = {"attention": [], "eps": {}, "rope": {}}
    for name, m in model.named_modules():
        kind = type(m).__name__
        if kind.endswith("Attention") and re.search(r"\.\d+\.", name + "."):
            row = {k: getattr(m, k) for k in ("scaling", "sliding_window", "softcap", "attn_logit_softcapping") if isinstance(getattr(m, k, None), (int, float))}
            out["attention"].append([name, kind, row])
        eps = next((getattr(m, k) for k in ("variance_epsilon", "eps", "epsilon") if isinstance(getattr(m, k, None), float)), None)
        if eps is not None and "orm" in kind: out["eps"].setdefault(f"{kind} {eps:g}", []).append(re.sub(r"\.\d+", ".{}", name))
    out["eps"] = {k: sorted(set(v)) for k, v in out["eps"].items()}
    for name, m in list(model.named_modules()):
        if "Rotary" not in type(m).__name__ or not hasattr(m, "config"): continue
        try: real = type(m)(config=m.config)
        except Exception: continue
        for b, x in real.named_buffers():
            if b.endswith("inv_freq") and "original" not in b:
                out["rope"][f"{name}.{b}"] = {"inv_freq": [float(f"{v:.7g}") for v in x.flatten().tolist()[:256]], "attention_scaling": getattr(real, b.replace("inv_freq", "attention_scaling"), getattr(real, "attention_scaling", 1.0))}
    return out


def rows_of(t):
    parts, tables, rows = parts_of(t), [], []

    def add(given):
        model, config = build(t, given)
        table = tensors(model)
        if table not in tables: tables.append(table)
        saved = json.loads(config.to_json_string(use_diff=False))
        saved.pop("transformers_version", None)
        if rows: saved = {k: v for k, v in saved.items() if k not in rows[0]["saved"] or rows[0]["saved"][k] != v}
        rows.append({"set": given, "tensors": tables.index(table), "saved": saved})
        return model

    model = add({})
    base = {k: v for k, v in cut(parts).items() if k not in GIVEN.get(t, {}) and "layer_types" not in GIVEN.get(t, {})}
    if base: model = add(base)
    seen = facts(model)
    refused = {}
    for prefix, values in parts.items():
        for key, value in values.items():
            if prefix + key in PARTS or prefix + key in base and key in DEPTH_KEYS: continue
            for new in candidates(key, value)[:3]:
                try: add({**base, prefix + key: new})
                except Exception as error: refused[f"{prefix}{key}={new}"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:100] if str(error).strip() else ''}"; continue
                if not (isinstance(value, int) and rows[-1]["tensors"] == 0): break
    for key in base: add({**base, key: base[key] - 1})
    return {"about": {"by": "tests/oracle/model_types.py", "transformers": transformers.__version__, "class": type(model).__name__, "modeling": type(model).__module__.rpartition(".")[2]},
            "model_type": t, "given": GIVEN.get(t, {}), "defaults": defaults(t), "rows": rows, "refused": refused, "facts": seen, "tables": tables}


def defaults(t):
    """What class_defaults.py says of the configuration class and of those of its parts."""
    config = config_of(t, {})
    parts = [part_of(config, part) for part in PARTS]
    return [entry(x.model_type) for x in (config, *parts) if getattr(x, "model_type", None) in CONFIG_MAPPING]


def main():
    OUT.mkdir(exist_ok=True)
    for t in sys.argv[1:] or sorted(set(LM) | set(VL)):
        try: fixture = rows_of(t)
        except Exception as error:
            print("left out", t, type(error).__name__, str(error).strip().splitlines()[:1], file=sys.stderr); continue
        text = json.dumps(fixture, separators=(",", ":"), default=str)
        (OUT / f"{t}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(t, len(fixture["rows"]), "rows", len(fixture["tables"]), "tables", len(fixture["refused"]), "refused", file=sys.stderr, flush=True)


if __name__ == "__main__": main()
