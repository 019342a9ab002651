"""Put blocks together: norms, steps and kinds of layers, MTP modules, decoders, wrappers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...architecture import schema as s
from ...architecture.dtypes import CONFIG_DTYPES
from ...errors import UnknownFamily
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence, unknown
from ..findings import unknown_word
from ..keys import ConfigKeys
from ..vocabulary import TRANSFORMERS
from .tying import TiedBy, tied_head


def refuse_kin(c: ConfigKeys, kin: Mapping[str, str]) -> None:
    """Raise UnknownFamily for a model of the same model_type that other code runs.

    kin: names of such models, by the key that only their configs have.
    """
    for key, name in kin.items():
        if c.has(key):
            raise UnknownFamily(
                f"{c.file}: {name} is not supported, though its model_type is {c.model_type}",
                f"{c.key(key)} tells it",
            )


StepMaker = Callable[[str], Draft]
"""From the path of a block (`mixers.full`) to the step of a layer that runs it."""

Wiring = dict[str, Any]
"""The fields `layer_kinds` and `layers` of an Architecture."""


def rms_norm(c: ConfigKeys, *keys: str, offset: int = 0) -> Draft:
    """Read an RMSNorm, its eps by default from `rms_norm_eps`; `offset` is added to the weight."""
    eps = c.number(*(keys or ("rms_norm_eps",)))
    return draft(s.Norm, kind="rmsnorm", eps=eps, offset=offset)


def layer_norm(c: ConfigKeys, *keys: str, bias: bool = True, offset: int = 0) -> Draft:
    """Read a LayerNorm, its eps from `keys`; `offset` is added to the weight."""
    return draft(s.Norm, kind="layernorm", eps=c.number(*keys), bias=bias, offset=offset)


def pre_norm_step(block: str, norm: str = "rms") -> Draft:
    """Return a step of norm, block, add."""
    return draft(s.Step, branches=[draft(s.Branch, block=block, pre_norm=norm)])


def layer_norm_step(block: str) -> Draft:
    """Return a step of LayerNorm, block, add; the norm is called `layer`."""
    return pre_norm_step(block, "layer")


def layer_norm_after(block: str) -> Draft:
    """Return a step of block, add, LayerNorm on the stream, as in the first Transformer."""
    return draft(s.Step, branches=[draft(s.Branch, block=block)], after_norm="layer")


def post_norm_step(block: str, norm: str = "rms") -> Draft:
    """Return a step of block, norm, add (OLMo 2)."""
    return draft(s.Step, branches=[draft(s.Branch, block=block, post_norm=norm)])


def sandwich_step(block: str, norm: str = "rms") -> Draft:
    """Return a step of norm, block, norm, add (Gemma 2 and later)."""
    return draft(s.Step, branches=[draft(s.Branch, block=block, pre_norm=norm, post_norm=norm)])


def multiplied_step(factor: Sourced, post_norm: str | None = None) -> StepMaker:
    """Return how a step of norm, block, add is made whose block's output is multiplied.

    post_norm: the norm on that output before the factor, if there is one.
    """

    def step(block: str) -> Draft:
        branch = draft(s.Branch, block=block, pre_norm="rms", post_norm=post_norm, scale=factor)
        return draft(s.Step, branches=[branch])

    return step


def parallel_step(mixer: str, ffn: str, norm: str, *, own_norms: bool = False) -> Draft:
    """Return a step in which a mixer and a feed-forward block run side by side.

    own_norms: whether each has a norm of its own (GPT-NeoX), instead of one for both (GPT-J).
    """
    paths = (f"mixers.{mixer}", f"ffns.{ffn}")
    if own_norms:
        branches = [draft(s.Branch, block=path, pre_norm=norm) for path in paths]
        return draft(s.Step, branches=branches)
    branches = [draft(s.Branch, block=path) for path in paths]
    return draft(s.Step, branches=branches, pre_norm=norm)


def parallel_wiring(mixers: Sourced, ffn: str, norm: str, *, own_norms: bool = False) -> Wiring:
    """Wire a decoder whose mixer and feed-forward block run in parallel (`parallel_step`).

    mixers: the name of each layer's mixer.
    """
    kinds: dict[str, Draft] = {}
    for mixer in dict.fromkeys(mixers.value):
        step = parallel_step(mixer, ffn, norm, own_norms=own_norms)
        kinds[mixer] = draft(s.LayerKind, steps=[step])
    return {"layer_kinds": kinds, "layers": mixers}


def layer_wiring(
    mixers: Sourced | str, ffns: Sourced | str, step: StepMaker = pre_norm_step
) -> Wiring:
    """Wire a decoder whose layers are a mixer and then a feed-forward block.

    mixers: the name of each layer's mixer, or the one that all layers have.
    ffns: the name of each layer's feed-forward block, or the one that all layers have.
    step: how a block is normed and added.
    A layer kind is called after its mixer, or `mixer_ffn` if the model has several FFNs.
    """
    patterns = [p for p in (mixers, ffns) if isinstance(p, Sourced)]
    evidence = derived(None, ", ".join(p.evidence.ref for p in patterns))
    if len(patterns) == 1:
        evidence = patterns[0]
    layers = len(patterns[0].value)
    pairs = list(zip(_names(mixers, layers), _names(ffns, layers), strict=True))
    several = len({ffn for _, ffn in pairs}) > 1
    names = {(m, f): f"{m}_{f}" if several else m for m, f in dict.fromkeys(pairs)}
    kinds = {name: layer_kind(mixer, ffn, step) for (mixer, ffn), name in names.items()}
    return {"layer_kinds": kinds, "layers": same_evidence([names[p] for p in pairs], evidence)}


def _names(pattern: Sourced | str, layers: int) -> list[str]:
    return [pattern] * layers if isinstance(pattern, str) else pattern.value


def layer_kind(mixer: str, ffn: str, step: StepMaker = pre_norm_step) -> Draft:
    """Return the layer kind of a mixer and then a feed-forward block."""
    return draft(s.LayerKind, steps=[step(f"mixers.{mixer}"), step(f"ffns.{ffn}")])


def add_layer_kind(wiring: Wiring, mixer: str, ffn: str) -> str:
    """Add a layer kind to what `layer_wiring` returned, unless it is there. Return its name."""
    kinds: dict[str, Draft] = wiring["layer_kinds"]
    used = {kind["steps"][1]["branches"][0]["block"] for kind in kinds.values()}
    name = mixer if used == {f"ffns.{ffn}"} else f"{mixer}_{ffn}"
    kinds.setdefault(name, layer_kind(mixer, ffn))
    return name


MTP_OF_TRANSFORMERS = f"{TRANSFORMERS} modeling_layers.py (MtpLayer)"
"""Code of MTP modules for any class: a layer, a projection, and three norms."""


def mtp_code(name: str) -> str:
    """Return vLLM's code of the MTP modules of a model, for evidence."""
    return f"vLLM model_executor/models/{name}_mtp.py"


