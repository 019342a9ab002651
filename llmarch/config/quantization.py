"""Read how a config says that its checkpoint is stored.

The usual tools write `quantization_config`, MLX writes `quantization`.
Each tool has its own keys; here they become the facts of one `Quantization`. Every key is read into
a fact, is known to have no effect on what is stored (`_INERT`), or is left as unread. Values are
checked where they are read: a wrong type or an impossible number is a ConfigError with file and
key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from ..architecture.paths import last_part
from ..architecture.quantization import ModuleFormat
from ..architecture.schema import Finding, Quantization
from ..sources.raw import fold
from .evidence import Draft, Sourced, derived, draft, same_evidence
from .findings import add, another_value, quoted
from .keys import ConfigKeys
from .quantization_keys import QuantizationKeys
from .quantization_methods import METHOD_READERS
from .quantization_values import (
    invalid_value,
    present_key,
    read_bits,
    read_block,
    read_flag,
    read_group_size,
    read_names,
    read_nested_names,
    read_objects,
)
from .quantization_words import (
    ACTIVATION_ORDERS,
    ACTIVATION_SCHEMES,
    ALGORITHMS,
    AUTO_ROUND_TYPES,
    AWQ_FORMATS,
    CACHE_ALGORITHMS,
    COMPRESSED_FORMATS,
    EXPERT_DTYPES,
    FOUR_BIT_TYPES,
    FP8_FORMATS,
    GPTQ_FORMATS,
    METHODS,
    MLX_MODES,
    NUMBER_KINDS,
    SCALE_FORMATS,
    SPARSE_FORMATS,
    STATUSES,
    STORAGE_DTYPES,
    STRATEGIES,
    TORCH_DTYPES,
    WORD_DTYPES,
    add_word_finding,
    checked_word,
    report_bits,
    report_method,
    report_missing,
    report_unknown,
)

MAX_ENTRY_SHOWN = 100
"""Characters of a folded module name: a longer one, of many runs of numbers, is divided."""
UNQUANTISED_BITS = 16
_INERT = frozenset(
    """
    quant_method producer version global_compression_ratio transform_config dequantize meta dataset
    tokenizer batch_size damp_percent static_groups true_sequential act_group_aware mse
    model_name_or_path model_file_base_name model_seqlen block_name_to_quantize
    module_name_preceding_first_block cache_block_outputs pad_token_id
    max_input_length use_cuda_fp16 use_exllama exllama_config disable_exllama backend do_fuse
    modules_to_fuse fuse_max_seq_len is_marlin_format iters low_gpu_mem_usage lr
    minmax_lr nsamples seqlen autoround_version enable_quanted_input enable_minmax_tuning
    gradient_accumulate_steps amp scale_dtype to_quant_block_names
    """.split()
)
"""Keys about how a tool quantised, or how it computes: none says what is stored."""


def read_declaration(declaration: QuantizationKeys) -> Draft:
    """Return the Quantization that a declaration says. Raises ConfigError for what it cannot be."""
    c, (key, *others) = declaration
    for other in others:
        _compare_declarations(c, key, other)
    q = c.child(key)
    native = c.native_keys.get(c.prefix + key)
    if isinstance(native, str):
        q.file = native
    q.ignore(*_INERT)
    if q.has("qformat_weight"):
        return _native(q)
    method = _method(q, key)
    report_method(q, method, c.key(key))
    read = _READERS.get(method.value, _integers)
    facts = read(q)
    if q.has("bits"):
        report_bits(q, method.value, read_bits(q, "bits", is_whole=False).value)
    experts = _experts(c, q)
    if experts is not None:
        facts["experts"] = experts
    excluded = facts.get("excluded")
    if isinstance(excluded, Sourced):
        name = last_part(excluded.evidence.ref)
        facts["excludes_none"] = same_evidence(q.data.get(name) == [], excluded)
    return draft(Quantization, method=method, **facts)


def spellings_beside(config: Mapping[str, Any], file: str) -> dict[str, str]:
    """Return how keys of `quantization_config` are spelt where another file declares them."""
    declared = cast("dict[str, Any]", config["quantization_config"])
    names = {f"quantization_config.{key}": key for key in declared}
    return {"quantization_config": file, **names}


def _compare_declarations(c: ConfigKeys, key: str, other: str) -> None:
    """Report keys of two declarations in one config that differ (MLX writes both, the same)."""
    first: dict[str, Any] = c.data[key]
    second: dict[str, Any] = c.data[other]
    for name in sorted(first.keys() & second.keys()):
        if first[name] == second[name]:
            continue
        add(
            c,
            Finding(
                rule="config-contradiction",
                path=f"{c.key(other)}.{name}",
                message=f"{c.key(key)}.{name} is {quoted(first[name])}, but"
                f" {c.key(other)}.{name} is {quoted(second[name])}: transformers and vLLM read the"
                " former, mlx-lm the latter",
                severity="behaviour",
                old=second[name],
                new=first[name],
            ),
        )
    for name in sorted(first.keys() ^ second.keys()):
        value = first.get(name, second.get(name))
        if not _is_override(name, value):
            continue
        holder = c.key(key if name in first else other)
        add(
            c,
            Finding(
                rule="config-contradiction",
                path=f"{holder}.{name}",
                message=f"only {holder} has a format for {name}: transformers and vLLM read"
                f" {c.key(key)}, mlx-lm {c.key(other)}",
                severity="behaviour",
            ),
        )


def _method(q: ConfigKeys, key: str) -> Sourced:
    """Return the tool that wrote a checkpoint, from its keys where it leaves its name out."""
    if q.has("quant_method"):
        return q.word("quant_method")
    for mark, method in (("quant_algo", "modelopt"), ("config_groups", "compressed-tensors")):
        if q.has(mark):
            return derived(method, f"{mark} without a quant_method")
    named = {k for k, v in q.data.items() if not _is_override(k, v)}
    if key == "quantization" or named <= {"group_size", "bits", "mode"}:
        return derived("mlx", "bits and group_size without a quant_method")
    return derived("unknown", "there is no quant_method")


# --- formats of single modules ------------------------------------------------------------------


def _is_override(key: str, value: object) -> bool:
    """Return whether a key is a module's name, under which MLX writes its bits, true or false."""
    return isinstance(value, dict) or (isinstance(value, bool) and "." in key)


