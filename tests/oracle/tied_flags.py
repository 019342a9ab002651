"""Whether transformers ties the head of a wrapper by its flag or by its text part's.

    ORACLE/bin/python tests/oracle/tied_flags.py [OUT.json]    -> tests/fixtures/tied_flags.json

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. The wrappers are those of
tests/fixtures/model_types, at the defaults of their classes. A row of "rows" is [model_type, of the
text part, flag of the wrapper, of the text part, whether the head is tied]; a flag is null where the
config has none. Wrappers that transformers does not build so are left out.
"""

import gzip
import json
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

transformers.logging.set_verbosity_error()
transformers.PreTrainedModel.initialize_weights = lambda self, *a, **k: None
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
KEY = "tie_word_embeddings"
FLAGS = (None, False, True)


def wrappers():
    """The model type and the config of each wrapper, without tie flags."""
    for path in sorted((FIXTURES / "model_types").glob("*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        config = document["rows"][0]["saved"] if document["rows"] else {}
        text = config.get("text_config")
        if isinstance(text, dict) and text.get("model_type"):
            config.pop(KEY, None)
            text.pop(KEY, None)
            yield document["model_type"], config


def is_tied(model_type, config, top, nested):
    config = json.loads(json.dumps(config))
    if top is not None:
        config[KEY] = top
    if nested is not None:
        config["text_config"][KEY] = nested
    made = CONFIG_MAPPING[model_type](**config)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(made)
    model.tie_weights()
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def rows_of(model_type, config):
    text_type = config["text_config"]["model_type"]
    for top in FLAGS:
        for nested in FLAGS:
            tied = is_tied(model_type, config, top, nested)
            yield [model_type, text_type, top, nested, tied]


def main(out):
    rows = []
    for model_type, config in wrappers():
        try:
            rows += list(rows_of(model_type, config))
        except Exception as error:
            print("left out:", model_type, type(error).__name__, str(error)[:100])
    about = {"by": "tests/oracle/tied_flags.py", "transformers": transformers.__version__}
    joined = ",\n".join(map(json.dumps, rows))
    out.write_text(f'{{"_about": {json.dumps(about)},\n"rows": [\n{joined}\n]}}\n')
    print(f"{out}: {len(rows)} rows")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "tied_flags.json")
