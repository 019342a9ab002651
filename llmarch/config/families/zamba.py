"""Zamba and Zamba2: Mamba layers, some of which read a Transformer layer that they share.

That layer reads the stream beside the token embedding; its output passes a matrix and joins the
input of the Mamba mixer. Zamba has Mamba with several heads and one shared layer. Zamba2 has
Mamba-2, one or more shared layers in turns, and adapters of each layer's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("time_step_max", "time_step_floor", "use_mamba_kernels")
    if c.model_type == "zamba2":
        c.describe_only("time_step_min", 0.001, "behaviour")  # the least step
    c.ignore("time_step_min")
    c.ignore("num_logits_to_keep", "hybrid_layer_ids", "use_mem_eff_path", "chunk_size")
    c.ignore("kv_channels", "num_query_groups", "mamba_headdim", "use_associative_scan")
    layers = _layers(c)
    mamba = _mamba2(c) if c.model_type == "zamba2" else _mamba(c)
    mixers = {"linear": mamba, "hybrid": mamba}
    kinds = {"linear": draft(s.LayerKind, steps=[blocks.pre_norm_step("mixers.linear")])}
    for name in dict.fromkeys(layers.value):
        if name != "linear":
            mixers[name] = _shared(c)
            kinds[name] = draft(s.LayerKind, steps=_steps(name))
    if len(kinds) == 1:
        del mixers["hybrid"]
    context = c.size("max_position_embeddings")
    if c.model_type == "zamba2" and c.flag("use_long_context").value:
        context = derived(16384, "use_long_context")
    return blocks.decoder(
        c,
        context_length=context,
        mixers=mixers,
        ffns={},
        layer_kinds=blocks.used(kinds, layers),
        layers=layers,
    )


def _layers(c: ConfigKeys) -> Sourced:
    """Read which layers read a shared layer, and which of several."""
    words = {
        "mamba": "linear",
        "linear_attention": "linear",
        "hybrid": "shared",
    }
    listed = blocks.listed_layers(c, words, "layers_block_type", "layer_types")
    if listed.value is None:
        listed = _usual_layers(c)
    c.ignore("attn_layer_period", "attn_layer_offset")
    copies = 1
    if c.model_type == "zamba2":
        copies = c.size("num_mem_blocks").value
    names: list[str] = []
    hybrid = 0
    for name in listed.value:
        if name == "shared":
            name = f"shared_{hybrid % copies}"
            hybrid += 1
        names.append(name)
    return same_evidence(names, listed)


def _usual_layers(c: ConfigKeys) -> Sourced:
    """Return the layers of a config without a list, by the rule of its class."""
    count = c.layer_count().value
    if c.model_type == "zamba2":
        rest = ["linear"] * 5 + ["shared"]
        names = ["linear", *rest * 7, *["linear"] * 4, "shared"]
        names += [*["linear"] * 3, "shared", *["linear"] * 2]
        return derived(names[:count], "the class's own list")
    period, offset = c.size("attn_layer_period").value, c.size("attn_layer_offset").value
    names = ["shared" if i % period == offset else "linear" for i in range(count - 3)]
    return derived(["linear", "linear", "shared", *names], "attn_layer_period, attn_layer_offset")


def _steps(shared: str) -> list[Draft]:
    """Return the steps of a layer: the shared layer, whose output joins the input of Mamba."""
    first = draft(s.Step, branches=[draft(s.Branch, block=f"mixers.{shared}")], feeds_next=True)
    return [first, blocks.pre_norm_step("mixers.hybrid")]


def _shared(c: ConfigKeys) -> Draft:
    """Read the shared layer: attention over both inputs, then an MLP.

    Raises ConfigError for another width of its input than that of stream and embedding.
    """
    hidden, heads = c.size("hidden_size").value, c.size("num_attention_heads")
    usual = derived(2 * hidden // heads.value, "2 * hidden_size / num_attention_heads")
    dim = c.size("attention_head_dim", default=usual)
    width = c.size("attention_hidden_size", default=2 * hidden).value
    if width != 2 * hidden:
        raise ConfigError(
            f"{c.file}: {c.key('attention_hidden_size')} is {width:,}, but stream and embedding are"
            f" {2 * hidden:,} wide together"
        )
    facts: dict[str, Any] = {}
    if c.model_type == "zamba2":
        facts = {
            "adapter_rank": c.size("adapter_rank"),
            "attention_adapters": c.flag("use_shared_attention_adapter"),
        }
    return draft(
        s.Attention,
        heads=heads,
        kv_heads=blocks.kv_heads(c),
        head_dim=dim,
        v_head_dim=dim,
        scale=derived((dim.value / 2) ** -0.5, "1 / sqrt(head_dim / 2)"),
        rope=_rope(c, dim),
        transformer=draft(s.SharedTransformer, ffn=_mlp(c), **facts),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP of the shared layer."""
    if c.model_type == "zamba":
        return blocks.dense(c)
    width = blocks.mlp_width(c, "intermediate_size", "hidden_size")
    activation = blocks.activation_name(c)
    bias = c.flag("add_bias_linear")
    return draft(s.Dense, width=width, activation=activation, bias=bias)


