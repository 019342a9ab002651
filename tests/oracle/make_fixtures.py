"""Header-only checkpoint fixtures, written from transformers' own models, never from llmarch.

    ORACLE/bin/python tests/oracle/make_fixtures.py SHARED [--only REGEX] [--out DIR] [--timm DIR]

SHARED is the folder that holds tools/make_repo.py and corpus/. ORACLE is a scratch environment with torch 2.13.0 and
transformers 5.23.0 (SHARED/tools/README.md says how to make it); it is not, and must not become, a dependency of
llmarch. gemma-3n's vision tower is timm's: --timm DIR, after `pip install --no-deps --target DIR timm==1.0.31`. show_names.py prints a fixture with its names folded. Every fixture is rewritten; the bytes depend on the
versions only (gzip mtime 0).

A fixture DIR/NAME.json.gz is {"about", "config", "params", "stored", "tensors": {name: [dtype, shape]}}:
  config   the published config.json with about.set and about.unset applied (for *-native: params.json)
  params   transformers' count of unique parameters: tied once; no router-bias tables and other buffers that
           files hold (about.router_bias; Gemma 4: layer scalars, bounds of clipped linears, two of the vision tower), no scales,
           no buffers, no MTP (about.mtp_params: all of the MTP layer, its copies and its router-bias table included)
  stored   elements in the file, everything included (packed weights count as they are stored)
  tensors  the header, names as published on the Hub unless about.names says otherwise
about.build_only is what transformers was told beyond the config, where the config alone would build another model.
"""
import argparse, collections, gzip, importlib.abc, importlib.machinery, importlib.util, json, math, os, pathlib, re, sys, types

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = pathlib.Path(__file__).resolve().parent
R, N = "config.reconstructed.json", "config.json"


# ---- what to write: name -> (corpus folder, file, options) -----------------------------------------------------------
def quant(method, **kw): return {"quant_method": method, **kw}


Q06 = dict(num_hidden_layers=2)       # Qwen3-0.6B cut to two layers, for one fixture of each quantised format
GPTQ = quant("gptq", bits=4, group_size=128, desc_act=False, sym=True)
AWQ = quant("awq", bits=4, group_size=128, version="gemm", zero_point=True, modules_to_not_convert=None)
FP8 = quant("fp8", activation_scheme="dynamic", fmt="e4m3", weight_block_size=[128, 128])
NVFP4 = quant("modelopt", quant_algo="NVFP4", ignore=["lm_head"],
              config_groups={"group_0": {"input_activations": {"dynamic": False, "group_size": 16, "num_bits": 4, "type": "float"},
                                         "targets": ["Linear"],
                                         "weights": {"dynamic": False, "group_size": 16, "num_bits": 4, "type": "float"}}})
BNB8 = quant("bitsandbytes", load_in_8bit=True, load_in_4bit=False, llm_int8_threshold=6.0)
NF4 = quant("bitsandbytes", load_in_8bit=False, load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype="bfloat16", bnb_4bit_quant_storage="uint8")
V3, V32, K2, V2, V2L = ("deepseek-ai__DeepSeek-V3", "deepseek-ai__DeepSeek-V3.2", "moonshotai__Kimi-K2-Instruct",
                        "deepseek-ai__DeepSeek-V2", "deepseek-ai__DeepSeek-V2-Lite")
NOQ = ["quantization_config"]
SMALL31, LARGE3 = "mistralai__Mistral-Small-3.1-24B-Instruct-2503", "mistralai__Mistral-Large-3-675B-Instruct-2512"
MAV, SCOUT = "meta-llama__Llama-4-Maverick-17B-128E-Instruct", "meta-llama__Llama-4-Scout-17B-16E-Instruct"
UNTIED = {"tie_word_embeddings": False}   # Small 3.1 has no such key; transformers 5.23's Mistral3Config would tie it
M1_TYPES = [0, 0, 0, 0, 0, 0, 0, 1]
DELTA = (["linear_attention"] * 3 + ["full_attention"]) * 2
SLIDES = ["sliding_attention"]
G3N = {f"text_config.{k}": v for k, v in dict(
    num_hidden_layers=10, num_kv_shared_layers=4, layer_types=["sliding_attention", "sliding_attention", "full_attention", *SLIDES * 2] * 2,
    activation_sparsity_pattern=[0.95] * 4 + [0.0] * 6, intermediate_size=[16384] * 10, vocab_size=512, vocab_size_per_layer_input=512).items()
    } | {"audio_config.conf_num_hidden_layers": 2}
LONG = {"layer_types", "indexer_types", "mlp_layer_types", "hybrid_layer_pattern", "moe_layer_freq", "sparse_attention_freq", "sparse_disable_index_value"}
STEP_TYPES = ["full_attention", *["sliding_attention"] * 3] * 3    # the last three are the MTP layers'
STEP = {f"text_config.{k}": v for k, v in dict(
    num_hidden_layers=6, moe_num_experts=8, moe_layers_enum="3,4,5", layer_types=STEP_TYPES[:9], swiglu_limits=[0.0] * 5 + [7.0] + [0.0] * 3,
    swiglu_limits_shared=[0.0] * 5 + [16.0] + [0.0] * 3, rope_theta=[5e6 if t == "full_attention" else 1e4 for t in STEP_TYPES[:9]],
    partial_rotary_factors=[0.5 if t == "full_attention" else 1.0 for t in STEP_TYPES[:9]]).items()} | {"vision_config.layers": 2}
V4 = dict(num_hidden_layers=6, n_routed_experts=16, compress_ratios=[0, 0, 4, 128, 4, 128, 0])
# What transformers' reverse conversion leaves unlike the Hub: a listing of the headers of DeepSeek-V4-Flash (read_file id 62608729298), one of
# Kimi-K2.5 (62530201892) and the renames of a test of it (68877476044).
V4_NAMES = [(r"^model\.embed_tokens\.", "embed."), (r"^model\.hc_head\.hc_", "hc_head_"), (r"^model\.", ""), (r"\.attn\.norm\.", ".attn.kv_norm.")]
K25_NAMES = [(r"\.model\.blocks\.", ".model.layers."), (r"\.encoder\.patch_embed\.", ".patch_embed."), (r"^model\.mm_projector\.", "mm_projector.")]
K25 = dict(set={"text_config.num_hidden_layers": 3, "text_config.n_routed_experts": 16, "vision_config.vt_num_hidden_layers": 2},
           build_only={"vision_config.num_hidden_layers": 2}, renamed=K25_NAMES)
