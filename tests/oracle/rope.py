"""Rotary frequencies of small configs in many spellings -> tests/fixtures/rope.json.

    ORACLE/bin/python tests/oracle/rope.py [OUT.json]

ORACLE is the environment of scripts/oracle, never a dependency of llmarch.

A row of "rows" is {"base", "config", "factor", "frequencies"}. `config`: what it adds to the base of
that name. `factor`: that of cosines and sines. `frequencies`: a digest of all frequencies after
sequences of several lengths. Rows of one base that agree in both compute the same.
"""

import hashlib
import importlib
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
LENGTHS = (16, 1500, 3000, 6000, 20000)
SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 64,
    "max_position_embeddings": 4096,
    "pad_token_id": None,
}
MLA = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 64,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 8,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.0,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 64}
BASES = {
    "llama": ("llama", "Llama", {}),
    "qwen3": ("qwen3", "Qwen3", {"head_dim": 64}),
    "olmo3": ("olmo3", "Olmo3", {}),
    "phi3": ("phi3", "Phi3", {}),
    "gpt_oss": ("gpt_oss", "GptOss", EXPERTS),
    "deepseek_v3": ("deepseek_v3", "DeepseekV3", MLA),
}
ORIGINAL = "original_max_position_embeddings"
TABLES = {"short_factor": [1.0 + i / 16 for i in range(32)], "long_factor": [2.0] * 32}


def settings(base):
    """Yield what to change in a base, kind by kind."""
    yield {}
    yield {"rope_theta": 10000.0}
    yield {"rope_theta": 777.0}
    yield {"rope_parameters": {"rope_type": "default", "rope_theta": 777.0}}
    for factor in (1.0, 2.0):
        yield {"rope_scaling": {"type": "linear", "factor": factor}}
        yield {"rope_scaling": {"rope_type": "linear", "factor": factor}}
    for context in (4096, 8192):
        dynamic = {"rope_scaling": {"type": "dynamic", "factor": 2.0}}
        yield dynamic | {"max_position_embeddings": context}
    dynamic = {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 1024}
    yield {"rope_scaling": dynamic}
    llama3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    for original in (None, 1024, 4096):
        own = {} if original is None else {"original_max_position_embeddings": original}
        yield {"rope_scaling": llama3 | own}
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
    for own in (
        {},
        {"beta_fast": 32},
        {"beta_fast": 32.0, "beta_slow": 1.0},
        {"beta_fast": None},
        {"beta_fast": 16},
        {"beta_slow": 2},
        {"truncate": True},
        {"truncate": False},
        {"attention_factor": 1.138629436111989},
        {"attention_factor": 1.0},
        {"attention_factor": None},
        {"mscale": 1.0},
        {"mscale": 1.0, "mscale_all_dim": 0.0},
        {"mscale": 0.707, "mscale_all_dim": 1.0},
        {"factor": 2.0},
        {"type": "yarn"},
    ):
        yield {"rope_scaling": yarn | own}
    yield {"rope_parameters": yarn | {"rope_theta": 10000.0}}
    yield {"rope_parameters": yarn | {"rope_theta": 500.0}, "rope_theta": 10000.0}
    yield {"rope_scaling": yarn, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    own = {k: v for k, v in yarn.items() if k != "original_max_position_embeddings"}
    yield {"rope_scaling": own}
    for factor in ({}, {"factor": 4.0}, {"attention_factor": 1.25}):
        for context in (4096, 8192):
            for original in (1024, 2048):
                nested = {"original_max_position_embeddings": original}
                yield {
                    "rope_scaling": {"rope_type": "longrope"} | TABLES | factor | nested,
                    "max_position_embeddings": context,
                }
    flat = {"original_max_position_embeddings": 1024}
    yield {"rope_scaling": {"type": "longrope"} | TABLES} | flat
    if base == "phi3":
        yield {"rope_scaling": {"type": "su"} | TABLES} | flat


def numbers(kind, name, config):
    modeling = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    made = CONFIG_MAPPING[kind](**json.loads(json.dumps(config)))
    rope = getattr(modeling, f"{name}RotaryEmbedding")(made)
    found = []
    for length in LENGTHS:
        positions = torch.arange(length)[None]
        by_type = {"layer_type": "full_attention"} if kind == "olmo3" else {}
        rope(torch.zeros(1, length, 128), positions, **by_type)
        prefix = "full_attention_" if by_type else ""
        found.append([f"{x:.6g}" for x in getattr(rope, f"{prefix}inv_freq").tolist()])
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12]
    factor = getattr(rope, f"{prefix}attention_scaling")
    return {"factor": float(f"{factor:.6g}"), "frequencies": digest}


def main(out):
    rows = []
    for base, (kind, prefix, sizes) in BASES.items():
        for change in settings(base):
            scaling = change.get("rope_scaling", {"rope_type": ""})
            nested = "rope_parameters" in change or ORIGINAL in change
            if base == "olmo3" and (nested or "rope_type" not in scaling):
                continue  # it has parameters for each type of layers, and does not know `type`
            config = SIZES | sizes | change
            try:
                row = numbers(kind, prefix, config)
            except Exception as error:
                print(base, change, type(error).__name__, str(error)[:80])
                continue
            rows.append(json.dumps({"base": base, "config": change, **row}))
    about = {"by": "tests/oracle/rope.py", "transformers": transformers.__version__}
    bases = {name: SIZES | sizes | {"model_type": kind} for name, (kind, _, sizes) in BASES.items()}
    joined = ",\n".join(rows)
    text = f'{{"_about": {json.dumps(about)},\n"bases": {json.dumps(bases)},\n"rows": [\n{joined}\n]}}'
    out.write_text(text + "\n")
    print(f"{out}: {len(rows)} rows, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "rope.json"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else fixture)