def _rope(c: ConfigKeys, dim: Sourced) -> Draft | Sourced | None:
    """Read the RoPE of the shared layer, which only Zamba2 may have."""
    if c.model_type == "zamba":
        return None
    enabled = c.flag("use_mem_rope")
    if not enabled.value:
        c.ignore("rope_theta", "rope_parameters", "rope_scaling")
        return same_evidence(None, enabled)
    return blocks.rope(c, blocks.all_of_head(dim))


def _mamba2(c: ConfigKeys) -> Draft:
    """Read Zamba2's mixer; its convolution always has a bias."""
    width = blocks.expanded_width(c)
    heads, groups = c.size("n_mamba_heads"), c.size("mamba_ngroups")
    return draft(
        s.LinearAttention,
        variant="mamba2",
        gate="silu",
        gate_first=True,
        value_heads=heads,
        value_head_dim=derived(width.value // heads.value, "mamba_expand * hidden_size / heads"),
        key_heads=groups,
        key_head_dim=c.size("mamba_d_state"),
        conv_kernel=c.size("mamba_d_conv"),
        conv_bias=c.expect("use_conv_bias", True),
        bias=c.flag("add_bias_linear"),
        norm_groups=groups,
    )


def _mamba(c: ConfigKeys) -> Draft:
    """Read Zamba's mixer: Mamba whose channels are divided into heads.

    Raises ConfigError where they do not divide.
    """
    c.describe_only("hidden_mamba_act", "silu", breaks="behaviour")
    width, heads = blocks.expanded_width(c), c.size("n_mamba_heads")
    if width.value % heads.value:
        raise ConfigError(
            f"{c.file}: {c.key('n_mamba_heads')} is {heads.value:,}, which does not divide"
            f" {width.value:,} channels"
        )
    channels = derived(width.value // heads.value, f"{width.evidence.ref} / n_mamba_heads")
    mixer = blocks.mamba(
        channels,
        c.size("mamba_d_state"),
        conv_kernel=c.size("mamba_d_conv"),
        conv_bias=c.flag("mamba_conv_bias"),
        bias=c.flag("mamba_proj_bias"),
        dt_rank=blocks.time_step_rank(c, "mamba_dt_rank"),
    )
    return mixer.replace(value_heads=heads)


def _headed_mamba_parts(prefix: str) -> tensors.BlockTensors:
    """Return the names of Zamba's mixer, whose heads have matrices of their own."""
    module = tensors.Module(prefix, "attention")

    def parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
        """Yield the projections, the convolution, and the tensors of the heads."""
        heads, width = a.value_heads, a.value_head_dim
        channels, states, rank = heads * width, a.key_head_dim, a.dt_rank or 0
        yield from module.linear("in_proj", 2 * channels, hidden, "value_heads", bias=a.bias)
        convolution = (channels, 1, a.conv_kernel or 0)
        yield module.tensor("conv1d.weight", convolution, "conv_kernel")
        if a.conv_bias:
            yield module.vector("conv1d.bias", channels, "conv_bias")
        facts = ("value_heads", "value_head_dim")
        yield module.tensor("x_proj_weight", (heads, rank + 2 * states, width), *facts)
        yield module.tensor("dt_proj_weight", (heads, width, rank), "dt_rank")
        yield module.tensor("dt_proj_bias", (heads, width))
        yield module.tensor("A_log", (heads, width, states), "key_head_dim")
        yield module.tensor("D", (heads, width))
        yield from module.linear("out_proj", hidden, channels, bias=a.bias)

    return parts


def _own_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the matrix that each layer has behind the shared layer."""
    yield from tensors.Module("", "attention").linear("linear", hidden, hidden)


def _shared_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the shared layers, under the number of the first layer that reads them."""
    hybrid = [(i, kind) for i, kind in enumerate(a.layers) if kind != "linear"]
    names = list(dict.fromkeys(kind for _, kind in hybrid))
    for name in names:
        mixer = a.mixers[name]
        assert isinstance(mixer, s.Attention)
        layer = next(i for i, kind in hybrid if kind == name)
        uses = tuple(n for n, (_, kind) in enumerate(hybrid) if kind == name)
        yield from _layer_rows(a, mixer, f"mixers.{name}.", layer, uses)


def _layer_rows(
    a: s.Architecture, mixer: s.Attention, path: str, layer: int, uses: tuple[int, ...]
) -> Iterator[tensors.TensorRow]:
    """Yield a shared layer.

    path: that of the mixer, for what shapes prove.
    layer: the layer that stores it.
    uses: the numbers, among the layers that read a shared one, of those that read this one.
    """
    shared = mixer.transformer
    assert shared
    fused = a.model_type == "zamba2"
    module = "shared_transformer" if fused else "shared_transf"
    prefix, axes, width = f"model.layers.{{}}.{module}.", ((layer,),), a.hidden_size
    norm = s.Norm(kind="rmsnorm")
    yield from tensors.norm_rows(f"{prefix}input_layernorm", norm, 2 * width, axes)
    yield from tensors.norm_rows(f"{prefix}pre_ff_layernorm", norm, width, axes)

    attention = tensors.split_attention_parts()
    for tensor in attention(mixer, 2 * width):
        shape = tensor.shape
        if tensor.name.endswith("o_proj.weight"):
            shape = (width, shape[1])
        facts = tuple(path + fact for fact in tensor.proves)
        yield tensors.TensorRow(prefix + tensor.name, shape, axes, "attention", facts)

    mlp = tensors.dense_parts("feed_forward")
    if fused:
        mlp = tensors.fused_dense_parts("feed_forward")
    for tensor in mlp(shared.ffn, width):
        facts = tuple(f"{path}transformer.ffn.{fact}" for fact in tensor.proves)
        yield tensors.TensorRow(prefix + tensor.name, tensor.shape, axes, "mlp", facts)
    if shared.adapter_rank:
        yield from _adapter_rows(shared, prefix, path, (layer,), uses, width)


def _adapter_rows(
    shared: s.SharedTransformer,
    prefix: str,
    path: str,
    layer: tuple[int],
    uses: tuple[int, ...],
    width: int,
) -> Iterator[tensors.TensorRow]:
    """Yield the adapters of the layers that read a shared one; see `_layer_rows`."""
    rank = shared.adapter_rank or 0
    facts = (f"{path}transformer.adapter_rank",)
    adapters = {"feed_forward.gate_up_proj_adapter_list": (width, 2 * shared.ffn.width)}
    if shared.attention_adapters:
        for name in ("q", "k", "v"):
            adapters[f"self_attn.linear_{name}_adapter_list"] = (2 * width, 2 * width)
    for name, (inputs, outputs) in adapters.items():
        component = "mlp" if name.startswith("feed_forward") else "attention"
        shapes = ((rank, inputs), (outputs, rank))
        for number, shape in enumerate(shapes):
            axes = (layer, uses, (number,))
            pattern = f"{prefix}{name}.{{}}.{{}}.weight"
            yield tensors.TensorRow(pattern, shape, axes, component, facts)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names; Mamba is a module within layers that read a shared one."""
    parts = _headed_mamba_parts
    if a.model_type == "zamba2":
        parts = tensors.mamba2_parts
    shared = {name for name in a.layer_kinds if name != "linear"}
    norms = dict.fromkeys(shared, ("mamba_decoder.input_layernorm",))
    return tensors.Naming(
        final_norm="model.final_layernorm",
        norms=("input_layernorm",),
        kind_norms=norms,
        blocks={
            "mixers.linear": parts("mamba"),
            "mixers.hybrid": parts("mamba_decoder.mamba"),
            s.Attention: _own_parts,
        },
        shared=_shared_rows,
    )


_DEFAULTS: dict[str, Any] = {
    "hidden_act": "gelu",
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "vocab_size": 32000,
}
FAMILY = Family(
    name="zamba",
    title="Zamba",
    ref=modeling("zamba"),
    refs={"zamba2": modeling("zamba2")},
    read=read,
    naming=_naming,
    defaults={
        "zamba": {
            **_DEFAULTS,
            "attn_layer_offset": 4,
            "attn_layer_period": 6,
            "hidden_mamba_act": "silu",
            "hidden_size": 3712,
            "intermediate_size": 14848,
            "mamba_conv_bias": True,
            "mamba_d_state": 16,
            "mamba_dt_rank": "auto",
            "mamba_proj_bias": False,
            "n_mamba_heads": 2,
            "num_attention_heads": 16,
            "num_hidden_layers": 76,
            "num_key_value_heads": 16,
        },
        "zamba2": {
            **_DEFAULTS,
            "adapter_rank": 128,
            "add_bias_linear": False,
            "hidden_size": 2560,
            "mamba_d_state": 64,
            "mamba_ngroups": 1,
            "n_mamba_heads": 8,
            "num_attention_heads": 32,
            "num_hidden_layers": 54,
            "num_mem_blocks": 1,
            "rope_theta": 10000.0,
            "use_long_context": False,
            "use_mem_rope": False,
            "use_shared_attention_adapter": False,
        },
    },
    config_class={"zamba": "ZambaConfig", "zamba2": "Zamba2Config"},
)
