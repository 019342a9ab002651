"""What llama.cpp itself allocates for the cache of tiny models, as its log says.

    LCPP/bin/python tests/oracle/llama_cpp_cache.py [OUT.json.gz]

LCPP is a scratch environment with llama-cpp-python 0.3.36 (it compiles llama.cpp) and gguf. For each
architecture a GGUF of zeros is written; which tensors it needs, and their shapes, llama.cpp's own
errors say. Then a context is made for many lengths, slots, batches and types, and the log lines of
llama_kv_cache and llama_memory_recurrent are kept. Nothing of llmarch is imported.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np

OUT = Path(__file__).parent.parent / "fixtures" / "llama_cpp_cache.json.gz"
HIDDEN, HEADS, KV, DIM, FF, VOCAB = 256, 4, 2, 64, 128, 256
TYPES = {"f16": 1, "f32": 0, "q8_0": 8, "q4_0": 2, "q5_1": 7, "q4_1": 3, "q5_0": 6, "iq4_nl": 20}
LINE = re.compile(
    r"llama_kv_cache: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +(\d+)/(\d+) seqs\), "
    r"K \((\w+)\): +([\d.]+) MiB, V \((\w+)\): +([\d.]+) MiB"
)
STATE = re.compile(
    r"llama_memory_recurrent: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +(\d+) seqs +\d+ rs_seq\), "
    r"R \((\w+)\): +([\d.]+) MiB, S \((\w+)\): +([\d.]+) MiB"
)
COMPRESSOR = re.compile(
    r"(\w+) ratio = (\d+), state = (\d+) x (\d+), streams = (\d+), rs_seq = \d+, "
    r"layers = (\d+), size = +([\d.]+) MiB"
)
MISSING = re.compile(r"(?:missing tensor|check_tensor_dims: tensor) '([^']+)'(?: not found|\s*$)", re.M)
SHAPE = re.compile(r"tensor '([^']+)' has wrong shape; expected +([\d, ]+), got")
NO_KEY = re.compile(r"key not found in model: (\S+)")

COMMON = {
    "context_length": 65536, "embedding_length": HIDDEN, "feed_forward_length": FF,
    "attention.head_count": HEADS, "attention.head_count_kv": KV, "attention.key_length": DIM,
    "attention.value_length": DIM, "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.freq_base": 1e6, "vocab_size": VOCAB,
}
EXPERTS = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 64}
SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 64, "ssm.time_step_rank": 8,
       "ssm.group_count": 4}
FULL = ["full", KV, DIM, DIM]


def sliding(window: int) -> list[Any]:
    return ["sliding", KV, DIM, DIM, window]


MAMBA2 = ["mamba2", 8, 64, 4, 64, 4]  # heads, head dim, groups, state, kernel
GDN = ["gated_deltanet", 4, 64, 8, 64, 4]  # key heads, key dim, value heads, value dim, kernel
LATENTS = {
    "attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512,
    "attention.key_length_mla": 192, "attention.value_length_mla": 128,
    "attention.q_lora_rank": 96, "attention.kv_lora_rank": 512, "rope.dimension_count": 64,
    "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
    "expert_gating_func": 2}
INDEXER = {"attention.indexer.head_count": 4, "attention.indexer.key_length": 128,
           "attention.indexer.top_k": 64}
CSA_HCA = [["compressed", 512, 64, 128, 4, 128], ["compressed", 512, 64, 128, 128, 0]]
"""Head, rotary part, window, tokens of an entry, and dims of the indexer's keys."""


