"""GOT-OCR 2.0: a Qwen2 decoder behind SAM's tower, whose features two convolutions make fewer."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("image_seq_length")
    return read_wrapper(c, "qwen2", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector: two 3 x 3 convolutions with stride 2, and a matrix."""
    v = FAMILY.part(c, "vision_config", _KIND)
    channels, width = v.size("output_channels"), text["hidden_size"]
    doubled = derived(2 * channels.value, "2 * output_channels")
    return towers.sam(
        v,
        (_KIND,),
        projector=[
            *towers.reduced(channels, [doubled, width]),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, its neck and the projector."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    yield from tensors.sam_rows(t, "vision_tower.")
    module = "multi_modal_projector."
    convolutions = (f"{module}conv_upsampler1", f"{module}conv_upsampler2")
    yield from tensors.reducing_rows(t, *convolutions)
    yield from tensors.matrix_rows(f"{module}multimodal_projector", t.projector[-1])


_KIND = "got_ocr2_vision"
FAMILY = Family(
    name="got_ocr2",
    title="GOT-OCR 2.0",
    ref=modeling("got_ocr2"),
    read=read,
    naming=naming_in_language_model(_tower_rows),
    conversions={"got_ocr2": tensors.Conversion(renames=tensors.LLAVA_RENAMES)},
    defaults={
        "got_ocr2": {"tie_word_embeddings": True},
        _KIND: {key: value for key, value in towers.SAM.items() if key != "mlp_ratio"}
        | {"mlp_dim": 3072},
    },
    config_class={"got_ocr2": "GotOcr2Config", _KIND: "GotOcr2VisionConfig"},
)
