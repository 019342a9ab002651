"""Whether transformers ties the head of a wrapper by its flag or by its text part's.

    ORACLE/bin/python tests/oracle/tied_flags.py [OUT.json]    -> tests/fixtures/tied_flags.json

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. A row of "rows" is
[model_type, of the text part, flag of the wrapper, of the text part, whether the head is tied]; a
flag is null where the config has none. gemma3n and step3p7 are left out: the one needs timm, the
other's class has no flag.
"""

import json
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 64,
    "pad_token_id": 0,
    "moe_intermediate_size": 8,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_attention_heads": 4,
    "num_heads": 4,
    "image_size": 28,
    "patch_size": 14,
    "out_hidden_size": 32,
    "deepstack_visual_indexes": [],
}
WRAPPERS = {
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "mistral3": "mistral",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "kimi_k25": "deepseek_v3",
    "minimax_m3_vl": "minimax_m3_vl_text",
}


def is_tied(model_type, text_type, top, nested):
    config = {"text_config": {**TEXT, "model_type": text_type}, "vision_config": {**VISION}}
    if model_type == "mistral3":
        config["vision_config"]["model_type"] = "pixtral"
    if top is not None:
        config["tie_word_embeddings"] = top
    if nested is not None:
        config["text_config"]["tie_word_embeddings"] = nested
    made = CONFIG_MAPPING[model_type](**json.loads(json.dumps(config)))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(made)
    model.tie_weights()
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def main(out):
    flags = (None, False, True)
    rows = [
        [model_type, text_type, top, nested, is_tied(model_type, text_type, top, nested)]
        for model_type, text_type in WRAPPERS.items()
        for top in flags
        for nested in flags
    ]
    about = {"by": "tests/oracle/tied_flags.py", "transformers": transformers.__version__}
    joined = ",\n".join(map(json.dumps, rows))
    out.write_text(f'{{"_about": {json.dumps(about)},\n"rows": [\n{joined}\n]}}\n')
    print(f"{out}: {len(rows)} rows")


if __name__ == "__main__":
    fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "tied_flags.json"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else fixture)
