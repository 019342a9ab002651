"""Which ggml type each matrix has in a GGUF file of a file type, as llama-quantize chooses them.

Read in the llama.cpp that llama-cpp-python 0.3.36 carries: src/llama-quant.cpp
(llama_tensor_get_type_impl, tensor_type_fallback, llama_ftype_get_default_type). File types whose
default type is one of the IQ types are taken as made with an importance matrix, as they must or
should be; the others without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import used_mixers
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
)
from ..sources.raw import GGML_BLOCKS
from .block_parameters import count_block

_PLANNED_TYPES = """
    q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 q3_k q2_k iq4_nl iq4_xs iq3_s iq3_xxs iq2_s
    iq2_xs iq2_xxs iq1_m iq1_s tq2_0 tq1_0 mxfp4
    """.split()
GGML_BITS: dict[str, float] = {
    name: 8 * GGML_BLOCKS[name.upper()].bytes / GGML_BLOCKS[name.upper()].elements
    for name in _PLANNED_TYPES
}
"""Bits a weight in ggml's types that files are planned in."""
GGML_FILES: dict[str, str] = {
    "q2_k": "q2_k",
    "q2_k_s": "q2_k",
    "q3_k_s": "q3_k",
    "q3_k_m": "q3_k",
    "q3_k_l": "q3_k",
    "q4_k_s": "q4_k",
    "q4_k_m": "q4_k",
    "q5_k_s": "q5_k",
    "q5_k_m": "q5_k",
    "q6_k": "q6_k",
    "q8_0": "q8_0",
    "q5_1": "q5_1",
    "q5_0": "q5_0",
    "q4_1": "q4_1",
    "q4_0": "q4_0",
    "iq4_nl": "iq4_nl",
    "iq4_xs": "iq4_xs",
    "iq3_m": "iq3_s",
    "iq3_s": "iq3_s",
    "iq3_xs": "iq3_s",
    "iq3_xxs": "iq3_xxs",
    "iq2_m": "iq2_s",
    "iq2_s": "iq2_xs",
    "iq2_xs": "iq2_xs",
    "iq2_xxs": "iq2_xxs",
    "iq1_m": "iq1_m",
    "iq1_s": "iq1_s",
    "tq2_0": "tq2_0",
    "tq1_0": "tq1_0",
    "mxfp4_moe": "mxfp4",
}
"""llama.cpp's file types and the type of most matrices in each; `TypeChooser` tells
which have others."""
MatrixRole = Literal[
    "q", "k", "v", "qkv", "output", "gate", "up", "down", "other", "embedding", "head"
]
"""What a matrix is; llama-quantize tells the types by it."""
SMALL_TYPES = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m")
"""File types with rules of their own."""
FUSED_MODELS = ("bloom", "dbrx", "falcon", "gpt2", "gpt_bigcode", "gpt_neox", "jais", "mpt", "phi3")
"""Models whose queries, keys and values are one matrix of the file (attn_qkv)."""
FALCON = "falcon"
SEVENTY_BILLION = {"llama": 80, "qwen2": 80, "olmo": 80, "jais2": 68}
"""Layers of the models that llama.cpp calls 70B (src/models: LLM_TYPE_70B)."""
LARGE_BLOCK = 256
"""Weights of a block of the K and IQ types (IQ4_NL: 32)."""
SMALL_BLOCK = 32
FALLBACKS = {
    **dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s"), "iq4_nl"),
    **dict.fromkeys(("iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"),
    **dict.fromkeys(("q2_k", "q3_k", "tq1_0", "tq2_0"), "q4_0"),
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
}
"""Types of blocks of 256, and the type in whose stead rows of other lengths are kept."""
FLOAT_BITS = 16


@frozen
class FileMatrix(Frozen):
    """Matrices of one layer and role, or the embedding or the head."""

    role: MatrixRole
    component: str
    row: int
    """Weights of a row."""
    parameters: int
    layer: int = 0


def component_bits(a: Architecture, file_type: str) -> dict[str, float]:
    """Return the bits a weight by component in a file of a type, over all layers."""
    chooser = TypeChooser(a, file_type)
    bits: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    for matrix in file_matrices(a):
        kept = fallback_type(chooser.type_of(matrix), matrix.row)
        bits[matrix.component] += round(matrix.parameters * GGML_BITS.get(kept, FLOAT_BITS) * 64)
        parameters[matrix.component] += matrix.parameters
    return {name: bits[name] / n / 64 for name, n in parameters.items() if n}


def fallback_type(name: str, row: int) -> str:
    """Return the type in which rows are kept: of no whole blocks in another one, or 16 bits."""
    if name in FALLBACKS and row % LARGE_BLOCK:
        name = FALLBACKS[name]
    if name in GGML_BITS and row % SMALL_BLOCK:
        return "fp16"
    return name


# --- the matrices of a file ---------------------------------------------------------------------


def file_matrices(a: Architecture) -> Iterator[FileMatrix]:
    """Yield the matrices that are quantised, layer by layer; routers and vectors are not."""
    width = a.embedding_width
    yield FileMatrix("embedding", "embedding", width, a.embedding_rows * width)
    if not a.embedding.tied:
        yield FileMatrix("head", "head", width, a.vocab_size * width)
    per_layer = a.embedding.per_layer
    if per_layer:
        row = len(a.layers) * per_layer.width
        size = per_layer.vocab_size * row
        yield FileMatrix("embedding", "per_layer_embedding", row, size)
    for layer, kind in enumerate(a.layers):
        for block in a.blocks_of(kind):
            match block:
                case Dense() | MoE():
                    yield from _ffn_matrices(block, a.hidden_size, layer)
                case Attention():
                    yield from _attention_matrices(a, block, layer)
                case _:
                    yield from _other_matrices(a, block, layer)


def _attention_matrices(a: Architecture, mixer: Attention, layer: int) -> Iterator[FileMatrix]:
    stream = a.hidden_size
    queries = mixer.heads * mixer.head_dim
    if mixer.gate == "elementwise":
        queries *= 2
    keys, values = mixer.kv_heads * mixer.head_dim, mixer.kv_heads * mixer.v_head_dim
    if mixer.kv_from:
        keys = 0
    if mixer.kv_from or mixer.values_from_keys:
        values = 0
    parts: list[tuple[MatrixRole, int]] = [("q", queries), ("k", keys), ("v", values)]
    if a.model_type in FUSED_MODELS:
        parts = [("qkv", queries + keys + values)]
    for role, outputs in parts:
        if outputs:
            yield FileMatrix(role, "attention", stream, stream * outputs, layer)
    inputs = mixer.heads * mixer.v_head_dim
    yield FileMatrix("output", "attention", inputs, inputs * stream, layer)
    index = mixer.block_index
    if index is not None:
        outputs = (index.heads + 1) * index.head_dim
        yield FileMatrix("other", "attention", stream, stream * outputs, layer)


def _other_matrices(a: Architecture, mixer: Mixer | FFN, layer: int) -> Iterator[FileMatrix]:
    """Yield the matrices of mixers whose parts have names of their own.

    Of Gated DeltaNet queries, keys and values are one matrix; of latents only the output is known
    by its name.
    """
    stream = a.hidden_size
    total = count_block(mixer, stream).get("attention", 0)
    match mixer:
        case LatentAttention(heads=heads, v_head_dim=dim):
            inputs = heads * dim
            yield FileMatrix("output", "attention", inputs, inputs * stream, layer)
            total -= inputs * stream
        case LinearAttention(variant="gated_deltanet"):
            keys = mixer.key_heads * mixer.key_head_dim
            values = mixer.value_heads * mixer.value_head_dim
            fused = stream * (2 * keys + values)
            yield FileMatrix("qkv", "attention", stream, fused, layer)
            total -= fused
        case _:
            pass
    yield FileMatrix("other", "attention", stream, total, layer)


def _ffn_matrices(ffn: Dense | MoE, hidden_size: int, layer: int) -> Iterator[FileMatrix]:
    if isinstance(ffn, Dense):
        yield from _mlp_matrices("mlp", hidden_size, ffn.width, ffn.gated, layer)
        return
    stream = ffn.latent_width or hidden_size
    yield from _mlp_matrices(
        "experts", stream, ffn.expert_width, ffn.gated, layer, times=ffn.experts
    )
    if ffn.shared_width:
        yield from _mlp_matrices("shared_experts", hidden_size, ffn.shared_width, ffn.gated, layer)


def _mlp_matrices(
    component: str, stream: int, width: int, gated: bool, layer: int, times: int = 1
) -> Iterator[FileMatrix]:
    size = times * stream * width
    if gated:
        yield FileMatrix("gate", component, stream, size, layer)
    yield FileMatrix("up", component, stream, size, layer)
    yield FileMatrix("down", component, width, size, layer)


# --- the types ----------------------------------------------------------------------------------


def has_more_bits(index: int, count: int) -> bool:
    """Return whether a layer is among the half that a mix gives more bits (use_more_bits)."""
    eighth = count // 8
    return index < eighth or index >= 7 * count // 8 or (index - eighth) % 3 == 2


class TypeChooser:
    """Choose the type of each matrix of a model's file (llama_tensor_get_type_impl).

    Matrices are asked for layer by layer: those of values are counted.
    """

    def __init__(self, a: Architecture, file_type: str) -> None:
        self._file_type = file_type
        self._default = GGML_FILES.get(file_type, file_type)
        self._layers = len(a.layers)
        self._is_falcon = a.model_type == FALCON
        self._tied = a.embedding.tied
        self._seen_values = 0
        self._values = 0
        for matrix in file_matrices(a):
            self._values += matrix.role in ("v", "qkv")
        heads = [m for m in used_mixers(a).values() if isinstance(m, Attention)]
        self._shares_heads = bool(heads) and heads[0].heads >= 4 * heads[0].kv_heads
        experts = {ffn.experts for ffn in a.ffns.values() if isinstance(ffn, MoE)}
        self._experts = max(experts, default=0)
        self._is_70b = SEVENTY_BILLION.get(a.model_type) == self._layers
        if a.model_type == "llama" and heads and heads[0].heads == heads[0].kv_heads:
            self._is_70b = False

    def type_of(self, matrix: FileMatrix) -> str:
        """Return the type of a matrix, before rows that are not whole blocks change it."""
        role = matrix.role
        if role == "head" or (role == "embedding" and self._tied):
            return self._head_type(matrix)
        if self._file_type not in GGML_FILES:  # one type for all others
            return self._default
        if self._file_type == "mxfp4_moe" and matrix.component != "experts":
            return "q8_0"
        match role:
            case "embedding":
                return self._embedding_type()
            case "v" | "qkv":
                return self._value_type()
            case "q" | "k":
                return self._key_type(role)
            case "output":
                return self._output_type()
            case "down":
                return self._down_type(matrix.layer)
            case "gate" | "up":
                return self._up_type(matrix.layer)
            case _:
                return self._default

    def _head_type(self, matrix: FileMatrix) -> str:
        name = self._file_type
        block = SMALL_BLOCK
        if self._default in FALLBACKS:
            block = LARGE_BLOCK
        if name == "mxfp4_moe" or self._is_falcon or matrix.row % block:
            return "q8_0"
        if name in SMALL_TYPES or name == "iq3_xxs":
            return "q5_k"
        if self._default == "q8_0":
            return "q8_0"
        return "q6_k"

    def _embedding_type(self) -> str:
        match self._file_type:
            case "iq2_xxs" | "iq2_xs" | "iq1_s" | "iq1_m":
                return "q2_k"
            case "iq2_s" | "iq2_m" | "iq3_xxs":
                return "iq3_s"
            case "tq1_0" | "tq2_0":
                return "q4_k"
            case _:
                return self._default

    def _value_type(self) -> str:
        index = self._seen_values
        self._seen_values += 1
        if self._file_type in SMALL_TYPES:
            if self._shares_heads or self._experts >= 4:
                return "q4_k"
            return self._small_type()
        chosen = self._plain_value_type(index)
        if self._is_70b and chosen in ("q3_k", "q4_k"):
            chosen = "q5_k"
        if self._experts == 8:
            chosen = "q8_0"
        return chosen

    def _small_type(self) -> str:
        """Return what the smallest file types give to a few matrices."""
        if self._file_type in ("iq2_s", "iq2_m"):
            return "iq3_s"
        return "q2_k"

    def _plain_value_type(self, index: int) -> str:
        shares = self._shares_heads
        match self._file_type:
            case "q2_k":
                return "q4_k" if shares else "q3_k"
            case "q2_k_s" | "iq3_xxs" | "iq3_xs" | "iq3_s" if shares:
                return "q4_k"
            case "iq3_m":
                return "q4_k"
            case "q3_k_m":
                return "q5_k" if index < 2 else "q4_k"
            case "q3_k_l":
                return "q5_k"
            case "iq4_nl" | "iq4_xs" if shares:
                return "q5_k"
            case "q4_k_m" | "q5_k_m" if has_more_bits(index, self._values):
                return "q6_k"
            case "q4_k_s" if index < 4:
                return "q5_k"
            case _:
                return self._default

    def _key_type(self, role: MatrixRole) -> str:
        if self._experts == 8 and role == "k":
            if self._file_type in SMALL_TYPES:
                return "q4_k"
            return "q8_0"
        match self._file_type:
            case "iq3_xs":
                return "iq3_xxs"
            case "iq3_xxs":
                return "iq2_s"
            case _:
                return self._default

    def _output_type(self) -> str:
        name = self._file_type
        if self._is_falcon:
            return "q4_k" if name == "q3_k_l" else self._default
        if self._experts == 8:
            same = ("q3_k_l", "q2_k_s", "q5_k_m", "q5_k_s", "q6_k", "tq1_0", "tq2_0")
            if name in same or not name.startswith(("iq", "q2_k", "q3_k", "q4_k")):
                return self._default
            return "q5_k"
        chosen = {
            "iq1_s": "iq2_xxs",
            "iq1_m": "iq2_xxs",
            "iq2_s": "iq3_s",
            "iq2_m": "iq3_s",
            "q2_k": "q3_k",
            "iq3_xxs": "iq3_s",
            "q3_k_m": "q4_k",
            "q3_k_l": "q5_k",
            "iq3_m": "q4_k",
        }
        return chosen.get(name, self._default)

    def _down_type(self, layer: int) -> str:
        count = self._layers
        name = self._file_type
        more = has_more_bits(layer, count)
        if name in SMALL_TYPES:
            return self._small_type() if layer < count // 8 else self._default
        match name:
            case "q2_k":
                return "q3_k"
            case "q2_k_s" if layer < count // 8:
                return "q4_k"
            case "q3_k_m":
                if layer < count // 16:
                    return "q5_k"
                return "q4_k" if more or not self._is_falcon else "q3_k"
            case "iq3_m" if layer < count // 8 or (self._experts == 8 and more):
                return "q4_k"
            case "q3_k_l":
                return "q4_k" if self._is_falcon else "q5_k"
            case "q4_k_m" if self._is_falcon:
                if layer < count // 16:
                    return "q6_k"
                return "q5_k" if more else "q4_k"
            case "q4_k_m" | "q5_k_m" if more:
                return "q6_k"
            case "q4_k_s" if layer < count // 8 and not self._is_falcon:
                return "q5_k"
            case _:
                return self._default

    def _up_type(self, layer: int) -> str:
        count = self._layers
        is_inner = count // 8 <= layer < 7 * count // 8
        if self._file_type == "iq3_xs" and is_inner:
            return "iq3_xxs"
        return self._default
