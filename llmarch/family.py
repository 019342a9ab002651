"""The vocabulary that family files are written in: reading facts with their evidence, and naming tensors.

A family file says what the keys of a config mean (`read`) and what the published tensors are called (`naming`). Reading gives
a tree of `Node`s whose leaves are `Fact`s; `build` turns the tree into schema objects and a table of evidence by dotted path.
A leaf that is a plain value is what the modelling code does whatever the config says: evidence `family`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from math import prod
from typing import Any, cast

from .errors import ConfigError
from .schema import (
    FFN,
    MTP,
    Architecture,
    Attention,
    BlockIndex,
    Branch,
    CompressedAttention,
    Conformer,
    ConvBlock,
    ConvTower,
    Dense,
    Embedding,
    Evidence,
    Head,
    Indexer,
    LatentAttention,
    LayerKind,
    Linear,
    LinearAttention,
    Mixer,
    MoE,
    Norm,
    PerLayerEmbedding,
    QKNorm,
    Quantization,
    QueryScaling,
    Residual,
    Rope,
    RopeScaling,
    Router,
    Step,
    Tower,
)

MOST_LAYERS = 10_000
MOST = 10**6
MOST_TOKENS = 10**10
IN_TOKENS = ("position", "context", "window", "seq", "length", "vocab", "chunk", "floor")
"""Words in the names of keys that count tokens."""

INERT = frozenset(
    """
    architectures auto_map transformers_version _name_or_path _attn_implementation _attn_implementation_autoset torch_dtype dtype use_cache
    bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id
    image_token_id image_token_index video_token_id video_token_index vision_start_token_id vision_end_token_id audio_token_id
    boa_token_id eoa_token_id
    eoa_token_index boi_token_id eoi_token_id boi_token_index eoi_token_index image_break_token_id image_end_token_id
    initializer_range initializer_factor attention_dropout attn_pdrop embd_pdrop resid_pdrop hidden_dropout hidden_dropout_prob dropout
    attention_probs_dropout_prob embedding_dropout classifier_dropout summary_activation summary_first_dropout summary_proj_to_labels
    summary_type summary_use_proj task_specific_params gradient_checkpointing output_attentions output_hidden_states output_router_logits
    return_dict router_aux_loss_coef router_z_loss_coef aux_loss_alpha seq_aux seq_length max_length temperature top_k top_p do_sample
    id2label label2id problem_type pretraining_tp ep_size router_jitter_noise
    is_decoder tie_encoder_decoder chunk_size_feed_forward tokenizer_class prefix pruned_heads
    reorder_and_upcast_attn use_cpu_initialization model_type quantization_config quantization
    unsloth_version unsloth_fixed is_llama_config for_llm_compressor rope_ratio_deprecated mlp_dropout head_pdrop
    cache_implementation experts_implementation hidden_dropout_rate tf_legacy_loss torchscript use_bfloat16 finetuning_task
    sep_token_ids bad_words_ids begin_suppress_tokens suppress_tokens encoder_no_repeat_ngram_size no_repeat_ngram_size num_beams
    num_beam_groups num_return_sequences diversity_penalty repetition_penalty length_penalty min_length early_stopping
    exponential_decay_length_penalty remove_invalid_values return_dict_in_generate output_scores typical_p ignore_index
    vision_feature_layer vision_feature_select_strategy transformers.js_config
    """.split()
)
"""Keys that say nothing about the architecture: token ids, training, generation, library bookkeeping."""

OFF = frozenset("add_cross_attention is_encoder_decoder cross_attention_hidden_size text_config vision_config audio_config".split())
"""Keys that say nothing while they are false or null."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A value and where it comes from."""

    value: Any
    evidence: Evidence

    def __bool__(self) -> bool:
        raise TypeError("ask fact.value, not the fact")


def fixed(value: Any, ref: str) -> Fact:
    """What the modelling code `ref` does, whatever the config says."""
    return Fact(value, Evidence(kind="family", ref=ref))


def unknown(why: str) -> Fact:
    return Fact(None, Evidence(kind="unknown", ref=why))


def derived(value: Any, how: str) -> Fact:
    """A computed value; `how` says from what, for people: `hidden_size / num_attention_heads`."""
    return Fact(value, Evidence(kind="derived", ref=how))


def like(value: Any, source: Fact) -> Fact:
    """Another value that rests on the same evidence."""
    return Fact(value, source.evidence)


@dataclass(frozen=True, slots=True)
class Node:
    """A schema object before it is built: its class and fields, which are Facts, Nodes, plain values, or lists and dicts of these.

    `ref`: the modelling code that its plain values, and those of the nodes within, were read from; empty: that of the node around it.
    """

    cls: type
    fields: dict[str, Any]
    ref: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def but(self, **changes: Any) -> Node:
        """The same node with other fields."""
        return Node(self.cls, {**self.fields, **changes}, self.ref)


def make(cls: type, ref: str = "", /, **values: Any) -> Node:
    return Node(cls, values, ref)


def build(tree: Any, ref: str, evidence: dict[str, Evidence], path: str = "") -> Any:
    """Turn a tree into schema objects, noting each leaf's evidence under its dotted path; plain leaves rest on `ref`, or their node's.

    Raises ValueError for a word that its field does not know.
    """
    match tree:
        case Fact():
            evidence[path] = tree.evidence
            value: Any = tree.value
            return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        case Node():
            ref = tree.ref or ref
            given: dict[str, Any] = {}
            for f in fields(tree.cls):
                if f.name == "kind" and f.default is not MISSING:
                    continue
                at = f"{path}.{f.name}" if path else f.name
                if f.name in tree.fields:
                    value = given[f.name] = build(tree.fields[f.name], ref, evidence, at)
                    if str(f.type).startswith("Literal[") and value is not None and repr(value) not in str(f.type):
                        raise ValueError(f"{evidence[at].ref} says {value!r}, and llmarch knows {f.type}")
                elif f.default is not MISSING:
                    evidence[at] = Evidence(kind="family", ref=ref)
            return tree.cls(**given)
        case dict():
            return {k: build(v, ref, evidence, f"{path}.{k}") for k, v in cast("dict[str, Any]", tree).items()}
        case list() | tuple():
            items = tuple(cast("list[Any]", tree))
            if any(isinstance(v, (Node, Fact)) for v in items):
                return tuple(build(v, ref, evidence, f"{path}.{i}") for i, v in enumerate(items))
            evidence[path] = Evidence(kind="family", ref=ref)
            return items
        case _:
            evidence[path] = Evidence(kind="family", ref=ref)
            return tree