def fold_modules(formats: Mapping[str, str]) -> list[str]:
    """Return module names with their formats, numbers folded: `layers.{0-3,5}.mlp: 8 bits`.

    22,422 modules of one repository become 70 entries.
    """
    numbers_of: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for name, words in formats.items():
        if "{" in name or "}" in name:
            continue  # no module has such a name
        pattern, index = fold(name)
        numbers_of.setdefault((pattern, words), []).append(index)
    entries: list[str] = []
    for (pattern, words), indices in numbers_of.items():
        entries += [f"{name}: {words}" for name in _folded(pattern, indices)]
    return sorted(entries)


def _folded(pattern: str, indices: list[tuple[int, ...]]) -> list[str]:
    """Return the names of a pattern as products of numbers, each first number apart if need be."""
    if not indices[0]:
        return [pattern]
    axes = [sorted(set(numbers)) for numbers in zip(*indices, strict=True)]
    size = 1
    for numbers in axes:
        size *= len(numbers)
    if size != len(set(indices)):
        firsts: dict[int, list[tuple[int, ...]]] = {}
        for index in indices:
            firsts.setdefault(index[0], []).append(index)
        if len(firsts) == 1:
            return [pattern.format(*index) for index in indices]
        return [name for part in firsts.values() for name in _folded(pattern, part)]
    name = pattern.format(*map(_runs, axes))
    longest = max(axes, key=len)
    if len(name) <= MAX_ENTRY_SHOWN or len(longest) == 1:
        return [name]
    place = axes.index(longest)
    middle = longest[len(longest) // 2]
    halves = (
        [index for index in indices if index[place] < middle],
        [index for index in indices if index[place] >= middle],
    )
    return [name for half in halves for name in _folded(pattern, half)]


def _runs(numbers: list[int]) -> str:
    """Return sorted numbers in short, all of them: `{0-3,5}`, and a single one without braces."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    if len(numbers) == 1:
        return words[0]
    return "{" + ",".join(words) + "}"


# --- methods ------------------------------------------------------------------------------------


def _integers(q: ConfigKeys) -> dict[str, Any]:
    """Read the keys of GPTQ and AWQ, and of any method that is not known."""
    method = q.data.get("quant_method")
    symmetric = read_flag(q, "sym")
    if q.has("zero_point"):
        zero_point = read_flag(q, "zero_point")
        symmetric = same_evidence(not zero_point.value, zero_point)
    excluded = read_names(q, "modules_to_not_convert")
    rules = q.child("dynamic")
    formats: dict[str, str] = {}
    rules_of_modules: list[str] = []
    for rule in rules.data:
        if rule.startswith("-:"):
            excluded.value.append(f"re:{rule.removeprefix('-:')}")
            rules.ignore(rule)
        else:
            part = rules.child(rule)
            part.ignore("desc_act", "sym")
            own = _bits_and_group(part)
            rules_of_modules.append(f"re:{rule.removeprefix('+:')}: {own.words}")
    extra = q.child("extra_config")  # AutoRound
    for name in extra.data:
        part = extra.child(name)
        part.ignore(*part.data)
        own = _bits_and_group(part)
        is_regex = any(mark in name for mark in REGEX_MARKS)
        pattern = f"re:.*(?:{name})" if is_regex else name
        if own.bits is not None and own.bits >= UNQUANTISED_BITS:
            excluded.value.append(pattern)
        elif own.bits is not None and is_regex:
            rules_of_modules.append(f"{pattern}: {own.words}")
        elif own.bits is not None:
            formats[name] = own.words
    # Methods that are not known may have mean bits (exl2: 4.25).
    bits = read_bits(q, "bits", "w_bit", is_whole=method in METHODS)
    group_size = _shared_size(q)
    if present_key(q, ("group_size", "q_group_size")) is None and method in LAYOUTS:
        group_size = q.value("group_size", default=DEFAULT_GROUP)
    if q.flag("lm_head", default=False).value:
        formats["lm_head"] = ModuleFormat(bits=bits.value, group_size=group_size.value).words
    return {
        "bits": bits,
        "group_size": group_size,
        "format": _layout(q, LAYOUTS.get(str(method), frozenset())),
        "packed_dtype": checked_word(q, "pack_dtype", WORD_DTYPES, default=None),
        "symmetric": symmetric,
        "activation_order": read_flag(q, "desc_act"),
        "targets": read_nested_names(q, "modules_in_block_to_quantize"),
        "excluded": excluded,
        "modules": [*rules_of_modules, *fold_modules(formats)],
    }


REGEX_MARKS = "*+?^$()[]{}|\\"
"""Characters by which readers of auto-round's `extra_config` know a regular expression (vLLM 0.33.0
inc/config_parser.py)."""


def _is_float_scheme(q: ConfigKeys) -> bool:
    """Return whether auto-round declares FP8, whose `group_size` may be 0 or a block."""
    return str(q.data.get("data_type", "")).startswith("fp")


def _shared_size(q: ConfigKeys) -> Sourced:
    """Return the values of a row that share a scale, None where rows are whole or in blocks."""
    size: object = q.data.get("group_size")
    if _is_float_scheme(q) and (size == 0 or isinstance(size, list)):
        return same_evidence(None, q.value("group_size"))
    return read_group_size(q, "group_size", "q_group_size")


def _float_sizes(q: ConfigKeys) -> dict[str, Any]:
    """Return what one scale of FP8 values is for (auto-round 0.16.1, QuantizationScheme).

    A block, a tensor (0) or a channel (-1).
    """
    size = q.value("group_size", default=None)
    if isinstance(size.value, list):
        return {"block": read_block(q, "group_size")}
    strategy = {0: "tensor", -1: "channel"}.get(size.value or 0)
    if size.value is None:
        return {}
    return {"strategy": same_evidence(strategy, size)}


LAYOUTS = {"gptq": GPTQ_FORMATS | AWQ_FORMATS, "awq": GPTQ_FORMATS | AWQ_FORMATS}
"""Words for layouts, by method. GPTQModel writes both methods' under `checkpoint_format`."""


