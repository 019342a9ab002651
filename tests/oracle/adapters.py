"""Adapters that peft saves of tiny models -> tests/fixtures/adapters.json.gz

    ORACLE/bin/python tests/oracle/adapters.py [OUT.json.gz]

ORACLE is a scratch environment with torch 2.13.0, transformers 5.23.0 and peft 0.21.2; never a dependency of llmarch. Each row: the base,
what was asked for, adapter_config.json as written, dtype and shape of each saved tensor, the parameters that peft trains, and how many it
says that the model has with them. `bases` has the config of each base as transformers saves it. Nothing of llmarch is imported.
"""
import gzip, json, os, pathlib, sys, tempfile, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")
import peft, torch, transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSequenceClassification

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, vocab_size=96, max_position_embeddings=64)
EXPERTS = dict(num_experts=4, num_local_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, decoder_sparse_step=1)
TEXT = SMALL | {"head_dim": 8, "sliding_window": 16}
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
BASES = {
    "llama": SMALL,
    "llama-tied": SMALL | {"tie_word_embeddings": True},
    "llama-biased": SMALL | {"attention_bias": True, "mlp_bias": True},
    "qwen2": SMALL,
    "qwen3": SMALL | {"head_dim": 16},
    "gemma3_text": TEXT | {"num_hidden_layers": 7},
    "phi3": SMALL | {"pad_token_id": 0},
    "gpt2": dict(n_embd=32, n_layer=3, n_head=4, vocab_size=96, n_positions=64),
    "gpt_neox": {k: v for k, v in SMALL.items() if k != "num_key_value_heads"},
    "opt": dict(hidden_size=32, ffn_dim=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=96, word_embed_proj_dim=32, max_position_embeddings=64),
    "bloom": dict(hidden_size=32, n_layer=3, n_head=4, vocab_size=96),
    "falcon": dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, vocab_size=96),
    "mixtral": SMALL | EXPERTS,
    "qwen3_moe": SMALL | EXPERTS | {"head_dim": 8},
    "qwen2_moe": SMALL | EXPERTS | {"shared_expert_intermediate_size": 40},
    "gpt_oss": TEXT | EXPERTS,
    "deepseek_v3": SMALL | dict(num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, n_group=2, topk_group=1,
                                first_k_dense_replace=1, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16),
    "mamba": dict(hidden_size=32, num_hidden_layers=3, vocab_size=96, state_size=8, time_step_rank=4),
    "gemma3": {"text_config": TEXT | {"model_type": "gemma3_text", "num_hidden_layers": 7}, "vision_config": VISION | {"model_type": "siglip_vision_model"}, "mm_tokens_per_image": 4},
}
ATTENTION, MLP = ["q_proj", "v_proj"], ["gate_proj", "up_proj", "down_proj"]
LORA, CAUSAL = "LoraConfig", {"task_type": "CAUSAL_LM"}
ROWS = [
    ("llama", LORA, {}), ("llama", LORA, {"target_modules": ATTENTION, "r": 4, "lora_alpha": 16}),
    ("llama", LORA, {"target_modules": "all-linear"}), ("llama", LORA, {"target_modules": r".*layers\.(0|2)\.self_attn\.[qk]_proj", "r": 2}),
    ("llama", LORA, {"target_modules": ATTENTION + MLP, "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 16}, "alpha_pattern": {"v_proj": 64}}),
    ("llama", LORA, {"target_modules": ATTENTION, "rank_pattern": {"^model.layers.0.self_attn.q_proj": 3}, "use_rslora": True, "lora_alpha": 16}),
    ("llama", LORA, {"target_modules": ATTENTION, "use_dora": True}), ("llama", LORA, {"target_modules": ATTENTION, "lora_bias": True}),
    ("llama", LORA, {"target_modules": ATTENTION, "modules_to_save": ["lm_head", "embed_tokens"]}),
    ("llama", LORA, {"target_modules": ["embed_tokens", "lm_head", "q_proj"]}), ("llama", LORA, {"target_modules": ["embed_tokens"], "r": 5}),
    ("llama", LORA, {"target_modules": ATTENTION, "layers_to_transform": [0, 2]}), ("llama", LORA, {"target_modules": ATTENTION, "layers_to_transform": 1, "layers_pattern": "layers"}),
    ("llama", LORA, {"target_modules": ATTENTION, "exclude_modules": ["layers.0.self_attn.q_proj"]}),
    ("llama", LORA, {"target_modules": "all-linear", "exclude_modules": r".*\.mlp\..*"}),
    ("llama", LORA, {"target_modules": ["self_attn.q_proj", "model.layers.1.mlp.up_proj"]}), ("llama", LORA, {"target_modules": ["q_proj", "absent_proj"]}),
    ("llama", LORA, {"target_modules": ATTENTION, "trainable_token_indices": [1, 5, 7]}), ("llama", LORA, {"target_parameters": ["q_proj.weight", "mlp.up_proj.weight"]}),
    ("llama", LORA, {"target_modules": ATTENTION, "modules_to_save": ["input_layernorm"]}), ("llama", LORA, {"target_modules": ATTENTION, "layer_replication": [[0, 2], [1, 3]]}),
    ("llama", LORA, {"task_type": "SEQ_CLS", "target_modules": ATTENTION}),
    ("llama-tied", LORA, {"target_modules": "all-linear"}), ("llama-tied", LORA, {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens"]}),
    ("llama-tied", LORA, {"target_modules": ["embed_tokens", "lm_head"]}), ("llama-tied", LORA, {"target_modules": ["lm_head", "q_proj"], "r": 3}),
    ("llama-biased", LORA, {"target_modules": ATTENTION, "bias": "all"}), ("llama-biased", LORA, {"target_modules": ATTENTION, "bias": "lora_only"}),
    *[(b, LORA, {}) for b in ("qwen2", "qwen3", "gemma3_text", "gpt2", "gpt_neox", "opt", "bloom", "falcon", "mixtral")],
    *[(b, LORA, {"target_modules": "all-linear", "r": 4}) for b in BASES if not b.startswith("llama")],
    ("gpt2", LORA, {"target_modules": ["c_attn", "c_proj", "wte"], "fan_in_fan_out": True, "r": 4}), ("gpt2", LORA, {"target_modules": ["c_fc"], "use_dora": True, "fan_in_fan_out": True}),
    ("qwen3_moe", LORA, {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"], "r": 2}),
    ("qwen3_moe", LORA, {"target_parameters": ["mlp.experts.down_proj"], "target_modules": [], "r": 2, "rank_pattern": {"experts.down_proj": 6}}),
    ("gpt_oss", LORA, {"target_modules": ["q_proj"], "target_parameters": ["0.mlp.experts.gate_up_proj", "1.mlp.experts.down_proj"], "r": 2}),
    ("mixtral", LORA, {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.gate.weight"], "target_modules": [], "r": 2}),
    ("gemma3", LORA, {"target_modules": r".*language_model.*\.(q_proj|v_proj)"}), ("gemma3", LORA, {"target_modules": ATTENTION}),
    ("mamba", LORA, {"target_modules": ["x_proj", "in_proj", "out_proj", "embeddings"]}), ("deepseek_v3", LORA, {"target_modules": ["q_a_proj", "kv_b_proj", "gate_proj"]}),
    *[(b, "IA3Config", {}) for b in ("llama", "gpt2", "bloom", "opt", "qwen2", "qwen3", "gpt_neox")],
    ("llama", "IA3Config", {"target_modules": ["k_proj", "v_proj", "down_proj", "o_proj"], "feedforward_modules": ["down_proj", "o_proj"]}),
    ("llama", "PromptTuningConfig", {"num_virtual_tokens": 12}), ("gpt2", "PromptTuningConfig", {"num_virtual_tokens": 5}),
    ("llama", "PrefixTuningConfig", {"num_virtual_tokens": 12}), ("gpt2", "PrefixTuningConfig", {"num_virtual_tokens": 5}),
    ("qwen3", "PrefixTuningConfig", {"num_virtual_tokens": 6}), ("gpt2", "PrefixTuningConfig", {"num_virtual_tokens": 5, "prefix_projection": True, "encoder_hidden_size": 20}),
    ("llama", "PromptEncoderConfig", {"num_virtual_tokens": 7, "encoder_hidden_size": 24}), ("llama", "PromptEncoderConfig", {"num_virtual_tokens": 7, "encoder_hidden_size": 24, "encoder_reparameterization_type": "LSTM"}),
    ("llama", "AdaLoraConfig", {"total_step": 10, "init_r": 6}), ("llama", "LNTuningConfig", {}), ("gpt2", "LNTuningConfig", {}),
    ("llama", "VeraConfig", {"r": 8}), ("llama", "VeraConfig", {"r": 8, "save_projection": False, "target_modules": ATTENTION}), ("llama", "LoHaConfig", {"target_modules": ATTENTION}), ("llama", "LoKrConfig", {"target_modules": ATTENTION, "r": 4}),
    ("llama", "OFTConfig", {"oft_block_size": 8, "target_modules": ATTENTION}), ("llama", "BOFTConfig", {"boft_block_size": 4, "target_modules": ATTENTION}), ("llama", "HRAConfig", {"target_modules": ATTENTION, "r": 4}),
    ("llama", "FourierFTConfig", {"n_frequency": 20, "target_modules": ATTENTION}), ("llama", "TrainableTokensConfig", {"token_indices": [3, 4], "target_modules": ["embed_tokens"]}),
    ("llama", "HiraConfig", {"target_modules": ATTENTION, "r": 4}), ("llama", "DeloraConfig", {"target_modules": ATTENTION, "r": 4}), ("llama", "MissConfig", {"target_modules": ATTENTION, "r": 4}),
    ("llama", "MissConfig", {"target_modules": ATTENTION, "r": 4, "init_weights": "bat"}), ("llama", "MissConfig", {"target_modules": ATTENTION, "r": 4, "mini_r": 2, "init_weights": "mini"}),
    ("llama", LORA, {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True}),
    ("llama", "VBLoRAConfig", {"target_modules": ATTENTION, "num_vectors": 8, "vector_length": 8}), ("llama", "AdaptionPromptConfig", {"adapter_len": 4, "adapter_layers": 2}),
    ("llama", "RandLoraConfig", {"target_modules": ATTENTION, "r": 4}), ("llama", "C3AConfig", {"target_modules": ATTENTION, "block_size": 8}), ("llama", "PolyConfig", {"target_modules": ATTENTION, "r": 2, "n_tasks": 2}),
]
SCALES = ("scaling", "lora_alpha")


def model_of(base, options):
    config = AutoConfig.for_model(base.split("-")[0], **BASES[base])
    if options.get("task_type") == "SEQ_CLS":
        config.pad_token_id, config.num_labels = 0, 2
        return AutoModelForSequenceClassification.from_config(config)
    if "vision_config" in BASES[base]: return AutoModelForImageTextToText.from_config(config)
    return AutoModelForCausalLM.from_config(config)


def plain(value):
    if isinstance(value, dict): return {k: plain(v) for k, v in value.items()}
    return sorted(value, key=str) if isinstance(value, list) and all(isinstance(x, str) for x in value) else value


def scales(model):
    return {n: float(m.scaling["default"]) for n, m in model.named_modules() if isinstance(getattr(m, "scaling", None), dict) and isinstance(m.scaling.get("default"), (int, float))}


def row(base, kind, options):
    torch.manual_seed(0)
    config = getattr(peft, kind)(**(CAUSAL | options))
    model = peft.get_peft_model(model_of(base, options), config)
    trained, total = model.get_nb_trainable_parameters()
    with tempfile.TemporaryDirectory() as at:
        model.save_pretrained(at)
        written = json.loads((pathlib.Path(at) / "adapter_config.json").read_text())
        with safe_open(f"{at}/adapter_model.safetensors", "pt") as f:
            tensors = {n: [f.get_slice(n).get_dtype(), f.get_slice(n).get_shape()] for n in sorted(f.keys())}
    found = {n.removeprefix("base_model.model.").replace(".base_layer", ""): s for n, s in scales(model).items()}
    return {"base": base, "kind": kind, "asked": options, "config": plain(written), "tensors": tensors, "trained": trained, "total": total, "scales": found}


def main():
    out = pathlib.Path(next((a for a in sys.argv[1:] if a.endswith(".gz")), ROOT / "tests/fixtures/adapters.json.gz"))
    rows, refused = [], []
    for base, kind, options in ROWS:
        try: rows.append(row(base, kind, options))
        except Exception as error:
            refused.append({"base": base, "kind": kind, "asked": options, "error": f"{type(error).__name__}: {str(error)[:200]}"})
            print("refused", base, kind, options, refused[-1]["error"][:160])
    bases = {b: AutoConfig.for_model(b.split("-")[0], **BASES[b]).to_dict() for b in BASES}
    for b in bases:
        with tempfile.TemporaryDirectory() as at:
            model_of(b, {}).config.save_pretrained(at)
            bases[b] = json.loads((pathlib.Path(at) / "config.json").read_text())
    document = {"peft": peft.__version__, "transformers": transformers.__version__, "bases": bases, "rows": rows, "refused": refused}
    out.write_bytes(gzip.compress(json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), 9, mtime=0))
    print(len(rows), "rows", out.stat().st_size, "bytes")


if __name__ == "__main__": main()
