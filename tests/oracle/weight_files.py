"""Which files of a folder transformers loads, where there are several sets of weights.

    ORACLE/bin/python tests/oracle/weight_files.py [OUT]    -> tests/fixtures/weight_files.json.gz

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. Each row is a folder:
"files" has the tensors of each file of weights, all of one value ("new" or "old"); "texts" has the
other files. "loads" are the values that the loaded model holds, "missing" how many tensors it did
not find; "error" is what from_pretrained raises instead.
"""

import gzip
import json
import os
import pathlib
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.logging.set_verbosity_error()
ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = LlamaConfig(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    vocab_size=64,
)
VALUES = {"new": 2.0, "old": 3.0}
TENSORS = LlamaForCausalLM(CONFIG).state_dict()
NAMES = list(TENSORS)
INDEX = "model.safetensors.index.json"


def single(value, file="model.safetensors", names=NAMES):
    """One file of weights."""
    return {file: {"value": value, "tensors": list(names)}}


def shards(value, count, stem="model", end=".safetensors", drop=()):
    """Several files of weights, and where the index lists each tensor."""
    size = -(-len(NAMES) // count)
    files, listed = {}, {}
    for i in range(count):
        part = NAMES[i * size : (i + 1) * size]
        file = f"{stem}-{i + 1:05d}-of-{count:05d}{end}"
        files |= single(value, file, [name for name in part if name not in drop])
        listed |= dict.fromkeys(part, file)
    return files, listed


def index(listed, file=INDEX):
    return {file: json.dumps({"metadata": {}, "weight_map": listed})}


def rows():
    """(name, files, texts) of each folder."""
    two, listed = shards("new", 2)
    first, second = sorted(two)
    old_three, old_listed = shards("old", 3)
    yield "one file", single("new"), {}
    yield "shards", two, index(listed)
    yield "older shards", {**two, **old_three}, index(listed)
    yield "index of the older shards", {**two, **old_three}, index(old_listed)
    yield "one file beside shards", {**two, **single("old")}, index(listed)
    yield "one file with few tensors beside shards", {
        **two,
        **single("old", names=NAMES[:5]),
    }, index(listed)
    yield "one file beside an index without its shards", single("new"), index(listed)
    yield "one file that the index lists", single("new"), index(
        dict.fromkeys(NAMES, "model.safetensors")
    )
    yield "one file beside shards without index", {**two, **single("old")}, {}
    yield "one tensor listed in the wrong shard", two, index({**listed, NAMES[0]: second})
    yield "all tensors listed in the wrong shard", two, index(
        {name: second if file == first else first for name, file in listed.items()}
    )
    yield "a tensor that the index does not list", two, index(
        {name: file for name, file in listed.items() if name != NAMES[3]}
    )
    yield "a tensor that only the index lists", shards("new", 2, drop=NAMES[3:4])[0], index(listed)
    yield "an index alone", {}, index(listed)
    yield "a shard is missing", {first: two[first]}, index(listed)
    yield "shards without index", two, {}
    yield "one shard of one without index", shards("new", 1)[0], {}
    yield "an unusual name", single("new", "weights.safetensors"), {}
    yield "consolidated beside one file", {
        **single("new"),
        **single("old", "consolidated.safetensors"),
    }, {}
    yield "consolidated beside shards", {
        **two,
        **single("old", "consolidated.safetensors"),
    }, index(listed)
    yield "consolidated alone", single("new", "consolidated.safetensors"), {}
    yield "pickle beside one file", {**single("new"), **single("old", "pytorch_model.bin")}, {}
    yield "pickle beside shards", {**two, **single("old", "pytorch_model.bin")}, index(listed)
    yield "pickle beside shards without index", {**two, **single("old", "pytorch_model.bin")}, {}
    yield "adapter beside one file", {
        **single("new"),
        **single("old", "adapter_model.safetensors"),
    }, {"adapter_config.json": json.dumps({"peft_type": "LORA", "r": 2})}
    yield "variant beside one file", {
        **single("new"),
        **single("old", "model.fp16.safetensors"),
    }, {}
    yield "variant alone", single("new", "model.fp16.safetensors"), {}
    variant, variant_listed = shards("old", 2, stem="model.fp16")
    yield "variant with an index beside shards", {**two, **variant}, {
        **index(listed),
        **index(variant_listed, "model.safetensors.index.fp16.json"),
    }
    yield "another file beside one file", {**single("new"), **single("old", "x.safetensors")}, {}
    yield "another file beside shards", {**two, **single("old", "x.safetensors")}, index(listed)
    other, other_listed = shards("old", 3, stem="other")
    yield "two indexes", {**two, **other}, {
        **index(listed),
        **index(other_listed, "other.safetensors.index.json"),
    }
    unusual, unusual_listed = shards("new", 2, stem="pytorch_model")
    yield "an index of unusual names", unusual, index(unusual_listed)


def load(folder):
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
    except Exception as error:
        return {"error": type(error).__name__}
    held = {float(tensor.flatten()[0]) for tensor in model.state_dict().values()}
    loads = sorted(name for name, value in VALUES.items() if value in held)
    return {"loads": loads, "missing": len(info["missing_keys"])}


def main():
    out = pathlib.Path(sys.argv[1] if sys.argv[1:] else ROOT / "tests/fixtures/weight_files.json.gz")
    found = []
    for name, files, texts in rows():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            CONFIG.save_pretrained(path)
            for file, content in files.items():
                value = VALUES[content["value"]]
                tensors = {n: torch.full_like(TENSORS[n], value) for n in content["tensors"]}
                if file.endswith(".bin"):
                    torch.save(tensors, path / file)
                else:
                    save_file(tensors, path / file, metadata={"format": "pt"})
            for file, text in texts.items():
                (path / file).write_text(text)
            config = json.loads((path / "config.json").read_text())
            found.append({"name": name, "files": files, "texts": texts, **load(path)})
    document = {
        "transformers": transformers.__version__,
        "config": config,
        "shapes": {name: list(tensor.shape) for name, tensor in TENSORS.items()},
        "rows": found,
    }
    text = json.dumps(document, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    for row in found:
        print(row["name"], {key: row[key] for key in ("loads", "missing", "error") if key in row})


main()
