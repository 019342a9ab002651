"""What llama.cpp's converter makes of each decoder type -> tests/fixtures/gguf_headers.json.gz

    ORACLE/bin/python tests/oracle/gguf_headers.py LLAMA_CPP [TYPE...]     (all types of tests/fixtures/model_types without a name)

ORACLE is the scratch environment of model_types.py; LLAMA_CPP a folder with conversion/ and gguf-py/ of llama.cpp. Configs and tensors are those
of tests/fixtures/model_types (what transformers saves and publishes); the converter's own classes name the keys and the tensors of a GGUF file.
Tensors are on the meta device: no weights are read or written, and no vocabulary. Nothing of llmarch is imported.

A name `headers/NAME` is a published config with published names (tests/fixtures/headers), which has one row.

Each model type has rows, one a config that makes another header: `set` (the keys that differ from the class's, of the row in model_types),
`keys` (of the file; after the first row those that differ, null for those that it lacks) and `tensors` [[folded name, shape, type, [[first, last], ...]], ...]
(after the first row null if they are the same).
"""
import collections, copy, gzip, itertools, json, logging, os, pathlib, re, signal, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
LLAMA = pathlib.Path(sys.argv[1]).resolve()
sys.path[:0] = [str(LLAMA), str(LLAMA / "gguf-py")]
import torch, gguf, conversion
from conversion import ModelBase, ModelType, base