def model(layers: list[Any], *keys: dict[str, Any]) -> dict[str, Any]:
    """Return an architecture: what its layers keep, and its keys, later ones before earlier."""
    merged: dict[str, Any] = {"layers": layers}
    for some in keys:
        merged.update(some)
    return merged


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": model([FULL] * 3),
    "qwen2": model([FULL] * 2),
    "qwen3": model([FULL] * 4),
    "qwen3moe": model([FULL] * 2, EXPERTS),
    "gemma2": model([sliding(512), FULL] * 3, {"attention.sliding_window": 512}),
    "gemma3": model(([sliding(1024)] * 5 + [FULL]) * 2, {"attention.sliding_window": 1024}),
    "gpt-oss": model([sliding(128), FULL] * 3, EXPERTS, {"attention.sliding_window": 128}),
    "cohere2": model(([sliding(256)] * 3 + [FULL]) * 2, {
        "attention.sliding_window": 256, "logit_scale": 1.0, "attention.layer_norm_epsilon": 1e-5,
        "rope.dimension_count": DIM}),
    "llama4": model(([sliding(8192)] * 3 + [FULL]) * 1, EXPERTS, {
        "interleave_moe_layer_step": 1}),
    "deepseek2": model([["mla", 512, 64]] * 3, EXPERTS, {
        "attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512,
        "attention.key_length_mla": 192, "attention.value_length_mla": 128,
        "attention.q_lora_rank": 96, "attention.kv_lora_rank": 512, "rope.dimension_count": 64,
        "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
        "expert_gating_func": 2}),
    "granitehybrid": model([MAMBA2, MAMBA2, FULL, MAMBA2], SSM, {
        "attention.head_count_kv": [0, 0, KV, 0], "rope.dimension_count": DIM,
        "attention.scale": 1.0, "embedding_scale": 1.0, "residual_scale": 1.0, "logit_scale": 1.0}),
    "nemotron_h": model([MAMBA2, FULL, MAMBA2, ["none"]], SSM, {
        "attention.head_count_kv": [0, KV, 0, 0], "feed_forward_length": [0, 0, 0, FF],
        "attention.layer_norm_epsilon": 1e-5,
        "rope.dimension_count": DIM}),
    "mamba2": model([MAMBA2] * 2, SSM, {"attention.head_count": 0}),
    "qwen3next": model(([GDN] * 3 + [FULL]) * 2, EXPERTS, {
        "ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 64, "ssm.time_step_rank": 8,
        "ssm.group_count": 4, "full_attention_interval": 4, "rope.dimension_count": 16,
        "expert_shared_feed_forward_length": 64}),
    "qwen35": model(([GDN] * 3 + [FULL]) * 1, {
        "ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 64, "ssm.time_step_rank": 8,
        "ssm.group_count": 4, "full_attention_interval": 4, "rope.dimension_count": 16,
        "rope.dimension_sections": [4, 4, 4, 4]}),
    "lfm2": model([["short_conv", HIDDEN, 3]] * 2 + [FULL] + [["short_conv", HIDDEN, 3]], {
        "attention.head_count_kv": [0, 0, KV, 0], "shortconv.l_cache": 3}),
    "falcon-h1": model([FULL + ["+"] + MAMBA2] * 2, SSM, {"rope.dimension_count": DIM}),
    "mistral3": model([FULL] * 2),
    "olmo2": model(([sliding(512)] * 3 + [FULL]) * 1, {"attention.sliding_window": 512}),
    "starcoder2": model([FULL] * 2, {"attention.layer_norm_epsilon": 1e-5}),
    "mixtral-as-llama": model([FULL] * 2, EXPERTS, {"name": "llama"}),
    "deepseek32": model([["mla", 512, 64, 128]] * 3, EXPERTS, LATENTS, INDEXER),
    "glm-dsa": model([["mla", 512, 64, 128]] * 3, EXPERTS, LATENTS, INDEXER),
    "deepseek4": model(
        [["compressed", 512, 64, 128, 0, 0], *CSA_HCA, *CSA_HCA], EXPERTS, INDEXER, {
            "attention.head_count_kv": 1, "attention.key_length": 512,
            "attention.value_length": 512, "attention.q_lora_rank": 96,
            "attention.sliding_window": 128, "expert_shared_count": 1,
            "expert_weights_scale": 1.0, "expert_weights_norm": True, "expert_gating_func": 4,
            "swiglu_clamp_exp": 10.0, "attention.output_group_count": 2,
            "attention.output_lora_rank": 64, "attention.compress_rope_freq_base": 160000.0,
            "hyper_connection.count": 4, "hyper_connection.sinkhorn_iterations": 20,
            "hyper_connection.epsilon": 1e-6, "hash_layer_count": 0,
            "attention.compress_ratios": [0, 4, 128, 4, 128], "rope.dimension_count": 64}),
    "minimax-m3": model([FULL, ["block_index", KV, DIM, DIM, 128]], EXPERTS, INDEXER, {
        "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
        "expert_gating_func": 2, "attention.indexer.block_size": 128,
        "attention.indexer.local_blocks": 1, "rope.dimension_count": 32}),
    "minimax-m2": model([FULL] * 2, EXPERTS, {
        "rope.dimension_count": 32, "expert_gating_func": 2}),
    "gemma4": model([["sliding", KV, 64, 64, 512], ["full", 1, 128, 128]] * 2, {
        "attention.sliding_window": 512, "attention.sliding_window_pattern": [1, 0, 1, 0],
        "attention.head_count_kv": [KV, 1, KV, 1], "attention.key_length": 128,
        "attention.value_length": 128, "attention.key_length_swa": 64,
        "attention.value_length_swa": 64, "embedding_length_per_layer_input": 0,
        "rope.dimension_count": 128, "rope.dimension_count_swa": 64}),
    "gemma4-shared": model(
        [sliding(512), ["full", KV, 128, 128], ["none"], ["none"]], {
            "name": "gemma4",
            "attention.sliding_window": 512, "attention.sliding_window_pattern": [1, 0, 1, 0],
            "attention.key_length": 128, "attention.value_length": 128,
            "attention.key_length_swa": 64, "attention.value_length_swa": 64,
            "attention.shared_kv_layers": 2, "embedding_length_per_layer_input": 32,
            "rope.dimension_count": 128, "rope.dimension_count_swa": 64}),
    "kimi-linear": model(
        [["kda", 4, 64, 4, 64, 4]] * 3 + [["mla", 512, 64]], EXPERTS, LATENTS, {
            "attention.head_count_kv": [0, 0, 0, 1], "ssm.conv_kernel": 4, "kda.head_dim": 64,
            "rope.dimension_count": 64}),
    "qwen35moe": model(([GDN] * 3 + [FULL]) * 1, EXPERTS, SSM, {
        "full_attention_interval": 4, "rope.dimension_count": 16,
        "rope.dimension_sections": [4, 4, 4, 4], "expert_shared_feed_forward_length": 64}),
    "qwen3vl": model([FULL] * 2, {
        "rope.dimension_sections": [8, 8, 8, 8], "n_deepstack_layers": 0}),
    "qwen3vlmoe": model([FULL] * 2, EXPERTS, {
        "rope.dimension_sections": [8, 8, 8, 8], "n_deepstack_layers": 0}),
    "qwen2moe": model([FULL] * 2, EXPERTS, {"expert_shared_feed_forward_length": 64}),
    "glm4": model([FULL] * 2, {"rope.dimension_count": 32}),
    "glm4moe": model([FULL] * 2, EXPERTS, {
        "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
        "expert_gating_func": 2, "rope.dimension_count": 32}),
    "hunyuan-moe": model([FULL] * 2, EXPERTS, {
        "expert_shared_feed_forward_length": 64}),
    "hunyuan-dense": model([FULL] * 2),
    "exaone4-1.2b": model([FULL] * 4, {"name": "exaone4"}),
    "exaone-moe": model([sliding(128)] * 3 + [FULL], EXPERTS, {
        "attention.sliding_window": 128, "attention.sliding_window_pattern": 4,
        "expert_shared_count": 1, "expert_shared_feed_forward_length": 64,
        "expert_gating_func": 2, "expert_weights_scale": 1.0, "leading_dense_block_count": 1}),
    "seed_oss": model([FULL] * 2),
    "smollm3": model([FULL] * 4),
    "apertus": model([FULL] * 2, {
        "/xielu.alpha_n": [1.0] * 2, "/xielu.alpha_p": [1.0] * 2, "/xielu.beta": [1.0] * 2,
        "/xielu.eps": [1.0] * 2}),
    "arcee": model([FULL] * 2, {"rope.dimension_count": DIM}),
    "bailingmoe2": model([FULL] * 2, EXPERTS, {
        "leading_dense_block_count": 1, "expert_shared_count": 1,
        "expert_shared_feed_forward_length": 64, "expert_weights_scale": 1.0,
        "expert_gating_func": 2, "rope.dimension_count": 32}),
    "step35": model([FULL, sliding(512), sliding(512), sliding(512)], EXPERTS, {
        "attention.sliding_window": 512, "attention.sliding_window_pattern": [0, 1, 1, 1],
        "attention.head_count": [HEADS] * 4, "attention.head_count_kv": [KV] * 4,
        "rope.freq_base_swa": 1e4, "expert_shared_feed_forward_length": 64,
        "expert_gating_func": 2, "expert_weights_scale": 1.0, "rope.dimension_count": 32}),
    "mimo2": model([FULL, sliding(128), sliding(128)], EXPERTS, {
        "attention.sliding_window": 128, "attention.sliding_window_pattern": [0, 1, 1],
        "attention.head_count": [HEADS] * 3, "attention.head_count_kv": [KV] * 3,
        "rope.freq_base_swa": 1e4, "expert_gating_func": 2, "rope.dimension_count": 32}),
    "ernie4_5-moe": model([FULL] * 2, EXPERTS, {
        "interleave_moe_layer_step": 1, "leading_dense_block_count": 1,
        "expert_shared_count": 1, "expert_shared_feed_forward_length": 64}),
    "dots1": model([FULL] * 2, EXPERTS, {
        "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
        "expert_gating_func": 2}),
    "jamba": model([["mamba", 512, 16, 4], FULL], EXPERTS, {
        "attention.head_count_kv": [0, KV], "ssm.conv_kernel": 4, "ssm.inner_size": 512,
        "ssm.state_size": 16, "ssm.time_step_rank": 16}),
    "mamba": model([["mamba", 512, 16, 4]] * 2, {
        "ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 16,
        "ssm.time_step_rank": 16, "attention.head_count": 0}),
    "rwkv7": model([["rwkv7", 4, 64]] * 2, {
        "wkv.head_size": 64, "attention.layer_norm_epsilon": 1e-5,
        "attention.decay_lora_rank": 32, "attention.iclr_lora_rank": 32,
        "attention.value_residual_mix_lora_rank": 32, "attention.gate_lora_rank": 32}),
    "lfm2moe": model(
        [["short_conv", HIDDEN, 3]] * 2 + [FULL] + [["short_conv", HIDDEN, 3]],
        EXPERTS, {
            "attention.head_count_kv": [0, 0, KV, 0], "shortconv.l_cache": 3,
            "leading_dense_block_count": 1, "expert_gating_func": 2}),
    "nemotron_h_moe": model([MAMBA2, FULL, MAMBA2, ["none"]], SSM, EXPERTS, {
        "attention.head_count_kv": [0, KV, 0, 0], "feed_forward_length": [0, 0, 0, FF],
        "attention.layer_norm_epsilon": 1e-5, "expert_shared_count": 1,
        "expert_shared_feed_forward_length": 64, "expert_weights_scale": 1.0,
        "rope.dimension_count": DIM}),
    "granitemoe": model([FULL] * 2, EXPERTS, {
        "attention.scale": 1.0, "embedding_scale": 1.0, "residual_scale": 1.0, "logit_scale": 1.0}),
    "phi3": model([FULL] * 2, {"rope.dimension_count": DIM}),
    "phimoe": model([FULL] * 2, EXPERTS, {"rope.dimension_count": DIM}),
    "olmoe": model([FULL] * 2, EXPERTS),
    "afmoe": model([sliding(512)] * 3 + [FULL], EXPERTS, {
        "attention.sliding_window": 512, "leading_dense_block_count": 1, "expert_shared_count": 1,
        "expert_weights_scale": 1.0, "expert_gating_func": 2, "rope.dimension_count": DIM}),
    "laguna": model([FULL, sliding(512), sliding(512), sliding(512)], EXPERTS, {
        "attention.sliding_window": 512, "attention.sliding_window_pattern": [0, 1, 1, 1],
        "leading_dense_block_count": 1, "expert_shared_feed_forward_length": 64,
        "expert_shared_count": 1, "expert_weights_scale": 1.0, "expert_gating_func": 2,
        "rope.dimension_count": DIM, "rope.freq_base_swa": 1e4,
        "tensors": {f"blk.{i}.attn_gate.weight": (HIDDEN, HEADS) for i in range(4)}}),
    "mistral4": model([["mla", 512, 64]] * 3, EXPERTS, LATENTS),
    "minimax-01": model([["lightning", 4, 64]] * 3 + [FULL], EXPERTS, {
        "full_attention_interval": 4, "rope.dimension_count": 32, "residual_scale": 1.0,
        "attention.head_count_kv": KV}),
    "command-r": model([FULL] * 2, {
        "logit_scale": 1.0, "attention.layer_norm_epsilon": 1e-5}),
    "falcon": model([FULL] * 2, {"attention.layer_norm_epsilon": 1e-5}),
    "gemma3n": model(([sliding(512)] * 4 + [FULL]) * 4 + [["none"]] * 2, {
        "attention.sliding_window": 512, "embedding_length_per_layer_input": 32,
        "attention.shared_kv_layers": 2, "rope.dimension_count": DIM}),
}


