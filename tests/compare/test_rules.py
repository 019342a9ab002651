"""The table of rules: every fact and every finding has one, each has its row here, and ids stay
what they were.
"""

from __future__ import annotations

import ast
import re
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.architecture import schema
from llmarch.architecture.schema import Architecture
from llmarch.compare.diff import diff
from llmarch.compare.rules import CONSEQUENCES, RULES, SEVERITIES, find, nearest, rule_for

IDS = ROOT / "tests/fixtures/rule_ids.txt"

NORM = schema.Norm(kind="layernorm", eps=1e-5)
ROPE = schema.Rope(theta=1e4, rotary_dim=64)
RELATIVE = schema.RelativeLogits(width=16, extent=1024)
SHARED = schema.SharedTransformer(ffn=schema.Dense(width=64, activation="gelu"))
OTHER = schema.Other(shape=(1, 2), reason="a test")

ROWS: list[tuple[str, str, Any, set[str]]] = [
    # The model as a whole
    ("qwen3-8b", "family", "llama", {"family-changed"}),
    ("qwen3-8b", "model_type", "qwen4", {"model-type-changed"}),
    ("qwen3-8b", "hidden_size", 5120, {"hidden-size-changed"}),
    ("qwen3-8b", "vocab_size", 151_937, {"vocabulary-changed"}),
    ("qwen3-8b", "context_length", 32_768, {"context-changed"}),
    ("qwen3-8b", "dtype", "float16", {"dtype-changed"}),
    # Embedding and head
    ("qwen3-8b", "embedding.tied", True, {"tied-embedding-changed"}),
    ("gpt2", "embedding.positions", 2048, {"learned-positions-changed"}),
    ("gpt2", "embedding.position_offset", 2, {"absolute-positions-changed"}),
    ("gpt2", "embedding.sinusoidal", True, {"absolute-positions-changed"}),
    ("gpt2", "embedding.width", 512, {"embedding-width-changed"}),
    ("qwen3-8b", "embedding.extra_rows", 8, {"extra-rows-changed"}),
    ("qwen3-8b", "embedding.norm", "rms", {"embedding-norm-changed"}),
    ("gemma3n-e2b", "embedding.per_layer.width", 128, {"per-layer-embedding-changed"}),
    ("gemma3n-e2b", "embedding.per_layer", None, {"per-layer-embedding-changed"}),
    ("qwen3-8b", "ffns.dense.per_layer", True, {"per-layer-embedding-changed"}),
    ("gemma3-27b", "embedding.scale", 1.0, {"embedding-scale-changed"}),
    ("gemma3n-e2b", "embedding.per_layer.scale", 2.0, {"embedding-scale-changed"}),
    ("qwen3-0.6b", "head.kind", "none", {"head-kind-changed"}),
    ("qwen3-8b", "head.lm_head", True, {"head-tensors-changed"}),
    ("qwen3-8b", "head.bias", True, {"head-bias-changed"}),
    ("gemma2-9b", "head.softcap", None, {"logit-softcap-changed"}),
    ("qwen3-8b", "head.scale", 0.5, {"logit-scale-changed"}),
    ("qwen3-8b", "head.normalized", "rows", {"head-normalized-changed"}),
    ("qwen3-8b", "final_norm", None, {"final-norm-changed"}),
    (
        "qwen3-8b",
        "layer_kinds.full.steps.0.branches.0.learned_gate",
        True,
        {"branch-gate-changed"},
    ),
    ("gemma3-27b", "towers.vision.global_layers", 8, {"tower-shape-changed"}),
    ("gemma3-27b", "towers.vision.tiles", 4, {"tower-shape-changed"}),
    ("gemma3-27b", "towers.vision.tile_layouts", 8, {"tower-shape-changed"}),
    ("qwen3-8b", "mixers.full.query_experts", 8, {"query-experts-changed"}),
    ("qwen3-30b-a3b", "ffns.moe.output_bias", True, {"mlp-bias-changed"}),
    ("qwen3-8b", "mixers.full.dynamic_mask", 2048, {"dynamic-mask-changed"}),
    ("qwen3-8b", "layer_kinds.full.steps.0.learned_skip", True, {"learned-skip-changed"}),
    ("deepseek-v3", "ffns.moe.shared_gated", False, {"mlp-gate-changed"}),
    ("deepseek-v3", "ffns.moe.router.product_keys", True, {"product-keys-changed"}),
    ("gemma3-27b", "towers.vision.relative_positions", True, {"tower-shape-changed"}),
    ("gemma3-27b", "towers.vision.neck", 256, {"tower-shape-changed"}),
    ("deepseek-v3", "mixers.full.window", 512, {"window-changed"}),
    ("deepseek-v3", "mixers.full.rope_norm", True, {"inner-norm-changed"}),
    ("qwen3-8b", "mixers.full.conv_kernels", (2, 2), {"qk-convolution-changed"}),
    ("qwen3-8b", "mixers.full.qk_norm.key_scale", True, {"qk-norm-changed"}),
    ("deepseek-v3", "ffns.moe.router.hidden_width", 256, {"router-mlp-changed"}),
    ("deepseek-v3", "ffns.moe.router.carries_state", True, {"router-mlp-changed"}),
    ("longcat-flash", "ffns.moe.zero_returns", "nothing", {"router-changed"}),
    ("qwen3-8b", "layer_kinds.full.steps.0.affine", True, {"learned-skip-changed"}),
    ("qwen3-8b", "embedding.affine", True, {"embedding-affine-changed"}),
    ("qwen3-8b", "mixers.full.transformer", SHARED, {"shared-transformer-changed"}),
    ("qwen3-8b", "layer_kinds.full.steps.0.feeds_next", True, {"wiring-changed"}),
    ("qwen3-8b", "layer_kinds.full.runs", 2, {"layer-runs-changed"}),
    ("qwen3-8b", "layer_kinds.full.initial_state", True, {"initial-state-changed"}),
    ("qwen3-8b", "mixers.full.relative", RELATIVE, {"relative-logits-changed"}),
    ("qwen3-8b", "mixers.full.kv_conv", 4, {"kv-convolution-changed"}),
    ("qwen3-8b", "residual.conv_kernel", 4, {"output-convolution-changed"}),
    ("deepseek-v3", "ffns.moe.router.scores_shared", True, {"router-scales-changed"}),
    ("deepseek-v3", "ffns.moe.router.learned_scale", True, {"router-scales-changed"}),
    ("llama4-scout", "mixers.full.query_scaling.smooth", True, {"query-scaling-changed"}),
    ("qwen3-8b", "ffns.dense.learned_scale", True, {"mlp-scale-changed"}),
    ("gemma3-27b", "towers.vision.separators", 2, {"tower-shape-changed"}),
    # Facts of Beam, A.X K2 and Hy4
    ("qwen3-8b", "mixers.full.gate_bias", True, {"output-gate-changed"}),
    ("deepseek-v3", "mixers.full.sinks", True, {"sinks-changed"}),
    ("deepseek-v3", "mixers.full.gate", "from_queries", {"output-gate-changed"}),
    ("deepseek-v4-flash", "residual.mixing", False, {"residual-changed"}),
    ("deepseek-v4-flash", "residual.write_scale", 1.0, {"residual-mixing-changed"}),
    ("qwen3-8b", "residual.depth_scaled", True, {"residual-scale-changed"}),
    ("qwen3-8b", "norms.rms.gate_rank", 16, {"norm-changed"}),
    ("llama4-scout", "mixers.full.query_scaling.power", True, {"query-scaling-changed"}),
    # Layers and wiring
    ("qwen3-8b", "layers", ("full",) * 35, {"layers-changed"}),
    ("gemma4-26b", "layer_kinds.full.learned_scale", False, {"layer-scale-changed"}),
    (
        "qwen3-8b",
        "layer_kinds.full.steps.0.branches.0.post_norm",
        "rms",
        {"norm-count-changed", "norm-placement-changed"},
    ),
    (
        "olmo2-7b",
        "layer_kinds.full.steps.0.branches.0",
        ("mixers.full", "rms", None),
        {"norm-placement-changed"},
    ),
    ("qwen3-8b", "layer_kinds.full.steps.0.residual", "after_norm", {"norm-placement-changed"}),
    (
        "granite-4.1-8b",
        "layer_kinds.full.steps.0.branches.0.scale",
        1.0,
        {"residual-scale-changed"},
    ),
    (
        "qwen3-8b",
        "layer_kinds.full.steps.0.branches.0.input_scale",
        2.0,
        {"block-factor-changed"},
    ),
    ("minimax-m1", "layer_kinds.full.steps.0.skip_scale", 9.0, {"residual-scale-changed"}),
    ("qwen3-8b", "layer_kinds.full.steps.0.branches.0.block", "ffns.dense", {"wiring-changed"}),
    ("longcat-flash", "layer_kinds.double.steps.4.skip_from", None, {"wiring-changed"}),
    ("gemma3n-e2b", "residual.clip", None, {"residual-clip-changed"}),
    ("gemma3n-e2b", "residual.active", 1, {"residual-mixing-changed"}),
    ("deepseek-v4-flash", "residual.iterations", 10, {"residual-mixing-changed"}),
    ("deepseek-v4-flash", "residual.eps", 1e-3, {"residual-mixing-changed"}),
    ("deepseek-v4-flash", "residual.streams", 2, {"residual-changed"}),
    ("qwen3-8b", "residual", schema.Residual(kind="hyper", streams=4), {"residual-changed"}),
    # Positions
    ("qwen3-8b", "mixers.full.rope.theta", 1e4, {"rope-theta-changed"}),
    ("qwen3-8b", "mixers.full.rope.rotary_dim", 64, {"rotary-dims-changed"}),
    ("deepseek-v4-flash", "mixers.csa.rope_dim", 32, {"rotary-dims-changed"}),
    ("qwen3-vl-8b", "mixers.full.rope.sections", (16, 24, 24), {"rope-axes-changed"}),
    ("qwen3-vl-8b", "mixers.full.rope.sections_interleaved", False, {"rope-axes-changed"}),
    ("gemma4-26b", "mixers.full.rope.span", None, {"rope-span-changed"}),
    ("qwen3-8b", "mixers.full.rope.interleaved", True, {"rope-pairing-changed"}),
    ("deepseek-v3", "mixers.full.rope.scaling.factor", 32.0, {"rope-scaling-changed"}),
    ("deepseek-v3", "mixers.full.rope.scaling", None, {"rope-scaling-changed"}),
    ("qwen3-8b", "mixers.full.rope", None, {"rope-changed"}),
    ("gpt2", "mixers.full.rope", ROPE, {"rope-changed"}),
    # Attention
    ("qwen3-8b", "mixers.full.window", 4096, {"window-changed"}),
    ("llama4-scout", "mixers.chunked.chunk", 4096, {"chunk-changed"}),
    ("qwen3-8b", "mixers.full.heads", 64, {"heads-changed"}),
    ("qwen3-8b", "mixers.full.kv_heads", 4, {"kv-heads-changed"}),
    ("qwen3-8b", "mixers.full.head_dim", 64, {"head-dim-changed"}),
    ("deepseek-v3", "mixers.full.qk_nope_head_dim", 64, {"head-dim-changed"}),
    ("deepseek-v3", "mixers.full.q_lora_rank", None, {"latent-rank-changed"}),
    ("deepseek-v3", "mixers.full.kv_lora_rank", 256, {"latent-rank-changed"}),
    ("deepseek-v4-flash", "mixers.csa.o_lora_rank", 512, {"latent-rank-changed"}),
    ("deepseek-v4-flash", "mixers.csa.o_groups", 4, {"output-groups-changed"}),
    ("qwen3-8b", "mixers.full.qk_norm.offset", 1, {"qk-norm-placement-changed"}),
    ("qwen3-8b", "mixers.full.qk_norm.after_rope", True, {"qk-norm-placement-changed"}),
    ("qwen3-8b", "mixers.full.qk_norm", None, {"qk-norm-changed"}),
    ("qwen3-8b", "mixers.full.qk_norm.scope", "projection", {"qk-norm-changed"}),
    ("qwen3-8b", "mixers.full.output_bias", True, {"attention-bias-changed"}),
    ("deepseek-v3", "mixers.full.bias", True, {"attention-bias-changed"}),
    ("gemma3n-e2b", "mixers.sliding_shared.kv_from", None, {"shared-kv-changed"}),
    ("qwen3-8b", "mixers.full.cross_tokens", 1601, {"cross-attention-changed"}),
    ("gemma4-26b", "mixers.full.values_from_keys", False, {"values-changed"}),
    ("gemma3n-e2b", "mixers.full.value_norm", False, {"value-norm-changed"}),
    ("qwen3-8b", "mixers.full.value_scale", 2.0, {"attention-factor-changed"}),
    ("longcat-flash", "mixers.full.q_scale", 1.0, {"attention-factor-changed"}),
    ("longcat-flash", "mixers.full.kv_scale", None, {"attention-factor-changed"}),
    ("qwen3-8b", "mixers.full.clip", 8.0, {"qkv-clip-changed"}),
    ("gemma4-26b", "mixers.sliding.sees_ahead", None, {"mask-changed"}),
    ("qwen3-8b", "mixers.full.sinks", True, {"sinks-changed"}),
    ("qwen3-8b", "mixers.full.alibi", 8.0, {"alibi-changed"}),
    ("qwen3-8b", "mixers.full.output_norm", True, {"inner-norm-changed"}),
    ("qwen3-8b", "mixers.full.differential", True, {"differential-attention-changed"}),
    ("qwen3-next", "mixers.full.gate", None, {"output-gate-changed"}),
    ("qwen3-8b", "mixers.full.gate_activation", "softplus", {"gate-activation-changed"}),
    ("gemma2-9b", "mixers.full.softcap", None, {"attention-softcap-changed"}),
    ("qwen3-8b", "mixers.full.scale", 0.5, {"softmax-scale-changed"}),
    ("gpt2", "mixers.full.scale_by_depth", True, {"softmax-scale-changed"}),
    ("llama4-scout", "mixers.full.query_scaling.beta", 0.2, {"query-scaling-changed"}),
    ("llama4-scout", "mixers.full.query_scaling", None, {"query-scaling-changed"}),
    # Sparse attention
    ("minimax-m3", "mixers.sparse.block_index.top_blocks", 8, {"block-choice-changed"}),
    ("minimax-m3", "mixers.sparse.block_index.local_blocks", 9, {"block-choice-changed"}),
    ("minimax-m3", "mixers.sparse.block_index.heads", 8, {"block-index-changed"}),
    ("minimax-m3", "mixers.sparse.block_index", None, {"block-index-changed"}),
    ("deepseek-v3.2", "mixers.full.index_from", "full", {"index-sharing-changed"}),
    ("deepseek-v3.2", "mixers.full.indexer.top_k", 1024, {"indexer-top-k-changed"}),
    ("deepseek-v3.2", "mixers.full.indexer.rope_dim", 32, {"indexer-rope-changed"}),
    ("deepseek-v3.2", "mixers.full.indexer.heads", 32, {"indexer-changed"}),
    ("deepseek-v3.2", "mixers.full.indexer", None, {"indexer-changed"}),
    ("deepseek-v4-flash", "mixers.csa.ratio", 8, {"compression-changed"}),
    # Linear attention
    ("qwen3-next", "mixers.linear.variant", "kda", {"linear-attention-changed"}),
    ("qwen3-next", "mixers.linear.key_heads", 32, {"linear-heads-changed"}),
    ("qwen3-next", "mixers.linear.conv_kernel", None, {"conv-kernel-changed"}),
    ("qwen3-next", "mixers.linear.conv_bias", True, {"conv-kernel-changed"}),
    ("nemotron-3-nano", "mixers.linear.gate_first", False, {"gate-order-changed"}),
    ("nemotron-3-nano", "mixers.linear.norm_groups", 1, {"norm-groups-changed"}),
    ("nemotron-3-nano", "mixers.linear.output_norm", False, {"inner-norm-changed"}),
    ("nemotron-3-nano", "mixers.linear.output_bias", True, {"attention-bias-changed"}),
    ("nemotron-3-nano", "mixers.linear.dt_rank", 8, {"time-step-rank-changed"}),
    ("nemotron-3-nano", "mixers.linear.inner_norm", "weighted", {"inner-norm-changed"}),
    ("nemotron-3-nano", "mixers.linear.input_scales", (1.0, 2.0), {"block-factor-changed"}),
    ("kimi-linear", "mixers.linear.full_rank", True, {"gate-rank-changed"}),
    ("kimi-linear", "mixers.linear.decay_bound", -5.0, {"decay-bound-changed"}),
    ("qwen3-next", "mixers.linear.beta_scale", 2.0, {"block-factor-changed"}),
    ("deepseek-v3", "mixers.full.gate", "head", {"output-gate-changed"}),
    ("nemotron-3-nano", "mixers.linear.gate_softcap", 15.0, {"gate-softcap-changed"}),
    ("nemotron-3-nano", "mixers.linear.state_dtype", "bfloat16", {"state-dtype-changed"}),
    ("qwen3-8b", "mixers.full", None, {"mixer-changed"}),
    # Experts
    ("deepseek-v3", "ffns.moe.experts", 128, {"expert-count-changed"}),
    ("deepseek-v3", "ffns.moe.active", 6, {"active-experts-changed"}),
    ("deepseek-v3", "ffns.moe.expert_width", 1024, {"expert-width-changed"}),
    ("longcat-flash", "ffns.moe.zero_experts", 0, {"zero-experts-changed"}),
    ("nemotron-3-super", "ffns.moe.latent_width", None, {"expert-latent-changed"}),
    ("deepseek-v3", "ffns.moe.shared_experts", 2, {"shared-experts-changed"}),
    ("qwen3-next", "ffns.moe.shared_gate", False, {"shared-experts-changed"}),
    ("deepseek-v4-flash", "ffns.moe.shared_clamp", None, {"shared-clamp-changed"}),
    ("deepseek-v4-flash", "ffns.moe_hash.router.token_table", None, {"token-table-changed"}),
    ("deepseek-v3", "ffns.moe.router.selection_bias", False, {"router-bias-changed"}),
    ("gpt-oss-20b", "ffns.moe.router.bias", False, {"router-bias-changed"}),
    ("gemma4-26b", "ffns.moe.router.expert_scale", False, {"router-scales-changed"}),
    ("deepseek-v3", "ffns.moe.router.scoring", "softmax", {"router-changed"}),
    ("qwen3-235b", "ffns.moe.router.normalized", False, {"router-changed"}),
    # Feed-forward blocks
    ("qwen3-8b", "ffns.dense.activation", "gelu", {"activation-changed"}),
    ("gpt-oss-20b", "ffns.moe.alpha", None, {"activation-changed"}),
    ("gpt-oss-20b", "ffns.moe.clamp", None, {"activation-clamp-changed"}),
    ("gemma3n-e2b", "ffns.dense_sparse.sparsity", None, {"sparsity-changed"}),
    ("gemma3n-e2b", "ffns.laurel.own_skip", False, {"own-skip-changed"}),
    ("qwen3-8b", "ffns.dense.gate_scale", 2.0, {"block-factor-changed"}),
    ("qwen3-8b", "ffns.dense.inner_norm", True, {"inner-norm-changed"}),
    ("qwen3-8b", "ffns.dense.activation_numbers", 4, {"activation-parameters-changed"}),
    ("qwen3-8b", "ffns.dense.channel_mix", True, {"channel-mix-changed"}),
    ("qwen3-8b", "ffns.dense.gated", False, {"mlp-gate-changed"}),
    ("gpt2", "ffns.dense.bias", False, {"mlp-bias-changed"}),
    ("qwen3-8b", "ffns.dense.width", 14_336, {"mlp-width-changed"}),
    ("qwen3-235b", "ffns.moe", schema.Dense(width=1, activation="silu"), {"ffn-changed"}),
    # Norms
    ("qwen3-8b", "norms.rms.eps", 1e-5, {"norm-eps-changed"}),
    ("deepseek-v3", "mixers.full.norm_eps", 1e-5, {"norm-eps-changed"}),
    ("qwen3-8b", "norms.rms.offset", 1, {"norm-offset-changed"}),
    ("minimax-m3", "mixers.sparse.block_index.norm_offset", 3, {"norm-offset-changed"}),
    ("qwen3-8b", "norms.rms.bias", True, {"norm-changed"}),
    ("qwen3-8b", "norms.rms", NORM, {"norm-changed"}),
    # Beside the decoder
    ("deepseek-v3", "mtp.modules", 2, {"mtp-changed"}),
    ("deepseek-v3", "mtp", None, {"mtp-changed"}),
    ("gemma3-27b", "towers.vision.image_size", 448, {"tower-input-changed"}),
    ("gemma3-27b", "towers.vision.ffn.activation", "silu", {"tower-computation-changed"}),
    ("gemma3-27b", "towers.vision.norm.eps", 1e-4, {"tower-computation-changed"}),
    ("gemma3-27b", "towers.vision.projector.0.inputs", 1, {"projector-changed"}),
    ("gemma3-27b", "towers.vision.patch_size", 16, {"tower-shape-changed"}),
    ("gemma3-27b", "towers.vision.ffn.width", 1, {"tower-shape-changed"}),
    ("gemma3-27b", "towers.vision.kind", "clip", {"tower-changed"}),
    ("gemma3-27b", "towers.vision", None, {"tower-changed"}),
    ("qwen3-8b", "other.extra", OTHER, {"other-tensor-changed"}),
    # Storage
    ("deepseek-v3", "quantization.activations", None, {"quantization-activations-changed"}),
    ("deepseek-v3", "quantization.excluded", ("lm_head",), {"quantization-excluded-changed"}),
    ("deepseek-v3", "quantization.targets", ("Linear",), {"quantization-modules-changed"}),
    ("deepseek-v3", "quantization.modules", ("lm_head: 8 bits",), {"quantization-modules-changed"}),
    ("deepseek-v3", "quantization.cache_dtype", "fp8", {"quantization-cache-changed"}),
    ("deepseek-v3", "quantization.symmetric", False, {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.activation_order", True, {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.strategy", "channel", {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.number", "int", {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.packed_dtype", "int8", {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.sparsity", "sparse-bitmask", {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.scale_format", "ue8m0", {"quantization-scheme-changed"}),
    ("deepseek-v3", "quantization.experts", "fp4", {"quantization-changed"}),
    ("deepseek-v3", "quantization.bits", 4.0, {"quantization-changed"}),
    ("deepseek-v3", "quantization", None, {"quantization-changed"}),
]
LOADS = {
    "layer_kinds.full.steps.0.feeds_next": "behaviour",
    "ffns.moe.router.carries_state": "behaviour",  # without an MLP there is no vector
    "towers.vision.tiles": "behaviour",  # without layouts there are no tables
    "mixers.linear.dt_rank": "behaviour",
    "mixers.linear.inner_norm": "behaviour",
    "head.lm_head": "behaviour",
    "ffns.dense.per_layer": "behaviour",
    "layer_kinds.double.steps.4.skip_from": "behaviour",
    "mixers.full.index_from": "behaviour",
    "ffns.moe.shared_experts": "info",
    "norms.rms": "behaviour",
    "towers.vision.kind": "behaviour",
}
"""Rows above that need no other tensor, although other changes of the same rule may."""
UNREACHABLE = {"fact-changed"}
"""The net below all others; test_every_leaf_has_a_rule_of_its_own holds that nothing falls into it.
"""


@cache
def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


def changed(node: Any, path: str, value: Any) -> Any:
    """The node with another value at a path; None takes a name out of a dict, a tuple for a Branch
    is its block and norms.
    """
    name, _, rest = path.partition(".")
    if isinstance(node, tuple):
        i = int(name)
        return (
            *node[:i],
            changed(node[i], rest, value) if rest else replaced(node[i], value),
            *node[i + 1 :],
        )
    if isinstance(node, dict):
        if not rest and value is None:
            return {k: v for k, v in node.items() if k != name}
        return {**node, name: changed(node[name], rest, value) if rest else value}
    return replace(node, **{name: changed(getattr(node, name), rest, value) if rest else value})


def replaced(old: Any, value: Any) -> Any:
    return (
        replace(old, block=value[0], pre_norm=value[1], post_norm=value[2])
        if isinstance(old, schema.Branch)
        else value
    )


@pytest.mark.parametrize(
    ("alias", "path", "value", "rules"), ROWS, ids=[f"{r[0]}-{r[1]}" for r in ROWS]
)
def test_a_change_has_its_rule(alias: str, path: str, value: Any, rules: set[str]) -> None:
    old = architecture(alias)
    new = changed(old, path, value)
    there, back = diff(old, new), diff(new, old)
    assert {c.rule for c in there} == rules
    for c in there:
        usual = rule_for(c.path).severity
        expected = LOADS.get(path, usual) if usual == "weights" else usual
        assert c.severity == expected
    assert [(c.rule, c.path, c.old, c.new) for c in there] == [
        (c.rule, c.path, c.new, c.old) for c in back
    ]


def test_another_kind_of_head_is_as_bad_as_its_tensors() -> None:
    """A base model lacks the head of an untied language model, and nothing of a tied one."""
    classifier = schema.Head(kind="sequence_classification", outputs=2)
    both = {"head.kind": "weights", "head.outputs": "weights"}
    for alias, head, expected in (
        ("qwen3-8b", schema.Head(kind="none"), {"head.kind": "weights"}),
        ("qwen3-0.6b", schema.Head(kind="none"), {"head.kind": "behaviour"}),
        ("qwen3-8b", classifier, both),
        ("qwen3-0.6b", classifier, both),
    ):
        old = architecture(alias)
        changes = diff(old, replace(old, head=head))
        assert {c.path: c.severity for c in changes} == expected


def test_every_rule_for_facts_has_its_row() -> None:
    rows = {rule for *_, expected in ROWS for rule in expected}
    of_facts = {r.id for r in RULES if r.pattern is not None}
    missing = sorted(of_facts - UNREACHABLE - rows)
    assert not missing, f"add a row to ROWS: a change that makes {', '.join(missing)}"
    assert rows <= of_facts - UNREACHABLE


# The schema


def leaves(hint: Any, at: str) -> Iterator[str]:
    """The paths below a type at which a change can be reported: leaves, and parts that can come, go
    or become another kind.
    """
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        for f in fields(hint):
            if f.compare and f.name != "kind":
                yield from leaves(hints[f.name], f"{at}.{f.name}" if at else f.name)
            elif (
                f.name == "kind" and len(get_args(hints["kind"])) != 1
            ):  # a kind of one value is the class: the block itself changes
                yield f"{at}.kind"
        return
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if type(None) in args or sum(map(is_dataclass, args)) > 1:
            yield at
        for arg in args:
            if arg is not type(None):
                yield from leaves(arg, at)
    elif origin is dict:
        yield f"{at}.NAME"
        yield from leaves(args[1], f"{at}.NAME")
    elif origin is tuple and (is_dataclass(args[0]) or get_origin(args[0]) is tuple):
        yield at
        yield from leaves(args[0], f"{at}.0")
    else:
        assert origin in (None, tuple, Literal), hint
        yield at


def test_every_leaf_has_a_rule_of_its_own() -> None:
    paths = set(leaves(Architecture, ""))
    assert {
        "mixers.NAME.rope.scaling.short_factor",
        "towers.NAME.stages.0.0.key_width",
        "layers",
    } <= paths
    assert len(paths) > 250
    assert [p for p in sorted(paths) if rule_for(p).id == "fact-changed"] == []
    whole = {
        "mixers.NAME": "mixer-changed",
        "ffns.NAME": "ffn-changed",
        "towers.NAME": "tower-changed",
    }
    assert [
        p
        for p in sorted(paths)
        for w, rule in whole.items()
        if p.startswith(f"{w}.") and p != f"{w}.kind" and rule_for(p).id == rule
    ] == []


def test_every_alternative_of_a_pattern_covers_a_fact() -> None:
    """None is left of a fact that was renamed, and none is dead behind an earlier row."""
    paths = {*leaves(Architecture, ""), "layer_kinds.NAME.norms"}
    paths |= {
        p.rpartition(".")[0] for p in paths if "." in p
    }  # wholes, which can change their kind
    for rule in (r for r in RULES if r.pattern is not None and r.id not in UNREACHABLE):
        assert rule.pattern is not None
        for pattern in alternatives(rule.pattern):
            known = [p for p in paths if as_regex(pattern).fullmatch(p)]
            assert any(rule_for(p) is rule for p in known) or pattern.endswith(
                (".*", ".kind", ".steps")
            ), (rule.id, pattern)


def as_regex(pattern: str) -> re.Pattern[str]:
    return re.compile(
        re.sub(r"\*\*|\*|\.", lambda m: {"**": ".+", "*": "[^.]+", ".": r"\."}[m[0]], pattern)
    )


def alternatives(pattern: str) -> list[str]:
    """A pattern without braces: `a.{b,c{,.d}}` -> `a.b`, `a.c`, `a.c.d`."""
    done, waiting = [], [pattern]
    while waiting:
        text = waiting.pop()
        match = re.search(r"\{([^{}]*)\}", text)
        if match is None:
            done += text.split("\0")
        elif "{" in text[: match.start()] and text[: match.start()].count("{") > text[
            : match.start()
        ].count("}"):
            head = re.search(r"[^{,]*$", text[: match.start()])
            assert head is not None
            tail = re.match(r"[^,}]*", text[match.end() :])
            assert tail is not None
            spread = ",".join(f"{head[0]}{part}{tail[0]}" for part in match[1].split(","))
            waiting.append(text[: head.start()] + spread + text[match.end() + tail.end() :])
        else:
            waiting += [
                text[: match.start()] + part + text[match.end() :] for part in match[1].split(",")
            ]
    return done


# The table


def test_rows_are_whole() -> None:
    assert not [i for i, n in Counter(r.id for r in RULES).items() if n > 1]
    for r in RULES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", r.id)
        assert r.severity in SEVERITIES
        assert re.fullmatch(r"\d+\.\d+\.\d+", r.since)
        assert r.title and not r.title.endswith(".") and not r.title.split()[0].istitle()
        assert re.search(r"[.][)]?$", r.explanation), r.id
        assert not r.explanation.startswith("Say what"), f"{r.id}: {r.explanation}"
        assert 1 <= len(re.findall(r"[.](?:\s|$|\))", r.explanation)) <= 3, r.id
    assert set(CONSEQUENCES) == set(SEVERITIES)


def test_every_finding_has_a_rule() -> None:
    """What checkpoint/ and sources/ call their findings."""
    used: set[str] = set()
    for path in [
        *(ROOT / "llmarch/checkpoint").rglob("*.py"),
        *(ROOT / "llmarch/sources").rglob("*.py"),
        *(ROOT / "llmarch/config").rglob("*.py"),
        ROOT / "llmarch/compare/gate.py",
        ROOT / "llmarch/compare/entry_diff.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if called in ("Finding", "Change"):
                used |= {v for k in node.keywords if k.arg == "rule" for v in strings(k.value)}
            elif called in (
                "_find",
                "_report",
                "find",
                "info_finding",
                "weights_finding",
                "_add",
                "_tensor_findings",
                "info_finding",
                "weights_finding",
                "quantization_finding",
                "MissingFile",
            ):
                used |= {
                    v for a in node.args for v in strings(a) if re.fullmatch(r"[a-z]+(-[a-z]+)+", v)
                }
    assert {
        "unused-stored",
        "index-unreadable",
        "tensor-missing",
        "shard-missing",
        "index-tensor-missing",
        "unread-key",
    } <= used
    unknown = sorted(i for i in used if find(i) is None)
    assert unknown == [], "findings without a rule: run scripts/new_rule.py"
    unused = sorted(r.id for r in RULES if r.pattern is None and r.id not in used)
    assert unused == [], "rules of findings that no code reports"


def strings(node: ast.AST) -> list[str]:
    return [
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]


def test_ids_are_never_removed_and_never_reused() -> None:
    """A new rule is a new line at the end of the list, with its severity; one that is given up
    stays in it, as `gone`.
    """
    known = [
        line.split()
        for line in IDS.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    severities = dict(known)
    assert len(known) == len(severities)
    assert {r.id: r.severity for r in RULES} == {
        id: severity for id, severity in severities.items() if severity != "gone"
    }


def test_an_unknown_id_names_its_neighbours() -> None:
    assert nearest("rope-theta-change")[0] == "rope-theta-changed"
    assert "rope-theta-changed" in nearest("theta")
    assert nearest("") == []
    assert find("rope-theta-changed") is not None and find("theta") is None


def test_the_page_is_that_of_the_table() -> None:
    from llmarch.renderers import markdown

    assert (ROOT / "docs/rules.md").read_text(encoding="utf-8") == markdown.rules(RULES), (
        "run make docs"
    )