logging.disable(logging.CRITICAL)
torch.set_num_threads(1)
FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
ROWS = 4  # of one type, the first included
NO_MTP = {"mtp_num_hidden_layers": None, "num_nextn_predict_layers": None}
# Published configs say so; transformers' class, whose saved config the fixture has, does not
ALSO = {
    "deepseek_v2": {"scoring_func": "softmax"}, "gpt2": {"n_ctx": lambda c: c["n_positions"]}, "cohere2": {"rotary_pct": 1.0}, "falcon": {"num_kv_heads": 1},
    "falcon_h1": {"head_dim": lambda c: c["hidden_size"] // c["num_attention_heads"]}, "bamba": {"attn_layer_indices": [9, 18, 27]}, "gpt_neox": {"rotary_pct": 0.25}, "glm4_moe_lite": {"first_k_dense_replace": 1},
    "gemma4_text": {"global_head_dim": 512}, "qwen3_next": NO_MTP, "qwen3_5_text": NO_MTP, "qwen3_5_moe_text": NO_MTP,
    "minimax_m2": {"rotary_dim": lambda c: c["head_dim"]}, "hunyuan_v1_moe": {"moe_intermediate_size": lambda c: [c["intermediate_size"]] * 32, "moe_topk": [2] * 32, "num_shared_expert": [1] * 32}, "gpt-sw3": {"n_ctx": lambda c: c["n_positions"]},
}
# Rows of which the converter makes a file that contradicts itself, or that no class builds
UNFIT = {("phi", "hidden_size"), ("phi", "intermediate_size"), ("phi", "num_key_value_heads"), ("qwen2_vl", "text_config.hidden_size"), ("qwen2_5_vl", "text_config.hidden_size"),
         ("qwen3_vl", "text_config.hidden_size"), ("qwen3_vl_moe", "text_config.hidden_size")}
BASE = {"bitnet": "tie_word_embeddings"}  # the row of this key comes first: published models have it
PUBLISHED = [f"headers/{name}" for name in """
    qwen3-8b qwen2.5-7b qwen3-30b-a3b qwen3-next-reduced-mtp qwen3.5-0.8b-reduced-mtp qwen3.5-35b-a3b-reduced-mtp qwen3-vl-8b gemma-2b gemma-2-9b gemma-3-1b gemma-3-27b
    gemma-3n-e4b-reduced gemma-4-31b gemma-4-26b-a4b-reduced gemma-4-e2b-reduced deepseek-v2-lite deepseek-v3-reduced deepseek-v3.2-reduced-mtp
    glm-4.5-air-reduced-mtp glm-5-reduced-mtp gpt-oss-20b gpt2-124m granite-3.1-1b-a400m granite-3b-code granite-4.0-h-350m granite-4.0-h-small-reduced granite-4.1-8b
    hy3-reduced-mtp kimi-k2-reduced kimi-linear-48b laguna-xs.2-reduced lfm2-1.2b llama-3-8b llama-3.2-1b llama-4-scout-reduced
    minimax-m2-reduced ministral-3-8b mistral-7b-v0.1 mistral-nemo-12b mistral-small-3.1-24b mistral-small-4-reduced mixtral-8x7b
    nemotron-3-nano-30b-reduced nemotron-3-super-120b-reduced-mtp nemotron-h-56b-reduced olmo-2-7b olmo-3-7b olmoe-1b-7b-reduced phi-3.5-mini phi-4-mini phi-4
    seed-oss-36b smollm3-3b trinity-mini-reduced""".split()]
# Wrappers whose class defaults make no file that llama.cpp loads, and one that llmarch does not read
LEFT_OUT = ("glm4v", "glm4v_moe", "glm_ocr", "janus", "paddleocr_vl", "minicpmv4_6", "mistral3", "dbrx")
SECONDS = 200  # for one type


LOAD = ModelBase.load_hparams
CLASSES = {"granitemoehybrid": ["GraniteMoeHybridForCausalLM"], "seed_oss": ["SeedOssForCausalLM"]}


def with_keys(config, hparams, is_published):
    """The hparams with the keys that only the config has, and its parts'."""
    if is_published: config, hparams = hparams, config  # as an older transformers leaves them
    out = {**config, **hparams, "architectures": config.get("architectures") or hparams.get("architectures") or CLASSES[config["model_type"]]}
    for key, value in config.items():
        if isinstance(value, dict) and isinstance(hparams.get(key), dict) and key.endswith("_config"): out[key] = {**value, **hparams[key]}
    return out


def names(table):
    for pattern, shape, columns, _ in table:
        for numbers in itertools.product(*[[n for a, b in c for n in range(a, b + 1)] for c in columns]):
            yield pattern.format(*numbers) if numbers else pattern, tuple(shape)


def header(config, table, is_published=False):
    """Keys and tensors of the GGUF file of a config and its tensors."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": [0] * (config.get("vocab_size") or config.get("text_config", {}).get("vocab_size", 0))}, "added_tokens": []}))
        hparams = LOAD(folder, False)
        hparams = with_keys(config, config if is_published == "alone" else hparams, is_published)  # published keys that this version of transformers does not keep
        arch = base.get_model_architecture(hparams, ModelType.TEXT)
        cls = conversion.get_model_class(arch)

        def index(self, remote_hf_model_id=None):
            lazy = base.LazyTorchTensor
            found = {}
            for name, shape in names(table):
                gen = lambda shape=shape: lazy(meta=lazy.meta_with_dtype_and_shape(torch.bfloat16, shape), args=(shape,), func=lambda s: torch.ones(s, dtype=torch.bfloat16))
                item = self.filter_tensors((name, gen))
                if item: found[item[0]] = item[1]
            return found

        ModelBase.index_tensors = index
        ModelBase.load_hparams = staticmethod(lambda *_, **__: copy.deepcopy(hparams))
        cls.set_vocab = lambda self: None
        model = cls(folder, gguf.LlamaFileType.MOSTLY_BF16, folder / "out.gguf", dry_run=True, hparams=hparams)
        with torch.inference_mode():
            model.prepare_tensors()
            model.prepare_metadata(vocab_only=False)
        w = getattr(model, "impl", model).gguf_writer
        keys = {}
        for part in w.kv_data:
            for key, value in part.items():
                if not key.startswith(("tokenizer.", "general.")) or key == "general.architecture":
                    keys[key] = [value.type.name, value.sub_type.name if value.sub_type else "", plain(value.value)]
        folded = collections.defaultdict(list)
        for part in w.tensors:
            for name, info in part.items():
                numbers = [int(n) for n in re.findall(r"(?<=\.)\d+(?=\.|$)", name)]
                folded[re.sub(r"(?<=\.)\d+(?=\.|$)", "{}", name), tuple(int(n) for n in info.shape), info.dtype.name].append(numbers)
        tensors = [[p, list(s), t, [spans(c) for c in zip(*rows)]] for (p, s, t), rows in folded.items()]
        return keys, tensors


def plain(x):
    if isinstance(x, (list, tuple)): return [plain(v) for v in x]
    if hasattr(x, "item"): return x.item()
    return x


def spans(numbers):
    out = []
    for n in sorted(set(numbers)):
        if out and out[-1][1] == n - 1: out[-1][1] = n
        else: out.append([n, n])
    return out


def published(name):
    """The row of a fixture of published names."""
    fixture = json.loads(gzip.decompress((FIXTURES / "headers" / f"{name}.json.gz").read_bytes()))
    table = [[n, shape, [], 1] for n, (_, shape) in fixture["tensors"].items()]
    try: keys, tensors = header(fixture["config"], table, is_published="alone")
    except Exception: keys, tensors = header(fixture["config"], table, is_published=True)
    return [{"set": {}, "keys": keys, "tensors": tensors}]


def rows_of(fixture):
    """The rows of one type: first the class's own config (cut), then single keys whose change changes the header."""
    first = fixture["rows"][0]["saved"]
    base_row = fixture["rows"][min(1, len(fixture["rows"]) - 1)]
    if fixture["model_type"] in BASE: base_row = next(row for row in fixture["rows"] if BASE[fixture["model_type"]] in row["set"])
    out, kept = [], None
    rest = [row for row in fixture["rows"] if row is not base_row and row is not fixture["rows"][0]]
    for number, row in enumerate([base_row, *rest]):
        if len(out) >= ROWS: break
        if any((fixture["model_type"], key) in UNFIT for key in row["set"]) and number: continue
        config = {**first, **row["saved"], "architectures": [fixture["about"]["class"]]}
        config |= {key: value(config) if callable(value) else value for key, value in ALSO.get(fixture["model_type"], {}).items()}
        try: keys, tensors = header(config, fixture["tables"][row["tensors"]])
        except TimeoutError:
            if number == 0: raise
            break
        except Exception as error:
            if number == 0: raise
            continue
        if kept is None:
            out.append({"set": row["set"], "keys": keys, "tensors": tensors}); kept = keys, tensors
            continue
        changed = {k: v for k, v in keys.items() if kept[0].get(k) != v} | {k: None for k in kept[0] if k not in keys}
        if changed or tensors != kept[1]:
            out.append({"set": row["set"], "keys": changed, "tensors": tensors if tensors != kept[1] else None})
    return out


def too_long(*_):
    raise TimeoutError("too long")


def main():
    signal.signal(signal.SIGALRM, too_long)
    target = FIXTURES / "gguf_headers.json.gz"
    done, out = {}, {"about": {"by": "tests/oracle/gguf_headers.py", "llama.cpp": os.environ.get("LLAMA_COMMIT", "")}, "types": {}, "refused": {}}
    every = sorted(p.name.removesuffix(".json.gz") for p in (FIXTURES / "model_types").glob("*.json.gz"))
    for t in sys.argv[2:] or [*[t for t in every if t not in LEFT_OUT], *PUBLISHED]:
        fixture = {} if "/" in t else json.loads(gzip.decompress((FIXTURES / "model_types" / f"{t}.json.gz").read_bytes()))
        signal.alarm(SECONDS)
        try: out["types"][t] = rows_of(fixture) if fixture else published(t.rpartition("/")[2])
        except Exception as error:
            if os.environ.get("TRACE"): import traceback; traceback.print_exc()
            out["refused"][t] = f"{type(error).__name__}: {str(error).strip()[:120]}"
        print(t, len(out["types"].get(t, ())), out["refused"].get(t, ""), file=sys.stderr, flush=True)
    text = json.dumps(out, separators=(",", ":"), sort_keys=True)
    (pathlib.Path(os.environ["OUT"]) if "OUT" in os.environ else target).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


main()