def _auto_round(q: ConfigKeys) -> dict[str, Any]:
    """Read auto-round's keys: those of integers, or of floats (`data_type` mx_fp, nv_fp, fp)."""
    facts = _integers(q)
    word = q.word("data_type", default="int")
    kind = word.value.lower()
    if not any(kind.startswith(known) for known in AUTO_ROUND_TYPES):
        report_unknown(q, "data_type", word.value, AUTO_ROUND_TYPES)
    checked_word(q, "activation_scheme", ACTIVATION_SCHEMES, default=None)
    q.ignore("act_data_type", "act_group_size", "act_sym", "super_bits", "super_group_size")
    bits = read_bits(q, "act_bits")
    dynamic = read_flag(q, "act_dynamic")
    if bits.value is not None and bits.value < UNQUANTISED_BITS:
        scheme = "static" if dynamic.value is False else "dynamic"
        facts["activations"] = same_evidence(scheme, dynamic)
    form = checked_word(q, "fmt", FP8_FORMATS, default=None)
    if form.value is not None and "e5m2" in form.value:
        word = same_evidence(f"{word.value}_e5m2", form)
    if not kind.startswith("int"):
        facts["format"] = word
    if _is_float_scheme(q):
        facts |= _float_sizes(q)
    is_float = kind.startswith(("mx_fp", "nv_fp", "fp"))
    facts["number"] = same_evidence("float" if is_float else "int", word)
    return facts


