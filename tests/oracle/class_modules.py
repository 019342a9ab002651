"""Which modules of each decoder class are matrices -> tests/fixtures/class_modules.json.gz

    ORACLE/bin/python tests/oracle/class_modules.py [OUT.json.gz]

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0; never a dependency of llmarch. The types are those of
tests/fixtures/model_types, built on the meta device at their class defaults. By type: the folded names of modules that are nn.Linear or
Conv1D (`linear`), embeddings, and of parameters that stand in another module and have two dimensions or more (`parameter`), each with its
shape as [outputs, inputs] for Conv1D. Nothing of llmarch is imported.
"""
import gzip, json, pathlib, re, sys, warnings

warnings.filterwarnings("ignore")
import torch
from transformers.pytorch_utils import Conv1D

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import model_types

ROOT = pathlib.Path(__file__).resolve().parents[2]


def modules_of(model):
    found = {"linear": set(), "embedding": set(), "parameter": set()}
    for name, module in model.named_modules():
        pattern = re.sub(r"(?<=\.)\d+(?=\.|$)", "{}", name)
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            shape = list(module.weight.shape)
            found["linear"].add((pattern, *(shape[::-1] if isinstance(module, Conv1D) else shape)))
        elif isinstance(module, torch.nn.Embedding): found["embedding"].add((pattern, *module.weight.shape))
        else:
            for own, x in module.named_parameters(recurse=False):
                if x.dim() > 1 and not isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)): found["parameter"].add((f"{pattern}.{own}", *x.shape))
    return {k: sorted(v) for k, v in found.items()}


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests/fixtures/class_modules.json.gz")
    types = {}
    for path in sorted(model_types.OUT.glob("*.json.gz")):
        t = path.name.removesuffix(".json.gz")
        try: types[t] = modules_of(model_types.build(t, {})[0])
        except Exception as error: print("refused", t, type(error).__name__, str(error)[:100])
    out.write_bytes(gzip.compress(json.dumps(types, sort_keys=True, separators=(",", ":")).encode(), 9, mtime=0))
    print(len(types), "types", out.stat().st_size, "bytes")


if __name__ == "__main__": main()
