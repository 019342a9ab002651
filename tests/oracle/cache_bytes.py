"""Bytes that transformers' own cache objects hold after forward passes of tiny random models on CPU -> tests/fixtures/cache_bytes.json.

    ORACLE/bin/python tests/oracle/cache_bytes.py [OUT.json] [--only REGEX]

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0, as for make_fixtures.py; never a dependency of llmarch. Nothing of
llmarch is imported. Each row is a config.json (keys that are left out have the class's defaults) and, for float32 and bfloat16, the bytes
of every tensor that the returned cache holds: after one prefill of T tokens ("prefill") and after a prefill of T - 1 and one step ("step").
"""
import argparse, importlib, inspect, json, os, pathlib, re, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
SMALL = dict(vocab_size=96, hidden_size=64, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2)
HEADS = dict(num_attention_heads=4, num_key_value_heads=2)
MLP = dict(intermediate_size=96)
MOE = dict(moe_intermediate_size=32, num_experts_per_tok=2)
MLA = dict(num_attention_heads=4, num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=20)
DSV3 = dict(MLA, **MLP, **MOE, n_routed_experts=4, n_group=1, topk_group=1, n_shared_experts=1, first_k_dense_replace=1, num_hidden_layers=3)
GDN = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=24, linear_conv_kernel_dim=4)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=32)
SF = ["sliding_attention", "full_attention"]
LENGTHS = [3, 8, 9, 21, 40]


def rope(theta=10000.0, **kw): return {"rope_type": "default", "rope_theta": theta, **kw}