def write(path: str, arch: str, keys: dict[str, Any], tensors: dict[str, tuple[int, ...]]) -> None:
    """Write a GGUF of zeros; shapes are in llama.cpp's order, the fastest first."""
    w = gguf.GGUFWriter(path, arch)
    for key, value in keys.items():
        name = f"{arch}.{key}"
        if key.startswith("/"):
            name = key[1:]
        if isinstance(value, list):
            w.add_array(name, value)
        elif isinstance(value, bool):
            w.add_bool(name, value)
        elif isinstance(value, float):
            w.add_float32(name, value)
        elif isinstance(value, str):
            w.add_string(name, value)
        else:
            w.add_uint32(name, value)
    w.add_tokenizer_model("none")
    for name, shape in tensors.items():
        kind = np.float32 if len(shape) == 1 or "conv" in name or "ssm" in name else np.float16
        w.add_tensor(name, np.zeros(tuple(reversed(shape)), kind))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Log(list[str]):
    """Lines of the log, also written to a pipe if there is one."""

    pipe: int | None = None


LOG = Log()


@llama_cpp.llama_log_callback
def keep(level: int, text: bytes, data: Any) -> None:
    """Keep a line of the log."""
    LOG.append(text.decode(errors="replace"))
    if LOG.pipe is not None:
        os.write(LOG.pipe, text)


