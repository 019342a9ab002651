"""What classes without a language-model head store -> tests/fixtures/heads.json.gz

    ORACLE/bin/python tests/oracle/heads.py [OUT.json.gz] [--only REGEX]

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0; never a dependency of llmarch. For each model_type among the
bundled specs a tiny model of each auto class that transformers has (sequence and token classification, question answering, base model) is
built from the published config (shrink.py) and saved; for the types of tests/fixtures/model_types, from the class defaults with a
few layers, on the meta device. Each row: the class, config.json as written, the stored tensors folded
({"pattern [shape]": indices}), and how many elements they have. Nothing of llmarch is imported.
"""
import collections, copy, gzip, json, os, pathlib, re, sys, tempfile, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")
import torch, transformers
from safetensors.torch import load_file
from transformers.core_model_loading import revert_weight_conversion
from transformers import AutoConfig, AutoModel, AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoModelForTokenClassification

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model_types
from shrink import CLASS, shrink

transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_OUT = {"gemma3n": "its vision tower is timm's", "kimi_k25": "its tower takes 30 s each", "minimax_m3_vl": "the published layer lists do not shrink",
            "longcat_flash": "its class builds matrices for experts that have none", "step3p7": "its base class saves names of its own",
            "llama4": "AutoModel builds the language model",
            **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), "its class defaults give a tower that the decoder does not fit")}
AWKWARD = {"experts_per_token", "layernorm_linear_attention_alpha", "layernorm_mlp_alpha", "layernorm_full_attention_alpha", "full_attn_idxs", "rotary_dim"}
"""Second statements of what the shrunk config says otherwise."""
CHANGED = {"hunyuan_v1_moe": {"moe_intermediate_size": 96}, "mimo_v2_flash": {"swa_num_key_value_heads": 4}}
AUTO = {"sequence": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification, "question": AutoModelForQuestionAnswering, "base": AutoModel}
LABELS = {"sequence": (1, 3), "token": (5,), "question": (2,), "base": (2,)}


def config_of(raw):
    raw = copy.deepcopy(raw)
    for part in (raw, *(raw[k] for k in ("text_config", "vision_config") if isinstance(raw.get(k), dict))):
        for key in ("quantization_config", "auto_map", "architectures", *AWKWARD): part.pop(key, None)
    raw["model_type"] = CLASS.get(raw["model_type"], raw["model_type"])
    if "attn_type_list" in raw: raw["layer_types"] = ["full_attention" if t else "linear_attention" for t in raw["attn_type_list"]]
    return raw | CHANGED.get(raw["model_type"], {})


def fold(name): return re.sub(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.)", "{}", name), list(map(int, re.findall(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.)", name)))


def folded(tensors):
    out = collections.defaultdict(list)
    for n, x in tensors.items():
        pattern, index = fold(n)
        out[f"{pattern} {list(x.shape)}"].append(index)
    return out


def saved(model):
    with tempfile.TemporaryDirectory() as at:
        model.save_pretrained(at)
        tensors = {}
        for f in sorted(pathlib.Path(at).glob("*.safetensors")): tensors |= load_file(f)
        return tensors, json.loads((pathlib.Path(at) / "config.json").read_text())


def meta_tensors(model):
    every = dict(model.named_parameters(remove_duplicate=False))
    own = dict(model.named_parameters()) | {n: x for n, x in model.state_dict().items() if n not in every}
    return revert_weight_conversion(model, own)


def main():
    out = pathlib.Path(next((a for a in sys.argv[1:] if a.endswith(".gz")), ROOT / "tests/fixtures/heads.json.gz"))
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    models, seen = {}, set()
    for path in sorted((ROOT / "specs").glob("*.json")):
        raw = (json.loads(path.read_text()) if path.name != "index.json" else {}).get("config") or {}
        types = [(raw.get("model_type"), raw)]
        text = raw.get("text_config")
        if isinstance(text, dict) and text.get("model_type"): types.append((text["model_type"], text))  # a text part by itself
        for model_type, config in types:
            if model_type is None or model_type in seen or model_type in LEFT_OUT or not re.search(only, model_type): continue
            seen.add(model_type)
            try: small = config_of(shrink(config))
            except Exception as error: print("left out", model_type, error, file=sys.stderr); continue
            for kind, auto in AUTO.items():
                for labels in LABELS[kind]:
                    try:
                        model = auto.from_config(AutoConfig.for_model(**small, num_labels=labels), dtype=torch.float32)
                    except ValueError as error:
                        print("no", kind, model_type, type(error).__name__, str(error).strip().splitlines()[0][:90], file=sys.stderr); break
                    tensors, written = saved(model)
                    models[f"{model_type} {kind} {labels}"] = {"class": type(model).__name__, "head": kind, "labels": labels, "config": written, "tensors": folded(tensors), "elements": sum(x.numel() for x in tensors.values())}
            print(model_type, sum(k.startswith(model_type + " ") for k in models), file=sys.stderr, flush=True)
    for path in sorted((ROOT / "tests/fixtures/model_types").glob("*.json.gz")):
        model_type = path.name.removesuffix(".json.gz")
        if model_type in seen or model_type in LEFT_OUT or not re.search(only, model_type): continue
        seen.add(model_type)
        try: given = model_types.cut(model_types.parts_of(model_type))
        except Exception as error: print("no", model_type, error, file=sys.stderr); continue
        for kind, auto in AUTO.items():
            for labels in LABELS[kind]:
                try:
                    try: config = model_types.config_of(model_type, given | {"num_labels": labels})
                    except ValueError: config = model_types.config_of(model_type, {"num_labels": labels})
                    with torch.device("meta"): model = auto.from_config(config)
                except Exception as error:
                    print("no", kind, model_type, type(error).__name__, str(error).strip().splitlines()[0][:90], file=sys.stderr); break
                tensors = meta_tensors(model)
                written = config.to_diff_dict() | {"architectures": [type(model).__name__]}
                models[f"{model_type} {kind} {labels}"] = {"class": type(model).__name__, "head": kind, "labels": labels, "config": written, "tensors": folded(tensors), "elements": sum(x.numel() for x in tensors.values())}
        print(model_type, sum(k.startswith(model_type + " ") for k in models), file=sys.stderr, flush=True)
    about = {"by": "tests/oracle/heads.py", "transformers": transformers.__version__, "left_out": LEFT_OUT}
    out.write_bytes(gzip.compress(json.dumps({"about": about, "models": models}, separators=(",", ":")).encode(), mtime=0))


main()
