"""Nemotron-H, Nemotron 3 Nano, Super and Ultra: one block a layer, so layers count sub-layers.

A block is Mamba-2, attention, an MLP or MoE. Attention has no positions (the class defines a
rotary helper and never calls it); MLPs and experts are squared ReLU without a gate; Super's and
Ultra's routed experts work in a latent narrower than the stream. MTP is an attention layer and a
MoE layer under mtp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..findings import another_value
from ..vocabulary import ConfigKeys, Family, modeling

_BLOCKS = {"M": "mixers.linear", "*": "mixers.full", "E": "ffns.moe", "-": "ffns.dense"}
_LETTERS = {
    "mamba": "M",
    "linear_attention": "M",
    "attention": "*",
    "full_attention": "*",
    "moe": "E",
    "mlp": "-",
}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    words = "layers_block_type"
    if c.has("layer_types") and not c.has(words):
        words = "layer_types"  # the class's second name of it
    layers = _layer_blocks(c, words, "hybrid_override_pattern")
    c.ignore("num_hidden_layers")
    count_source = f"the length of {layers.evidence.ref}"
    another_value(c, "num_hidden_layers", len(layers.value), count_source)
    mtp = _mtp_module(c)
    used = [*layers.value]
    kinds: dict[str, Draft] = {}
    for block in dict.fromkeys(layers.value):
        kinds[_name_of(block)] = _layer_of_blocks(block)

    if mtp is not None:
        mtp_layers = _layer_blocks(c, *_MTP_KEYS).value
        used += mtp_layers
        kinds["mtp"] = _layer_of_blocks(*mtp_layers)

    names = {_name_of(block) for block in used}
    # keys of a rotary helper that nothing calls; numerics, initialisation and kernels
    c.ignore("rope_theta", "partial_rotary_factor", "residual_in_fp32", "rescale_prenorm_residual")
    c.ignore("num_logits_to_keep", "use_mamba_kernels", "moe_shared_expert_overlap")
    c.ignore("intermediate_size", "mlp_hidden_act", "sliding_window")
    for key in ("norm_eps", "rms_norm_eps"):  # Nemotron-H's own configs; the class reads neither
        c.expect(key, c.number("layer_norm_epsilon").value)
    return blocks.decoder(
        c,
        embedding=blocks.untied_embedding(c),
        mixers=blocks.read_used_blocks(c, {"full": _attention, "linear": _mamba2}, names),
        ffns=blocks.read_used_blocks(c, {"dense": _mlp, "moe": _moe}, names),
        norms={"rms": blocks.rms_norm(c, "layer_norm_epsilon")},
        mtp=mtp,
        layer_kinds=kinds,
        layers=same_evidence([_name_of(block) for block in layers.value], layers),
    )


def _layer_of_blocks(*paths: str) -> Draft:
    """Return a layer with these blocks, each with a norm before it."""
    steps = [blocks.pre_norm_step(path) for path in paths]
    return draft(s.LayerKind, steps=steps)


_MTP_KEYS = ("mtp_layers_block_type", "mtp_hybrid_override_pattern")


def _mtp_module(c: ConfigKeys) -> Draft | None:
    """Read the MTP modules, whose layers have a list of their own."""
    layers = _layer_blocks(c, *_MTP_KEYS)
    modules = c.size("num_nextn_predict_layers", least=0)
    if not modules.value:
        return None
    kind = same_evidence("mtp", layers)
    return draft(
        s.MTP,
        blocks.mtp_code("nemotron_h"),
        modules=modules,
        layer_kind=kind,
        norms=3,
    )


def _name_of(block: str) -> str:
    """Return the name of a block without `mixers.` or `ffns.`."""
    return block.partition(".")[2]


def _layer_blocks(c: ConfigKeys, words_key: str, letters_key: str) -> Sourced:
    """Read the block of each layer, from a list of words or a pattern of letters.

    Raises ConfigError for an unknown word or letter.
    """
    words = c.items(words_key, default=None, entry=str)
    letters = c.word(letters_key, default=None)
    if words.value is not None:
        _check_known(c, words_key, words.value, _LETTERS)
        layers = [_BLOCKS[_LETTERS[word]] for word in words.value]
        return same_evidence(layers, words)

    if letters.value is not None:
        _check_known(c, letters_key, letters.value, _BLOCKS)
        layers = [_BLOCKS[letter] for letter in letters.value]
        return same_evidence(layers, letters)

    if words_key.startswith("mtp"):
        layers = ["mixers.full", "ffns.moe"]
        return c.value(words_key, default=same_evidence(layers, letters))

    return c.value(words_key)


def _check_known(c: ConfigKeys, key: str, given: list[str] | str, known: dict[str, str]) -> None:
    """Raise ConfigError if one of the `given` words or letters is not known."""
    for word in given:
        if word in known:
            continue
        supported = ", ".join(known)
        raise ConfigError(f"{c.file}: {c.key(key)} holds {word!r}; {c.family} supports {supported}")


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA without positions, and without biases whatever attention_bias says.

    `attention_head_dim` is the first files' key, which the class does not know.
    """
    dim = c.size("head_dim", "attention_head_dim")
    bias = c.expect("attention_bias", False)
    return blocks.attention(
        c,
        head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        rope=None,
    )


