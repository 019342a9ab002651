"""Recognise by name what belongs to encoders of other modalities."""

from __future__ import annotations

import re

from ..roles import TOWER_NAME

_AUDIO = re.compile(
    r"^audio"
    r"|^embed_audio"
    r"|^speech"
    r"|^apm\."
    r"|\.(?:audio|speech)_(?:encoder|model|tower|embed)\b"
)
_TOWER_PART = re.compile(
    r"(?:^|.*\.)(?:image|vision|audio|speech)_(?:encoder|model|tower|embed)\."
    r"|^(?:embed_(?:vision|audio)"
    r"|patch_merg\w*"
    r"|vit\w*"
    r"|img_\w+"
    r"|image_\w+"
    r"|vpm"
    r"|apm"
    r"|qformer"
    r"|vqmodel"
    r"|sam_model"
    r"|resampler\w*"
    r"|connector"
    r"|aligner"
    r"|mlp1"
    r"|modality_projection"
    r"|(?:vision_|visual_|image_|audio_|speech_)?projector)\."
)
"""Encoders and what joins them to the decoder, beside those of TOWER_NAME."""


def tower_of(name: str) -> str:
    """Return `vision` or `audio` for a tensor of a tower, and "" for any other."""
    if not TOWER_NAME.match(name) and not _TOWER_PART.match(name):
        return ""
    return "audio" if _AUDIO.match(name) else "vision"
