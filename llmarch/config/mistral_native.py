"""Mistral's native format as another spelling: params.json read with the families' own keys, and its tensor names as the Hub's.

`translate` gives a config in Hugging Face's keys and, for each of them, the native key (or where a value comes from that no key states),
so that evidence and errors speak of the file that is there. `hub_name` turns a tensor's name pattern. Which class a file means is decided
as vLLM and transformers' converters do: latent attention is Mistral Large 3's, experts without it Mixtral's, YaRN Ministral 3's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..architecture.schema import Evidence
from ..errors import ConfigError

Spelling = dict[str, str | Evidence]

TEXT = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "head_dim": "head_dim",
    "intermediate_size": "hidden_dim",
    "rms_norm_eps": "norm_eps",
    "vocab_size": "vocab_size",
    "hidden_act": "activation",
    "tie_word_embeddings": "tied_embeddings",
    "max_position_embeddings": "max_position_embeddings",
    "dtype": "dtype",
}
"""Keys of config.json and their native names, at the top of params.json."""

LATENT = {
    k: k
    for k in ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
}

MIXTRAL = {"num_local_experts": "moe.num_experts", "num_experts_per_tok": "moe.num_experts_per_tok"}

EXPERTS = {
    "n_routed_experts": "moe.num_experts",
    "num_experts_per_tok": "moe.num_experts_per_tok",
    "moe_intermediate_size": "moe.expert_hidden_dim",
    "n_shared_experts": "moe.num_shared_experts",
    "first_k_dense_replace": "moe.first_k_dense_replace",
    "moe_layer_freq": "moe.route_every_n",
    "routed_scaling_factor": "moe.routed_scale",
    "n_group": "moe.num_expert_groups",
    "topk_group": "moe.num_expert_groups_per_tok",
}

YARN = {
    "rope_parameters.factor": "yarn.factor",
    "rope_parameters.original_max_position_embeddings": "yarn.original_max_position_embeddings",
    "rope_parameters.beta_fast": "yarn.beta",
    "rope_parameters.beta_slow": "yarn.alpha",
}

VISION = {
    **{f"vision_config.{k}": f"vision_encoder.{k}" for k in (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels", "image_size", "patch_size",
        "rope_theta", "head_dim",
    )},
    "multimodal_projector_bias": "vision_encoder.adapter_bias",
    "spatial_merge_size": "vision_encoder.spatial_merge_size",
    "mm_projector_id": "vision_encoder.mm_projector_id",
    "add_pre_mm_projector_layer_norm": "vision_encoder.add_pre_mm_projector_layer_norm",
}  # fmt: skip

UNUSED = {
    "max_batch_size", "max_seq_len", "moe.expert_parallel", "moe.expert_model_parallel",
    *(f"vision_encoder.{k}" for k in ("image_token_id", "image_break_token_id", "image_end_token_id", "max_image_size")),
}  # fmt: skip
"""Native keys that say nothing of the architecture: run time, parallelism, token ids, and what the image processor does; `lora` too."""


def translate(params: Mapping[str, Any]) -> tuple[dict[str, Any], Spelling]:
    """A config in Hugging Face's keys with its model_type, and how params.json spells each. Keys without a counterpart are kept under
    their own name, for nobody to read."""
    native = _Native(params)
    text_type, why = _class(native)
    text, spelled = _text(native, text_type)
    said = Evidence(kind="derived", ref=why)
    config, at = {"model_type": text_type, **text}, ""
    if native.has("vision_encoder"):
        config, at = {"model_type": "mistral3", "text_config": config}, "text_config."
        spelled = {at + k: v for k, v in spelled.items()}
    spelled |= {"model_type": said, f"{at}model_type": said}
    if at:
        _vision(native, config, spelled)
    for key in ("quantization", "quantization_config"):
        if isinstance(params.get(key), dict):
            config[key] = params[key]
    for key in native.left():
        config[f"params.json {key}"] = native.get(key)
        spelled[f"params.json {key}"] = key
    return config, spelled


class _Native:
    """params.json as dotted keys, with a note of those that were asked for."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.values = dict(_flat(params))
        self.used: set[str] = set()

    def has(self, key: str) -> bool:
        return any(
            k == key or k.startswith(f"{key}.") for k, v in self.values.items() if v is not None
        )

    def get(self, key: str) -> Any:
        self.used.add(key)
        return self.values.get(key)

    def left(self) -> list[str]:
        known = self.used | UNUSED
        return [
            k
            for k in self.values
            if k not in known
            and k.partition(".")[0] not in ("lora", "quantization", "quantization_config")
        ]