DEFAULT_GROUP = 128
"""Group size of GPTQ and AWQ where a config has none (transformers' GPTQConfig, AwqConfig)."""


def _bits_and_group(part: ConfigKeys) -> ModuleFormat:
    """Return the bits and the group size that a module has for itself."""
    size = read_group_size(part, "group_size").value
    return ModuleFormat(bits=read_bits(part, "bits").value, group_size=size)


def _layout(q: ConfigKeys, words: frozenset[str]) -> Sourced:
    """Return the layout of packed integers: AWQ's `version`, GPTQ's `checkpoint_format`.

    words: those that the method has; empty where it is not known.
    """
    keys = ("version", "checkpoint_format", "packing_format", "mode", "format")
    key = present_key(q, keys)
    for name in keys:
        q.word(name, default=None)
    layout = q.word(key or keys[0], default=None)
    if key is not None and words:
        report_unknown(q, key, layout.value, words)
    return layout


def _mlx(q: ConfigKeys) -> dict[str, Any]:
    """Read MLX's keys: beside them stand module names, with their own bits, `false` or `true`."""
    formats: dict[str, str] = {}
    excluded: list[str] = []
    for name, value in q.data.items():
        if not _is_override(name, value):
            continue
        if isinstance(value, bool):
            q.ignore(name)
            if not value:
                excluded.append(name)
            continue
        part = q.child(name)
        mode = checked_word(part, "mode", MLX_MODES, default=None).value
        own = _bits_and_group(part)
        report_bits(part, "mlx", own.bits)
        formats[name] = own._replace(format=None if mode == "affine" else mode).words
    return {
        "bits": read_bits(q, "bits"),
        "group_size": read_group_size(q, "group_size"),
        "format": checked_word(q, "mode", MLX_MODES, default=None),
        "excluded": excluded,
        "modules": fold_modules(formats),
    }


def _fp8(q: ConfigKeys) -> dict[str, Any]:
    """Read the keys of FP8 weights, as DeepSeek and transformers write them."""
    facts: dict[str, Any] = {
        "bits": 8.0,
        "format": checked_word(q, "fmt", FP8_FORMATS, default="e4m3"),
        "block": read_block(q, "weight_block_size"),
        "scale_format": checked_word(q, "scale_fmt", SCALE_FORMATS, default=None),
        "activations": checked_word(q, "activation_scheme", ACTIVATION_SCHEMES, default=None),
        "excluded": read_names(q, "modules_to_not_convert", "ignored_layers"),
        "cache_dtype": _cache_dtype(q),
    }
    if q.has("quantized_layers"):
        facts["modules"] = fold_modules(_quantized_layers(q))
        # NVIDIA's copies of DeepSeek V4: this list is of what stays in FP8.
        q.ignore("config_groups", "group_size", "quant_algo", "ignore")
    if q.has("activation_scale_ub"):
        q.number("activation_scale_ub")
    return facts


def _mxfp8(q: ConfigKeys) -> dict[str, Any]:
    """Read the keys of FP8 weights whose scales are powers of two, one for 32 inputs."""
    facts = _fp8(q)
    if facts["block"].value is None:
        facts["block"] = derived([1, 32], "quant_method mxfp8")
    facts["scale_format"] = derived("ue8m0", "quant_method mxfp8")
    return facts


