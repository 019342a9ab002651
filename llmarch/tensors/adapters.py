"""The tensors that an adapter has for each module of its base model that it targets.

Names are those that PEFT saves, without `base_model.model.`. A tensor that is stored but not
trained (a projection that is drawn at random) is marked.

Source: peft 0.21.2, tuners/METHOD/layer.py (update_layer) and its model (_get_adapter_state_dict).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

from ..architecture.adapters import Adapter
from ..architecture.frozen import Frozen, frozen

_Shape = tuple[int, ...]


@frozen
class AdapterTensor(Frozen):
    """A tensor of an adapter."""

    name: str
    """For a module: what follows its name, `lora_A.weight`."""
    shape: _Shape
    trained: bool = True
    stored: bool = True
    """Whether PEFT saves it: an encoder of virtual tokens is trained, and its result is saved."""


@frozen
class AdaptedModule(Frozen):
    """A module of the base with what its adapter needs to know."""

    kind: str
    shape: _Shape
    """[outputs, inputs]; stacked experts first."""
    bias: int
    rank: int
    is_feed_forward: bool = False
    """Of IA3: whether its inputs are scaled."""

    @property
    def inputs(self) -> int:
        """Return the inputs of the matrix."""
        return self.shape[-1]

    @property
    def outputs(self) -> int:
        """Return the outputs of the matrix."""
        return self.shape[-2]


_Tensors = Iterator[AdapterTensor]


def tensors_of_module(adapter: Adapter, module: AdaptedModule) -> list[AdapterTensor] | None:
    """Return the tensors for one module, None where they are not known for the method and kind."""
    builder = _BUILDERS.get((adapter.method, module.kind))
    if builder is None:
        return None
    return list(builder(adapter, module))


def computes(method: str) -> bool:
    """Return whether the tensors of a method are known."""
    if method in _PROMPTS or method == "trainable_tokens":
        return True
    built = {known for known, _ in _BUILDERS}
    return method in built


def is_prompt(method: str) -> bool:
    """Return whether a method adds virtual tokens and adapts no module."""
    return method in _PROMPTS


def prompt_tensors(adapter: Adapter) -> list[AdapterTensor] | None:
    """Return the tensors of virtual tokens; None where the config lacks a size of them."""
    builder = _PROMPTS.get(adapter.method)
    tokens = adapter.virtual_tokens
    width = adapter.sizes.get("token_dim")
    if builder is None or tokens is None or width is None:
        return None
    try:
        return list(builder(adapter, tokens, width))
    except KeyError:
        return None


def shared_tensors(adapter: Adapter, modules: list[AdaptedModule]) -> list[AdapterTensor]:
    """Return the tensors that all targets share."""
    if not modules:
        return []
    if adapter.method != "vera" or adapter.options.get("save_projection") == "false":
        return []
    rank = adapter.rank or 0
    inputs = max(module.inputs for module in modules)
    outputs = max(module.outputs for module in modules)
    return [
        AdapterTensor("base_model.vera_A", (rank, inputs), trained=False),
        AdapterTensor("base_model.vera_B", (outputs, rank), trained=False),
    ]


# Methods of low rank


def _lora(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the two matrices of LoRA, with a bias and a magnitude where it has them."""
    yield AdapterTensor("lora_A.weight", (m.rank, m.inputs))
    yield AdapterTensor("lora_B.weight", (m.outputs, m.rank))
    if a.output_bias:
        yield AdapterTensor("lora_B.bias", (m.outputs,))
    if a.dora:
        yield AdapterTensor("lora_magnitude_vector", (m.outputs,))
    yield from _base_bias(a, m)


