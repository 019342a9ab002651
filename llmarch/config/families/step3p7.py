"""Step 3.5 Flash (`step3p5`) and 3.7 Flash (`step3p7`, the same decoder behind a vision tower).

Sliding layers with more query heads, every fourth layer full; a gate for each head, norms that
multiply by (1 + weight), three dense layers, then MoE with a shared expert. The last two layers
clamp what experts take in. Three MTP layers are stored after the last, each with a head of its
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..findings import layer_list_length
from ..vocabulary import ConfigKeys, Family, modeling

_EXPECTED = {
    "use_moe": True,
    "use_head_wise_attn_gate": True,
    "zero_centered": True,
    "use_qk_norm": True,
    "att_impl_type": "GQA",
}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "step3p7":
        return _wrapper(c)
    layers = blocks.sliding_layers(c, lambda i: False, "no layer_types: every layer is full")
    feed_forward = _read_feed_forward(c)
    wiring = blocks.layer_wiring(layers, feed_forward.layers)
    for key, value in _EXPECTED.items():
        c.expect(key, value)
    # repeats the context; precision; not read
    c.ignore("max_seq_len", "need_fp32_gate", "sink", "moe_every_n_layer", "moe_layer_offset")
    readers: dict[str, Callable[[ConfigKeys], Draft]] = {
        "full": lambda c: _mixer(c, layers.value, "full"),
        "sliding": lambda c: _mixer(c, layers.value, "sliding"),
    }
    modules = _mtp(c, layers, feed_forward, wiring)
    used = [*layers.value]
    if isinstance(modules, Draft):
        used.append(_mtp_mixer(c, layers))
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, used),
        ffns=feed_forward.blocks,
        embedding=blocks.untied_embedding(c),
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=modules,
        **wiring,
    )


def _wrapper(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder. Raises ConfigError if it does not nest the decoder's keys."""
    if not c.has("text_config"):
        raise ConfigError(
            f"{c.file}: text_config is missing",
            "The published files nest the decoder there, with the sliding layers' query heads.",
        )
    part = FAMILY.part(c, "text_config", "step3p5")
    c.ignore("image_token_len", "patch_token_len", "understand_projector_stride")
    c.ignore("projector_bias", "im_start_token", "im_end_token", "im_patch_token")
    return blocks.wrapped(c, part, FAMILY.read_layers(part), vision=_vision_tower)


def _mixer(c: ConfigKeys, layers: list[str], kind: str) -> Draft:
    """Read the attention of a kind of layers.

    rope_theta and partial_rotary_factors may have an entry for each layer, of which those of one
    kind agree.
    """
    first = len(layers) - 1
    if kind in layers:
        first = layers.index(kind)

    dim = blocks.read_head_dim(c)
    groups = c.size("num_attention_groups", "num_key_value_heads")
    heads = _query_heads(c, kind, groups, dim)
    theta = _entry_of_layer(c, "rope_theta", first, 10000.0)
    share = _entry_of_layer(c, "partial_rotary_factors", first, 1.0)
    c.expect("yarn_only_types", ["full_attention"])
    rope = blocks.rope_of_type(
        c,
        dim,
        f"{kind}_attention",
        theta=theta,
        share=share,
        scaled=kind == "full",
    )

    window = None
    if kind == "sliding":
        window = c.size("sliding_window")

    return blocks.attention(
        c,
        heads=heads,
        kv_heads=groups,
        head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head", offset=1),
        gate="head",
        window=window,
        scale=_softmax_scale(c, dim),
        rope=rope,
        **blocks.attention_biases(c),
    )


def _softmax_scale(c: ConfigKeys, dim: Sourced) -> Sourced | None:
    """Read the factor of scores if it is not the usual 1 / sqrt(head dim)."""
    scalar = c.positive("query_pre_attn_scalar", default=dim)
    if scalar.value == dim.value:
        return None

    scale = round(scalar.value**-0.5, 9)
    formula = f"1 / sqrt({scalar.evidence.ref})"
    return derived(scale, formula)


