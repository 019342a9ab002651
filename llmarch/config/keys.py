"""A config as a family reads it: typed look-ups that become Facts, limits, and the keys that mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from difflib import get_close_matches
from typing import Any, cast

from ..architecture.schema import Evidence
from ..errors import ConfigError
from .evidence import Sourced

MAX_LAYERS = 10_000
MAX_SIZE = 10**6
MAX_TOKENS = 10**10
IN_TOKENS = ("position", "context", "window", "seq", "length", "vocab", "chunk", "floor")
"""Words in the names of keys that count tokens."""

INERT = frozenset(
    """
    architectures auto_map transformers_version _name_or_path _attn_implementation _attn_implementation_autoset torch_dtype dtype use_cache
    bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id
    image_token_id image_token_index video_token_id video_token_index vision_start_token_id vision_end_token_id audio_token_id
    boa_token_id eoa_token_id eod_token_id
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

OFF = frozenset(
    "add_cross_attention is_encoder_decoder cross_attention_hidden_size text_config vision_config audio_config".split()
)
"""Keys that say nothing while they are false or null."""


class ConfigKeys:
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
        prefix: str = "",
        used: set[str] | None = None,
        spelled: Mapping[str, str | Evidence] | None = None,
    ) -> None:
        self.data, self.file, self.family, self.ref, self.prefix, self.model_type = (
            data,
            file,
            family,
            ref,
            prefix,
            model_type,
        )
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
    ) -> ConfigKeys:
        """The config nested under `key` (an empty one if the key is absent or null)."""
        self.used.add(self.prefix + key)
        data = self.data.get(key)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise self._wrong(key, data, "an object")
        return ConfigKeys(
            cast("dict[str, Any]", data),
            file=self.file,
            family=family or self.family,
            ref=ref or self.ref,
            defaults=defaults,
            defaults_ref=defaults_ref,
            model_type=model_type,
            prefix=f"{self.prefix}{key}.",
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
        said = self.spelled.get(self.prefix + key)
        return said if isinstance(said, str) else self.prefix + key

    def _evidence(self, key: str) -> Evidence:
        said = self.spelled.get(self.prefix + key)
        return said if isinstance(said, Evidence) else Evidence(kind="config", ref=self.key(key))

    def unread(self) -> list[str]:
        """Keys that nobody asked for and that are not known to be inert, dotted, as the file spells them, sorted."""
        said = [self.spelled.get(name, name) for name in self._unread(self.data, self.prefix)]
        return sorted(s for s in said if isinstance(s, str))

    def _unread(self, data: Mapping[str, Any], at: str) -> Iterator[str]:
        for key, value in data.items():
            name = at + key
            if isinstance(value, dict) and any(u.startswith(name + ".") for u in self.used):
                yield from self._unread(cast("dict[str, Any]", value), name + ".")
            elif (
                name not in self.used
                and key not in INERT
                and not key.startswith("_")
                and (value or key not in OFF)
            ):
                yield name

    def _wrong(self, key: str, value: Any, need: str) -> ConfigError:
        said = (
            repr(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else quoted(value)
        )
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
            f"{self.file}: {self.key(key)} is {said} ({kind.get(cast(type, type(value)), 'a value')}); {need} is needed",
            f"{self.family} reads it from {self.key(key)}.",
        )

    def _find(self, keys: tuple[str, ...], default: Any) -> tuple[str, Any, Evidence]:
        for key in keys:
            self.used.add(self.prefix + key)
        for key in keys:
            if self.data.get(key) is not None or (
                key in self.data and isinstance(self.spelled.get(self.prefix + key), Evidence)
            ):
                return key, self.data[key], self._evidence(key)
        null = next((k for k in keys if k in self.data), None)
        if default is MISSING:
            for key in keys:
                if key in self.defaults:
                    return (
                        key,
                        self.defaults[key],
                        Evidence(kind="default", ref=f"{self.key(key)}, {self.defaults_ref}"),
                    )
            close = get_close_matches(keys[0], [k for k in self.data if k not in keys], 1, 0.8)
            what = "is null" if null else "is missing"
            hint = f"{self.family} has no default for it." + (
                f" Did {self.key(close[0])} mean it?" if close else ""
            )
            raise ConfigError(f"{self.file}: {self.key(null or keys[0])} {what}", hint)
        if isinstance(default, Sourced):
            return keys[0], default.value, default.evidence
        if null is not None:
            return null, default, Evidence(kind="config", ref=f"{self.key(null)} (null)")
        return (
            keys[0],
            default,
            Evidence(kind="default", ref=f"{self.key(keys[0])}, {self.defaults_ref or self.ref}"),
        )

    def value(self, *keys: str, default: Any = MISSING) -> Sourced:
        """The first of `keys` that the file has, unchecked."""
        _, value, evidence = self._find(keys, default)
        return Sourced(value, evidence)

    def optional(self, look_up: Callable[..., Sourced], *keys: str, **limits: int) -> Sourced:
        """What `look_up` (`c.size`, `c.number`) makes of the keys; null in the file means none, whatever the class default."""
        return (
            look_up(*keys, default=None, **limits)
            if any(k in self.data for k in keys)
            else look_up(*keys, **limits)
        )

    def ignore(self, *keys: Any) -> None:
        """Keys that the modelling code does not use here (an MLP width where every layer is sparse): read, without effect."""
        self.used.update(self.prefix + key for key in keys)

    def expect(self, key: str, value: Any, means: Any = MISSING) -> Any:
        """`value`, or what it `means`: the code does it whatever the config says. Where the key says the same it is the evidence; a key
        that says otherwise stays unread, and is shown."""
        if self.data.get(key) in (None, value):
            self.used.add(self.prefix + key)
        out = value if means is MISSING else means
        return (
            Sourced(out, self._evidence(key)) if self.has(key) and self.data[key] == value else out
        )

    def size(
        self, *keys: str, default: Any = MISSING, least: int = 1, most: int | None = None
    ) -> Sourced:
        """A count. What no real model has (a million experts) is an error; lengths in tokens may be longer."""
        key, value, evidence = self._find(keys, default)
        most = most or (MAX_TOKENS if any(word in key for word in IN_TOKENS) else MAX_SIZE)
        if value is None:
            return Sourced(None, evidence)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "an integer")
        if not least <= value <= most:
            raise ConfigError(
                f"{self.file}: {self.key(key)} is {value:,}; {least:,} to {most:,} is what llmarch takes for a real model"
            )
        return Sourced(value, evidence)

    def layer_count(self, *keys: str, default: Any = MISSING) -> Sourced:
        """A count of layers."""
        return self.size(*(keys or ("num_hidden_layers",)), default=default, most=MAX_LAYERS)

    def number(self, *keys: str, default: Any = MISSING) -> Sourced:
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Sourced(None, evidence)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value != value
            or abs(value) == float("inf")
        ):
            raise self._wrong(key, value, "a number")
        return Sourced(float(value), evidence)

    def flag(self, *keys: str, default: Any = MISSING) -> Sourced:
        key, value, evidence = self._find(keys, default)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return Sourced(bool(value), evidence)

    def word(self, *keys: str, default: Any = MISSING) -> Sourced:
        key, value, evidence = self._find(keys, default)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return Sourced(value, evidence)

    def items(
        self,
        *keys: str,
        default: Any = MISSING,
        length: int | None = None,
        of: type | tuple[type, ...] = object,
    ) -> Sourced:
        """A list, of at least `length` entries (longer ones, as with MTP entries, are cut)."""
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Sourced(None, evidence)
        if not isinstance(value, (list, tuple)):
            raise self._wrong(key, value, "a list")
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        bad = next((v for v in items if not isinstance(v, of)), None)
        if bad is not None:
            raise ConfigError(
                f"{self.file}: {self.key(key)} holds {quoted(bad)}, which has no place there"
            )
        if length is not None and len(items) < length:
            raise ConfigError(
                f"{self.file}: {self.key(key)} has {len(items)} entries for {length} layers"
            )
        return Sourced(items[:length], evidence)


def quoted(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."