def _mamba2(c: ConfigKeys) -> Draft:
    """Read Mamba-2.

    The output is multiplied by silu(gate), then normed in as many groups as B and C have. The width
    is heads * head dim, whatever `expand` says.
    """
    c.ignore("expand", "chunk_size", "mamba_proj_bias")
    c.describe_only("time_step_min", 0.001, "behaviour")  # the least step, whatever the limit
    c.ignore("time_step_max", "time_step_floor", "time_step_limit", "time_step_rank")
    return draft(
        s.LinearAttention,
        variant="mamba2",
        value_heads=c.size("mamba_num_heads"),
        value_head_dim=c.size("mamba_head_dim"),
        key_heads=c.size("n_groups", "mamba_n_groups"),
        key_head_dim=c.size("ssm_state_size", "mamba_state_dim"),
        conv_kernel=c.size("conv_kernel", "mamba_d_conv"),
        conv_bias=c.flag("use_conv_bias", "mamba_conv_bias"),
        bias=c.flag("use_bias"),
        gate=blocks.activation_name(c, "mamba_hidden_act"),
        gate_first=True,
        norm_groups=c.size("n_groups", "mamba_n_groups"),
        state_dtype=c.word("mamba_ssm_cache_dtype"),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    return draft(
        s.Dense,
        width=c.size("intermediate_size"),
        activation=blocks.activation_name(c, "mlp_hidden_act"),
        gated=False,
        bias=c.flag("mlp_bias"),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    c.describe_only("mlp_bias", False, "weights")
    return blocks.moe(
        c,
        blocks.sigmoid_router(c),
        experts=("n_routed_experts", "num_local_experts"),
        activation=blocks.activation_name(c, "mlp_hidden_act"),
        gated=False,
        shared_experts=c.size("n_shared_experts", least=0),
        shared_width=c.size("moe_shared_expert_intermediate_size"),
        latent_width=c.optional(c.size, "moe_latent_size"),
    )


def _mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Yield an MTP layer for each block of each module.

    The first of a module has the projection, the last the final norm (vLLM models/nemotron_h_mtp).
    """
    assert a.mtp and a.mtp.layer_kind
    width = a.hidden_size
    steps = a.layer_kinds[a.mtp.layer_kind].steps
    depth = len(steps)
    layer = "mtp.layers.{}."
    count = a.mtp.modules * depth

    for i, step in enumerate(steps):
        kind = s.LayerKind(steps=(step,))
        single = replace(a, layer_kinds={"mtp": kind})
        numbers = tuple(range(i, count, depth))
        yield from tensors.rows_of_layers(single, "mtp", numbers, layer, naming, "mtp")

    first_layers = tuple(range(0, count, depth))
    last_layers = tuple(range(depth - 1, count, depth))
    norms = {
        "enorm": first_layers,
        "hnorm": first_layers,
        "final_layernorm": last_layers,
    }
    for name, numbers in norms.items():
        yield tensors.TensorRow(
            pattern=f"{layer}{name}.weight",
            shape=(width,),
            axes=(numbers,),
            component="mtp",
        )

    yield tensors.TensorRow(
        pattern=f"{layer}eh_proj.weight",
        shape=(width, 2 * width),
        axes=(first_layers,),
        component="mtp",
        proves=("mtp.modules",),
    )


FAMILY = Family(
    name="nemotron_h",
    title="Nemotron-H",
    ref=modeling("nemotron_h"),
    read=read,
    naming=tensors.Naming(
        embedding="backbone.embeddings.weight",
        layer="backbone.layers.{}.",
        final_norm="backbone.norm_f",
        norms=("norm",),
        blocks={
            s.Attention: tensors.split_attention_parts("mixer"),
            s.LinearAttention: tensors.mamba2_parts("mixer"),
            s.Dense: tensors.dense_parts("mixer"),
            s.MoE: tensors.moe_parts("mixer"),
        },
        mtp=_mtp_rows,
    ),
    conversions={
        "nemotron_h": tensors.Conversion(
            renames=(tensors.Rename(r"backbone\.", "model."),),
            merges=(
                tensors.Merge((r"experts\.\{\}\.up_proj\.weight(?!\w)",), ("experts.up_proj",)),
                tensors.Merge(
                    (r"experts\.\{\}\.down_proj\.weight(?!\w)",),
                    ("experts.down_proj",),
                ),
            ),
        )
    },
    defaults={
        "nemotron_h": {
            "vocab_size": 131072,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 4096,
            "intermediate_size": 21504,
            "mlp_hidden_act": "relu2",
            "mlp_bias": False,
            "ssm_state_size": 128,
            "mamba_num_heads": 128,
            "mamba_head_dim": 64,
            "mamba_hidden_act": "silu",
            "n_groups": 8,
            "conv_kernel": 4,
            "use_conv_bias": True,
            "mamba_ssm_cache_dtype": "float32",
            "n_shared_experts": 1,
            "moe_shared_expert_intermediate_size": 7688,
            "moe_latent_size": None,
            "num_experts_per_tok": 2,
            "routed_scaling_factor": 1.0,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "num_nextn_predict_layers": 0,
            "use_bias": False,
            "layer_norm_epsilon": 1e-5,
        },
    },
    config_class={"nemotron_h": "NemotronHConfig"},
)
