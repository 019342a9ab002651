"""What the options of an engine's command line or log mean for a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen, frozen
from ..errors import PlanError
from .engines.base import Engine
from .engines.pools import EngineOptions
from .gguf_names import format_of_file_type, format_of_name
from .memory import Reserve
from .planning import PlanOptions

SPLIT_MODES = ("layer", "none", "row", "tensor")
"""How llama.cpp divides a model over GPUs (common/arg.cpp)."""
ALL_LAYERS = 100_000
"""More layers than any model has: what a flag without a number means."""
OVERRIDE_OF_EXPERTS = re.compile(r"[^=\d]*exps[^=\d]*=CPU")
"""llama.cpp's `--override-tensor` for the routed experts of all layers."""
ONLINE_FORMATS = {
    "fp8": "fp8",
    "fp8_per_tensor": "fp8",
    "fp8_per_channel": "fp8",
    "fp8_per_block": "fp8",
    "bitsandbytes": "nf4",
    "mxfp8": "mxfp8",
    "mxfp4": "mxfp4",
}
"""Methods of `--quantization` that quantise a model as it is loaded, and the format of each."""


CONTEXT_KEYS = {"rope_scaling", "rope_parameters", "max_position_embeddings", "rope_theta"}
"""Keys of an override that change no memory but by the context."""
MOST_FACTOR = 1024
"""Factors of RoPE's scaling from here on are not read."""
NO_MODEL = "[ngram]"
"""What vLLM's former `--speculative-model` said for n-grams."""


@frozen
class ContextExtension(Frozen):
    """How far a command line extends a model's own context by scaling RoPE, or by saying it."""

    factor: float = 1
    original: int | None = None
    """Tokens that the factor is of; None: the model's own context."""
    stated: int | None = None
    """The context that an override says; None: it says none."""

    def context(self, own: int) -> int:
        """Return the extended context.

        own: the context that the config says.
        """
        if self.stated is not None:
            return self.stated
        original = self.original or own
        extended = int(self.factor * original)
        return max(own, extended)


@frozen
class LineOptions(Frozen):
    """What a command line says besides the options of a plan."""

    fits_context: bool = False
    """Whether the server takes the longest context that fits, as the line asks."""
    drafter: str = ""
    """The reference of a model or head that drafts tokens; empty: none."""
    drafter_format: str | None = None
    """The format of a draft model that its name says; None: as stored."""
    online_format: str = ""
    """The format that a model is quantised to as it is loaded; empty: none."""
    extension: ContextExtension | None = None
    """A longer context of the model's own that the line asks for; None: it does not."""
    notes: tuple[str, ...] = ()
    """What a reader must know, as sentences."""


def options_of_flags(engine: Engine, values: Mapping[str, str]) -> PlanOptions:
    """Return the options of a plan. Raises PlanError for a value that is not possible."""
    options, _ = read_options(engine, values)
    return options


class _Values:
    """Values of options by name, read as numbers where they must be."""

    def __init__(self, engine: Engine, values: Mapping[str, str]) -> None:
        self.engine = engine
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def fits_context(self) -> bool:
        """Return whether the server takes the longest context that fits (vLLM: `auto`, -1)."""
        return self.text("context") in ("auto", "-1")

    def text(self, name: str, default: str = "") -> str:
        """Return a value as it stands."""
        return self._values.get(name, default)

    def flag(self, name: str) -> str:
        """Return the flags that set an option, for people."""
        flags = [flag for flag, option in self.engine.launch_flags.items() if option == name]
        return "/".join(flags) or name

    def number(self, name: str, least: int = 1) -> int | None:
        """Return a whole number of at least `least`, or None without the option.

        Raises PlanError for other text or a smaller number.
        """
        if name not in self._values:
            return None
        text = self._values[name]
        try:
            value = self._whole(text)
        except (PlanError, ValueError, OverflowError) as error:
            raise PlanError(f"{self.flag(name)}: {text!r} is not a number") from error
        if value < least:
            raise PlanError(f"{self.flag(name)}: {value} is not possible, it is at least {least}")
        return value

    def _whole(self, text: str) -> int:
        """Return a number as the engine reads it: vLLM knows `32k`, the others digits alone."""
        if self.engine.launch_suffixes:
            return read_tokens(text)
        return int(text)

    def amount(self, name: str) -> float:
        """Return a number that is not negative; 0 without the option. Raises PlanError."""
        text = self._values.get(name, "0")
        try:
            value = float(text)
        except ValueError as error:
            raise PlanError(f"{self.flag(name)}: {text!r} is not a number") from error
        is_possible = 0 <= value < 2**40
        if not is_possible:
            raise PlanError(f"{self.flag(name)}: {text} is not possible")
        return value

    def share(self, name: str) -> float | None:
        """Return a share from 0 to 1. Raises PlanError for other text."""
        if name not in self._values:
            return None
        text = self._values[name]
        try:
            value = float(text)
        except ValueError as error:
            raise PlanError(f"{self.flag(name)}: {text!r} is not a number") from error
        if not 0 < value <= 1:
            raise PlanError(f"{self.flag(name)}: {text} is not a share between 0 and 1")
        return value