def _query_heads(c: ConfigKeys, kind: str, groups: Sourced, dim: Sourced) -> Sourced:
    """Read the query heads of a kind of layers.

    Sliding layers have theirs under the class's key, or in the published attention_other_setting.
    """
    heads = c.size("num_attention_heads")
    other = c.child("attention_other_setting")
    other.expect("attention_type", "sliding_attention")
    other.expect("num_attention_groups", groups.value)
    other.expect("head_dim", dim.value)
    own = heads
    if other.has("num_attention_heads"):
        own = other.size("num_attention_heads")
    own = c.size("num_sliding_attention_heads", default=own)
    if kind == "full" or "per_layer_config" in c.data:  # it has the heads of sliding layers
        return heads
    return own


def _entry_of_layer(c: ConfigKeys, key: str, layer: int, default: float) -> Sourced:
    """Read the entry of a list with one for each layer, or the number in the list's place."""
    given = c.value(key, default=default)
    entries: Any = given.value
    if not isinstance(entries, list):
        return c.number(key, default=default)

    numbers: list[Any] = entries  # pyright: ignore[reportUnknownVariableType]
    count = len(numbers)
    layers = c.layer_count().value
    layer_list_length(c, key, count, layers)

    if layer >= count:
        raise ConfigError(f"{c.file}: {c.key(key)} has no number for layer {layer}")
    number = c.as_number(key, numbers[layer])
    return same_evidence(number, given)


class _FeedForward(NamedTuple):
    """The feed-forward blocks by name, and the name of each layer's."""

    blocks: dict[str, Draft]
    layers: Sourced


class _ClampedBlock(NamedTuple):
    """What layers have in common that share a feed-forward block."""

    kind: str
    routed_clamp: float | None
    shared_clamp: float | None


def _read_feed_forward(c: ConfigKeys) -> _FeedForward:
    """Read each layer's block, dense or MoE; layers with other clamps have other blocks."""
    after_three = derived(None, "no moe_layers_enum: layers from 3 on are MoE")
    kinds = blocks.moe_layers(c, lambda i: i >= 3, after_three, indices="moe_layers_enum")
    routed = _clamps(c, "swiglu_limits")
    shared = _clamps(c, "swiglu_limits_shared")

    names: dict[_ClampedBlock, str] = {}
    blocks_of_kind: Counter[str] = Counter()
    ffns: dict[str, Draft] = {}
    layers: list[str] = []
    rows = zip(kinds.value, routed.value, shared.value, strict=True)
    for row in rows:
        block = _ClampedBlock(*row)
        if block.kind != "moe":
            block = block._replace(routed_clamp=None)  # it has no routed experts

        if block not in names:
            name = _numbered_block(block.kind, blocks_of_kind[block.kind])
            blocks_of_kind[block.kind] += 1
            names[block] = name
            ffns[name] = _READERS[block.kind](
                c,
                same_evidence(block.routed_clamp, routed),
                same_evidence(block.shared_clamp, shared),
            )

        layers.append(names[block])

    if "moe" not in kinds.value:
        c.ignore("moe_num_experts", "moe_top_k", "moe_intermediate_size", "share_expert_dim")

    return _FeedForward(ffns, same_evidence(layers, kinds))


def _numbered_block(kind: str, earlier: int) -> str:
    """Return the name of a block after so many `earlier` ones of its kind."""
    if earlier == 0:
        return kind
    if earlier == 1:
        return f"{kind}_clamped"
    return f"{kind}_clamped_{earlier}"


def _clamps(c: ConfigKeys, key: str) -> Sourced:
    """Read one clamp for each layer, None where it is 0."""
    layers = c.layer_count().value
    entry = (int, float, type(None))
    given = c.items(key, default=None, length=layers, entry=entry)
    if given.value is None:
        no_limits = [None] * layers
        return same_evidence(no_limits, given)

    limits = [limit or None for limit in given.value]
    return same_evidence(limits, given)


