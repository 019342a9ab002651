"""tests/fixtures/expected_counts.json from SHARED/reference: python tests/oracle/expected_counts.py SHARED [OUT.json]

Reads oracle_counts.json (transformers on the meta device) and published_numbers.md; PUBLISHED below is section 1 of the
latter, retyped with its source letters, and every figure is held against the oracle here. Needs no torch, no llmarch.
"""
import json, pathlib, re, sys

FAMILIES = set("""gpt2 llama llama4 deepseek_v2 deepseek_v3 deepseek_v32 kimi_k2 olmo2 olmo3 gemma gemma2 gemma3 gemma3_text mistral mixtral
mistral3 ministral3 mistral4 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next smollm3 kimi_linear minimax minimax_m1 minimax_m2 gpt_oss glm4_moe""".split())
ABOUT = {
    "by": "tests/oracle/expected_counts.py",
    "total": "unique parameters plus router-bias tables (checkpoints store them); towers and projector included, tied weights once, MTP, scales and buffers excluded",
    "text": "total without vision tower and projector (router-bias tables included)",
    "router_bias": "e_score_correction_bias elements in total, MTP's excluded",
    "active": "text with routed experts scaled by top_k / n, plus router_bias (the convention of published_numbers section 2); null for dense models",
    "active_without_embedding": "active less the input embedding",
    "mtp": "the published MTP layer, its router-bias table and its own copies of embedding and head included; null where none is published or known. "
           "A property of the model: not every repo of it stores the layer",
    "source": "oracle = reference/oracle_counts.json; P1, P2 = reference/published_numbers.md section 1, 2 with its source letters; native = reference/mistral_native.md section 3",
}
# folder -> (total by section 1, its sources). Several repos of one model share a figure.
PUBLISHED = {}
for folders, total, letters in [
    ("openai-community__gpt2", 124_439_808, "T"), ("openai-community__gpt2-xl", 1_557_611_200, "T"),
    ("meta-llama__Meta-Llama-3-8B-Instruct meta-llama__Meta-Llama-3.1-8B", 8_030_261_248, "K F R T"),
    ("meta-llama__Llama-3.1-70B-Instruct meta-llama__Meta-Llama-3.1-70B", 70_553_706_496, "K R T"),
    ("meta-llama__Llama-3.2-1B meta-llama__Llama-3.2-1B-Instruct", 1_235_814_400, "T"), ("meta-llama__Llama-3.2-3B-Instruct", 3_212_749_824, "K T"),
    ("meta-llama__Llama-4-Scout-17B-16E-Instruct", 108_641_793_536, "K F"),
    ("meta-llama__Llama-4-Maverick-17B-128E-Instruct", 401_583_781_376, "Fireworks docs id 16519339830"),
    ("allenai__OLMo-2-1124-7B", 7_298_617_344, "T"), ("allenai__Olmo-3-1025-7B", 7_298_011_136, "T"), ("allenai__Olmo-3.1-32B-Instruct", 32_233_522_176, "T"),
    ("google__gemma-3-27b-it", 27_432_406_640, "K F T"),
    ("mistralai__Mistral-Small-3.1-24B-Instruct-2503", 24_011_361_280, "K F, given for 3.2 'as 3.1'"),
    ("mistralai__Mistral-Large-3-675B-Instruct-2512", 675_991_176_960, "T, reconstructed"),
    ("mistralai__Ministral-3-3B-Instruct-2512", 3_849_090_048, "T, reconstructed"), ("mistralai__Ministral-3-8B-Instruct-2512", 8_918_026_240, "T, reconstructed"),
    ("mistralai__Ministral-3-14B-Instruct-2512", 13_945_031_680, "T, reconstructed"),
    ("HuggingFaceTB__SmolLM3-3B", 3_075_098_624, "several repos, T"),
    ("Qwen__Qwen3-0.6B", 596_049_920, "F K T"), ("Qwen__Qwen3-1.7B", 1_720_574_976, "T"), ("Qwen__Qwen3-4B", 4_022_468_096, "T"),
    ("Qwen__Qwen3-8B", 8_190_735_360, "F K T"), ("Qwen__Qwen3-14B copy__Qwen3-14B-MLX-4bit", 14_768_307_200, "F"),
    ("Qwen__Qwen3-32B Qwen__Qwen3-32B-FP8 Qwen__Qwen3-32B-FP8-Static-PerTensor", 32_762_123_264, "F K T"),
    ("Qwen__Qwen3-30B-A3B Qwen__Qwen3-30B-A3B-FP8 Qwen__Qwen3-30B-A3B-Instruct-2507", 30_532_122_624, "J K T"),
    ("Qwen__Qwen3-235B-A22B Qwen__Qwen3-235B-A22B-FP8 nvidia__Qwen3-235B-A22B-NVFP4", 235_093_634_560, "J K T"),
    ("Qwen__Qwen3-Next-80B-A3B-Instruct", 79_674_391_296, "J K F T"),
    ("deepseek-ai__DeepSeek-V3 deepseek-ai__DeepSeek-R1 deepseek-ai__DeepSeek-V3.1 nvidia__DeepSeek-V3.1-NVFP4", 671_026_419_200, "R, many, T"),
    ("deepseek-ai__DeepSeek-V3.2", 671_877_944_064, "J T"),
    ("moonshotai__Kimi-K2-Instruct moonshotai__Kimi-K2-Thinking", 1_026_408_232_448, "A J T"),
    ("moonshotai__Kimi-Linear-48B-A3B-Base", 49_122_681_728, "T"), ("MiniMaxAI__MiniMax-M1-80k", 456_089_655_296, "J T"),
    ("MiniMaxAI__MiniMax-M2 MiniMaxAI__MiniMax-M2.7 nvidia__MiniMax-M2.7-NVFP4 nvidia__MiniMax-M2.5-NVFP4", 228_689_764_864, "J T"),
    ("openai__gpt-oss-20b", 20_914_757_184, "J K F R T"), ("openai__gpt-oss-120b", 116_829_156_672, "J K F R T"),
    ("zai-org__GLM-4.5", 352_797_829_024, "J K T"), ("zai-org__GLM-4.5-Air", 106_852_251_264, "J K T"),
    ("mistralai__Mixtral-8x7B-v0.1", 46_702_792_704, "J T"),
]:
    for f in folders.split(): PUBLISHED[f] = (total, letters)
