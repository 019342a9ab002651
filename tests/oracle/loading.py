"""Which names of tensors transformers loads -> tests/fixtures/loading.json.gz

    ORACLE/bin/python tests/oracle/loading.py [OUT.json.gz] [--only REGEX]

ORACLE is a scratch environment with torch 2.13.0, transformers 5.23.0 and accelerate; never a dependency of llmarch. For each model_type
among the bundled specs a tiny model is built from the published config (shrink.py), saved, and its checkpoint is renamed, fused, split,
turned or damaged in the ways of SPELLINGS; then `from_pretrained(..., output_loading_info=True)` says what it finds. The model types without a spec follow, with the small config of their fixture in model_types. Each row: the config,
the stored tensors folded ({pattern: [[shape], [indices]]}), and the folded names that transformers reports as missing, unexpected and of
another shape (`error`: it raises instead). Nothing of llmarch is imported.
"""
import collections, copy, gzip, json, os, pathlib, re, sys, tempfile, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shrink import CLASS, shrink

transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_OUT = {"vipllava": "its feature layers do not shrink", "xlstm": "its embedding dims do not shrink", "mllama": "its layer lists do not shrink", "minimax_m3_vl_text": "its rotary dims do not shrink", "olmo_hybrid": "transformers saves its joined convolution in thirds", "gemma3n": "its vision tower is timm's", "kimi_k25": "its tower takes 30 s each", "minimax_m3_vl": "the published layer lists do not shrink"}
LARGEST = 20_000_000
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.\d+\.")


def prefixed(prefix): return lambda t: {prefix + n: x for n, x in t.items()}
def renamed(pattern, to): return lambda t: {re.sub(pattern, to, n): x for n, x in t.items()}
def some(pattern, prefix): return lambda t: {(prefix + n if re.search(pattern, n) else n): x for n, x in t.items()}


def fused(parts, whole, where=r".*"):
    """Concatenate sibling matrices along their outputs."""
    def fuse(t):
        out = {}
        for n, x in t.items():
            m = re.fullmatch(r"(.*\.)(\w+)\.(weight|bias)", n)
            if not m or m[2] not in parts or "experts" in n or not re.search(where, n): out[n] = x; continue
            names = [f"{m[1]}{p}.{m[3]}" for p in parts]
            if not all(k in t for k in names): out[n] = x; continue
            if m[2] == parts[0]: out[f"{m[1]}{whole}.{m[3]}"] = torch.cat([t[k] for k in names])
        return out
    return fuse


def stacked(turn):
    """Experts one by one -> gate_up_proj [E, 2I, H] and down_proj [E, H, I], or with inputs first."""
    def stack(t):
        groups, out = collections.defaultdict(dict), {}
        for n, x in t.items():
            m = re.fullmatch(r"(.*\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj|w1|w2|w3)\.weight", n)
            if m: groups[m[1]][int(m[2]), {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}.get(m[3], m[3])] = x
            else: out[n] = x
        for at, g in groups.items():
            count = 1 + max(e for e, _ in g)
            if any((e, p) not in g for e in range(count) for p in ("gate_proj", "up_proj", "down_proj")): return t
            whole = {"gate_up_proj": torch.stack([torch.cat([g[e, "gate_proj"], g[e, "up_proj"]]) for e in range(count)]),
                     "down_proj": torch.stack([g[e, "down_proj"] for e in range(count)])}
            for p, x in whole.items(): out[f"{at}.{p}"] = x.transpose(1, 2).contiguous() if turn else x
        return out
    return stack


def split_experts(t):
    """gate_up_proj [E, 2I, H] or [E, H, 2I] -> experts one by one."""
    out = {}
    for n, x in t.items():
        m = re.fullmatch(r"(.*\.experts)\.(gate_up_proj|down_proj)(?:\.weight)?", n)
        if not m or x.ndim != 3: out[n] = x; continue
        for e, y in enumerate(x):
            if m[2] == "down_proj": out[f"{m[1]}.{e}.down_proj.weight"] = y.clone()
            else:
                gate, up = y.chunk(2)
                out[f"{m[1]}.{e}.gate_proj.weight"], out[f"{m[1]}.{e}.up_proj.weight"] = gate.clone(), up.clone()
    return out


def turned_one(t):
    """One stacked matrix of experts turned."""
    for n, x in t.items():
        if x.ndim == 3 and "experts" in n: return {**t, n: x.transpose(1, 2).contiguous()}
    return t


def turned_all(t): return {n: x.transpose(1, 2).contiguous() if x.ndim == 3 and "experts" in n else x for n, x in t.items()}
def turned_convolutions(t):
    """All convolutions with their channels last, as MLX stores them."""
    return {n: x.movedim(1, -1).contiguous() if x.ndim >= 3 and "expert" not in n and min(x.shape[1:]) != max(x.shape[1:]) else x for n, x in t.items()}


def without(pattern): return lambda t: {n: x for n, x in t.items() if not re.search(pattern, n)}


