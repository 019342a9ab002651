"""What a config states twice and differently, or in a form that some readers refuse.

What reads a config calls these functions. The findings end in `Reading.findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..architecture.schema import Finding

if TYPE_CHECKING:
    from .keys import ConfigKeys

MTP_KEYS = (
    "num_nextn_predict_layers",
    "num_mtp_layers",
    "num_mtp_modules",
    "mtp_num_hidden_layers",
)
"""Keys of the number of MTP modules, whose layers some lists have entries for."""


def layer_list_length(c: ConfigKeys, key: str, entries: int, depth: int) -> None:
    """Report a list for the layers that has more or fewer entries than there are layers.

    That it has entries for the layers of MTP modules too is usual.
    """
    modules = [c.data.get(name) for name in MTP_KEYS]
    if entries == depth or entries - depth in modules:
        return
    path = c.key(key)
    add(
        c,
        Finding(
            rule="layer-list-length",
            path=path,
            message=f"{path} has {entries} entries for {depth} layers",
            severity="weights",
            old=depth,
            new=entries,
        ),
    )


def layer_number_too_high(c: ConfigKeys, path: str, number: int, depth: int) -> None:
    """Report an entry for a layer after the last, and after those of MTP modules."""
    modules = [c.data.get(name) for name in MTP_KEYS]
    allowed = max((n for n in modules if isinstance(n, int)), default=0)
    if number < depth + allowed:
        return
    add(
        c,
        Finding(
            rule="layer-list-length",
            path=path,
            message=f"{path} has an entry for layer {number}, but the last of {depth} layers is"
            f" {depth - 1}",
            severity="weights",
            old=depth - 1,
            new=number,
        ),
    )


def check_layer_types(c: ConfigKeys, depth: int) -> None:
    """Report `layer_types` of another length, whether or not the family reads it.

    transformers 5 refuses it for every class (PreTrainedConfig.validate_layer_type in 5.23.0).
    """
    words = c.data.get("layer_types")
    if isinstance(words, list):
        layer_list_length(c, "layer_types", len(words), depth)  # pyright: ignore[reportUnknownArgumentType]


def add(c: ConfigKeys, finding: Finding) -> None:
    """Add a finding, unless it was made before: families read some keys several times."""
    known = any((f.rule, f.path) == (finding.rule, finding.path) for f in c.findings)
    if not known:
        c.findings.append(finding)