def load(path: str) -> Any:
    """Return the model of a file, or None."""
    params = llama_cpp.llama_model_default_params()
    params.use_mmap = False
    params.n_gpu_layers = 0
    LOG.clear()
    return llama_cpp.llama_model_load_from_file(path.encode(), params)


def discover(
    folder: str, arch: str, keys: dict[str, Any], known: dict[str, tuple[int, ...]]
) -> Any:
    """Return a loaded model, made by adding the tensors that llama.cpp asks for.

    known: shapes of tensors of which llama.cpp takes several.
    """
    tensors = dict(known)
    path = f"{folder}/{arch}.gguf"
    for _ in range(1200):
        write(path, arch, keys, tensors)
        model = load(path)
        text = "".join(LOG)
        if model:
            return model
        missing, shape, key = MISSING.search(text), SHAPE.search(text), NO_KEY.search(text)
        if missing:
            tensors[missing[1]] = (1,)
        elif shape:
            dims = tuple(int(n) for n in shape[2].replace(" ", "").split(",") if n)
            while len(dims) > 1 and dims[-1] == 1:
                dims = dims[:-1]
            tensors[shape[1]] = dims
        else:
            raise ValueError(f"{arch}: {key[1] if key else text[-600:]}")
    raise ValueError(f"{arch}: too many tensors")


