"""`per_layer_config` gives single layers values of their own, in every family.

The fixture per_layer.json is written by tests/oracle/per_layer.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import FIXTURES, SPECS

from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.fingerprint import fingerprint
from llmarch.architecture.schema import Architecture, Attention, Evidence, Finding, LatentAttention
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.compare.diff import diff
from llmarch.errors import ConfigError
from llmarch.sources.aliases import bundled_models
from llmarch.tensors.template import TensorRow, layer_norms

Config = dict[str, Any]

MODELS = json.loads((FIXTURES / "per_layer.json").read_text())["models"]


class Read:
    def __init__(self, config: Config) -> None:
        family, keys = configure(config, "config.json")
        self.evidence: dict[str, Evidence] = {}
        built = build_with_template(family, keys, self.evidence)
        self.architecture: Architecture = built[0]
        self.rows: list[TensorRow] = built[1]
        self.unread = keys.unread()
        self.findings: list[Finding] = keys.findings

    def shapes(self) -> dict[str, list[int]]:
        shapes: dict[str, list[int]] = {}
        for row in self.rows:
            for layer in row.axes[0] if row.axes else ():
                name = row.pattern.replace("{}", str(layer), 1)
                shapes[name] = list(row.shape)
        return shapes


def spec(alias: str) -> Config:
    return json.loads((SPECS / f"{alias}.json").read_text())["config"]


def text_of(config: Config) -> Config:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def with_text(config: Config, **values: Any) -> Config:
    text = {**text_of(config), **values}
    if isinstance(config.get("text_config"), dict):
        return {**config, "text_config": text}
    return text


@pytest.mark.parametrize("spelling", ["given", "saved"])
@pytest.mark.parametrize("number", range(len(MODELS)))
def test_as_transformers_builds_it(number: int, spelling: str) -> None:
    row = MODELS[number]
    read = Read(row[spelling])
    shapes = {k: v for k, v in read.shapes().items() if ".self_attn." in k}
    assert shapes == row["shapes"]
    windows = [
        mixer.window
        for kind in read.architecture.layers
        for mixer in read.architecture.blocks_of(kind)
        if isinstance(mixer, Attention)
    ]
    assert windows == row["windows"]
    assert read.unread == []
    assert read.findings == []


# --- every bundled model ------------------------------------------------------------------------

ALIASES = sorted(a for a in bundled_models() if "model_type" in spec(a))
KEYS = ("num_key_value_heads", "intermediate_size", "rope_theta", "rms_norm_eps", "kv_lora_rank")
CLASS_READS_ANOTHER_WAY = {
    "gemma4": "with the key, head_dim and num_key_value_heads are those of full layers too",
    "step3p7": "with the key, sliding layers have the query heads of full layers",
}


def layer_count(config: Config) -> int:
    return len(Read(config).architecture.layers)


@pytest.mark.parametrize("alias", ALIASES)
def test_values_that_all_layers_have_anyway_change_nothing(alias: str) -> None:
    config = spec(alias)
    plain = Read(config)
    if plain.architecture.family in CLASS_READS_ANOTHER_WAY:
        pytest.skip(CLASS_READS_ANOTHER_WAY[plain.architecture.family])
    text = text_of(config)
    own = {key: text[key] for key in KEYS if key in text}
    if plain.architecture.family == "lfm2":
        del own["intermediate_size"]  # replaced by block_ff_dim, which layers cannot have
    depth = len(plain.architecture.layers)
    for layers in (range(0), range(depth), range(1, depth, 2)):
        entries = {f"{layer:03}": own for layer in layers}
        read = Read(with_text(config, per_layer_config=entries))
        assert diff(plain.architecture, read.architecture) == []
        assert fingerprint(plain.architecture) == fingerprint(read.architecture)
        assert [k for k in read.unread if "per_layer_config" in k] == []


@pytest.mark.parametrize("alias", ALIASES)
def test_a_layer_with_a_value_of_its_own(alias: str) -> None:
    """One layer has another eps: a fact of each family that is about layers."""
    config = spec(alias)
    key = next((k for k in text_of(config) if k.endswith(("norm_eps", "norm_epsilon"))), None)
    if key is None:
        pytest.skip("its eps is the class default")
    plain = Read(with_text(config, per_layer_config={}))
    read = Read(with_text(config, per_layer_config={"2": {key: 0.25}}))
    a = read.architecture
    own = {name for name, norm in a.norms.items() if norm.eps == 0.25}
    if not own:  # a key that the class has and does not use
        assert diff(plain.architecture, a) == []
        return
    assert (a.final_norm in own) is False
    steps = [a.layer_kinds[kind].steps for kind in a.layers]
    assert [i for i in range(len(steps)) if own & {*layer_norms(steps[i])}] == [2]
    assert count_parameters(a) == count_parameters(plain.architecture)
    (path,) = {e.ref for p, e in read.evidence.items() if p == f"norms.{min(own)}.eps"}
    assert path.endswith(f"per_layer_config.2.{key}")


def test_facts_by_layer() -> None:
    config = spec("llama3.1-8b") | {
        "per_layer_config": {
            "1": {"num_key_value_heads": 4, "intermediate_size": 1024},
            "3": {"num_key_value_heads": 4},
            "30": {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}},
        }
    }
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5}
    del config["rope_theta"], config["rope_scaling"]
    read = Read(config)
    a = read.architecture
    by_layer = [a.blocks_of(kind) for kind in a.layers]
    assert [i for i, (mixer, _) in enumerate(by_layer) if mixer.kv_heads == 4] == [1, 3]
    assert [i for i, (_, ffn) in enumerate(by_layer) if ffn.width == 1024] == [1]
    assert [i for i, (mixer, _) in enumerate(by_layer) if mixer.rope.theta == 7.0] == [30]
    assert read.unread == []
    shapes = read.shapes()
    assert shapes["model.layers.3.self_attn.k_proj.weight"] == [512, 4096]
    assert shapes["model.layers.2.self_attn.k_proj.weight"] == [1024, 4096]
    assert read.evidence["mixers.full_2.kv_heads"].ref == "per_layer_config.1.num_key_value_heads"


def test_layers_that_share_keys_and_values_keep_their_source() -> None:
    config = spec("gemma3n-e2b")
    changed = {"rms_norm_eps": 0.5}
    depth = layer_count(config)
    read = Read(with_text(config, per_layer_config={str(i): changed for i in range(depth)}))
    plain = Read(config)
    assert [m.kv_from for m in read.architecture.mixers.values() if isinstance(m, Attention)] == [
        m.kv_from for m in plain.architecture.mixers.values() if isinstance(m, Attention)
    ]


def test_mtp_modules_are_like_the_layers_that_have_their_mixer() -> None:
    deepseek = spec("deepseek-v3")
    entries = {str(i): {"kv_lora_rank": 256} for i in range(3, 61)}
    read = Read(deepseek | {"per_layer_config": entries})
    a = read.architecture
    assert a.mtp is not None and a.mtp.layer_kind == a.layers[-1]
    (mixer, _) = a.blocks_of(a.mtp.layer_kind)
    assert isinstance(mixer, LatentAttention) and mixer.kv_lora_rank == 256


def test_keys_that_nothing_reads_are_shown() -> None:
    config = spec("qwen3-0.6b")
    read = Read(config | {"per_layer_config": {"4": {"odd": 1, "num_key_value_heads": 4}}})
    assert read.unread == ["per_layer_config.4.odd"]


def test_a_config_need_not_have_a_key_that_all_layers_have() -> None:
    config = spec("qwen3-0.6b")
    width = config.pop("intermediate_size")
    entries = {str(i): {"intermediate_size": width} for i in range(28)}
    read = Read(config | {"per_layer_config": entries})
    assert diff(Read(spec("qwen3-0.6b")).architecture, read.architecture) == []


def test_entries_beyond_the_last_layer_are_a_finding() -> None:
    entries = {str(i): {"num_key_value_heads": 4} for i in (27, 28, 29)}
    read = Read(spec("qwen3-0.6b") | {"per_layer_config": entries})
    (finding,) = read.findings
    assert (finding.rule, finding.path, finding.severity) == (
        "layer-list-length",
        "per_layer_config",
        "weights",
    )


@pytest.mark.parametrize("keys", [("3", "03"), ("03", "3"), ("3", " 3")])
def test_of_two_entries_for_one_layer_the_last_counts(keys: tuple[str, str]) -> None:
    """transformers makes a dict of `int(layer_idx)` (integrations/heterogeneity)."""
    first, last = keys
    entries = {first: {"num_key_value_heads": 4}, last: {"num_key_value_heads": 2}}
    read = Read(spec("qwen3-0.6b") | {"per_layer_config": entries})
    alone = Read(spec("qwen3-0.6b") | {"per_layer_config": {last: entries[last]}})
    assert read.architecture == alone.architecture
    (finding,) = read.findings
    assert (finding.rule, finding.severity) == ("config-contradiction", "behaviour")
    assert "transformers takes the latter" in finding.message
    same = {first: entries[last], last: entries[last]}
    assert Read(spec("qwen3-0.6b") | {"per_layer_config": same}).findings == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"one": {}}, "per_layer_config.one is not the number of a layer"),
        ({"-1": {}}, "per_layer_config.-1 is not the number of a layer"),
        ({"1": [1]}, "per_layer_config.1 is not an object"),
        ({"1": {"skip": ["mlp"]}}, r'per_layer_config.1 skips \["mlp"\]'),
        ({"1": {"hidden_size": 8}}, "per_layer_config.1 changes hidden_size"),
        ({"1": {"num_hidden_layers": 8}}, "per_layer_config.1 changes the number of layers"),
        ({"1": {"vocab_size": 8}}, "per_layer_config.1 changes vocab_size"),
        ({"1": {"intermediate_size": "x"}}, "per_layer_config.1.intermediate_size is"),
        ([], "per_layer_config is"),
    ],
)
def test_entries_that_make_no_model(entries: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Read(spec("qwen3-0.6b") | {"per_layer_config": entries})


def test_too_many_different_layers() -> None:
    config = spec("qwen3-0.6b") | {"num_hidden_layers": 600}
    entries = {str(i): {"intermediate_size": i + 1} for i in range(600)}
    with pytest.raises(ConfigError, match="600 different entries; at most 500"):
        Read(config | {"per_layer_config": entries})
