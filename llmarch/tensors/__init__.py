"""The names and shapes of the tensors that a family predicts from an Architecture.

Family files import this package and call `tensors.split_attention_parts()`.
"""

from .conversion import (
    BLOCK_SPARSE_RENAME,
    EXPERT_CONVERSION,
    LLAVA_RENAMES,
    MERGED_EXPERTS,
    MERGED_TEXT_EXPERTS,
    MERGED_W_EXPERTS,
    MIXTRAL_CONVERSION,
    UNWRAPPED_CONVERSION,
    Conversion,
    Merge,
    Rename,
    merged_experts,
)
from .encoders import encoder_layer_rows, matrix_rows, patch_rows, position_rows, projector_rows
from .naming import (
    CLASSIFIER_HEADS,
    POST_NORMS,
    PRE_NORMS,
    SANDWICH_NORMS,
    SCORE_HEADS,
    Naming,
)
from .parts import (
    BlockTensor,
    BlockTensors,
    Module,
    dense_parts,
    fused_attention_parts,
    fused_dense_parts,
    fused_moe_parts,
    latent_parts,
    moe_parts,
    per_layer_input_parts,
    split_attention_parts,
)
from .recurrent import mamba2_parts, mamba_parts
from .template import (
    TensorRow,
    hyper_rows,
    mtp_as_layers,
    norm_rows,
    rows_of_layers,
)

__all__ = [
    "BLOCK_SPARSE_RENAME",
    "CLASSIFIER_HEADS",
    "EXPERT_CONVERSION",
    "LLAVA_RENAMES",
    "MERGED_EXPERTS",
    "MERGED_TEXT_EXPERTS",
    "MERGED_W_EXPERTS",
    "MIXTRAL_CONVERSION",
    "POST_NORMS",
    "PRE_NORMS",
    "SANDWICH_NORMS",
    "SCORE_HEADS",
    "UNWRAPPED_CONVERSION",
    "BlockTensor",
    "BlockTensors",
    "Conversion",
    "Merge",
    "Module",
    "Naming",
    "Rename",
    "TensorRow",
    "dense_parts",
    "encoder_layer_rows",
    "fused_attention_parts",
    "fused_dense_parts",
    "fused_moe_parts",
    "hyper_rows",
    "latent_parts",
    "mamba2_parts",
    "mamba_parts",
    "matrix_rows",
    "merged_experts",
    "moe_parts",
    "mtp_as_layers",
    "norm_rows",
    "patch_rows",
    "per_layer_input_parts",
    "position_rows",
    "projector_rows",
    "rows_of_layers",
    "split_attention_parts",
]
