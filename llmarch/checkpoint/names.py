"""The same tensor under its several published names.

`canonical` takes off what wrappers and library versions put on (`model.`, `language_model.`, `vision_model.`, `block_sparse_moe`,
`w1`/`w2`/`w3`), alike for template and checkpoint, so that names meet; `place` says of which fused tensor a tensor is a part (experts
stacked, gate and up or q, k and v in one), so that both sides can be fused before they are compared. Rules know names only, no family.

Sources: transformers 5.23.0 conversion_mapping.py (mixtral, qwen2_moe, llava, granitemoe); mlx-lm models/switch_layers.py (switch_mlp)
and models/deepseek_v3.py (embed_q, unembed_out); Mistral's params.json repositories (reference/mistral_native.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ..architecture.frozen import Frozen, frozen
from .logical import Shape
from .roles import TOWER_NAME

WRAPPERS = ("model.", "language_model.", "transformer.", "text_model.")
MISTRAL_NATIVE = frozenset(
    {"tok_embeddings.weight", "layers.{}.attention_norm.weight", "layers.{}.attention.wo.weight"}
)

_EXPERT_MATRIX = r"(gate_up_proj|gate_proj|up_proj|down_proj)"
CANONICAL_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^vision_tower\.vision_model\."), "vision_tower."),
    (re.compile(r"^vision_tower\.encoder\.patch_embed\."), "vision_tower.patch_embed."),
    (re.compile(r"^embed\.weight$"), "embed_tokens.weight"),
    (re.compile(r"^head\.weight$"), "lm_head.weight"),
    (re.compile(r"^blocks\.\{\}\."), "layers.{}."),
    (re.compile(r"\bhc_head\.hc_"), "hc_head_"),
    (re.compile(r"\.attn\.kv_norm\."), ".attn.norm."),
    (re.compile(r"\.block_sparse_moe\."), ".mlp."),
    (re.compile(r"\.mlp\.gate\.e_score_correction_bias$"), ".mlp.e_score_correction_bias"),
    (re.compile(r"\.mlp\.input_linear\.weight$"), ".mlp.experts.gate_up_proj"),
    (re.compile(r"\.mlp\.output_linear\.weight$"), ".mlp.experts.down_proj"),
    (re.compile(r"\.mlp\.router\.layer\.weight$"), ".mlp.router.weight"),
    (re.compile(r"\.switch_mlp\."), ".experts."),
    (re.compile(r"\.experts\.((?:\{\}\.)?)w1(?=\.|$)"), r".experts.\1gate_proj"),
    (re.compile(r"\.experts\.((?:\{\}\.)?)w2(?=\.|$)"), r".experts.\1down_proj"),
    (re.compile(r"\.experts\.((?:\{\}\.)?)w3(?=\.|$)"), r".experts.\1up_proj"),
    (re.compile(r"\.experts\.((?:\{\}\.)?)fc1(?=\.|$)"), r".experts.\1up_proj"),
    (re.compile(r"\.experts\.((?:\{\}\.)?)fc2(?=\.|$)"), r".experts.\1down_proj"),
    (re.compile(rf"\.experts\.{_EXPERT_MATRIX}\.weight$"), r".experts.\1"),
    (re.compile(rf"\.experts\.{_EXPERT_MATRIX}\.bias$"), r".experts.\1_bias"),
    (
        re.compile(r"\.(?:qkv|W_pack|query_key_value|c_attn|wqkv|Wqkv)(?=\.(?:weight|bias)$)"),
        ".qkv_proj",
    ),
)


def wrapper_prefix(pattern: str) -> str:
    """The wrappers that a name starts with: `model.language_model.`."""
    at = 0
    while found := next((w for w in WRAPPERS if pattern.startswith(w, at)), None):
        at += len(found)
    return pattern[:at]


_SHARED = r"(?:shared?_experts?|shared_mlp)"
_ATTENTION = r"(attn|attention|self_attn|self_attention)"
LAYER_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"(^|\.)(?:router|gate)\.(?:gate|classifier|wg|proj|layer)\.(weight|bias)$"),
        r"\1router.\2",
    ),
    (
        re.compile(r"(^|\.)(?:router|gate|experts|moe_statics)\.e_score_correction_bias$"),
        r"\1e_score_correction_bias",
    ),
    (re.compile(rf"(^|\.){_SHARED}\."), r"\1shared_experts."),
    (re.compile(r"(^|\.)shared_experts\.w1\."), r"\1shared_experts.gate_proj."),
    (re.compile(r"(^|\.)shared_experts\.w3\."), r"\1shared_experts.up_proj."),
    (re.compile(r"(^|\.)shared_experts\.(?:w2|output_linear)\."), r"\1shared_experts.down_proj."),
    (re.compile(r"(^|\.)shared_experts\.input_linear\."), r"\1shared_experts.gate_up_proj."),
    (re.compile(r"\.query_(layernorm|norm)\."), r".q_\1."),
    (re.compile(r"\.key_(layernorm|norm)\."), r".k_\1."),
    (re.compile(r"^(?:gate|router)\.weight$"), "router.weight"),
    (re.compile(r"(^|\.)experts\.linear_fc1(?:\.weight)?$"), r"\1experts.up_proj"),
    (re.compile(r"(^|\.)experts\.linear_fc2(?:\.weight)?$"), r"\1experts.down_proj"),
    (re.compile(r"^(att_proj|attn_out)\."), r"attn.\1."),
    (re.compile(r"^(ff_proj|ff_out)\."), r"mlp.\1."),
    (re.compile(rf"^{_ATTENTION}\.(?:to_|w)([qkv])\."), r"\1.\2_proj."),
    (re.compile(rf"^{_ATTENTION}\.att_proj\."), r"\1.qkv_proj."),
    (re.compile(rf"^{_ATTENTION}\.(?:to_out(?:\.\{{\}})?|attn_out|Wo)\."), r"\1.o_proj."),
    (re.compile(r"^(mlp|ffn|feed_forward)\.(?:Wi|ff_proj)\."), r"\1.up_proj."),
    (re.compile(r"^(mlp|ffn|feed_forward)\.(?:Wo|ff_out)\."), r"\1.down_proj."),
    (re.compile(r"^laurel\.post_laurel_norm\."), "post_laurel_norm."),
    (re.compile(r"^per_layer_input_gate\."), "per_layer_input.gate."),
    (re.compile(r"^per_layer_projection\."), "per_layer_input.projection."),
)
"""Names of one layer, in the spelling that sightings look for. For what is observed alone: the join does not know them."""


def canonical_in_layer(name: str) -> str:
    """A name within a layer as sightings expect it, whoever wrote it."""
    for rule, to in LAYER_RULES:
        name = rule.sub(to, name)
    return name


def canonical(pattern: str) -> str:
    """The name without wrappers, in one spelling; equal for all spellings of a tensor."""
    name = pattern[len(wrapper_prefix(pattern)) :]
    for rule, to in CANONICAL_RULES:
        name = rule.sub(to, name)
    return name


def canonicalizer(patterns: Iterable[str]) -> Callable[[str], str]:
    """`canonical` for the names of one checkpoint: where they are Mistral's own, they become the Hub's first."""
    if MISTRAL_NATIVE.isdisjoint(patterns):
        return canonical
    from ..config.mistral_native import hub_name

    return lambda p: canonical(hub_name(p) or p)


# --- fusing -------------------------------------------------------------------------------------------------------


@frozen
class FusedPlace(Frozen):
    """Where a tensor sits in the fused tensor `key`: slot `at` of `of` (0 of 1 is all of it), of one `expert` or of all."""

    key: str
    slot: int = 0
    slots: int = 1
    per_expert: bool = False


@frozen
class _Fusing(Frozen):
    """Names that `pattern` matches fuse to `key`; its second group is the slot, if there are `slots`."""

    pattern: re.Pattern[str]
    key: str
    slots: tuple[str, ...] = ()
    expert: bool = False


_GATE_UP, _QKV = ("gate_proj", "up_proj"), ("q_proj", "k_proj", "v_proj")
FUSINGS = (
    _Fusing(
        re.compile(r"^(.*\.experts)\.\{\}\.(gate_proj|up_proj)\.weight$"),
        r"\1.gate_up_proj",
        _GATE_UP,
        expert=True,
    ),
    _Fusing(
        re.compile(r"^(.*\.experts)\.\{\}\.(gate_proj|up_proj)\.bias$"),
        r"\1.gate_up_proj_bias",
        _GATE_UP,
        expert=True,
    ),
    _Fusing(
        re.compile(r"^(.*\.experts)\.\{\}\.(gate_up_proj|down_proj)\.weight$"),
        r"\1.\2",
        expert=True,
    ),
    _Fusing(
        re.compile(r"^(.*\.experts)\.\{\}\.(gate_up_proj|down_proj)\.bias$"),
        r"\1.\2_bias",
        expert=True,
    ),
    _Fusing(
        re.compile(r"^(.*\.experts)\.(gate_proj|up_proj)((?:_bias)?)$"),
        r"\1.gate_up_proj\3",
        _GATE_UP,
    ),
    _Fusing(re.compile(r"^(.*\.experts)\.((?:gate_up|down)_proj(?:_bias)?)$"), r"\1.\2"),
    _Fusing(
        re.compile(r"^(.*)\.(gate_proj|up_proj)\.(weight|bias)$"), r"\1.gate_up_proj.\3", _GATE_UP
    ),
    _Fusing(re.compile(r"^(.*)\.(gate_up_proj)\.(weight|bias)$"), r"\1.\2.\3"),
    _Fusing(re.compile(r"^(.*)\.(q_proj|k_proj|v_proj)\.(weight|bias)$"), r"\1.qkv_proj.\3", _QKV),
    _Fusing(re.compile(r"^(.*)\.(qkv_proj)\.(weight|bias)$"), r"\1.\2.\3"),
    _Fusing(
        re.compile(r"^(.*)\.(in_proj_qkv|in_proj_z)\.weight$"),
        r"\1.in_proj_qkvz.weight",
        ("in_proj_qkv", "in_proj_z"),
    ),
    _Fusing(
        re.compile(r"^(.*)\.(in_proj_b|in_proj_a)\.weight$"),
        r"\1.in_proj_ba.weight",
        ("in_proj_b", "in_proj_a"),
    ),
    _Fusing(re.compile(r"^(.*)\.(in_proj_qkvz|in_proj_ba)\.weight$"), r"\1.\2.weight"),
    _Fusing(
        re.compile(r"^(.*)\.(embed_q|unembed_out)\.weight$"),
        r"\1.kv_b_proj.weight",
        ("embed_q", "unembed_out"),
    ),
    _Fusing(re.compile(r"^(.*)\.(kv_b_proj)\.weight$"), r"\1.\2.weight"),
)


def fused_place(key: str) -> FusedPlace | None:
    """The fused tensor that a canonical name belongs to, itself included; None where no fusing is known."""
    for f in FUSINGS:
        if m := f.pattern.match(key):
            return FusedPlace(
                m.expand(f.key), f.slots.index(m[2]) if f.slots else 0, len(f.slots) or 1, f.expert
            )
    return None


def joined_shape(key: str, parts: Sequence[Shape]) -> Shape | None:
    """The shape of parts in one: along the outputs, [I, h] and [I, h] -> [2I, h], stacked [E, I, h] twice -> [E, 2I, h]. MLX's absorbed
    MLA, per head [H, rank, nope] and [H, v, rank] -> [H * (nope + v), rank]. None for parts that do not fit together."""
    first = parts[0]
    if len(parts) == 2 and len(first) == 3 and key.endswith("kv_b_proj.weight"):
        (heads, rank, nope), (*also, v, again) = first, parts[1]
        return (heads * (nope + v), rank) if also == [heads] and again == rank else None
    axis = len(first) - (1 if key.endswith("bias") else 2)
    if axis < 0 or len({(s[:axis], s[axis + 1 :]) for s in parts}) > 1:
        return None
    return (*first[:axis], sum(s[axis] for s in parts), *first[axis + 1 :])


def other_layout(key: str, shape: Shape) -> Shape | None:
    """The other layout that the same tensor is stored in: stacked experts with inputs first ([E, in, out] in Llama 4 and gpt-oss),
    convolutions with channels last (MLX). None where there is but one."""
    if len(shape) == 3 and ".experts." in key:
        return (shape[0], shape[2], shape[1])
    if len(shape) >= 3 and key.endswith(".weight") and ("conv" in key or "patch_embed" in key):
        return (shape[0], *shape[2:], shape[1])
    return None


# --- saying it ----------------------------------------------------------------------------------------------------

_LAYER = re.compile(r"(^|\.)(layers|h|blocks)\.\{\}\.")


def naming_notes(key: str, templates: Sequence[str], stored: str) -> list[str]:
    """How the checkpoint spells a tensor that the template names otherwise, for people."""
    if stored in templates:
        return []
    out: list[str] = []
    native = any(
        part in stored for part in (".attention.w", ".feed_forward.w", "attention_norm", "ffn_norm")
    ) and not wrapper_prefix(stored)
    if native and canonical(stored) not in map(canonical, templates):
        out.append("Mistral's own names")
    elif (
        _LAYER.search(stored)
        and not TOWER_NAME.match(canonical(stored))
        and wrapper_prefix(templates[0]) != wrapper_prefix(stored)
    ):
        out.append(
            f"names begin with {wrapper_prefix(stored) or 'layers'} instead of {wrapper_prefix(templates[0]) or 'layers'}"
        )
    if ".switch_mlp." in stored:
        out.append("experts stacked as MLX does")
    elif ".experts." in key and stored.count("{}") < templates[0].count("{}"):
        out.append("experts fused")
    elif ".experts." in key and stored.count("{}") > templates[0].count("{}"):
        out.append("experts one by one")
    elif "unembed_out" in stored:
        out.append("kv_b_proj absorbed per head")
    elif len(templates) > 1:
        out.append(f"{key.split('.')[-2]} fused")
    elif canonical(stored) != canonical(templates[0]) and not native and fused_place(key):
        out.append(f"{key.split('.')[-2]} split")
    if "block_sparse_moe" in templates[0] and ".mlp." in stored:
        out.append("mlp instead of block_sparse_moe")
    return out