def _flat(data: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            nested: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            name = (
                "vision_encoder."
                if at == "multimodal." and key == "vision_encoder_args"
                else f"{at}{key}."
            )
            yield from _flat(nested, name)
        elif not isinstance(value, dict):
            yield at + key, value


def _put(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for p in parents:
        config = config.setdefault(p, {})
    config[last] = value


def _copy(
    native: _Native, table: Mapping[str, str], config: dict[str, Any], spelled: Spelling
) -> None:
    """Every key of the table that the file has; absent ones are spelled too, for errors."""
    for key, name in table.items():
        spelled[key] = name
        if name in native.values:
            _put(config, key, native.get(name))


def _class(native: _Native) -> tuple[str, str]:
    """The text model's model_type, and what tells it."""
    kind = native.get("model_type")
    if kind not in (None, "transformer"):
        return (f"{kind}2" if kind == "mamba" else str(kind)), "model_type"
    if native.has("kv_lora_rank"):
        return "mistral4", "params.json has kv_lora_rank: latent attention"
    if native.has("moe"):
        return "mixtral", "params.json has moe, and no latent attention"
    if native.has("yarn") or native.has("llama_4_scaling"):
        return "ministral3", "params.json has yarn or llama_4_scaling"
    if any(isinstance(native.values.get(k), list) for k in ("sliding_window", "_sliding_window")):
        return "ministral", "params.json has a list of windows"
    return "mistral", "params.json has neither moe, yarn nor latent attention"


def _text(native: _Native, model_type: str) -> tuple[dict[str, Any], Spelling]:
    config: dict[str, Any] = {}
    spelled: Spelling = {}
    _copy(native, TEXT, config, spelled)
    if model_type == "mistral4":
        _copy(native, LATENT, config, spelled)
        _copy(native, EXPERTS, config, spelled)
    else:
        native.used |= {k for k in LATENT if not native.has(k)}  # null in dense models
        if model_type == "mixtral":
            _copy(native, MIXTRAL, config, spelled)
    _imply(native, model_type, config, spelled)
    _windows(native, config, spelled)
    _rope(native, model_type, config, spelled)
    return config, spelled


def _imply(native: _Native, model_type: str, config: dict[str, Any], spelled: Spelling) -> None:
    """Values that the format means where it has no key for them."""
    if "tie_embeddings" in native.values:
        config["tie_word_embeddings"], spelled["tie_word_embeddings"] = (
            native.get("tie_embeddings"),
            "tie_embeddings",
        )
    if "max_position_embeddings" not in config and "max_seq_len" in native.values:
        config["max_position_embeddings"], spelled["max_position_embeddings"] = (
            native.get("max_seq_len"),
            "max_seq_len",
        )
    implied: dict[str, tuple[Any, Evidence]] = {
        "hidden_act": ("silu", _absent("activation: silu")),
        "tie_word_embeddings": (False, _absent("tied_embeddings: untied")),
        "num_key_value_heads": (
            config.get("num_attention_heads"),
            _absent("n_kv_heads: as n_heads"),
        ),
        "max_position_embeddings": (
            None,
            Evidence(kind="unknown", ref="params.json has no max_position_embeddings"),
        ),
    }
    if model_type == "mistral4":
        implied["norm_topk_prob"] = (
            True,
            _absent("a key for it: the chosen weights are divided by their sum"),
        )
        if not native.has("moe"):
            implied["first_k_dense_replace"] = (
                config.get("num_hidden_layers"),
                _absent("moe: every layer is dense"),
            )
    for key, (value, evidence) in implied.items():
        if config.get(key) is None:
            config[key], spelled[key] = value, evidence


def _absent(what: str) -> Evidence:
    return Evidence(
        kind="default",
        ref=f"params.json without {what}; mistral-inference 1.6.0, vLLM transformers_utils/configs/mistral.py",
    )


def _windows(native: _Native, config: dict[str, Any], spelled: Spelling) -> None:
    """`sliding_window` is a number for all layers, or a list to repeat with null for full ones (also as `_sliding_window`)."""
    key = next(
        (k for k in ("sliding_window", "_sliding_window") if native.values.get(k) is not None),
        "sliding_window",
    )
    window = native.get(key)
    native.used.add("_sliding_window")
    config["sliding_window"] = window
    spelled["sliding_window"] = (
        _absent("sliding_window: every layer is full") if window is None else key
    )
    if isinstance(window, list):
        pattern: list[Any] = [*window]  # pyright: ignore[reportUnknownVariableType]
        layers, sizes = (
            config.get("num_hidden_layers"),
            sorted({w for w in pattern if isinstance(w, int)}),
        )
        if (
            not isinstance(layers, int)
            or not pattern
            or len(sizes) > 1
            or any(w is not None and not isinstance(w, int) for w in pattern)
        ):
            raise ConfigError(
                f"params.json: {key} is a list that gives no single window and pattern of layers"
            )
        repeated = [pattern[i % len(pattern)] for i in range(min(layers, 10_000))]
        config["layer_types"] = [
            "full_attention" if w is None else "sliding_attention" for w in repeated
        ]
        config["sliding_window"] = sizes[0] if sizes else None
        spelled["layer_types"] = key


def _rope(native: _Native, model_type: str, config: dict[str, Any], spelled: Spelling) -> None:
    """`rope_theta`, `yarn` and `llama_4_scaling` stand together in rope_parameters where there is more than the first."""
    theta: Any = native.get("rope_theta")
    evidence: str | Evidence = "rope_theta"
    if theta is None:
        slides = config.get("sliding_window") is not None
        theta, evidence = (
            (1e4 if slides else 1e6),
            _absent("rope_theta: 1e6, or 1e4 with a sliding window (mistral-src)"),
        )
    if not native.has("yarn") and not native.has("llama_4_scaling"):
        config["rope_theta"], spelled["rope_theta"] = theta, evidence
        return
    own: dict[str, tuple[Any, str | Evidence]] = {
        "rope_theta": (theta, evidence),
        "rope_type": (
            "yarn" if native.has("yarn") else "default",
            "yarn" if native.has("yarn") else "llama_4_scaling",
        ),
    }
    _copy(native, YARN, config, spelled)
    if native.has("yarn"):
        own |= _magnitude(native, model_type)
    if native.has("llama_4_scaling"):
        own["llama_4_scaling_beta"] = (native.get("llama_4_scaling.beta"), "llama_4_scaling.beta")
        context, key = (
            native.values.get("yarn.original_max_position_embeddings"),
            "llama_4_scaling.original_max_position_embeddings",
        )
        if context is None:
            own["original_max_position_embeddings"] = (native.get(key), key)
        elif context == native.values.get(key):
            native.used.add(key)  # one key serves both in config.json
    for name, (value, source) in own.items():
        _put(config, f"rope_parameters.{name}", value)
        spelled[f"rope_parameters.{name}"] = source


def _magnitude(native: _Native, model_type: str) -> dict[str, tuple[Any, str | Evidence]]:
    """What `yarn.apply_scale` means: false leaves sines and softmax as they are; true, or absent, corrects them as YaRN does.

    transformers' converters write false as mscale = mscale_all_dim = 1. For dense models that says the same; its latent attention would
    square mscale_all_dim into the softmax scale, which vLLM (as Mistral runs it) does only for true.
    """
    given = native.get("yarn.apply_scale")
    source: str | Evidence = (
        _absent("yarn.apply_scale: true") if given is None else "yarn.apply_scale"
    )
    if model_type == "mistral4" and given is False:
        return {"attention_factor": (1.0, source)}
    if model_type == "mistral4" or given is False:
        return {"mscale": (1.0, source), "mscale_all_dim": (1.0, source)}
    return {}


def _vision(native: _Native, config: dict[str, Any], spelled: Spelling) -> None:
    """The Pixtral tower; Pixtral 12B has neither patch merger nor the norm before the projector."""
    _copy(native, VISION, config, spelled)
    implied: dict[str, tuple[Any, Evidence]] = {
        "vision_config.hidden_act": ("silu", _absent("a key for it: silu")),
        "multimodal_projector_bias": (True, _absent("adapter_bias: with bias")),
        "spatial_merge_size": (1, _absent("spatial_merge_size: 1")),
        "mm_projector_id": ("", _absent("mm_projector_id: no patch merger")),
        "add_pre_mm_projector_layer_norm": (
            False,
            _absent("add_pre_mm_projector_layer_norm: none"),
        ),
        "projector_hidden_act": ("gelu", _absent("a key for it: GELU")),
    }
    for key, (value, evidence) in implied.items():
        *parents, last = key.split(".")
        at: Any = config
        for p in parents:
            at = at.get(p, {})
        if at.get(last) is None:
            _put(config, key, value)
            spelled[key] = evidence


_LAYER, _HUB_LAYER = "layers.{}.", "model.layers.{}."
_TOWER, _HUB_TOWER = "vision_encoder.transformer.layers.{}.", "vision_tower.transformer.layers.{}."
_HEADS = {"wq": "q_proj", "wk": "k_proj", "wv": "v_proj", "wo": "o_proj"}
_LATENT = {
    "wq_a": "q_a_proj", "q_a_norm": "q_a_layernorm", "wq_b": "q_b_proj", "wkv_a_with_mqa": "kv_a_proj_with_mqa",
    "kv_a_norm": "kv_a_layernorm", "wkv_b": "kv_b_proj",
}  # fmt: skip
_MLP = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}

NAMES: dict[str, str] = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    _LAYER + "attention_norm": _HUB_LAYER + "input_layernorm",
    _LAYER + "ffn_norm": _HUB_LAYER + "post_attention_layernorm",
    **{
        f"{_LAYER}attention.{a}": f"{_HUB_LAYER}self_attn.{b}"
        for a, b in (_HEADS | _LATENT).items()
    },
    **{
        f"{_LAYER}attention.{x}_fake_quantizer": f"{_HUB_LAYER}self_attn.{x}_fake_quantizer"
        for x in "qkv"
    },
    **{f"{_LAYER}feed_forward.{a}": f"{_HUB_LAYER}mlp.{b}" for a, b in _MLP.items()},
    _LAYER + "gate": _HUB_LAYER + "mlp.gate",
    **{f"{_LAYER}experts.{{}}.{a}": f"{_HUB_LAYER}mlp.experts.{{}}.{b}" for a, b in _MLP.items()},
    **{
        f"{_LAYER}shared_experts.{a}": f"{_HUB_LAYER}mlp.shared_experts.{b}"
        for a, b in _MLP.items()
    },
    _LAYER + "feed_forward.gate": _HUB_LAYER + "block_sparse_moe.gate",
    **{
        f"{_LAYER}feed_forward.experts.{{}}.{a}": f"{_HUB_LAYER}block_sparse_moe.experts.{{}}.{a}"
        for a in _MLP
    },
    "vision_encoder.patch_conv": "vision_tower.patch_conv",
    "vision_encoder.ln_pre": "vision_tower.ln_pre",
    **{f"{_TOWER}attention.{a}": f"{_HUB_TOWER}attention.{b}" for a, b in _HEADS.items()},
    **{f"{_TOWER}feed_forward.{a}": f"{_HUB_TOWER}feed_forward.{b}" for a, b in _MLP.items()},
    **{f"{_TOWER}{n}": f"{_HUB_TOWER}{n}" for n in ("attention_norm", "ffn_norm")},
    "pre_mm_projector_norm": "multi_modal_projector.norm",
    "patch_merger.merging_layer": "multi_modal_projector.patch_merger.merging_layer",
    "vision_language_adapter.w_in": "multi_modal_projector.linear_1",
    "vision_language_adapter.w_out": "multi_modal_projector.linear_2",
}
"""Native module patterns and the Hub's, without the last part (`weight`, or a scale's name), which stays. Shapes are the same."""


def hub_name(pattern: str) -> str | None:
    """The Hub's name for a native tensor pattern (`layers.{}.attention.wq.weight`), scales included; None if it is not a native name."""
    if pattern == _LAYER + "router_biases":
        return _HUB_LAYER + "mlp.gate.e_score_correction_bias"
    module, _, leaf = pattern.rpartition(".")
    hub = NAMES.get(module)
    return hub and f"{hub}.{leaf}"