STORED_BUFFERS = re.compile(r"(e_score_correction_bias|\.mlp\.expert_bias|\.moe\.router_bias|\.ffn\.gate\.bias|\.tid2eid|\.layer_scalar|\.std_bias|\.std_scale|\.(in|out)put_(min|max))$")   # transformers' buffers that files hold

SPEC = {
    "gpt2-124m": ("openai-community__gpt2", N, dict(dtype="F32")),
    "gpt2-124m-buffers": ("openai-community__gpt2", N, dict(dtype="F32", buffers=True)),
    # dtype: the corpus copies of these two configs are re-saved and say float32 (Llama-3.2-1B-Instruct, Mistral-7B-v0.2: bfloat16)
    "llama-3.2-1b": ("meta-llama__Llama-3.2-1B", N, dict(dtype="BF16")),
    "llama-3.2-1b-tied-copy": ("meta-llama__Llama-3.2-1B", N, dict(dtype="BF16", set=dict(num_hidden_layers=2), tied_copy=True)),
    "llama-3.2-1b-buffers": ("meta-llama__Llama-3.2-1B", N, dict(dtype="BF16", set=dict(num_hidden_layers=2), buffers=True)),
    "llama-3-8b": ("meta-llama__Meta-Llama-3-8B-Instruct", N, {}),
    "granite-3b-code": ("ibm-granite__granite-3b-code-instruct-128k", N, {}),
    "llama-4-maverick": (MAV, R, {}),
    "llama-4-maverick-reduced": (MAV, R, dict(set={"text_config.num_hidden_layers": 4, "text_config.num_local_experts": 8,
                                                   "vision_config.num_hidden_layers": 2})),
    # config.json of Scout is trimmed: its 4-layer sibling has the vision_config; layers put back as in Maverick
    "llama-4-scout": (SCOUT, "config.neuronx-4layer.json", dict(set={"text_config.num_hidden_layers": 48,
                                                                     "vision_config.num_hidden_layers": 34})),
    "llama-4-scout-reduced": (SCOUT, "config.neuronx-4layer.json", dict(set={"vision_config.num_hidden_layers": 2})),
    "deepseek-v2-reduced": (V2, N, dict(set=dict(num_hidden_layers=3, n_routed_experts=16))),
    "deepseek-v2-lite": (V2L, N, {}),
    "deepseek-v2-lite-reduced": (V2L, N, dict(set=dict(num_hidden_layers=3, n_routed_experts=8))),
    "deepseek-v3-fp8-mtp": (V3, N, dict(quant="fp8-block", mtp=True)),
    "deepseek-v3-fp8-mtp-reduced": (V3, N, dict(set=dict(num_hidden_layers=5, n_routed_experts=16), quant="fp8-block", mtp=True)),
    "deepseek-v3-reduced": (V3, N, dict(set=dict(num_hidden_layers=5, n_routed_experts=16, num_nextn_predict_layers=0), unset=NOQ)),
    "deepseek-v3.2-reduced-mtp": (V32, N, dict(set=dict(num_hidden_layers=5, n_routed_experts=16), unset=NOQ, mtp=True)),
    "kimi-k2-reduced": (K2, N, dict(set=dict(num_hidden_layers=3, n_routed_experts=16), unset=NOQ)),
    "kimi-k2-thinking-reduced-compressed-int4": ("moonshotai__Kimi-K2-Thinking", R,
                                                 dict(set=dict(num_hidden_layers=3, n_routed_experts=16), quant="compressed-int4")),
    "olmo-2-7b": ("allenai__OLMo-2-1124-7B", R, {}),
    "olmo-3-7b": ("allenai__Olmo-3-1025-7B", R, {}),
    "olmo-3.1-32b": ("allenai__Olmo-3.1-32B-Instruct", N, {}),
    "gemma-2b": ("google__gemma-2b", N, {}),
    "gemma-2-2b": ("google__gemma-2-2b-it", N, {}),
    "gemma-2-9b": ("google__gemma-2-9b", N, {}),
    "gemma-3-27b": ("google__gemma-3-27b-it", N, {}),
    "gemma-3-27b-short-config": ("google__gemma-3-27b-it", R, {}),
    "gemma-3-4b": ("google__gemma-3-4b-it", N, {}),
    "gemma-3-4b-reduced-v5-names": ("google__gemma-3-4b-it", N, dict(set={"text_config.num_hidden_layers": 6,
                                    "vision_config.num_hidden_layers": 2}, names="state_dict")),
    "gemma-3-1b": ("google__gemma-3-1b-it", N, {}),
    "mistral-7b-v0.1": ("mistralai__Mistral-7B-v0.1", N, dict(dtype="BF16")),
    "mistral-nemo-12b": ("mistralai__Mistral-Nemo-Instruct-2407", N, {}),
    "mixtral-8x7b": ("mistralai__Mixtral-8x7B-v0.1", N, {}),
    "mistral-small-3.1-24b": (SMALL31, R, dict(build_only=UNTIED)),
    "mistral-small-3.1-reduced-v5-names": (SMALL31, R, dict(set={"text_config.num_hidden_layers": 2,
                                           "vision_config.num_hidden_layers": 2}, build_only=UNTIED, names="state_dict")),
    "mistral-small-3.1-reduced-native": (SMALL31, R, dict(set={"text_config.num_hidden_layers": 2,
                                         "vision_config.num_hidden_layers": 2}, build_only=UNTIED, native=True)),
    "mistral-large-3-reduced-native": (LARGE3, R, dict(set={"text_config.num_hidden_layers": 5, "text_config.n_routed_experts": 8,
                                       "vision_config.num_hidden_layers": 2}, native=True)),
    "mistral-large-3-reduced-native-fp8": (LARGE3, R, dict(set={"text_config.num_hidden_layers": 5, "text_config.n_routed_experts": 8,
                                           "vision_config.num_hidden_layers": 2}, native=True, quant="native-fp8-block")),
    "mistral-large-3-reduced-hf": (LARGE3, R, dict(set={"text_config.num_hidden_layers": 5, "text_config.n_routed_experts": 8,
                                   "vision_config.num_hidden_layers": 2}, names="no HF form is published: HF prefixes, fused experts")),
    "ministral-3-3b": ("mistralai__Ministral-3-3B-Instruct-2512", R, dict(unset=NOQ)),
    "ministral-3-8b": ("mistralai__Ministral-3-8B-Instruct-2512", R, dict(unset=NOQ)),
    "ministral-3-3b-reduced-native-fp8": ("mistralai__Ministral-3-3B-Instruct-2512", R, dict(set={"text_config.num_hidden_layers": 2,
                                          "vision_config.num_hidden_layers": 2}, native=True, quant="native-fp8-tensor")),
    "qwen2.5-7b": ("Qwen__Qwen2.5-7B-Instruct", N, {}),
    "qwen2.5-7b-reduced-gptq": ("Qwen__Qwen2.5-7B-Instruct", N, dict(set=dict(num_hidden_layers=2, quantization_config=GPTQ), quant="gptq")),
    "qwen2-57b-a14b": ("Qwen__Qwen2-57B-A14B", N, {}),
    "qwen2-57b-a14b-reduced": ("Qwen__Qwen2-57B-A14B", N, dict(set=dict(num_hidden_layers=4, num_experts=8))),
    "qwen2-moe-sparse-step-2": ("Qwen__Qwen1.5-MoE-A2.7B", N, dict(set=dict(num_hidden_layers=4, num_experts=8, decoder_sparse_step=2))),
    "qwen3-0.6b": ("Qwen__Qwen3-0.6B", N, {}),
    "qwen3-0.6b-tied-copy": ("Qwen__Qwen3-0.6B", N, dict(tied_copy=True)),
    "qwen3-8b": ("Qwen__Qwen3-8B", N, {}),
    "qwen3-0.6b-reduced-fp8-block": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=FP8), quant="fp8-block")),
    "qwen3-0.6b-reduced-nvfp4": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=NVFP4), quant="nvfp4")),
    "qwen3-0.6b-reduced-gptq": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=GPTQ), quant="gptq")),
    "qwen3-0.6b-reduced-awq": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=AWQ), quant="awq")),
    "qwen3-0.6b-reduced-bnb-int8": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=BNB8), quant="bnb-int8")),
    "qwen3-0.6b-reduced-bnb-nf4": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization_config=NF4), quant="bnb-nf4")),
    "qwen3-0.6b-reduced-mlx-4bit": ("Qwen__Qwen3-0.6B", N, dict(set=dict(Q06, quantization={"group_size": 64, "bits": 4},
                                    quantization_config={"group_size": 64, "bits": 4}), quant="mlx-4bit")),
    "qwen3-30b-a3b": ("Qwen__Qwen3-30B-A3B", N, {}),
    "qwen3-30b-a3b-reduced": ("Qwen__Qwen3-30B-A3B", N, dict(set=dict(num_hidden_layers=3, num_experts=16))),
    "qwen3-30b-a3b-reduced-fused": ("Qwen__Qwen3-30B-A3B", N, dict(set=dict(num_hidden_layers=3, num_experts=16), names="state_dict")),
    "qwen3-30b-a3b-reduced-mlp-only": ("Qwen__Qwen3-30B-A3B", N, dict(set=dict(num_hidden_layers=4, num_experts=8, mlp_only_layers=[0, 2]))),
    "qwen3-30b-a3b-reduced-nvfp4": ("Qwen__Qwen3-30B-A3B", N, dict(set=dict(num_hidden_layers=2, num_experts=8, quantization_config=NVFP4), quant="nvfp4")),
    "qwen3-next-reduced-mtp": ("Qwen__Qwen3-Next-80B-A3B-Instruct", N, dict(set=dict(num_hidden_layers=4, num_experts=16), mtp=True)),
    "smollm3-3b": ("HuggingFaceTB__SmolLM3-3B", N, {}),
    "kimi-linear-48b": ("moonshotai__Kimi-Linear-48B-A3B-Base", N, {}),
    "kimi-linear-reduced-experts": ("moonshotai__Kimi-Linear-48B-A3B-Base", N, dict(set=dict(num_experts=16))),
    "minimax-m1-reduced": ("MiniMaxAI__MiniMax-M1-80k", N, dict(set=dict(num_hidden_layers=8, num_local_experts=4, attn_type_list=M1_TYPES))),
    "minimax-m1": ("MiniMaxAI__MiniMax-M1-80k", N, {}),
    "minimax-m2-reduced": ("MiniMaxAI__MiniMax-M2", R, dict(set=dict(num_hidden_layers=3, num_local_experts=16, attn_type_list=[1, 1, 1]), unset=NOQ)),
    "minimax-m2-reduced-fp8-block": ("MiniMaxAI__MiniMax-M2", R, dict(set=dict(num_hidden_layers=3, num_local_experts=16, attn_type_list=[1, 1, 1]),
                                     quant="fp8-block")),
    "gpt-oss-20b": ("openai__gpt-oss-20b", N, dict(unset=NOQ)),
    "gpt-oss-20b-mxfp4": ("openai__gpt-oss-20b", N, dict(quant="mxfp4")),
    # Qwen3.5 MoE: the published files hold experts fused, [experts, outputs, inputs]; transformers writes them one by one
    "qwen3.5-0.8b-reduced-mtp": ("Qwen__Qwen3.5-0.8B", N, dict(set={"text_config.num_hidden_layers": 5, "text_config.layer_types": DELTA[:5],
                                 "vision_config.depth": 2}, mtp=True)),
    "qwen3.5-27b-mtp": ("Qwen__Qwen3.5-27B", N, dict(mtp=True)),
    "qwen3.5-35b-a3b-reduced-mtp": ("Qwen__Qwen3.5-35B-A3B", N, dict(set={"text_config.num_hidden_layers": 4, "text_config.layer_types": DELTA[:4],
                                    "text_config.num_experts": 16, "vision_config.depth": 2}, mtp=True, fused=True)),
    "qwen3.6-35b-a3b-reduced-nvfp4": ("nvidia__Qwen3.6-35B-A3B-NVFP4", N, dict(set={"text_config.num_hidden_layers": 4,
                                      "text_config.layer_types": DELTA[:4], "text_config.num_experts": 8, "vision_config.depth": 1,
                                      "quantization_config": NVFP4}, quant="nvfp4", mtp=True, names="Hub, experts one by one")),
    "qwen3.5-18b-reap-reduced": ("copy__Qwen3.5-18B-REAP-A3B-Coding", N, dict(set={"num_hidden_layers": 4, "layer_types": DELTA[:4],
                                 "num_experts": 8, "mtp_num_hidden_layers": 0}, names="Hub, experts one by one")),
    "qwen3-vl-2b-reduced": ("Qwen__Qwen3-VL-2B-Instruct", N, dict(set={"text_config.num_hidden_layers": 2, "vision_config.depth": 12})),
    "qwen3-vl-8b": ("nvidia__Cosmos-Reason2", N, {}),
    "qwen3-vl-30b-a3b-reduced": ("Qwen__Qwen3-VL-30B-A3B-Instruct", N, dict(set={"text_config.num_hidden_layers": 3, "text_config.num_experts": 16,
                                 "vision_config.depth": 3, "vision_config.deepstack_visual_indexes": [0, 1]}, turned=True)),
    "gemma-4-26b-a4b-reduced": ("google__gemma-4-26B-A4B", N, dict(set={"text_config.num_hidden_layers": 7, "text_config.num_experts": 8,
                                "text_config.layer_types": (SLIDES * 5)[:5] + ["full_attention"] * 2, "vision_config.num_hidden_layers": 2})),
    "gemma-4-31b": ("spec:gemma4-31b", N, dict(unset=NOQ)),
    "gemma-4-e2b-reduced": ("google__gemma-4-E2B-it", N, dict(set={"text_config.num_hidden_layers": 10, "text_config.num_kv_shared_layers": 5,
                            "text_config.layer_types": (SLIDES * 4 + ["full_attention"]) * 2, "text_config.vocab_size": 512,
                            "text_config.vocab_size_per_layer_input": 512, "vision_config.num_hidden_layers": 2,
                            "audio_config.num_hidden_layers": 2})),
    "gemma-4-e4b": ("spec:gemma4-e4b", N, {}),
    "gemma-4-e4b-reduced-shared-kv": ("spec:gemma4-e4b", N, dict(set={"text_config.num_hidden_layers": 12, "text_config.num_kv_shared_layers": 6,
                                      "text_config.layer_types": (SLIDES * 5 + ["full_attention"]) * 2, "text_config.vocab_size": 512,
                                      "text_config.vocab_size_per_layer_input": 512, "vision_config.num_hidden_layers": 1,
                                      "audio_config.num_hidden_layers": 1}, shared_kv=True,
                                      names="Hub, with keys and values of layers that share them")),
    "gemma-3n-e4b-reduced": ("spec:gemma3n-e4b", N, dict(set=G3N, timm=True)),
    "gemma-3n-e4b-reduced-shared-kv": ("spec:gemma3n-e4b", N, dict(set=G3N, timm=True, shared_kv=True,
                                       names="Hub, with keys and values of layers that share them")),
    "nemotron-3-nano-30b-reduced": ("nvidia__NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", N, dict(set={"num_experts_per_tok": 4, "hybrid_override_pattern": "MEM*E",
                                    "num_hidden_layers": 5, "n_routed_experts": 16})),
    "nemotron-3-super-120b-reduced-fp8-mtp": ("nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8", N, dict(set={"num_experts_per_tok": 4, "hybrid_override_pattern": "MEM*E",
                                              "num_hidden_layers": 5, "n_routed_experts": 16, "quantization_config": FP8}, quant="fp8-block",
                                              mtp=True)),
    "nemotron-3-super-120b-reduced-mtp": ("nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8", N, dict(set={"num_experts_per_tok": 4, "hybrid_override_pattern": "MEM*E",
                                          "num_hidden_layers": 5, "n_routed_experts": 16}, unset=NOQ, mtp=True)),
    "nemotron-3-ultra-550b-reduced": ("nvidia__NVIDIA-Nemotron-3-Ultra-550B-A55B-FP8", N, dict(set={"num_experts_per_tok": 4, "layers_block_type": ["mamba", "moe", "attention"],
                                      "n_routed_experts": 8, "num_nextn_predict_layers": 0}, unset=NOQ)),
    "nemotron-h-56b-reduced": ("spec:nemotron-h-56b", N, dict(set={"hybrid_override_pattern": "M-M*-", "num_hidden_layers": 5})),
    "phi-4": ("microsoft__phi-4", N, {}),
    "phi-4-mini": ("microsoft__Phi-4-mini-instruct", N, {}),
    "phi-3.5-mini": ("microsoft__Phi-3.5-mini-instruct", N, {}),
    "olmoe-1b-7b-reduced": ("allenai__OLMoE-1B-7B-0924", "config.partial.json", dict(set=dict(num_hidden_layers=2, num_experts=16))),
    "seed-oss-36b": ("spec:seed-oss-36b", N, {}),
    "granite-3.1-1b-a400m": ("ibm-granite__granite-3.1-1b-a400m-instruct", N, {}),
    "granite-4.1-8b": ("spec:granite-4.1-8b", N, {}),
    "granite-4.0-h-350m": ("spec:granite-4.0-h-350m", N, {}),
    "granite-4.0-h-small-reduced": ("spec:granite-4.0-h-small", N, dict(set=dict(num_experts_per_tok=4, num_hidden_layers=3, num_local_experts=8,
                                    layer_types=["mamba", "attention", "mamba"]))),
    "lfm2-1.2b": ("spec:lfm2-1.2b", N, {}),
    "devstral-small-2-24b": ("spec:devstral-small-2", N, dict(unset=NOQ)),
    "mistral-small-4-reduced": ("spec:mistral-small-4", N, dict(set={"text_config.num_hidden_layers": 2, "text_config.n_routed_experts": 8,
                                "vision_config.num_hidden_layers": 2}, names="HF prefixes of transformers 5, fused experts")),
    "hunyuan-a13b-reduced": ("spec:hunyuan-a13b", N, dict(set=dict(num_hidden_layers=2, num_experts=8, moe_topk=[8, 8], num_shared_expert=[1, 1],
                             moe_intermediate_size=[3072, 3072]), build_only=dict(head_dim=128, moe_topk=8))),
    "glm-4.5-reduced-mtp": ("zai-org__GLM-4.5", N, dict(set=dict(num_hidden_layers=5, n_routed_experts=16), mtp=True)),
    "glm-4.5-air-reduced-mtp": ("spec:glm-4.5-air", N, dict(set=dict(num_hidden_layers=3, n_routed_experts=16), mtp=True)),
    "glm-5-reduced-mtp": ("zai-org__GLM-5", N, dict(set=dict(num_hidden_layers=5, n_routed_experts=16), mtp=True)),
    "glm-5.2-reduced-mtp": ("spec:glm-5.2", N, dict(set=dict(num_hidden_layers=8, n_routed_experts=16), cut=8, mtp=True)),
    "glm-5.2-reduced-nvfp4": ("spec:glm-5.2", N, dict(set=dict(num_hidden_layers=4, n_routed_experts=8, num_nextn_predict_layers=0,
                              quantization_config=NVFP4), cut=4, quant="nvfp4")),
    "minimax-m3-reduced": ("spec:minimax-m3", N, dict(set={"text_config.num_hidden_layers": 5, "text_config.num_local_experts": 8,
                           "vision_config.num_hidden_layers": 2}, cut=5)),
    "kimi-k2.5-reduced": ("spec:kimi-k2.5", N, dict(K25, unset=NOQ)),
    "kimi-k2.5-reduced-compressed-int4": ("spec:kimi-k2.5", N, dict(K25, quant="compressed-int4")),
    "mimo-v2-flash-reduced": ("XiaomiMiMo__MiMo-V2-Flash", N, dict(set=dict(num_hidden_layers=7, n_routed_experts=16), cut=7, unset=NOQ)),
    "mimo-v2-flash-reduced-fp8-block": ("XiaomiMiMo__MiMo-V2-Flash", N, dict(set=dict(num_hidden_layers=7, n_routed_experts=16), cut=7, quant="fp8-block")),
    "hy3-reduced-mtp": ("spec:hy3", N, dict(set=dict(num_hidden_layers=3, num_experts=16), mtp=True)),
    "laguna-xs.2-reduced": ("spec:laguna-xs.2", N, dict(set=dict(num_hidden_layers=5, num_experts=16, num_attention_heads_per_layer=[48, 64, 64, 64, 48]), cut=5)),
    "trinity-mini-reduced": ("spec:trinity-mini", N, dict(set=dict(num_hidden_layers=5, num_experts=16))),
    "step-3.7-flash-reduced-mtp": ("spec:step-3.7-flash", N, dict(set=STEP, mtp=True)),
    "deepseek-v4-flash-reduced-mtp": ("deepseek-ai__DeepSeek-V4-Flash", N, dict(set=V4, unset=NOQ, renamed=V4_NAMES, mtp=True)),
    "deepseek-v4-flash-reduced-mtp-fp4": ("deepseek-ai__DeepSeek-V4-Flash", N, dict(set=V4, renamed=V4_NAMES, mtp=True, quant="deepseek-v4")),
    "longcat-flash-reduced-mtp": ("spec:longcat-flash", N, dict(set=dict(num_layers=2, n_routed_experts=8, zero_expert_num=4), experts=8, mtp=True)),
}
STATE_DICT = "transformers 5 state dict, not reverted to the Hub's names (fused experts, new prefixes)"
DTYPE = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}

