"""What published modelling code makes of each model type that transformers has no class for -> tests/fixtures/model_types/TYPE.json.gz

    ENV/bin/python tests/oracle/published_code.py FOLDER [TYPE...]

ENV is a scratch environment with torch 2.13.0 and transformers 4.46.3, with which code of 2023 to 2025 still runs; never a dependency of
llmarch. FOLDER/TYPE/NAME/ holds what a maker's repository does: config.json as it is published, the configuration_*.py and modeling_*.py
that its auto_map names, and source.json: {"source": repository and commit of the copy, "config" and "model": module.Class where config.json
has no auto_map}. The first NAME in the alphabet is read first. Only run files that you have read.

The fixture is that of model_types.py, but that each row has the whole config under `saved`, as it would be published; the first row of
a NAME is the published config. Rotary frequencies, which some of this code stores, are left out. `set` names the folder as well, if there are several.
"""
import gzip, importlib, json, os, pathlib, sys, types, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch, transformers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tensor_tables import DEPTH, DEPTH_KEYS, candidates, folded

transformers.logging.set_verbosity_error()
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/model_types"
BUFFERS = ("inv_freq", "masked_bias", "cos_cached", "sin_cached", ".attn.bias", "num_batches_tracked")
NOISE = set(transformers.PretrainedConfig().to_dict()) - {"tie_word_embeddings"}


class Code:
    """The classes of one folder."""

    def __init__(self, folder):
        self.published = json.loads((folder / "config.json").read_text())
        self.about = json.loads((folder / "source.json").read_text())
        package = types.ModuleType(f"code_{folder.parent.name}_{folder.name}")
        package.__path__ = [str(folder)]
        sys.path.insert(0, str(folder))  # some files import each other by their plain names
        sys.modules[package.__name__] = package
        names = self.published.get("auto_map", {})
        self.config, self.model = (self.load(package, self.about.get(kind) or names[auto]) for kind, auto in
                                   (("config", "AutoConfig"), ("model", "AutoModelForCausalLM")))

    def load(self, package, path):
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(f"{package.__name__}.{module}"), name)

    def build(self, saved):
        """The tensors of a config, on the meta device; raises what the class raises."""
        config = self.config.from_dict(saved)
        config._attn_implementation = "eager"
        with torch.device("meta"): model = self.model(config)
        every = dict(model.named_parameters(remove_duplicate=False))
        own = dict(model.named_parameters()) | {n: x for n, x in model.state_dict().items() if n not in every}
        return folded({n: x for n, x in own.items() if not n.endswith(BUFFERS)})

    def defaults(self):
        """As class_defaults.py has them."""
        values = {k: v for k, v in self.config().to_dict().items() if k not in NOISE}
        file = sys.modules[self.config.__module__].__file__.rpartition("/")[2]
        return {"class": self.config.__name__, "file": file, "defaults": values, "aliases": dict(self.config.attribute_map),
                "default_theta": values.get("rope_theta", 10000.0)}


def rows_of(code, name, tables):
    rows, refused = [], {}

    def add(given, saved):
        table = code.build(saved)
        if table not in tables: tables.append(table)
        rows.append({"set": {**name, **given}, "tensors": tables.index(table), "saved": saved})

    published = code.published
    add({}, published)
    cut = {k: DEPTH for k in DEPTH_KEYS if isinstance(published.get(k), int) and published[k] > DEPTH} | code.about.get("cut", {})
    base = {**published, **cut}
    if cut: add(cut, base)
    first = rows[-1]["tensors"]
    for key, value in code.config.from_dict(base).to_dict().items():
        if key in NOISE or key in cut: continue
        for new in candidates(key, value)[:3]:
            try: add({**cut, key: new}, {**base, key: new})
            except Exception as error: refused[f"{key}={new}"] = f"{type(error).__name__}: {str(error).strip()[:100]}"; continue
            if not (isinstance(value, int) and rows[-1]["tensors"] == first): break
    for key in cut:
        if key in DEPTH_KEYS: add({**cut, key: cut[key] - 1}, {**base, key: cut[key] - 1})
    return rows, refused


def fixture(folder):
    tables, rows, refused, codes = [], [], {}, {}
    names = sorted(path.name for path in folder.iterdir() if (path / "config.json").exists())
    for name in names:
        code = codes[name] = Code(folder / name)
        more, not_built = rows_of(code, {"config": name} if name != names[0] else {}, tables)
        rows, refused = rows + more, refused | not_built
    first = codes[names[0]]
    return {"about": {"by": "tests/oracle/published_code.py", "transformers": transformers.__version__, "class": first.model.__name__,
                      "sources": {name: code.about["source"] for name, code in codes.items()}, "whole": True},
            "model_type": folder.name, "given": {}, "defaults": list({row["class"]: row for row in reversed([code.defaults() for code in codes.values()])}.values()), "rows": rows, "refused": refused,
            "facts": {"attention": [], "eps": {}, "rope": {}}, "tables": tables}


def main(folder, *names):
    for t in names or sorted(path.name for path in pathlib.Path(folder).iterdir()):
        made = fixture(pathlib.Path(folder) / t)
        text = json.dumps(made, separators=(",", ":"), default=str)
        (OUT / f"{t}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(t, len(made["rows"]), "rows", len(made["tables"]), "tables", made["refused"], file=sys.stderr, flush=True)


main(*sys.argv[1:])