def read_options(
    engine: Engine, values: Mapping[str, str], model: str = ""
) -> tuple[PlanOptions, LineOptions]:
    """Return the options of a plan, and what else a command line says.

    model: the model as the line names it; a GGUF file's name tells its format.

    Raises PlanError for a value that is not possible.
    """
    read = _Values(engine, values)
    notes: list[str] = []
    tensor, data, expert = _degrees(read)
    pipeline = read.number("pipeline") or 1
    batch, context, slots = _slots(read)
    draft = _read_drafting(read)
    options = PlanOptions(
        context=context,
        batch=batch,
        kv_dtype=_cache_dtype(read),
        weights=_weights(read, model, notes),
        gpus=tensor * pipeline * (data or 1),
        tensor=tensor,
        expert=expert,
        engine=engine.name,
        utilization=read.share("utilization"),
        pipeline=pipeline,
        data=data,
        decode_context=read.number("decode_context"),
        engine_options=EngineOptions(
            batched_tokens=read.number("batched_tokens"),
            max_sequences=read.number("max_sequences"),
            prefix_caching=_switch(read, "prefix_caching"),
            block_size=read.number("block_size"),
            batches_in_flight=_batches_in_flight(read),
            draft_tokens=draft.tokens,
            sliding_share=read.share("sliding_share"),
            gpu_layers=_gpu_layers(read, notes),
            blocks=read.number("blocks"),
            pool_tokens=read.number("pool_tokens"),
            graph_batch=read.number("graph_batch"),
            other_vocabulary=draft.other_vocabulary,
            offload_bytes=int(read.amount("cpu_offload_gib") * 2**30),
            cache_on_cpu="cache_on_cpu" in read,
            split=_split(read, notes),
            unified_slots=slots,
            full_windows="full_windows" in read,
            adapters=_adapters(read),
            adapter_rank=read.number("adapter_rank") or 16,
        ),
        reserve=_reserve(read),
        pool_bytes=read.number("pool_bytes"),
        speculative=draft.own_modules,
        text_only=_text_only(read),
        cpu_expert_layers=_cpu_expert_layers(read, notes),
    )
    said = LineOptions(
        fits_context=read.fits_context,
        drafter=draft.model,
        drafter_format=draft.format,
        online_format=ONLINE_FORMATS.get(read.text("quantization"), ""),
        extension=_extension(read, notes),
        notes=tuple(notes),
    )
    return options, said


def _adapters(read: _Values) -> int:
    """Return how many LoRA adapters run in one batch: one with `--enable-lora`, unless it says."""
    if "enable_lora" not in read:
        return 0
    return read.number("adapters") or 1


def _switch(read: _Values, name: str) -> bool | None:
    """Return whether an option is on or off; None if the line says neither."""
    if f"no_{name}" in read:
        return False
    if name in read:
        return True
    return None


def _batches_in_flight(read: _Values) -> int | None:
    """Return the batches in flight: two that overlap, or one; None if the line says neither."""
    overlap = _switch(read, "async_scheduling")
    if overlap is None:
        return None
    return 1 + overlap


def _degrees(read: _Values) -> tuple[int, int | None, int | None]:
    """Return tensor parallelism, groups with sequences of their own, and expert parallelism.

    vLLM's expert parallelism is over all ranks of all groups. SGLang's attention-DP divides the
    ranks of tensor parallelism; experts are divided over all of them, whole or by their width
    (which takes the same bytes); its `--dp-size` alone are replicas.
    """
    tensor, data = read.number("tensor") or 1, read.number("data")
    attention_data = read.number("attention_data")
    if "attention_data_switch" in read and attention_data is None:
        attention_data, data = data, None
    ranks = tensor
    if attention_data and attention_data > 1:
        if tensor % attention_data:
            raise PlanError(
                f"{read.flag('attention_data')}: {attention_data} does not divide "
                f"{read.flag('tensor')} {tensor}"
            )
        tensor, data = tensor // attention_data, attention_data
        return tensor, data, read.number("expert") or ranks
    if "expert" not in read:
        return tensor, data, 1
    if read.text("expert") == "true":
        return tensor, data, tensor * (data or 1)
    return tensor, data, read.number("expert")