def one_narrower(t):
    n = next(n for n in t if LAYER.search(n) and t[n].ndim == 2 and t[n].shape[0] > 2)
    return {**t, n: t[n][:-2].clone()}


def with_head(t):
    """A stored head beside a tied embedding, or none where there is one."""
    heads = [n for n in t if n.endswith("head.weight")]
    if heads: return {n: x for n, x in t.items() if n not in heads}
    n = next((n for n in t if n.endswith("embed_tokens.weight")), None)
    return {**t, "lm_head.weight": t[n].clone()} if n else t


SPELLINGS = {
    "as saved": lambda t: t,
    "without model.": renamed(r"^model\.", ""),
    "one more model.": prefixed("model."),
    "model. on all but the head": some(r"^(?!lm_head|model\.)", "model."),
    "language_model.model.": renamed(r"^model\.(?!language_model|visual|vision)", "language_model.model."),
    "language_model. before all": prefixed("language_model."),
    "transformer. before all": prefixed("transformer."),
    "transformer. instead of model.": renamed(r"^model\.", "transformer."),
    "model.language_model. three times": renamed(r"^(model\.language_model\.|language_model\.model\.|model\.)(?!visual|vision)", "model.language_model.language_model.language_model."),
    "wrapper the other way round": lambda t: {re.sub(r"^language_model\.model\.", "model.language_model.", n) if n.startswith("language_model.") else re.sub(r"^model\.language_model\.", "language_model.model.", n): x for n, x in t.items()},
    "module. before all": prefixed("module."),
    "_orig_mod. before all": prefixed("_orig_mod."),
    "base_model.model. before all": prefixed("base_model.model."),
    "mlp called feed_forward": renamed(r"\.mlp\.", ".feed_forward."),
    "self_attn called attention": renamed(r"\.self_attn\.", ".attention."),
    "mlp of another class's prefix": some(r"\.mlp\.", "language_model."),
    "layer 1 without prefix": lambda t: {re.sub(r"^model\.", "", n) if ".layers.1." in n else n: x for n, x in t.items()},
    "norm renamed": renamed(r"\.input_layernorm\.", ".attention_norm."),
    "gate_up_proj fused": fused(("gate_proj", "up_proj"), "gate_up_proj"),
    "gate_up_proj fused in layer 1": fused(("gate_proj", "up_proj"), "gate_up_proj", r"layers\.1\."),
    "qkv_proj fused": fused(("q_proj", "k_proj", "v_proj"), "qkv_proj"),
    "experts stacked": stacked(False),
    "experts stacked, inputs first": stacked(True),
    "experts one by one": split_experts,
    "all experts turned": turned_all,
    "one layer's experts turned": turned_one,
    "convolutions, channels last": turned_convolutions,
    "block_sparse_moe for mlp": renamed(r"\.mlp\.(gate|experts|e_score)", r".block_sparse_moe.\1"),
    "mlp for block_sparse_moe": renamed(r"\.block_sparse_moe\.", ".mlp."),
    "w1, w2, w3 for gate, down, up": lambda t: {re.sub(r"(experts\.\d+)\.(gate|down|up)_proj", lambda m: f"{m[1]}.{dict(gate='w1', down='w2', up='w3')[m[2]]}", n): x for n, x in t.items()},
    "a head more or less": with_head,
    "no final norm": without(r"(^|\.)(norm|ln_f|norm_f|embedding_norm|final_layernorm)\.weight$"),
    "one layer's norm missing": without(r"\.1\.(input_layernorm|ln_1|norm|operator_norm|post_attention_layernorm)\.weight$"),
    "one matrix narrower": one_narrower,
}


