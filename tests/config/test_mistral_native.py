"""Mistral's params.json is another spelling of the same architectures, and its tensor names another
spelling of the Hub's.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.architecture.schema import Architecture, Attention, Evidence, MoE
from llmarch.checkpoint.reading import configure
from llmarch.config.mistral_native import translate
from llmarch.config.vocabulary import build
from llmarch.errors import ConfigError, UnknownFamily
from llmarch.sources.raw import fold, unfold
from llmarch.tensors.mistral_names import NAMES, hub_name
from llmarch.tensors.template import TensorRow

HEADERS = FIXTURES / "headers"
FIXTURES: dict[str, dict[str, Any]] = {
    p.name.removesuffix(".json.gz"): json.loads(gzip.decompress(p.read_bytes()))
    for p in HEADERS.glob("mi*tral-*.json.gz")
}
NATIVE = sorted(n for n, f in FIXTURES.items() if f["about"].get("config_is") == "params.json")
MISTRAL_7B = {
    "dim": 4096,
    "n_layers": 32,
    "head_dim": 128,
    "hidden_dim": 14336,
    "n_heads": 32,
    "n_kv_heads": 8,
    "norm_eps": 1e-5,
    "vocab_size": 32000,
}
"""As docs/design/mistral_native.md gives it; v0.1 adds a sliding window."""


def read(
    config: dict[str, Any], file: str = "params.json"
) -> tuple[Architecture, dict[str, Evidence], list[str], list[TensorRow]]:
    family, c = configure(config, file)
    evidence: dict[str, Evidence] = {}
    a = build(family.read(c), family.ref, evidence)
    return a, evidence, c.unread(), family.template(a)


@pytest.mark.parametrize("name", NATIVE)
def test_every_native_tensor_is_in_the_template_under_its_hub_name(name: str) -> None:
    ours = {
        unfold(r.pattern, i): r.shape
        for r in read(FIXTURES[name]["config"])[3]
        for i in product(*r.axes)
    }
    theirs: dict[str, tuple[int, ...]] = {}
    for native, (_, shape) in FIXTURES[name]["tensors"].items():
        pattern, index = fold(native)
        hub = hub_name(pattern)
        assert hub is not None, native
        if not hub.endswith(("_scale", "qscale_weight", "qscale_act")):
            text = hub.startswith(("model.", "lm_head"))
            theirs[unfold(("language_model." if text else "") + hub, index)] = tuple(shape)
    assert stacked(theirs) == ours


def stacked(tensors: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Stack the experts, which native files have one by one and transformers' class together."""
    out: dict[str, tuple[int, ...]] = {}
    for name, shape in tensors.items():
        m = re.fullmatch(r"(.*\.experts)\.(\d+)\.(gate|up|down)_proj\.weight", name)
        if m is None:
            out[name] = shape
        elif m[3] == "down":
            out[f"{m[1]}.down_proj"] = (int(m[2]) + 1, *shape)
        else:
            outputs, inputs = shape
            out[f"{m[1]}.gate_up_proj"] = (int(m[2]) + 1, 2 * outputs, inputs)
    return out


@pytest.mark.parametrize("name", NATIVE)
def test_no_native_key_is_left(name: str) -> None:
    assert read(FIXTURES[name]["config"])[2] == []


@pytest.mark.parametrize(
    ("native", "hub"),
    [
        ("ministral-3-3b-reduced-native-fp8", "ministral-3-3b"),
        ("mistral-small-3.1-reduced-native", "mistral-small-3.1-24b"),
    ],
)
def test_both_spellings_of_a_model_give_the_same_architecture(native: str, hub: str) -> None:
    """But for the layers that the fixture leaves out, and the dtype, which params.json does not
    name.
    """
    a, b = read(FIXTURES[native]["config"])[0], read(FIXTURES[hub]["config"], "config.json")[0]
    tower = replace(a.towers["vision"], layers=b.towers["vision"].layers)
    assert replace(a, layers=b.layers, dtype=b.dtype, towers={"vision": tower}) == b


def test_evidence_and_errors_speak_of_the_native_keys() -> None:
    _, evidence, _, _ = read(MISTRAL_7B)
    assert evidence["mixers.full.heads"] == Evidence(kind="config", ref="n_heads")
    assert evidence["norms.rms.eps"] == Evidence(kind="config", ref="norm_eps")
    assert evidence["context_length"] == Evidence(
        kind="unknown", ref="params.json has no max_position_embeddings"
    )
    assert evidence["mixers.full.window"].kind == "default"
    with pytest.raises(
        ConfigError, match=r'^params\.json: n_heads is "32" \(a string\); an integer is needed$'
    ) as error:
        read(MISTRAL_7B | {"n_heads": "32"})
    assert error.value.hint == "mistral reads it from n_heads."
    with pytest.raises(ConfigError, match=r"^params\.json: n_layers is missing$"):
        read({k: v for k, v in MISTRAL_7B.items() if k != "n_layers"})


