"""Small configs of the GQA families in many settings, as transformers saves them, with what its classes make of them.

    ORACLE/bin/python tests/oracle/variants.py [OUT.json.gz]     -> tests/fixtures/variants.json.gz

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0, as for make_fixtures.py; never a dependency of llmarch. Each
entry: `given`, the keys that were set; `saved`, config.json as save_pretrained writes it (every default spelled out, rope_parameters);
`parameters`, tied once; `windows` and `ropes` ([theta, kind]) by layer, from the class's own config after construction.
"""
import gzip, json, os, pathlib, sys, tempfile, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
TEXT = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=9, num_attention_heads=8, num_key_value_heads=2, vocab_size=300,
            max_position_embeddings=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2)
VISION = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=256, rope_theta=777.0)
EXPERTS = {
    "mixtral": dict(num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=40),
    "qwen3_moe": dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24),
}
PLAIN = "llama mistral qwen2 qwen3 olmo2 olmo3 gemma gemma2 gemma3_text smollm3 mixtral ministral3 qwen2_moe qwen3_moe".split()
BIASED = "llama qwen3 qwen3_moe olmo2 olmo3 gemma gemma2 gemma3_text smollm3".split()
ONE_WINDOW = "mistral mixtral ministral3".split()
SWITCHED = "qwen2 qwen3 qwen2_moe qwen3_moe smollm3".split()  # windows only with use_sliding_window
TYPED = "olmo3 gemma2 gemma3_text qwen2 qwen3 smollm3".split()
HEADLESS = "llama qwen2 olmo2 olmo3 smollm3".split()  # null num_key_value_heads allowed


def settings():
    for t in PLAIN:
        yield t, {}
        yield t, dict(tie_word_embeddings=True)
        yield t, dict(tie_word_embeddings=False, head_dim=16)
        yield t, dict(num_key_value_heads=8)
        if t in BIASED: yield t, dict(attention_bias=True)
        if t in HEADLESS: yield t, dict(num_key_value_heads=None)
        if t in ONE_WINDOW + ["olmo3", "gemma2", "gemma3_text"]: yield t, dict(sliding_window=32)
        if t in ONE_WINDOW: yield t, dict(sliding_window=None)
        if t in SWITCHED: yield t, dict(sliding_window=32, use_sliding_window=True, **({} if t == "smollm3" else dict(max_window_layers=4)))
        if t in TYPED:
            kinds = ["full_attention", "sliding_attention", "sliding_attention"] * 3
            yield t, dict(layer_types=kinds, sliding_window=16, **(dict(use_sliding_window=True) if t in SWITCHED else {}))
        if t not in ("olmo3", "gemma3_text"): yield t, dict(rope_parameters=LLAMA3)
        if t not in ("olmo3", "mixtral"): yield t, dict(rope_scaling=YARN, rope_theta=123.0)
    yield "olmo3", dict(rope_scaling=YARN)
    for t in ("llama", "smollm3"): yield t, dict(mlp_bias=True)
    for kw in (dict(no_rope_layers=[0, 1, 1] * 3), dict(no_rope_layer_interval=3)): yield "smollm3", kw
    yield "smollm3", dict(no_rope_layers=[1, 0, 1] * 3, use_sliding_window=True, sliding_window=7)
    yield "gemma2", dict(attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=144)
    yield "gemma3_text", dict(final_logit_softcapping=20.0, rope_local_base_freq=5000.0, sliding_window_pattern=3)
    yield "gemma", dict(hidden_act="gelu")
    for t in ("qwen2_moe", "qwen3_moe"):
        for kw in (dict(decoder_sparse_step=2), dict(mlp_only_layers=[1, 3]), dict(mlp_only_layers=list(range(9))), dict(norm_topk_prob=True)):
            yield t, kw
    yield "qwen2_moe", dict(qkv_bias=False)


def all_configs():
    for t, kw in settings():
        yield t, TEXT | EXPERTS.get(t, {}) | kw
    for kw in ({}, dict(n_inner=100), dict(tie_word_embeddings=False), dict(scale_attn_by_inverse_layer_idx=True), dict(scale_attn_weights=False),
               dict(activation_function="gelu")):
        yield "gpt2", dict(n_embd=64, n_layer=3, n_head=4, n_positions=128, vocab_size=200, bos_token_id=1, eos_token_id=1) | kw
    text = TEXT | dict(head_dim=16)
    for kw in ({}, dict(spatial_merge_size=1), dict(multimodal_projector_bias=True), dict(vision_feature_layer=[-1, -2])):
        for t in ("mistral", "ministral3"):
            yield "mistral3", dict(text_config=text | dict(model_type=t), vision_config=VISION | dict(model_type="pixtral"), tie_word_embeddings=False) | kw
    yield "mistral3", dict(text_config=text | dict(model_type="mistral", tie_word_embeddings=True), vision_config=VISION | dict(model_type="pixtral"))
    for kw in ({}, dict(tie_word_embeddings=False), dict(mm_tokens_per_image=4)):
        for head in (True, False):
            vision = VISION | dict(model_type="siglip_vision_model", vision_use_head=head)
            yield "gemma3", dict(text_config=text | dict(model_type="gemma3_text"), vision_config=vision) | kw


def layers(config):
    """Window and rope of each layer."""
    c, types = config.get_text_config(), getattr(config.get_text_config(), "layer_types", None)
    n, window, rope = c.num_hidden_layers, getattr(c, "sliding_window", None), getattr(c, "rope_parameters", None)
    rotates = getattr(c, "no_rope_layers", None) or [1] * n
    windows = [window if types is None or types[i] == "sliding_attention" else None for i in range(n)]
    of = [(rope or {}).get(types[i], rope) if types else rope for i in range(n)]
    return windows, [[r["rope_theta"], r["rope_type"]] if r and on else None for r, on in zip(of, rotates)]


def entry(model_type, given):
    config = CONFIG_MAPPING[model_type](**json.loads(json.dumps(given)))
    kind = AutoModelForImageTextToText if model_type in ("mistral3", "gemma3") else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(config)
    model.tie_weights()
    with tempfile.TemporaryDirectory() as d:
        config.save_pretrained(d)
        saved = json.loads(pathlib.Path(d, "config.json").read_text())
    windows, ropes = layers(config)
    return {"given": given | {"model_type": model_type}, "saved": saved, "parameters": sum(p.numel() for p in model.parameters()),
            "windows": windows, "ropes": ropes}


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "fixtures" / "variants.json.gz")
    about = {"transformers": transformers.__version__, "by": "tests/oracle/variants.py"}
    document = {"_about": about, "variants": [entry(t, kw) for t, kw in all_configs()]}
    out.write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0))
    print(len(document["variants"]), "variants,", out.stat().st_size, "bytes")
