"""Read adapter_config.json, PEFT's config of an adapter.

Source: the classes of peft 0.21.2 that have `peft_type` (tuners/*/config.py), and their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..architecture.adapters import Adapter
from ..errors import ConfigError, printable

PEFT_VERSION = "0.21.2"
"""The version of PEFT that was read."""
PEFT_METHODS = frozenset(
    """
    adalora adamss adaption_prompt beft boft c3a cartridge cpt deft delora fourierft frod glora
    gralora hira hra ia3 lily ln_tuning loha lokr lora miss multitask_prompt_tuning oft osf p_tuning
    peanut poly prefix_tuning prompt_tuning psoft pvera randlora road shadow shira supertuning
    tinylora trainable_tokens unilora vblora vera waveft xlora
    """.split()
)
"""The methods of peft 0.21.2, as `peft_type` names them in upper case."""

_RANKS = {
    "adalora": 12, "adamss": 100, "deft": 8, "delora": 8, "glora": 8, "gralora": 32, "hira": 32,
    "hra": 8, "lily": 32, "loha": 8, "lokr": 8, "lora": 8, "miss": 64, "peanut": 32, "poly": 8,
    "psoft": 32, "pvera": 256, "randlora": 32, "shadow": 8, "shira": 32, "tinylora": 2,
    "unilora": 4, "vblora": 4, "vera": 256,
}  # fmt: skip
"""The ranks that the classes take for an absent `r`."""
_ALPHAS = {"lora": 8.0, "adalora": 8.0, "loha": 8.0, "lokr": 8.0}
_SIZES = {
    "token_dim": None,
    "num_transformer_submodules": None,
    "num_attention_heads": None,
    "num_layers": None,
    "encoder_hidden_size": None,
    "encoder_num_layers": 2,
    "n_frequency": 1000,
    "block_size": 256,
    "oft_block_size": 32,
    "boft_block_size": 4,
    "boft_block_num": 0,
    "boft_n_butterfly_factor": 1,
    "adapter_len": None,
    "adapter_layers": None,
    "num_vectors": 256,
    "vector_length": 256,
    "topk": 2,
    "n_tasks": 1,
    "n_skills": 4,
    "n_splits": 1,
    "num_frozen_tokens": 1,
    "qalora_group_size": 16,
    "mini_r": 1,
}
"""Keys of whole numbers that single methods have, with the class default; None has to be stated."""
_OPTIONS = (
    "encoder_reparameterization_type",
    "variant",
    "poly_type",
    "mask_type",
    "wavelet_family",
    "decomposition_method",
)
"""Keys of words that single methods have."""
_FLAGS = ("prefix_projection", "save_projection", "block_share", "coft", "use_qalora")
_WITHOUT_EFFECT = frozenset(
    """
    auto_mapping inference_mode lora_dropout init_lora_weights fan_in_fan_out megatron_config
    megatron_core loftq_config eva_config corda_config lora_ga_config runtime_config velora_config
    monteclora_config arrow_config ensure_weight_tying alora_invocation_tokens init_weights
    init_ia3_weights rank_dropout module_dropout target_r tinit tfinal deltaT beta1 beta2
    orth_reg_weight total_step boft_dropout vera_dropout d_initial projection_prng_key
    prompt_tuning_init prompt_tuning_init_text tokenizer_name_or_path tokenizer_kwargs
    encoder_dropout hra_dropout scaling random_loc_seed delora_lambda lambda_pattern
    miss_dropout hira_dropout eps use_cayley_neumann num_cayley_neumann_terms rank_dropout_scale
    vblora_dropout init_vector_bank_bound init_logits_std randlora_dropout apply_GS
    """.split()
)
"""Keys that change neither names nor shapes of tensors: training, initial values, where to run."""
_MOST_ITEMS = 100_000
_MOST_RANK = 1 << 24
_MOST_LAYERS = 1_000


class _Keys:
    """The keys of a document, read with a check of their types."""

    def __init__(self, document: Mapping[str, Any], file: str) -> None:
        self.document = document
        self.file = file
        self.read: set[str] = set()

    def value(self, key: str) -> Any:
        """Return the value of a key, None where it is absent or null."""
        self.read.add(key)
        return self.document.get(key)

    def text(self, key: str) -> str | None:
        """Return a string, None where it is absent or empty. Raises ConfigError."""
        value = self.value(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.error(key, "a string")
        return value

    def flag(self, key: str) -> bool:
        """Return a flag, False where it is absent. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def size(self, key: str, default: int | None = None) -> int | None:
        """Return a whole number that is not negative, or the default. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return default
        if not _is_size(value):
            raise self.error(key, "a whole number that is not negative")
        return value

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return a finite number, or the default. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return default
        if not _is_number(value):
            raise self.error(key, "a number")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names, or the one name that stands there. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or len(cast("list[Any]", value)) > _MOST_ITEMS:
            raise self.error(key, "a list of names")
        items = cast("list[Any]", value)
        if not all(isinstance(item, str) for item in items):
            raise self.error(key, "a list of names")
        return tuple(items)

    def names_or_pattern(self, key: str) -> tuple[tuple[str, ...], str | None]:
        """Return a list of names, or the regular expression that stands there."""
        value = self.value(key)
        if isinstance(value, str) and value.lower() != "all-linear":
            return (), value or None
        return self.names(key), None

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """Return a list of whole numbers, or the one that stands there; None if it is absent."""
        value = self.value(key)
        if value is None or value == []:
            return None
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        if len(items) > _MOST_ITEMS or not all(map(_is_size, items)):
            raise self.error(key, "a list of numbers of layers")
        return tuple(items)

    def ranges(self, key: str) -> tuple[tuple[int, int], ...]:
        """Return a list of pairs of numbers. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return ()
        words = "a list of pairs of numbers of layers"
        if not isinstance(value, list) or len(cast("list[Any]", value)) > _MOST_ITEMS:
            raise self.error(key, words)
        pairs: list[tuple[int, int]] = []
        for item in cast("list[Any]", value):
            if not isinstance(item, list) or len(cast("list[Any]", item)) != 2:
                raise self.error(key, words)
            start, end = cast("list[Any]", item)
            if not _is_size(start) or not _is_size(end):
                raise self.error(key, words)
            pairs.append((start, end))
        return tuple(pairs)

    def pattern(self, key: str) -> dict[str, Any]:
        """Return an object of positive numbers by regular expression. Raises ConfigError."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(key, "an object of numbers")
        items = cast("dict[str, Any]", value)
        for number in items.values():
            if not _is_number(number) or number <= 0:
                raise self.error(key, "an object of positive numbers")
        return dict(items)

    def error(self, key: str, wanted: str) -> ConfigError:
        """Return the error about the value of a key, which is none of a kind."""
        shown = printable(repr(self.document.get(key)), 60)
        return ConfigError(f"{printable(self.file)}: {key} is {shown}; it must be {wanted}")


def read_adapter_config(document: Mapping[str, Any], file: str) -> tuple[Adapter, tuple[str, ...]]:
    """Return the facts of an adapter, and the keys that nothing read.

    Raises ConfigError for a document without a method, and for values of a wrong type.
    """
    keys = _Keys(document, file)
    stated = keys.text("peft_type")
    if stated is None:
        raise ConfigError(f"{printable(file)}: peft_type is missing, so that no method is known")
    method = stated.lower()
    targets, target_pattern = keys.names_or_pattern("target_modules")
    excluded, excluded_pattern = keys.names_or_pattern("exclude_modules")
    task = keys.text("task_type")
    adapter = Adapter(
        method=method,
        base=keys.text("base_model_name_or_path"),
        base_revision=keys.text("revision"),
        task=task.lower() if task else None,
        written_by=keys.text("peft_version"),
        rank=_rank(keys, method),
        alpha=_alpha(keys, method),
        rank_stabilized=keys.flag("use_rslora"),
        dora=keys.flag("use_dora"),
        output_bias=keys.flag("lora_bias"),
        bias=keys.text("bias") or "none",
        targets=_all_linear(targets),
        target_pattern=target_pattern,
        target_parameters=keys.names("target_parameters"),
        excluded=excluded,
        excluded_pattern=excluded_pattern,
        layers=keys.numbers("layers_to_transform"),
        layer_lists=keys.names("layers_pattern"),
        replicated_layers=keys.ranges("layer_replication"),
        rank_pattern=_ranks(keys),
        alpha_pattern=keys.pattern("alpha_pattern"),
        saved_modules=keys.names("modules_to_save"),
        tokens=_tokens(keys, method),
        feed_forward=keys.names("feedforward_modules"),
        virtual_tokens=keys.size("num_virtual_tokens"),
        sizes=_sizes(keys, method),
        options=_options(keys),
    )
    unread = [key for key in document if key not in keys.read and key not in _WITHOUT_EFFECT]
    unread = [key for key in unread if document[key] not in (None, False, "", [], {})]
    return adapter, tuple(unread)


def _all_linear(targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the targets, with the word for all linear modules in lower case."""
    if len(targets) == 1 and targets[0].lower() == "all-linear":
        return ("all-linear",)
    return targets