def _dense(c: ConfigKeys, _: Sourced, clamp: Sourced) -> Draft:
    """Read an MLP with its clamp."""
    c.describe_only("mlp_bias", False, "weights")
    is_clamped = clamp.value is not None
    clamp_after = same_evidence(is_clamped, clamp)
    return blocks.dense(c, activation=_activation(c), clamp=clamp, clamp_after=clamp_after)


def _activation(c: ConfigKeys) -> Sourced | str:
    """Return silu: the class computes it whatever the config says, also of `swigluoai`."""
    if c.data.get("hidden_act") == "swigluoai":
        c.ignore("hidden_act")
        return "silu"
    return c.expect("hidden_act", "silu")


def _moe(c: ConfigKeys, clamp: Sourced, shared_clamp: Sourced) -> Draft:
    """Read a MoE with the clamps of its routed and its shared experts."""
    router = draft(
        s.Router,
        scoring=c.expect("moe_router_activation", "sigmoid"),
        selection_bias=c.expect("use_moe_router_bias", True),
        normalized=c.expect("norm_expert_weight", True),
        scale=c.number("moe_router_scaling_factor"),
    )
    return blocks.moe(
        c,
        router,
        experts=("moe_num_experts", "n_routed_experts", "num_experts"),
        active=("moe_top_k", "num_experts_per_tok"),
        activation=_activation(c),
        clamp=clamp,
        clamp_after=same_evidence(clamp.value is not None, clamp),
        shared_experts=1,
        shared_width=c.size("share_expert_dim", "share_expert_dims"),
        shared_clamp=shared_clamp,
    )


_READERS = {"dense": _dense, "moe": _moe}


def _mtp(
    c: ConfigKeys, layers: Sourced, feed_forward: _FeedForward, wiring: blocks.Wiring
) -> Draft | Sourced:
    """Read the MTP modules: a layer with a dense MLP and a head of its own in each."""
    c.ignore("mtp_layer_types", "mtp_mlp_layer_types")
    modules = blocks.announced_mtp(c)
    if not modules.value:
        return same_evidence(None, modules)
    if "dense" not in feed_forward.blocks:
        no_clamp = hard_coded(None, c.ref)
        feed_forward.blocks["dense"] = _dense(c, no_clamp, no_clamp)

    mixer_name = _mtp_mixer(c, layers)
    kind = blocks.add_layer_kind(wiring, mixer_name, "dense")
    return blocks.mtp(c, kind, blocks.mtp_code("step3p5"), own_head=True)


def _mtp_mixer(c: ConfigKeys, layers: Sourced) -> str:
    """Return the mixer of MTP modules.

    It is given by mtp_layer_types in files saved by transformers, and by the entries of layer_types
    after those of the layers in the published ones. Without either it is that of the last layer.
    """
    own: Any = c.data.get("mtp_layer_types")
    listed: Any = c.data.get("layer_types") or []
    depth = len(layers.value)
    last = layers.value[-1]
    words = own or listed[depth:]
    if not words:
        return last

    first = words[0]
    if first in blocks.SLIDING:
        return blocks.SLIDING[first]
    return last


_mtp_rows = partial(
    tensors.mtp_as_layers,
    norms=("enorm", "hnorm", "transformer.shared_head.norm"),
    head="transformer.shared_head.output",
)