def own_names(model):
    """The parameters under the names that the class gives them; tied ones once."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    return {n: x.detach() for n, x in model.state_dict().items() if n not in tied}


OF_TYPES = ("as saved", "without model.", "one more model.", "language_model. before all", "module. before all", "gate_up_proj fused", "qkv_proj fused", "experts stacked", "experts stacked, inputs first",
            "experts one by one", "all experts turned", "one layer's experts turned", "convolutions, channels last", "w1, w2, w3 for gate, down, up", "a head more or less", "one matrix narrower")
"""Spellings that are tried on model types without a spec."""
OWN_NAMES = {
    "the class's own names": lambda own, saved, base: own,
    "the class's own names without the base's": lambda own, saved, base: {n.removeprefix(f"{base}."): x for n, x in own.items()},
    "the class's own names in layer 1": lambda own, saved, base: {
        **{n: x for n, x in saved.items() if ".1." not in LAYER_NUMBER.findall(n)[:1]}, **{n: x for n, x in own.items() if ".1." in LAYER_NUMBER.findall(n)[:1]}},
}
LAYER_NUMBER = re.compile(r"\.\d+\.")


def fold(name): return re.sub(r"(?<=\.)\d+(?=\.|$)", "{}", name), tuple(map(int, re.findall(r"(?<=\.)\d+(?=\.|$)", name)))


def folded(tensors):
    out = {}
    for n, x in tensors.items():
        p, i = fold(n)
        out.setdefault(f"{p} {list(x.shape)}", []).append(list(i))
    return out


def names(keys): return sorted({fold(k)[0] for k in keys})


def config_of(raw):
    raw = copy.deepcopy(raw)
    for part in (raw, *(raw[k] for k in ("text_config", "vision_config") if isinstance(raw.get(k), dict))):
        part.pop("quantization_config", None); part.pop("auto_map", None)
    raw["model_type"] = CLASS.get(raw["model_type"], raw["model_type"])
    if raw["model_type"] == "minimax":  # M1's names of the class's keys
        for block, key in (("full_attention", "full_attn"), ("linear_attention", "linear_attn"), ("mlp", "mlp")):
            for factor in ("alpha", "beta"):
                if f"layernorm_{block}_{factor}" in raw: raw[f"{key}_{factor}_factor"] = raw.pop(f"layernorm_{block}_{factor}")
    if "attn_type_list" in raw: raw["layer_types"] = ["full_attention" if t else "linear_attention" for t in raw["attn_type_list"]]
    return AutoConfig.for_model(**raw)


def built(config):
    autos = [AutoModelForCausalLM, AutoModelForImageTextToText]
    if getattr(config, "vision_config", None) is not None: autos.reverse()
    for auto in autos:
        try: return auto.from_config(config, dtype=torch.float32)
        except ValueError as error: last = error
    raise last


def check_size(config):
    """Raise ValueError for a model that shrink.py did not make small."""
    with torch.device("meta"): count = sum(x.numel() for x in built(config).parameters())
    if count > LARGEST: raise ValueError(f"{count:,} parameters")


def loaded(cls, config, tensors):
    with tempfile.TemporaryDirectory() as at:
        config.save_pretrained(at)
        save_file({n: x.contiguous() for n, x in tensors.items()}, f"{at}/model.safetensors", {"format": "pt"})
        try: info = cls.from_pretrained(at, output_loading_info=True)[1]
        except Exception as error: return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"}
        return {"missing": names(info["missing_keys"]), "unexpected": names(info["unexpected_keys"]),
                "mismatched": names(k[0] if isinstance(k, tuple) else k for k in info["mismatched_keys"])}


def configs():
    """Yield the name and a small config of each spec and then of each model type with a fixture."""
    for path in sorted((ROOT / "specs").glob("*.json")):
        spec = json.loads(path.read_text()) if path.name != "index.json" else {}
        if spec.get("config_file") == "config.json": yield path.stem, spec.get("config") or {}, [name for name in SPELLINGS if not name.startswith("convolutions")]
    for path in sorted((ROOT / "tests/fixtures/model_types").glob("*.json.gz")):
        yield path.name.partition(".")[0], json.loads(gzip.decompress(path.read_bytes()))["rows"][0]["saved"], OF_TYPES


def main():
    out = pathlib.Path(next((a for a in sys.argv[1:] if a.endswith(".gz")), ROOT / "tests/fixtures/loading.json.gz"))
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    models, seen = {}, set()
    for stem, raw, spellings in configs():
        key = (raw.get("model_type"), (raw.get("text_config") or {}).get("model_type"))
        if key in seen or key[0] in LEFT_OUT or not re.search(only, stem): continue
        try:
            config = config_of(shrink(raw))
            if key[0] == "step3p5": continue  # a text part that no auto class builds
            check_size(config)
            model = built(config)
        except Exception as error:
            print("left out", stem, type(error).__name__, str(error).strip().splitlines()[0][:120], file=sys.stderr); continue
        seen.add(key)
        with tempfile.TemporaryDirectory() as at:
            model.save_pretrained(at)
            saved = {}
            for f in sorted(pathlib.Path(at).glob("*.safetensors")): saved |= load_file(f)
            written = json.loads((pathlib.Path(at) / "config.json").read_text())
        rows = {}
        for spelling in spellings:
            try: tensors = SPELLINGS[spelling](saved)
            except RuntimeError: continue  # matrices of several widths cannot be joined
            if spelling != "as saved" and {n: x.shape for n, x in tensors.items()} == {n: x.shape for n, x in saved.items()}: continue
            rows[spelling] = {"tensors": folded(tensors), **loaded(type(model), model.config, tensors)}
        for spelling, change in OWN_NAMES.items():
            tensors = change(own_names(model), saved, model.base_model_prefix)
            if tensors.keys() != saved.keys(): rows[spelling] = {"tensors": folded(tensors), **loaded(type(model), model.config, tensors)}
        models[stem] = {"class": type(model).__name__, "config": written, "rows": rows}
        print(stem, len(rows), file=sys.stderr, flush=True)
    about = {"by": "tests/oracle/loading.py", "transformers": transformers.__version__, "left_out": LEFT_OUT}
    text = json.dumps({"about": about, "models": models}, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


main()