# rows of section 2, by the name in its table
TABLE2 = {"deepseek-ai__DeepSeek-V3": "deepseek-ai--DeepSeek-V3", "deepseek-ai__DeepSeek-R1": "deepseek-ai--DeepSeek-V3",
          "deepseek-ai__DeepSeek-V3.1": "deepseek-ai--DeepSeek-V3", "nvidia__DeepSeek-V3.1-NVFP4": "deepseek-ai--DeepSeek-V3",
          "deepseek-ai__DeepSeek-V3.2": "deepseek-ai--DeepSeek-V3.2", "moonshotai__Kimi-K2-Instruct": "moonshotai--Kimi-K2-Instruct",
          "moonshotai__Kimi-K2-Thinking": "moonshotai--Kimi-K2-Instruct", "moonshotai__Kimi-Linear-48B-A3B-Base": "Kimi-Linear-48B-A3B",
          "Qwen__Qwen3-235B-A22B": "Qwen--Qwen3-235B-A22B", "Qwen__Qwen3-235B-A22B-FP8": "Qwen--Qwen3-235B-A22B",
          "nvidia__Qwen3-235B-A22B-NVFP4": "Qwen--Qwen3-235B-A22B", "Qwen__Qwen3-30B-A3B": "Qwen--Qwen3-30B-A3B",
          "Qwen__Qwen3-30B-A3B-FP8": "Qwen--Qwen3-30B-A3B", "Qwen__Qwen3-30B-A3B-Instruct-2507": "Qwen--Qwen3-30B-A3B",
          "Qwen__Qwen3-Next-80B-A3B-Instruct": "Qwen3-Next-80B-A3B", "openai__gpt-oss-20b": "openai--gpt-oss-20b", "openai__gpt-oss-120b": "openai--gpt-oss-120b",
          "meta-llama__Llama-4-Maverick-17B-128E-Instruct": "meta-llama--Llama-4-Maverick-17B-128E-Instruct",
          "meta-llama__Llama-4-Scout-17B-16E-Instruct": "meta-llama--Llama-4-Scout-17B-16E-Instruct",
          "MiniMaxAI__MiniMax-M1-80k": "MiniMax-M1", "MiniMaxAI__MiniMax-M2": "MiniMaxAI--MiniMax-M2.5", "MiniMaxAI__MiniMax-M2.7": "MiniMaxAI--MiniMax-M2.5",
          "nvidia__MiniMax-M2.5-NVFP4": "MiniMaxAI--MiniMax-M2.5", "nvidia__MiniMax-M2.7-NVFP4": "MiniMaxAI--MiniMax-M2.5",
          "zai-org__GLM-4.5": "GLM-4.5", "zai-org__GLM-4.5-Air": "GLM-4.5-Air",
          "mistralai__Mistral-Large-3-675B-Instruct-2512": "Mistral-Large-3-text"}
V3_MTP = (13_463_426_304, "P1 (J: R1 on the Hub 684,489,845,504)")
MTP = {"deepseek-ai__DeepSeek-V3": V3_MTP, "deepseek-ai__DeepSeek-R1": V3_MTP, "deepseek-ai__DeepSeek-V3.1": V3_MTP, "nvidia__DeepSeek-V3.1-NVFP4": V3_MTP,
       "deepseek-ai__DeepSeek-V3.2": (685_355_329_792 - 671_877_944_064, "P1 (J: Hub total less main)"),
       "zai-org__GLM-4.5": (5_539_962_272, "P1 (J K)"), "zai-org__GLM-4.5-Air": (110_468_824_832 - 106_852_251_264, "P1 (J K: with less without)"),
       "Qwen__Qwen3-Next-80B-A3B-Instruct": (81_324_862_720 - 79_674_391_296, "P1 (J K F: with less without)")}