def test_what_absent_keys_mean() -> None:
    """No window, untied, as many KV heads as heads; the base of the rotary positions went with the
    window.
    """
    a = read({k: v for k, v in MISTRAL_7B.items() if k != "n_kv_heads"})[0]
    full = a.mixers["full"]
    assert isinstance(full, Attention) and full.rope
    assert (full.kv_heads, full.window, full.rope.theta, a.embedding.tied, a.context_length) == (
        32,
        None,
        1e6,
        False,
        None,
    )
    sliding = read(MISTRAL_7B | {"sliding_window": 4096})[0].mixers["sliding"]
    assert isinstance(sliding, Attention) and sliding.rope
    assert (sliding.window, sliding.rope.theta) == (4096, 1e4)


def test_a_list_of_windows_repeats() -> None:
    """Ministral 8B (2410): one full layer, then three that slide; no single window is an error."""
    a, evidence, unread, _ = read(
        MISTRAL_7B | {"n_layers": 6, "_sliding_window": [None, 32768, 32768, 32768]}
    )
    assert (a.layers, unread) == (("full", "sliding", "sliding", "sliding", "full", "sliding"), [])
    assert evidence["layers"].ref == "_sliding_window"
    with pytest.raises(ConfigError, match="_sliding_window"):
        read(MISTRAL_7B | {"_sliding_window": [1, 2]})


def test_mixtral() -> None:
    a, evidence, unread, rows = read(
        MISTRAL_7B | {"moe": {"num_experts": 8, "num_experts_per_tok": 2}}
    )
    moe = a.ffns["moe"]
    assert isinstance(moe, MoE)
    assert (moe.experts, moe.active, moe.expert_width, unread) == (8, 2, 14336, [])
    assert evidence["ffns.moe.experts"].ref == "moe.num_experts"
    assert sum(r.parameters for r in rows) == 46_702_792_704  # published, Mixtral 8x7B


def test_pixtral_12b_has_no_merger() -> None:
    """Its projector is two matrices with biases; sizes of docs/design/mistral_native.md, headers of
    transformers' Pixtral converter.
    """
    tower = {
        "hidden_size": 1024,
        "num_channels": 3,
        "image_size": 1024,
        "patch_size": 16,
        "rope_theta": 10000.0,
        "intermediate_size": 4096,
    }
    tower |= {
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "adapter_bias": True,
        "max_image_size": 1024,
        "image_token_id": 10,
    }
    a, _, unread, rows = read(
        MISTRAL_7B
        | {
            "dim": 5120,
            "n_layers": 40,
            "vocab_size": 131072,
            "rope_theta": 1e9,
            "vision_encoder": tower,
        }
    )
    projector = [r.pattern for r in rows if r.pattern.startswith("multi_modal_projector")]
    assert projector == [
        f"multi_modal_projector.linear_{i}.{p}" for i in (1, 2) for p in ("weight", "bias")
    ]
    assert (a.towers["vision"].merge, unread) == (1, [])


def test_unknown_keys_are_shown_under_their_own_name() -> None:
    unread = read(
        MISTRAL_7B
        | {
            "hidden_size": 1,
            "moe": {"num_experts": 8, "num_experts_per_tok": 2, "new": 1},
            "lora": {"rank": 8},
        }
    )[2]
    assert unread == ["hidden_size", "moe.new"]


def test_another_kind_of_model() -> None:
    with pytest.raises(UnknownFamily, match='"mamba" is not supported'):
        read({"dim": 4096, "n_layers": 64, "model_type": "mamba"})


def test_translation_names_every_key_it_makes() -> None:
    config, spelled = translate(FIXTURES["mistral-large-3-reduced-native"]["config"])

    made = {k for k, v in config.items() if not isinstance(v, dict)}
    made |= {
        f"text_config.{k}" for k, v in config["text_config"].items() if not isinstance(v, dict)
    }
    made |= {f"text_config.rope_parameters.{k}" for k in config["text_config"]["rope_parameters"]}
    made |= {f"vision_config.{k}" for k in config["vision_config"]}
    assert made <= spelled.keys()


@pytest.mark.parametrize(
    ("native", "hub"),
    [
        (
            "layers.{}.attention.wkv_a_with_mqa.weight",
            "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight",
        ),
        (
            "layers.{}.experts.{}.w2.weight_scale",
            "model.layers.{}.mlp.experts.{}.down_proj.weight_scale",
        ),
        ("layers.{}.attention.wq.qscale_act", "model.layers.{}.self_attn.q_proj.qscale_act"),
        ("layers.{}.router_biases", "model.layers.{}.mlp.gate.e_score_correction_bias"),
        (
            "layers.{}.feed_forward.experts.{}.w1.weight",
            "model.layers.{}.block_sparse_moe.experts.{}.w1.weight",
        ),
        ("vision_language_adapter.w_in.bias", "multi_modal_projector.linear_1.bias"),
        ("model.norm.weight", None),
        ("weight", None),
    ],
)
def test_hub_name(native: str, hub: str | None) -> None:
    assert hub_name(native) == hub


def test_no_two_native_names_are_one_on_the_hub() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("windows", [[], [4096, 8192], [{}], [None, "4096"], [[1]]])
def test_a_list_that_is_no_pattern_of_one_window_is_refused(windows: list[Any]) -> None:
    with pytest.raises(ConfigError, match="no single window and pattern of layers"):
        translate(MISTRAL_7B | {"sliding_window": windows})
