"""The types of tensors in GGUF files: ids, and how they are stored.

Read in ggml/include/ggml.h (enum ggml_type) and ggml/src/ggml-common.h (block sizes); the `gguf`
package has the same (GGMLQuantizationType, GGML_QUANT_SIZES).
"""

from __future__ import annotations

from ..raw import GGML_BLOCKS

GGML_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
    42: "Q2_0",
}
"""Names by the id in the file. Ids that are left out were removed from ggml."""
PLAIN_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8}
"""Bytes of an element of the types that are not quantised."""


def ggml_row_bytes(name: str, row: int) -> int | None:
    """Return the bytes of a row of so many elements; None if it is not of whole blocks."""
    plain = PLAIN_BYTES.get(name)
    if plain is not None:
        return row * plain
    block = GGML_BLOCKS[name]
    blocks, rest = divmod(row, block.elements)
    if rest:
        return None
    return blocks * block.bytes
