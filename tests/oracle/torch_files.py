"""Files that torch.save writes -> tests/fixtures/torch_files.json.gz

    ORACLE/bin/python tests/oracle/torch_files.py [OUT.json.gz]

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0; never a dependency of llmarch. Each file: its bytes (base64), and
name, dtype and shape of each tensor as torch loads it. `models` are the state dicts of tiny models with their config.json. Nothing of
llmarch is imported.
"""
import base64, collections, gzip, io, json, pathlib, sys, warnings

warnings.filterwarnings("ignore")
import torch
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {"llama": dict(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=16),
          "gpt2": dict(n_embd=8, n_layer=2, n_head=2, vocab_size=16, n_positions=16, bos_token_id=1, eos_token_id=2)}
DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool", "complex64",
          "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
SAFE = dict(zip(DTYPES, ("F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL", "C64", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ",
                         "F8_E5M2FNUZ", "F8_E8M0")))


def saved(state, **options):
    out = io.BytesIO()
    torch.save(state, out, **options)
    return out.getvalue()


def row(data, state): return {"data": base64.b64encode(data).decode(), "tensors": {n: [SAFE[str(x.dtype).removeprefix("torch.")], list(x.shape)] for n, x in state.items()}}


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests/fixtures/torch_files.json.gz")
    torch.manual_seed(0)
    many = collections.OrderedDict((d, torch.zeros(2, 3).to(getattr(torch, d))) for d in DTYPES)
    state = collections.OrderedDict(a=torch.zeros(3, 4), scalar=torch.zeros(()), empty=torch.zeros(0, 5), parameter=torch.nn.Parameter(torch.zeros(2)))
    state["tied"], state["view"], state["transposed"] = state["a"], state["a"][1:], state["a"].t()
    ways = {"zip": {}, "stream": {"_use_new_zipfile_serialization": False}, "protocol-4": {"pickle_protocol": 4}, "protocol-5": {"pickle_protocol": 5}}
    files = {way: row(saved(state, **options), state) for way, options in ways.items()}
    files |= {f"dtypes-{way}": row(saved(many, **options), many) for way, options in list(ways.items())[:2]}
    files["trainer"] = row(saved({"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1, "steps": [1, 2]}}), state)
    files["plain"] = row(saved(dict(state)), state)
    files["nested"] = row(saved({"net": {"a": state["a"]}, "b": state["scalar"]}), {"net.a": state["a"], "b": state["scalar"]})
    models = {}
    for name, options in MODELS.items():
        config = AutoConfig.for_model(name, **options)
        model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
        config = json.loads(model.config.to_json_string(use_diff=False)) | {"dtype": "bfloat16", "architectures": [type(model).__name__]}
        models[name] = {"config": config} | {way: row(saved(model.state_dict(), **options), model.state_dict()) for way, options in list(ways.items())[:2]}
    document = {"torch": torch.__version__, "files": files, "models": models}
    out.write_bytes(gzip.compress(json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), 9, mtime=0))
    print(len(files), "files", out.stat().st_size, "bytes")


if __name__ == "__main__": main()
