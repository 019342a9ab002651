"""The names of a tensor that are recognised, and the one canonical name of each.

`canonical` removes what wrappers and library versions add or rename, alike for template and
checkpoint, so that equal tensors have equal names. A spelling is recognised here, and only here:
WRAPPERS are the prefixes, CANONICAL_RULES the names, each with who writes it. Rules look at names
only: what one family needs is recognised for all. Whether a loader of the family finds the name
is another question (loaders.py).

`canonicalizer` adds Mistral's native names (tensors/mistral_names.py) for a checkpoint that has
them. `naming_notes` reports which spelling a checkpoint uses.

Sources: transformers 5.23.0 conversion_mapping.py (mixtral, qwen2_moe, llava, granitemoe);
mlx-lm models/switch_layers.py (switch_mlp) and models/deepseek_v3.py (embed_q, unembed_out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from ..tensors.conversion import Conversion
from .layouts import fused_place
from .roles import TOWER_NAME

WRAPPERS = ("model.", "language_model.", "transformer.", "text_model.", "gpt_neox.", "backbone.")
"""Recognised prefixes, in any number and order.

model.           the head class of most families
language_model.  multimodal classes: Llama 4, Gemma 3, Mistral Small 3.1, Kimi K2.5, MiniMax-M3;
                 transformers 5 writes model.language_model.
