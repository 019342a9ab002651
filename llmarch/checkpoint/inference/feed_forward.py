"""Recognise feed-forward modules: dense, experts with a router, and small ones beside them."""

from __future__ import annotations

from ...architecture.paths import parent_path
from .recognised import ModuleTensors, Recognised

_UP = (
    "up_proj.weight",
    "c_fc.weight",
    "fc1.weight",
    "dense_h_to_4h.weight",
    "linear_fc1.weight",
    "fc_in.weight",
    "proj_1.weight",
)
_DOWN = (
    "down_proj.weight",
    "c_proj.weight",
    "fc2.weight",
    "dense_4h_to_h.weight",
    "linear_fc2.weight",
    "fc_out.weight",
    "proj_2.weight",
)
_NO_ACTIVATION_TENSORS = "an activation has no tensors"

# --- experts ---


def recognise_moe(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a router and experts, one by one or stacked, with shared experts beside them."""
    down = tensors.first("experts.{}.down_proj.weight", "experts.down_proj")
    router = tensors.first("gate.weight", "router.weight")
    router_tensor = router or _first_within(tensors, "router.", "gate.")
    if not down or not router_tensor:
        return None

    found = Recognised("ffns", "moe", "experts")
    _prove_expert_count(tensors, found, router, down)
    _prove_expert_matrices(tensors, found, down)
    _prove_router(tensors, found, router, router_tensor)
    found.leave_open("activation", reason=_NO_ACTIVATION_TENSORS)
    _prove_shared_experts(tensors, found)
    for name in tensors.shapes:
        found.components[name] = _moe_component(name)

    return found


def _first_within(tensors: ModuleTensors, *prefixes: str) -> str:
    for name in tensors.shapes:
        if name.startswith(prefixes):
            return name
    return ""


def _moe_component(name: str) -> str:
    if name.startswith("experts."):
        return "experts"
    if name.startswith("shared_expert"):
        return "shared_experts"
    if "latent" in name:
        return "latent_projections"
    return "router"


def _prove_expert_count(tensors: ModuleTensors, found: Recognised, router: str, down: str) -> None:
    """Prove the number of experts where the router has an output for each that is stored.

    Further outputs may be experts without tensors (zero experts), or experts that are missing.
    """
    stored = _stored_experts(tensors, down)
    if not router:
        reason = f"no router matrix has an output for each expert ({stored or 0:,} are stored)"
        found.leave_open("experts", "zero_experts", reason=reason)
        return

    shape = tensors.shapes[router]
    outputs = tensors.outputs(router)
    if outputs is None and shape is not None and stored in shape:
        outputs = stored

    if stored is not None and shape is not None and outputs != stored:
        outputs = outputs or max(shape, default=0)
        reason = f"{router} has {outputs:,} outputs, but {stored:,} experts are stored"
        found.leave_open("experts", "zero_experts", reason=reason)
    elif outputs is not None:
        found.prove("experts", outputs, router, down)
    elif stored is not None:
        found.prove("experts", stored, down, ref="as many are stored")


def _stored_experts(tensors: ModuleTensors, down: str) -> int | None:
    if "{}" in down:
        return tensors.expert_counts.get(down)
    return tensors.size(down, 0)


def _prove_expert_matrices(tensors: ModuleTensors, found: Recognised, down: str) -> None:
    """Prove gate, width and bias of the experts."""
    gate = tensors.first(
        "experts.{}.gate_proj.weight",
        "experts.gate_proj",
        "experts.gate_up_proj",
        "experts.{}.gate_up_proj.weight",
    )
    up = tensors.first("experts.{}.up_proj.weight", "experts.up_proj") or gate
    ratio = _ratio(tensors.elements(up), tensors.elements(down))
    _prove_gated(tensors, found, gate, up, ratio)
    width = _expert_width(tensors, down)
    if width is not None:
        found.prove("expert_width", width, down)
    else:
        found.leave_open(
            "expert_width", reason="the experts' matrices do not have the hidden width"
        )

    _prove_bias(tensors, found, _expert_biases(tensors), down)


def _expert_width(tensors: ModuleTensors, down: str) -> int | None:
    """Return the inputs of the matrix down.

    Stacked experts are [experts, inputs, hidden] or [experts, hidden, inputs].
    """
    if "{}" in down:
        return tensors.inputs(down)

    shape = tensors.shapes[down]
    if shape is None or len(shape) != 3:
        return None

    _, rows, columns = shape
    if columns == tensors.hidden:
        return rows
    if rows == tensors.hidden:
        return columns
    return None


def _expert_biases(tensors: ModuleTensors) -> list[str]:
    """Return the names that the biases of the stored matrices have, one by one and stacked."""
    biases: list[str] = []
    for part in ("gate_proj", "up_proj", "gate_up_proj", "down_proj"):
        one = f"experts.{{}}.{part}"
        if tensors.has(f"{one}.weight"):
            biases.append(f"{one}.bias")
        stacked = f"experts.{part}"
        if tensors.has(stacked):
            biases.append(f"{stacked}_bias")
    return biases


def _prove_router(
    tensors: ModuleTensors, found: Recognised, router: str, router_tensor: str
) -> None:
    """Prove the biases of the router, unless it is more than one matrix."""
    bias = router.removesuffix("weight") + "bias"
    table = tensors.first("e_score_correction_bias", "gate.e_score_correction_bias")
    biases = ("router.bias", "router.selection_bias")
    if not router:
        reason = f"a router of several tensors ({router_tensor}, ..) is not understood"
        found.leave_open(*biases, reason=reason)
    elif tensors.has(bias):
        reason = f"{bias} may be added to the scores, or only for the choice of experts"
        found.leave_open(*biases, reason=reason)
    else:
        found.prove("router.selection_bias", bool(table), table or router)
        found.prove("router.bias", False, router)

    found.leave_open(
        "active",
        "router.scoring",
        "router.normalized",
        "router.groups",
        reason="how experts are chosen is not in the tensors",
    )


def _prove_shared_experts(tensors: ModuleTensors, found: Recognised) -> None:
    down = tensors.first("shared_experts.down_proj.weight", "shared_expert.down_proj.weight")
    if not down:
        router = tensors.first("gate.weight", "router.weight")
        found.prove("shared_width", 0, router, ref="no tensors of shared experts")
        return

    width = tensors.inputs(down)
    if width is not None:
        found.prove("shared_width", width, down)

    gate = tensors.first("shared_expert_gate.weight", "shared_experts_gate.weight")
    found.prove("shared_gate", bool(gate), gate or down)


# --- dense ---


def recognise_dense(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a dense block, by the usual names of its matrices or as w1, w2 and w3."""
    down = tensors.first(*_DOWN)
    fused = tensors.first("gate_up_proj.weight")
    up = tensors.first(*_UP)
    gate = tensors.first("gate_proj.weight", "gate_up_proj.weight")
    # LFM2 and Mistral's own names: gate, down, up.
    if not down and _are_alike(tensors, "w1.weight", "w3.weight") and tensors.has("w2.weight"):
        gate, down, up = "w1.weight", "w2.weight", "w3.weight"

    # Qwen 1: up, gate, and a projection under another name.
    if _are_alike(tensors, "w1.weight", "w2.weight") and tensors.has("c_proj.weight"):
        up, gate, down = "w1.weight", "w2.weight", "c_proj.weight"

    if not down or not (up or fused):
        return None
    if any(shape is not None and len(shape) > 2 for shape in tensors.shapes.values()):
        return None

    found = Recognised("ffns", "dense", "mlp")
    width = tensors.inputs(down)
    outputs = tensors.outputs(up or fused)
    _prove_gated(tensors, found, gate, up or fused, _ratio(outputs, width))
    if width is not None and outputs is not None and outputs in (width, 2 * width):
        found.prove("width", width, down)
    else:
        found.leave_open("width", reason="the matrices do not have the hidden width")

    matrices = [name for name in (up, gate, fused, down) if tensors.has(name)]
    biases = [name.removesuffix("weight") + "bias" for name in matrices]
    _prove_bias(tensors, found, biases, down)
    found.leave_open("activation", reason=_NO_ACTIVATION_TENSORS)
    return found


def _are_alike(tensors: ModuleTensors, name: str, other: str) -> bool:
    return tensors.has(name, other) and tensors.shapes[name] == tensors.shapes[other]


# --- small blocks beside others ---


def recognise_per_layer_input(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a block that multiplies the layer's slice of a per-layer embedding.

    It has a gate [width, hidden] and a projection [hidden, width], and nothing else.
    """
    if set(tensors.shapes) != {"gate.weight", "projection.weight"}:
        return None

    found = Recognised("ffns", "per_layer_input", "mlp")
    found.prove("per_layer", True, "gate.weight", "projection.weight")
    width = tensors.inputs("projection.weight")
    if width is not None and width == tensors.outputs("gate.weight"):
        found.prove("width", width, "projection.weight")

    found.leave_open("activation", reason=_NO_ACTIVATION_TENSORS)
    return found


def recognise_low_rank(tensors: ModuleTensors) -> Recognised | None:
    """Recognise two matrices of low rank: left [rank, hidden], right [hidden, rank]."""
    if set(tensors.shapes) != {"linear_left.weight", "linear_right.weight"}:
        return None

    found = Recognised("ffns", tensors.name, "mlp")
    width = tensors.inputs("linear_right.weight")
    if width is not None and width == tensors.outputs("linear_left.weight"):
        found.prove("width", width, "linear_right.weight")

    found.leave_open("activation", reason=_NO_ACTIVATION_TENSORS)
    return found


# --- what both have ---


def _ratio(up: int | None, down: int | None) -> float | None:
    """Return how much larger the matrix up is than the matrix down, or None where it is open."""
    if up is None or down is None:
        return None
    if not down:
        return 0
    return up / down


def _prove_gated(
    tensors: ModuleTensors, found: Recognised, gate: str, up: str, ratio: float | None
) -> None:
    """Prove a gate by its name, or by a matrix up that is twice as large as the one down.

    ratio: size of the matrix up (with the gate, where they are fused) over that of the one down.
    """
    if gate and gate != up and tensors.has(up):
        found.prove("gated", True, gate, up)
    elif ratio == 2:
        found.prove("gated", True, up or gate, ref="it is twice as large as the matrix down")
    elif ratio == 1 and not gate:
        found.prove("gated", False, up)
    elif "gate_up" in gate and ratio is None:
        found.prove("gated", True, gate)
    else:
        found.leave_open("gated", reason="names and shapes of the matrices do not settle it")


def _prove_bias(tensors: ModuleTensors, found: Recognised, biases: list[str], matrix: str) -> None:
    """Prove `bias` where all matrices have one, or none has.

    biases: the names that the biases of all stored matrices have.
    matrix: what proves that there are none.
    """
    names = list(dict.fromkeys(biases))
    stored = [name for name in names if tensors.has(name)]
    if not stored:
        found.prove("bias", False, matrix)
    elif len(stored) == len(names):
        found.prove("bias", True, *stored)
    else:
        part = parent_path(stored[0]) or stored[0]
        found.leave_open("bias", reason=f"of the matrices only {part} has a bias")
