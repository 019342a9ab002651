"""What architectures have that is more than a key: flags from tensors, patterns of layers."""

from __future__ import annotations

import math
from typing import Any, cast

from ...architecture.schema import Evidence
from .document import GgufConfig, GgufDocument

FULL, SLIDING = "full_attention", "sliding_attention"
_Q_BIAS = "blk.{}.attn_q.bias"
_UP_BIAS = "blk.{}.ffn_up.bias"


# --- the model_type, where one architecture has several -----------------------------------------


def llama_type(document: GgufDocument) -> str:
    """Return `mixtral` for files with experts: Llama's and Mistral's models have one name."""
    return "mixtral" if document.has("expert_count") else "llama"


def deepseek_type(document: GgufDocument) -> str:
    """Return `deepseek_v3` for files with a bias of the router, else `deepseek_v2`."""
    if document.has_tensor("blk.{}.exp_probs_b.bias"):
        return "deepseek_v3"
    return "deepseek_v2"


def glm4_moe_type(document: GgufDocument) -> str:
    """Return `solar_open` for files without the width of a dense layer, else `glm4_moe`."""
    return "glm4_moe" if document.has("feed_forward_length") else "solar_open"


def granite_moe_type(document: GgufDocument) -> str:
    """Return `granitemoeshared` for files with a shared expert."""
    if document.has_tensor("blk.{}.ffn_up_shexp.weight"):
        return "granitemoeshared"
    return "granitemoe"


def mamba_type(document: GgufDocument) -> str:
    """Return `falcon_mamba` for files with norms of dt, B and C."""
    return "falcon_mamba" if document.get("ssm.dt_b_c_rms") else "mamba"


def olmo2_type(document: GgufDocument) -> str:
    """Return `olmo3` for files with windows."""
    return "olmo3" if document.has("attention.sliding_window") else "olmo2"


# --- attention ----------------------------------------------------------------------------------


def bias_flags(c: GgufConfig) -> None:
    """Add whether attention and MLPs have biases."""
    _flag(c, "attention_bias", _Q_BIAS)
    _flag(c, "mlp_bias", _UP_BIAS)


def _flag(c: GgufConfig, path: str, pattern: str) -> None:
    has = c.document.has_tensor(pattern)
    c.observe(path, has, pattern if has else f"no {pattern}")


def use_bias(c: GgufConfig) -> None:
    """Add the one flag of ERNIE's biases."""
    _flag(c, "use_bias", _Q_BIAS)


def head_dim_of_width(c: GgufConfig) -> None:
    """Add the head dim that a file states by the width and the number of heads alone."""
    document = c.document
    heads = document.count("attention.head_count")
    if heads and not document.has("attention.key_length"):
        dim = document.count("embedding_length") // heads
        c.derive("head_dim", dim, "embedding_length", "attention.head_count")


def partial_rotary(c: GgufConfig) -> None:
    """Add the share of a head that RoPE turns."""
    document = c.document
    heads = document.count("attention.head_count")
    dim = document.count("attention.key_length")
    if not dim and heads:
        dim = document.count("embedding_length") // heads
    rotary = document.count("rope.dimension_count")
    if dim and rotary:
        c.derive("partial_rotary_factor", rotary / dim, "rope.dimension_count")


def window_pattern(c: GgufConfig) -> None:
    """Add the types of the layers of an array that tells which have a window."""
    key = "attention.sliding_window_pattern"
    document = c.document
    if not isinstance(document.get(key), list):
        return
    slides = document.by_layer(key)
    types = [SLIDING if window else FULL for window in slides]
    c.put("layer_types", types, document.name(key))


def latent_heads(c: GgufConfig) -> None:
    """Add the dims of the heads of multi-head latent attention."""
    document = c.document
    if not document.has("attention.q_lora_rank"):
        c.derive("q_lora_rank", None, "attention.q_lora_rank")
    rope = document.count("rope.dimension_count")
    c.put("qk_rope_head_dim", rope, document.name("rope.dimension_count"))
    whole = "attention.key_length_mla"
    if not document.has(whole):
        whole = "attention.key_length"
    value = "attention.value_length_mla"
    if not document.has(value):
        value = "attention.value_length"
    nope = document.count(whole) - rope
    c.derive("qk_nope_head_dim", nope, whole, "rope.dimension_count")
    c.put("v_head_dim", document.count(value), document.name(value))


def sections(c: GgufConfig) -> None:
    """Add how many pairs of dims follow each axis of a position."""
    key = "rope.dimension_sections"
    axes = c.document.get(key)
    if isinstance(axes, list):
        numbers = cast("list[Any]", axes)[:3]
        c.put("rope_scaling.rope_type", "default", c.document.name(key))
        c.put("rope_scaling.mrope_section", numbers, c.document.name(key))