transformer.     the head class of GPT-2
text_model.      text parts of multimodal classes
gpt_neox.        the head class of GPT-NeoX
backbone.        the head class of Nemotron-H
"""

MANY_NAMES = 1 << 14
"""Of how many names the canonical ones are kept: more than a template has, and no more memory than
a few MB whatever a repository holds."""


class NameRule(NamedTuple):
    """A recognised spelling and what it becomes."""

    pattern: re.Pattern[str]
    replacement: str
    used_by: str
    """The families, libraries or tools that write the name so."""


def _rule(pattern: str, replacement: str, used_by: str = "") -> NameRule:
    return NameRule(re.compile(pattern), replacement, used_by)


_EXPERT_MATRIX = r"(gate_up_proj|gate_proj|up_proj|down_proj)"
_FUSED_QKV = r"(?:qkv|W_pack|query_key_value|c_attn|wqkv|Wqkv)"
CANONICAL_RULES = (
    # Whole modules.
    _rule(
        r"^vision_tower\.vision_model\.",
        "vision_tower.",
        "Gemma 3, MiniMax-M3; transformers 5 leaves vision_model out",
    ),
    _rule(
        r"^vision_tower\.encoder\.patch_embed\.",
        "vision_tower.patch_embed.",
        "Kimi K2.5 as transformers writes it",
    ),
    _rule(r"^embed\.weight$", "embed_tokens.weight", "DeepSeek V4"),
    _rule(r"^head\.weight$", "lm_head.weight", "DeepSeek V4"),
    _rule(r"^blocks\.\{\}\.", "layers.{}.", "MPT and other models before Llama"),
    _rule(r"\bhc_head\.hc_", "hc_head_", "DeepSeek V4 as transformers writes it"),
    _rule(r"\.attn\.kv_norm\.", ".attn.norm.", "DeepSeek V4; transformers writes attn.norm"),
    _rule(
        r"\.block_sparse_moe\.",
        ".mlp.",
        "Mixtral, MiniMax, Kimi Linear, Granite MoE; transformers 5 writes mlp",
    ),
    # Routers.
    _rule(
        r"\.mlp\.gate\.e_score_correction_bias$",
        ".mlp.e_score_correction_bias",
        "DeepSeek V3, GLM-4.5, Kimi K2; MiniMax has the bias beside the gate",
    ),
    _rule(r"\.mlp\.input_linear\.weight$", ".mlp.experts.gate_up_proj", "Granite MoE"),
    _rule(r"\.mlp\.output_linear\.weight$", ".mlp.experts.down_proj", "Granite MoE"),
    _rule(r"\.mlp\.router\.layer\.weight$", ".mlp.router.weight", "Granite MoE"),
    # Experts.
    _rule(r"\.switch_mlp\.", ".experts.", "mlx-lm, SwitchGLU and SwitchMLP"),
    _rule(
        r"\.experts\.((?:\{\}\.)?)w1(?=\.|$)",
        r".experts.\1gate_proj",
        "Mixtral, DeepSeek V4, Kimi Linear, MiniMax",
    ),
    _rule(
        r"\.experts\.((?:\{\}\.)?)w2(?=\.|$)",
        r".experts.\1down_proj",
        "Mixtral, DeepSeek V4, Kimi Linear, MiniMax",
    ),
    _rule(
        r"\.experts\.((?:\{\}\.)?)w3(?=\.|$)",
        r".experts.\1up_proj",
        "Mixtral, DeepSeek V4, Kimi Linear, MiniMax",
    ),
    _rule(
        r"\.experts\.((?:\{\}\.)?)fc1(?=\.|$)",
        r".experts.\1up_proj",
        "mlx-lm, SwitchMLP: experts without a gate (Nemotron 3)",
    ),
    _rule(
        r"\.experts\.((?:\{\}\.)?)fc2(?=\.|$)",
        r".experts.\1down_proj",
        "mlx-lm, SwitchMLP: experts without a gate (Nemotron 3)",
    ),
    _rule(
        rf"\.experts\.{_EXPERT_MATRIX}\.weight$",
        r".experts.\1",
        "mlx-lm; stacked experts of transformers are parameters without .weight",
    ),
    _rule(
        rf"\.experts\.{_EXPERT_MATRIX}\.bias$",
        r".experts.\1_bias",
        "mlx-lm; gpt-oss has gate_up_proj_bias",
    ),
    # Attention.
    _rule(
        rf"\.{_FUSED_QKV}(?=\.(?:weight|bias)$)",
        ".qkv_proj",
        "GPT-2 (c_attn), Baichuan (W_pack), GPT-NeoX and Falcon (query_key_value), InternLM2 "
        "(wqkv), MPT and DBRX (Wqkv), vision towers (qkv); Phi 3 has qkv_proj",
    ),
    _rule(
        r"\.(attn|self_attn)\.in_proj_(weight|bias)$",
        r".\1.qkv_proj.\2",
        "Step 3.7's tower, as torch's MultiheadAttention",
    ),
)
"""Recognised names and the canonical ones, applied in this order to a name without wrappers."""

_SHARED = r"(?:shared?_experts?|shared_mlp)"
_ATTENTION = r"(attn|attention|self_attn|self_attention)"
LAYER_RULES = (
    # Routers.
    _rule(
        r"(^|\.)(?:router|gate)\.(?:gate|classifier|wg|proj|layer)\.(weight|bias)$",
        r"\1router.\2",
    ),
    _rule(
        r"(^|\.)(?:router|gate|experts|moe_statics)\.e_score_correction_bias$",
        r"\1e_score_correction_bias",
    ),
    # Shared experts.
    _rule(rf"(^|\.){_SHARED}\.", r"\1shared_experts."),
    _rule(r"(^|\.)shared_experts\.w1\.", r"\1shared_experts.gate_proj."),
    _rule(r"(^|\.)shared_experts\.w3\.", r"\1shared_experts.up_proj."),
    _rule(
        r"(^|\.)shared_experts\.(?:w2|output_linear)\.",
        r"\1shared_experts.down_proj.",
    ),
    _rule(r"(^|\.)shared_experts\.input_linear\.", r"\1shared_experts.gate_up_proj."),
    # QK-norms.
    _rule(r"\.query_(layernorm|norm)\.", r".q_\1."),
    _rule(r"\.key_(layernorm|norm)\.", r".k_\1."),
    # Modules that stand directly in the layer.
    _rule(r"^(?:gate|router)\.weight$", "router.weight"),
    _rule(r"(^|\.)experts\.linear_fc1(?:\.weight)?$", r"\1experts.up_proj"),
    _rule(r"(^|\.)experts\.linear_fc2(?:\.weight)?$", r"\1experts.down_proj"),
    _rule(r"^(att_proj|attn_out)\.", r"attn.\1."),
    _rule(r"^(ff_proj|ff_out)\.", r"mlp.\1."),
    # Projections of attention and feed-forward modules.
    _rule(rf"^{_ATTENTION}\.(?:to_|w)([qkv])\.", r"\1.\2_proj."),
    _rule(rf"^{_ATTENTION}\.att_proj\.", r"\1.qkv_proj."),
    _rule(rf"^{_ATTENTION}\.(?:to_out(?:\.\{{\}})?|attn_out|Wo)\.", r"\1.o_proj."),
    _rule(r"^(mlp|ffn|feed_forward)\.(?:Wi|ff_proj)\.", r"\1.up_proj."),
    _rule(r"^(mlp|ffn|feed_forward)\.(?:Wo|ff_out)\.", r"\1.down_proj."),
    # Gemma 3n.
    _rule(r"^laurel\.post_laurel_norm\.", "post_laurel_norm."),
    _rule(r"^per_layer_input_gate\.", "per_layer_input.gate."),
    _rule(r"^per_layer_projection\.", "per_layer_input.projection."),
)
"""Names within a layer, for inference alone: matching with a template does not know them."""

MISTRAL_NATIVE = frozenset(
    {
        "tok_embeddings.weight",
        "layers.{}.attention_norm.weight",
        "layers.{}.attention.wo.weight",
    }
)
"""A checkpoint with one of these has Mistral's native names."""


