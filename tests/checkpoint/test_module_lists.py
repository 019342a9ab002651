"""Every method's list of modules, in every spelling that some engine matches, and in others.

The ways are those of transformers 5.23.0 (should_convert_module), vLLM 0.33.0, SGLang 0.5.23,
compressed-tensors 0.20.0, auto-round 0.16.1, optimum 2.3.0 and mlx-lm 0.32.2, by reading their code
(llmarch/checkpoint/list_readers.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from helpers.quantised_checkpoints import CLEAN, QuantisedCheckpoint

import llmarch
from llmarch.checkpoint.exclusions import ModuleList, module_names
from llmarch.checkpoint.list_readers import readers_of
from llmarch.checkpoint.logical import LogicalTensor
from llmarch.checkpoint.method_loaders import OWN_TENSORS
from llmarch.checkpoint.packing import FORMATS
from llmarch.config.families import family_named
from llmarch.tensors.conversion import Conversion

PARENT = "model.layers.1.self_attn"
LISTED = [f"{PARENT}.{part}_proj" for part in "qkvo"]
OTHER = "model.layers.0.mlp.up_proj"
HEAD = "lm_head"


def within(prefix: str) -> list[str]:
    """Return the listed names with another beginning than `model.`."""
    return [name.replace("model.", prefix, 1) for name in LISTED]


NAMES = [LISTED]
TRANSFORMERS = [
    [PARENT],
    [f"{PARENT}."],
    within(""),
    [f"{PARENT}.[qkvo]_proj"],
    [f"{PARENT}.*"],
    [r"model\.layers\.(?!0\.)\d+\.self_attn"],
    [r".*\.1\.(?:self_attn|none)"],
]
FUSED = [[f"{PARENT}.qkv_proj", f"{PARENT}.o_proj"]]
RUNS = [["layers.1.self_attn"], ["1.self_attn"]]
GLOBS = [
    [f"{PARENT}*"],
    [f"{PARENT}.?_proj"],
    ["*layers.1.self_attn*"],
    ["*.1.self_attn.*"],
    ["model.layers.[1].self_attn*"],
]
MARKED = [
    [f"re:{PARENT}.*"],
    [r"re:.*layers\.1\.self_attn\.(q|k|v|o)_proj$"],
    [r"re:(?!.*mlp)(?!.*layers\.0\.).*self_attn"],
    [r"re:.*layers\.(?P<n>1)\.self_attn(?<!x)"],
]
"""Lists that name the four modules, by the way in which they do."""

WRAPPED = [within("language_model.model."), within("model.language_model."), within("backbone.")]
FOREIGN = [
    *WRAPPED,
    [f"{name}.weight" for name in LISTED],
    ["model.layers.11.self_attn"],
    [PARENT[:-1] + "x"],
    ["re:layers.1.self_attn"],
    ["re:self_attn"],
]
"""Lists that no engine takes for the modules of a model without a wrapper."""

BOUNDARY = [[f"{PARENT}.q_pro"], ["1.self_attn.q_"]]
LISTS: dict[str, tuple[str, list[list[str]], list[list[str]]]] = {
    **dict.fromkeys(
        ("fp8-block", "fp8-static", "mxfp8"),
        (
            "modules_to_not_convert",
            [*NAMES, *TRANSFORMERS, *FUSED, *RUNS],
            [*FOREIGN, *BOUNDARY, *MARKED, ["*.1.self_attn*"]],
        ),
    ),
    "mxfp8-vllm": ("ignored_layers", [*NAMES, [PARENT], *FUSED], FOREIGN),
    **dict.fromkeys(
        ("metal", "gemma-4-bits"),
        (
            "modules_to_not_convert",
            [*NAMES, *TRANSFORMERS],
            [*FOREIGN, *MARKED, [f"{PARENT}.qkv_proj"], ["layers.1.self_attn"]],
        ),
    ),
    **dict.fromkeys(
        ("bnb-nf4", "bnb-int8"),
        (
            "llm_int8_skip_modules",
            [*NAMES, *TRANSFORMERS],
            [*FOREIGN, *MARKED, ["layers.1.self_attn"]],
        ),
    ),
    "awq": ("modules_to_not_convert", [*NAMES, [PARENT], *RUNS], FOREIGN),
    "modelopt-nvfp4": (
        "ignore",
        [*NAMES, [PARENT], *FUSED, *RUNS, *GLOBS],
        [*FOREIGN, *MARKED, ["x.layers.1.self_attn*"]],
    ),
    "modelopt-fp8": ("ignore", [*NAMES, *GLOBS], FOREIGN),
    **dict.fromkeys(
        ("ct-int4", "ct-fp8-dynamic", "ct-nvfp4"),
        (
            "ignore",
            [*NAMES, *MARKED, within("")],
            [*FOREIGN, [PARENT], *GLOBS, *TRANSFORMERS[3:], ["layers.1.self_attn"]],
        ),
    ),
    "quark-fp8": (
        "exclude",
        [*NAMES, *MARKED, ["*layers.1.self_attn*"], [f"{PARENT}.*"]],
        [*FOREIGN, [PARENT], within("")],
    ),
}
"""The key of the list by style, with lists that some engine takes for the modules, and others."""


def stored_plain(checkpoint: QuantisedCheckpoint, modules: list[str]) -> QuantisedCheckpoint:
    """Return a checkpoint with modules in 16 bits, without what was stored beside them."""
    plain = CLEAN["bitnet-plain"]().tensors
    starts = tuple(f"{module}." for module in modules)
    kept = {n: t for n, t in checkpoint.tensors.items() if not n.startswith(starts)}
    return checkpoint.with_tensors(
        {**kept, **{f"{m}.weight": plain[f"{m}.weight"] for m in modules}}
    )


def assert_list_is_obeyed(checkpoint: QuantisedCheckpoint, what: object) -> None:
    """Check that exactly the listed modules may be plain."""
    exact = stored_plain(checkpoint, LISTED).verified()
    assert [f.message for f in exact.findings if f.severity != "info"] == [], what
    assert exact.status == "verified", what
    assert checkpoint.verified().status == "conflict", f"{what}: listed, and packed"
    more = stored_plain(checkpoint, [*LISTED, OTHER]).verified()
    assert more.status == "conflict", what
    assert any(f.path == f"{OTHER}.weight" for f in more.findings), what


def declaring(style: str, key: str, entries: list[str]) -> QuantisedCheckpoint:
    return CLEAN[style]().declaring(key, [*entries, HEAD])


@pytest.mark.parametrize("style", LISTS)
def test_exactly_the_listed_modules_may_be_plain(style: str) -> None:
    key, taken, _ = LISTS[style]
    for entries in taken:
        assert_list_is_obeyed(declaring(style, key, entries), entries)


@pytest.mark.parametrize("style", LISTS)
def test_spellings_that_no_engine_matches_leave_nothing_out(style: str) -> None:
    key, _, foreign = LISTS[style]
    for entries in foreign:
        checkpoint = declaring(style, key, entries)
        assert stored_plain(checkpoint, LISTED).verified().status == "conflict", entries
        assert checkpoint.verified().status == "verified", entries


RULES: dict[str, list[dict[str, Any]]] = {
    "gptq/dynamic": [
        {f"-:{name}": {} for name in LISTED},
        {r"-:model\.layers\.1\.self_attn.*": {}},
        {r"-:.*\.1\.self_attn": {}},
        {r"-:(?!.*layers\.0)(?!.*mlp)": {}},
    ],
    "auto-round-gptq/extra_config": [
        {name: {"bits": 16} for name in LISTED},
        {name: {"bits": 16} for name in within("")},
        {r".*layers\.1\.self_attn.*": {"bits": 16, "data_type": "float"}},
        {r"layers\.1\.(?=self_attn)": {"bits": 16}},
    ],
    "mlx/": [dict.fromkeys(LISTED, False)],
}
"""Rules that leave the modules out, by style and key."""

OTHER_RULES: dict[str, list[dict[str, Any]]] = {
    "gptq/dynamic": [
        {r"-:layers\.1\.self_attn": {}},
        {f"-:{name}": {} for name in within("language_model.model.")},
        {f"+:{PARENT}.*": {"bits": 4}},
    ],
    "auto-round-gptq/extra_config": [{r".*layers\.11\.self_attn.*": {"bits": 16}}],
    "mlx/": [{PARENT: False}, dict.fromkeys(within("language_model."), False)],
}


def ruled(where: str, rules: dict[str, Any]) -> QuantisedCheckpoint:
    style, _, key = where.partition("/")
    checkpoint = CLEAN[style]()
    if key:
        return checkpoint.declaring(key, rules)
    declared = {**checkpoint.config["quantization_config"], **rules}
    return checkpoint._replace(config={**checkpoint.config, "quantization_config": declared})


@pytest.mark.parametrize("where", RULES)
def test_rules_for_modules(where: str) -> None:
    for rules in RULES[where]:
        assert_list_is_obeyed(ruled(where, rules), rules)
    for rules in OTHER_RULES[where]:
        checkpoint = stored_plain(ruled(where, rules), LISTED)
        assert checkpoint.verified().status == "conflict", rules


ATTENTION = [f"model.layers.{i}.self_attn.{part}_proj" for i in (0, 1) for part in "qkvo"]
TARGETS: list[tuple[str, str, Any]] = [
    ("gptq", "modules_in_block_to_quantize", [["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]),
    ("ct-int4", "config_groups/group_0/targets", ["re:.*mlp.*"]),
    ("ct-int4", "config_groups/group_0/targets", [r"re:model\.layers\.\d+\.(?!self_attn)"]),
    (
        "ct-int4",
        "config_groups/group_0/targets",
        [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("gate", "up", "down")],
    ),
]


@pytest.mark.parametrize(("style", "key", "value"), TARGETS, ids=str)
def test_only_targets_may_be_packed(style: str, key: str, value: Any) -> None:
    checkpoint = CLEAN[style]().declaring(key, value)
    assert stored_plain(checkpoint, ATTENTION).verified().status == "verified"
    assert checkpoint.verified().status == "conflict"
    assert stored_plain(checkpoint, [*ATTENTION, OTHER]).verified().status == "conflict"


def test_every_list_that_is_read_is_tried() -> None:
    """Methods whose tensors are not unpacked are never verified, whatever their lists say."""
    tried = {CLEAN[style]().config["quantization_config"].get("quant_method") for style in LISTS}
    tried |= {"gptq", "auto-round", "mlx"}
    readers = {readers_of(str(method)) for method in tried}
    methods = {method for format in FORMATS for method in format.methods}
    without_lists = {"mistral", "w8a8_fp8", "w8a8_int8"}
    assert {m for m in methods if readers_of(m) not in readers} <= without_lists
    assert methods.isdisjoint(OWN_TENSORS)


FULL_HEAD_LISTS = ("fp8-block", "fp8-static", "mxfp8", "bnb-nf4", "bnb-int8")


@pytest.mark.parametrize("style", [*FULL_HEAD_LISTS, "metal", "gemma-4-bits"])
def test_a_plain_head_that_a_list_does_not_name(style: str) -> None:
    """transformers quantises it, unless there is no list; it is the only loader of some methods."""
    key = LISTS[style][0]
    checkpoint = stored_plain(CLEAN[style](), LISTED)
    result = checkpoint.declaring(key, LISTED).verified()
    assert result.status == ("verified" if style in FULL_HEAD_LISTS else "conflict")
    (finding,) = result.findings
    assert finding.path == f"{HEAD}.weight" and "transformers quantises" in finding.message
    assert not checkpoint.declaring(key, [*LISTED, HEAD]).verified().findings
    assert CLEAN[style]().declaring(key, None).verified().status == "verified"


def test_lists_that_no_engine_loads_whole() -> None:
    """One name that transformers alone matches, and one that SGLang alone does."""
    entries = [r"model\.layers\.1\.self_attn", "layers.0.self_attn", HEAD]
    checkpoint = CLEAN["fp8-block"]().declaring("modules_to_not_convert", entries)
    attention = [name.replace(".1.", ".0.") for name in LISTED]
    result = stored_plain(checkpoint, [*LISTED, *attention]).verified()
    assert result.status == "conflict"
    assert any("no engine loads all" in finding.message for finding in result.findings)


WRAPPED_MODELS = ("gemma3-27b", "qwen3.5-27b", "mistral-small-3.1", "kimi-k2.5", "llama4-scout")
UNWRAPPED_MODELS = ("qwen3-8b", "gpt2", "mixtral-8x7b", "deepseek-v3", "falcon-7b", "phi-4")


@pytest.mark.parametrize("alias", WRAPPED_MODELS + UNWRAPPED_MODELS)
def test_wrappers_are_names_of_wrapped_models_alone(alias: str) -> None:
    reading = llmarch.load(alias)
    family = family_named(reading.architecture.family)
    conversion = family.conversion(reading.architecture)
    starts = ("language_model.model.", "model.language_model.", "backbone.")
    for row in reading.rows:
        if row.component not in ("attention", "mlp", "experts"):
            continue
        tensor = LogicalTensor(row.pattern, "BF16", row.shape, [], row.pattern)
        names = module_names(tensor, [row], conversion)
        found = {start for start in starts if any(name.startswith(start) for name in names)}
        assert found == (set(starts[:2]) if alias in WRAPPED_MODELS else set()), names


def test_nemotron_h_has_two_names() -> None:
    row = next(r for r in llmarch.load("nemotron-3-nano").rows if r.component == "attention")
    tensor = LogicalTensor(row.pattern, "BF16", row.shape, [], row.pattern)
    names = module_names(tensor, [row], Conversion())
    assert {name.partition(".layers")[0] for name in names} >= {"backbone", "model"}


@pytest.mark.parametrize(("names", "is_told"), [(None, False), ([], True), (["lm_head"], False)])
def test_a_list_of_no_modules_is_a_list(names: list[str] | None, is_told: bool) -> None:
    """Where there is none, transformers leaves the head as it is."""
    checkpoint = CLEAN["fp8-block"]()
    declared = {**checkpoint.config["quantization_config"], "modules_to_not_convert": names}
    config = {**checkpoint.config, "quantization_config": declared}
    result = checkpoint._replace(config=config).verified()
    assert result.status == "verified"
    assert any(f.rule == "list-by-reader" for f in result.findings) is is_told
    quantization = result.architecture.quantization
    assert quantization is not None and quantization.excludes_none is is_told


# --- one list after another -----------------------------------------------------------------------

Indices = list[tuple[int, ...]]
MATCHED: list[tuple[str, str, str, Indices, Indices]] = [
    ("fp8", "lm_head", "lm_head", [()], [()]),
    ("fp8", "gate", "model.layers.{}.mlp.gate", [(0,), (1,)], [(0,), (1,)]),
    ("fp8", "gate", "model.layers.{}.mlp.gate_proj", [(0,)], []),
    ("fp8", "proj", "model.layers.{}.mlp.gate_proj", [(0,)], [(0,)]),
    ("fp8", "model.layers.1", "model.layers.{}.mlp.up_proj", [(1,), (11,)], [(1,)]),
    ("fp8", "model.layers.1.mlp", "model.layers.{}.mlp.experts.{}.w1", [(0, 3), (1, 3)], [(1, 3)]),
    (
        "fp8",
        "model.layers.1.mlp.experts.3.w1",
        "model.layers.{}.mlp.experts.{}.w1",
        [(1, 2), (1, 3), (3, 3)],
        [(1, 2), (1, 3)],
    ),
    ("awq", "gate", "model.layers.{}.mlp.gate_proj", [(0,)], [(0,)]),
    (
        "modelopt",
        "*.mlp.shared_expert.*",
        "model.layers.{}.mlp.shared_expert.up_proj",
        [(0,)],
        [(0,)],
    ),
    ("modelopt", "*.experts.3.*", "model.layers.{}.mlp.experts.{}.w1", [(3, 1), (1, 3)], [(1, 3)]),
    ("quark", "*.experts.3.*", "model.layers.{}.mlp.experts.{}.w1", [(3, 1), (1, 3)], [(1, 3)]),
    (
        "modelopt",
        "model.layers.1*",
        "model.layers.{}.mlp.up_proj",
        [(0,), (1,), (2,), (10,), (19,), (21,)],
        [(1,), (10,), (19,)],
    ),
    (
        "compressed-tensors",
        r"re:.*layers\.(0|2)\..*",
        "model.layers.{}.mlp.up_proj",
        [(0,), (1,), (2,), (3,)],
        [(0,), (2,)],
    ),
    (
        "compressed-tensors",
        r"re:model\.layers\.\d\.",
        "model.layers.{}.mlp.up_proj",
        [(5,), (15,), (7,), (100,)],
        [(5,), (7,)],
    ),
    (
        "compressed-tensors",
        r"re:.*layers\.(?!\d\.).*",
        "model.layers.{}.mlp.up_proj",
        [(5,), (15,), (7,)],
        [(15,)],
    ),
    (
        "compressed-tensors",
        r"re:.*mlp\.(gate|up)_proj",
        "model.layers.{}.mlp.experts.{}.up_proj",
        [(1, 0)],
        [],
    ),
    ("compressed-tensors", "gate", "model.layers.{}.mlp.gate", [(0,)], [(0,)]),
]


@pytest.mark.parametrize(("method", "entry", "module", "indices", "expected"), MATCHED)
def test_what_entries_mean(
    method: str, entry: str, module: str, indices: Indices, expected: Indices
) -> None:
    tensor = LogicalTensor(f"{module}.weight", "U8", (1,), indices, f"{module}.weight", "x")
    found = ModuleList((entry,), readers_of(method)).matched_by_some(tensor, [module])
    assert sorted(found) == expected


@pytest.mark.parametrize(
    ("glob", "number", "expected"),
    [
        ("model.layers.0*", 0, True),
        ("model.layers.1*", 12, True),
        ("model.layers.1?.mlp", 12, True),
        ("model.layers.1?.mlp", 1, False),
        ("model.layers.[12]?.mlp", 12, True),
        ("model.layers.[!1]?.mlp", 12, False),
        ("model.layers.1*.attn", 12, False),
        ("model.layers.[2].mlp*", 2, True),
        ("model.layers.[2].mlp*", 12, False),
        ("model.layers.[12].mlp.up_proj", 1, True),
    ],
)
def test_globs_of_parts_of_numbers(glob: str, number: int, expected: bool) -> None:
    name = "model.layers.{}.mlp.up_proj"
    tensor = LogicalTensor(f"{name}.weight", "U8", (1,), [(number,)], name, "x")
    found = ModuleList((glob,), readers_of("modelopt")).matched_by_some(tensor, [name])
    assert bool(found) == expected