def _rank(keys: _Keys, method: str) -> int | None:
    """Return the rank, which AdaLoRA has under another key."""
    rank = keys.size("r", _RANKS.get(method))
    if method == "adalora":
        rank = keys.size("init_r", _RANKS[method])
    if rank is not None and rank > _MOST_RANK:
        raise keys.error("r", f"at most {_MOST_RANK}")
    return rank


def _alpha(keys: _Keys, method: str) -> float | None:
    """Return alpha, which some methods have without a prefix."""
    alpha = keys.number("lora_alpha", _ALPHAS.get(method))
    return keys.number("alpha", alpha)


def _ranks(keys: _Keys) -> dict[str, int]:
    """Return ranks by pattern. AdaLoRA's, lists of flags of ranks in use, are left out."""
    value = keys.value("rank_pattern")
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        if all(isinstance(item, list) for item in items.values()):
            return {}
    ranks = keys.pattern("rank_pattern")
    for rank in ranks.values():
        if not _is_size(rank) or rank > _MOST_RANK:
            raise keys.error("rank_pattern", "an object of whole numbers")
    return ranks


def _tokens(keys: _Keys, method: str) -> dict[str, int]:
    """Return how many tokens of which embedding are trained."""
    value = keys.value("trainable_token_indices")
    if method == "trainable_tokens":
        names = keys.names("target_modules") or ("embed_tokens",)
        value = keys.value("token_indices")
        return {name: _count(keys, "token_indices", value) for name in names}
    if value is None:
        return {}
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {k: _count(keys, "trainable_token_indices", v) for k, v in items.items()}
    return {"embed_tokens": _count(keys, "trainable_token_indices", value)}


