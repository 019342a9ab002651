"""A config as a family reads it: typed look-ups that become facts, limits, and unread keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING
from difflib import get_close_matches
from typing import Any, NamedTuple, cast

from ..architecture.schema import Evidence, Finding, Severity
from ..errors import ConfigError
from .declared_fields import field_letters
from .evidence import Sourced
from .findings import (
    READERS,
    contradiction,
    layer_list_length,
    layer_number_too_high,
    quoted,
    value_not_described,
    value_not_obeyed,
)

MAX_LAYERS = 10_000
MAX_SIZE = 10**6
MAX_TOKENS = 10**10
"""What a config may ask for: beyond these it is a mistake, or made to exhaust memory."""
LARGEST_NUMBER = 3.5e38
"""The largest number in a config: that of float32, rounded up."""
SMALLEST_DIVISOR = 1e-12
"""What a divisor in a config may be at least; the largest is its inverse."""
TOKEN_WORDS = ("position", "context", "window", "seq", "length", "vocab", "chunk", "floor")
"""Words in the names of keys that count tokens."""

INERT_KEYS = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _name_or_path architectures
    attention_dropout attention_probs_dropout_prob attn_pdrop auto_map aux_loss_alpha
    bad_words_ids begin_suppress_tokens cache_implementation chunk_size_feed_forward
    classifier_dropout diversity_penalty do_sample dropout dtype early_stopping emb_pdrop
    embd_pdrop embedding_dropout encoder_no_repeat_ngram_size ep_size experts_implementation
    exponential_decay_length_penalty finetuning_task for_llm_compressor gradient_checkpointing
    head_pdrop hidden_dropout hidden_dropout_prob hidden_dropout_rate id2label ignore_index
    initializer_factor initializer_range is_decoder is_llama_config label2id length_penalty
    max_length min_length mlp_dropout model_type no_repeat_ngram_size num_beam_groups num_beams
    num_return_sequences output_attentions output_hidden_states output_router_logits
    output_scores prefix pretraining_tp problem_type quantization quantization_config
    remove_invalid_values reorder_and_upcast_attn repetition_penalty resid_pdrop
    residual_dropout return_dict return_dict_in_generate rope_ratio_deprecated
    router_aux_loss_coef router_jitter_noise router_z_loss_coef seq_aux seq_length
    summary_activation summary_first_dropout summary_proj_to_labels summary_type
    summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss
    tokenizer_class tokenizer_name top_k top_p torch_dtype transformers.js_config
    transformers_version typical_p unsloth_fixed unsloth_version use_bfloat16 use_cache
    use_cpu_initialization
    """.split()
)
"""Keys without effect on the architecture: training, generation, bookkeeping; `auto_map`
only where it is nested (`findings.remote_code`)."""

WRAPPER_KEYS = ("text_config", "llm_config", "language_config")
"""Keys under which wrappers have the config of their decoder."""

INERT_WHEN_OFF = frozenset(
    """
    add_cross_attention audio_config cross_attention_hidden_size is_encoder_decoder pruned_heads
    text_config tie_encoder_decoder torchscript vision_config
    """.split()
)
"""Keys without effect while they are false or null."""