ROWS = {
    "gpt2": dict(model_type="gpt2", vocab_size=96, n_embd=64, n_layer=3, n_head=4, n_positions=256),
    "llama": dict(model_type="llama", **SMALL, **HEADS, **MLP, num_hidden_layers=3),
    "mistral-sliding": dict(model_type="mistral", **SMALL, **HEADS, **MLP, num_hidden_layers=3, sliding_window=8),
    "mistral-null-window": dict(model_type="mistral", **SMALL, **HEADS, **MLP, num_hidden_layers=2, sliding_window=None),
    "mixtral": dict(model_type="mixtral", **SMALL, **HEADS, **MLP, num_hidden_layers=2, num_local_experts=4),
    "ministral3": dict(model_type="ministral3", **SMALL, **HEADS, **MLP, num_hidden_layers=2, head_dim=32),
    "mistral4": dict(model_type="mistral4", **SMALL, **MLA, **MLP, **MOE, n_routed_experts=4, num_hidden_layers=2),
    "qwen2-window-unused": dict(model_type="qwen2", **SMALL, **HEADS, **MLP, num_hidden_layers=3, use_sliding_window=False, sliding_window=8),
    "qwen2-window-used": dict(model_type="qwen2", **SMALL, **HEADS, **MLP, num_hidden_layers=3, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3": dict(model_type="qwen3", **SMALL, **HEADS, **MLP, num_hidden_layers=2, head_dim=32),
    "qwen3_moe": dict(model_type="qwen3_moe", **SMALL, **HEADS, **MLP, num_hidden_layers=2, head_dim=32, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32),
    "qwen3_next": dict(model_type="qwen3_next", **SMALL, **HEADS, **MLP, **GDN, **EXPERTS, head_dim=16, num_hidden_layers=8),
    "qwen3_5": dict(model_type="qwen3_5_text", **SMALL, **HEADS, **MLP, **GDN, head_dim=16, num_hidden_layers=8),
    "olmo_hybrid": dict(model_type="olmo_hybrid", **SMALL, **HEADS, **MLP, **GDN, num_hidden_layers=8),
    "smollm3": dict(model_type="smollm3", **SMALL, **HEADS, **MLP, num_hidden_layers=4),
    "olmo2": dict(model_type="olmo2", **SMALL, **HEADS, **MLP, num_hidden_layers=2),
    "olmo3": dict(model_type="olmo3", **SMALL, **HEADS, **MLP, num_hidden_layers=6, sliding_window=8),
    "gemma": dict(model_type="gemma", **SMALL, **MLP, num_attention_heads=4, num_key_value_heads=1, head_dim=24, num_hidden_layers=2),
    "gemma2": dict(model_type="gemma2", **SMALL, **HEADS, **MLP, head_dim=24, num_hidden_layers=5, sliding_window=8),
    "gemma3": dict(model_type="gemma3_text", **SMALL, **HEADS, **MLP, head_dim=24, num_hidden_layers=8, sliding_window=8),
    "gpt_oss": dict(model_type="gpt_oss", **SMALL, **HEADS, **MLP, head_dim=16, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
                    layer_types=SF * 2),
    "glm4_moe": dict(model_type="glm4_moe", **SMALL, **HEADS, **MLP, **MOE, head_dim=16, num_hidden_layers=3, n_routed_experts=4, first_k_dense_replace=1),
    "deepseek_v2": dict(model_type="deepseek_v2", **SMALL, **MLA, **MLP, **MOE, n_routed_experts=4, n_group=1, topk_group=1, n_shared_experts=1, num_hidden_layers=3,
                        first_k_dense_replace=1),
    "deepseek_v3": dict(model_type="deepseek_v3", **SMALL, **DSV3),
    "deepseek_v32": dict(model_type="deepseek_v32", **SMALL, **DSV3, index_n_heads=2, index_head_dim=16, index_topk=8),
    "kimi_linear": dict(model_type="kimi_linear", **SMALL, **dict(MLA, q_lora_rank=None), **MLP, num_hidden_layers=5, num_experts=4, num_experts_per_token=2,
                        moe_intermediate_size=32, head_dim=10,
                        linear_attn_config=dict(kda_layers=[1, 2, 3], full_attn_layers=[4, 5], num_heads=4, head_dim=12, short_conv_kernel_size=4)),
    "minimax": dict(model_type="minimax", **SMALL, **HEADS, **MLP, head_dim=16, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=2, block_size=16,
                    layer_types=["linear_attention"] * 3 + ["full_attention"]),
    "minimax_m2": dict(model_type="minimax_m2", **SMALL, **HEADS, **MLP, head_dim=16, rotary_dim=8, num_hidden_layers=2, num_local_experts=4, num_experts_per_tok=2),
    "llama4": dict(model_type="llama4_text", **SMALL, **HEADS, **MLP, head_dim=16, intermediate_size_mlp=96, num_hidden_layers=8, num_local_experts=4,
                   interleave_moe_layer_step=2, attention_chunk_size=8),
    "falcon-7b": dict(model_type="falcon", **SMALL, num_hidden_layers=2, num_attention_heads=4, multi_query=True, new_decoder_architecture=False),
    "falcon-40b": dict(model_type="falcon", **SMALL, num_hidden_layers=2, num_attention_heads=4, multi_query=True, new_decoder_architecture=True, num_kv_heads=2),
    "gemma4-E": dict(model_type="gemma4_text", **SMALL, **HEADS, **MLP, head_dim=8, global_head_dim=16, num_hidden_layers=10, sliding_window=8, num_kv_shared_layers=4,
                     layer_types=(["sliding_attention"] * 4 + ["full_attention"]) * 2, hidden_size_per_layer_input=8, vocab_size_per_layer_input=96, enable_moe_block=False),
    "gemma4-26b": dict(model_type="gemma4_text", **SMALL, num_attention_heads=4, num_key_value_heads=2, num_global_key_value_heads=1, **MLP, head_dim=8, global_head_dim=16,
                       num_hidden_layers=6, sliding_window=8, num_kv_shared_layers=0, attention_k_eq_v=True, hidden_size_per_layer_input=0, enable_moe_block=True,
                       num_experts=4, top_k_experts=2, moe_intermediate_size=32),
    "mimo_v2_flash": dict(model_type="mimo_v2_flash", **SMALL, **MLP, **MOE, num_attention_heads=8, num_key_value_heads=1, swa_num_attention_heads=8, swa_num_key_value_heads=2,
                          head_dim=12, v_head_dim=8, swa_head_dim=12, swa_v_head_dim=8, num_hidden_layers=4, sliding_window_size=8, hybrid_layer_pattern=[0, 1, 1, 1],
                          moe_layer_freq=[0, 1, 1, 1], n_routed_experts=4, n_shared_experts=None, n_group=1, topk_group=1),
    "deepseek_v4": dict(model_type="deepseek_v4", **SMALL, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=1, head_dim=32, qk_rope_head_dim=8, q_lora_rank=16, o_lora_rank=8, o_groups=2,
                        index_n_heads=2, index_head_dim=16, index_topk=4, sliding_window=8, compress_ratios=[0, 4, 128, 4], moe_intermediate_size=32, n_routed_experts=4,
                        num_experts_per_tok=2, n_shared_experts=1, num_hash_layers=1),
    "glm_moe_dsa": dict(model_type="glm_moe_dsa", **SMALL, **dict(DSV3, num_hidden_layers=4), index_n_heads=2, index_head_dim=16, index_topk=8,
                        indexer_types=["full", "shared", "full", "shared"]),
    "longcat_flash": dict(model_type="longcat_flash", **SMALL, **MLA, head_dim=8, num_layers=2, ffn_hidden_size=96, expert_ffn_hidden_size=32, n_routed_experts=4, zero_expert_num=2, moe_topk=2),
    "minimax_m3": dict(model_type="minimax_m3_vl_text", **SMALL, **HEADS, **MLP, head_dim=16, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=2,
                       index_n_heads=2, index_head_dim=8, index_block_size=4, index_topk_blocks=2,
                       layer_types=["full_attention"] + ["minimax_m3_sparse"] * 3),
    "step3p5": dict(model_type="step3p5", **SMALL, num_attention_heads=4, num_key_value_heads=2, **MLP, **MOE, head_dim=16, num_hidden_layers=6, sliding_window=8, n_routed_experts=4, share_expert_dim=32,
                    num_sliding_attention_heads=6, layer_types=(["full_attention"] + ["sliding_attention"] * 3) * 2 + ["sliding_attention"], num_nextn_predict_layers=3,
                    mlp_layer_types=["dense"] * 3 + ["sparse"] * 6),
    "nemotron_h": dict(model_type="nemotron_h", **SMALL, **HEADS, **MLP, head_dim=16, hybrid_override_pattern="M*M-", num_hidden_layers=4, mamba_num_heads=4, mamba_head_dim=16, n_groups=2,
                       ssm_state_size=12, conv_kernel=4, chunk_size=8),
    "jamba": dict(model_type="jamba", **SMALL, **HEADS, **MLP, num_hidden_layers=4, attn_layer_period=4, attn_layer_offset=2, num_experts=2, num_experts_per_tok=1,
                  mamba_d_state=12, mamba_d_conv=4, mamba_expand=2, use_mamba_kernels=False),
    "mamba": dict(model_type="mamba", vocab_size=96, hidden_size=64, num_hidden_layers=2, state_size=12, conv_kernel=4, expand=2),
    "falcon_mamba": dict(model_type="falcon_mamba", vocab_size=96, hidden_size=64, num_hidden_layers=2, state_size=12, conv_kernel=4, expand=2),
    "mamba2": dict(model_type="mamba2", vocab_size=96, hidden_size=64, num_hidden_layers=2, state_size=12, conv_kernel=4, expand=2, num_heads=8, head_dim=16, n_groups=2, chunk_size=8),
    "bamba": dict(model_type="bamba", **SMALL, **HEADS, **MLP, num_hidden_layers=3, attn_layer_indices=[1], mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=12,
                  mamba_d_conv=4, mamba_expand=2, mamba_chunk_size=8),
    "falcon_h1": dict(model_type="falcon_h1", **SMALL, **HEADS, **MLP, head_dim=16, num_hidden_layers=2, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1,
                      mamba_d_state=12, mamba_d_conv=4, mamba_chunk_size=8),
    "granitemoehybrid": dict(model_type="granitemoehybrid", **SMALL, **HEADS, **MLP, num_hidden_layers=3, layers_block_type=["mamba", "attention", "mamba"], num_local_experts=4,
                             num_experts_per_tok=2, shared_intermediate_size=32, mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=12, mamba_d_conv=4, mamba_expand=2,
                             mamba_chunk_size=8),
    "lfm2": dict(model_type="lfm2", **SMALL, **HEADS, **MLP, num_hidden_layers=4, conv_L_cache=3, layer_types=["conv", "conv", "full_attention", "conv"]),
    "rwkv": dict(model_type="rwkv", vocab_size=96, hidden_size=64, num_hidden_layers=2, attention_hidden_size=64, context_length=256),
    "xlstm": dict(model_type="xlstm", vocab_size=96, hidden_size=128, embedding_dim=128, num_hidden_layers=2, num_blocks=2, num_heads=4, qk_dim_factor=0.5, v_dim_factor=1.0, chunk_size=16,
                  mode="inference", return_last_states=True),
    "cohere2": dict(model_type="cohere2", **SMALL, **HEADS, **MLP, num_hidden_layers=4, sliding_window=8),
    "exaone4": dict(model_type="exaone4", **SMALL, **HEADS, **MLP, num_hidden_layers=4, sliding_window=8, sliding_window_pattern=4),
    "bart-cross": dict(model_type="bart", vocab_size=96, d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96,
                       decoder_ffn_dim=96, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2),
}
ENCODER_TOKENS = 11
CLASSES = {"step3p5": ("step3p7.modeling_step3p7", "Step3p7TextModel")}  # classes that no Auto class knows


def tensors(o, seen):
    """Every tensor reachable from a cache object, each once."""
    if id(o) in seen: return
    seen.add(id(o))
    if isinstance(o, torch.Tensor): yield o
    elif isinstance(o, (list, tuple)):
        for x in o: yield from tensors(x, seen)
    elif isinstance(o, dict):
        for x in o.values(): yield from tensors(x, seen)
    elif hasattr(o, "__dict__"): yield from tensors(vars(o), seen)


def held(o):
    """Bytes of floating-point tensors (counters and flags are left out)."""
    return sum(t.numel() * t.element_size() for t in tensors(o, set()) if t.is_floating_point())


def returned(out):
    for name in ("past_key_values", "cache_params", "state"):
        if getattr(out, name, None) is not None: return name, getattr(out, name)
    raise SystemExit(f"no cache in {type(out).__name__}: {list(out.keys())}")


def run(model, lengths, cross):
    rows = {"prefill": {}, "step": {}}
    extra = {"input_ids": torch.randint(3, 90, (1, ENCODER_TOKENS))} if cross else {}
    key = "decoder_input_ids" if cross else "input_ids"
    for n in lengths:
        ids = torch.randint(3, 90, (1, n + 1))
        with torch.no_grad():
            _, c = returned(model(**extra, **{key: ids[:, :n]}, use_cache=True))
            rows["prefill"][n] = held(c)
            name, c = returned(model(**extra, **{key: ids[:, :n - 1]}, use_cache=True))
            more = {}
            if "cache_position" in inspect.signature(model.forward).parameters: more["cache_position"] = torch.tensor([n - 1])
            _, c = returned(model(**extra, **{key: ids[:, n - 1:n]}, use_cache=True, **{name: c}, **more))
            rows["step"][n] = held(c)
    return rows


def measure(config):
    kind, cross = config["model_type"], config["model_type"] == "bart"
    made = AutoConfig.for_model(kind, **{k: v for k, v in config.items() if k != "model_type"})
    out = {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        made._attn_implementation = "eager"
        if kind in CLASSES:
            module, name = CLASSES[kind]
            cls = getattr(importlib.import_module(f"transformers.models.{module}"), name)
        else:
            auto = AutoModelForSeq2SeqLM if cross else AutoModelForCausalLM if type(made) in AutoModelForCausalLM._model_mapping else AutoModel
            cls = auto._model_mapping[type(made)]
        with tempfile.TemporaryDirectory() as folder:  # saved and loaded, so that what a class keeps in float32 is kept
            cls(made).save_pretrained(folder)
            model = cls.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
        out[{torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]] = run(model, LENGTHS + [127, 128, 200] * (kind == "deepseek_v4"), cross)
    return out


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("out", nargs="?", default=str(pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "cache_bytes.json"))
    args.add_argument("--only", default="")
    args = args.parse_args()
    rows, bad = {}, {}
    for name, config in ROWS.items():
        if not re.search(args.only, name): continue
        try: rows[name] = {"config": config, "bytes": measure(config)}
        except Exception as e: bad[name] = f"{type(e).__name__}: {e}"
    about = {"by": "tests/oracle/cache_bytes.py", "transformers": transformers.__version__, "torch": torch.__version__, "encoder_tokens": ENCODER_TOKENS}
    lines = [f'"_about": {json.dumps(about)}'] + [f"{json.dumps(n)}: {json.dumps(r)}" for n, r in rows.items()]
    pathlib.Path(args.out).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{args.out}: {len(rows)} rows")
    for name, e in bad.items(): print("FAILED", name, e[:600], file=sys.stderr)