LARGE_GEMMA = {"gemma2": 46, "gemma3": 62}
"""Layers of the 27B models, whose scores llama.cpp scales by the width of the stream."""


def gemma2(c: GgufConfig) -> None:
    """Add the number whose root divides scores: llama.cpp tells it by the number of layers."""
    document = c.document
    heads = document.count("attention.head_count")
    width = document.count("attention.key_length")
    source = "attention.key_length"
    if document.layers == LARGE_GEMMA[document.architecture] and heads:
        width = document.count("embedding_length") // heads
        source = "embedding_length"
    c.derive("query_pre_attn_scalar", width, source, "block_count")


def rope_by_type(c: GgufConfig, share: float | None = None) -> None:
    """Add RoPE for full and for sliding layers, which have bases of their own.

    share: the rotated part of a head in full layers, if the family asks for it.
    """
    document = c.document
    bases = {FULL: "rope.freq_base", SLIDING: "rope.freq_base_swa"}
    scaling = c.config.pop("rope_scaling", {})
    for kind, key in bases.items():
        if document.has(key):
            c.copy(f"rope_parameters.{kind}.rope_theta", key)
            c.put(f"rope_parameters.{kind}.rope_type", "default", document.name(key))
    full = f"rope_parameters.{FULL}"
    for name, value in scaling.items():
        c.put(f"{full}.{name}", value, c.native_keys.pop(f"rope_scaling.{name}", full))
    if share is not None:
        c.derive(f"{full}.partial_rotary_factor", share, "rope.dimension_count")


def mellum(c: GgufConfig) -> None:
    """Add the kinds of layers, and RoPE by kind."""
    window_pattern(c)
    rope_by_type(c)


