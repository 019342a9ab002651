"""Name lists of published checkpoints, folded, as fixtures for name-only joins.

    python tests/oracle/make_indexes.py SHARED [--out DIR]

SHARED is the folder that holds corpus/ (its README says where each index file was found). A fixture DIR/NAME.json.gz is {"about", "config",
"names": {pattern: [numbers, ..]}}: `{}` in a pattern stands for the numbers, of which each entry gives a product ("0-31" or, for two
places, ["3-60", "0-255"]). Nothing here uses llmarch. The native form of Devstral has no index (one file of weights): its names are those
of the Hugging Face form, renamed by make_fixtures.py's table of mistral_native.md, section 2; its params.json is that of the repository
(fetchwiki/mistralai-Devstral-Small-2507 at 2074b22fb5db, as mistral_native.md cites it).
"""
import argparse, gzip, importlib.util, json, pathlib, re, sys

HERE = pathlib.Path(__file__).resolve().parent
INDEXES = {
    "smollm3-3b": "HuggingFaceTB__SmolLM3-3B",
    "minimax-m1-80k": "MiniMaxAI__MiniMax-M1-80k",
    "qwen3-14b-mlx-4bit": "copy__Qwen3-14B-MLX-4bit",
    "lexi-llama-3-8b": "fine-tune__Lexi-Llama-3-8B-Uncensored",
    "gemma-2b": "google__gemma-2b",
    "granite-3b-code": "ibm-granite__granite-3b-code-instruct-128k",
    "internlm-20b": "internlm__internlm-20b",
    "llama-2-7b": "meta-llama__Llama-2-7b-hf",
    "llama-3.1-8b-bnb": "meta-llama__Llama-3.1-8B-Instruct-bnb-4bit-copy",
    "devstral-small": "mistralai__Devstral-Small-2507",
    "mistral-7b-v0.1": "mistralai__Mistral-7B-v0.1",
    "mistral-7b-v0.2": "mistralai__Mistral-7B-Instruct-v0.2",
    "dolphin-mixtral-8x7b": "cognitivecomputations__dolphin-2.5-mixtral-8x7b",
    "gpt-oss-20b": "openai__gpt-oss-20b",
    "qwen3.5-18b-reap": "copy__Qwen3.5-18B-REAP-A3B-Coding",
    "qwen3.5-25b-reap": "copy__Qwen3.5-25B-REAP-A3B-Coding",
    "qwen3.5-9b": "copy__masidyai-model",
    "qwen3-vl-8b-cosmos": "nvidia__Cosmos-Reason2",
}
DEVSTRAL_PARAMS = {"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32, "n_kv_heads": 8, "rope_theta": 1e9,
                   "norm_eps": 1e-5, "vocab_size": 131072}


def span(numbers):
    runs = []
    for n in sorted(set(numbers)):
        if runs and n == runs[-1][1] + 1: runs[-1][1] = n
        else: runs.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def folded(names):
    """{pattern: [spans, ..]}: numbers as products, first places with the same rest together."""
    groups = {}
    for name in names:
        parts = re.split(r"(?<![^.])(\d+)(?![^.])", name)
        groups.setdefault("{}".join(parts[::2]), []).append(tuple(map(int, parts[1::2])))
    out = {}
    for pattern, indices in sorted(groups.items()):
        rest = {}
        for first, *others in (i for i in indices if i): rest.setdefault(first, set()).add(tuple(others))
        by_rest = {}
        for first, others in rest.items(): by_rest.setdefault(frozenset(others), []).append(first)
        out[pattern] = [[span(firsts), *(span(c) for c in zip(*others) if c)] for others, firsts in by_rest.items()]
        n = sum(len(firsts) * len(others) for others, firsts in by_rest.items()) if out[pattern] else 1
        assert n == len(indices), (pattern, n, len(indices))
    return out


def native(names):
    spec = importlib.util.spec_from_file_location("make_fixtures", HERE / "make_fixtures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.native_names({n: ("", [0, 0]) for n in names}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("shared", type=pathlib.Path); p.add_argument("--out", type=pathlib.Path, default=HERE.parent / "fixtures" / "indexes")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for name, folder in INDEXES.items():
        at = a.shared / "corpus" / folder
        index = next(f for f in sorted(at.iterdir()) if f.name.endswith("index.json"))
        data = json.loads(index.read_text())
        config = json.loads((at / "config.json").read_text())
        names = sorted(data["weight_map"])
        write(a.out, name, {"source": f"corpus/{folder}/{index.name}", "tensors": len(names), "metadata": data["metadata"]}, config, names)
        if name == "devstral-small":
            about = {"source": f"corpus/{folder}/{index.name}, renamed to Mistral's own names", "tensors": len(names)}
            write(a.out, name + "-native", about, DEVSTRAL_PARAMS, native(names))


def write(out, name, about, config, names):
    data = {"about": about, "config": config, "names": folded(names)}
    raw = json.dumps(data, separators=(",", ":"), sort_keys=True).encode()
    (out / f"{name}.json.gz").write_bytes(gzip.compress(raw, 9, mtime=0))
    print(f"{name}: {len(names)} tensors, {len(data['names'])} patterns", file=sys.stderr)


if __name__ == "__main__":
    main()
