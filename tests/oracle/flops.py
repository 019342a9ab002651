"""Floating-point operations that torch counts in small random models of transformers -> tests/fixtures/flops.json.

    ORACLE/bin/python tests/oracle/flops.py [OUT.json] [--only REGEX]

ORACLE as for cache_bytes.py. torch.utils.flop_counter counts matrix products and convolutions, 2 FLOPs a multiply-add, of the eager attention,
which multiplies all queries with all keys and masks afterwards. So "prefill" is tokens * (a token that sees all of them), for models whose
windows are longer; "step" is one token after `context` - 1 cached ones, windows included. Recurrent states are updated by elementwise operations
in most classes, which the counter does not see; MLA's step expands all cached latents anew; "recurrences" are those equations written with matrix products, one token of one head.
"""
import argparse, importlib, json, os, pathlib, re, sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

transformers.logging.set_verbosity_error()
SMALL = dict(vocab_size=1024, hidden_size=256, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2)
HEADS = dict(num_attention_heads=8, num_key_value_heads=2, intermediate_size=512)
MLA = dict(num_attention_heads=4, num_key_value_heads=4, intermediate_size=512, q_lora_rank=96, kv_lora_rank=64, qk_nope_head_dim=48, qk_rope_head_dim=32, v_head_dim=80)
MOE = dict(moe_intermediate_size=128, num_experts_per_tok=2)
V3 = dict(MLA, **MOE, n_routed_experts=8, n_group=1, topk_group=1, n_shared_experts=1, first_k_dense_replace=1, num_hidden_layers=3)
GDN = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=32, linear_value_head_dim=32, linear_conv_kernel_dim=4)
BOTH, STEP, PREFILL = ("prefill", "step"), ("step",), ("prefill",)
ROWS = {
    "gpt2": (BOTH, dict(model_type="gpt2", vocab_size=1024, n_embd=256, n_layer=3, n_head=4, n_positions=512)),
    "llama": (BOTH, dict(model_type="llama", **SMALL, **HEADS, num_hidden_layers=3)),
    "llama-tied": (BOTH, dict(model_type="llama", **SMALL, **HEADS, num_hidden_layers=2, tie_word_embeddings=True)),
    "mistral-sliding": (STEP, dict(model_type="mistral", **SMALL, **HEADS, num_hidden_layers=3, sliding_window=32)),
    "gemma2": (STEP, dict(model_type="gemma2", **SMALL, **HEADS, head_dim=64, num_hidden_layers=4, sliding_window=32)),
    "gemma3": (STEP, dict(model_type="gemma3_text", **SMALL, **HEADS, head_dim=64, num_hidden_layers=6, sliding_window=32)),
    "qwen2": (BOTH, dict(model_type="qwen2", **SMALL, **HEADS, num_hidden_layers=3)),
    "qwen3": (BOTH, dict(model_type="qwen3", **SMALL, **HEADS, head_dim=64, num_hidden_layers=3)),
    "qwen3_moe": (BOTH, dict(model_type="qwen3_moe", **SMALL, **HEADS, head_dim=64, num_hidden_layers=3, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=128)),
    "mixtral": (BOTH, dict(model_type="mixtral", **SMALL, **HEADS, num_hidden_layers=3, num_local_experts=4)),
    "gpt_oss": (STEP, dict(model_type="gpt_oss", **SMALL, **HEADS, head_dim=64, num_hidden_layers=4, num_local_experts=8, num_experts_per_tok=2, sliding_window=32,
                           layer_types=["sliding_attention", "full_attention"] * 2)),
    "glm4_moe": (BOTH, dict(model_type="glm4_moe", **SMALL, **HEADS, **MOE, head_dim=32, num_hidden_layers=3, n_routed_experts=8, first_k_dense_replace=1)),
    "deepseek_v3": (BOTH, dict(model_type="deepseek_v3", **SMALL, **V3)),
    "deepseek_v2": (PREFILL, dict(model_type="deepseek_v2", **SMALL, **V3)),
    "deepseek_v32": (PREFILL, dict(model_type="deepseek_v32", **SMALL, **V3, index_n_heads=4, index_head_dim=64, index_topk=512)),
    "qwen3_next": (STEP, dict(model_type="qwen3_next", **SMALL, **HEADS, **GDN, head_dim=64, num_hidden_layers=4, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=128,
                              shared_expert_intermediate_size=128)),
    "kimi_linear": (STEP, dict(model_type="kimi_linear", **SMALL, **dict(MLA, q_lora_rank=None), num_hidden_layers=4, num_experts=8, num_experts_per_token=2, moe_intermediate_size=128,
                               linear_attn_config=dict(kda_layers=[1, 2, 3], full_attn_layers=[4], num_heads=4, head_dim=64, short_conv_kernel_size=4))),
    "minimax": (STEP, dict(model_type="minimax", **SMALL, **HEADS, head_dim=64, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=2, block_size=64,
                           layer_types=["linear_attention"] * 3 + ["full_attention"])),
    "minimax_m2": (BOTH, dict(model_type="minimax_m2", **SMALL, **HEADS, head_dim=64, rotary_dim=32, num_hidden_layers=3, num_local_experts=8, num_experts_per_tok=2)),
    "llama4": (BOTH, dict(model_type="llama4_text", **SMALL, **HEADS, head_dim=64, intermediate_size_mlp=512, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=4, interleave_moe_layer_step=2,
                          attention_chunk_size=512)),  # all experts: the class runs every one on every token
    "olmo3": (STEP, dict(model_type="olmo3", **SMALL, **HEADS, num_hidden_layers=4, sliding_window=32)),
    "smollm3": (BOTH, dict(model_type="smollm3", **SMALL, **HEADS, num_hidden_layers=4)),
}
TOKENS = 96


