"""Find the file that reads a family of models, by `model_type`.

`MODEL_TYPES` gives the file that reads each `model_type`; files are imported when they are needed.
A wrapper's type (`gemma3`) and its text part's (`gemma3_text`) are rows of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from ...errors import FactError, UnknownFamily, similar_names

if TYPE_CHECKING:
    from ...architecture.schema import Architecture
    from ...tensors.naming import Naming
    from ...tensors.template import TensorRow
    from ..evidence import Draft
    from ..vocabulary import ConfigKeys, Family

MODEL_TYPES: dict[str, str] = {
    "PanguEmbedded": "pangu",
    "afmoe": "afmoe",
    "apertus": "apertus",
    "arcee": "arcee",
    "aria_text": "aria_text",
    "axk1": "axk1",
    "axk2": "axk2",
    "aya_vision": "cohere2_vision",
    "baichuan": "baichuan",
    "bailing_hybrid": "bailing_hybrid",
    "bailing_moe": "bailing_moe",
    "bailing_moe_linear": "bailing_moe",
    "bailing_moe_v2": "bailing_moe",
    "bailing_moe_v2_5": "bailing_hybrid",
    "bamba": "bamba",
    "beam": "beam",
    "biogpt": "biogpt",
    "bitnet": "bitnet",
    "bloom": "bloom",
    "chatglm": "chatglm",
    "codegen": "gptj",
    "cohere": "cohere",
    "cohere2": "cohere",
    "cohere2_moe": "cohere2_moe",
    "cohere2_vision": "cohere2_vision",
    "cohere_compass": "cohere_compass",
    "cohere_compass_text": "cohere_compass",
    "ctrl": "ctrl",
    "cwm": "cwm",
    "dbrx": "dbrx",
    "deepseek": "deepseek_moe",
    "deepseek_ocr2": "deepseek_ocr2",
    "deepseek_ref": "deepseek_v4",
    "deepseek_v2": "deepseek",
    "deepseek_v3": "deepseek",
    "deepseek_v32": "deepseek",
    "deepseek_v4": "deepseek_v4",
    "deepseek_vl": "deepseek_vl",
    "deepseek_vl_hybrid": "deepseek_vl",
    "diffllama": "diffllama",
    "doge": "doge",
    "dots1": "dots1",
    "dots3_note_text": "dots3_note",
    "emu3": "emu3",
    "emu3_text_model": "emu3",
    "ernie4_5": "ernie4_5",
    "ernie4_5_moe": "ernie4_5",
    "exaone4": "exaone",
    "exaone_moe": "exaone",
    "falcon": "falcon",
    "falcon_h1": "falcon_h1",
    "falcon_mamba": "mamba",
    "flex_olmo": "olmoe",
    "flint": "flint",
    "fuyu": "fuyu",
    "gemma": "gemma",
    "gemma2": "gemma",
    "gemma3": "gemma",
    "gemma3_text": "gemma",
    "gemma3n": "gemma3n",
    "gemma3n_text": "gemma3n",
    "gemma4": "gemma4",
    "gemma4_text": "gemma4",
    "gemma4_unified": "gemma4",
    "gemma4_unified_text": "gemma4",
    "glm": "glm",
    "glm4": "glm",
    "glm46v": "glm4v",
    "glm4_moe": "glm4_moe",
    "glm4_moe_lite": "glm4_moe_lite",
    "glm4v": "glm4v",
    "glm4v_moe": "glm4v",
    "glm4v_moe_text": "glm4v",
    "glm4v_text": "glm4v",
    "glm_moe_dsa": "glm_moe_dsa",
    "glm_ocr": "glm4v",
    "glm_ocr_text": "glm4v",
    "glmga": "glm4v",
    "got_ocr2": "got_ocr2",
    "gpt-sw3": "gpt2",
    "gpt2": "gpt2",
    "gpt_bigcode": "gpt_bigcode",
    "gpt_neo": "gpt_neo",
    "gpt_neox": "gpt_neox",
    "gpt_neox_japanese": "gpt_neox",
    "gpt_oss": "gpt_oss",
    "gptj": "gptj",
    "granite": "granite",
    "granite_swa": "granite",
    "granitemoe": "granite",
    "granitemoe_swa": "granite",
    "granitemoehybrid": "granite",
    "granitemoeshared": "granite",
    "helium": "helium",
    "hrm_text": "hrm_text",
    "hunyuan": "hunyuan",
    "hunyuan_v1_dense": "hunyuan",
    "hunyuan_v1_moe": "hunyuan",
    "hy_v3": "hy_v3",
    "hy_v4": "hy_v4",
    "hyperclovax": "hyperclovax",
    "hyperclovax_vision_v2": "hyperclovax_vision",
    "idefics3": "idefics3",
    "inkling_text": "inkling",
    "internlm2": "internlm2",
    "internlm3": "llama",
    "internvl": "internvl",
    "iquestcoder": "llama",
    "jais2": "jais2",
    "jamba": "jamba",
    "jetmoe": "jetmoe",
    "kimi_k2": "deepseek",
    "kimi_k25": "kimi_k25",
    "kimi_linear": "kimi_linear",
    "kolibri1": "kolibri1",
    "laguna": "laguna",
    "lfm2": "lfm2",
    "lfm2_moe": "lfm2",
    "lfm2_vl": "lfm2_vl",
    "lfm3": "lfm3",
    "lighton_ocr": "lighton_ocr",
    "llama": "llama",
    "llama4": "llama4",
    "llama4_text": "llama4",
    "llava": "llava",
    "llava_next": "llava",
    "llava_next_video": "llava",
    "llava_onevision": "llava",
    "longcat_flash": "longcat_flash",
    "mamba": "mamba",
    "mamba2": "mamba2",
    "mellum": "mellum",
    "mimo_v2_flash": "mimo_v2_flash",
    "minicpm": "minicpm3",
    "minicpm3": "minicpm3",
    "minicpm_ocr": "minicpm_v",
    "minicpmv4_6": "minicpm_v",
    "minicpmv4_7": "minicpm_v",
    "minimax": "minimax",
    "minimax_m1": "minimax",
    "minimax_m2": "minimax",
    "minimax_m3": "minimax_m3",
    "minimax_m3_vl": "minimax_m3",
    "minimax_m3_vl_text": "minimax_m3",
    "minimax_text_01": "minimax",
    "ministral": "mistral",
    "ministral3": "mistral",
    "mistral": "mistral",
    "mistral3": "mistral",
    "mistral4": "mistral4",
    "mixtral": "mistral",
    "mllama": "mllama",
    "moshi": "moshi",
    "moss_transcribe_diarize": "moss_transcribe_diarize",
    "mpt": "mpt",
    "nanochat": "nanochat",
    "nemotron": "nemotron",
    "nemotron-nas": "nemotron_nas",
    "nemotron_h": "nemotron_h",
    "olmo": "olmo",
    "olmo2": "olmo",
    "olmo3": "olmo",
    "olmo_hybrid": "olmo_hybrid",
    "olmoe": "olmoe",
    "openai-gpt": "gpt2",
    "opt": "opt",
    "paddleocr_vl": "paddleocr_vl",
    "paddleocr_vl_text": "paddleocr_vl",
    "paligemma": "paligemma",
    "persimmon": "persimmon",
    "phi": "phi",
    "phi-msft": "phi_msft",
    "phi3": "phi3",
    "phi4_multimodal": "phi4_multimodal",
    "phimoe": "phimoe",
    "qwen": "qwen",
    "qianfan_ocr": "internvl",
    "qwen2": "qwen2",
    "qwen2_5_omni_thinker": "qwen_omni",
    "qwen2_5_vl": "qwen2_vl",
    "qwen2_5_vl_text": "qwen2_vl",
    "qwen2_moe": "qwen2",
    "qwen2_vl": "qwen2_vl",
    "qwen2_vl_text": "qwen2_vl",
    "qwen3": "qwen3",
    "qwen3_5": "qwen3_5",
    "qwen3_5_moe": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5",
    "qwen3_5_text": "qwen3_5",
    "qwen3_moe": "qwen3",
    "qwen3_next": "qwen3_next",
    "qwen3_omni_moe_thinker": "qwen_omni",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_moe": "qwen3_vl",
    "qwen3_vl_moe_text": "qwen3_vl",
    "qwen3_vl_text": "qwen3_vl",
    "recurrent_gemma": "recurrent_gemma",
    "rwkv": "rwkv",
    "sarvam_moe": "bailing_moe",
    "seed_oss": "seed_oss",
    "smollm3": "smollm3",
    "smolvlm": "idefics3",
    "solar_open": "solar_open",
    "stablelm": "stablelm",
    "starcoder2": "starcoder2",
    "step3p5": "step3p7",
    "step3p7": "step3p7",
    "vaultgemma": "gemma",
    "video_llama_3": "video_llama_3",
    "video_llava": "llava",
    "vipllava": "llava",
    "xglm": "biogpt",
    "xlstm": "xlstm",
    "xverse": "llama",
    "youtu": "youtu",
    "zamba": "zamba",
    "zamba2": "zamba",
    "zaya": "zaya",
}


MAX_TYPE_SHOWN = 80
"""How many characters of an unknown model_type a message shows."""


def find_family(model_type: str, file: str = "config.json") -> Family:
    """Return the family that reads a model_type. Raises UnknownFamily, naming the nearest ones."""
    module = MODEL_TYPES.get(model_type)
    if module is not None:
        return family_named(module)
    hint = f"Supported: {', '.join(sorted(MODEL_TYPES))}."
    close = similar_names(model_type, MODEL_TYPES)
    if close:
        hint = f"Nearest supported ones: {', '.join(close)}."
    shown = model_type[:MAX_TYPE_SHOWN]
    raise UnknownFamily(f'{file}: model_type "{shown}" is not supported', hint)


def family_named(name: str) -> Family:
    """Return the family in the file `name`, as `Architecture.family` gives it."""
    family: Family = import_module(f".{name}", __name__).FAMILY
    return family


def naming_of_decoder(a: Architecture) -> Naming:
    """Return the published names of the decoder in a wrapper that may hold another family's.

    Raises FactError for an architecture that does not say which decoder it holds: `diff` tries
    each fact of another architecture by itself.
    """
    model_type = a.decoder_type
    if model_type is None:
        raise FactError(f"the decoder of {a.model_type} is not known")
    family = family_named(MODEL_TYPES[model_type])
    decoder = replace(a, family=family.name, model_type=model_type, decoder_type=None, towers={})
    return family.names(decoder)


def naming_in_language_model(
    tower: Callable[[Architecture], Iterable[TensorRow]],
) -> Callable[[Architecture], Naming]:
    """Return what gives the published names of a wrapper like LLaVA.

    They are the decoder's own, in the module `language_model`, and those of the tower.
    """

    def names(a: Architecture) -> Naming:
        return replace(naming_of_decoder(a), prefix="language_model.", tower=tower)

    return names


def read_text_part(c: ConfigKeys, default: str) -> tuple[ConfigKeys, Draft]:
    """Read the decoder of a wrapper that may hold another family's.

    default: the model_type of a `text_config` that has none.
    Return the keys of the decoder, and what its family read from them.
    """
    model_type = c.child("text_config").word("model_type", default=default).value
    family = find_family(model_type, c.file)
    part = family.part(c, "text_config", model_type)
    return part, family.read_layers(part)


def read_wrapper(
    c: ConfigKeys,
    default: str,
    vision: Callable[[ConfigKeys, Draft], Draft],
    tied_by: Literal["wrapper", "part", "either"] = "wrapper",
) -> Draft:
    """Read a vision-language wrapper whose decoder may be of any family.

    default: the model_type of a `text_config` that has none.
    vision: what reads the tower, from the wrapper's keys and the decoder.
    tied_by: whose flag ties the head.
    """
    from ..blocks.wiring import wrapped

    part, text = read_text_part(c, default)
    whole = wrapped(c, part, text, tied_by=tied_by, vision=vision)
    return whole.replace(decoder_type=text["model_type"])