def minicpm3(c: GgufConfig) -> None:
    """Add the dims of MiniCPM 3's heads, of which the file states queries and keys alone."""
    document = c.document
    heads = document.count("attention.head_count")
    rope = document.count("rope.dimension_count")
    nope = document.count("attention.key_length") - rope
    c.put("qk_rope_head_dim", rope, document.name("rope.dimension_count"))
    c.derive("qk_nope_head_dim", nope, "attention.key_length", "rope.dimension_count")
    pattern = "blk.{}.attn_kv_b.weight"
    rows = document.shape(pattern)
    if rows and heads:
        c.observe("v_head_dim", rows[0] // heads - nope, pattern)


# --- hybrids ------------------------------------------------------------------------------------


def _attention_layers(c: GgufConfig) -> list[bool]:
    """Return which layers have attention: those with key and value heads."""
    heads = c.document.counts_by_layer("attention.head_count_kv")
    return [count > 0 for count in heads]


def _attention_heads(c: GgufConfig) -> None:
    """Add the key and value heads of the layers that have attention; those of all, if none has."""
    document = c.document
    counts = [n for n in document.counts_by_layer("attention.head_count_kv") if n]
    if counts:
        key = document.name("attention.head_count_kv")
        c.put("num_key_value_heads", counts[0], key)


def _mamba_heads(c: GgufConfig) -> None:
    """Add the heads of Mamba-2 and their dim."""
    document = c.document
    heads = document.count("ssm.time_step_rank")
    c.put("mamba_n_heads", heads, document.name("ssm.time_step_rank"))
    _state_head_dim(c, "mamba_d_head")


def _state_head_dim(c: GgufConfig, path: str) -> None:
    """Add the dim of the heads of a recurrent mixer, under the family's name."""
    document = c.document
    heads = document.count("ssm.time_step_rank")
    if heads:
        dim = document.count("ssm.inner_size") // heads
        c.derive(path, dim, "ssm.inner_size", "ssm.time_step_rank")


def _mamba_expand(c: GgufConfig, path: str = "mamba_expand") -> None:
    """Add by how much Mamba's width is larger than the stream, under the family's name."""
    document = c.document
    hidden = document.count("embedding_length")
    inner = document.count("ssm.inner_size")
    if hidden:
        factor = inner // hidden if inner % hidden == 0 else inner / hidden
        c.derive(path, factor, "ssm.inner_size", "embedding_length")


def granite_hybrid(c: GgufConfig) -> None:
    """Add the kinds of the layers, and Mamba-2's heads."""
    document = c.document
    words = ["attention" if has else "mamba" for has in _attention_layers(c)]
    key = document.name("attention.head_count_kv")
    if c.config["model_type"] == "bamba":
        numbers = [i for i, word in enumerate(words) if word == "attention"]
        c.put("attn_layer_indices", numbers, key)
    else:
        c.put("layer_types", words, key)
        rotary = document.get("rope.scaling.finetuned")
        word = "rope" if rotary else "nope"
        c.put("position_embedding_type", word, document.name("rope.scaling.finetuned"))
        if not document.has("expert_count"):
            c.derive("num_local_experts", 0, "expert_count")
            if not document.has("expert_shared_feed_forward_length"):
                c.copy("shared_intermediate_size", "feed_forward_length")
    _attention_heads(c)
    _mamba_heads(c)
    _mamba_expand(c)


def granite_hybrid_type(document: GgufDocument) -> str:
    """Return `granitemoehybrid` for files with Granite's factors, else `bamba`."""
    return "granitemoehybrid" if document.has("embedding_scale") else "bamba"


def falcon_h1(c: GgufConfig) -> None:
    """Add the heads of Mamba-2, and whether its output is normalised."""
    _mamba_heads(c)
    _flag(c, "mamba_rms_norm", "blk.{}.ssm_norm.weight")
    _flag(c, "attention_bias", _Q_BIAS)
    _flag(c, "mlp_bias", _UP_BIAS)


def _period(c: GgufConfig, path: str, layers: list[bool], source: str) -> None:
    """Add every how many layers something is, and from which layer on."""
    numbers = [i for i, has in enumerate(layers) if has]
    if not numbers:
        return
    period = len(layers)
    if len(numbers) > 1:
        period = numbers[1] - numbers[0]
    c.put(f"{path}_period", period, source)
    c.put(f"{path}_offset", numbers[0], source)


def jamba(c: GgufConfig) -> None:
    """Add every how many layers attention and experts are."""
    document = c.document
    key = document.name("attention.head_count_kv")
    _period(c, "attn_layer", _attention_layers(c), key)
    _attention_heads(c)
    _mamba_expand(c)


def lfm2(c: GgufConfig) -> None:
    """Add the kinds of the layers; widths are stored as they are, not to be adjusted."""
    document = c.document
    key = document.name("attention.head_count_kv")
    types = [FULL if has else "conv" for has in _attention_layers(c)]
    c.put("layer_types", types, key)
    _attention_heads(c)
    c.imply("block_auto_adjust_ff_dim", False, "the width in the file is the adjusted one")
    if c.config["model_type"] == "lfm2_moe":
        _flag(c, "use_expert_bias", "blk.{}.exp_probs_b.bias")


def mamba_biases(c: GgufConfig) -> None:
    """Add whether Mamba's matrices have biases."""
    _flag(c, "use_bias", "blk.{}.ssm_in.bias")
    _flag(c, "use_conv_bias", "blk.{}.ssm_conv1d.bias")


def mamba2_heads(c: GgufConfig) -> None:
    """Add the heads' dim, and by how much Mamba's width is larger than the stream."""
    _state_head_dim(c, "head_dim")
    _mamba_expand(c, "expand")
    mamba_biases(c)


def delta_net_heads(c: GgufConfig) -> None:
    """Add the heads of Gated DeltaNet, and the rotated share of attention's heads."""
    document = c.document
    c.copy("linear_num_key_heads", "ssm.group_count")
    c.copy("linear_num_value_heads", "ssm.time_step_rank")
    c.copy("linear_key_head_dim", "ssm.state_size")
    c.copy("linear_conv_kernel_dim", "ssm.conv_kernel")
    _state_head_dim(c, "linear_value_head_dim")
    sections(c)
    partial_rotary(c)
    if "rope_scaling" in c.config:
        _nest_rope(c)
    further = document.count("nextn_predict_layers")
    if c.config["model_type"] != "qwen3_next":
        c.put("mtp_num_hidden_layers", further, document.name("nextn_predict_layers"))
    c.config.pop("num_nextn_predict_layers", None)


def _nest_rope(c: GgufConfig) -> None:
    """Move what is known of RoPE into the one object of transformers 5."""
    for path, value in c.config.pop("rope_scaling", {}).items():
        source = c.native_keys.pop(f"rope_scaling.{path}", path)
        c.put(f"rope_parameters.{path}", value, source)
    for path in ("rope_theta", "partial_rotary_factor"):
        if path in c.config:
            source = c.native_keys.pop(path, path)
            c.put(f"rope_parameters.{path}", c.config.pop(path), source)


def nemotron_h(c: GgufConfig) -> None:
    """Add the kinds of the layers, each with one block, and Mamba-2's heads."""
    document = c.document
    widths = document.counts_by_layer("feed_forward_length")
    wide_letter = "E" if document.has("expert_count") else "-"
    letters = ["M"] * document.layers
    for i, (has, width) in enumerate(zip(_attention_layers(c), widths, strict=True)):
        if has:
            letters[i] = "*"
        elif width:
            letters[i] = wide_letter
    keys = ("attention.head_count_kv", "feed_forward_length")
    c.derive("hybrid_override_pattern", "".join(letters), *keys)
    _attention_heads(c)
    wide = [width for width in widths if width]
    if wide:
        c.put("intermediate_size", wide[0], document.name("feed_forward_length"))
    c.copy("mamba_num_heads", "ssm.time_step_rank")
    heads = document.count("ssm.time_step_rank")
    if heads:
        dim = document.count("ssm.inner_size") // heads
        c.derive("mamba_head_dim", dim, "ssm.inner_size", "ssm.time_step_rank")
    _flag(c, "use_conv_bias", "blk.{}.ssm_conv1d.bias")
    _flag(c, "use_bias", "blk.{}.ssm_in.bias")
    _flag(c, "mlp_bias", _UP_BIAS)
    _flag(c, "attention_bias", _Q_BIAS)


def kimi_linear(c: GgufConfig) -> None:
    """Add which layers have Kimi Delta Attention, its heads, and those of latent attention."""
    latent_heads(c)
    document = c.document
    key = document.name("attention.head_count_kv")
    has = _attention_layers(c)
    lists = {"full_attn_layers": True, "kda_layers": False}
    for path, wanted in lists.items():
        numbers = [i + 1 for i, full in enumerate(has) if full is wanted]
        c.put(f"linear_attn_config.{path}", numbers, key)
    c.copy("linear_attn_config.head_dim", "kda.head_dim")
    c.copy("linear_attn_config.num_heads", "attention.head_count")
    c.copy("linear_attn_config.short_conv_kernel_size", "ssm.conv_kernel")


# --- single models ------------------------------------------------------------------------------


def falcon(c: GgufConfig) -> None:
    """Add which of Falcon's two layouts a file has."""
    document = c.document
    groups = document.count("attention.head_count_kv", 1)
    key = document.name("attention.head_count_kv")
    c.put("num_kv_heads", groups, key)
    is_new = groups > 1 or document.has_tensor("blk.{}.attn_norm_2.weight")
    c.put("new_decoder_architecture", is_new, key)
    c.put("multi_query", groups == 1, key)
    if is_new:
        norms = 2 if document.has_tensor("blk.{}.attn_norm_2.weight") else 1
        c.observe("num_ln_in_parallel_attn", norms, "blk.{}.attn_norm_2.weight")
    c.imply("alibi", False, "its falcon has RoPE")
    c.imply("parallel_attn", True, "its falcon adds attention and MLP")


def gemma4(c: GgufConfig) -> None:
    """Add what full and sliding layers have for themselves: heads, their dims, and RoPE."""
    window_pattern(c)
    document = c.document
    key = "attention.head_count_kv"
    slides = document.by_layer("attention.sliding_window_pattern", False)
    heads = document.counts_by_layer(key, 1)
    name = document.name(key)
    sliding = [n for n, window in zip(heads, slides, strict=True) if window]
    full = [n for n, window in zip(heads, slides, strict=True) if not window]
    c.put("num_key_value_heads", (sliding or full)[0], name)
    if full and sliding and full[0] != sliding[0]:
        c.put("num_global_key_value_heads", full[0], name)
    keys, values = "blk.{}.attn_k.weight", "blk.{}.attn_v.weight"
    fewer = document.layers_with(values) < document.layers_with(keys)
    c.observe("attention_k_eq_v", fewer, values)
    widths = document.counts_by_layer("feed_forward_length")
    width = document.name("feed_forward_length")
    c.put("intermediate_size", min(widths), width)
    c.put("use_double_wide_mlp", min(widths) < max(widths), width)
    c.derive("enable_moe_block", document.has("expert_count"), "expert_count")
    table = "per_layer_token_embd.weight"
    rows = document.shape(table)
    if rows:
        c.observe("vocab_size_per_layer_input", rows[0], table)
    rope_by_type(c)
    path = f"rope_parameters.{FULL}"
    c.put(f"{path}.rope_type", "proportional", document.name("rope.freq_base"))
    default = Evidence(kind="default", ref="partial_rotary_factor, Gemma4TextConfig")
    c.put(f"{path}.partial_rotary_factor", 0.25, default)
    document.read_keys.update(("rope.dimension_count_swa", "attention.value_length_swa"))


def ministral3(c: GgufConfig) -> None:
    """Add YaRN and the scaling of queries by position, if the file has them."""
    document = c.document
    if c.config["model_type"] != "ministral3":
        c.imply("sliding_window", None, "its mistral3 has no window")
        return
    _nest_rope(c)
    multiplier = "rope.scaling.yarn_log_multiplier"  # here the factor itself
    for path in ("mscale", "mscale_all_dim"):
        c.config.get("rope_parameters", {}).pop(path, None)
        c.native_keys.pop(f"rope_parameters.{path}", None)
    c.copy("rope_parameters.mscale_all_dim", multiplier)
    c.derive("rope_parameters.mscale", document.get(multiplier), multiplier)
    c.copy("rope_parameters.llama_4_scaling_beta", "attention.temperature_scale")


def mistral4(c: GgufConfig) -> None:
    """Add the dims of latent heads, and RoPE in one object."""
    latent_heads(c)
    if "rope_scaling" in c.config:
        _nest_rope(c)


def mistral3_type(document: GgufDocument) -> str:
    """Return `ministral3` for files that scale queries by position, else `mistral`."""
    if document.has("attention.temperature_scale"):
        return "ministral3"
    return "mistral"


def minimax_m2(c: GgufConfig) -> None:
    """Add how many dims RoPE turns."""
    c.copy("rotary_dim", "rope.dimension_count")


def gpt_neox(c: GgufConfig) -> None:
    """Add the share of a head that RoPE turns."""
    partial_rotary(c)
    source = c.native_keys.pop("partial_rotary_factor", None)
    if source is not None:
        c.put("rotary_pct", c.config.pop("partial_rotary_factor"), source)


def gemma3n(c: GgufConfig) -> None:
    """Add the kinds of the layers, the sparsity of their MLPs, and the sizes of per-layer parts."""
    window_pattern(c)
    document = c.document
    key = "activation_sparsity_scale"
    if document.has(key):
        shares = [round(_share_below(scale), 6) for scale in document.by_layer(key)]
        c.put("activation_sparsity_pattern", shares, document.name(key))
    table = "per_layer_token_embd.weight"
    rows = document.shape(table)
    if rows:
        c.observe("vocab_size_per_layer_input", rows[0], table)
    left = "blk.{}.laurel_l.weight"
    rank = document.shape(left)
    if rank:
        c.observe("laurel_rank", rank[0], left)


def _share_below(scale: Any) -> float:
    """Return the share of a normal distribution below its mean plus so many deviations."""
    if not isinstance(scale, (int, float)):
        return 0.0
    return 0.5 * (1 + math.erf(scale / math.sqrt(2)))


def glm4_moe(c: GgufConfig) -> None:
    """Add the rotated share of a head, and which parts attention has."""
    partial_rotary(c)
    _flag(c, "attention_bias", _Q_BIAS)
    if c.config["model_type"] == "glm4_moe":
        _flag(c, "use_qk_norm", "blk.{}.attn_q_norm.weight")


def laguna(c: GgufConfig) -> None:
    """Add the heads of each layer, the kinds of layers, and RoPE by kind."""
    document = c.document
    key = "attention.head_count"
    heads = document.counts_by_layer(key)
    c.put("num_attention_heads", heads[0], document.name(key))
    c.put("num_attention_heads_per_layer", heads, document.name(key))
    dense = document.count("leading_dense_block_count")
    types = ["dense" if i < dense else "sparse" for i in range(document.layers)]
    c.put("mlp_layer_types", types, document.name("leading_dense_block_count"))
    slides = document.count("attention.sliding_window") > 0
    every_fourth = [SLIDING if slides and i % 4 else FULL for i in range(document.layers)]
    c.imply("layer_types", every_fourth, "every fourth layer of its laguna is full")
    dim = document.count("attention.key_length")
    rope_by_type(c, document.count("rope.dimension_count") / max(1, dim))
    if document.has("rope.freq_base_swa"):
        share = document.count("rope.dimension_count_swa") / max(1, dim)
        path = f"rope_parameters.{SLIDING}.partial_rotary_factor"
        c.derive(path, share, "rope.dimension_count_swa")
    document.get("rope.dimension_count_swa")
    gate = document.shape("blk.{}.attn_gate.weight")
    if gate:
        word = "per-head" if gate[0] in heads else "per-element"
        c.observe("gating", word, "blk.{}.attn_gate.weight")


def phi3(c: GgufConfig) -> None:
    """Add the window, which is 0 where there is none, and the rotated share of a head."""
    key = "attention.sliding_window"
    window = c.document.count(key)
    c.put("sliding_window", window or None, c.document.name(key))
    partial_rotary(c)
