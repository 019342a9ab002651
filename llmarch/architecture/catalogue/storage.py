"""Facts about how weights are stored, and which code reads the config."""

from __future__ import annotations

from ..schema import Quantization
from ..wording.model import quantization_word
from .fact import DETAIL, ChangeRule, Fact, plain_or_unknown

_SCHEME = ChangeRule(
    "quantization-scheme-changed",
    "quantization",
    "scaling of quantised weights changed",
    "The bits are the same, but scales, zero points or the order of columns differ. Engines run a "
    "different kernel, or have none.",
)
_EXCLUDED = ChangeRule(
    "quantization-excluded-changed",
    "quantization",
    "list of unquantised modules changed",
    "The format is the same, but more or fewer modules are stored in it.",
)
_MODULES = ChangeRule(
    "quantization-modules-changed",
    "quantization",
    "formats of single modules changed",
    "More, fewer or other modules have a format of their own. Size and accuracy differ.",
)


def _yes_or_no(value: bool | None) -> str | None:
    """Return a flag in words, None where the config does not say."""
    if value is None:
        return None
    if value:
        return "yes"
    return "no"


_MODEL_TYPE = ChangeRule(
    "model-type-changed",
    "info",
    "model_type changed",
    "Loaders choose the model class by model_type. An engine that does not know the new "
    "value refuses the model. The changes of other facts say whether it computes the same.",
)

FACTS = (
    Fact(
        "quantization{,.method,.bits,.format,.block,.group_size,.experts}",
        "Storage",
        "stored as",
        ChangeRule(
            "quantization-changed",
            "quantization",
            "quantisation format changed",
            "The same architecture is stored in a different format. Size and accuracy differ, and "
            "engines and GPUs must support the format.",
        ),
        words=quantization_word,
        takes="block",
        kinds=(Quantization,),
    ),
    Fact(
        "quantization.activations",
        "Storage",
        "activations",
        ChangeRule(
            "quantization-activations-changed",
            "quantization",
            "quantisation of activations changed",
            "Engines run a different kernel with a different accuracy. The weights are stored as "
            "before.",
        ),
        rank=DETAIL,
    ),
    Fact(
        "quantization.strategy",
        "Storage",
        "scales per",
        _SCHEME,
        rank=DETAIL,
    ),
    Fact(
        "quantization.symmetric",
        "Storage",
        "symmetric integers",
        _SCHEME,
        words=_yes_or_no,
        rank=DETAIL,
    ),
    Fact(
        "quantization.activation_order",
        "Storage",
        "activation order",
        _SCHEME,
        words=_yes_or_no,
        rank=DETAIL,
    ),
    Fact(
        "quantization.number",
        "Storage",
        "numbers",
        _SCHEME,
        rank=DETAIL,
    ),
    Fact(
        "quantization.packed_dtype",
        "Storage",
        "packed in",
        _SCHEME,
        rank=DETAIL,
    ),
    Fact(
        "quantization.sparsity",
        "Storage",
        "sparsity",
        _SCHEME,
        rank=DETAIL,
    ),
    Fact(
        "quantization.scale_format",
        "Storage",
        "format of scales",
        _SCHEME,
        rank=DETAIL,
    ),
    Fact(
        "quantization.cache_dtype",
        "Storage",
        "KV cache dtype",
        ChangeRule(
            "quantization-cache-changed",
            "quantization",
            "declared dtype of the KV cache changed",
            "The checkpoint is calibrated for a KV cache of another dtype. Engines that follow the "
            "declaration take another amount of memory for a token, and round differently.",
        ),
        rank=DETAIL,
    ),
    Fact("quantization.targets", "Storage", "quantised modules", _MODULES, words=None),
    Fact("quantization.modules", "Storage", "formats of modules", _MODULES, words=None),
    Fact("quantization.excluded", "Storage", "unquantised modules", _EXCLUDED, words=None),
    Fact(
        "quantization.excludes_none",
        "Storage",
        "empty list of unquantised modules",
        _EXCLUDED,
        words=None,
    ),
    Fact(
        "dtype",
        "Storage",
        "dtype",
        ChangeRule(
            "dtype-changed",
            "quantization",
            "dtype of the weights changed",
            "The config names a different dtype, so the weights take a different amount of memory "
            "and round differently. The architecture is the same.",
        ),
        words=plain_or_unknown,
    ),
    Fact(
        "model_type",
        "Config",
        "model type",
        _MODEL_TYPE,
    ),
    Fact("decoder_type", "Config", "decoder", _MODEL_TYPE),
    Fact(
        "family",
        "Config",
        "family",
        ChangeRule(
            "family-changed",
            "info",
            "llmarch family changed",
            "llmarch reads the config by a different family file. The changes of other facts say "
            "whether anything differs.",
        ),
    ),
)