NOTES = {
    "meta-llama__Llama-4-Scout-17B-16E-Instruct": "config.json is trimmed (no vision_config: oracle_counts has a default-sized tower); total is the published one, text is the oracle's",
    "meta-llama__Llama-4-Maverick-17B-128E-Instruct": "config.json is trimmed; total is the published one and equals the oracle of config.reconstructed.json",
    "mistralai__Mistral-Small-3.1-24B-Instruct-2503": "oracle_counts is 671,088,640 too low: transformers 5.23 ties where the config says nothing (native section 3); text is P1's T",
    "mistralai__Mistral-Large-3-675B-Instruct-2512": "no router-bias tables in this checkpoint, although a deepseek_v3 class would have 7,424 (native section 1a, 3)",
    "google__gemma-3-27b-it": "config.json and config.reconstructed.json give the same",
    "zai-org__GLM-4.5-Air": "config.partial.json only (model_type glm); no oracle row, all from published_numbers",
    "nvidia__MiniMax-M2.5-NVFP4": "the M2.5 repo's Hub figure 228,703,644,928 holds 13,880,064 more, probably scales (P1)",
}
TOPK = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token"); COUNT = ("n_routed_experts", "num_experts", "num_local_experts")


def table2(text):
    rows = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 7 and re.fullmatch(r"[\d,]+", cells[1]):
            rows[cells[0]] = [int(c.replace(",", "")) for c in cells[1:]]      # total, buf, vision, text, active, active without embedding
    return rows


def main(shared, out):
    oracle = json.loads((shared / "reference" / "oracle_counts.json").read_text())
    p2 = table2((shared / "reference" / "published_numbers.md").read_text())
    table = {"_about": ABOUT}
    for d in sorted((shared / "corpus").iterdir()):
        file = next((d / f for f in ("config.json", "config.reconstructed.json", "config.partial.json") if (d / f).exists()), None)
        if not d.is_dir() or not file: continue
        cfg = json.loads(file.read_text())
        if cfg.get("model_type") not in FAMILIES and d.name != "zai-org__GLM-4.5-Air": continue
        o = oracle.get(f"{d.name} (config.reconstructed)") or oracle.get(d.name) or {}
        said, letters = PUBLISHED.get(d.name, (None, None)); row2 = p2.get(TABLE2.get(d.name)); src = []
        bias = o.get("router_bias", row2 and row2[1])
        counted = o["params"] + bias if o else None
        total, text = said or counted, (o["text"] + bias if o else row2[3] + bias)
        if d.name.startswith("mistralai__Mistral-Small-3.1"): text = 23_572_403_200; assert total - counted == 671_088_640
        elif d.name == "meta-llama__Llama-4-Scout-17B-16E-Instruct": assert total - text == 871_932_416
        elif o: assert said in (None, counted), (d.name, said, counted)
        src.append(f"total: {f'P1 ({letters})' if said else 'oracle, params + router_bias'}" + ("; oracle agrees" if said and said == counted else ""))
        t = cfg.get("text_config", cfg); k, n = (next((t[x] for x in names if t.get(x)), None) for names in (TOPK, COUNT))
        active = lean = None
        if row2:
            active, lean = row2[4] + bias, row2[5] + bias; src.append(f"active: P2 row {TABLE2[d.name]} + router_bias")
        if o.get("routed_experts"):
            assert o["routed_experts"] * k % n == 0
            mine = text - o["routed_experts"] + o["routed_experts"] * k // n; emb = t["vocab_size"] * t["hidden_size"]
            assert not row2 or (active, lean) == (mine, mine - emb), d.name
            if not row2: active, lean = mine, mine - emb; src.append(f"active: oracle, routed_experts x {k}/{n}; embedding {t['vocab_size']} x {t['hidden_size']} from {file.name}")
        mtp, where = MTP.get(d.name, (None, None))
        if mtp: src.append(f"mtp: {where}")
        if d.name in NOTES: src.append(NOTES[d.name])
        table[d.name] = {"total": total, "text": text, "router_bias": bias, "active": active, "active_without_embedding": lean, "mtp": mtp, "source": "; ".join(src)}
    missing = (set(PUBLISHED) | set(TABLE2) | set(MTP) | set(NOTES)) - set(table)
    assert not missing, missing
    rows = [f'"_about": {json.dumps(ABOUT, indent=1)}'] + [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in table.items() if k != "_about"]
    out.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{out}: {len(table) - 1} folders")


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else here.parent / "fixtures" / "expected_counts.json")