# ---- Mistral's native names: SHARED/reference/mistral_native.md section 2, read from right to left -------------------
_L, _V = r"^(?:language_model\.)?model\.layers\.(\d+)\.", r"^vision_tower\.transformer\.layers\.(\d+)\."
_MLP = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
_ATT = {"q_proj": "wq", "k_proj": "wk", "v_proj": "wv", "o_proj": "wo", "q_a_proj": "wq_a", "q_a_layernorm": "q_a_norm",
        "q_b_proj": "wq_b", "kv_a_proj_with_mqa": "wkv_a_with_mqa", "kv_a_layernorm": "kv_a_norm", "kv_b_proj": "wkv_b"}
NATIVE = [
    (r"^(?:language_model\.)?model\.embed_tokens\.weight$", "tok_embeddings.weight"),
    (r"^(?:language_model\.)?model\.norm\.weight$", "norm.weight"),
    (r"^(?:language_model\.)?lm_head\.weight$", "output.weight"),
    (_L + r"input_layernorm\.weight$", r"layers.\1.attention_norm.weight"),
    (_L + r"post_attention_layernorm\.weight$", r"layers.\1.ffn_norm.weight"),
    *[(_L + rf"self_attn\.{a}\.weight$", rf"layers.\1.attention.{b}.weight") for a, b in _ATT.items()],
    *[(_L + rf"mlp\.{a}\.weight$", rf"layers.\1.feed_forward.{b}.weight") for a, b in _MLP.items()],
    (_L + r"mlp\.gate\.weight$", r"layers.\1.gate.weight"),
    *[(_L + rf"mlp\.experts\.(\d+)\.{a}\.weight$", rf"layers.\1.experts.\2.{b}.weight") for a, b in _MLP.items()],
    *[(_L + rf"mlp\.shared_experts\.{a}\.weight$", rf"layers.\1.shared_experts.{b}.weight") for a, b in _MLP.items()],
    (r"^vision_tower\.(patch_conv|ln_pre)\.weight$", r"vision_encoder.\1.weight"),
    *[(_V + rf"attention\.{a}\.weight$", rf"vision_encoder.transformer.layers.\1.attention.{b}.weight")
      for a, b in list(_ATT.items())[:4]],
    *[(_V + rf"feed_forward\.{a}\.weight$", rf"vision_encoder.transformer.layers.\1.feed_forward.{b}.weight") for a, b in _MLP.items()],
    (_V + r"(attention_norm|ffn_norm)\.weight$", r"vision_encoder.transformer.layers.\1.\2.weight"),
    (r"^multi_modal_projector\.norm\.weight$", "pre_mm_projector_norm.weight"),
    (r"^multi_modal_projector\.patch_merger\.merging_layer\.weight$", "patch_merger.merging_layer.weight"),
    (r"^multi_modal_projector\.linear_1\.(weight|bias)$", r"vision_language_adapter.w_in.\1"),
    (r"^multi_modal_projector\.linear_2\.(weight|bias)$", r"vision_language_adapter.w_out.\1"),
]


