"""How engines match a list of module names, by quantisation method.

Sources: transformers 5.23.0 (quantizers/quantizers_utils.py should_convert_module), vLLM 0.33.0
(quantization/utils/quant_utils.py is_layer_skipped, utils/config_utils.py, modelopt.py, quark,
inc/config_parser.py, utils/gptq_utils.py), SGLang 0.5.23 (srt/layers/quantization/utils.py,
modelopt_quant.py, bitsandbytes.py, awq, compressed_tensors/utils.py), compressed-tensors 0.20.0
(utils/match.py), auto-round 0.16.1 (inference), optimum 2.3.0 (gptq/quantizer.py), mlx-lm 0.32.2
(utils.py), AutoAWQ 0.2.7.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from .method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS

MatchingWay = Literal[
    "name",
    "parent",
    "end",
    "class",
    "part",
    "run",
    "tail",
    "substring",
    "glob",
    "glob-parent",
    "marked",
    "boundary",
    "search",
    "fused",
    "experts",
]
"""One way in which an entry of a list matches the name of a module.

name         the whole name
parent       the name of a module that it is in: `model.layers.0`
end          the last parts of its name: `self_attn.q_proj`
class        the class of linear modules: `Linear`
part         one part of its name: `self_attn`
run          any run of parts: `layers.0.self_attn`
tail         the last characters: `proj`
substring    any characters in it
glob         `*`, `?` and `[]`, for the whole name
glob-parent  the same for a module that it is in
marked       `re:` and a regular expression, from the start of the name
boundary     a regular expression from the start of the name to the end of a part
search       a regular expression anywhere in the name
fused        the name of the module that engines fuse it into: `qkv_proj`
experts      the name of anything in the experts that it is one of
"""

LOOSE_WAYS: frozenset[MatchingWay] = frozenset({"tail", "substring", "experts"})
"""Ways in which an entry matches modules that it does not name: `gate` the `gate_proj`."""


class ListReader(NamedTuple):
    """Engines that match a list in the same ways."""

    name: str
    ways: frozenset[MatchingWay]
    quantises_head: bool = False
    """Whether it quantises a head that a list, where there is one, does not name."""


def _reader(name: str, *ways: MatchingWay, quantises_head: bool = False) -> ListReader:
    return ListReader(name, frozenset(ways), quantises_head)


_TRANSFORMERS = _reader("transformers", "parent", "end", "tail", "boundary", quantises_head=True)
_TRANSFORMERS_AWQ = _reader("transformers", "parent", "end", "tail", "boundary")
"""AWQ's quantizer leaves the head as it is, whatever the list says (`add_default_skips`)."""
_VLLM = _reader("vLLM", "name", "fused", "experts")
_SGLANG = _reader("SGLang", "run", "fused", "experts")

_FP8_READERS = (_TRANSFORMERS, _VLLM, _SGLANG)
_BITSANDBYTES_READERS = (_TRANSFORMERS, _reader("SGLang", "parent", "part"))
_AWQ_READERS = (_TRANSFORMERS_AWQ, _reader("vLLM and SGLang", "substring", "run", "marked"))
_GPTQ_READERS = (_reader("GPTQModel, vLLM and SGLang", "run", "substring", "marked"),)
_AUTO_ROUND_READERS = (_reader("auto-round and vLLM", "run", "end", "marked", "search"),)
_COMPRESSED_READERS = (
    _reader("compressed-tensors and transformers", "name", "class", "marked"),
    _reader("vLLM", "name", "fused", "marked"),
    _reader("SGLang", "name", "end", "marked"),
)
_MODELOPT_READERS = (
    _reader("vLLM", "name", "fused", "experts", "substring", "glob", "glob-parent"),
    _reader("SGLang", "run", "glob", "glob-parent"),
)
_QUARK_READERS = (
    _reader("vLLM", "name", "fused", "experts", "marked"),
    _reader("Quark and transformers", "name", "glob", "marked"),
)
_MLX_READERS = (_reader("mlx-lm", "name"),)
_ANY_READERS = (_reader("engines", "run", "tail", "glob", "glob-parent", "marked"),)
"""For methods whose loaders llmarch does not know."""

_READERS: dict[str, tuple[ListReader, ...]] = {
    **dict.fromkeys(("fp8", "deepseek_v4_fp8", "fbgemm_fp8", "ptpc_fp8", "mxfp8"), _FP8_READERS),
    **dict.fromkeys(("mxfp4", "fp4", "gpt_oss_mxfp4"), _FP8_READERS),
    **dict.fromkeys(
        ("bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit"), _BITSANDBYTES_READERS
    ),
    **dict.fromkeys(("awq", "auto_awq", "awq_marlin"), _AWQ_READERS),
    **dict.fromkeys(
        ("gptq", "gptqmodel", "gptq_marlin", "marlin", "auto_gptq", "moe_wna16"), _GPTQ_READERS
    ),
    **dict.fromkeys(AUTO_ROUND_METHODS, _AUTO_ROUND_READERS),
    "compressed-tensors": _COMPRESSED_READERS,
    **dict.fromkeys((*MODELOPT_METHODS, "petit_nvfp4"), _MODELOPT_READERS),
    "quark": _QUARK_READERS,
    "mlx": _MLX_READERS,
    "metal": (_TRANSFORMERS,),
    "gemma": (_TRANSFORMERS,),
}

_FORMAT_READERS: dict[str, tuple[ListReader, ...]] = {
    "compressed-tensors": (_reader("compressed-tensors and engines", "name", "marked"),),
    "mlx": _MLX_READERS,
}
"""Where modules with a format of their own are named otherwise than those that are left out."""

_TARGET_READERS: dict[str, tuple[ListReader, ...]] = {
    "compressed-tensors": _FORMAT_READERS["compressed-tensors"],
}


def readers_of(method: str) -> tuple[ListReader, ...]:
    """Return who reads the list of modules that a method leaves out."""
    return _READERS.get(method, _ANY_READERS)


def format_readers_of(method: str) -> tuple[ListReader, ...]:
    """Return who reads the names of modules that have a format of their own."""
    return _FORMAT_READERS.get(method, _ANY_READERS)