def _moe_parts(block: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield stacked experts, gate, up and down apart; the shared expert is beside the block."""
    router = tensors.Module("moe", "router")
    experts = tensors.Module("moe", "experts")
    shared = tensors.Module("share_expert", "shared_experts")

    yield from router.linear("gate", block.experts, hidden, "experts")
    yield router.vector("router_bias", block.experts, "router.selection_bias")

    for name in ("gate_proj.weight", "up_proj.weight", "down_proj.weight"):
        matrix = (block.expert_width, hidden)
        shared_matrix = (block.shared_width, hidden)
        if name == "down_proj.weight":
            matrix = (hidden, block.expert_width)
            shared_matrix = (hidden, block.shared_width)

        stacked = (block.experts, *matrix)
        yield experts.tensor(name, stacked, "expert_width", "experts")
        yield shared.tensor(name, shared_matrix, "shared_width")


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the perception encoder.

    It is a ViT with learned and rotary positions and a scale on each half of a layer; two strided
    convolutions and a matrix make tokens of its patches. The published keys are the encoder's own,
    files saved by transformers have its class's.
    """
    keys = FAMILY.part(c, "vision_config", "step3p5_vision")
    kind = vision.encoder_kind(keys, "perception_encoder", "step3p5_vision")
    for key in ("use_cls_token", "use_ln_post"):
        keys.expect(key, False)
    for key in ("use_ln_pre", "use_abs_posemb", "use_rope2d"):
        keys.expect(key, True)
    keys.expect("pool_type", "none")
    keys.expect("output_dim", None)
    keys.ignore("ls_init_value", "layer_scale_init_value")
    keys.ignore("max_position_embeddings", "intermediate_size")
    hidden = keys.size("width", "hidden_size")
    ratio = keys.number("mlp_ratio", default=hard_coded(8960 / 1536, keys.ref))
    width = derived(int(hidden.value * ratio.value), "int(vision width * mlp_ratio)")
    tower = vision.transformer(
        keys,
        hidden=("width", "hidden_size"),
        heads=("heads", "num_attention_heads"),
        kind=same_evidence("perception_encoder", kind),
        layers=keys.layer_count("layers", "num_hidden_layers"),
        ffn=vision.plain_mlp(keys, width=width),
        norm=blocks.layer_norm(keys, "layer_norm_eps"),
        outer_norms=1,
        layer_scales=True,
        image_size=keys.size("image_size"),
        positions=vision.grid_positions(keys),
        merge=4,
        projector=_projector(c, hidden.value, text["hidden_size"]),
    )
    dim = tower["head_dim"]
    rope = draft(s.Rope, theta=vision.rope_theta(keys), rotary_dim=dim, interleaved=True)
    return tower.replace(rope=rope)


def _projector(c: ConfigKeys, hidden: int, width: Sourced) -> list[Draft]:
    """Read the two convolutions (as matrices over 3 x 3 patches) and the matrix."""

    def times(factor: int) -> Sourced:
        """Return a multiple of the encoder's width."""
        width = factor * hidden
        formula = f"{factor} * vision width"
        return derived(width, formula)

    return [
        draft(s.Linear, inputs=times(9), outputs=times(2), bias=True),
        draft(s.Linear, inputs=times(18), outputs=times(4), bias=True),
        draft(s.Linear, inputs=times(4), outputs=width, bias=c.flag("projector_bias")),
    ]


def _packed_attention(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield attention as torch's MultiheadAttention stores it."""
    module = tensors.Module("attn", "attention")
    width = a.heads * a.head_dim
    rows = 3 * width
    yield module.tensor("in_proj_weight", (rows, hidden), "heads", "head_dim")
    yield module.vector("in_proj_bias", rows)

    yield from module.linear("out_proj", hidden, width, bias=True)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the perception encoder and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    width = tower.hidden_size
    prefix = "vision_model."
    layer = f"{prefix}transformer.resblocks.{{}}."
    yield from tensors.patch_rows(f"{prefix}conv1", tower)
    yield from tensors.position_rows(f"{prefix}positional_embedding", tower)
    yield from tensors.norm_rows(f"{prefix}ln_pre", tower.norm, width, (), "vision")
    yield from tensors.encoder_layer_rows(
        tower,
        layer=layer,
        norms=("ln_1", "ln_2"),
        attention=_packed_attention,
        ffn=tensors.dense_parts("mlp", up="c_fc", down="c_proj"),
    )

    layers = tuple(range(tower.layers))
    for name in ("ls_1", "ls_2"):
        yield tensors.TensorRow(
            pattern=f"{layer}{name}.gamma",
            shape=(width,),
            axes=(layers,),
            component="vision",
            proves=("towers.vision.layer_scales",),
        )

    *convolutions, last = tower.projector
    for number, matrix in enumerate(convolutions, 1):
        name = f"{prefix}vit_downsampler{number}"
        channels = matrix.inputs // 9
        shape = (matrix.outputs, channels, 3, 3)
        yield from tensors.matrix_rows(name, matrix, shape)
    yield from tensors.matrix_rows("vit_large_projector", last)


_STEP3P7_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"^vision_model\.", "model.vision_model."),
        tensors.Rename(r"^vit_large_projector\.", "model.multi_modal_projector."),
        tensors.Rename(r"^model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
        tensors.Rename(r"\.moe\.gate\.weight(?!\w)", ".mlp.gate.weight"),
        tensors.Rename(r"\.moe\.router_bias(?!\w)", ".mlp.gate.e_score_correction_bias"),
        tensors.Rename(r"\.moe\.down_proj\.weight(?!\w)", ".mlp.experts.down_proj"),
        tensors.Rename(r"\.moe\.(gate|up)_proj\.weight(?!\w)", r".mlp.experts.\1_proj"),
        tensors.Rename(r"\.share_expert\.", ".mlp.shared_experts."),
        tensors.Rename(r"^conv1\.weight", "embeddings.patch_embedding.weight", "vision_model"),
        tensors.Rename(
            r"^positional_embedding", "embeddings.position_embedding.weight", "vision_model"
        ),
        tensors.Rename(r"^transformer\.resblocks\.", "layers.", "vision_model"),
        tensors.Rename(r"^ln_pre\.", "pre_layernorm.", "vision_model"),
        tensors.Rename(r"^vit_downsampler([12])\.", r"downsampler\1.", "vision_model"),
        tensors.Rename(r"\.ls_([12])\.gamma", r".lambda_\1", "vision_model"),
        tensors.Rename(r"\.mlp\.c_fc\.", ".mlp.fc1.", "vision_model"),
        tensors.Rename(r"\.mlp\.c_proj\.", ".mlp.fc2.", "vision_model"),
        tensors.Rename(r"\.attn\.", ".self_attn.", "vision_model"),
        tensors.Rename(r"\.ln_1\.", ".layernorm_before.", "vision_model"),
        tensors.Rename(r"\.ln_2\.", ".layernorm_after.", "vision_model"),
    ),
    merges=(
        tensors.Merge(
            (r"mlp\.experts\.gate_proj(?!\w)", r"mlp\.experts\.up_proj(?!\w)"),
            ("mlp.experts.gate_up_proj",),
        ),
        *(
            tensors.Merge(
                (rf"attn\.in_proj_{kind}",),
                tuple(f"attn.{x}_proj.{kind}" for x in "qkv"),
                "vision_model",
            )
            for kind in ("weight", "bias")
        ),
    ),
)
"""`step3p7` and `step3p5_vision`."""


