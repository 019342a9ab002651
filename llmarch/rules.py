"""What a difference means: one ordered table from dotted paths to a stable rule id and what it breaks.

The first row whose pattern matches wins (`*` matches within or across dots). Severities, from worst: `weights` (tensor names or shapes
differ: the checkpoint no longer loads), `behaviour` (it loads and computes something else), `capacity` (cache, context or memory),
`quantization` (the same architecture, stored differently), `info`. Ids are never reused.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

Severity = Literal["weights", "behaviour", "capacity", "quantization", "info"]
SEVERITIES: tuple[Severity, ...] = ("weights", "behaviour", "capacity", "quantization", "info")


class Rule(NamedTuple):
    """One row: its id, the paths it covers, what a change there breaks, and a title for people."""

    id: str
    pattern: str
    severity: Severity
    title: str


RULES: tuple[Rule, ...] = (
    Rule("family-changed", "family", "info", "another family reads the config"),
    Rule("model-type-changed", "model_type", "info", "another model_type"),
    Rule("hidden-size-changed", "hidden_size", "weights", "another hidden size"),
    Rule("vocabulary-changed", "vocab_size", "weights", "another vocabulary size"),
    Rule("context-changed", "context_length", "capacity", "another context length"),
    Rule("dtype-changed", "dtype", "quantization", "another dtype"),
    Rule("tied-embedding-changed", "embedding.tied", "weights", "the head is tied to the embedding or no longer is"),
    Rule("learned-positions-changed", "embedding.positions", "weights", "another table of learned positions"),
    Rule("embedding-norm-changed", "embedding.norm", "weights", "another norm after the embedding"),
    Rule("per-layer-embedding-changed", "embedding.per_layer*", "weights", "other per-layer embeddings"),
    Rule("embedding-scale-changed", "embedding.scale", "behaviour", "embeddings are multiplied by something else"),
    Rule("head-bias-changed", "head.bias", "weights", "the head has a bias or no longer has"),
    Rule("logit-softcap-changed", "head.softcap", "behaviour", "logits are capped differently"),
    Rule("logit-scale-changed", "head.scale", "behaviour", "logits are scaled differently"),
    Rule("final-norm-changed", "final_norm", "weights", "another final norm"),
    Rule("layers-changed", "layers", "weights", "other layers, or in another order"),
    Rule("rope-theta-changed", "mixers.*.rope.theta", "behaviour", "positions turn at another speed"),
    Rule("rotary-dims-changed", "mixers.*.rope.rotary_dim", "behaviour", "another share of each head turns"),
    Rule("rope-axes-changed", "mixers.*.rope.sections*", "behaviour", "positions have other axes"),
    Rule("rope-span-changed", "mixers.*.rope.span", "behaviour", "rotary pairs and frequencies are laid out over another width"),
    Rule("rope-pairing-changed", "mixers.*.rope.interleaved", "behaviour", "rotary pairs are laid out differently"),
    Rule("rope-scaling-changed", "mixers.*.rope.scaling*", "behaviour", "positions beyond the trained context are stretched differently"),
    Rule("rope-changed", "mixers.*.rope", "behaviour", "rotary positions came or went"),
    Rule("window-changed", "mixers.*.window", "behaviour", "attention sees another number of tokens"),
    Rule("chunk-changed", "mixers.*.chunk", "behaviour", "attention chunks have another length"),
    Rule("heads-changed", "mixers.*.heads", "weights", "another number of query heads"),
    Rule("kv-heads-changed", "mixers.*.kv_heads", "weights", "another number of key/value heads"),
    Rule("head-dim-changed", "mixers.*head_dim", "weights", "another head dimension"),
    Rule("latent-rank-changed", "mixers.*lora_rank", "weights", "another rank of the MLA latents"),
    Rule("qk-norm-changed", "mixers.*.qk_norm*", "weights", "queries and keys are normalised differently"),
    Rule("attention-bias-changed", "mixers.*bias", "weights", "attention has other biases"),
    Rule("shared-kv-changed", "mixers.*.kv_from", "weights", "keys and values are shared between other layers"),
    Rule("values-changed", "mixers.*.values_from_keys", "weights", "values come from the keys or no longer do"),
    Rule("value-norm-changed", "mixers.*.value_norm", "behaviour", "values are normed differently"),
    Rule("qkv-clip-changed", "mixers.*.clip", "behaviour", "queries, keys and values are cut differently"),
    Rule("mask-changed", "mixers.*.sees_ahead", "behaviour", "tokens of an image see others than before"),
    Rule("sinks-changed", "mixers.*.sinks", "weights", "attention sinks came or went"),
    Rule("output-gate-changed", "mixers.*.gate", "weights", "another output gate"),
    Rule("gate-activation-changed", "mixers.*.gate_activation", "behaviour", "the output gate has another activation"),
    Rule("attention-factor-changed", "mixers.*_scale", "behaviour", "values, queries or latents are multiplied by something else"),
    Rule("block-choice-changed", "mixers.*.block_index.*_blocks", "behaviour", "sparse attention reads another number of blocks"),
    Rule("block-index-changed", "mixers.*.block_index*", "weights", "another index of blocks"),
    Rule("index-sharing-changed", "mixers.*.index_from", "weights", "the choice of tokens is another layer's or no longer is"),
    Rule("compression-changed", "mixers.*.ratio", "weights", "entries of the cache stand for another number of tokens"),
    Rule("attention-softcap-changed", "mixers.*.softcap", "behaviour", "attention scores are capped differently"),
    Rule("softmax-scale-changed", "mixers.*.scale", "behaviour", "attention scores are scaled differently"),
    Rule("query-scaling-changed", "mixers.*.query_scaling*", "behaviour", "queries grow with position differently"),
    Rule("indexer-top-k-changed", "mixers.*.indexer.top_k", "behaviour", "sparse attention reads another number of tokens"),
    Rule("indexer-changed", "mixers.*.indexer*", "weights", "another sparse-attention indexer"),
    Rule("linear-attention-changed", "mixers.*.variant", "weights", "another kind of linear attention"),
    Rule("linear-heads-changed", "mixers.*_heads", "weights", "another number of linear-attention heads"),
    Rule("gate-order-changed", "mixers.*.gate_first", "behaviour", "gate and norm of the output changed places"),
    Rule("norm-groups-changed", "mixers.*.norm_groups", "behaviour", "the output is normed in other groups"),
    Rule("state-dtype-changed", "mixers.*.state_dtype", "capacity", "the recurrent state is kept in another dtype"),
    Rule("conv-kernel-changed", "mixers.*.conv_kernel", "weights", "another short convolution"),
    Rule("mixer-changed", "mixers.*", "weights", "another mixer"),
    Rule("expert-count-changed", "ffns.*.experts", "weights", "another number of experts"),
    Rule("active-experts-changed", "ffns.*.active", "behaviour", "another number of experts serves a token"),
    Rule("expert-width-changed", "ffns.*.expert_width", "weights", "experts of another width"),
    Rule("zero-experts-changed", "ffns.*.zero_experts", "weights", "another number of experts that return their input"),
    Rule("shared-clamp-changed", "ffns.*.shared_clamp", "behaviour", "the shared experts' activations are clamped differently"),
    Rule("expert-latent-changed", "ffns.*.latent_width", "weights", "experts work in a latent of another width"),
    Rule("shared-experts-changed", "ffns.*.shared_*", "weights", "other shared experts"),
    Rule("token-table-changed", "ffns.*.router.token_table", "weights", "a table of token ids chooses experts or no longer does"),
    Rule("router-bias-changed", "ffns.*.router.*bias", "weights", "the router has other biases"),
    Rule("router-scales-changed", "ffns.*.router.*_scale", "weights", "the router has other learned scales"),
    Rule("router-changed", "ffns.*.router*", "behaviour", "experts are chosen or weighted differently"),
    Rule("activation-changed", "ffns.*.activation", "behaviour", "another activation"),
    Rule("activation-clamp-changed", "ffns.*.clamp*", "behaviour", "activations are clamped differently"),
    Rule("mlp-gate-changed", "ffns.*.gated", "weights", "the feed-forward block is gated or no longer is"),
    Rule("mlp-bias-changed", "ffns.*.bias", "weights", "the feed-forward block has a bias or no longer has"),
    Rule("sparsity-changed", "ffns.*.sparsity", "behaviour", "another share of activations passes"),
    Rule("mlp-width-changed", "ffns.*.width", "weights", "another feed-forward width"),
    Rule("ffn-changed", "ffns.*", "weights", "another feed-forward block"),
    Rule("norm-eps-changed", "norms.*.eps", "behaviour", "another norm epsilon"),
    Rule("norm-offset-changed", "norms.*.offset", "behaviour", "norms multiply by another offset"),
    Rule("norm-changed", "norms.*", "weights", "another norm"),
    Rule("layer-scale-changed", "layer_kinds.*learned_scale", "weights", "layers have a learned scale or no longer have"),
    Rule("residual-scale-changed", "layer_kinds.*scale", "behaviour", "the residual stream is scaled differently"),
    Rule("wiring-changed", "layer_kinds.*", "weights", "blocks or norms are wired differently"),
    Rule("residual-changed", "residual*", "weights", "the residual stream is kept in another form"),
    Rule("mtp-changed", "mtp*", "info", "other multi-token prediction modules"),
    Rule("tower-changed", "towers.*", "weights", "another encoder"),
    Rule("quantization-changed", "quantization*", "quantization", "stored differently"),
    Rule("other-tensor-changed", "other.*", "weights", "another tensor outside the blocks"),
)


def rule_for(path: str) -> Rule:
    """The rule that covers a path. Raises LookupError for a path that no row covers."""
    for rule in RULES:
        if fnmatchcase(path, rule.pattern):
            return rule
    raise LookupError(f"no rule covers {path}")