def _count(keys: _Keys, key: str, value: object) -> int:
    """Return how many tokens a list has. Raises ConfigError."""
    if not isinstance(value, list) or not all(map(_is_size, cast("list[Any]", value))):
        raise keys.error(key, "a list of numbers of tokens")
    return len(cast("list[Any]", value))


def _sizes(keys: _Keys, method: str) -> dict[str, int]:
    """Return the sizes that single methods have."""
    sizes: dict[str, int] = {}
    for key, default in _SIZES.items():
        if key in keys.document:
            size = keys.size(key, default)
            if size is not None:
                sizes[key] = size
    if sizes.get("encoder_num_layers", 0) > _MOST_LAYERS:
        raise keys.error("encoder_num_layers", "at most 1,000")
    if method == "oft" and "r" in keys.document:
        sizes["oft_blocks"] = keys.size("r") or 0
    return sizes


def _options(keys: _Keys) -> dict[str, str]:
    """Return the choices that single methods have."""
    options: dict[str, str] = {}
    for key in _OPTIONS:
        if key in keys.document:
            value = keys.text(key)
            if value is not None:
                options[key] = value
    variant = keys.document.get("init_weights")
    if isinstance(variant, str):
        options["init_weights"] = variant
    for key in _FLAGS:
        if key in keys.document:
            options[key] = str(keys.flag(key)).lower()
    return options


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -1e300 < value < 1e300
