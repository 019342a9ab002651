"""Translate params.json, Mistral's native config, to the keys that families read.

Evidence and errors still name the native keys. Which class a file means is decided as vLLM and
transformers' converters do: latent attention is Mistral Large 3's, experts without it are
Mixtral's, YaRN is Ministral 3's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..architecture.schema import Evidence
from ..errors import ConfigError, UnknownFamily
from .keys import MAX_LAYERS

NativeKeys = dict[str, str | Evidence]
"""For each dotted key of the translation the native key, or the evidence of an implied value."""

_TEXT = {
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
"""Keys of config.json, and their native names at the top of params.json."""

_LATENT_KEYS = (
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
)
_LATENT = {key: key for key in _LATENT_KEYS}

_MIXTRAL = {
    "num_local_experts": "moe.num_experts",
    "num_experts_per_tok": "moe.num_experts_per_tok",
}

_EXPERTS = {
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

_YARN = {
    "rope_parameters.factor": "yarn.factor",
    "rope_parameters.original_max_position_embeddings": "yarn.original_max_position_embeddings",
    "rope_parameters.beta_fast": "yarn.beta",
    "rope_parameters.beta_slow": "yarn.alpha",
}

_VISION_KEYS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "num_channels",
    "image_size",
    "patch_size",
    "rope_theta",
    "head_dim",
)
_VISION = {f"vision_config.{key}": f"vision_encoder.{key}" for key in _VISION_KEYS} | {
    "multimodal_projector_bias": "vision_encoder.adapter_bias",
    "spatial_merge_size": "vision_encoder.spatial_merge_size",
    "mm_projector_id": "vision_encoder.mm_projector_id",
    "add_pre_mm_projector_layer_norm": "vision_encoder.add_pre_mm_projector_layer_norm",
}

_INERT_KEYS = {
    "max_batch_size",
    "max_seq_len",
    "moe.expert_parallel",
    "moe.expert_model_parallel",
    "vision_encoder.image_token_id",
    "vision_encoder.image_break_token_id",
    "vision_encoder.image_end_token_id",
    "vision_encoder.max_image_size",
}
"""Native keys without effect on the architecture: run time, parallelism, token ids, images."""
_INERT_SECTIONS = ("lora", "quantization", "quantization_config")
_WINDOW_KEYS = ("sliding_window", "_sliding_window")


_NATIVE_NAMES = _TEXT | _LATENT | _MIXTRAL | _EXPERTS | _YARN | _VISION


class Translation(NamedTuple):
    """A config in the keys that families read, and the native name of each key."""

    config: dict[str, Any]
    native_keys: NativeKeys


def translate(params: Mapping[str, Any]) -> Translation:
    """Translate params.json.

    Keys without a counterpart are kept as `params.json KEY`, which no family reads, so that they
    are shown as unread.
    """
    native = _Native(params)
    text_class = _text_class(native)
    text = _text(native, text_class.model_type)
    if native.has("vision_encoder"):
        whole = _Config(native)
        whole.config["text_config"] = text.config
        whole.native_keys |= {f"text_config.{k}": v for k, v in text.native_keys.items()}
        whole.put("text_config.model_type", text_class.model_type, text_class.evidence)
        whole.put("model_type", "mistral3", text_class.evidence)
        _add_vision(whole)
    else:
        whole = text
        whole.put("model_type", text_class.model_type, text_class.evidence)
    for key in ("quantization", "quantization_config"):
        if isinstance(params.get(key), dict):
            whole.config[key] = params[key]
    for key in native.unread():
        name = f"params.json {key}"  # with dots of its own, so it is not a path
        whole.config[name] = native.get(key)
        whole.native_keys[name] = key
    return Translation(whole.config, whole.native_keys)


def native_name(key: str) -> str | None:
    """Return the native name of a dotted key that families read, None if it has none."""
    return _NATIVE_NAMES.get(key.removeprefix("text_config."))


class _Native:
    """params.json as dotted keys, with a note of those that were asked for."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.values = dict(_flat(params))
        self.read_keys: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether the file has a value other than null under a key or a section."""
        return any(
            name == key or name.startswith(f"{key}.")
            for name, value in self.values.items()
            if value is not None
        )

    def get(self, key: str) -> Any:
        """Return the value of a key, None if it is absent, and note that it was read."""
        self.read_keys.add(key)
        return self.values.get(key)

    def unread(self) -> list[str]:
        """Return the keys that were not read and that may have an effect."""
        known = self.read_keys | _INERT_KEYS
        return [
            name
            for name in self.values
            if name not in known and name.partition(".")[0] not in _INERT_SECTIONS
        ]


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; `multimodal.vision_encoder_args` gets its short name."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            nested: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            name = f"{prefix}{key}."
            if name == "multimodal.vision_encoder_args.":
                name = "vision_encoder."
            yield from _flat(nested, name)
        elif not isinstance(value, dict):
            yield prefix + key, value


class _Config:
    """A config in the keys that families read, while it is made."""

    def __init__(self, native: _Native) -> None:
        self.native = native
        self.config: dict[str, Any] = {}
        self.native_keys: NativeKeys = {}

    def get(self, path: str) -> Any:
        """Return the value under a dotted key, None if it is absent."""
        section: Any = self.config
        *parents, last = path.split(".")
        for parent in parents:
            section = section.get(parent, {})
        return section.get(last)

    def put(self, path: str, value: Any, source: str | Evidence) -> None:
        """Set a dotted key, and where its value comes from."""
        self.native_keys[path] = source
        section = self.config
        *parents, last = path.split(".")
        for parent in parents:
            if parent not in section:
                section[parent] = {}
            section = section[parent]
        section[last] = value

    def imply(self, path: str, value: Any, source: Evidence) -> None:
        """Set a dotted key unless the file has a value for it."""
        if self.get(path) is None:
            self.put(path, value, source)

    def copy(self, table: Mapping[str, str]) -> None:
        """Copy the keys of a table that the file has. Errors name the absent ones natively too."""
        for path, name in table.items():
            self.native_keys[path] = name
            if name in self.native.values:
                self.put(path, self.native.get(name), name)


class _TextClass(NamedTuple):
    """The model_type of a text model, and what tells it."""

    model_type: str
    evidence: Evidence


def _text_class(native: _Native) -> _TextClass:
    """Return the class that a file means."""
    model_type, reason = _text_class_and_reason(native)
    return _TextClass(model_type, Evidence(kind="derived", ref=reason))


def _text_class_and_reason(native: _Native) -> tuple[str, str]:
    kind = native.get("model_type")
    if kind == "mamba":
        raise UnknownFamily(
            'params.json: model_type "mamba" is not supported', "config.json with mamba2 is."
        )
    if kind not in (None, "transformer"):
        return str(kind), "model_type"
    if native.has("kv_lora_rank"):
        return "mistral4", "params.json has kv_lora_rank: latent attention"
    if native.has("moe"):
        return "mixtral", "params.json has moe, and no latent attention"
    if native.has("yarn") or native.has("llama_4_scaling"):
        return "ministral3", "params.json has yarn or llama_4_scaling"
    if any(isinstance(native.values.get(key), list) for key in _WINDOW_KEYS):
        return "ministral", "params.json has a list of windows"
    return "mistral", "params.json has neither moe, yarn nor latent attention"


def _text(native: _Native, model_type: str) -> _Config:
    """Translate the keys of the text model."""
    text = _Config(native)
    text.copy(_TEXT)
    if model_type == "mistral4":
        text.copy(_LATENT)
        text.copy(_EXPERTS)
    else:
        native.read_keys.update(k for k in _LATENT if not native.has(k))  # null in dense models
    if model_type == "mixtral":
        text.copy(_MIXTRAL)
    _add_older_keys(text)
    _add_implied_values(text, model_type)
    _add_windows(text)
    _add_rope(text, model_type)
    return text


def _add_older_keys(text: _Config) -> None:
    """Add values that older files have under other keys."""
    native = text.native
    if "tie_embeddings" in native.values:
        text.put("tie_word_embeddings", native.get("tie_embeddings"), "tie_embeddings")
    given = "max_position_embeddings" in text.config
    if not given and "max_seq_len" in native.values:
        text.put("max_position_embeddings", native.get("max_seq_len"), "max_seq_len")


def _add_implied_values(text: _Config, model_type: str) -> None:
    """Add the values that the format means if it has no key for them."""
    heads = text.config.get("num_attention_heads")
    text.imply("hidden_act", "silu", _absent("activation: silu"))
    text.imply("tie_word_embeddings", False, _absent("tied_embeddings: untied"))
    text.imply("num_key_value_heads", heads, _absent("n_kv_heads: as n_heads"))
    unknown = Evidence(kind="unknown", ref="params.json has no max_position_embeddings")
    text.imply("max_position_embeddings", None, unknown)
    if model_type != "mistral4":
        return
    normalized = _absent("a key for it: the chosen weights are divided by their sum")
    text.imply("norm_topk_prob", True, normalized)
    if not text.native.has("moe"):
        layers = text.config.get("num_hidden_layers")
        text.imply("first_k_dense_replace", layers, _absent("moe: every layer is dense"))


def _absent(meaning: str) -> Evidence:
    """Return the evidence of what an absent key means in the reference code."""
    code = "mistral-inference 1.6.0, vLLM transformers_utils/configs/mistral.py"
    return Evidence(kind="default", ref=f"params.json without {meaning}; {code}")


def _add_windows(text: _Config) -> None:
    """Add the window: a number for all layers, or a list to repeat with null for full ones.

    The list may also be under `_sliding_window`.
    """
    native = text.native
    key = next((k for k in _WINDOW_KEYS if native.values.get(k) is not None), _WINDOW_KEYS[0])
    window = native.get(key)
    native.read_keys.update(_WINDOW_KEYS)
    if window is None:
        every_layer_full = _absent("sliding_window: every layer is full")
        text.put("sliding_window", None, every_layer_full)
    elif isinstance(window, list):
        pattern: list[Any] = [*window]  # pyright: ignore[reportUnknownVariableType]
        _add_window_pattern(text, key, pattern)
    else:
        text.put("sliding_window", window, key)


def _add_window_pattern(text: _Config, key: str, pattern: list[Any]) -> None:
    """Add the window and the types of the layers. Raises ConfigError for several windows."""
    layers = text.config.get("num_hidden_layers")
    windows = [window for window in pattern if window is not None]
    alike = all(isinstance(window, int) and window == windows[0] for window in windows)
    if not isinstance(layers, int) or not pattern or not alike:
        raise ConfigError(
            f"params.json: {key} is a list that gives no single window and pattern of layers"
        )
    repeated = [pattern[i % len(pattern)] for i in range(min(layers, MAX_LAYERS))]
    types = ["full_attention" if window is None else "sliding_attention" for window in repeated]
    text.put("layer_types", types, key)
    text.put("sliding_window", windows[0] if windows else None, key)


def _add_rope(text: _Config, model_type: str) -> None:
    """Add RoPE: `rope_theta` alone, or rope_parameters with `yarn` and `llama_4_scaling`."""
    native = text.native
    theta: Any = native.get("rope_theta")
    source: str | Evidence = "rope_theta"
    if theta is None:
        slides = text.config.get("sliding_window") is not None
        theta = 1e4 if slides else 1e6
        source = _absent("rope_theta: 1e6, or 1e4 with a sliding window (mistral-src)")
    has_yarn = native.has("yarn")
    if not has_yarn and not native.has("llama_4_scaling"):
        text.put("rope_theta", theta, source)
        return
    text.put("rope_parameters.rope_theta", theta, source)
    text.copy(_YARN)
    if has_yarn:
        text.put("rope_parameters.rope_type", "yarn", "yarn")
        _add_magnitude(text, model_type)
    else:
        text.put("rope_parameters.rope_type", "default", "llama_4_scaling")
    if native.has("llama_4_scaling"):
        _add_query_scaling(text)


def _add_query_scaling(text: _Config) -> None:
    """Add the scaling of queries by position, with YaRN's original context if both have one."""
    native = text.native
    key = "llama_4_scaling.beta"
    beta = native.get(key)
    text.put("rope_parameters.llama_4_scaling_beta", beta, key)
    key = "llama_4_scaling.original_max_position_embeddings"
    of_yarn = native.values.get("yarn.original_max_position_embeddings")
    if of_yarn is None:
        context = native.get(key)
        text.put("rope_parameters.original_max_position_embeddings", context, key)
    elif of_yarn == native.values.get(key):
        native.read_keys.add(key)


