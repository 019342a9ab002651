"""Recognise by its name what a tensor is for: buffer, head, MTP module, tower or decoder layer."""

from __future__ import annotations

import re

from .logical import LogicalTensor

BUFFER_NAME = re.compile(
    r"(\binv_freq"
    r"|\b(cos|sin)_cached"
    r"|\brope\.freqs"
    r"|\b(attn|attention)\.(bias|masked_bias)"
    r"|\bembeddings\.position_ids"
    r"|\bslope_rate"
    r"|\b(query|key|diagonal)_decay)$"
)
"""Tables that older library versions saved and every version computes for itself (masks, rotary
frequencies)."""

HEAD_NAMES = frozenset({"lm_head.weight", "output.weight", "embed_out.weight", "head.weight"})
MTP_NAME = re.compile(r"(^|\.)(mtp|mtp_layers|mtp_block|nextn|nextn_predict_layers)(\.|$)")
MTP_TENSOR = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|token_layernorm|hidden_layernorm)\b")
"""Tensors that only an MTP module has, where the module is stored as a further layer."""

LAYER_NAME = re.compile(r"^(layers|h|blocks)\.\{\}\.")
TOWER_NAME = re.compile(r"^(vision|visual|audio|multi_modal|mm_|patch_merger)")


def is_buffer(key: str, tensor: LogicalTensor) -> bool:
    """Return whether a tensor is a computed table; a vector called `attn.bias` is none."""
    if not BUFFER_NAME.search(key):
        return False
    if key.endswith(".bias") and tensor.shape is not None:
        return len(tensor.shape) != 1
    return True
