"""What a difference means: one ordered table of rules, each with a stable id, what it covers and what it breaks.

Severities, from worst: `weights` (tensor names or shapes differ: the checkpoint no longer loads), `behaviour` (it loads and computes
something else), `capacity` (cache, context or memory), `quantization` (the same architecture, stored differently), `info`. Where a path
alone does not tell (another kind of gate may need tensors or not), the worse is taken.

Patterns of dotted paths: `*` is one part, `**` any number, `{a,b}` one of several. The first row that matches wins. Rules without a
pattern are findings about a checkpoint or its files: what made them says which severity they have, at most that of their row. Ids are
never reused (tests/fixtures/rule_ids.txt).
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ..architecture.schema import Severity

SEVERITIES: tuple[Severity, ...] = ("weights", "behaviour", "capacity", "quantization", "info")

CONSEQUENCES: dict[Severity, str] = {
    "weights": "the checkpoint no longer loads",
    "behaviour": "it loads, and answers differently",
    "capacity": "it takes another cache or context",
    "quantization": "the same architecture, stored differently",
    "info": "nothing breaks",
}
"""What a severity means for who runs the model, in a few words."""


class Rule(NamedTuple):
    """One row: id, the paths it covers (None for findings), how bad a change there is, a title, what breaks and for whom, since when."""

    id: str
    pattern: str | None
    severity: Severity
    title: str
    explanation: str
    since: str = "0.1.0"


# fmt: off
RULES: tuple[Rule, ...] = (
    # The model as a whole
    Rule("family-changed", "family", "info", "another family reads the config",
         "llmarch reads the config by another of its family files. The facts of the other rules say whether anything differs."),
    Rule("model-type-changed", "model_type", "info", "another model_type",
         "Loaders pick another class by it. An engine that does not know the new one refuses the model; the facts of the other rules "
         "say whether it computes the same."),
    Rule("hidden-size-changed", "hidden_size", "weights", "another hidden size",
         "The residual stream has another width, so nearly every matrix has another shape. No old weight, adapter or steering vector "
         "fits."),
    Rule("vocabulary-changed", "vocab_size", "weights", "another vocabulary size",
         "Embedding and head have another number of rows: weights and adapters that hold them do not load into the old shape, and the "
         "tokenizer must be the new one. Fine-tunes that add tokens cause it on purpose; ignore it there."),
    Rule("context-changed", "context_length", "capacity", "another context length",
         "Servers size the cache and cut prompts by it: a longer one takes more memory by default, a shorter one refuses prompts that "
         "were taken before."),
    Rule("dtype-changed", "dtype", "quantization", "another dtype",
         "The config names another dtype of the weights: another size in memory and other rounding, the same architecture."),
    # Embedding and head
    Rule("tied-embedding-changed", "embedding.tied", "weights", "the head is tied to the embedding or no longer is",
         "Untied, a loader looks for a head that a tied checkpoint does not have, and starts with a random one; tied, it ignores the "
         "stored head."),
    Rule("learned-positions-changed", "embedding.positions", "weights", "another table of learned positions",
         "The position table has another number of rows, or came or went."),
    Rule("embedding-norm-changed", "embedding.norm", "weights", "another norm after the embedding",
         "A norm after the embedding came or went, with its weights."),
    Rule("per-layer-embedding-changed", "{embedding.per_layer{,.width,.vocab_size},ffns.*.per_layer}", "weights",
         "other per-layer embeddings",
         "The second embedding that each layer takes a slice of has another shape, or came or went."),
    Rule("embedding-scale-changed", "embedding{,.per_layer}.scale", "behaviour", "embeddings are multiplied by something else",
         "Every layer reads another scale of the same embedding: it loads, and answers are wrong from the first token."),
    Rule("head-bias-changed", "head.bias", "weights", "the head has a bias or no longer has",
         "A tensor of the head came or went."),
    Rule("logit-softcap-changed", "head.softcap", "behaviour", "logits are capped differently",
         "Logits, and so probabilities and perplexity, differ. Greedy answers mostly stay, sampled ones do not."),
    Rule("logit-scale-changed", "head.scale", "behaviour", "logits are scaled differently",
         "It acts like another temperature: sampled answers and log-probabilities differ."),
    Rule("final-norm-changed", "final_norm", "weights", "another final norm",
         "The norm before the head came or went, with its weights."),
    # Layers and wiring
    Rule("layers-changed", "layers", "weights", "other layers, or in another order",
         "Layers were added, dropped or changed their kind: tensors of layers are missing or left over, pipeline splits and adapters no"
         " longer fit."),
    Rule("layer-scale-changed", "layer_kinds.*.learned_scale", "weights", "layers have a learned scale or no longer have",
         "A stored number that the stream is multiplied with at the end of each layer came or went."),
    Rule("norm-count-changed", "layer_kinds.*.norms", "weights", "layers have more or fewer norms",
         "Norms came or went, with their weights. (Their number follows from the wiring.)"),
    Rule("norm-placement-changed",
         "layer_kinds.*.steps.*.{branches.*.pre_norm,branches.*.post_norm,pre_norm,join_norm,after_norm,residual}", "behaviour",
         "norms sit elsewhere",
         "The same norms before, behind or beside other blocks: it loads, and computes something else."),
    Rule("residual-scale-changed", "layer_kinds.*.steps.*.{branches.*.scale,skip_scale}", "behaviour",
         "the residual stream is scaled differently",
         "What a block adds to the stream, or the stream it is added to, is multiplied by something else."),
    Rule("wiring-changed",
         "layer_kinds.*{,.steps,.steps.*,.steps.*.branches,.steps.*.branches.*,.steps.*.branches.*.block,.steps.*.skip_from}", "weights",
         "blocks are wired differently",
         "Other blocks, in another order, or in parallel instead of one after the other; a kind of layer that came or went."),
    Rule("residual-clip-changed", "residual.clip", "info", "another bound of coefficients in training",
         "It holds in training only; inference is the same."),
    Rule("residual-mixing-changed", "residual.{active,iterations,eps}", "behaviour", "residual streams are mixed differently",
         "The same coefficients are used in another way."),
    Rule("residual-changed", "residual{,.kind,.streams}", "weights", "the residual stream is kept in another form",
         "Another number of streams, or another way to mix them, with weights of its own. Pipeline stages hand over another amount of "
         "data."),
    # Positions
    Rule("rope-theta-changed", "mixers.*.rope.theta", "behaviour", "positions turn at another speed",
         "Rotary angles differ at every position: it loads, and answers differently, from subtly in short prompts to nonsense in long "
         "ones. Cached prefixes of the old model are worthless."),
    Rule("rotary-dims-changed", "mixers.*.{rope.rotary_dim,rope_dim}", "behaviour", "another share of each head turns",
         "More or fewer dims of each head carry positions: it loads, and answers are wrong."),
    Rule("rope-axes-changed", "mixers.*.rope.{sections,sections_interleaved}", "behaviour", "positions have other axes",
         "Pairs follow time, height and width in other shares: images and videos are seen at other places, text mostly as before."),
    Rule("rope-span-changed", "mixers.*.rope.span", "behaviour", "rotary pairs and frequencies are laid out over another width",
         "Other frequencies, and other dims paired."),
    Rule("rope-pairing-changed", "mixers.*.rope.interleaved", "behaviour", "rotary pairs are laid out differently",
         "Neighbouring dims turn together instead of halves, or the reverse: without permuted weights the answers are nonsense."),
    Rule("rope-scaling-changed", "mixers.*.rope.scaling{,.**}", "behaviour",
         "positions beyond the trained context are stretched differently",
         "Frequencies differ, for some kinds (llama3, YaRN, linear) also in short prompts. Long prompts suffer most."),
    Rule("rope-changed", "mixers.*.rope", "behaviour", "rotary positions came or went",
         "Layers see positions that did not, or the reverse: it loads, and answers are wrong."),
    # Attention
    Rule("window-changed", "mixers.*.window", "behaviour", "attention sees another number of tokens",
         "Beyond the smaller window, answers differ; the cache of these layers has another size."),
    Rule("chunk-changed", "mixers.*.chunk", "behaviour", "attention chunks have another length",
         "Tokens see others than before; the cache of these layers has another size."),
    Rule("heads-changed", "mixers.*.heads", "weights", "another number of query heads",
         "Query and output projections have other shapes; tensor-parallel degrees must divide the new number."),
    Rule("kv-heads-changed", "mixers.*.kv_heads", "weights", "another number of key/value heads",
         "Key and value projections have other shapes, and the cache another size; tensor-parallel degrees depend on it."),
    Rule("head-dim-changed", "mixers.*.{head_dim,v_head_dim,qk_nope_head_dim,qk_rope_head_dim,key_head_dim,value_head_dim}", "weights",
         "another head dimension",
         "Projections have other shapes, the cache another size, and kernels are picked by it."),
    Rule("latent-rank-changed", "mixers.*.{q_lora_rank,kv_lora_rank,o_lora_rank}", "weights", "another rank of a latent",
         "Down and up projections have other shapes; with kv_lora_rank the cache has another size."),
    Rule("output-groups-changed", "mixers.*.o_groups", "weights", "the output projection has other groups",
         "Heads are gathered in other groups, whose matrices have other shapes."),
    Rule("qk-norm-placement-changed", "mixers.*.qk_norm.{offset,after_rope}", "behaviour",
         "queries and keys are normed at another place or scale",
         "The same weights are used in another way: attention scores differ."),
    Rule("qk-norm-changed", "mixers.*.qk_norm{,.scope,.weight}", "weights", "another norm of queries and keys",
         "Norm weights came, went or have another shape."),
    Rule("attention-bias-changed", "mixers.*.{qkv_bias,output_bias,bias}", "weights", "attention has other biases",
         "Bias tensors came or went."),
    Rule("shared-kv-changed", "mixers.*.kv_from", "weights", "keys and values are shared between other layers",
         "Layers have key and value matrices that had none, or the reverse; the cache has another size."),
    Rule("cross-attention-changed", "mixers.*.cross_tokens", "behaviour", "another number of an encoder's tokens is attended to",
         "Cross attention came, went or sees another length, and its keys and values take another size."),
    Rule("values-changed", "mixers.*.values_from_keys", "weights", "values come from the keys or no longer do",
         "The value matrix came or went."),
    Rule("value-norm-changed", "mixers.*.value_norm", "behaviour", "values are normed or no longer are",
         "A norm without weights: it loads either way, and computes something else."),
    Rule("attention-factor-changed", "mixers.*.{value_scale,q_scale,kv_scale}", "behaviour",
         "queries, latents or values are multiplied by something else",
         "The same weights under another factor: attention gives other results."),
    Rule("qkv-clip-changed", "mixers.*.clip", "behaviour", "queries, keys and values are cut differently",
         "Large activations are cut at another bound, or no longer."),
    Rule("mask-changed", "mixers.*.sees_ahead", "behaviour", "tokens of an image see others than before",
         "Tokens of one image see one another in both directions, or no longer do: image answers differ, text is as before."),
    Rule("sinks-changed", "mixers.*.sinks", "weights", "attention sinks came or went",
         "A learned logit for each head came or went; engines need kernels with sinks."),
    Rule("output-gate-changed", "mixers.*.gate", "weights", "another output gate",
         "A gate on the output of attention came or went, with its matrix; for linear attention perhaps its activation alone."),
    Rule("gate-activation-changed", "mixers.*.gate_activation", "behaviour", "the output gate has another activation",
         "The same gate weights let through something else."),
    Rule("attention-softcap-changed", "mixers.*.softcap", "behaviour", "attention scores are capped differently",
         "Scores differ where they are large; engines whose kernels have no cap ignore it in silence."),
    Rule("softmax-scale-changed", "mixers.*.{scale,scale_by_depth}", "behaviour", "attention scores are scaled differently",
         "Attention is sharper or flatter everywhere: it loads, and answers differently."),
    Rule("query-scaling-changed", "mixers.*.query_scaling{,.**}", "behaviour", "queries grow with position differently",
         "Attention in long prompts is sharper or flatter."),
    # Sparse attention
    Rule("block-choice-changed", "mixers.*.block_index.{block,top_blocks,local_blocks}", "behaviour",
         "sparse attention reads other blocks",
         "More, fewer or other blocks of tokens are read: long prompts get other answers and take another time."),
    Rule("block-index-changed", "mixers.*.block_index{,.heads,.head_dim}", "weights", "another index of blocks",
         "The heads that choose blocks of tokens came, went or have other shapes."),
    Rule("index-sharing-changed", "mixers.*.index_from", "weights", "the choice of tokens is another layer's or no longer is",
         "Layers have an indexer that had none, or the reverse."),
    Rule("indexer-top-k-changed", "mixers.*.indexer.top_k", "behaviour", "sparse attention reads another number of tokens",
         "Prompts longer than it get other answers and take another time."),
    Rule("indexer-rope-changed", "mixers.*.indexer.{rope_dim,rope_interleaved}", "behaviour", "the indexer sees positions differently",
         "Sparse attention chooses other tokens."),
    Rule("indexer-changed", "mixers.*.indexer{,.heads,.head_dim}", "weights", "another sparse-attention indexer",
         "The indexer came, went or has other shapes; its keys take another size in the cache."),
    Rule("compression-changed", "mixers.*.{ratio,series}", "weights", "entries of the cache stand for another number of tokens",
         "Compressors have other shapes, or layers have one that had none; the cache has another size."),
    # Linear attention
    Rule("linear-attention-changed", "mixers.*.variant", "weights", "another kind of linear attention",
         "Another recurrence, with other tensors and another state."),
    Rule("linear-heads-changed", "mixers.*.{key_heads,value_heads}", "weights", "another number of linear-attention heads",
         "Projections have other shapes, and the recurrent state another size."),
    Rule("conv-kernel-changed", "mixers.*.{conv_kernel,conv_bias}", "weights", "another short convolution",
         "The convolution before linear attention has another width or bias, or came or went."),
    Rule("gate-order-changed", "mixers.*.gate_first", "behaviour", "gate and norm of the output changed places",
         "The same weights in another order: it loads, and computes something else."),
    Rule("norm-groups-changed", "mixers.*.norm_groups", "behaviour", "the output is normed in other groups",
         "The same norm weights over other groups of channels; tensor-parallel degrees depend on it."),
    Rule("state-dtype-changed", "mixers.*.state_dtype", "capacity", "the recurrent state is kept in another dtype",
         "A sequence's state takes another size, and rounds differently over long prompts."),
    Rule("mixer-changed", "mixers.*{,.kind}", "weights", "another mixer",
         "A kind of attention came, went or was replaced by another kind."),
    # Experts
    Rule("expert-count-changed", "ffns.*.experts", "weights", "another number of experts",
         "Router and experts have other shapes, and memory grows or shrinks with them; expert-parallel degrees must divide the new "
         "number."),
    Rule("active-experts-changed", "ffns.*.active", "behaviour", "another number of experts serves a token",
         "It loads, answers differently, and takes another time for each token."),
    Rule("expert-width-changed", "ffns.*.expert_width", "weights", "experts of another width",
         "Every routed expert's matrices have other shapes."),
    Rule("zero-experts-changed", "ffns.*.zero_experts", "weights", "another number of experts that return their input",
         "The router has another number of rows."),
    Rule("expert-latent-changed", "ffns.*.latent_width", "weights", "experts work in a latent of another width",
         "The projections around the routed experts came, went or have other shapes."),
    Rule("shared-experts-changed", "ffns.*.{shared_experts,shared_width,shared_gate}", "weights", "other shared experts",
         "The experts that serve every token, or their gate, came, went or have other shapes."),
    Rule("shared-clamp-changed", "ffns.*.shared_clamp", "behaviour", "the shared experts' activations are clamped differently",
         "Large activations are cut at another bound, or no longer."),
    Rule("token-table-changed", "ffns.*.router.token_table", "weights", "a table of token ids chooses experts or no longer does",
         "A stored table takes the router's place, or the reverse."),
    Rule("router-bias-changed", "ffns.*.router.{bias,selection_bias}", "weights", "the router has other biases",
         "A bias for each expert came or went."),
    Rule("router-scales-changed", "ffns.*.router.{input_scale,expert_scale}", "weights", "the router has other learned scales",
         "Stored factors of the router came or went."),
    Rule("router-changed", "ffns.*.router.{scoring,normalized,scale,softcap,groups,active_groups,group_score,weights,own_norm}",
         "behaviour", "experts are chosen or weighted differently",
         "Other experts serve a token, or the same with other weights: it loads, and answers differently."),
    # Feed-forward blocks
    Rule("activation-changed", "ffns.*.{activation,alpha,up_offset}", "behaviour", "another activation",
         "Every feed-forward block computes something else with the same weights."),
    Rule("activation-clamp-changed", "ffns.*.{clamp,clamp_after}", "behaviour", "activations are clamped differently",
         "Large activations are cut at another bound, or no longer."),
    Rule("sparsity-changed", "ffns.*.sparsity", "behaviour", "another share of activations passes",
         "More or fewer of the gate's values are set to zero."),
    Rule("own-skip-changed", "ffns.*.own_skip", "behaviour", "a block's input is added to its output or no longer is",
         "The same weights, another sum."),
    Rule("mlp-gate-changed", "ffns.*.gated", "weights", "the feed-forward block is gated or no longer is",
         "The gate matrix came or went."),
    Rule("mlp-bias-changed", "ffns.*.bias", "weights", "the feed-forward block has a bias or no longer has",
         "Bias tensors came or went."),
    Rule("mlp-width-changed", "ffns.*.width", "weights", "another feed-forward width",
         "The matrices of the feed-forward block have other shapes."),
    Rule("ffn-changed", "ffns.*{,.kind}", "weights", "another feed-forward block",
         "A feed-forward block came, went or was replaced: dense by a mixture of experts, or the reverse."),
    # Norms
    Rule("norm-eps-changed", "{norms.*.eps,mixers.*.norm_eps}", "behaviour", "another norm epsilon",
         "Small activations are normed differently: answers drift, mostly little."),
    Rule("norm-offset-changed", "{norms.*.offset,mixers.*.block_index.norm_offset}", "behaviour", "norms multiply by another offset",
         "Weights are taken as w instead of 1 + w, or the reverse: it loads, and answers are nonsense."),
    Rule("norm-changed", "norms.*{,.kind,.bias,.weight}", "weights", "another norm",
         "Another kind of norm, or one with other tensors. (RMSNorm and LayerNorm without bias have the same tensors: then it loads, "
         "and computes something else.)"),
    # Beside the decoder
    Rule("mtp-changed", "mtp{,.**}", "info", "other multi-token prediction modules",
         "Speculative decoding with them changes or is gone; the main model is the same."),
    Rule("tower-input-changed", "towers.*.{image_size,tokens}", "capacity", "an image becomes another number of tokens",
         "Images take more or less of the context and the cache."),
    Rule("tower-computation-changed",
         "towers.*.{merge,projector_activation,activation,chunk,left_context,right_context,softcap,rope{,.**},"
         "ffn.{activation,alpha,up_offset,clamp,clamp_after,sparsity,own_skip},norm.{eps,offset}}", "behaviour",
         "the encoder computes something else",
         "Images or sounds are seen differently; text alone is as before."),
    Rule("projector-changed", "towers.*.{projector{,.**},projector_norms,projector_norm_bias,deepstack}", "weights",
         "another projector from encoder to decoder",
         "Its matrices or norms came, went or have other shapes."),
    Rule("tower-shape-changed",
         "towers.*.{layers,hidden_size,width,heads,kv_heads,head_dim,attention_bias,layer_norms,outer_norms,patch_size,patch_frames,"
         "patch_embedding{,.**},positions,position_axes,class_token,pooling_head,qk_norm,clipped,standardized,layer_scales,conv_kernel,"
         "subsampling,subsampled{,.**},output{,.**},vocabulary,stem,stages{,.**},fusion_width,outputs,"
         "ffn{,.kind,.width,.gated,.bias,.per_layer},norm{,.kind,.bias,.weight}}", "weights", "the encoder has other tensors",
         "Tensors of the encoder came, went or have other shapes: the checkpoint no longer loads as a whole."),
    Rule("tower-changed", "towers.*{,.kind}", "weights", "another encoder",
         "An encoder of images or sounds came, went or was replaced by another kind."),
    Rule("other-tensor-changed", "other.**", "weights", "another tensor outside the blocks",
         "A tensor that no fact above explains came, went or has another shape."),
    # Storage
    Rule("quantization-activations-changed", "quantization.activations", "quantization", "activations are quantised differently",
         "Another kernel runs, with another accuracy; the weights are stored as before."),
    Rule("quantization-excluded-changed", "quantization.excluded", "quantization", "other modules are left unquantised",
         "The same format for more or fewer of the modules."),
    Rule("quantization-changed", "quantization{,.method,.bits,.format,.block,.group_size}", "quantization", "stored in another format",
         "The same architecture in other bits: another size and accuracy, and engines and GPUs must know the format."),
    Rule("fact-changed", "**", "weights", "another fact",
         "A fact that this version has no rule for. Nothing in the schema should come here."),
    # Findings: the checkpoint against its config
    Rule("fact-contradicted", None, "weights", "the tensors contradict the config",
         "Config and checkpoint do not belong together: loaders fail on the shapes, or take values that the weights were not trained "
         "with."),
    Rule("tensor-missing", None, "weights", "tensors are missing",
         "The config asks for tensors that the checkpoint does not have: loaders fail, or fill them with random numbers and a warning."),
    Rule("tensor-unexpected", None, "weights", "there are tensors that the config does not explain",
         "Loaders ignore them, or fail: a layer or block that the config does not have, or one stored twice."),
    Rule("tensor-shape", None, "weights", "tensors have other shapes than the config says",
         "Loaders fail on them."),
    Rule("untied-head-missing", None, "weights", "an untied head is not stored",
         "The config says that the head is a matrix of its own, and none is stored: it starts with random numbers."),
    Rule("tower-missing", None, "weights", "nothing of an encoder is stored",
         "The config announces an encoder; without its weights images or sounds cannot be taken. Conversions of the text model alone do"
         " so."),
    Rule("tensor-unrecognised", None, "info", "tensors that llmarch does not recognise",
         "They are counted; what they do is not known."),
    Rule("mtp-missing", None, "info", "announced multi-token prediction is not stored",
         "Speculative decoding with these modules is not possible; the main model is whole."),
    Rule("mtp-stored", None, "info", "multi-token prediction is stored that the config does not announce",
         "Loaders ignore it."),
    Rule("tied-copy-stored", None, "info", "a tied head is stored",
         "A second copy of the embedding that loaders ignore; it takes room on disk."),
    Rule("buffers-stored", None, "info", "tables are stored that are computed anyway",
         "Old library versions saved them; loaders ignore them."),
    Rule("unused-stored", None, "info", "tensors are stored that the model does not use",
         "The implementation skips them on purpose; they take room on disk."),
    Rule("tensor-dtype", None, "quantization", "tensors have another dtype than the config declares",
         "Engines that trust the declaration pick the wrong kernels or fail."),
    Rule("packed-without-scales", None, "quantization", "quantised values without their scales",
         "They cannot be unpacked; loaders fail or give noise."),
    Rule("not-comparable", None, "info", "tensors could not be compared",
         "A packing or layout that llmarch does not unpack. It is not told whether they fit."),
    Rule("stored-tensors-changed", None, "quantization", "other tensors, dtypes or names are stored",
         "The architecture is the same and its tensors are there; the checkpoint stores them under other names or in other dtypes."),
    # Findings: files and index
    Rule("shard-missing", None, "weights", "a file of the checkpoint is missing",
         "The index or the other files' names tell of it, and it is not there: loaders fail."),
    Rule("shard-unreadable", None, "info", "a file of the checkpoint could not be read",
         "It may be there: nothing is told about its tensors. Try again."),
    Rule("single-shard", None, "info", "one file of a sharded checkpoint was read alone",
         "The other tensors are elsewhere: nothing is told about them. Give the folder."),
    Rule("index-unreadable", None, "info", "the index could not be read",
         "Which file holds which tensor is not known. Try again."),
    Rule("index-tensor-missing", None, "weights", "the index lists tensors that no file holds",
         "Loaders that go by the index fail."),
    Rule("index-wrong-shard", None, "weights", "the index names the wrong file for a tensor",
         "Loaders that go by the index fail."),
    Rule("index-tensor-unlisted", None, "weights", "tensors are stored that the index does not list",
         "Loaders that go by the index do not load them."),
    Rule("index-total-size", None, "info", "the index says another size than the tensors have",
         "Tools that plan memory by it are wrong; loaders do not care."),
    Rule("tensor-in-two-shards", None, "weights", "a tensor is stored in two files",
         "Which one is loaded depends on the loader; often a shard of an older upload was left behind."),
    Rule("headers-not-cached", None, "info", "tensor headers were not read",
         "Offline, and only the config was downloaded before: nothing is told about the tensors."),
    Rule("repo-moved", None, "info", "the repository was renamed",
         "The Hub forwards the old name for as long as nobody takes it. Use the new name."),
    Rule("other-weights", None, "info", "there are other weights beside those that are read",
         "Another format, an adapter or another variant in the same repository; it was not read."),
    Rule("unread-key", None, "info", "the config has a key, or another value of one, that llmarch does not read",
         "What it does is not known: it may change the computation. An update of llmarch may read it."),
)
# fmt: on


def rule_for(path: str) -> Rule:
    """The rule that covers the path of a fact."""
    return next(
        rule
        for rule in RULES
        if rule.pattern is not None and _compiled(rule.pattern).fullmatch(path)
    )


def find(id: str) -> Rule | None:
    """The rule with an id."""
    return _by_id().get(id)


def nearest(id: str) -> list[str]:
    """Ids that look like one that there is not, or hold it."""
    from difflib import get_close_matches

    return (
        get_close_matches(id, _by_id(), 3, 0.6)
        or [known for known in _by_id() if id and id in known][:5]
    )


@cache
def _by_id() -> dict[str, Rule]:
    return {rule.id: rule for rule in RULES}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    words = {"**": ".+", "*": "[^.]+", "{": "(?:", "}": ")", ",": "|", ".": r"\."}
    return re.compile(re.sub(r"\*\*|[*{},.]", lambda m: words[m[0]], pattern))
