"""Facts about how weights are stored, and which code reads the config."""

from __future__ import annotations

from ..schema import Quantization
from ..wording.model import quantization_word
from .fact import DETAIL, ChangeRule, Fact, plain_or_unknown

FACTS = (
    Fact(
        "quantization{,.method,.bits,.format,.block,.group_size}",
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
        "quantization.excluded",
        "Storage",
        "unquantised modules",
        ChangeRule(
            "quantization-excluded-changed",
            "quantization",
            "list of unquantised modules changed",
            "The format is the same, but more or fewer modules are stored in it.",
        ),
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
        ChangeRule(
            "model-type-changed",
            "info",
            "model_type changed",
            "Loaders choose the model class by model_type. An engine that does not know the new "
            "value refuses the model. The changes of other facts say whether it computes the same.",
        ),
    ),
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