def _add_magnitude(text: _Config, model_type: str) -> None:
    """Add what `yarn.apply_scale` means.

    False leaves sines and softmax as they are; true, or absent, corrects them as YaRN does.
    transformers' converters write false as mscale = mscale_all_dim = 1. For dense models that is
    the same; its latent attention would square mscale_all_dim into the softmax scale, which vLLM
    (as Mistral runs it) does only for true.
    """
    given = text.native.get("yarn.apply_scale")
    source: str | Evidence = "yarn.apply_scale"
    if given is None:
        source = _absent("yarn.apply_scale: true")
    latent = model_type == "mistral4"
    if latent and given is False:
        text.put("rope_parameters.attention_factor", 1.0, source)
    elif latent or given is False:
        text.put("rope_parameters.mscale", 1.0, source)
        text.put("rope_parameters.mscale_all_dim", 1.0, source)


def _add_vision(whole: _Config) -> None:
    """Add the Pixtral tower; Pixtral 12B has neither patch merger nor norm before the projector."""
    whole.copy(_VISION)
    whole.imply("vision_config.hidden_act", "silu", _absent("a key for it: silu"))
    whole.imply("multimodal_projector_bias", True, _absent("adapter_bias: with bias"))
    whole.imply("spatial_merge_size", 1, _absent("spatial_merge_size: 1"))
    whole.imply("mm_projector_id", "", _absent("mm_projector_id: no patch merger"))
    norm = "add_pre_mm_projector_layer_norm"
    whole.imply(norm, False, _absent(f"{norm}: none"))
    whole.imply("projector_hidden_act", "gelu", _absent("a key for it: GELU"))