def announced_mtp(c: ConfigKeys) -> Sourced:
    """Read how many MTP modules the config announces; None if it does not tell."""
    key = "num_nextn_predict_layers"
    silent = unknown(f"{c.file} has no {key}: tensors must tell")
    return c.size(key, "num_mtp_layers", default=silent, least=0)


def mtp(
    c: ConfigKeys,
    layer_kind: str,
    code: str,
    *,
    own_embedding: bool = False,
    own_head: bool = False,
) -> Draft | Sourced:
    """Read the MTP modules that the config announces.

    code: what has been read for the layout, as transformers' modelling files leave MTP out.
    layer_kind: the kind of layer that each module holds.
    own_embedding, own_head: whether each module stores a copy of the embedding and of the head.
    """
    modules = announced_mtp(c)
    if not modules.value:
        return same_evidence(None, modules)
    return draft(
        s.MTP,
        code,
        modules=modules,
        layer_kind=layer_kind,
        norms=3,
        own_embedding=own_embedding,
        own_head=own_head,
    )


def mtp_of_unknown_layout(modules: Sourced, reason: str) -> Draft | Sourced:
    """Return announced MTP modules of which only the number is known, None if there are none."""
    if not modules.value:
        return same_evidence(None, modules)
    not_known = unknown(reason)
    return draft(
        s.MTP,
        modules=modules,
        layer_kind=not_known,
        norms=same_evidence(0, not_known),
        own_embedding=same_evidence(False, not_known),
        own_head=same_evidence(False, not_known),
    )


def last_kind(wiring: Wiring) -> str:
    """Return the kind of the last layer."""
    return wiring["layers"].value[-1]


