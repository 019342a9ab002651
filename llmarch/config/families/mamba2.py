"""Mamba-2 and Codestral Mamba: a norm and a Mamba-2 mixer in each layer, and nothing else."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..findings import refused_by_transformers
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("time_step_rank", "time_step_min", "time_step_max", "time_step_floor")
    blocks.check_time_step_limit(c)
    c.ignore("chunk_size", "rms_norm", "norm_before_gate")
    _check_width(c)
    c.ignore("residual_in_fp32", "rescale_prenorm_residual")
    return blocks.mamba_decoder(c, _mamba2)


def _check_width(c: ConfigKeys) -> None:
    """Report heads that are not as wide together as `expand` says: the class refuses them."""
    factor = c.number("expand", default=None).value
    if factor is None:
        return
    expanded = factor * c.size("hidden_size").value
    inner = c.size("num_heads").value * c.size("head_dim").value
    if expanded != inner:
        problem = f"times hidden_size is {expanded:,g}, but num_heads * head_dim {inner:,}"
        refused_by_transformers(c, "expand", problem, c.data.get("expand"))


def _mamba2(c: ConfigKeys) -> Draft:
    """Read the mixer, whose output is multiplied by the gate, then normed in groups."""
    c.describe_only("hidden_act", "silu", breaks="behaviour")
    groups = c.size("n_groups")
    return draft(
        s.LinearAttention,
        variant="mamba2",
        value_heads=c.size("num_heads"),
        value_head_dim=c.size("head_dim"),
        key_heads=groups,
        key_head_dim=c.size("state_size"),
        conv_kernel=c.size("conv_kernel"),
        conv_bias=c.flag("use_conv_bias"),
        bias=c.flag("use_bias"),
        gate="silu",
        gate_first=True,
        norm_groups=groups,
    )


FAMILY = Family(
    name="mamba2",
    title="Mamba-2",
    ref=modeling("mamba2"),
    read=read,
    naming=tensors.Naming(
        embedding="backbone.embeddings.weight",
        layer="backbone.layers.{}.",
        final_norm="backbone.norm_f",
        norms=("norm",),
        blocks={s.LinearAttention: tensors.mamba2_parts("mixer")},
    ),
    conversions={"mamba2": tensors.Conversion(base="backbone")},
    defaults={
        "mamba2": {
            "conv_kernel": 4,
            "head_dim": 64,
            "layer_norm_epsilon": 1e-5,
            "n_groups": 8,
            "num_heads": 128,
            "state_size": 128,
            "tie_word_embeddings": False,
            "use_bias": False,
            "use_conv_bias": True,
        },
    },
    config_class={"mamba2": "Mamba2Config"},
)
