"""What transformers' configuration classes give for a key that config.json omits -> tests/fixtures/class_defaults.json.

    ORACLE/bin/python tests/oracle/class_defaults.py [OUT.json]

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0, as for make_fixtures.py; never a dependency of
llmarch. Run it by hand when the pinned version changes. The entries are explained in _about.
"""
import ast, dataclasses, inspect, json, os, pathlib, sys, textwrap

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
TYPES = """gpt2 llama llama4 llama4_text llama4_vision_model deepseek_v2 deepseek_v3 deepseek_v32 olmo2 olmo3 gemma gemma2 gemma3
gemma3_text siglip_vision_model mistral ministral mixtral mistral3 ministral3 mistral4 pixtral qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next
smollm3 kimi_linear minimax minimax_m2 gpt_oss glm4_moe qwen3_5 qwen3_5_text qwen3_5_vision qwen3_5_moe qwen3_5_moe_text
qwen3_5_moe_vision qwen3_vl qwen3_vl_text qwen3_vl_vision qwen3_vl_moe qwen3_vl_moe_text qwen3_vl_moe_vision gemma4 gemma4_text
gemma4_vision gemma4_audio gemma3n gemma3n_text gemma3n_audio gemma3n_vision nemotron_h phi3 olmoe seed_oss granite granitemoe
granitemoehybrid lfm2 hunyuan_v1_moe glm_moe_dsa minimax_m3_vl minimax_m3_vl_text minimax_m3_vl_vision kimi_k25 kimi_k25_vision
mimo_v2_flash hy_v3 afmoe laguna step3p7 step3p5 step3p5_vision deepseek_v4 longcat_flash""".split()
ABOUT = {
    "version": f"transformers {transformers.__version__}", "by": "tests/oracle/class_defaults.py",
    "class, file": "configuration class and its file inside the transformers package",
    "defaults": "declared defaults of the class's own fields (key omitted from config.json), before __post_init__; lists over 8 entries cut to 8 and '...'",
    "constructed": "values of Class() where they differ from the declared ones or have no field; a dict with only {'model_type'} stands for that class's own defaults",
    "aliases": "attribute_map: other spelling -> field; config.json may use either",
    "default_theta": "rope base when config.json gives none (the base class says 10000.0)",
    "kwargs": "keys without a field that __post_init__ or convert_rope_params_to_dict reads, with the default as written in the source (null: none written)",
    "getattr": "config keys that the modelling file reads as getattr(config, key, default), with the default as written in the source: what an absent key means where the class has no such field",
    "left out": "token ids, labels, dtype, output_*, use_cache, initializers and what PreTrainedConfig itself declares",
}
NOISE = {f.name for f in dataclasses.fields(PreTrainedConfig)} | set(PreTrainedConfig().to_dict()) | set(
    """use_cache pad_token_id bos_token_id eos_token_id sep_token_id decoder_start_token_id output_attentions initializer_range
    initializer_factor embd_pdrop resid_pdrop attn_pdrop attention_dropout pretraining_tp summary_type summary_use_proj
    summary_activation summary_proj_to_labels summary_first_dropout""".split())
NOISE -= {"tie_word_embeddings"}


def plain(v):
    if isinstance(v, PreTrainedConfig): return {"model_type": v.model_type}
    if isinstance(v, dict) and "model_type" in v: return {"model_type": v["model_type"]}
    if isinstance(v, dict): return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)): return [plain(x) for x in v[:8]] + (["..."] if len(v) > 8 else [])
    return v if v is None or isinstance(v, (bool, int, float, str)) else None


def declared(field):
    if field.default is not dataclasses.MISSING: return field.default
    if field.default_factory is not dataclasses.MISSING: return field.default_factory()
    return None


def kwargs_read(cls, fields):
    """kwargs.pop("x", d), .get and .setdefault in the class's own construction code."""
    out = {}
    for name in ("__post_init__", "convert_rope_params_to_dict"):
        fn = vars(cls).get(name)
        if fn is None: continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(fn)))):
            if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("pop", "get", "setdefault")
                    and isinstance(node.func.value, ast.Name) and node.func.value.id == "kwargs" and node.args and isinstance(node.args[0], ast.Constant)):
                out[node.args[0].value] = ast.unparse(node.args[1]) if len(node.args) > 1 else None
    return {k: v for k, v in out.items() if k not in fields}


def getattr_read(cls):
    """getattr(config, "x", d) in the modelling file beside the configuration file."""
    path = pathlib.Path(inspect.getsourcefile(cls)); path = path.with_name(path.name.replace("configuration_", "modeling_"))
    out = {}
    if not path.exists(): return out  # the class borrows another model's code
    for node in ast.walk(ast.parse(path.read_text())):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 3
                and ast.unparse(node.args[0]).endswith("config") and isinstance(node.args[1], ast.Constant) and not node.args[1].value.startswith("_")):
            out[node.args[1].value] = ast.unparse(node.args[2])
    return {k: v for k, v in sorted(out.items()) if k not in NOISE}


def entry(model_type):
    cls = CONFIG_MAPPING[model_type]
    fields = {f.name: declared(f) for f in dataclasses.fields(cls)}
    made = cls().to_dict()
    row = {"class": cls.__name__, "file": inspect.getsourcefile(cls).split("/transformers/")[-1],
           "defaults": {k: plain(v) for k, v in fields.items() if k not in NOISE}}
    changed = {k: plain(v) for k, v in made.items() if k not in NOISE and not (k in fields and plain(fields[k]) == plain(v))}
    if "tie_word_embeddings" not in fields and hasattr(cls(), "tie_word_embeddings"): changed["tie_word_embeddings"] = cls().tie_word_embeddings
    for key, value in (("constructed", changed), ("aliases", dict(cls.attribute_map)), ("kwargs", kwargs_read(cls, fields)),
                       ("getattr", getattr_read(cls))):
        if value: row[key] = value
    row["default_theta"] = cls.default_theta
    return row


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "class_defaults.json"
    rows = [f'"_about": {json.dumps(ABOUT, indent=1)}'] + [f'"{t}": {json.dumps(entry(t))}' for t in TYPES]
    out.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{out}: {len(TYPES)} model types, {out.stat().st_size:,} bytes")
