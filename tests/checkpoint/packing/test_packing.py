"""Every packing format: stored tensors to logical ones, from headers alone.

The layouts are cited in each format's file.
"""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import Tensors, load, table_of, tensors_of

from llmarch.architecture.schema import Quantization
from llmarch.checkpoint.logical import LogicalTensor
from llmarch.checkpoint.packing import FORMATS, Unpacked, unpack


def unpacked(tensors: Tensors, **declared: Any) -> Unpacked:
    return unpack(table_of(tensors), Quantization(**declared) if declared else None)


def one(tensors: Tensors, **declared: Any) -> LogicalTensor:
    """Return the one logical tensor that these unpack to."""
    u = unpacked(tensors, **declared)
    assert [f.message for f in u.findings] == []
    (x,) = u.logical
    assert u.scales == x.scales * len(x.indices)
    return x


# title, stored, declared, logical name, what it is, label
ROWS: list[tuple[str, Tensors, dict[str, Any], str, object, str]] = [
    (
        "fp8 blocks",
        {"a.weight": ("F8_E4M3", (576, 7168)), "a.weight_scale_inv": ("F32", (5, 56))},
        {},
        "a.weight",
        (576, 7168),
        "fp8, blocks 128 × 128",
    ),
    (
        "fp8 E8M0 scales",
        {"a.weight": ("F8_E4M3", (256, 512)), "a.scale": ("F8_E8M0", (2, 4))},
        {},
        "a.weight",
        (256, 512),
        "fp8, blocks 128 × 128",
    ),
    (
        "fp8 per tensor",
        {
            "a.weight": ("F8_E4M3", (64, 32)),
            "a.weight_scale": ("F32", ()),
            "a.input_scale": ("F32", ()),
        },
        {},
        "a.weight",
        (64, 32),
        "fp8, per tensor",
    ),
    (
        "fp8 per channel",
        {"a.weight": ("F8_E4M3", (64, 32)), "a.weight_scale": ("BF16", (64, 1))},
        {},
        "a.weight",
        (64, 32),
        "fp8, per channel",
    ),
    (
        "fp8, Mistral's",
        {
            "a.weight": ("F8_E4M3", (64, 32)),
            "a.qscale_weight": ("F32", ()),
            "a.qscale_act": ("F32", ()),
        },
        {},
        "a.weight",
        (64, 32),
        "fp8, per tensor",
    ),
    (
        "fp8 stacked experts",
        {
            "m.experts.down_proj": ("F8_E4M3", (8, 256, 512)),
            "m.experts.down_proj_scale_inv": ("F32", (8, 2, 4)),
        },
        {},
        "m.experts.down_proj",
        (8, 256, 512),
        "fp8, blocks 128 × 128",
    ),
    (
        "fp8 stacked experts, one scale each",
        {
            "m.experts.down_proj": ("F8_E4M3", (8, 256, 512)),
            "m.experts.down_proj_scale_inv": ("F32", (8,)),
            "m.experts.down_proj_activation_scale": ("F32", (8,)),
        },
        {},
        "m.experts.down_proj",
        (8, 256, 512),
        "fp8, per expert",
    ),
    (
        "mxfp4 blocks",
        {
            "m.experts.gate_up_proj_blocks": ("U8", (32, 5760, 90, 16)),
            "m.experts.gate_up_proj_scales": ("U8", (32, 5760, 90)),
        },
        {},
        "m.experts.gate_up_proj",
        (32, 5760, 2880),
        "mxfp4, groups of 32",
    ),
    (
        "mxfp4 matrix",
        {"a.weight": ("I8", (64, 64)), "a.scale": ("F8_E8M0", (64, 4))},
        {},
        "a.weight",
        (64, 128),
        "mxfp4, groups of 32",
    ),
    (
        "mxfp4 packed",
        {"a.weight_packed": ("U8", (64, 64)), "a.weight_scale": ("U8", (64, 4))},
        {},
        "a.weight",
        (64, 128),
        "mxfp4, groups of 32",
    ),
    (
        "nvfp4 ModelOpt",
        {
            "a.weight": ("U8", (64, 32)),
            "a.weight_scale": ("F8_E4M3", (64, 4)),
            "a.weight_scale_2": ("F32", ()),
            "a.input_scale": ("F32", ()),
        },
        {},
        "a.weight",
        (64, 64),
        "nvfp4, groups of 16",
    ),
    (
        "fp8 blocks, ModelOpt's",
        {"a.weight": ("F8_E4M3", (576, 256)), "a.weight_scale": ("F32", (5, 1, 2, 1))},
        {},
        "a.weight",
        (576, 256),
        "fp8, blocks 128 × 128",
    ),
    (
        "int4 ModelOpt",
        {
            "a.weight": ("U8", (64, 256)),
            "a.weight_scale": ("BF16", (128, 2)),
            "a.pre_quant_scale": ("BF16", (256,)),
        },
        {},
        "a.weight",
        (128, 256),
        "int4, groups of 128",
    ),
    (
        "int4 Quark",
        {
            "a.weight": ("I32", (256, 16)),
            "a.weight_scale": ("BF16", (2, 128)),
            "a.weight_zero_point": ("I32", (2, 16)),
        },
        {},
        "a.weight",
        (128, 256),
        "int4, groups of 128",
    ),
    (
        "gemma",
        {
            "a.weight": ("U8", (64, 32)),
            "a.weight_scale": ("F32", (64, 1)),
            "a.input_activation_scale": ("F32", ()),
            "a.output_activation_scale": ("F32", ()),
        },
        {"method": "gemma", "bits": 2.0},
        "a.weight",
        (64, 128),
        "gemma, 2 bits",
    ),
    (
        "gemma embedding",
        {"a.embedding_quantized": ("I8", (64, 32)), "a.embedding_scale": ("F32", (64, 1))},
        {"method": "gemma", "bits": 8.0},
        "a.weight",
        (64, 32),
        "gemma, 8 bits",
    ),
    (
        "metal",
        {
            "a.weight": ("U32", (64, 16)),
            "a.scales": ("BF16", (64, 2)),
            "a.qbiases": ("BF16", (64, 2)),
        },
        {"method": "metal", "bits": 4.0, "group_size": 64},
        "a.weight",
        (64, 128),
        "metal, 4 bits, groups of 64",
    ),
    (
        "nvfp4 stacked experts",
        {
            "m.experts.gate_up_proj": ("U8", (4, 64, 32)),
            "m.experts.gate_up_proj_weight_scale": ("F8_E4M3", (4, 64, 4)),
            "m.experts.gate_up_proj_weight_scale_2": ("F32", (4,)),
            "m.experts.gate_up_proj_input_scale": ("F32", (4,)),
        },
        {},
        "m.experts.gate_up_proj",
        (4, 64, 64),
        "nvfp4, groups of 16",
    ),
    (
        "nvfp4 compressed-tensors",
        {
            "a.weight_packed": ("U8", (64, 32)),
            "a.weight_scale": ("F8_E4M3", (64, 4)),
            "a.weight_global_scale": ("F32", (1,)),
            "a.input_global_scale": ("F32", (1,)),
        },
        {},
        "a.weight",
        (64, 64),
        "nvfp4, groups of 16",
    ),
    *(
        (
            f"gptq {bits} bits",
            {
                "a.qweight": ("I32", (256 * bits // 32, 96)),
                "a.qzeros": ("I32", (2, 96 * bits // 32)),
                "a.scales": ("F16", (2, 96)),
                "a.g_idx": ("I32", (256,)),
            },
            {},
            "a.weight",
            (96, 256),
            f"gptq, {bits} bits, groups of 128",
        )
        for bits in (2, 3, 4, 8)
    ),
    (
        "gptq without g_idx",
        {
            "a.qweight": ("I32", (32, 96)),
            "a.qzeros": ("I32", (2, 12)),
            "a.scales": ("F16", (2, 96)),
        },
        {},
        "a.weight",
        (96, 256),
        "gptq, 4 bits, groups of 128",
    ),
    (
        "awq",
        {
            "a.qweight": ("I32", (256, 12)),
            "a.qzeros": ("I32", (2, 12)),
            "a.scales": ("F16", (2, 96)),
        },
        {},
        "a.weight",
        (96, 256),
        "awq, 4 bits, groups of 128",
    ),
    (
        "awq GEMV",
        {
            "a.qweight": ("I32", (96, 32)),
            "a.qzeros": ("I32", (96, 1)),
            "a.scales": ("F16", (96, 8)),
        },
        {},
        "a.weight",
        (96, 256),
        "awq, 4 bits, GEMV",
    ),
    (
        "packed integers in groups",
        {
            "a.weight_packed": ("I32", (2048, 896)),
            "a.weight_scale": ("BF16", (2048, 224)),
            "a.weight_shape": ("I32", (2,)),
        },
        {},
        "a.weight",
        (2048, 7168),
        "compressed-tensors, 4 bits, groups of 32",
    ),
    (
        "packed integers, asymmetric",
        {
            "a.weight_packed": ("I32", (64, 16)),
            "a.weight_scale": ("BF16", (64, 1)),
            "a.weight_zero_point": ("I32", (8, 1)),
            "a.weight_shape": ("I64", (2,)),
        },
        {"method": "compressed-tensors", "bits": 4},
        "a.weight",
        (64, 128),
        "compressed-tensors, 4 bits, per channel",
    ),
    (
        "packed integers, reordered",
        {
            "a.weight_packed": ("I32", (64, 32)),
            "a.weight_scale": ("BF16", (64, 1)),
            "a.weight_shape": ("I64", (2,)),
            "a.weight_g_idx": ("I32", (128,)),
        },
        {},
        "a.weight",
        (64, 128),
        "compressed-tensors, 8 bits, per channel",
    ),
    (
        "int8",
        {"a.weight": ("I8", (64, 32)), "a.weight_scale": ("BF16", (64, 1))},
        {},
        "a.weight",
        (64, 32),
        "int8",
    ),
    (
        "bitsandbytes int8",
        {"a.weight": ("I8", (64, 32)), "a.SCB": ("F32", (64,)), "a.weight_format": ("U8", ())},
        {},
        "a.weight",
        (64, 32),
        "bitsandbytes, int8",
    ),
    (
        "bitsandbytes nf4",
        {
            "a.weight": ("U8", (1024, 1)),
            "a.weight.absmax": ("F32", (32,)),
            "a.weight.quant_map": ("F32", (16,)),
            "a.weight.quant_state.bitsandbytes__nf4": ("U8", (88,)),
        },
        {},
        "a.weight",
        2048,
        "bitsandbytes, nf4",
    ),
    (
        "bitsandbytes fp4 in bf16",
        {
            "a.weight": ("BF16", (512, 1)),
            "a.weight.absmax": ("F32", (32,)),
            "a.weight.quant_map": ("F32", (16,)),
            "a.weight.quant_state.bitsandbytes__fp4": ("U8", (88,)),
        },
        {},
        "a.weight",
        2048,
        "bitsandbytes, fp4",
    ),
    *(
        (
            f"mlx {bits} bits",
            {
                "a.weight": ("U32", (96, 256 * bits // 32)),
                "a.scales": ("BF16", (96, 4)),
                "a.biases": ("BF16", (96, 4)),
            },
            {"method": "mlx", "bits": bits, "group_size": 64},
            "a.weight",
            (96, 256),
            f"mlx, {bits} bits, groups of 64",
        )
        for bits in (2, 3, 4, 5, 6, 8)
    ),
    (
        "mlx stacked experts",
        {
            "m.switch_mlp.up_proj.weight": ("U32", (8, 96, 32)),
            "m.switch_mlp.up_proj.scales": ("U8", (8, 96, 8)),
        },
        {"method": "mlx", "bits": 4, "group_size": 32},
        "m.switch_mlp.up_proj.weight",
        (8, 96, 256),
        "mlx, 4 bits, groups of 32",
    ),
    ("plain", {"a.weight": ("BF16", (64, 32))}, {}, "a.weight", (64, 32), ""),
]


@pytest.mark.parametrize(
    ("tensors", "declared", "name", "what", "label"),
    [r[1:] for r in ROWS],
    ids=[r[0] for r in ROWS],
)
def test_stored_tensors_stand_for_a_logical_one(
    tensors: Tensors, declared: dict[str, Any], name: str, what: object, label: str
) -> None:
    x = one(tensors, **declared)
    assert (x.pattern, x.packing) == (name, label)
    assert what in (x.shape, x.elements)


@pytest.mark.parametrize(
    "tensors", [r[1] for r in ROWS if r[-1]], ids=[r[0] for r in ROWS if r[-1]]
)
def test_names_alone_tell_the_logical_name(tensors: Tensors) -> None:
    u = unpacked(dict.fromkeys(tensors, ("", None)))
    assert len(u.logical) == 1
    assert not u.logical[0].has_size


def test_every_format_has_a_row() -> None:
    met = {f.name for r in ROWS for f in unpacked(r[1], **r[2]).formats.values()}
    assert {f.name for f in FORMATS} == met


def test_bits_count_the_scales() -> None:
    x = one(
        {
            "a.weight": ("U8", (64, 32)),
            "a.weight_scale": ("F8_E4M3", (64, 4)),
            "a.weight_scale_2": ("F32", ()),
        }
    )
    assert (x.bits, x.scales) == (64 * 64 * 4 + 64 * 4 * 8 + 32, 64 * 4 + 1)


def test_mlx_without_a_group_size_offers_every_reading() -> None:
    x = one(
        {
            "a.weight": ("U32", (96, 32)),
            "a.scales": ("BF16", (96, 4)),
            "a.biases": ("BF16", (96, 4)),
        }
    )
    assert x.fits((96, 256))  # 4 bits, groups of 64
    assert x.fits((96, 128))  # 8 bits, groups of 32
    assert not x.fits((96, 255))


def test_scales_that_are_missing_are_a_finding() -> None:
    two = {f"l.{i}.weight": ("F8_E4M3", (256, 256)) for i in range(4)} | {
        f"l.{i}.weight_scale_inv": ("F32", (2, 2)) for i in (0, 2)
    }
    (f,) = unpacked(two).findings
    assert (f.rule, f.path) == ("packed-without-scales", "l.{1,3}.weight")
    assert f.message == "fp8 values without scales (*.weight_scale_inv)"
    (f,) = unpacked({"a.qweight": ("I32", (32, 96)), "a.g_idx": ("I32", (256,))}).findings
    assert f.rule == "packed-without-scales"


MISFITS: list[tuple[Tensors, str]] = [
    (
        {"a.weight": ("F8_E4M3", (256, 256)), "a.weight_scale_inv": ("F32", (3, 2))},
        "fp8: scales of shape [3, 2] do not cover [256, 256]",
    ),
    (
        {
            "a.weight": ("U8", (64, 32)),
            "a.weight_scale": ("F8_E4M3", (64, 5)),
            "a.weight_scale_2": ("F32", ()),
        },
        "nvfp4, groups of 16: scales have shape [64, 5], expected [64, 4]",
    ),
    (
        {"a.down_proj_blocks": ("U8", (2, 64, 4, 16)), "a.down_proj_scales": ("U8", (2, 64, 5))},
        "mxfp4, groups of 32: scales have shape [2, 64, 5], expected [2, 64, 4]",
    ),
    (
        {"a.weight_packed": ("I32", (64, 16)), "a.weight_scale": ("BF16", (63, 4))},
        "compressed-tensors, 4 bits, groups of 32: scales of shape [63, 4] do not fit 64 outputs",
    ),
    (
        {
            "a.qweight": ("I32", (32, 96)),
            "a.qzeros": ("I32", (3, 12)),
            "a.scales": ("F16", (2, 96)),
            "a.g_idx": ("I32", (256,)),
        },
        "gptq, 4 bits, groups of 128: zero points of shape [3, 12] do not fit scales [2, 96]",
    ),
    (
        {
            "a.qweight": ("I32", (32, 96)),
            "a.qzeros": ("I32", (2, 12)),
            "a.scales": ("F16", (2, 96)),
            "a.g_idx": ("I32", (0,)),
        },
        "gptq, 4 bits, groups of 128: *.g_idx has no elements",
    ),
    (
        {"a.qweight": ("I32", (256, 12)), "a.qzeros": ("I32", ()), "a.scales": ("F16", (2, 96))},
        "awq, 4 bits, groups of 128: zero points of shape [] do not fit scales [2, 96]",
    ),
    (
        {"a.weight": ("U32", (96, 32)), "a.scales": ("BF16", ()), "a.biases": ("BF16", (96, 4))},
        "mlx: scales of shape [] do not cover [96, 32]",
    ),
    (
        {
            "a.weight": ("U32", (96, 32)),
            "a.scales": ("BF16", (96, 4)),
            "a.biases": ("BF16", (96, 5)),
        },
        "mlx: biases of shape [96, 5] do not fit scales [96, 4]",
    ),
    (
        {"a.weight": ("I8", (64, 32)), "a.SCB": ("F32", (32,))},
        "bitsandbytes, int8: scales of shape [32] do not cover [64, 32]",
    ),
    (
        {
            "a.weight": ("U8", (1024, 1)),
            "a.weight.absmax": ("F32", (31,)),
            "a.weight.quant_map": ("F32", (16,)),
        },
        "bitsandbytes, nf4: scales of shape [31] do not cover 2,048 elements",
    ),
    (
        {
            "a.weight": ("U8", (64, 32)),
            "a.weight_scale": ("F8_E4M3", (64, 4)),
            "a.weight_scale_2": ("F32", (0,)),
        },
        "nvfp4, groups of 16: *.weight_scale_2 has no elements",
    ),
    (
        {"a.weight": ("F8_E4M3", (256, 256)), "a.weight_scale": ("I32", ())},
        "fp8, per tensor: *.weight_scale is I32, expected BF16, F16, F32, F8_E8M0 or U8",
    ),
]


@pytest.mark.parametrize(("tensors", "message"), MISFITS)
def test_scales_that_do_not_fit_are_a_finding(tensors: Tensors, message: str) -> None:
    (finding,) = unpacked(tensors).findings
    assert (finding.rule, finding.message) == ("tensor-shape", message)


def test_gptq_words_must_hold_the_declared_bits() -> None:
    tensors: Tensors = {
        "a.qweight": ("I32", (40, 96)),
        "a.scales": ("F16", (2, 96)),
        "a.g_idx": ("I32", (256,)),
    }
    (finding,) = unpacked(tensors, method="gptq", bits=4).findings
    expected = "index of shape [256] is not one number for each of 320 inputs"
    assert finding.message == f"gptq, 4 bits, groups of 160: {expected}"


def test_gptq_scales_must_have_the_declared_groups() -> None:
    tensors: Tensors = {"a.qweight": ("I32", (32, 96)), "a.scales": ("F16", (2, 96))}
    (finding,) = unpacked(tensors, method="gptq", bits=4, group_size=64).findings
    expected = "scales have shape [2, 96], but groups of 64 need [4, 96]"
    assert finding.message == f"gptq, 4 bits, groups of 128: {expected}"


def test_one_scale_is_not_the_blocks_that_are_declared() -> None:
    one_scale: Tensors = {"a.weight": ("F8_E4M3", (256, 256)), "a.weight_scale_inv": ("F32", ())}
    assert [f.rule for f in unpacked(one_scale, method="fp8", block=(128, 128)).findings] == [
        "tensor-shape"
    ]
    assert unpacked(one_scale, method="fp8").findings == []


@pytest.mark.parametrize("block", [(128,), (), (0, 0), (128, 128, 128)])
def test_a_declared_block_that_is_no_pair_of_sizes_is_ignored(block: tuple[int, ...]) -> None:
    one_scale: Tensors = {"a.weight": ("F8_E4M3", (256, 256)), "a.weight_scale_inv": ("F32", ())}
    assert one(one_scale, method="fp8", block=block).packing == "fp8, per tensor"
    blocks: Tensors = {"a.weight": ("F8_E4M3", (256, 256)), "a.weight_scale_inv": ("F32", (2, 2))}
    assert one(blocks, method="fp8", block=block).packing == "fp8, blocks 128 × 128"


def test_layers_that_are_not_quantised_stand_for_themselves() -> None:
    """Layer 0 is bf16, layer 1 is packed: the companions of one are not the other's."""
    u = unpacked(
        {
            "l.0.weight": ("BF16", (64, 32)),
            "l.1.weight": ("U8", (1024, 1)),
            "l.1.weight.absmax": ("F32", (32,)),
            "l.1.weight.quant_map": ("F32", (16,)),
            "l.1.weight.quant_state.bitsandbytes__nf4": ("U8", (88,)),
        }
    )
    assert {(x.packing, x.shape, x.elements) for x in u.logical} == {
        ("", (64, 32), None),
        ("bitsandbytes, nf4", None, 2048),
    }


def test_layers_of_several_widths_find_their_own_scales() -> None:
    u = unpacked(
        {
            "l.0.weight": ("F8_E4M3", (256, 128)),
            "l.1.weight": ("F8_E4M3", (512, 128)),
            "l.0.weight_scale_inv": ("F32", (2, 1)),
            "l.1.weight_scale_inv": ("F32", (4, 1)),
        }
    )
    assert u.findings == []
    assert sorted((x.shape or (), x.scales) for x in u.logical) == [
        ((256, 128), 2),
        ((512, 128), 4),
    ]


def test_scales_of_the_cache_belong_to_no_weight() -> None:
    u = unpacked(
        {
            "l.0.self_attn.k_proj.k_scale": ("F32", ()),
            "l.0.self_attn.kv_scale": ("F32", ()),
            "a.k_fake_quantizer.qscale_act": ("F32", ()),
        }
    )
    assert (u.logical, u.scales) == ([], 3)


def test_names_that_only_look_packed_stand_for_themselves() -> None:
    tensors: Tensors = {
        "a.scales": ("F32", (3,)),
        "b.scale": ("F32", (1,)),
        "b.weight": ("BF16", (4, 4)),
        "c.biases": ("BF16", (2,)),
        "d.weight_scale": ("F32", ()),
    }
    u = unpacked(tensors)
    assert u.scales == 0
    assert {x.pattern for x in u.logical} == set(tensors)


@pytest.mark.parametrize("dtype", ["I32", "U32", "U8", "I8", "F8_E4M3", "BF16", ""])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 0), (3, 0), (1, 1, 1, 1, 1), (7, 13)])
def test_unusual_shapes_never_raise(dtype: str, shape: tuple[int, ...]) -> None:
    """Whatever is stored under a format's names, the answer is a logical tensor or a reason."""
    for f in FORMATS:
        stem = "m.experts.down_proj" if f.endings[0].startswith("experts") else "m.x"
        value = stem if f.endings[0].startswith("experts") else stem + f.endings[0]
        for other in [(), (0,), (2,), (0, 0), (2, 3), (1, 2, 3)]:
            tensors: Tensors = {stem + s: ("F32", other) for s in f.companions} | {
                value: (dtype, shape if dtype else None)
            }
            for group in (None, 1, 128):
                u = unpack(
                    table_of(tensors),
                    Quantization(method="x", group_size=group, bits=4, block=(128, 128)),
                )
                assert u.logical


def test_fixture_scales_are_what_is_stored_beside_the_weights() -> None:
    fixture = load("qwen3-0.6b-reduced-nvfp4")
    tensors = tensors_of(fixture)
    u = unpacked(tensors)
    stored = sum(
        1 if not s else s[0] * s[-1]
        for n, (_, s) in tensors.items()
        if s is not None and "scale" in n
    )
    assert u.scales == stored
