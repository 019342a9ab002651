"""Names that nearly agree: two blocks in a layer, a norm elsewhere, layers of many widths."""

from __future__ import annotations

from llmarch.checkpoint.inference.model import InferredModel, infer_model
from llmarch.sources.raw import TensorTable

Shapes = dict[str, tuple[int, ...]]
WIDTH = 512
OUTSIDE: Shapes = {
    "model.embed_tokens.weight": (1000, WIDTH),
    "model.norm.weight": (WIDTH,),
    "lm_head.weight": (1000, WIDTH),
}


def infer(shapes: Shapes) -> InferredModel:
    table = TensorTable.from_tensors((name, "BF16", shape) for name, shape in shapes.items())
    return infer_model(table, {"model_type": "unknown"})


def attention(layer: str, heads: int = 8) -> Shapes:
    return {
        f"{layer}.self_attn.q_proj.weight": (heads * 64, WIDTH),
        f"{layer}.self_attn.k_proj.weight": (128, WIDTH),
        f"{layer}.self_attn.v_proj.weight": (128, WIDTH),
        f"{layer}.self_attn.o_proj.weight": (WIDTH, heads * 64),
        f"{layer}.input_layernorm.weight": (WIDTH,),
        f"{layer}.post_attention_layernorm.weight": (WIDTH,),
    }


def mlp(module: str, width: int) -> Shapes:
    return {
        f"{module}.gate_proj.weight": (width, WIDTH),
        f"{module}.up_proj.weight": (width, WIDTH),
        f"{module}.down_proj.weight": (WIDTH, width),
    }


def experts(module: str) -> Shapes:
    shapes: Shapes = {f"{module}.gate.weight": (8, WIDTH)}
    for expert in range(8):
        for name, shape in (("w1", (256, WIDTH)), ("w2", (WIDTH, 256)), ("w3", (256, WIDTH))):
            shapes[f"{module}.experts.{expert}.{name}.weight"] = shape
    return shapes


def test_experts_beside_a_dense_block_are_two_blocks() -> None:
    """Grok 2 has both in each layer."""
    shapes = dict(OUTSIDE)
    for i in range(4):
        layer = f"model.layers.{i}"
        shapes |= attention(layer) | mlp(f"{layer}.mlp", 1024)
        shapes |= experts(f"{layer}.block_sparse_moe")
    found = infer(shapes)
    assert found.facts["ffns.dense.width"] == 1024
    assert found.facts["ffns.moe.expert_width"] == 256
    assert found.facts["ffns.moe.experts"] == 8
    assert "ffns.moe.shared_width" not in found.facts or not found.facts["ffns.moe.shared_width"]
    assert found.by_component["router"] == 4 * 8 * WIDTH
    assert found.by_component["mlp"] == 4 * 3 * 1024 * WIDTH


def test_experts_in_other_layers_are_the_same_module() -> None:
    """Kimi Linear calls the dense block of the first layer mlp."""
    shapes = dict(OUTSIDE) | attention("model.layers.0") | mlp("model.layers.0.mlp", 1024)
    for i in (1, 2):
        shapes |= attention(f"model.layers.{i}") | experts(f"model.layers.{i}.block_sparse_moe")
    found = infer(shapes)
    assert (found.facts["ffns.dense.width"], found.facts["ffns.moe.experts"]) == (1024, 8)


def test_the_final_norm_is_that_of_the_decoder() -> None:
    shapes = dict(OUTSIDE) | {"merger.norm.weight": (WIDTH,), "merger.norm.bias": (WIDTH,)}
    for i in range(2):
        shapes |= attention(f"model.layers.{i}") | mlp(f"model.layers.{i}.mlp", 1024)
    found = infer(shapes)
    assert found.facts["final_norm"] == "final"
    assert found.facts["norms.final.bias"] is False
    assert found.evidence["final_norm"].ref == "model.norm.weight"


def test_layers_of_many_widths_are_one_finding() -> None:
    """Layers that all have other widths, as in OpenELM, and names that are not known."""
    shapes = dict(OUTSIDE)
    for i in range(28):
        layer = f"model.layers.{i}"
        shapes |= attention(layer, heads=4 + i // 4)
        shapes[f"{layer}.ffn.lift_1.weight"] = (512 + 64 * i, WIDTH)
        shapes[f"{layer}.ffn.lift_2.weight"] = (WIDTH, 256 + 32 * i)
    found = infer(shapes)
    paths = [f"model.layers.{{0-27}}.ffn.lift_{n}.weight" for n in (1, 2)]
    assert [f.path for f in found.findings] == paths
    assert all(f.message.startswith("28 tensors") for f in found.findings)