class Config:
    """A config as a family reads it: typed look-ups that become Facts, and a note of every key that was asked for.

    `defaults` are the class defaults that hold for keys the file omits. `spelled` says how the file itself names a key (dotted), or where
    a value comes from that none of its keys states (native.py). Raises ConfigError, naming file and key, for a missing key without
    default, a wrong type, or an absurd size.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        file: str,
        family: str,
        ref: str,
        defaults: Mapping[str, Any] | None = None,
        defaults_ref: str = "",
        model_type: str = "",
        at: str = "",
        used: set[str] | None = None,
        spelled: Mapping[str, str | Evidence] | None = None,
    ) -> None:
        self.data, self.file, self.family, self.ref, self.at, self.model_type = data, file, family, ref, at, model_type
        self.defaults, self.defaults_ref = defaults or {}, defaults_ref
        self.spelled: Mapping[str, str | Evidence] = spelled or {}
        self.used: set[str] = set() if used is None else used

    def child(
        self,
        key: str,
        *,
        defaults: Mapping[str, Any] | None = None,
        defaults_ref: str = "",
        family: str = "",
        ref: str = "",
        model_type: str = "",
    ) -> Config:
        """The config nested under `key` (an empty one if the key is absent or null)."""
        self.used.add(self.at + key)
        data = self.data.get(key)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise self._wrong(key, data, "an object")
        return Config(
            cast("dict[str, Any]", data),
            file=self.file,
            family=family or self.family,
            ref=ref or self.ref,
            defaults=defaults,
            defaults_ref=defaults_ref,
            model_type=model_type,
            at=f"{self.at}{key}.",
            used=self.used,
            spelled=self.spelled,
        )

    def has(self, key: str) -> bool:
        """Whether the file has the key with a value other than null."""
        return self.data.get(key) is not None

    def knows(self, key: str) -> bool:
        """Whether the file has the key, or the class a default for it."""
        return self.has(key) or self.defaults.get(key) is not None

    def key(self, key: str) -> str:
        """The key as the file spells it, dotted."""
        said = self.spelled.get(self.at + key)
        return said if isinstance(said, str) else self.at + key

    def _evidence(self, key: str) -> Evidence:
        said = self.spelled.get(self.at + key)
        return said if isinstance(said, Evidence) else Evidence(kind="config", ref=self.key(key))

    def unread(self) -> list[str]:
        """Keys that nobody asked for and that are not known to be inert, dotted, as the file spells them, sorted."""
        said = [self.spelled.get(name, name) for name in self._unread(self.data, self.at)]
        return sorted(s for s in said if isinstance(s, str))

    def _unread(self, data: Mapping[str, Any], at: str) -> Iterator[str]:
        for key, value in data.items():
            name = at + key
            if isinstance(value, dict) and any(u.startswith(name + ".") for u in self.used):
                yield from self._unread(cast("dict[str, Any]", value), name + ".")
            elif name not in self.used and key not in INERT and not key.startswith("_") and (value or key not in OFF):
                yield name

    def _wrong(self, key: str, value: Any, need: str) -> ConfigError:
        shown = repr(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else _json(value)
        kind = {
            bool: "a boolean",
            str: "a string",
            list: "a list",
            dict: "an object",
            int: "an integer",
            float: "a number",
            type(None): "null",
        }
        return ConfigError(
            f"{self.file}: {self.key(key)} is {shown} ({kind.get(cast(type, type(value)), 'a value')}); {need} is needed",
            f"{self.family} reads it from {self.key(key)}.",
        )

    def _find(self, keys: tuple[str, ...], default: Any) -> tuple[str, Any, Evidence]:
        for key in keys:
            self.used.add(self.at + key)
        for key in keys:
            if self.data.get(key) is not None or (key in self.data and isinstance(self.spelled.get(self.at + key), Evidence)):
                return key, self.data[key], self._evidence(key)
        null = next((k for k in keys if k in self.data), None)
        if default is MISSING:
            for key in keys:
                if key in self.defaults:
                    return key, self.defaults[key], Evidence(kind="default", ref=f"{self.key(key)}, {self.defaults_ref}")
            close = get_close_matches(keys[0], [k for k in self.data if k not in keys], 1, 0.8)
            what = "is null" if null else "is missing"
            hint = f"{self.family} has no default for it." + (f" Did {self.key(close[0])} mean it?" if close else "")
            raise ConfigError(f"{self.file}: {self.key(null or keys[0])} {what}", hint)
        if isinstance(default, Fact):
            return keys[0], default.value, default.evidence
        if null is not None:
            return null, default, Evidence(kind="config", ref=f"{self.key(null)} (null)")
        return keys[0], default, Evidence(kind="default", ref=f"{self.key(keys[0])}, {self.defaults_ref or self.ref}")

    def raw(self, *keys: str, default: Any = MISSING) -> Fact:
        """The first of `keys` that the file has, unchecked."""
        _, value, evidence = self._find(keys, default)
        return Fact(value, evidence)

    def or_null(self, look_up: Callable[..., Fact], *keys: str, **limits: int) -> Fact:
        """What `look_up` (`c.size`, `c.number`) makes of the keys; null in the file means none, whatever the class default."""
        return look_up(*keys, default=None, **limits) if any(k in self.data for k in keys) else look_up(*keys, **limits)

    def ignore(self, *keys: Any) -> None:
        """Keys that the modelling code does not use here (an MLP width where every layer is sparse): read, without effect."""
        self.used.update(self.at + key for key in keys)

    def stated(self, key: str, value: Any, means: Any = MISSING) -> Any:
        """`value`, or what it `means`: the code does it whatever the config says. Where the key says the same it is the evidence; a key
        that says otherwise stays unread, and is shown."""
        if self.data.get(key) in (None, value):
            self.used.add(self.at + key)
        out = value if means is MISSING else means
        return Fact(out, self._evidence(key)) if self.has(key) and self.data[key] == value else out

    def size(self, *keys: str, default: Any = MISSING, least: int = 1, most: int | None = None) -> Fact:
        """A count. What no real model has (a million experts) is an error; lengths in tokens may be longer."""
        key, value, evidence = self._find(keys, default)
        most = most or (MOST_TOKENS if any(word in key for word in IN_TOKENS) else MOST)
        if value is None:
            return Fact(None, evidence)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "an integer")
        if not least <= value <= most:
            raise ConfigError(f"{self.file}: {self.key(key)} is {value:,}; {least:,} to {most:,} is what llmarch takes for a real model")
        return Fact(value, evidence)

    def layer_count(self, *keys: str, default: Any = MISSING) -> Fact:
        """A count of layers."""
        return self.size(*(keys or ("num_hidden_layers",)), default=default, most=MOST_LAYERS)

    def number(self, *keys: str, default: Any = MISSING) -> Fact:
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Fact(None, evidence)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
            raise self._wrong(key, value, "a number")
        return Fact(float(value), evidence)

    def flag(self, *keys: str, default: Any = MISSING) -> Fact:
        key, value, evidence = self._find(keys, default)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return Fact(bool(value), evidence)

    def word(self, *keys: str, default: Any = MISSING) -> Fact:
        key, value, evidence = self._find(keys, default)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return Fact(value, evidence)

    def items(self, *keys: str, default: Any = MISSING, length: int | None = None, of: type | tuple[type, ...] = object) -> Fact:
        """A list, of at least `length` entries (longer ones, as with MTP entries, are cut)."""
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Fact(None, evidence)
        if not isinstance(value, (list, tuple)):
            raise self._wrong(key, value, "a list")
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        bad = next((v for v in items if not isinstance(v, of)), None)
        if bad is not None:
            raise ConfigError(f"{self.file}: {self.key(key)} holds {_json(bad)}, which has no place there")
        if length is not None and len(items) < length:
            raise ConfigError(f"{self.file}: {self.key(key)} has {len(items)} entries for {length} layers")
        return Fact(items[:length], evidence)


def _json(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


# --- facts that many families share -------------------------------------------------------------------------------


def rms_norm(c: Config, *keys: str, offset: int = 0) -> Node:
    return make(Norm, kind="rmsnorm", eps=c.number(*(keys or ("rms_norm_eps",))), offset=offset)


def layer_norm(c: Config, *keys: str, bias: bool = True) -> Node:
    return make(Norm, kind="layernorm", eps=c.number(*keys), bias=bias)


def head_dim(c: Config, hidden: str = "hidden_size", heads: str = "num_attention_heads") -> Fact:
    """`head_dim`, or hidden_size / num_attention_heads where the config has none (or null)."""
    if c.has("head_dim") or ("head_dim" not in c.data and c.defaults.get("head_dim") is not None):
        return c.size("head_dim")
    c.raw("head_dim", default=None)
    h, n = c.size(hidden).value, c.size(heads).value
    if h % n:
        raise ConfigError(f"{c.file}: {c.key(hidden)} {h:,} is not a multiple of {c.key(heads)} {n:,}, and there is no head_dim")
    return derived(h // n, f"{c.key(hidden)} / {c.key(heads)}")


def kv_heads(c: Config, heads: str = "num_attention_heads", key: str = "num_key_value_heads") -> Fact:
    """`num_key_value_heads`; without it (or null) every query head has its own."""
    if c.has(key) or (key not in c.data and c.defaults.get(key) is not None):
        n, h = c.size(key), c.size(heads).value
        if h % n.value:
            raise ConfigError(f"{c.file}: {c.key(heads)} {h:,} is not a multiple of {c.key(key)} {n.value:,}")
        return n
    c.raw(key, default=None)
    return like(c.size(heads).value, derived(None, f"{c.key(heads)}, as {c.key(key)} is absent"))


def rotary_dim(c: Config, dim: Fact, default: float = 1.0) -> Fact:
    """How many of a head's dims turn: int(head_dim * partial_rotary_factor)."""
    at = rope_keys(c)
    if at.has("partial_rotary_factor"):
        factor = at.number("partial_rotary_factor")
        if at is not c:
            c.stated("partial_rotary_factor", factor.value)  # files of transformers 5 say it twice
    else:
        factor = c.number("partial_rotary_factor", default=c.defaults.get("partial_rotary_factor", default))
    if factor.value == 1.0 and factor.evidence.kind != "config":
        return derived(dim.value, "all of head_dim")
    return derived(int(dim.value * factor.value), f"int(head_dim * {factor.evidence.ref})")