def wrapper_prefix(pattern: str) -> str:
    """Return the wrappers that a name starts with: `model.language_model.`."""
    end = 0
    while True:
        for wrapper in WRAPPERS:
            if pattern.startswith(wrapper, end):
                end += len(wrapper)
                break
        else:
            return pattern[:end]


@lru_cache(maxsize=MANY_NAMES)
def canonical(pattern: str) -> str:
    """Return the name without wrappers, equal for all accepted spellings of a tensor."""
    prefix = wrapper_prefix(pattern)
    name = pattern.removeprefix(prefix)
    for rule in CANONICAL_RULES:
        name = rule.pattern.sub(rule.replacement, name)
    return name


def canonical_in_layer(name: str) -> str:
    """Return a canonical name within a layer as inference expects it."""
    for rule in LAYER_RULES:
        name = rule.pattern.sub(rule.replacement, name)
    return name


def canonicalizer(
    patterns: Iterable[str], conversion: Conversion
) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return what makes canonical names of the template's rows, and of the stored names.

    Both are renamed first as transformers does for the model_type, so that published names and
    those of its class are equal. If the stored names are Mistral's native ones, they are
    translated before.
    """

    canonical_of_row = _canonical_of_row(conversion)
    if MISTRAL_NATIVE.isdisjoint(patterns):
        return canonical_of_row, canonical_of_row
    from ..tensors.mistral_names import hub_name

    def canonical_of_native(pattern: str) -> str:
        return canonical_of_row(hub_name(pattern) or pattern)

    return canonical_of_row, canonical_of_native


@cache
def _canonical_of_row(conversion: Conversion) -> Callable[[str], str]:
    """Return what makes canonical names; a search for a conflict asks for each many times."""

    base = f"{conversion.base}."

    @lru_cache(maxsize=MANY_NAMES)
    def canonical_of_row(pattern: str) -> str:
        renamed = conversion.renamed(pattern)
        return canonical(renamed.removeprefix(base))

    return canonical_of_row


# --- notes --------------------------------------------------------------------------------------

_LAYER = re.compile(r"(^|\.)(layers|h|blocks)\.\{\}\.")
_NATIVE_PARTS = (".attention.w", ".feed_forward.w", "attention_norm", "ffn_norm")


def naming_notes(key: str, templates: Sequence[str], stored: str) -> list[str]:
    """Return notes for people on how the checkpoint names a tensor.

    key: its canonical name, of the fused tensor where one side is fused.
    templates: the names that the template has for it, several where the stored one is fused.
    stored: the stored name.
    """
    if stored in templates:
        return []
    notes = [
        _prefix_note(templates, stored),
        _layout_note(key, templates, stored),
    ]
    if "block_sparse_moe" in templates[0] and ".mlp." in stored:
        notes.append("mlp instead of block_sparse_moe")
    return [note for note in notes if note]


def _is_native(stored: str) -> bool:
    return any(part in stored for part in _NATIVE_PARTS) and not wrapper_prefix(stored)


def _prefix_note(templates: Sequence[str], stored: str) -> str:
    """Return a note on other wrappers than the template's, or on native names."""
    if _is_native(stored) and canonical(stored) not in map(canonical, templates):
        return "Mistral's own names"
    if not _LAYER.search(stored) or TOWER_NAME.match(canonical(stored)):
        return ""

    expected = wrapper_prefix(templates[0])
    prefix = wrapper_prefix(stored)
    if prefix == expected:
        return ""

    return f"names begin with {prefix or 'layers'} instead of {expected or 'layers'}"


def _layout_note(key: str, templates: Sequence[str], stored: str) -> str:
    """Return a note on a tensor that one side stacks, fuses or splits."""
    template = templates[0]
    if ".switch_mlp." in stored:
        return "experts stacked as MLX does"
    if ".experts." in key and stored.count("{}") < template.count("{}"):
        return "experts fused"
    if ".experts." in key and stored.count("{}") > template.count("{}"):
        return "experts one by one"
    if "unembed_out" in stored:
        return "kv_b_proj absorbed per head"
    if len(templates) > 1:
        return f"{_module_of(key)} fused"
    if _is_native(stored) or canonical(stored) == canonical(template):
        return ""
    if fused_place(key) is not None:
        return f"{_module_of(key)} split"
    return ""


def _module_of(key: str) -> str:
    """Return `qkv_proj` of `layers.{}.self_attn.qkv_proj.weight`."""
    return key.split(".")[-2]