def _slots(read: _Values) -> tuple[int, int | None, int]:
    """Return sequences, tokens of each, and slots that share one stream of cells.

    llama.cpp's context is that of all slots together; without `--parallel` a server has four slots
    that share it (tools/server/server.cpp).
    """
    context = None
    if not read.fits_context:
        context = read.number("context", least=0) or None
    cells = read.number("cells", least=0)
    if not read.engine.has_slots:
        return read.number("batch") or 1, context, 1
    batch = None
    if read.text("batch") != "-1":
        batch = read.number("batch")
    if batch is None:
        return 1, cells or None, 4
    if "unified" in read:
        return 1, cells or None, batch
    if not cells:
        return batch, None, 1
    return batch, max(1, cells // batch), 1


def _reserve(read: _Values) -> Reserve:
    """Return what the engine keeps: no graphs in eager mode.

    vLLM: also with cudagraph_mode NONE (vllm/config/compilation.py).
    """
    mode = read.text("graph_mode")
    if read.text("compilation").startswith("{"):
        mode = str(_json_object(read, "compilation").get("cudagraph_mode", mode))
    if "eager" in read or mode.upper() == "NONE":
        return Reserve(graphs=0)
    return Reserve()


def _extension(read: _Values, notes: list[str]) -> ContextExtension | None:
    """Return how a line extends the context: RoPE's scaling, or another length in the config.

    vLLM: `--hf-overrides` and, in old versions, `--rope-scaling`; SGLang:
    `--json-model-override-args`; llama.cpp: `--rope-scale`, `--rope-freq-scale` and
    `--yarn-orig-ctx` (common/arg.cpp).
    """
    if "rope_scale" in read or "rope_freq_scale" in read:
        factor = read.amount("rope_scale") or 1 / (read.amount("rope_freq_scale") or 1)
        return ContextExtension(factor, read.number("rope_original"))
    config: dict[str, Any] = {}
    if "rope_scaling" in read:
        config = {"rope_scaling": _json_object(read, "rope_scaling")}
    elif "overrides" in read:
        config = _json_object(read, "overrides")
    nested = config.pop("text_config", None)
    if isinstance(nested, dict):
        config = config | cast("dict[str, Any]", nested)
    others = sorted(set(config) - CONTEXT_KEYS)
    if others:
        notes.append(f"not considered: {', '.join(others)} of {read.flag('overrides')}")
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    stated = _positive(config.get("max_position_embeddings"))
    if isinstance(scaling, dict):
        values = cast("dict[str, Any]", scaling)
        factor = values.get("factor")
        if isinstance(factor, (int, float)) and 1 <= factor < MOST_FACTOR:
            original = _positive(values.get("original_max_position_embeddings"))
            return ContextExtension(float(factor), original or stated)
    if stated is not None:
        return ContextExtension(stated=stated)
    return None


def _positive(value: object) -> int | None:
    """Return a positive whole number, or None."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return None


class Drafting(NamedTuple):
    """What a command line says of speculative decoding."""

    tokens: int = 0
    own_modules: bool = False
    """Whether the model's own MTP modules draft."""
    model: str = ""
    """Another model or a head; empty: none."""
    other_vocabulary: bool = False
    """Whether it may have other tokens."""
    format: str | None = None
    """The format of the other model that its name says; None: as stored."""


def _read_drafting(read: _Values) -> Drafting:
    """Return who drafts, and how many tokens.

    vLLM (vllm/config/speculative.py): `--speculative-config JSON` or `--spec-method`. SGLang
    (sglang/srt/arg_groups/speculative_hook.py): NEXTN, or EAGLE without a model, is the model's own
    modules. llama.cpp (common/speculative.cpp): a list of types; the file of draft-mtp holds the
    model's own modules.
    """
    config: dict[str, Any] = {}
    if "speculative" in read:
        config = _json_object(read, "speculative")
    method = str(config.get("method") or read.text("draft_method")).lower()
    model = str(config.get("model") or read.text("draft_model"))
    format = None
    if read.engine.has_slots:
        model = model or read.text("draft_repository")
        format = format_of_name(model).format
        if "draft_repository" in read:
            model = model.partition(":")[0]
    if not method and not model:
        return Drafting()
    tokens = config.get("num_speculative_tokens")
    if not isinstance(tokens, int):
        tokens = read.number("draft_tokens")
        if tokens is not None and read.engine.counts_checked_tokens:
            tokens = max(1, tokens - 1)
        tokens = tokens or read.number("draft_steps") or read.engine.draft_tokens
    methods = method.split(",")
    names_own = any(name.endswith("mtp") or name in ("nextn", "eagle") for name in methods)
    if model == NO_MODEL or (names_own and read.engine.has_slots):
        model = ""
    return Drafting(
        tokens,
        own_modules=names_own and not model,
        model=model,
        other_vocabulary=config.get("use_heterogeneous_vocab") is True,
        format=format,
    )


def _json_object(read: _Values, name: str) -> dict[str, Any]:
    """Return a value that is an object of JSON. Raises PlanError for another."""
    flag = read.flag(name)
    text = read.text(name)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise PlanError(f"{flag}: {text!r} is not JSON") from error
    if not isinstance(value, dict):
        raise PlanError(f"{flag}: an object is expected")
    return cast("dict[str, Any]", value)


def _cache_dtype(read: _Values) -> str:
    """Return the dtype of the cache, or `keys/values`: what is not said is the engine's default.

    `auto` is the dtype that the model runs in, which `--dtype float32` says.
    """
    dtype = read.text("kv_dtype", "auto")
    if read.engine.splits_cache_dtype:
        values = read.text("v_dtype", "auto")
        if values != dtype:
            return f"{dtype}/{values}"
    return dtype


def _weights(read: _Values, model: str, notes: list[str]) -> str | None:
    """Return the format that a GGUF file, its name or a float dtype says; None: as stored."""
    if read.text("dtype") in ("float32", "float", "fp32"):
        return "fp32"
    if "file_type" in read:
        return format_of_file_type(read.text("file_type"))
    named = format_of_name(model)
    if named.note:
        notes.append(named.note)
    return named.format


def _gpu_layers(read: _Values, notes: list[str]) -> int | None:
    """Return llama.cpp's layers on GPUs; None: all (common/arg.cpp: `auto`, `all`, a number)."""
    text = read.text("gpu_layers", "auto")
    if text in ("all", "-2") or not read.engine.keeps_layers_on_cpu:
        return None
    if text in ("auto", "-1"):
        notes.append(
            "without -ngl llama-server keeps as many layers on GPUs as fit; all are planned"
        )
        return None
    return read.number("gpu_layers", least=0)


def _split(read: _Values, notes: list[str]) -> tuple[float, ...]:
    """Return the part of the layers that each GPU gets; empty for equal ones.

    llama.cpp: common/arg.cpp, `--tensor-split` with commas or slashes; `--split-mode none` takes
    the first GPU alone. By rows or tensors the parts are of each layer, and are planned as of
    layers.
    """
    flag = read.flag("split_mode")
    mode = read.text("split_mode", "layer")
    if mode not in SPLIT_MODES:
        known = ", ".join(SPLIT_MODES)
        raise PlanError(f"{flag}: {mode!r} is none of {known}")
    if mode == "none":
        return (1.0,)
    if mode != "layer":
        notes.append(f"{flag} {mode} is planned as parts of the layers")
    return parse_split(read.text("split"))


def parse_split(text: str | None) -> tuple[float, ...]:
    """Return the parts of a text as `3,1` or `3/1`; empty without one.

    Raises PlanError for other text.
    """
    parts: list[float] = []
    for part in re.split(r"[,/]+", text or ""):
        if not part:
            continue
        try:
            parts.append(float(part))
        except ValueError as error:
            raise PlanError(f"--tensor-split: {part!r} is not a number") from error
    is_possible = all(0 <= part < 2**40 for part in parts)
    if not is_possible or (parts and not sum(parts)):
        raise PlanError(f"--tensor-split: {text} are not parts of the layers")
    return tuple(parts)


def _cpu_expert_layers(read: _Values, notes: list[str]) -> int:
    """Return the layers whose experts stay on the CPU."""
    if OVERRIDE_OF_EXPERTS.fullmatch(read.text("override")):
        return ALL_LAYERS
    if "override" in read:
        flag = read.flag("override")
        value = read.text("override")
        notes.append(f"not considered: {flag} {value}")
    if read.text("cpu_moe") == "true":
        return ALL_LAYERS
    return read.number("cpu_moe", least=0) or 0


def _text_only(read: _Values) -> bool:
    """Return whether encoders are left out: asked for, or no file of them is named."""
    if read.engine.has_slots:
        named = "encoders" in read or "repository" in read
        return "text_only" in read or not named
    if "text_only" in read:
        return True
    limits = read.text("encoder_limits")
    numbers = re.findall(r"[=:]\s*(\d+)", limits)
    if not numbers:
        return False
    most = max(map(int, numbers))
    return most == 0


def read_tokens(text: str) -> int:
    """Return a number as vLLM reads it: `32k` is 32,000, `32K` 32,768, `25.6k` 25,600.

    vllm: utils/argparse_utils.py human_readable_int. Raises PlanError for other text.
    """
    factors = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
    factor = factors.get(text[-1:], 1)
    digits = text
    if factor > 1:
        digits = text[:-1]
    try:
        return int(float(digits) * factor)
    except (ValueError, OverflowError) as error:
        raise PlanError(f"{text!r} is not a number") from error