def native_names(inv):
    """The inventory under Mistral's own names. transformers' fused experts (3-D) are taken apart first, as published."""
    flat = {}
    for name, (dt, s) in inv.items():
        m = re.match(r"(.*\.experts)\.(gate_up_proj|down_proj)$", name)
        if not m: flat[name] = (dt, s); continue
        e, a, b = s
        for i in range(e):
            if m[2] == "down_proj": flat[f"{m[1]}.{i}.down_proj.weight"] = (dt, [a, b])
            else: flat |= {f"{m[1]}.{i}.{p}.weight": (dt, [a // 2, b]) for p in ("gate_proj", "up_proj")}
    out = {}
    for name, spec in flat.items():
        hits = {re.sub(p, r, name) for p, r in NATIVE if re.search(p, name)}
        if len(hits) != 1: raise SystemExit(f"no native name for {name}: {hits}")
        out[hits.pop()] = spec
    assert len(out) == len(flat)
    return out


# which weights Mistral stores in FP8, and how the scales are called (mistral_native.md, Scales). The scales' dtype is not stated there: F32 here.
NATIVE_FP8 = {  # Large 3: one scale for each 128 x 128 block
    "native-fp8-block": re.compile(r"^layers\.\d+\.(attention\.(wq_b|wkv_b|wo)|feed_forward\.w\d|experts\.\d+\.w\d|shared_experts\.w\d)\.weight$"),
    # Ministral 3: one scale a tensor and one for its input, on every linear of the text layers
    "native-fp8-tensor": re.compile(r"^layers\.\d+\.(attention\.w[qkvo]|feed_forward\.w\d)\.weight$")}


def native_fp8(inv, kind):
    out = {}
    for name, (dt, s) in inv.items():
        if not NATIVE_FP8[kind].match(name): out[name] = (dt, s); continue
        out[name] = ("F8_E4M3", s)
        if kind == "native-fp8-block": out[name + "_scale"] = ("F32", [math.ceil(s[0] / 128), math.ceil(s[1] / 128)])
        else: out |= {name.removesuffix("weight") + x: ("F32", []) for x in ("qscale_act", "qscale_weight")}
    return out


def native_params(cfg, corpus, kind):
    """params.json for the (changed) config.json, by the table of mistral_native.md section 1."""
    t, v = cfg["text_config"], cfg["vision_config"]
    large = corpus / LARGE3 / "params.reconstructed.json"
    if t["model_type"] == "mistral4":       # the reconstructed params.json itself, with the same reductions
        p = json.loads(large.read_text())
        p["n_layers"] = t["num_hidden_layers"]; p["moe"]["num_experts"] = t["n_routed_experts"]
        p["vision_encoder"]["num_hidden_layers"] = v["num_hidden_layers"]
        if not kind: p.pop("quantization_config")
        return p
    rope = t.get("rope_parameters") or {}
    p = {"dim": t["hidden_size"], "n_layers": t["num_hidden_layers"], "head_dim": t["head_dim"], "hidden_dim": t["intermediate_size"],
         "n_heads": t["num_attention_heads"], "n_kv_heads": t["num_key_value_heads"], "rope_theta": t.get("rope_theta") or rope["rope_theta"],
         "norm_eps": t["rms_norm_eps"], "vocab_size": t["vocab_size"], "max_position_embeddings": t["max_position_embeddings"]}
    if cfg.get("tie_word_embeddings"): p["tied_embeddings"] = True
    p["vision_encoder"] = {"hidden_size": v["hidden_size"], "num_channels": v["num_channels"], "max_image_size": v["image_size"],
                           "patch_size": v["patch_size"], "rope_theta": v["rope_theta"], "intermediate_size": v["intermediate_size"],
                           "num_hidden_layers": v["num_hidden_layers"], "num_attention_heads": v["num_attention_heads"],
                           "adapter_bias": cfg["multimodal_projector_bias"], "mm_projector_id": "patch_merge",
                           "spatial_merge_size": cfg["spatial_merge_size"], "add_pre_mm_projector_layer_norm": True,
                           "image_token_id": 10, "image_break_token_id": 12, "image_end_token_id": 13, "image_size": v["image_size"]}
    if rope.get("rope_type") == "yarn":
        p["yarn"] = {"factor": rope["factor"], "original_max_position_embeddings": rope["original_max_position_embeddings"],
                     "beta": rope["beta_fast"], "alpha": rope["beta_slow"], "apply_scale": False}
        p["llama_4_scaling"] = {"original_max_position_embeddings": rope["original_max_position_embeddings"], "beta": rope["llama_4_scaling_beta"]}
    if kind: p["quantization"] = {"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"}
    return p


# ---- writing ---------------------------------------------------------------------------------------------------------
def assign(config, changes, unset=()):
    for key, value in changes.items():
        at = config; *parents, last = key.split(".")
        for p in parents: at = at[p]
        at[last] = value
    for key in unset: config.pop(key, None)
    return config


def state_dict_inventory(model, dtype, mr):
    """transformers 5's own names, not taken back to the Hub's: fused experts, new prefixes."""
    params = dict(model.named_parameters()); every = dict(model.named_parameters(remove_duplicate=False))
    own = dict(params) | {n: t for n, t in model.state_dict().items() if n not in every}
    return {n: ("F32" if mr.ROUTER_F32.search(n) else dtype, list(t.shape)) for n, t in own.items()}, sum(p.numel() for p in params.values())


def nemotron_mtp(inv, config, dtype):
    """mtp.layers.0 is an attention layer with the projection, mtp.layers.1 a MoE layer with the last norm, as loaders of the published files state
    (read_file ids 61209274533, 58514115991, 70759093397); Super's Hub total fits to the last parameter."""
    kinds, h = config.layers_block_type, config.hidden_size
    for i, kind in enumerate(("full_attention", "moe")):
        base = f"backbone.layers.{kinds.index(kind)}."
        inv.update({f"mtp.layers.{i}.{k[len(base):]}": s for k, s in list(inv.items()) if k.startswith(base)})
    inv.update({f"mtp.layers.{n}.weight": (dtype, s) for n, s in
                (("0.enorm", [h]), ("0.hnorm", [h]), ("0.eh_proj", [h, 2 * h]), ("1.final_layernorm", [h]))})


def copied(inv, base, to, keep=lambda name: True):
    """A layer's tensors under another prefix."""
    inv.update({to + k[len(base):]: s for k, s in list(inv.items()) if k.startswith(base) and keep(k[len(base):])})


def glm_5_mtp(inv, config, dtype):
    """The layer after the last: a MoE layer with an indexer of its own; GLM-5.2's Hub total fits to the last parameter."""
    n, h = config.num_hidden_layers, config.hidden_size
    last = max(i for i, t in enumerate(config.indexer_types) if t == "full" and config.mlp_layer_types[i] == "sparse")
    copied(inv, f"model.layers.{last}.", f"model.layers.{n}.")
    inv.update({f"model.layers.{n}.{k}.weight": (dtype, s) for k, s in
                (("enorm", [h]), ("hnorm", [h]), ("shared_head.norm", [h]), ("eh_proj", [h, 2 * h]))})


def hy_v3_mtp(inv, config, dtype):
    """As loaders of the published files state (read_file ids 57933463747, 58053767654); the Hub total fits."""
    n, h = config.num_hidden_layers, config.hidden_size
    copied(inv, f"model.layers.{n - 1}.", f"model.layers.{n}.")
    inv.update({f"model.layers.{n}.{k}.weight": (dtype, s) for k, s in
                (("enorm", [h]), ("hnorm", [h]), ("final_layernorm", [h]), ("eh_proj", [h, 2 * h]))})


def step_mtp(inv, config, dtype):
    """Three layers after the last, sliding and dense, each with a head (read_file ids 65803920910, 57698103103); Step 3.5 Flash's total fits."""
    t = config.get_text_config(); n, h, v = t.num_hidden_layers, t.hidden_size, t.vocab_size
    sliding = t.layer_types.index("sliding_attention")
    for i in range(n, n + 3):
        copied(inv, f"model.layers.{sliding}.", f"model.layers.{i}.", lambda k: not k.startswith(("moe.", "share_expert.")))
        copied(inv, "model.layers.0.mlp.", f"model.layers.{i}.mlp.")
        inv.update({f"model.layers.{i}.{k}.weight": (dtype, s) for k, s in
                    (("enorm", [h]), ("hnorm", [h]), ("eh_proj", [h, 2 * h]), ("transformer.shared_head.norm", [h]),
                     ("transformer.shared_head.output", [v, h]))})


def deepseek_v4_mtp(inv, config, dtype):
    """mtp.0 as the listing of DeepSeek-V4-Flash has it (read_file id 62608729298); the Hub total fits."""
    n, h, m = config.num_hidden_layers, config.hidden_size, config.hc_mult
    copied(inv, "layers.0.", "mtp.0.", lambda k: not k.startswith("ffn."))
    copied(inv, f"layers.{n - 1}.ffn.", "mtp.0.ffn.")
    inv.update({f"mtp.0.{k}": (dtype, s) for k, s in (("enorm.weight", [h]), ("hnorm.weight", [h]), ("norm.weight", [h]), ("e_proj.weight", [h, h]),
                ("h_proj.weight", [h, h]), ("hc_head_fn", [m, m * h]), ("hc_head_base", [m]), ("hc_head_scale", [1]))})


def longcat_mtp(inv, config, dtype):
    """model.mtp as SGLang's loader names it (read_file ids 36917402127, 66201771164); the published total fits."""
    h, at = config.hidden_size, "model.mtp.layers.0."
    copied(inv, "model.layers.0.self_attn.0.", f"{at}self_attn.")
    copied(inv, "model.layers.0.mlps.0.", f"{at}transformer_layer.mlp.")
    inv.update({k: (dtype, s) for k, s in (
        ("model.mtp.embed_tokens.weight", [config.vocab_size, h]), ("model.mtp.norm.weight", [h]), (f"{at}eh_proj.weight", [h, 2 * h]),
        *((f"{at}{n}.weight", [h]) for n in ("enorm.m", "hnorm.m", "input_layernorm", "post_attention_layernorm")))})


OWN_MTP = {"nemotron_h": nemotron_mtp, "glm_moe_dsa": glm_5_mtp, "hy_v3": hy_v3_mtp, "step3p7": step_mtp, "deepseek_v4": deepseek_v4_mtp,
           "longcat_flash": longcat_mtp}
V4_FP8 = re.compile(r"\.(w[qo]_[ab]|wkv|[eh]_proj|shared_experts\.w\d)\.weight$")


def deepseek_v4_quant(inv):
    """Experts in FP4, two to an I8, with a scale for each 32; other large matrices in FP8, one for each 128 x 128 (the same listing)."""
    out = {}
    for name, (d, s) in inv.items():
        scale = name.removesuffix("weight") + "scale"
        if ".experts." in name: out |= {name: ("I8", [s[0], s[1] // 2]), scale: ("F8_E8M0", [s[0], s[1] // 32])}
        elif V4_FP8.search(name) and "compressor" not in name:
            out |= {name: ("F8_E4M3", s), scale: ("F8_E8M0", [math.ceil(s[0] / 128), math.ceil(s[1] / 128)])}
        else: out[name] = (d, s)
    return out


def shorter(config, n):
    """The lists that have an entry for each layer, cut to n."""
    if isinstance(config, dict): return {k: v[:n] if k in LONG and isinstance(v, list) else shorter(v, n) for k, v in config.items()}
    return config


def shared_kv(inv):
    """Keys and values for layers that share those of an earlier one: published Gemma 4 E files hold them, nothing reads them."""
    own = {}
    for name, spec in inv.items():
        if m := re.match(r"(model\.language_model\.layers\.)(\d+)\.self_attn\.(k_proj|v_proj|k_norm)\.weight$", name):
            width = inv[f"{m[1]}{m[2]}.self_attn.q_norm.weight"][1][0]; own[width, m[3]] = spec
    for name, (_, shape) in list(inv.items()):
        if (m := re.match(r"(model\.language_model\.layers\.\d+\.self_attn\.)q_norm\.weight$", name)) and m[1] + "k_proj.weight" not in inv:
            inv.update({f"{m[1]}{n}.weight": own[shape[0], n] for n in ("k_proj", "v_proj", "k_norm")})


def with_timm(folder):
    """Let transformers build timm's towers from folder, with hollow modules where timm imports torchvision (for pictures, not for weights)."""
    from transformers.models.timm_wrapper import configuration_timm_wrapper, modeling_timm_wrapper
    import torch

    MODES = ("NEAREST", "BILINEAR", "BICUBIC", "BOX", "HAMMING", "LANCZOS")

    class Hollow(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"): raise AttributeError(name)
            return type(name, (torch.nn.Module,), dict(zip(MODES, range(6))))

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name, path, target=None):
            return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None
        def create_module(self, spec): return Hollow(spec.name)
        def exec_module(self, module): pass

    sys.meta_path.insert(0, Finder()); sys.path.insert(0, str(folder))
    modeling_timm_wrapper.timm = importlib.import_module("timm")
    for module in (configuration_timm_wrapper, modeling_timm_wrapper): module.requires_backends = lambda *_: None


def make(name, shared, mr, tmp):
    folder, file, o = SPEC[name]
    spec = folder.removeprefix("spec:") if folder.startswith("spec:") else None    # a config that only a bundled spec has
    source = HERE.parent.parent / "specs" / f"{spec}.json" if spec else shared / "corpus" / folder / file
    given = json.loads(source.read_text())
    raw = assign(given["config"] if spec else given, o.get("set", {}), o.get("unset", ()))
    if o.get("cut"): raw = shorter(raw, o["cut"])
    tmp.write_text(json.dumps(assign(json.loads(json.dumps(raw)), o.get("build_only", {}))))
    _, cfg = mr.load_config(tmp)
    where = [raw, raw.get("text_config") or {}]
    said = next((c[k] for c in where for k in ("dtype", "torch_dtype") if c.get(k)), None)
    dtype = o.get("dtype") or DTYPE.get(said, "BF16")
    model = mr.build(cfg)
    inv, n = (state_dict_inventory(model, dtype, mr) if o.get("names") == "state_dict" or o.get("fused") else mr.inventory(model, dtype))
    for pattern, repl in o.get("renamed", ()): inv = {re.sub(pattern, repl, k): s for k, s in inv.items()}
    if o.get("experts"):    # transformers makes rows for LongCat's zero experts too: the published files have none
        inv = {k: s for k, s in inv.items() if not (m := re.search(r"\.experts\.(\d+)\.", k)) or int(m[1]) < o["experts"]}
    inv = {k: ("I64" if k.endswith(".tid2eid") else d, s) for k, (d, s) in inv.items()}
    elements = lambda ending="": sum(math.prod(s) for k, (_, s) in inv.items() if k.endswith(ending))
    bias, before = sum(math.prod(s) for k, (_, s) in inv.items() if STORED_BUFFERS.search(k)), elements()
    if o.get("experts"): n = before - bias
    if n == before: bias = 0    # tables that this class has as parameters
    if o.get("mtp"): OWN_MTP.get(cfg.model_type, mr.add_mtp)(inv, cfg, dtype)
    if o.get("turned"):     # published [experts, inputs, outputs] (read_file id 39809339375); transformers' reverse leaves its own order
        inv = {n: (d, [s[0], s[2], s[1]] if ".experts." in n else s) for n, (d, s) in inv.items()}
    mtp = elements() - before
    if o.get("shared_kv"): shared_kv(inv)
    if o.get("tied_copy"):
        emb = next(k for k in inv if re.search(r"(embed_tokens|wte|word_embeddings)\.weight$", k)); inv["lm_head.weight"] = inv[emb]
    if o.get("buffers"):
        t = mr.text_of(cfg)
        for i in range(t.num_hidden_layers):
            if t.model_type == "gpt2": inv[f"h.{i}.attn.bias"] = ("F32", [1, 1, t.n_positions, t.n_positions])
            else: inv[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = ("F32", [t.head_dim // 2])
    config = raw
    if o.get("native"):
        inv = native_names(inv); config = native_params(raw, shared / "corpus", o.get("quant"))
        if o.get("quant"): inv = native_fp8(inv, o["quant"])
    elif o.get("quant") == "deepseek-v4": inv = deepseek_v4_quant(inv)
    elif o.get("quant"): inv = mr.quantise(inv, o["quant"])
    inv = dict(sorted(inv.items(), key=lambda kv: mr.natural(kv[0])))
    by = collections.Counter()
    for d, s in inv.values(): by[d] += math.prod(s)
    about = {"source": f"specs/{spec}.json" if spec else f"corpus/{folder}/{file}", "class": type(model).__name__, "set": o.get("set", {}), "unset": list(o.get("unset", ())),
             "build_only": o.get("build_only", {}), "quant": o.get("quant"), "mtp": bool(o.get("mtp")), "tied_copy": bool(o.get("tied_copy")),
             "buffers": bool(o.get("buffers")), "dtype": dtype,
             "names": "Mistral native (params.json + consolidated)" if o.get("native") else STATE_DICT if o.get("names") == "state_dict"
                      else o.get("names", "Hub"),
             "router_bias": bias, "mtp_params": mtp,
             **({"shared_kv": True} if o.get("shared_kv") else {}),
             "stored_by_dtype": dict(sorted(by.items())), "transformers": mr.transformers.__version__, "torch": mr.torch.__version__.split("+")[0]}
    if o.get("native"): about["config_is"] = "params.json"
    return {"about": about, "config": config, "params": n, "stored": sum(by.values()), "tensors": {k: [d, s] for k, (d, s) in inv.items()}}


def encode(fixture):
    lines = ["{"]
    for key in ("about", "config", "params", "stored"): lines.append(f'"{key}": {json.dumps(fixture[key])},')
    lines.append('"tensors": {\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in fixture["tensors"].items()) + "\n}}\n")
    return gzip.compress("\n".join(lines).encode(), 9, mtime=0)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("shared", type=pathlib.Path); ap.add_argument("--only", default="")
    ap.add_argument("--out", type=pathlib.Path, default=HERE.parent / "fixtures" / "headers")
    ap.add_argument("--timm", type=pathlib.Path, help="the folder of an installed timm; fixtures that need it are left as they are without")
    a = ap.parse_args()
    mod = importlib.util.spec_from_file_location("make_repo", a.shared / "tools" / "make_repo.py")
    mr = importlib.util.module_from_spec(mod); sys.dont_write_bytecode = True; mod.loader.exec_module(mr)
    a.out.mkdir(parents=True, exist_ok=True); tmp = a.out / ".config.tmp.json"; total = 0; failed = []
    if a.timm: with_timm(a.timm)
    for name in SPEC:
        if not re.search(a.only, name) or (SPEC[name][2].get("timm") and not a.timm): continue
        try: fx = make(name, a.shared, mr, tmp)
        except Exception as exc:
            failed.append(name); print(f"FAILED {name}: {type(exc).__name__}: {str(exc)[:300]}", flush=True); continue
        data = encode(fx); (a.out / f"{name}.json.gz").write_bytes(data); total += len(data)
        print(f"{len(data):8,}  {name}: {len(fx['tensors']):,} tensors, params {fx['params']:,}, stored {fx['stored']:,}", flush=True)
    tmp.unlink(missing_ok=True)
    print(f"{total:,} bytes; failed: {failed}")
    sys.exit(bool(failed))