def logged(model: Any, params: Any) -> str:
    """Return the log of making a context, in a process of its own.

    llama.cpp may fail on a model of zeros when it plans the graph, after the cache is allocated.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        LOG.clear()
        LOG.pipe = write_end  # type: ignore[attr-defined]
        llama_cpp.llama_init_from_model(model, params)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, errors="replace") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def allocate(model: Any, row: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a context of these settings allocates, or None if it cannot be made."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = row["ctx"] * row["slots"]
    params.n_seq_max = row["slots"]
    params.n_ubatch = row["ubatch"]
    params.n_batch = max(row["ubatch"], 512)
    params.kv_unified = False
    params.swa_full = False
    params.flash_attn_type = 1
    params.type_k = params.type_v = TYPES[row["type"]]
    params.n_threads = params.n_threads_batch = 1
    text = logged(model, params)
    kv = [
        {"mib": m[1], "cells": int(m[2]), "layers": int(m[3]), "k": m[7], "v": m[9]}
        for m in LINE.finditer(text)
    ]
    state = [{"mib": m[1], "cells": int(m[2]), "r": m[6], "s": m[8]} for m in STATE.finditer(text)]
    state += [{"mib": m[7], "cells": int(m[5]), "r": m[7], "s": "0"} for m in COMPRESSOR.finditer(text)]
    if not kv and not state:
        return None
    return {"kv": kv, "state": state}


def run(label: str, out: Any) -> None:
    """Put the rows of one architecture into a queue."""
    llama_cpp.llama_log_set(keep, ctypes.c_void_p(0))
    entry = dict(ARCHITECTURES[label])
    layers, arch = entry.pop("layers"), entry.pop("name", label)
    known = entry.pop("tensors", {})
    keys = {**COMMON, "block_count": len(layers), **entry}
    rows: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = discover(folder, arch, keys, known)
            for ctx in (100, 1000, 4096, 20000, 32768):
                for slots in (1, 3):
                    for ubatch in (128, 512):
                        for kind in TYPES:
                            row = {"ctx": ctx, "slots": slots, "ubatch": ubatch, "type": kind}
                            said = allocate(model, row)
                            if said:
                                rows.append({**row, **said})
        out.put({"arch": label, "layers": layers, "rows": rows})
    except ValueError as error:
        out.put({"arch": label, "error": str(error)})


def main() -> None:
    """Write the fixture: each architecture in a process of its own, as llama.cpp may abort."""
    only = sys.argv[2:] or list(ARCHITECTURES)
    found: list[dict[str, Any]] = []
    for label in only:
        queue: Any = multiprocessing.Queue()
        process = multiprocessing.Process(target=run, args=(label, queue))
        process.start()
        try:
            said = queue.get(timeout=1200)
        except Exception:
            said = {"arch": label, "error": "aborted"}
        process.join(5)
        print(label, said.get("error") or len(said["rows"]), flush=True)
        if "rows" in said and said["rows"]:
            found.append(said)
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    document = json.dumps({"llama_cpp_python": "0.3.36", "models": found})
    with gzip.GzipFile(out, "wb", mtime=0) as stream:
        stream.write(document.encode())


if __name__ == "__main__":
    main()