def rope(
    c: Config,
    rotary: Fact,
    *,
    interleaved: bool | Fact = False,
    layer_type: str | None = None,
    theta: Fact | None = None,
    scaled: bool = True,
) -> Node:
    """RoPE in any of its spellings: `rope_theta` + `rope_scaling`, or transformers 5's `rope_parameters`, flat or by layer type.

    `theta` takes the place of the config's own (Gemma 3's local base), and `scaled` False leaves the scaling out, both unless the config
    has an entry for `layer_type`.
    """
    at = rope_keys(c)
    if layer_type is not None and any(isinstance(v, dict) for v in at.data.values()):
        if at.has(layer_type):
            at, theta, scaled = at.child(layer_type), None, True
        elif theta is None:
            raise ConfigError(f"{c.file}: {at.at[:-1]} has no entry for {layer_type}")
    if theta is None:
        theta = at.number("rope_theta") if at.knows("rope_theta") else c.number("rope_theta")
    c.raw("rope_theta", default=None)
    at.raw("rope_type", "type", "partial_rotary_factor", "rope_theta", default=None)
    scaling = scaling_of(at) if scaled else None
    if scaling is not None and "original_context" not in scaling.fields and scaling["kind"].value in ("llama3", "yarn", "longrope"):
        key = "original_max_position_embeddings" if c.has("original_max_position_embeddings") else "max_position_embeddings"
        scaling = scaling.but(original_context=c.size(key))
    return make(Rope, theta=theta, rotary_dim=rotary, interleaved=interleaved, scaling=scaling)


def typed_rope(c: Config, dim: Fact, layer_type: str, theta: Fact, share: Fact, scaled: bool = True) -> Node:
    """RoPE of one type of layers: its entry in rope_parameters, or else `theta` and the `share` of a head's dims that turns."""
    at = rope_keys(c)
    if at.has(layer_type):
        share = at.child(layer_type).number("partial_rotary_factor", default=fixed(1.0, c.ref))
    turned = derived(int(dim.value * share.value), f"int(head_dim * {share.evidence.ref})") if share.value != 1 else like(dim.value, share)
    return rope(c, turned, layer_type=layer_type, theta=theta, scaled=scaled)


def rope_keys(c: Config) -> Config:
    """Where the keys of RoPE are: `rope_scaling`, which transformers prefers if a config has both, `rope_parameters`, or their default."""
    for key in ("rope_parameters", "rope_scaling"):
        if not c.data.get(key):
            c.ignore(key)
    if c.data.get("rope_scaling"):
        return c.child("rope_scaling")
    if c.has("rope_parameters") or "rope_parameters" not in c.defaults:
        return c.child("rope_parameters")
    return c.child("rope_parameters", defaults=c.defaults["rope_parameters"], defaults_ref=c.defaults_ref)


def query_scaling(c: Config) -> Node | None:
    """Mistral's spelling of Llama 4's query scaling: beta and the original context stand among the keys of RoPE."""
    at = rope_keys(c)
    at.ignore("llama_4_scaling_beta", "max_position_embeddings")
    if not at.knows("llama_4_scaling_beta"):
        return None
    original = "original_max_position_embeddings"
    context = at.size(original) if at.knows(original) else c.size("max_position_embeddings")
    beta = at.number("llama_4_scaling_beta")
    return make(QueryScaling, beta=beta, original_context=context) if beta.value else None