def _mxfp4(q: ConfigKeys) -> dict[str, Any]:
    return {
        "bits": 4.0,
        "format": "mxfp4",
        "group_size": 32,
        "excluded": read_names(q, "modules_to_not_convert"),
    }


def _bitsandbytes(q: ConfigKeys) -> dict[str, Any]:
    four = q.flag("load_in_4bit", "_load_in_4bit", default=False)
    eight = q.flag("load_in_8bit", "_load_in_8bit", default=False)
    if four.value and eight.value:
        path = q.key("load_in_8bit")
        message = f"{path} and load_in_4bit are both true, which transformers refuses"
        add_word_finding(q, path, message, None)
    q.ignore("_load_in_4bit", "_load_in_8bit")
    for key in ("llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight"):
        read_flag(q, key)
    q.number("llm_int8_threshold", default=6.0)
    checked_word(q, "bnb_4bit_compute_dtype", TORCH_DTYPES, default=None)
    number = checked_word(q, "bnb_4bit_quant_type", FOUR_BIT_TYPES, default="fp4")
    storage = checked_word(q, "bnb_4bit_quant_storage", STORAGE_DTYPES, default=None)
    double = q.flag("bnb_4bit_use_double_quant", default=False)
    scales = None
    if four.value and double.value:
        scales = same_evidence("quantised", double)
    return {
        "bits": derived(4.0 if four.value else 8.0, f"{four.evidence.ref}"),
        "format": number if four.value else "int8",
        "scale_format": scales,
        "packed_dtype": storage if four.value else None,
        "excluded": read_names(q, "llm_int8_skip_modules"),
    }


def _modelopt(q: ConfigKeys) -> dict[str, Any]:
    """Read ModelOpt's keys, those of hf_quant_config.json and those of config.json."""
    algo = checked_word(q, "quant_algo", ALGORITHMS, default=None)
    name = (algo.value or "").upper()
    if algo.value is None:
        report_missing(q, "quant_algo", "modelopt")
    layers = _quantized_layers(q)
    size = read_group_size(q, "group_size")
    if size.value is None and name.startswith("NVFP4"):
        size = derived(16, f"quant_algo {name}")
    groups = _groups(q)
    bits = algorithm_bits(name)
    if not layers:
        for group in groups:
            _hold_to_algorithm(group, name, bits, size.value)
    facts: dict[str, Any] = {
        "bits": derived(bits, f"quant_algo {name}"),
        "format": same_evidence(name.lower() or None, algo),
        "group_size": size,
        "excluded": read_names(q, "ignore", "exclude_modules"),
        "cache_dtype": _cache_dtype(q),
        "modules": fold_modules(layers),
    }
    q.ignore("exclude_modules")
    scheme = _modelopt_activations(name)
    if groups and all(not group.inputs.data for group in groups):
        scheme = None
    facts["activations"] = derived(scheme, f"quant_algo {name}")
    flag = read_flag(q, "has_zero_point")
    facts["symmetric"] = flag if flag.value is None else same_evidence(not flag.value, flag)
    q.flag("pre_quant_scale", default=None)
    if not layers:
        facts |= _group_facts(groups, ("targets", "modules"))
    return facts


def _modelopt_activations(algorithm: str) -> str | None:
    """Return how an algorithm of ModelOpt scales activations.

    vLLM 0.33.0 modelopt.py: FP8 and NVFP4 have a stored scale; FP8 by channel or block and MXFP8
    find theirs for each input; other names are of weights alone.
    """
    if algorithm in ("FP8", "W4A8_AWQ", "INT8_SQ", "W8A8_SQ_PER_CHANNEL"):
        return "static"
    if algorithm.startswith(("NVFP4", "W4A8_")):
        return "static"
    if algorithm in ("FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO", "FP8_PB_REAL", "MXFP8"):
        return "dynamic"
    return None


def _hold_to_algorithm(
    group: _Group, name: str, bits: float | None, group_size: int | None
) -> None:
    """Report a group of modules whose weights differ from those of the algorithm."""
    source = f"quant_algo {name}"
    if bits is not None:
        another_value(group.weights, "num_bits", bits, source)
    rows_are_whole = None in (group.group_size.value, group_size)
    if name.startswith("NVFP4") and not rows_are_whole:
        another_value(group.weights, "group_size", group_size, source)