FAMILY = Family(
    name="step3p7",
    title="Step Flash",
    ref=modeling("step3p7"),
    read=read,
    naming=tensors.Naming(
        blocks={s.Attention: tensors.split_attention_parts(gate="g_proj"), s.MoE: _moe_parts},
        mtp=_mtp_rows,
        tower=_tower_rows,
    ),
    conversions={"step3p7": _STEP3P7_CONVERSION},
    defaults={
        "step3p7": {"projector_bias": False},
        "step3p5": {
            "rms_norm_eps": 1e-5,
            "attention_bias": False,
            "max_position_embeddings": 128000,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "moe_intermediate_size": 1280,
            "n_routed_experts": 288,
            "num_experts_per_tok": 8,
            "share_expert_dim": 1280,
            "moe_router_scaling_factor": 1.0,
        },
        "step3p5_vision": {
            "hidden_size": 1536,
            "num_hidden_layers": 47,
            "num_attention_heads": 16,
            "num_channels": 3,
            "image_size": 728,
            "patch_size": 14,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
    },
    other_classes={"step3p7": ("Step3p7Flash",), "step3p5": ("Step3p7Flash",)},
    config_class={
        "step3p7": "Step3p7Config",
        "step3p5": "Step3p7TextConfig",
        "step3p5_vision": "Step3p7VisionConfig",
    },
    mtp_layouts=blocks.stored_mtp("sliding_dense", "sliding", modules=3, own_head=True),
)
