"""Small models whose layers have values of their own, as transformers builds them.

The config key is `per_layer_config`; the rows go to tests/fixtures/per_layer.json.

    ORACLE/bin/python tests/oracle/per_layer.py [OUT.json]

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. Of the classes that
llmarch reads, those of Gemma 4 and Step build layers by the key in transformers 5.23.0; Gemma 4
wants the same values in all layers of a type.

A row of "models" is {"given", "saved", "shapes", "windows"}: `given`, the config as it was passed;
`saved`, config.json as save_pretrained writes it; `shapes`, those of the tensors of attention by
name; `windows`, by layer.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.gemma4.modeling_gemma4 import Gemma4ForCausalLM
from transformers.models.step3p7.modeling_step3p7 import Step3p7TextModel

transformers.logging.set_verbosity_error()
CLASSES = {"gemma4_text": Gemma4ForCausalLM, "step3p5": Step3p7TextModel}
S, F = "sliding_attention", "full_attention"
GEMMA4 = dict(
    model_type="gemma4_text",
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=64,
    hidden_size_per_layer_input=0,
    sliding_window=8,
    pad_token_id=0,
    layer_types=[S, S, F, S, S, F],
)
STEP = dict(
    model_type="step3p5",
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=64,
    moe_intermediate_size=8,
    n_routed_experts=4,
    num_experts_per_tok=2,
    share_expert_dim=8,
    sliding_window=8,
    pad_token_id=0,
    layer_types=[S, S, F, S, S, F],
)
FULL = {"2": dict(head_dim=32), "5": dict(head_dim=32)}


def settings():
    yield GEMMA4
    yield GEMMA4 | dict(global_head_dim=32)
    yield GEMMA4 | dict(global_head_dim=16)
    yield GEMMA4 | dict(global_head_dim=32, num_global_key_value_heads=1)
    yield GEMMA4 | dict(global_head_dim=32, num_global_key_value_heads=1, attention_k_eq_v=True)
    yield GEMMA4 | dict(per_layer_config={})
    yield GEMMA4 | dict(per_layer_config=FULL)
    yield GEMMA4 | dict(per_layer_config=FULL, global_head_dim=64, num_global_key_value_heads=1)
    for own in (
        dict(num_key_value_heads=4),
        dict(num_attention_heads=2),
        dict(sliding_window=4),
    ):
        yield GEMMA4 | dict(per_layer_config={**FULL, **{str(i): own for i in (0, 1, 3, 4)}})
    yield GEMMA4 | dict(per_layer_config={"05": dict(head_dim=32), "02": dict(head_dim=32)})
    yield GEMMA4 | dict(per_layer_config={str(i): dict(head_dim=32) for i in range(6)})
    yield STEP
    yield STEP | dict(num_sliding_attention_heads=8)
    yield STEP | dict(attention_other_setting=dict(num_attention_heads=8))
    yield STEP | dict(num_sliding_attention_heads=8, per_layer_config={})
    yield STEP | dict(per_layer_config={"0": dict(num_attention_heads=2)})
    yield STEP | dict(per_layer_config={"2": dict(num_key_value_heads=1, head_dim=8)})


def row(given):
    config = CONFIG_MAPPING[given["model_type"]](**json.loads(json.dumps(given)))
    with torch.device("meta"):
        model = CLASSES[given["model_type"]](config)
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        saved = json.loads(pathlib.Path(folder, "config.json").read_text())
    tensors = {f"model.{k.removeprefix('model.')}": v for k, v in model.state_dict().items()}
    shapes = {k: list(v.shape) for k, v in tensors.items() if ".self_attn." in k}
    windows = [
        layer.sliding_window if kind == S else None
        for layer, kind in zip(config.per_layer_config, config.layer_types)
    ]
    return {"given": given, "saved": saved, "shapes": shapes, "windows": windows}


if __name__ == "__main__":
    fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "per_layer.json"
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else fixture
    rows, refused = [], []
    for given in settings():
        try:
            rows.append(json.dumps(row(given)))
        except (RuntimeError, ValueError) as error:  # what 5.23.0 cannot build by layer
            refused.append(f"{given['model_type']} {given.get('per_layer_config')}: {error}"[:160])
    print(*refused, sep="\n")
    about = {"by": "tests/oracle/per_layer.py", "transformers": transformers.__version__}
    joined = ",\n".join(rows)
    out.write_text(f'{{"_about": {json.dumps(about)},\n"models": [\n{joined}\n]}}\n')
    print(f"{out}: {out.stat().st_size:,} bytes")
