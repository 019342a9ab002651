"""The classes that transformers' Auto classes build of each model_type -> tests/fixtures/model_classes.json

    ORACLE/bin/python tests/oracle/model_classes.py

ORACLE is the environment of scripts/oracle, never a dependency of llmarch. {model_type: [class, ...]}
of the mappings of models/auto/modeling_auto.py that build decoders, for every model_type of a
configuration; those of encoders of images, sound and time series are left out.
"""

import collections
import json
import os
import pathlib
import re

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

TASKS = re.compile(
    r"^MODEL_(FOR_(CAUSAL_LM|IMAGE_TEXT_TO_TEXT|MULTIMODAL_LM|PRETRAINING|SEQUENCE_CLASSIFICATION"
    r"|TOKEN_CLASSIFICATION|QUESTION_ANSWERING)_)?MAPPING_NAMES$"
)
classes = collections.defaultdict(set)
for name in filter(TASKS.match, dir(modeling_auto)):
    for model_type, built in getattr(modeling_auto, name).items():
        if model_type in CONFIG_MAPPING_NAMES:
            classes[model_type] |= {built} if isinstance(built, str) else set(built)
out = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/model_classes.json"
about = {"by": "tests/oracle/model_classes.py", "transformers": transformers.__version__}
rows = {model_type: sorted(built) for model_type, built in sorted(classes.items())}
out.write_text(json.dumps({"_about": about, "classes": rows}, indent=0) + "\n")
print(len(rows), "model types")