def algorithm_bits(name: str) -> float | None:
    """Return the bits of a weight by ModelOpt's name of the algorithm: W4A16_AWQ, FP8, NVFP4."""
    match = re.match(r"W(\d+)A", name)
    if match is not None:
        return float(match[1])
    if "4" in name:
        return 4.0
    return 8.0 if "8" in name else None


def _quantized_layers(q: ConfigKeys) -> dict[str, str]:
    """Return the format of each module that ModelOpt lists in `quantized_layers`."""
    layers = q.child("quantized_layers")
    formats: dict[str, str] = {}
    for name in layers.data:
        part = layers.child(name)
        algo = checked_word(part, "quant_algo", ALGORITHMS, default=None).value or "unknown"
        read_group_size(part, "group_size")
        formats[name] = algo.lower()
    layers.ignore(*layers.data)
    return formats


def _compressed(q: ConfigKeys) -> dict[str, Any]:
    """Read compressed-tensors' keys: groups of modules, each with its own weights."""
    every = ("bits", "block", "group_size", "activations", "strategy", "symmetric", "number")
    sparse = q.child("sparsity_config")
    sparsity = checked_word(sparse, "format", SPARSE_FORMATS, default=None)
    sparse.ignore(*sparse.data)
    checked_word(q, "quantization_status", STATUSES, default=None)
    facts: dict[str, Any] = {
        "format": checked_word(q, "format", COMPRESSED_FORMATS, default=None),
        "sparsity": same_evidence(None, sparsity) if sparsity.value == "dense" else sparsity,
        "excluded": read_names(q, "ignore"),
        "cache_dtype": _cache_dtype(q),
    }
    names = (*every, "activation_order", "targets", "modules")
    groups = _groups(q)
    if groups and groups[0].format is not None:
        facts["format"] = derived(groups[0].format, "config_groups.*.format")
    return facts | _group_facts(groups, names)


class _Group(NamedTuple):
    """A group of `config_groups`: what is stored, and for which modules."""

    targets: list[str]
    weights: ConfigKeys
    inputs: ConfigKeys
    format: str | None
    bits: Sourced
    group_size: Sourced
    block: Sourced
    number: Sourced
    strategy: Sourced
    symmetric: Sourced
    order: Sourced

    @property
    def words(self) -> str:
        """Return its format: `int, 4 bits, groups of 128`."""
        block: list[int] | None = self.block.value
        return ModuleFormat(
            number=self.number.value,
            bits=self.bits.value,
            group_size=self.group_size.value,
            block=(block[0], block[1]) if block else None,
            strategy=self.strategy.value,
            symmetric=self.symmetric.value,
            activation_order=self.order.value,
            activations=_activations(self.inputs).value,
            format=self.format,
        ).words


def _groups(q: ConfigKeys) -> list[_Group]:
    """Return the groups that quantise weights."""
    found: list[_Group] = []
    for group in read_objects(q, "config_groups"):
        weights, inputs = group.child("weights"), group.child("input_activations")
        group.child("output_activations")
        targets = read_names(group, "targets").value
        for part in (weights, inputs):
            part.ignore("observer", "observer_kwargs", "type", "dynamic", "symmetric", "strategy")
            part.ignore("group_size", "num_bits", "block_structure", "scale_dtype", "zp_dtype")
            checked_word(part, "type", NUMBER_KINDS, default=None)
            checked_word(part, "strategy", STRATEGIES, default=None)
        word = checked_word(group, "format", COMPRESSED_FORMATS, default=None).value
        if not weights.data:
            continue
        read_bits(inputs, "num_bits")
        found.append(
            _Group(
                targets,
                weights,
                inputs,
                word,
                bits=read_bits(weights, "num_bits"),
                group_size=read_group_size(weights, "group_size"),
                block=read_block(weights, "block_structure"),
                number=weights.word("type", default=None),
                strategy=weights.word("strategy", default=None),
                symmetric=read_flag(weights, "symmetric"),
                order=_activation_order(weights),
            )
        )
    return found