def scaling_of(c: Config) -> Node | None:
    """The scaling that `rope_scaling` or `rope_parameters` describes; None for the plain kinds (default, and those of several axes)."""
    kind = c.word("rope_type", "type", default=MISSING if "rope_type" in c.defaults else "default")
    number = {
        "original_context": "original_max_position_embeddings",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "mscale": "mscale",
        "mscale_all_dim": "mscale_all_dim",
        "attention_factor": "attention_factor",
        "alpha": "alpha",
        "factor": "factor",
    }
    c.raw("rope_theta", "mrope_section", "mrope_interleaved", "finetuned", default=None)
    if kind.value in ("default", "mrope", "axial", None):
        for key in number.values():
            c.raw(key, default=None)
        return None
    if kind.value == "su":
        kind = like("longrope", kind)
    if kind.value not in ("linear", "dynamic", "llama3", "yarn", "longrope"):
        raise ConfigError(
            f"{c.file}: {c.at[:-1]} is of type {_json(kind.value)}, which llmarch does not know",
            "Known: linear, dynamic, llama3, yarn, longrope.",
        )
    facts: dict[str, Any] = {"kind": kind}
    for name, key in number.items():
        if c.knows(key):
            facts[name] = c.size(key) if name == "original_context" else c.number(key)
        else:
            c.raw(key, default=None)
    if c.has("truncate"):
        facts["truncate"] = c.flag("truncate")
    for name in ("short_factor", "long_factor"):
        if c.has(name):
            facts[name] = c.items(name, of=(int, float))
    return Node(RopeScaling, facts)


def attention(c: Config, **overrides: Any) -> Node:
    """MHA / GQA / MQA from the usual keys; without `rope` among the overrides, RoPE as the config has it (None: no RoPE)."""
    dim = overrides["head_dim"] if "head_dim" in overrides else head_dim(c)
    facts: dict[str, Any] = {"heads": c.size("num_attention_heads"), "kv_heads": kv_heads(c), "head_dim": dim, "v_head_dim": dim}
    if "rope" not in overrides:
        facts["rope"] = rope(c, rotary_dim(c, dim))
    return Node(Attention, facts | overrides)


def latent_attention(c: Config, *, interleaved: bool | Fact = True, **overrides: Any) -> Node:
    """MLA from DeepSeek's keys."""
    dim = c.size("qk_rope_head_dim")
    facts: dict[str, Any] = {
        "heads": c.size("num_attention_heads"),
        "q_lora_rank": c.size("q_lora_rank", default=None)
        if not c.defaults.get("q_lora_rank") or "q_lora_rank" in c.data
        else c.size("q_lora_rank"),
        "kv_lora_rank": c.size("kv_lora_rank"),
        "qk_nope_head_dim": c.size("qk_nope_head_dim"),
        "qk_rope_head_dim": dim,
        "v_head_dim": c.size("v_head_dim"),
        "bias": c.flag("attention_bias", default=False),
    }
    if "rope" not in overrides:
        facts["rope"] = rope(c, dim, interleaved=interleaved)
    return Node(LatentAttention, facts | overrides)


def dense(c: Config, width: str = "intermediate_size", **overrides: Any) -> Node:
    """A gated MLP from the usual keys."""
    return Node(Dense, {"width": c.size(width), "activation": activation(c), **overrides})


def activation(c: Config, *keys: str) -> Fact:
    """The activation under one name for one function: transformers' `gelu_pytorch_tanh`, `gelu_new` and `gelu_fast` are GELU(tanh)."""
    fact = c.word(*(keys or ("hidden_act",)))
    names = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "swish": "silu"}
    return like(names.get(fact.value, fact.value), fact)


def used(c: Config, blocks: Mapping[str, Callable[[Config], Node]], names: Iterable[str]) -> dict[str, Node]:
    """The blocks that layers use, by name; the keys of the others (experts, where every layer is dense) are read without effect."""
    out: dict[str, Node] = {}
    wanted = set(names)
    for name, read in blocks.items():
        if name in wanted:
            out[name] = read(c)
        else:
            with suppress(ConfigError):
                read(c)
    return out


def pre(block: str, norm: str = "rms") -> Node:
    """One step: norm, block, add."""
    return make(Step, branches=[make(Branch, block=block, pre_norm=norm)])


def post_inside(block: str, norm: str = "rms") -> Node:
    """One step: block, norm, add (OLMo 2)."""
    return make(Step, branches=[make(Branch, block=block, post_norm=norm)])


def sandwich(block: str, norm: str = "rms") -> Node:
    """One step: norm, block, norm, add (Gemma 2 and later)."""
    return make(Step, branches=[make(Branch, block=block, pre_norm=norm, post_norm=norm)])


def wire(layers: Sequence[tuple[str, str]], how: Fact, step: Callable[[str], Node] = pre) -> dict[str, Any]:
    """`layer_kinds` and `layers` for decoders whose layers are a mixer and then an FFN: pairs of names in `mixers` and `ffns`.

    A kind is called after its mixer, or `mixer_ffn` where one mixer meets several FFNs in the model. `how` is the evidence of the pattern.
    """
    several = len({f for _, f in layers}) > 1
    name = {pair: f"{pair[0]}_{pair[1]}" if several else pair[0] for pair in dict.fromkeys(layers)}
    kinds = {name[m, f]: make(LayerKind, steps=[step(f"mixers.{m}"), step(f"ffns.{f}")]) for m, f in name}
    return {"layer_kinds": kinds, "layers": like([name[pair] for pair in layers], how)}


def sliding_layers(c: Config, n: int, rule: Callable[[int], bool], how: str) -> tuple[list[str], Fact]:
    """The mixer of each layer, `sliding` or `full`: as layer_types says, or by the class's `rule`, which `how` puts into words."""
    types = c.items("layer_types", default=None, length=n, of=str)
    if types.value is None:
        return ["sliding" if rule(i) else "full" for i in range(n)], derived(None, how)
    names = {"sliding_attention": "sliding", "full_attention": "full"}
    odd = next((t for t in types.value if t not in names), None)
    if odd is not None:
        raise ConfigError(f"{c.file}: {c.key('layer_types')} holds {_json(odd)}; {c.family} knows {' and '.join(names)}")
    return [names[t] for t in types.value], types


def dtype_of(c: Config) -> Fact:
    fact = c.raw("dtype", "torch_dtype", default=unknown("the config names no dtype"))
    value = fact.value
    return like(value.removeprefix("torch.") if isinstance(value, str) else None, fact)


def decoder(c: Config, **parts: Any) -> Node:
    """The Architecture of a decoder with the usual keys; `parts` give the blocks and wiring and may replace anything."""
    usual: dict[str, Callable[[], Any]] = {
        "family": lambda: c.family,
        "model_type": lambda: c.word("model_type", default=c.family),
        "hidden_size": lambda: c.size("hidden_size"),
        "vocab_size": lambda: c.size("vocab_size"),
        "context_length": lambda: c.size("max_position_embeddings"),
        "dtype": lambda: dtype_of(c),
        "embedding": lambda: make(Embedding, tied=c.flag("tie_word_embeddings")),
        "head": lambda: make(Head),
        "final_norm": lambda: "rms",
        "norms": lambda: {"rms": rms_norm(c)},
        "residual": lambda: make(Residual, kind="plain"),
    }
    return Node(Architecture, {k: v() for k, v in usual.items() if k not in parts} | parts, c.ref)


