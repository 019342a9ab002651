"""Random single changes of clean checkpoints, as damage and mistakes make them."""

from __future__ import annotations

import random
from collections.abc import Callable

from helpers.checkpoint_fixtures import Tensors
from helpers.quantised_checkpoints import QuantisedCheckpoint, plain

DTYPES = (
    "BF16 F16 F32 F64 I8 U8 I16 I32 U32 I64 F8_E4M3 F8_E5M2 F8_E8M0 BOOL".split()  # safetensors'
)
REAL = {"BF16", "F16", "F32", "F64"}
"""Dtypes that loaders cast to one another."""
WRAPPERS = ("module.", "_orig_mod.", "transformer.", "language_model.")
SUFFIXES = (
    "weight weight_scale weight_scale_inv scales qweight weight_packed qzeros biases scale".split()
)

Change = tuple[str, QuantisedCheckpoint]
"""What was done, and the result."""


def drop(c: QuantisedCheckpoint, chooser: random.Random) -> Change:
    name = chooser.choice(sorted(c.tensors))
    return f"without {name}", c.with_tensors({n: t for n, t in c.tensors.items() if n != name})


def replace(c: QuantisedCheckpoint, name: str, new: str, tensor: object) -> QuantisedCheckpoint:
    """Return the checkpoint with a tensor in place of another one."""
    tensors: Tensors = {n: t for n, t in c.tensors.items() if n != name}
    return c.with_tensors({**tensors, new: tensor})  # type: ignore[dict-item]


def retype(c: QuantisedCheckpoint, chooser: random.Random) -> Change | None:
    name = chooser.choice(sorted(c.tensors))
    dtype, shape = c.tensors[name]
    other = chooser.choice(DTYPES)
    if other == dtype or {other, dtype} <= REAL:
        return None
    return f"{name} {dtype} -> {other}", replace(c, name, name, (other, shape))


def reshape(c: QuantisedCheckpoint, chooser: random.Random) -> Change | None:
    name = chooser.choice(sorted(c.tensors))
    dtype, shape = c.tensors[name]
    if not shape or "bitsandbytes__" in name:
        return None  # a text may be longer or shorter
    axis = chooser.randrange(len(shape))
    size = chooser.choice([shape[axis] * 2, shape[axis] + 1, shape[axis] + 8])
    others = [
        (*shape[:axis], size, *shape[axis + 1 :]),
        (*shape, 1),
        (1, *shape),
        shape[::-1],
    ]
    other = chooser.choice(others)
    if other == shape:
        return None
    return f"{name} {shape} -> {other}", replace(c, name, name, (dtype, other))


def rename(c: QuantisedCheckpoint, chooser: random.Random) -> Change | None:
    name = chooser.choice(sorted(c.tensors))
    parts = name.split(".")
    place = chooser.randrange(len(parts))
    if parts[place].isdigit() or parts[place] == "model":
        return None
    parts[place] = chooser.choice([f"x{parts[place]}", f"{parts[place]}_x", "other", *SUFFIXES])
    new = ".".join(parts)
    if new in c.tensors:
        return None
    return f"{name} -> {new}", replace(c, name, new, c.tensors[name])


def wrap(c: QuantisedCheckpoint, chooser: random.Random) -> Change:
    prefix = chooser.choice(WRAPPERS)
    if chooser.random() < 0.3:
        return f"all in {prefix}", c.with_tensors({prefix + n: t for n, t in c.tensors.items()})
    name = chooser.choice(sorted(c.tensors))
    return f"{name} in {prefix}", replace(c, name, prefix + name, c.tensors[name])


def modules(c: QuantisedCheckpoint) -> list[str]:
    """Return the modules of layers that are packed."""
    _, unpacked = plain()
    names = [n.removesuffix(".weight") for n in unpacked if n.endswith("_proj.weight")]
    return [n for n in names if sum(t.startswith(f"{n}.") for t in c.tensors) > 1]


def lose_module(c: QuantisedCheckpoint, chooser: random.Random) -> Change:
    module = chooser.choice(modules(c))
    left = {n: t for n, t in c.tensors.items() if not n.startswith(f"{module}.")}
    return f"without {module}", c.with_tensors(left)


def store_plain(c: QuantisedCheckpoint, chooser: random.Random) -> Change:
    module = chooser.choice(modules(c))
    left = {n: t for n, t in c.tensors.items() if not n.startswith(f"{module}.")}
    weight = f"{module}.weight"
    return f"{module} in 16 bits", c.with_tensors({**left, weight: plain()[1][weight]})


def undeclare(c: QuantisedCheckpoint, chooser: random.Random) -> Change:
    left = {k: v for k, v in c.config.items() if not k.startswith("quantization")}
    return "undeclared", c._replace(config=left)


KINDS: tuple[Callable[[QuantisedCheckpoint, random.Random], Change | None], ...] = (
    drop,
    retype,
    reshape,
    rename,
    wrap,
    lose_module,
    store_plain,
    undeclare,
)

PLAIN_KINDS = (drop, retype, reshape, rename, wrap)
"""Those of checkpoints without packed modules."""
