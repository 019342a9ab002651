"""Published configs as transformers 5.23.0 saves them again -> tests/fixtures/resaved.json.gz.

    ORACLE/bin/python tests/oracle/resaved.py CORPUS [OUT.json.gz]

CORPUS is the folder of published configs (FOLDER/corpus of make_fixtures.py); the configs of specs/
are taken from this repository. ORACLE is the environment of scripts/oracle, never a dependency of
llmarch. A config that the class of its model_type does not take is left out, and named in `_about`.

The fixture is {"_about": ..., "configs": {name: {"given": config, "saved": config}}}. `given` is
absent for `specs/ALIAS`. Keys of the quantisation are left out of both: transformers rewrites them,
and other tests read them.
"""

import gzip
import json
import os
import pathlib
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LEFT_OUT = {"quantization_config", "compression_config", "auto_map", "id2label", "label2id"}


def published(corpus):
    """Yield the name and config of each spec, and of each file of the corpus that no spec has."""
    seen = set()
    for path in sorted((ROOT / "specs").glob("*.json")):
        document = json.loads(path.read_text())
        if "model_type" in document.get("config", {}):
            seen.add(json.dumps(document["config"], sort_keys=True))
            yield f"specs/{path.stem}", document["config"]
    for path in sorted(corpus.glob("*/config*.json")):
        config = json.loads(path.read_text())
        text = json.dumps(config, sort_keys=True)
        if text not in seen and isinstance(config.get("model_type"), str):
            seen.add(text)
            yield f"{path.parent.name}/{path.name}", config


def saved(config):
    """Return config.json as save_pretrained writes it after from_pretrained has read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "config.json")
        path.write_text(json.dumps(config))
        made = CONFIG_MAPPING[config["model_type"]].from_pretrained(folder)
        made.save_pretrained(folder)
        return json.loads(path.read_text())


def without_left_out(config):
    return {k: v for k, v in config.items() if k not in LEFT_OUT}


def main(corpus, out):
    configs, refused = {}, {}
    for name, config in published(corpus):
        given = without_left_out(config)
        try:
            row = {"given": given, "saved": without_left_out(saved(given))}
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        if name.startswith("specs/"):
            del row["given"]
        configs[name] = row
    about = {
        "by": "tests/oracle/resaved.py",
        "transformers": transformers.__version__,
        "left_out": sorted(LEFT_OUT),
        "refused": refused,
    }
    text = json.dumps({"_about": about, "configs": configs}, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{out}: {len(configs)} configs, {len(refused)} refused, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    fixture = ROOT / "tests" / "fixtures" / "resaved.json.gz"
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else fixture))