def stored_mtp(
    *kinds: str, modules: int = 1, own_embedding: bool = False, own_head: bool = False
) -> Callable[[s.Architecture], Iterator[s.MTP]]:
    """Return the MTP layout that a family's checkpoints are published with.

    kinds: names of the layer kind that each module holds, of which the first known one counts;
    without any, the last layer's kind.
    """

    def layouts(a: s.Architecture) -> Iterator[s.MTP]:
        candidates = kinds or (a.layers[-1],)
        kind = next((k for k in candidates if k in a.layer_kinds), None)
        if kind is not None:
            yield s.MTP(
                modules=modules,
                layer_kind=kind,
                norms=3,
                own_embedding=own_embedding,
                own_head=own_head,
            )

    return layouts


def mtp_with_or_without_copies(a: s.Architecture) -> Iterator[s.MTP]:
    """Yield one MTP module with and one without copies of embedding and head.

    Repositories of the same model (DeepSeek V3, GLM-4.5) differ in these copies.
    """
    for copies in (True, False):
        yield from stored_mtp(own_embedding=copies, own_head=copies)(a)


def dtype_of(c: ConfigKeys) -> Sourced:
    """Read the dtype of the weights, without torch's prefix; None if the config has none."""
    given = c.value("dtype", "torch_dtype", default=unknown("the config names no dtype"))
    if not isinstance(given.value, str):
        return same_evidence(None, given)
    word = given.value.removeprefix("torch.")
    if word == "auto":
        return unknown("the config leaves the dtype to the files (auto)")
    if word not in CONFIG_DTYPES:
        unknown_word(c, given.evidence.ref, given.value, "dtype", "quantization")
        return unknown(f"{given.evidence.ref} names no dtype")
    return same_evidence(word, given)


def decoder(c: ConfigKeys, **parts: Any) -> Draft:
    """Read a decoder with the usual keys.

    parts: fields of Architecture: the blocks and wiring, and any field that replaces a usual one.
    """
    usual: dict[str, Callable[[], Any]] = {
        "family": lambda: c.family,
        "model_type": lambda: c.word("model_type", default=c.family),
        "hidden_size": lambda: c.size("hidden_size"),
        "vocab_size": lambda: c.size("vocab_size"),
        "context_length": lambda: c.size("max_position_embeddings"),
        "dtype": lambda: dtype_of(c),
        "embedding": lambda: embedding(c),
        "head": lambda: draft(s.Head),
        "final_norm": lambda: "rms",
        "norms": lambda: {"rms": rms_norm(c)},
        "residual": lambda: draft(s.Residual, kind="plain"),
    }
    fields = {name: read() for name, read in usual.items() if name not in parts}
    return Draft(s.Architecture, fields | parts, c.ref)


def embedding(c: ConfigKeys, **facts: Any) -> Draft:
    """Read the embedding: whether the head is tied to it, and `facts` that are fields of it."""
    return Draft(s.Embedding, {"tied": c.flag("tie_word_embeddings"), **facts})


def untied_embedding(c: ConfigKeys) -> Draft:
    """Return the embedding of a class that cannot tie the head to it, whatever the config says."""
    tied = c.expect("tie_word_embeddings", False)
    if not isinstance(tied, Sourced):
        tied = hard_coded(False, c.ref)
    return draft(s.Embedding, tied=tied)


TowerReader = Callable[[ConfigKeys, Draft], Draft]
"""From the keys of a wrapper and the decoder it holds to an encoder."""


def wrapped(
    c: ConfigKeys,
    part: ConfigKeys,
    text: Draft,
    *,
    tied_by: TiedBy = "wrapper",
    **readers: TowerReader,
) -> Draft:
    """Read a decoder inside a multimodal wrapper, whose family and model_type it gets.

    part, text: the wrapper's keys of the decoder, and what was read from them.
    tied_by: whose flag the class ties the head by.
    readers: what reads the encoder of a modality, by its name; it is called if the wrapper has
    keys for it, as `vision_config`.
    """
    return text.replace(
        family=c.family,
        model_type=c.word("model_type", default=c.family),
        dtype=dtype_of(c if c.has("dtype") or c.has("torch_dtype") else part),
        embedding=text["embedding"].replace(tied=tied_head(c, part, text, tied_by)),
        towers={name: read(c, text) for name, read in readers.items() if c.has(f"{name}_config")},
    )
