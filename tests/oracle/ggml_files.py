"""Write fixtures/ggml_files.json: bytes that llama.cpp's quantiser would write of small models.

Run by hand, in an environment with llama-cpp-python (0.3.36) and gguf, which CI does not need:
`python tests/oracle/ggml_files.py`. Each model is a GGUF of zeros; the quantiser runs dry, with an
importance matrix for the IQ types, and logs the type of each tensor.
"""

from __future__ import annotations

import ctypes
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np

FIXTURE = Path(__file__).parent.parent / "fixtures" / "ggml_files.json"
LINE = re.compile(r"\] (\S+) +- \[ *(\d+), *(\d+), *(\d+), *\d+\], type = +(\w+), .*?(?:\((\w+)\))?$")
QWEN = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 20,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "attention_bias": False,
    "dtype": "bfloat16",
}
EXPERTS = {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "moe_intermediate_size": 256,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
QWEN2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
MODELS: tuple[dict[str, Any], ...] = (
    {},
    {"num_key_value_heads": 4},
    {"num_hidden_layers": 33, "tie_word_embeddings": True},
    {"intermediate_size": 416, "num_hidden_layers": 9},
    {"hidden_size": 288, "num_key_value_heads": 2},
    {"num_hidden_layers": 80} | QWEN2,
    {"num_experts": 8} | EXPERTS,
    {"num_experts": 16, "num_key_value_heads": 4, "num_hidden_layers": 17} | EXPERTS,
)


def write_model(path: Path, config: dict[str, Any]) -> None:
    """Write a GGUF of zeros of a config."""
    experts = config.get("num_experts", 0)
    name = config["model_type"].replace("_", "")
    writer = gguf.GGUFWriter(str(path), name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])

    def tensor(name: str, *shape: int) -> None:
        kind = np.float32 if len(shape) == 1 else np.float16
        writer.add_tensor(name, np.zeros(shape, kind))

    width, vocabulary = config["hidden_size"], config["vocab_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    tensor("token_embd.weight", vocabulary, width)
    tensor("output_norm.weight", width)
    if not config["tie_word_embeddings"]:
        tensor("output.weight", vocabulary, width)
    for layer in range(config["num_hidden_layers"]):
        block = f"blk.{layer}."
        tensor(f"{block}attn_norm.weight", width)
        tensor(f"{block}ffn_norm.weight", width)
        tensor(f"{block}attn_q.weight", queries, width)
        tensor(f"{block}attn_k.weight", keys, width)
        tensor(f"{block}attn_v.weight", keys, width)
        tensor(f"{block}attn_output.weight", width, queries)
        if experts:
            inner = config["moe_intermediate_size"]
            tensor(f"{block}ffn_gate_inp.weight", experts, width)
            tensor(f"{block}ffn_gate_exps.weight", experts, inner, width)
            tensor(f"{block}ffn_up_exps.weight", experts, inner, width)
            tensor(f"{block}ffn_down_exps.weight", experts, width, inner)
            continue
        inner = config["intermediate_size"]
        tensor(f"{block}ffn_gate.weight", inner, width)
        tensor(f"{block}ffn_up.weight", inner, width)
        tensor(f"{block}ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def component_of(name: str) -> str:
    """Return our component of a tensor; empty for norms and routers."""
    if name == "token_embd.weight":
        return "embedding"
    if name == "output.weight":
        return "head"
    if "norm" in name or "gate_inp" in name:
        return ""
    if "_exps" in name:
        return "experts"
    return "mlp" if "ffn_" in name else "attention"


def quantised_bytes(path: Path, file_type: int, with_matrix: bool) -> dict[str, int]:
    """Return the bytes by component that the quantiser would write."""
    lines: list[str] = []
    log_type = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    keep = log_type(lambda level, text, data: lines.append(text.decode()))
    llama_cpp.llama_log_set(keep, ctypes.c_void_p(0))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = 1
    params.dry_run = True
    if with_matrix:
        numbers = (ctypes.c_float * 1)(1.0)
        data_type = llama_cpp.llama_cpp.llama_model_imatrix_data
        entries = (data_type * 2)()
        entries[0].name = b"none"
        entries[0].data = ctypes.cast(numbers, type(entries[0].data))
        entries[0].size = 1
        params.imatrix = entries
    target = str(path.with_suffix(".out")).encode()
    assert llama_cpp.llama_model_quantize(str(path).encode(), target, ctypes.byref(params)) == 0
    sizes: Counter[str] = Counter()
    for line in "".join(lines).splitlines():
        match = LINE.search(line)
        if match is None:
            continue
        name, *shape, before, after = match.groups()
        component = component_of(name)
        if component:
            row, rows, experts = map(int, shape)
            kind = gguf.GGMLQuantizationType[(after or before).upper()]
            block, size = gguf.GGML_QUANT_SIZES[kind]
            sizes[component] += row // block * size * rows * experts
    return dict(sizes)


def main() -> None:
    """Write the fixture."""
    names = {
        name.removeprefix("LLAMA_FTYPE_MOSTLY_").lower(): getattr(llama_cpp, name)
        for name in dir(llama_cpp)
        if name.startswith("LLAMA_FTYPE_MOSTLY_")
    }
    left_out = ("f16", "bf16", "nvfp4", "q1_0", "q2_0")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        for changes in MODELS:
            config = QWEN | changes
            write_model(path, config)
            sizes = {
                name: quantised_bytes(path, number, name.startswith("iq"))
                for name, number in sorted(names.items())
                if name not in left_out
            }
            rows.append({"config": config, "bytes": sizes})
    FIXTURE.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