def _group_facts(groups: list[_Group], names: Iterable[str]) -> dict[str, Any]:
    """Return facts of the first group that quantises weights, and the modules of the others."""
    if not groups:
        return {}
    group = groups[0]
    location = "config_groups.*.weights"
    facts: dict[str, Any] = {
        "bits": derived(group.bits.value, f"{location}.num_bits"),
        "block": derived(group.block.value, f"{location}.block_structure"),
        "group_size": derived(group.group_size.value, f"{location}.group_size"),
        "activations": _activations(group.inputs),
        "strategy": group.strategy,
        "symmetric": group.symmetric,
        "number": group.number,
        "activation_order": group.order,
    }
    targets = [name for each in groups for name in each.targets]
    formats = {name: each.words for each in groups for name in each.targets}
    listed = len(groups) > 1 or len(targets) > 8
    facts["targets"] = [] if listed else targets
    facts["modules"] = fold_modules(formats) if listed else []
    return {name: facts[name] for name in names}


def _activation_order(weights: ConfigKeys) -> Sourced:
    """Return whether the groups of a row are not consecutive.

    compressed-tensors writes true or "group" for that; after "weight" they are consecutive.
    """
    order = weights.value("actorder", default=None)
    if isinstance(order.value, str):
        report_unknown(weights, "actorder", order.value, ACTIVATION_ORDERS)
        return same_evidence(ACTIVATION_ORDERS.get(order.value.lower()), order)
    return same_evidence(None if order.value is None else bool(order.value), order)


def _activations(inputs: ConfigKeys) -> Sourced:
    """Return how activations are scaled: `dynamic`, `static`, or None for not at all."""
    scheme = None
    if inputs.data:
        scheme = "dynamic" if inputs.data.get("dynamic") else "static"
    return derived(scheme, "config_groups.*.input_activations")


def _cache_dtype(q: ConfigKeys) -> Sourced:
    """Return the dtype that the KV cache is declared to be kept in: `fp8`, `int8`, `nvfp4`."""
    algo = checked_word(q, "kv_cache_quant_algo", CACHE_ALGORITHMS, default=None)
    scheme = q.value("kv_cache_scheme", default=None)
    if algo.value is not None or scheme.value is None:
        return same_evidence(algo.value.lower() if algo.value else None, algo)
    if isinstance(scheme.value, str):
        return same_evidence(scheme.value.lower(), scheme)
    part = q.child("kv_cache_scheme")
    bits = read_bits(part, "num_bits").value
    number = part.word("type", default="float").value
    part.ignore(*part.data)
    if bits is None:
        raise invalid_value(q, "kv_cache_scheme", "an object with num_bits")
    return same_evidence(f"{'fp' if number == 'float' else number}{bits:g}", scheme)


def _experts(c: ConfigKeys, q: ConfigKeys) -> Sourced | None:
    """Return the format of the routed experts, where it is another than that of other modules.

    DeepSeek V4 says it outside of its quantization_config (`expert_dtype`), transformers 5.23.0
    (FineGrainedFP8Config) and NVIDIA's copies of it inside (`moe_quant_algo`).
    """
    inside = checked_word(q, "expert_dtype", EXPERT_DTYPES, default=None)
    if q.has("moe_quant_algo"):  # beside it transformers writes the outer expert_dtype inside
        algo = q.word("moe_quant_algo")
        return same_evidence(algo.value.lower(), algo)
    if inside.value == "fp4":
        return inside
    if c.has("expert_dtype"):
        return checked_word(c, "expert_dtype", EXPERT_DTYPES, default=None)
    return None


def _native(q: ConfigKeys) -> Draft:
    """Read Mistral's own keys.

    There is one FP8 scale for each tensor; activations are static (TENSOR) or dynamic (NO_SCALES).
    """
    scheme = q.word("qscheme_act", default="TENSOR")
    number = q.word("qformat_weight")
    return draft(
        Quantization,
        method=same_evidence("fp8", number),
        bits=8.0,
        format=same_evidence("e4m3", number),
        activations=same_evidence("dynamic" if scheme.value == "NO_SCALES" else "static", scheme),
    )


_READERS: dict[str, Callable[[ConfigKeys], dict[str, Any]]] = {
    **METHOD_READERS,
    "auto-round": _auto_round,
    "inc": _auto_round,
    "intel/auto-round": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "modelopt_fp8": _modelopt,
    "modelopt_mixed": _modelopt,
    "modelopt_mxfp8": _modelopt,
    "petit_nvfp4": _modelopt,
    "mxfp4": _mxfp4,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp8": _mxfp8,
    "mlx": _mlx,
}
"""The reader of each method's keys; others are read like GPTQ."""