TYPE_NAMES = {
    bool: "a boolean",
    str: "a string",
    list: "a list",
    dict: "an object",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


class Found(NamedTuple):
    """The result of a look-up: the key that has a value, the value, and where it comes from."""

    key: str
    value: Any
    evidence: Evidence


class ConfigKeys:
    """A config as a family reads it: typed look-ups that become facts.

    It notes every key that was asked for. A look-up raises ConfigError, which names file and key,
    for a missing key without a default, a wrong type, or an absurd size.
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
        read_keys: set[str] | None = None,
        refuted_keys: set[str] | None = None,
        native_keys: Mapping[str, str | Evidence] | None = None,
        findings: list[Finding] | None = None,
        unsettled: dict[str, Any] | None = None,
        assumed: dict[str, int | None] | None = None,
        overrides: frozenset[str] | None = None,
    ) -> None:
        """Wrap the keys of a config.

        data: the keys and their values.
        file, family, ref: for messages and evidence.
        defaults, defaults_ref: the class defaults for keys that the file omits, and their source.
        prefix: what stands before these keys in the file (`text_config.`).
        read_keys: the keys that were asked for, shared by nested configs.
        refuted_keys: keys with another value than the code has for them, which some block that is
        in use would need to obey; shared by nested configs.
        native_keys: how the file itself names a key, or the evidence of a value that none of its
        keys states (mistral_native.py).
        findings: what the config states twice and differently, and the like (findings.py); shared
        by nested configs.
        unsettled: facts that the config leaves open, by path, with the value that transformers
        takes; a checkpoint decides. Shared by nested configs.
        assumed: counts that were taken for keys that the file does not have, or has as null, by
        dotted key; None where no count was. Shared by nested configs.
        overrides: the keys whose values single layers have for themselves, in the config of these
        layers (per_layer.py); None in a config that may have such layers.
        """
        self.data = data
        self.file = file
        self.family = family
        self.ref = ref
        self.prefix = prefix
        self.model_type = model_type
        self.defaults: Mapping[str, Any] = defaults or {}
        self.defaults_ref = defaults_ref
        self.native_keys: Mapping[str, str | Evidence] = native_keys or {}
        self.read_keys: set[str] = set() if read_keys is None else read_keys
        self.refuted_keys: set[str] = set() if refuted_keys is None else refuted_keys
        self.findings: list[Finding] = [] if findings is None else findings
        self.unsettled: dict[str, Any] = {} if unsettled is None else unsettled
        self.assumed: dict[str, int | None] = {} if assumed is None else assumed
        self.overrides = overrides

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
        """Return the config nested under `key`, an empty one if the key is absent or null."""
        self.ignore(key)
        data = self.data.get(key)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise self._wrong_type(key, data, "an object")
        return self.with_data(
            cast("dict[str, Any]", data),
            family=family or self.family,
            ref=ref or self.ref,
            defaults=defaults,
            defaults_ref=defaults_ref,
            model_type=model_type,
            prefix=f"{self.prefix}{key}.",
            overrides=None,
        )

    def with_context(self, **context: Any) -> ConfigKeys:
        """Return the same keys for another family or model_type."""
        return self.with_data(self.data, **context)

    def at_layers(self, values: Mapping[str, Any], path: str) -> ConfigKeys:
        """Return the config as it is for layers that have own `values` for some keys.

        It notes the keys that were asked for apart from those of this config.
        path: where the file has the values, dotted, relative to this config.
        """
        own_names = dict(_names_at(values, self.prefix, f"{self.prefix}{path}."))
        return self.with_data(
            {**self.data, **values},
            native_keys={**self.native_keys, **own_names},
            read_keys=None,
            assumed=None,
            overrides=frozenset(values),
        )

    def with_data(self, data: Mapping[str, Any], **changes: Any) -> ConfigKeys:
        """Return other keys in the place of these; both note what is asked for in one place.

        changes: parameters of the class with another value than here.
        """
        same: dict[str, Any] = {
            "file": self.file,
            "family": self.family,
            "ref": self.ref,
            "defaults": self.defaults,
            "defaults_ref": self.defaults_ref,
            "model_type": self.model_type,
            "prefix": self.prefix,
            "read_keys": self.read_keys,
            "refuted_keys": self.refuted_keys,
            "native_keys": self.native_keys,
            "findings": self.findings,
            "unsettled": self.unsettled,
            "assumed": self.assumed,
            "overrides": self.overrides,
        }
        return ConfigKeys(data, **(same | changes))

    def has(self, key: str) -> bool:
        """Return whether the file has the key with a value other than null."""
        return self.data.get(key) is not None

    def is_known(self, key: str) -> bool:
        """Return whether the file has the key, or the class a default for it."""
        return self.has(key) or self.defaults.get(key) is not None

    def is_implied(self, key: str) -> bool:
        """Return whether a value stands for a key that the file does not have: a translation's."""
        return isinstance(self.native_keys.get(self.prefix + key), Evidence)

    def key(self, key: str) -> str:
        """Return the dotted key as the file names it."""
        native = self.native_keys.get(self.prefix + key)
        return native if isinstance(native, str) else self.prefix + key

    def _evidence(self, key: str) -> Evidence:
        """Return the evidence of the value that the file has for a key."""
        native = self.native_keys.get(self.prefix + key)
        return (
            native if isinstance(native, Evidence) else Evidence(kind="config", ref=self.key(key))
        )

    def unread(self) -> list[str]:
        """Return the dotted keys that nothing asked for and that may have an effect, sorted."""
        parents = {key[:end] for key in self.read_keys for end in _dots(key)}
        unread = self._unread(self.data, self.prefix, parents)
        names = [self.native_keys.get(name, name) for name in unread]
        return sorted(name for name in names if isinstance(name, str))

    def _unread(
        self, data: Mapping[str, Any], prefix: str, parents: Collection[str]
    ) -> Iterator[str]:
        """Yield the unread keys of a part.

        parents: the keys under which a key was read; a part that is none of them is unread whole.
        """
        for key, value in data.items():
            name = prefix + key
            if isinstance(value, dict) and name in parents:
                yield from self._unread(cast("dict[str, Any]", value), name + ".", parents)
            elif (name not in self.read_keys or name in self.refuted_keys) and not is_inert(
                key, value
            ):
                yield name

    def _wrong_type(self, key: str, value: Any, needed: str) -> ConfigError:
        """Return the error for a value of a wrong type."""
        plain_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        shown = repr(value) if plain_number else quoted(value)
        given = TYPE_NAMES.get(cast(type, type(value)), "a value")
        name = self.key(key)
        return ConfigError(
            f"{self.file}: {name} is {shown} ({given}); {needed} is needed",
            f"{self.family} reads it from {name}.",
        )

    def _find(self, keys: tuple[str, ...], default: Any) -> Found:
        """Look keys up: the first that the file has, then `default`, then the class default.

        Null counts as absent for the class default, but is the evidence for a `default`.
        """
        self.ignore(*keys)
        keys = self._fields_first(keys)
        if self.overrides:
            own = tuple(key for key in keys if key in self.overrides)
            keys = (*own, *(key for key in keys if key not in own))
        for key in keys:
            native = self.native_keys.get(self.prefix + key)
            stated = key in self.data and isinstance(native, Evidence)
            if stated or self.data.get(key) is not None:
                for other in keys:
                    if other != key and self.data.get(other) is not None:
                        contradiction(self, key, self, other, self._readers_of(key, other))
                return Found(key, self.data[key], self._evidence(key))
        null = next((k for k in keys if k in self.data), None)
        if default is MISSING:
            return self._class_default(keys, null)
        if isinstance(default, Sourced):
            return Found(keys[0], default.value, default.evidence)
        if null is not None:
            return Found(null, default, Evidence(kind="config", ref=f"{self.key(null)} (null)"))
        source = self.defaults_ref or self.ref
        evidence = Evidence(kind="default", ref=f"{self.key(keys[0])}, {source}")
        return Found(keys[0], default, evidence)

    def _readers_of(self, key: str, other: str) -> str:
        """Return who reads which of two keys, of which llmarch reads the first; empty: not known.

        transformers reads the fields of its class, and vLLM and SGLang build the model by that.
        """
        if (key, other) in READERS:
            return READERS[key, other]
        fields = field_letters(self.model_type)
        if key in fields and other not in fields:
            return (
                "transformers, vLLM and SGLang read the former; the class has no field of the other"
            )
        return ""

    def _fields_first(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return keys with the fields of transformers' class first, where several are stated."""
        if len(keys) < 2 or sum(self.data.get(key) is not None for key in keys) < 2:
            return keys
        fields = field_letters(self.model_type)
        return tuple(sorted(keys, key=lambda key: key not in fields))

    def _class_default(self, keys: tuple[str, ...], null: str | None) -> Found:
        """Return the class default of the first key that has one.

        null: the key that is in the file as null. Raises ConfigError if no key has a default.
        """
        for key in keys:
            if key in self.defaults:
                evidence = Evidence(kind="default", ref=f"{self.key(key)}, {self.defaults_ref}")
                return Found(key, self.defaults[key], evidence)
        close = get_close_matches(keys[0], [k for k in self.data if k not in keys], 1, 0.8)
        hint = f"{self.family} has no default for it."
        if close:
            hint += f" Did you mean {self.key(close[0])}?"
        problem = "is null" if null else "is missing"
        raise ConfigError(f"{self.file}: {self.key(null or keys[0])} {problem}", hint)

    def value(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a value of any type: that of the first of `keys` that the file has."""
        found = self._find(keys, default)
        return Sourced(found.value, found.evidence)

    def optional(self, look_up: Callable[..., Sourced], *keys: str, **limits: int) -> Sourced:
        """Look keys up by `look_up` (`c.size`, `c.number`); null means none.

        Without this, null means the class default.
        """
        if any(key in self.data for key in keys):
            return look_up(*keys, default=None, **limits)
        return look_up(*keys, **limits)

    def ignore(self, *keys: Any) -> None:
        """Mark keys as read that have no effect here (an MLP's width where all layers are MoE)."""
        self.read_keys.update([self.prefix + key for key in keys])

    def expect(self, key: str, value: Any, meaning: Any = MISSING) -> Any:
        """Return `value`, or what it means: the code does it whatever the config says.

        A key that agrees becomes its evidence. One that disagrees is a finding, and counts as
        unread even if something else reads it.
        """
        if self.data.get(key) not in (None, value):
            value_not_obeyed(self, key, value)
        return self._only(key, value, meaning)

    def _only(self, key: str, value: Any, meaning: Any = MISSING) -> Any:
        """Return `value`, or what it means, as the fact of a key that may say otherwise."""
        if self.data.get(key) in (None, value):
            self.ignore(key)
        else:
            self.refuted_keys.add(self.prefix + key)
        fact = value if meaning is MISSING else meaning
        if self.has(key) and self.data[key] == value:
            return Sourced(fact, self._evidence(key))
        return fact

    def describe_only(self, key: str, value: Any, breaks: Severity) -> Any:
        """Return `value`, the only one of a key that llmarch describes; the class obeys others too.

        Another one is a finding, because the model then has or computes what no fact says.
        breaks: what it changes in the model: tensors (`weights`), or what it answers.
        """
        if self.data.get(key) not in (None, value):
            value_not_described(self, key, value, breaks)
        return self._only(key, value)

    def size(
        self, *keys: str, default: Any = MISSING, least: int = 1, most: int | None = None
    ) -> Sourced:
        """Look up a count.

        least, most: its limits, by default those of real models. Lengths in tokens may be longer.
        """
        key, value, evidence = self._find(keys, default)
        if not self.has(key) and (value is None or isinstance(value, int)):
            self.assumed[self.prefix + key] = value
        if value is None:
            return Sourced(None, evidence)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong_type(key, value, "an integer")
        if most is None:
            counts_tokens = any(word in key for word in TOKEN_WORDS)
            most = MAX_TOKENS if counts_tokens else MAX_SIZE
        if not least <= value <= most:
            raise ConfigError(
                f"{self.file}: {self.key(key)} is {value:,}; llmarch accepts {least:,} to {most:,}"
            )
        return Sourced(value, evidence)

    def layer_count(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a number of layers, by default from `num_hidden_layers`."""
        return self.size(*(keys or ("num_hidden_layers",)), default=default, most=MAX_LAYERS)

    def number(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a finite number in the range of float32, as a float."""
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Sourced(None, evidence)
        return Sourced(self.as_number(key, value), evidence)

    def as_number(self, key: str, value: Any) -> float:
        """Return a value, or an entry of the list at a key, that is a number float32 holds.

        Raises ConfigError for another one.
        """
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            raise self._wrong_type(key, value, "a number that float32 holds")
        return float(value)

    def positive(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a number that something is divided by, or that a root is taken of."""
        found = self.number(*keys, default=default)
        if found.value is not None and not SMALLEST_DIVISOR <= found.value <= 1 / SMALLEST_DIVISOR:
            key = next((key for key in keys if self.has(key)), keys[0])
            raise ConfigError(
                f"{self.file}: {self.key(key)} is {found.value:g}; llmarch accepts"
                f" {SMALLEST_DIVISOR:g} to {1 / SMALLEST_DIVISOR:g}"
            )
        return found

    @contextmanager
    def without_findings(self) -> Generator[None]:
        """Drop the findings about what is read in this context: no layer uses it."""
        before = [*self.findings]
        try:
            yield
        finally:
            self.findings[:] = before

    def flag(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a boolean; null is false, where the class takes it."""
        key, value, evidence = self._find(keys, default)
        null = next((name for name in keys if name in self.data and not self.has(name)), key)
        is_default = evidence.kind == "default" and not self.has(key) and null in self.data
        if is_default and "n" in field_letters(self.model_type).get(null, ""):
            return Sourced(False, Evidence(kind="config", ref=f"{self.key(null)} (null)"))
        if value is not None and not isinstance(value, bool):
            raise self._wrong_type(key, value, "true or false")
        return Sourced(bool(value), evidence)

    def word(self, *keys: str, default: Any = MISSING) -> Sourced:
        """Look up a string."""
        key, value, evidence = self._find(keys, default)
        if value is not None and not isinstance(value, str):
            raise self._wrong_type(key, value, "a string")
        return Sourced(value, evidence)

    def items(
        self,
        *keys: str,
        default: Any = MISSING,
        length: int | None = None,
        entry: type | tuple[type, ...] = object,
        least: int = 0,
    ) -> Sourced:
        """Look up a list.

        length: how many entries it needs. Another number is a finding, unless it is that with MTP
        layers: further entries are cut, and the last one is taken for layers that have none.
        entry: the type of its entries.
        least: how many entries it has at least.
        """
        key, value, evidence = self._find(keys, default)
        if value is None:
            return Sourced(None, evidence)
        if not isinstance(value, (list, tuple)):
            raise self._wrong_type(key, value, "a list")
        entries: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        name = f"{self.file}: {self.key(key)}"
        wrong = [e for e in entries if not isinstance(e, entry)]
        if wrong:
            raise ConfigError(f"{name} holds {quoted(wrong[0])}, which has a wrong type")
        if len(entries) < least:
            raise ConfigError(f"{name} has {len(entries)} entries; llmarch needs {least}")
        if length is None:
            return Sourced(entries, evidence)
        if length and not entries:
            raise ConfigError(f"{name} has 0 entries for {length} layers")
        layer_list_length(self, key, len(entries), length)
        missing = length - len(entries)
        return Sourced([*entries[:length], *entries[-1:] * missing], evidence)

    def sizes(
        self, *keys: str, default: Any = MISSING, length: int | None = None, least: int = 0
    ) -> Sourced:
        """Look up a list of counts, each within the limits of real models; see `items`."""
        found = self.items(*keys, default=default, length=length, entry=int, least=least)
        for count in found.value or ():
            if not 1 <= count <= MAX_SIZE:
                name = f"{self.file}: {self.key(found.evidence.ref)}"
                raise ConfigError(f"{name} holds {count:,}; llmarch accepts 1 to {MAX_SIZE:,}")
        return found

    def layer_numbers(
        self, *keys: str, layers: int, default: Any = MISSING, first: int = 0
    ) -> Sourced:
        """Look up a list of the numbers of some of the `layers`.

        first: the number of the first layer. Numbers of layers that do not exist are a finding.
        """
        numbers = self.items(*keys, default=default, entry=int)
        if numbers.value:
            highest = max(numbers.value) - first
            layer_number_too_high(self, numbers.evidence.ref, highest, layers)
        return numbers


def _dots(key: str) -> Iterator[int]:
    """Return the places of the dots of a key; keys with names of modules have many."""
    return (place for place, character in enumerate(key) if character == ".")


def is_token_key(key: str) -> bool:
    """Return whether a key holds ids of tokens.

    That is those at which generation ends, that begin and fill inputs, and in whose place images
    and sounds are put.
    """
    return key.endswith(("token_id", "token_ids", "token_index"))


def is_inert(key: str, value: Any) -> bool:
    """Return whether a key has no effect on the architecture, or none with this value."""
    if key in INERT_KEYS or key.startswith("_") or is_token_key(key):
        return True
    return key in INERT_WHEN_OFF and not value


def _names_at(values: Mapping[str, Any], prefix: str, own_prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each of the `values` under `prefix`, and the one that the file has."""
    for key, value in values.items():
        yield prefix + key, own_prefix + key
        if isinstance(value, dict):
            nested = cast("dict[str, Any]", value)
            yield from _names_at(nested, f"{prefix}{key}.", f"{own_prefix}{key}.")