def wrapped(c: Config, part: Config, text: Node, towers: dict[str, Node]) -> Node:
    """A decoder inside a multimodal wrapper: `text` was read from the wrapper's `part`; family and model_type are the wrapper's own.

    Both may say tie_word_embeddings, and disagree: files saved by transformers 5 spell out every default, and those of wrappers and
    text parts differ. Then the head is untied. The text part's default holds where neither says.
    """
    tied, key = text["embedding"]["tied"], "tie_word_embeddings"
    outer = c.flag(key, default=None)
    if c.has(key) and not (outer.value and part.has(key)):
        tied = outer
    return text.but(
        family=c.family,
        model_type=c.word("model_type", default=c.family),
        dtype=dtype_of(c if c.has("dtype") or c.has("torch_dtype") else part),
        embedding=text["embedding"].but(tied=tied),
        towers=towers,
    )


# --- tensors: names and shapes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a family's template: a name pattern with `{}` for layer and expert numbers, the numbers each may take, a shape
    [out, in], the component its parameters count for, and the paths of the facts that its shape proves."""

    pattern: str
    shape: tuple[int, ...]
    axes: tuple[tuple[int, ...] | range, ...]
    component: str
    proves: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many tensors."""
        return prod(len(a) for a in self.axes)

    @property
    def parameters(self) -> int:
        return self.count * prod(self.shape)


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of a block, named relative to the layer; `experts` numbers for a `{}` in the name; `proves` names fields of the block."""

    name: str
    shape: tuple[int, ...]
    component: str
    proves: tuple[str, ...] = ()
    experts: int | None = None


Parts = Callable[[Any, int], Iterable[Part]]
"""(block, hidden size) -> its tensors."""


def linear(name: str, outputs: int, inputs: int, component: str, proves: tuple[str, ...] = (), bias: bool = False) -> Iterator[Part]:
    yield Part(f"{name}.weight", (outputs, inputs), component, proves)
    if bias:
        yield Part(f"{name}.bias", (outputs,), component)


def attention_parts(
    at: str = "self_attn", q: str = "q_proj", k: str = "k_proj", v: str = "v_proj", o: str = "o_proj",
    q_norm: str = "q_norm", k_norm: str = "k_norm", sinks: str = "sinks", gate: str = "",
) -> Parts:  # fmt: skip
    """Split projections q, k, v, o under `at`; the output gate is in q, or a matrix `gate` of its own."""

    def parts(a: Attention, hidden: int) -> Iterator[Part]:
        part = "attention"
        gates = {"elementwise": a.heads * a.head_dim, "head": a.heads, None: 0}[a.gate]
        yield from linear(f"{at}.{q}", a.heads * a.head_dim + (0 if gate else gates), hidden, part, ("heads", "head_dim"), a.qkv_bias)
        if gate and gates:
            yield from linear(f"{at}.{gate}", gates, hidden, part, ("gate",))
        if a.kv_from is None:
            yield from linear(f"{at}.{k}", a.kv_heads * a.head_dim, hidden, part, ("kv_heads",), a.qkv_bias)
            if not a.values_from_keys:
                yield from linear(f"{at}.{v}", a.kv_heads * a.v_head_dim, hidden, part, ("v_head_dim",), a.qkv_bias)
        yield from linear(f"{at}.{o}", hidden, a.heads * a.v_head_dim, part, (), a.output_bias)
        if a.qk_norm and a.qk_norm.weight:
            whole = a.qk_norm.scope == "projection"
            yield Part(f"{at}.{q_norm}.weight", (a.head_dim * (a.heads if whole else 1),), part, ("qk_norm.scope",))
            if a.kv_from is None:
                yield Part(f"{at}.{k_norm}.weight", (a.head_dim * (a.kv_heads if whole else 1),), part, ("qk_norm.scope",))
        if a.sinks:
            yield Part(f"{at}.{sinks}", (a.heads,), part, ("sinks",))
        if x := a.block_index:
            yield from linear(f"{at}.index_q_proj", x.heads * x.head_dim, hidden, part, ("block_index.heads",))
            yield from linear(f"{at}.index_k_proj", x.head_dim, hidden, part, ("block_index.head_dim",))
            for name in ("index_q_norm", "index_k_norm"):
                yield Part(f"{at}.{name}.weight", (x.head_dim,), part)

    return parts


def fused_attention_parts(at: str = "self_attn", qkv: str = "qkv_proj", o: str = "o_proj") -> Parts:
    """Projections q, k, v in one matrix, one after the other (Phi-3, Qwen's vision towers)."""

    def parts(a: Attention, hidden: int) -> Iterator[Part]:
        rows, under = a.heads * a.head_dim + a.kv_heads * (a.head_dim + a.v_head_dim), f"{at}." if at else ""
        yield from linear(f"{under}{qkv}", rows, hidden, "attention", ("heads", "kv_heads", "head_dim"), a.qkv_bias)
        yield from linear(f"{under}{o}", hidden, a.heads * a.v_head_dim, "attention", (), a.output_bias)

    return parts


def mamba2_parts(at: str) -> Parts:
    """Mamba-2: gate, x, B, C and dt from one projection."""

    def parts(a: LinearAttention, hidden: int) -> Iterator[Part]:
        part, inner, groups = "attention", a.value_heads * a.value_head_dim, a.key_heads * a.key_head_dim
        proves = ("value_heads", "value_head_dim", "key_heads", "key_head_dim")
        yield from linear(f"{at}.in_proj", 2 * inner + 2 * groups + a.value_heads, hidden, part, proves, a.bias)
        yield Part(f"{at}.conv1d.weight", (inner + 2 * groups, 1, a.conv_kernel or 0), part, ("conv_kernel",))
        if a.conv_bias:
            yield Part(f"{at}.conv1d.bias", (inner + 2 * groups,), part, ("conv_bias",))
        for name in ("A_log", "D", "dt_bias"):
            yield Part(f"{at}.{name}", (a.value_heads,), part, ("value_heads",))
        yield Part(f"{at}.norm.weight", (inner,), part)
        yield from linear(f"{at}.out_proj", hidden, inner, part, (), a.bias)

    return parts


def latent_parts(at: str = "self_attn") -> Parts:
    """MLA in DeepSeek's names, with the indexer where there is one."""

    def parts(a: LatentAttention, hidden: int) -> Iterator[Part]:
        part, qk = "attention", a.qk_nope_head_dim + a.qk_rope_head_dim
        if a.q_lora_rank is None:
            yield from linear(f"{at}.q_proj", a.heads * qk, hidden, part, ("heads", "q_lora_rank"))
        else:
            yield from linear(f"{at}.q_a_proj", a.q_lora_rank, hidden, part, ("q_lora_rank",), a.bias)
            yield Part(f"{at}.q_a_layernorm.weight", (a.q_lora_rank,), part)
            yield from linear(f"{at}.q_b_proj", a.heads * qk, a.q_lora_rank, part, ("heads",))
        yield from linear(f"{at}.kv_a_proj_with_mqa", a.kv_lora_rank + a.qk_rope_head_dim, hidden, part, ("qk_rope_head_dim",), a.bias)
        yield Part(f"{at}.kv_a_layernorm.weight", (a.kv_lora_rank,), part, ("kv_lora_rank",))
        yield from linear(f"{at}.kv_b_proj", a.heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank, part, ("qk_nope_head_dim",))
        yield from linear(f"{at}.o_proj", hidden, a.heads * a.v_head_dim, part, ("v_head_dim",), a.bias)
        if x := a.indexer:
            yield from linear(f"{at}.indexer.wq_b", x.heads * x.head_dim, a.q_lora_rank or hidden, part, ("indexer.head_dim",))
            yield from linear(f"{at}.indexer.wk", x.head_dim, hidden, part, ("indexer.head_dim",))
            yield Part(f"{at}.indexer.k_norm.weight", (x.head_dim,), part)
            yield Part(f"{at}.indexer.k_norm.bias", (x.head_dim,), part)
            yield from linear(f"{at}.indexer.weights_proj", x.heads, hidden, part, ("indexer.heads",))

    return parts


def dense_parts(at: str = "mlp", gate: str = "gate_proj", up: str = "up_proj", down: str = "down_proj") -> Parts:
    def parts(f: Dense, hidden: int) -> Iterator[Part]:
        if f.gated:
            yield from linear(f"{at}.{gate}", f.width, hidden, "mlp", ("width",), f.bias)
        yield from linear(f"{at}.{up}", f.width, hidden, "mlp", ("width",), f.bias)
        yield from linear(f"{at}.{down}", hidden, f.width, "mlp", (), f.bias)

    return parts


def fused_dense_parts(at: str = "mlp", gate_up: str = "gate_up_proj", down: str = "down_proj") -> Parts:
    """Gates and ups in one matrix (Phi-3, Granite 4's shared MLP)."""

    def parts(f: Dense, hidden: int) -> Iterator[Part]:
        yield from linear(f"{at}.{gate_up}", f.width * (2 if f.gated else 1), hidden, "mlp", ("width",), f.bias)
        yield from linear(f"{at}.{down}", hidden, f.width, "mlp", (), f.bias)

    return parts


def moe_parts(
    at: str = "mlp",
    router: str = "gate",
    selection_bias: str = "gate.e_score_correction_bias",
    token_table: str = "gate.tid2eid",
    experts: str = "experts.{}",
    shared: str | Parts = "shared_experts",
    shared_gate: str = "shared_expert_gate",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
    latent: tuple[str, str] = ("fc1_latent_proj", "fc2_latent_proj"),
) -> Parts:
    """One tensor an expert, as most checkpoints are published; `shared` where the shared experts' own names are of another kind; `latent`:
    the projections to the experts' narrower width and back."""
    shared_mlp = shared if callable(shared) else dense_parts(f"{at}.{shared}", gate, up, down)

    def parts(f: MoE, hidden: int) -> Iterator[Part]:
        choices = f.experts + f.zero_experts
        yield from linear(f"{at}.{router}", choices, hidden, "router", ("experts", "zero_experts"), f.router.bias)
        if f.router.selection_bias:
            yield Part(f"{at}.{selection_bias}", (choices,), "router", ("router.selection_bias",))
        if f.router.token_table:
            yield Part(f"{at}.{token_table}", (f.router.token_table, f.active), "router", ("router.token_table", "active"))
        one = dense_parts(f"{at}.{experts}", gate, up, down)
        for p in one(Dense(width=f.expert_width, activation=f.activation, gated=f.gated, bias=f.bias), f.latent_width or hidden):
            yield replace(p, component="experts", experts=f.experts, proves=("expert_width", "experts") if p.proves else ())
        if f.latent_width:
            yield from linear(f"{at}.{latent[0]}", f.latent_width, hidden, "latent_projections", ("latent_width",))
            yield from linear(f"{at}.{latent[1]}", hidden, f.latent_width, "latent_projections", ("latent_width",))
        yield from _shared(f, hidden, shared_mlp)
        if f.shared_gate:
            yield from linear(f"{at}.{shared_gate}", 1, hidden, "shared_experts", ("shared_gate",))

    return parts


def fused_moe_parts(
    at: str = "mlp",
    router: str = "router",
    shared: str | Parts = "shared_expert",
    shared_gate: str = "shared_expert_gate",
    gate_up: str = "experts.gate_up_proj",
    down: str = "experts.down_proj",
    outputs_first: bool = False,
) -> Parts:
    """All experts in one tensor [experts, inputs, outputs], gates and ups together, as gpt-oss and Llama 4 are published, or
    [experts, outputs, inputs] (`outputs_first`: Qwen3.5, Gemma 4, Granite)."""
    shared_mlp = shared if callable(shared) else dense_parts(f"{at}.{shared}")

    def parts(f: MoE, hidden: int) -> Iterator[Part]:
        yield from linear(f"{at}.{router}", f.experts, hidden, "router", ("experts",), f.router.bias)
        for name, inputs, outputs in ((gate_up, hidden, 2 * f.expert_width), (down, f.expert_width, hidden)):
            shape = (f.experts, outputs, inputs) if outputs_first else (f.experts, inputs, outputs)
            yield Part(f"{at}.{name}", shape, "experts", ("expert_width", "experts"))
            if f.bias:
                yield Part(f"{at}.{name}_bias", (f.experts, outputs), "experts", ("bias",))
        yield from _shared(f, hidden, shared_mlp)
        if f.shared_gate:
            yield from linear(f"{at}.{shared_gate}", 1, hidden, "shared_experts", ("shared_gate",))

    return parts


def _shared(f: MoE, hidden: int, mlp: Parts) -> Iterator[Part]:
    """The shared experts, one MLP together."""
    if f.shared_width:
        for p in mlp(Dense(width=f.shared_width, activation=f.activation, gated=f.gated), hidden):
            yield replace(p, component="shared_experts", proves=("shared_width",) if p.proves else ())


USUAL_BLOCKS: dict[type, Parts] = {Attention: attention_parts(), LatentAttention: latent_parts(), Dense: dense_parts(), MoE: moe_parts()}

PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")


@dataclass(frozen=True, slots=True)
class Naming:
    """Where a family's published tensors live. `norms`: a layer's norms in the order of its wiring; `blocks`: tensors of a block, by
    its path (`mixers.linear`) or its class, with `#` for its number among the layer's blocks of that path; `hyper`: prefixes of the layer's
    hyper-connections in the order of its steps, then that of the one after the last layer; `altup`: the matrices to and from further
    streams; `layer_scale`: a layer's learned number; `per_layer`: table, projection and norm of per-layer
    embeddings; `mtp`, `tower`: rows of the modules around the decoder."""

    prefix: str = ""
    embedding: str = "model.embed_tokens.weight"
    positions: str = ""
    layer: str = "model.layers.{}."
    final_norm: str = "model.norm"
    head: str = "lm_head"
    norms: tuple[str, ...] = PRE_NORMS
    hyper: tuple[str, ...] = ()
    altup: tuple[str, ...] = ()
    blocks: Mapping[Any, Parts] = field(default_factory=dict[Any, Parts])
    layer_scale: str = "layer_scalar"
    per_layer: tuple[str, str, str] = ("", "", "")
    mtp: Callable[[Architecture, Naming], Iterable[Row]] | None = None
    tower: Callable[[Architecture], Iterable[Row]] | None = None

    def parts(self, path: str, block: Mixer | FFN) -> Parts:
        found = self.blocks.get(path) or self.blocks.get(type(block)) or USUAL_BLOCKS.get(type(block))
        if found is None:
            raise KeyError(f"no names for {path}")
        return found


def layer_norms(steps: Iterable[Step]) -> Iterator[str]:
    """The norms of a layer kind in the order of its wiring, by name in `norms`."""
    for s in steps:
        if s.pre_norm:
            yield s.pre_norm
        for b in s.branches:
            yield from (n for n in (b.pre_norm, b.post_norm) if n)
        yield from (n for n in (s.join_norm, s.after_norm) if n)


def norm_rows(name: str, norm: Norm, width: int, axes: tuple[tuple[int, ...], ...], component: str = "norms") -> Iterator[Row]:
    if norm.weight:
        yield Row(f"{name}.weight", (width,), axes, component)
    if norm.bias:
        yield Row(f"{name}.bias", (width,), axes, component)


def layer_rows(
    a: Architecture, kind: str, numbers: tuple[int, ...], at: str, naming: Naming, component: str | None = None
) -> Iterator[Row]:
    """The tensors of the layers `numbers`, all of one kind, named under the pattern `at`."""
    steps = a.layer_kinds[kind].steps
    axes: tuple[tuple[int, ...], ...] = (numbers,) if "{}" in at else ()
    for name, used in zip(naming.norms, layer_norms(steps), strict=True):
        yield from norm_rows(at + name, a.norms[used], a.hidden_size, axes, component or "norms")
    if a.residual.kind == "hyper":
        n = a.residual.streams
        for name in naming.hyper[:-1]:
            yield from hyper_rows(at + name, (2 + n) * n, 3, a, axes, component or "residual")
    if a.residual.kind == "altup":
        yield from altup_rows(at, a, axes, component or "residual")
    met: Counter[str] = Counter()
    for s in steps:
        for b in s.branches:
            block = a.block(b.block)
            for p in naming.parts(b.block, block)(block, a.hidden_size):
                own = axes if p.experts is None else (*axes, range(p.experts))
                name = at + p.name.replace("#", str(met[b.block]))
                yield Row(name, p.shape, own, component or p.component, tuple(f"{b.block}.{f}" for f in p.proves))
            met[b.block] += 1
    if a.layer_kinds[kind].learned_scale:
        yield Row(at + naming.layer_scale, (1,), axes, component or "layer_scales", (f"layer_kinds.{kind}.learned_scale",))


def hyper_rows(name: str, outputs: int, scales: int, a: Architecture, axes: tuple[tuple[int, ...], ...], component: str) -> Iterator[Row]:
    """A hyper-connection: a matrix over all streams, its bias, and its scales."""
    yield Row(f"{name}fn", (outputs, a.residual.streams * a.hidden_size), axes, component, ("residual.streams",))
    yield Row(f"{name}base", (outputs,), axes, component)
    yield Row(f"{name}scale", (scales,), axes, component)


def altup_rows(at: str, a: Architecture, axes: tuple[tuple[int, ...], ...], component: str) -> Iterator[Row]:
    """Alternating updates of one layer."""
    n, h = a.residual.streams, a.hidden_size
    shapes = {"correction_coefs.weight": (n, n), "prediction_coefs.weight": (n * n, n), "modality_router.weight": (n, h)}
    for name, shape in {**shapes, "router_norm.weight": (h,), "correct_output_scale": (h,)}.items():
        yield Row(f"{at}altup.{name}", shape, axes, component, ("residual.streams",) if len(shape) > 1 else ())


def template(a: Architecture, naming: Naming) -> list[Row]:
    """Every tensor that a checkpoint of this architecture holds, in published names. Tied heads have no row of their own."""
    p = naming.prefix
    h = a.hidden_size
    rows = [Row(p + naming.embedding, (a.vocab_size, h), (), "embedding", ("vocab_size", "hidden_size"))]
    if a.embedding.positions:
        rows.append(Row(p + naming.positions, (a.embedding.positions, h), (), "embedding", ("embedding.positions",)))
    if e := a.embedding.per_layer:
        (table, projection, norm), wide = naming.per_layer, len(a.layers) * e.width
        rows.append(Row(p + table, (e.vocab_size, wide), (), "per_layer_embedding", ("embedding.per_layer.width",)))
        rows.append(Row(p + projection, (wide, h), (), "per_layer_projection", ("embedding.per_layer.width",)))
        rows.append(Row(p + norm, (e.width,), (), "per_layer_projection"))
    numbers: dict[str, list[int]] = {}
    for i, kind in enumerate(a.layers):
        numbers.setdefault(kind, []).append(i)
    for kind, at in numbers.items():
        rows.extend(layer_rows(a, kind, tuple(at), p + naming.layer, naming))
    if a.residual.kind == "hyper":
        rows.extend(hyper_rows(p + naming.hyper[-1], a.residual.streams, 1, a, (), "residual"))
    if a.residual.kind == "altup":
        further = (tuple(range(a.residual.streams - 1)),)
        rows.extend(Row(f"{p}{name}.{{}}.weight", (h, h), further, "residual", ("residual.streams",)) for name in naming.altup)
    if a.final_norm:
        rows.extend(norm_rows(p + naming.final_norm, a.norms[a.final_norm], h, ()))
    if not a.embedding.tied:
        rows.append(Row(f"{p}{naming.head}.weight", (a.vocab_size, h), (), "head", ("embedding.tied",)))
    if a.head.bias:
        rows.append(Row(f"{p}{naming.head}.bias", (a.vocab_size,), (), "head", ("head.bias",)))
    if a.mtp and a.mtp.layer_kind and naming.mtp:
        rows.extend(naming.mtp(a, naming))
    if a.towers and naming.tower:
        rows.extend(naming.tower(a))
    return rows


def numbered(row: Row) -> Row:
    """A row whose name has plain numbers in it (`self_attn.0.`) has them among its axes instead, as headers are folded too."""
    parts = row.pattern.split(".")
    if not any(p.isdigit() for p in parts):
        return row
    axes = iter(row.axes)
    own = tuple((int(p),) if p.isdigit() else next(axes) for p in parts if p == "{}" or p.isdigit())
    return replace(row, pattern=".".join("{}" if p.isdigit() else p for p in parts), axes=own)


def matrix_rows(name: str, m: Linear, shape: tuple[int, ...] | None = None, proves: tuple[str, ...] = ()) -> Iterator[Row]:
    """A tower's matrix that stands alone; `shape` where it is not stored as [outputs, inputs]."""
    yield Row(f"{name}.weight", shape or (m.outputs, m.inputs), (), "vision", proves)
    if m.bias:
        yield Row(f"{name}.bias", (m.outputs,), (), "vision")


def tower_rows(t: Tower, layer: str, norms: tuple[str, ...], attention: Parts, ffn: Parts) -> Iterator[Row]:
    """The encoder layers of a tower, named under the pattern `layer`."""
    numbers = (tuple(range(t.layers)),)
    for name in norms:
        yield from norm_rows(layer + name, t.norm, t.hidden_size, numbers, "vision")
    heads = Attention(
        heads=t.heads,
        kv_heads=t.kv_heads or t.heads,
        head_dim=t.head_dim,
        v_head_dim=t.head_dim,
        qk_norm=QKNorm(scope="head") if t.qk_norm else None,
        qkv_bias=t.attention_bias,
        output_bias=t.attention_bias,
    )
    for p in attention(heads, t.hidden_size):
        yield Row(layer + p.name, p.shape, numbers, "vision", ("towers.vision.hidden_size",) if p.proves else ())
    for p in ffn(t.ffn, t.hidden_size):
        yield Row(layer + p.name, p.shape, numbers, "vision", tuple(f"towers.vision.ffn.{f}" for f in p.proves))


def mtp_as_layers(
    a: Architecture, naming: Naming, norms: tuple[str, ...] = ("enorm", "hnorm", "shared_head.norm"), head: str = "shared_head.head"
) -> Iterator[Row]:
    """MTP modules stored as the layers after the last (DeepSeek V3, GLM-4.5): a layer, a projection, its norms, and copies."""
    m, h = a.mtp, a.hidden_size
    assert m and m.layer_kind
    numbers = tuple(range(len(a.layers), len(a.layers) + m.modules))
    at = naming.prefix + naming.layer
    yield from layer_rows(a, m.layer_kind, numbers, at, naming, "mtp")
    for norm in norms:
        yield Row(f"{at}{norm}.weight", (h,), (numbers,), "mtp")
    yield Row(f"{at}eh_proj.weight", (h, 2 * h), (numbers,), "mtp", ("mtp.modules",))
    if m.own_embedding:
        yield Row(f"{at}embed_tokens.weight", (a.vocab_size, h), (numbers,), "mtp", ("mtp.own_embedding",))
    if m.own_head:
        yield Row(f"{at}{head}.weight", (a.vocab_size, h), (numbers,), "mtp", ("mtp.own_head",))


# --- a family -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """A model family. `ref`: the modelling code its facts were read from, `refs` that of single model_types; `defaults`: class defaults by
    model_type, of `config_class`; `naming`: published names, or a function of the architecture where these depend on it; `mtp_layouts`:
    see `mtp_candidates`."""

    name: str
    title: str
    ref: str
    read: Callable[[Config], Node]
    naming: Naming | Callable[[Architecture], Naming]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    config_class: Mapping[str, str] = field(default_factory=dict[str, str])
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    mtp_layouts: Callable[[Architecture], Iterable[MTP]] | None = None

    def config(self, data: Mapping[str, Any], file: str, model_type: str, spelled: Mapping[str, str | Evidence] | None = None) -> Config:
        return Config(data, file=file, spelled=spelled, **self._about(model_type))

    def part(self, c: Config, key: str, model_type: str) -> Config:
        """The config nested under `key` of a wrapper, read as `model_type`; the wrapper's own keys where it nests none."""
        if c.has(key):
            return c.child(key, **self._about(model_type))
        c.ignore(key)
        return Config(c.data, file=c.file, at=c.at, used=c.used, spelled=c.spelled, **self._about(model_type))

    def _about(self, model_type: str) -> dict[str, Any]:
        return {
            "family": self.name,
            "ref": self.refs.get(model_type, self.ref),
            "defaults": self.defaults.get(model_type),
            "defaults_ref": f"{TRANSFORMERS} {self.config_class.get(model_type, '')}",
            "model_type": model_type,
        }

    def names(self, a: Architecture) -> Naming:
        return self.naming(a) if callable(self.naming) else self.naming

    def template(self, a: Architecture) -> list[Row]:
        return [numbered(r) for r in template(a, self.names(a))]

    def mtp_candidates(self, a: Architecture) -> list[tuple[MTP, list[Row]]]:
        """The MTP layouts that checkpoints of the family are published with, each with its rows: for headers to decide between, as a
        config may not say whether the modules are stored, or whether with copies of embedding and head."""
        naming = self.names(a)
        if self.mtp_layouts is None or naming.mtp is None:
            return []
        return [(m, [numbered(r) for r in naming.mtp(replace(a, mtp=m), naming)]) for m in self.mtp_layouts(a)]


TRANSFORMERS = "transformers 5.23.0"


def modeling(model: str) -> str:
    """The modelling code of a transformers model, as `ref` gives it."""
    return f"{TRANSFORMERS} models/{model}/modeling_{model}.py"


__all__ = [
    "MTP", "POST_NORMS", "PRE_NORMS", "SANDWICH_NORMS", "TRANSFORMERS", "Architecture", "Attention", "BlockIndex", "Branch",
    "CompressedAttention", "Config", "Conformer", "ConvBlock", "ConvTower", "Dense", "Embedding", "Fact", "Family", "Head", "Indexer",
    "LatentAttention", "LayerKind", "Linear", "LinearAttention", "MoE", "Naming", "Node", "Norm", "Part", "PerLayerEmbedding", "QKNorm",
    "Quantization", "QueryScaling", "Residual", "Rope", "RopeScaling", "Router", "Row", "Step", "Tower", "activation", "attention",
    "attention_parts", "build", "decoder", "dense", "dense_parts", "derived", "dtype_of", "fixed", "fused_attention_parts",
    "fused_dense_parts", "fused_moe_parts", "head_dim", "hyper_rows", "kv_heads", "latent_attention", "latent_parts", "layer_norm",
    "layer_rows", "like", "linear", "make", "mamba2_parts", "matrix_rows",
    "modeling", "moe_parts", "mtp_as_layers", "norm_rows", "post_inside", "pre", "query_scaling", "rms_norm", "rope", "rope_keys",
    "rotary_dim", "sandwich", "scaling_of", "sliding_layers", "tower_rows", "typed_rope", "unknown", "used", "wire", "wrapped",
]  # fmt: skip
