"""Mamba and Falcon Mamba: a norm and a Mamba-1 mixer in each layer, and nothing else.

Falcon Mamba norms time steps, B and C without weights.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("time_step_min", "time_step_max", "time_step_floor", "time_step_scale")
    c.ignore("time_step_init_scheme", "residual_in_fp32", "rescale_prenorm_residual")
    c.ignore("use_mambapy", "use_associative_scan", "use_falcon_mambapy")
    return blocks.mamba_decoder(c, _mamba)


def _mamba(c: ConfigKeys) -> Draft:
    """Read the mixer."""
    c.describe_only("hidden_act", "silu", breaks="behaviour")
    hidden = c.size("hidden_size").value
    expanded = derived(int(c.number("expand").value * hidden), "expand * hidden_size")
    inner_norm = None
    if c.model_type == "falcon_mamba":
        inner_norm = "weightless"
        c.describe_only("mixer_rms_eps", 1e-6, breaks="behaviour")
    return blocks.mamba(
        c.size("intermediate_size", default=expanded),
        state=c.size("state_size"),
        dt_rank=blocks.time_step_rank(c, "time_step_rank"),
        conv_kernel=c.size("conv_kernel"),
        conv_bias=c.flag("use_conv_bias"),
        bias=c.flag("use_bias"),
        inner_norm=inner_norm,
    )


_DEFAULTS = {
    "conv_kernel": 4,
    "expand": 2,
    "layer_norm_epsilon": 1e-5,
    "state_size": 16,
    "tie_word_embeddings": True,
    "time_step_rank": "auto",
    "use_bias": False,
    "use_conv_bias": True,
}
FAMILY = Family(
    name="mamba",
    title="Mamba",
    ref=modeling("mamba"),
    refs={"falcon_mamba": modeling("falcon_mamba")},
    read=read,
    naming=tensors.Naming(
        embedding="backbone.embeddings.weight",
        layer="backbone.layers.{}.",
        final_norm="backbone.norm_f",
        norms=("norm",),
        blocks={s.LinearAttention: tensors.mamba_parts("mixer")},
    ),
    conversions=dict.fromkeys(("mamba", "falcon_mamba"), tensors.Conversion(base="backbone")),
    defaults={"mamba": _DEFAULTS, "falcon_mamba": _DEFAULTS},
    config_class={"mamba": "MambaConfig", "falcon_mamba": "FalconMambaConfig"},
)