def counted(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad(): run()
    return counter.get_total_flops()


def measure(ways, config):
    made = AutoConfig.for_model(config["model_type"], **{k: v for k, v in config.items() if k != "model_type"})
    made._attn_implementation, made._experts_implementation = "eager", "eager"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(made, attn_implementation="eager").eval()
    ids, out = torch.randint(3, 1000, (1, TOKENS)), {}
    if "prefill" in ways: out["prefill"] = counted(lambda: model(input_ids=ids, use_cache=False))
    if "step" in ways:
        with torch.no_grad(): c = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
        out["step"] = counted(lambda: model(input_ids=ids[:, -1:], past_key_values=c, use_cache=True))
    return out


def recurrences(dk=48, dv=80):
    """One token of one head. S is [dk, dv]; k, q rows [1, dk]; v a row [1, dv]."""
    S, q, k, v, w, b = torch.randn(dk, dv), torch.randn(1, dk), torch.randn(1, dk), torch.randn(1, dv), torch.rand(dk, 1), torch.randn(1, dk)

    def lightning(): return q @ (0.9 * S + k.T @ v)
    def mamba2(): return q @ (0.9 * S + k.T @ v)                          # C h, h = exp(dt A) h + dt B x
    def mlstm(): return q @ (0.9 * S + k.T @ v)                           # the normaliser is a vector
    def gated_deltanet(): P = 0.9 * S; return q @ (P + k.T @ (v - k @ P))  # torch_recurrent_gated_delta_rule
    def kda(): P = w * S; return q @ (P + k.T @ (v - k @ P))               # the decay is per channel
    def rwkv7(): return q @ (w * S + b.T @ (k @ S) + k.T @ v)              # S (diag(w) + a^T b) + v^T k
    return {"key_head_dim": dk, "value_head_dim": dv, "flops": {f.__name__: counted(f) for f in (lightning, mamba2, mlstm, gated_deltanet, kda, rwkv7)}}


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("out", nargs="?", default=str(pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "flops.json"))
    args.add_argument("--only", default="")
    args = args.parse_args()
    rows = {}
    for name, (ways, config) in ROWS.items():
        if not re.search(args.only, name): continue
        try: rows[name] = {"config": config, "flops": measure(ways, config)}
        except Exception as e: print("FAILED", name, f"{type(e).__name__}: {e}"[:400], file=sys.stderr)
    about = {"by": "tests/oracle/flops.py", "transformers": transformers.__version__, "torch": torch.__version__, "tokens": TOKENS, "recurrences": recurrences()}
    lines = [f'"_about": {json.dumps(about)}'] + [f"{json.dumps(n)}: {json.dumps(r)}" for n, r in rows.items()]
    pathlib.Path(args.out).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{args.out}: {len(rows)} rows")