def _lora_embedding(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the two matrices for an embedding of [tokens, width]."""
    tokens, width = m.shape
    yield AdapterTensor("lora_embedding_A", (m.rank, tokens))
    yield AdapterTensor("lora_embedding_B", (width, m.rank))
    if a.dora:
        yield AdapterTensor("lora_magnitude_vector", (width,))


def _lora_parameter(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the two matrices for a parameter, which have a rank for each expert."""
    experts = m.shape[0] if len(m.shape) == 3 else 1
    rank = m.rank * experts
    yield AdapterTensor("lora_A.weight", (rank, m.inputs))
    yield AdapterTensor("lora_B.weight", (m.outputs, rank))


def _base_bias(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the bias of the base, where targets have theirs trained."""
    if a.bias in ("all", "lora_only") and m.bias:
        yield AdapterTensor("base_layer.bias", (m.bias,))


def _adalora(a: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("lora_A", (m.rank, m.inputs))
    yield AdapterTensor("lora_B", (m.outputs, m.rank))
    yield AdapterTensor("lora_E", (m.rank, 1))
    yield from _base_bias(a, m)


def _hira(_: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("hira_A", (m.rank, m.inputs))
    yield AdapterTensor("hira_B", (m.outputs, m.rank))


def _delora(_: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("delora_A", (m.rank, m.inputs))
    yield AdapterTensor("delora_B", (m.outputs, m.rank))
    yield AdapterTensor("delora_lambda", (1,))
    yield AdapterTensor("delora_w_norm", (m.inputs,), trained=False)


def _loha(_: Adapter, m: AdaptedModule) -> _Tensors:
    for number in (1, 2):
        yield AdapterTensor(f"hada_w{number}_a", (m.outputs, m.rank))
        yield AdapterTensor(f"hada_w{number}_b", (m.rank, m.inputs))


def _vera(_: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("vera_lambda_b", (m.outputs,))
    yield AdapterTensor("vera_lambda_d", (m.rank,))


# Other methods


def _ia3(_: Adapter, m: AdaptedModule) -> _Tensors:
    shape = (m.outputs, 1)
    if m.is_feed_forward:
        shape = (1, m.inputs)
    yield AdapterTensor("ia3_l", shape)


def _ln_tuning(_: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("ln_tuning_layers.weight", m.shape)
    if m.bias:
        yield AdapterTensor("ln_tuning_layers.bias", (m.bias,))


def _hra(_: Adapter, m: AdaptedModule) -> _Tensors:
    yield AdapterTensor("hra_u", (m.inputs, m.rank))


def _miss(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the one matrix of MiSS, whose variants have other shapes."""
    shape = (m.rank, m.outputs)
    variant = a.options.get("init_weights")
    if variant == "bat":
        shape = (m.outputs // max(1, m.rank), m.rank, m.rank)
    elif variant == "mini":
        shape = (m.rank, a.sizes.get("mini_r", 1))
    yield AdapterTensor("miss_block", shape)


def _fourierft(a: Adapter, _: AdaptedModule) -> _Tensors:
    frequencies = a.sizes.get("n_frequency", 1000)
    yield AdapterTensor("fourierft_spectrum", (frequencies,))


def _c3a(a: Adapter, m: AdaptedModule) -> _Tensors:
    block = a.sizes.get("block_size", 256)
    if block:
        yield AdapterTensor("c3a_kernel", (m.outputs // block, m.inputs // block, block))


def _oft(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the entries of skew-symmetric blocks, one block of which may stand for all."""
    block = a.sizes.get("oft_block_size", 32)
    blocks = a.sizes.get("oft_blocks", 0)
    if blocks and not block:
        block = m.inputs // blocks
    if not block:
        return
    count = ceil(m.inputs / block)
    if a.options.get("block_share") == "true":
        count = 1
    above_diagonal = block * (block - 1) // 2
    yield AdapterTensor("oft_R.weight", (count, above_diagonal))


def _boft(a: Adapter, m: AdaptedModule) -> _Tensors:
    """Yield the blocks of each factor, and the scale of each output."""
    block = a.sizes.get("boft_block_size", 4)
    blocks = a.sizes.get("boft_block_num", 0)
    if block:
        blocks = m.inputs // block
    elif blocks:
        block = m.inputs // blocks
    else:
        return
    factors = a.sizes.get("boft_n_butterfly_factor", 1)
    yield AdapterTensor("boft_R", (factors, blocks, block, block))
    yield AdapterTensor("boft_s", (m.outputs, 1))


_Builder = Callable[[Adapter, AdaptedModule], _Tensors]
_BUILDERS: dict[tuple[str, str], _Builder] = {
    ("lora", "linear"): _lora,
    ("lora", "embedding"): _lora_embedding,
    ("lora", "parameter"): _lora_parameter,
    ("adalora", "linear"): _adalora,
    ("hira", "linear"): _hira,
    ("delora", "linear"): _delora,
    ("loha", "linear"): _loha,
    ("vera", "linear"): _vera,
    ("ia3", "linear"): _ia3,
    ("ln_tuning", "norm"): _ln_tuning,
    ("hra", "linear"): _hra,
    ("miss", "linear"): _miss,
    ("fourierft", "linear"): _fourierft,
    ("c3a", "linear"): _c3a,
    ("oft", "linear"): _oft,
    ("boft", "linear"): _boft,
}
"""What makes the tensors of a method for a kind of module."""

# Virtual tokens


def _prompt(a: Adapter, tokens: int, width: int) -> _Tensors:
    modules = a.sizes.get("num_transformer_submodules", 1)
    count = tokens * modules
    shape = (count, width)
    yield AdapterTensor("prompt_embeddings", shape)


def _prefix(a: Adapter, tokens: int, width: int) -> _Tensors:
    """Yield keys and values for each layer; a projection makes them of an embedding."""
    rows = 2 * width * a.sizes["num_layers"]
    if a.options.get("prefix_projection") != "true":
        yield AdapterTensor("prompt_embeddings", (tokens, rows))
        return
    hidden = a.sizes.get("encoder_hidden_size", width)
    yield AdapterTensor("prompt_embeddings", (tokens, rows), trained=False)
    yield AdapterTensor("embedding.weight", (tokens, width), stored=False)
    yield from _encoder_layer("transform.0", width, hidden)
    yield from _encoder_layer("transform.2", hidden, rows)


def _p_tuning(a: Adapter, tokens: int, width: int) -> _Tensors:
    """Yield the result, and the encoder of an embedding that is trained: an MLP or an LSTM."""
    count = tokens * a.sizes.get("num_transformer_submodules", 1)
    hidden = a.sizes.get("encoder_hidden_size", width)
    yield AdapterTensor("prompt_embeddings", (count, width), trained=False)
    yield AdapterTensor("embedding.weight", (count, width), stored=False)
    if a.options.get("encoder_reparameterization_type") != "LSTM":
        yield from _encoder_layer("mlp_head.0", width, hidden)
        yield from _encoder_layer("mlp_head.2", hidden, hidden)
        yield from _encoder_layer("mlp_head.4", hidden, width)
        return
    inputs = width
    for number in range(a.sizes.get("encoder_num_layers", 2)):
        for direction in ("", "_reverse"):
            end = f"l{number}{direction}"
            yield AdapterTensor(f"lstm_head.weight_ih_{end}", (4 * hidden, inputs), stored=False)
            yield AdapterTensor(f"lstm_head.weight_hh_{end}", (4 * hidden, hidden), stored=False)
            yield AdapterTensor(f"lstm_head.bias_ih_{end}", (4 * hidden,), stored=False)
            yield AdapterTensor(f"lstm_head.bias_hh_{end}", (4 * hidden,), stored=False)
        inputs = 2 * hidden
    yield from _encoder_layer("mlp_head.0", 2 * hidden, 2 * hidden)
    yield from _encoder_layer("mlp_head.2", 2 * hidden, width)


def _encoder_layer(name: str, inputs: int, outputs: int) -> _Tensors:
    """Yield a matrix with a bias, of which the result is saved alone."""
    yield AdapterTensor(f"{name}.weight", (outputs, inputs), stored=False)
    yield AdapterTensor(f"{name}.bias", (outputs,), stored=False)


_PROMPTS: dict[str, Callable[[Adapter, int, int], _Tensors]] = {
    "prompt_tuning": _prompt,
    "prefix_tuning": _prefix,
    "p_tuning": _p_tuning,
}
"""What makes the tensors of methods that add virtual tokens."""
