"""Terms about mixing tokens: softmax attention, its variants, and linear attention."""

from __future__ import annotations

from ...architecture.schema import Architecture, Attention, LinearAttention
from .term import Term, has_attention, has_field, has_kind, has_mixer, is_hybrid

DELTA_RULE = ("gated_deltanet", "kda")
"""Variants of linear attention that write by the delta rule."""


def has_softcap(a: Architecture) -> bool:
    """Return whether scores or logits are squeezed into a range."""
    return a.head.softcap is not None or has_field("softcap")(a)


TERMS = (
    Term(
        "attention",
        "Each token takes a weighted mean of the values of the tokens that it sees. The weights "
        "are a softmax over the products of its query with their keys, in several heads at once.",
        ("softmax attention", "self-attention", "mixer", "token mixer"),
        "softmax(q · k / √head_dim) · v",
        "It is the only block in which tokens read each other.",
        "Attention Is All You Need, arXiv:1706.03762",
        ("mixers.*",),
    ),
    Term(
        "multi-head attention (MHA)",
        "Every query head has keys and values of its own.",
        ("MHA", "multi-head attention"),
        "heads = kv_heads; cache per token and layer: 2 · heads · head_dim elements",
        "The original form. Its cache is the largest.",
        "Attention Is All You Need, arXiv:1706.03762",
        ("mixers.*.kv_heads",),
        has_kind("mha"),
        "multi-head attention",
    ),
    Term(
        "multi-query attention (MQA)",
        "All query heads share one head of keys and values.",
        ("MQA", "multi-query attention"),
        "kv_heads = 1; cache per token and layer: 2 · head_dim elements",
        "It makes the cache as many times smaller as there are heads, at some loss of quality.",
        "Fast Transformer Decoding, arXiv:1911.02150",
        ("mixers.*.kv_heads",),
        has_kind("mqa"),
        "multi-query attention",
    ),
    Term(
        "grouped-query attention (GQA)",
        "Query heads are in groups, and each group shares one head of keys and values.",
        ("GQA", "grouped-query attention", "KV heads", "query heads"),
        "1 < kv_heads < heads; cache per token and layer: 2 · kv_heads · head_dim elements",
        "It is between MHA and MQA: nearly the quality of the one with nearly the cache of the "
        "other.",
        "GQA, arXiv:2305.13245",
        ("mixers.*.kv_heads",),
        has_kind("gqa"),
        "grouped-query attention",
    ),
    Term(
        "multi-head latent attention (MLA)",
        "Keys and values of all heads are projected from one small latent vector for each token. "
        "Only the latent and one rotary key, which all heads share, are cached.",
        ("MLA", "latent attention", "multi-head latent attention", "MLA ranks", "kv_lora_rank"),
        "k, v = W_up · latent; cache per token and layer: kv_lora_rank + qk_rope_head_dim elements",
        "In DeepSeek-V2 the cache is that of GQA with 2.25 groups, and the paper's ablation of MoE "
        "models puts it above MHA in quality. It costs the projections from the latent.",
        "DeepSeek-V2, arXiv:2405.04434",
        ("mixers.*.kv_lora_rank", "mixers.*.qk_rope_head_dim"),
        has_kind("mla"),
        "multi-head latent attention (MLA)",
    ),
    Term(
        "query latent",
        "In MLA queries too are projected from a small latent.",
        ("q_lora_rank", "compressed queries", "latent ranks"),
        "q = W_up norm(W_down x)",
        "It saves memory for activations in training; the cache is the same.",
        "DeepSeek-V2, arXiv:2405.04434",
        ("mixers.*.q_lora_rank",),
        has_field("q_lora_rank"),
    ),
    Term(
        "sliding window",
        "A token reads only the last tokens, as many as the window is long; many models have some "
        "layers that read everything in between.",
        ("SWA", "sliding", "local attention", "sliding-window attention", "window", "full windows"),
        "position p reads p − window + 1 … p",
        "Cost and cache of such a layer stop growing with the context.",
        "Longformer, arXiv:2004.05150; Mistral 7B, arXiv:2310.06825",
        ("mixers.*.window",),
        has_kind("sliding"),
        "sliding windows",
    ),
    Term(
        "chunked attention",
        "The context is cut into chunks, and a token reads those before it in its own chunk.",
        ("chunk", "chunked"),
        "position p reads chunk · ⌊p / chunk⌋ … p",
        "Cost and cache stop growing with the context, as with a window. Layers without it see "
        "across chunks.",
        "code of Llama 4 (Meta AI, 2025)",
        ("mixers.*.chunk",),
        has_kind("chunked"),
        "chunked attention",
    ),
    Term(
        "sparse attention with an indexer (DSA)",
        "A small indexer scores all tokens before the query, and attention reads the best of them "
        "only.",
        (
            "DSA",
            "DeepSeek sparse attention",
            "lightning indexer",
            "indexer",
            "sparse",
            "sparse indexer",
            "indexer keys",
        ),
        "score = Σ over index heads of w · ReLU(q_index · k_index); the top_k tokens are read",
        "Attention over a long context costs as much as over top_k tokens; the indexer has few "
        "heads and a cache of its own.",
        "DeepSeek-V3.2, arXiv:2512.02556",
        ("mixers.*.indexer.top_k",),
        has_kind("sparse"),
        "sparse attention with an indexer",
    ),
    Term(
        "compressed attention (CSA, HCA)",
        "A window of tokens is read as it is; what is older is read as entries, each a weighted "
        "mean of several tokens. CSA reads the entries that an indexer picks, HCA all of its much "
        "coarser ones.",
        ("CSA", "HCA", "compressed attention", "compressed", "compression", "compressor state"),
        "one entry for each `ratio` tokens: 4 (CSA) or 128 (HCA)",
        "The cache of a million tokens is a tenth of that of DeepSeek-V3.2 (V4-Pro).",
        "DeepSeek-V4, arXiv:2606.19348",
        ("mixers.*.ratio", "mixers.*.series"),
        has_kind("compressed"),
        "compressed attention",
    ),
    Term(
        "block-sparse attention",
        "An index scores blocks of keys, and a query reads the best blocks and the nearest ones.",
        ("block index", "block-sparse"),
        "top_blocks blocks of `block` tokens are read; the local_blocks nearest are among them",
        "A long context costs as much as the blocks that are read, in pieces that GPUs read well.",
        "MoBA, arXiv:2502.13189; Native Sparse Attention, arXiv:2502.11089; MiniMax Sparse "
        "Attention, arXiv:2606.13392",
        ("mixers.*.block_index.top_blocks",),
        has_field("block_index"),
    ),
    Term(
        "QK-norm",
        "A norm on queries and keys before their product, usually an RMSNorm and before RoPE: over "
        "each head, or over the whole projection (OLMo 2, MiniMax).",
        ("query-key normalization", "qk norm", "QK-norm over all heads"),
        "softmax(norm(q) · norm(k) / √head_dim)",
        "It bounds the attention scores, which steadies training.",
        "Query-Key Normalization for Transformers, arXiv:2010.04245",
        ("mixers.*.qk_norm.scope",),
        has_attention(lambda m: m.qk_norm),
        "QK-norm",
    ),
    Term(
        "attention sink",
        "A learned number for each head that joins the softmax as the score of a token without a "
        "value.",
        ("attention sinks", "sinks", "sink"),
        "weights = exp(score) / (exp(sink) + Σ exp(score))",
        "A head can attend to nothing, instead of to the first token.",
        "Efficient Streaming Language Models with Attention Sinks, arXiv:2309.17453; gpt-oss, "
        "arXiv:2508.10925",
        ("mixers.*.sinks",),
        has_field("sinks"),
        "attention sinks",
    ),
    Term(
        "gated attention",
        "The output of attention is multiplied by a gate that the token computes, before the "
        "output projection: one factor for each dim, or one for each head.",
        ("output gate", "attention gate", "gate", "elementwise output gate"),
        "o = W_o (sigmoid(W_g x) ⊙ attention(x))",
        "It adds a nonlinearity and lets a head be silent, so that no token becomes a sink.",
        "Gated Attention for Large Language Models, arXiv:2505.06708",
        ("mixers.*.gate",),
        has_attention(lambda m: m.gate),
        "gated attention",
    ),
    Term(
        "differential attention",
        "The attention weights of half of the heads are subtracted from those of the other half.",
        ("differential", "diff transformer"),
        "(softmax(q₁ · k₁) − λ · softmax(q₂ · k₂)) · v",
        "What both halves attend to alike is noise and cancels.",
        "Differential Transformer, arXiv:2410.05258",
        ("mixers.*.differential",),
        has_field("differential"),
    ),
    Term(
        "softcap",
        "Scores or logits are squeezed smoothly into a range.",
        ("soft cap", "logits softcap", "logit softcap", "score softcap"),
        "c · tanh(x / c)",
        "It bounds them without cutting gradients off. QK-norm replaced it on attention scores in "
        "Gemma 3.",
        "Gemma 2, arXiv:2408.00118",
        ("mixers.*.softcap", "head.softcap"),
        has_softcap,
    ),
    Term(
        "softmax scale",
        "The factor of query · key before the softmax.",
        ("attention scale", "scale"),
        "1 / √head_dim unless a model has another; MLA: 1 / √(nope + rope dims), with YaRN times "
        "mscale²",
        "Without it scores would grow with the width of heads. Granite and Gemma choose another "
        "one.",
        "Attention Is All You Need, arXiv:1706.03762",
        ("mixers.*.scale",),
    ),
    Term(
        "shared keys and values",
        "A layer reads the keys and values that an earlier layer has cached, and computes none.",
        ("shared KV", "KV sharing", "cross-layer attention", "CLA", "sliding shared"),
        "cache: none of its own",
        "The cache shrinks by the layers that share.",
        "Cross-Layer Attention, arXiv:2405.12981; Gemma 3n",
        ("mixers.*.kv_from",),
        has_field("kv_from"),
    ),
    Term(
        "values from keys",
        "Values are the output of the key projection: there is not a value matrix.",
        ("values: the key projection", "values"),
        "v = norm(W_k x), from before QK-norm and RoPE of the keys; the norm has no weights",
        "It saves a projection.",
        "modelling code of Gemma 4 (2026)",
        ("mixers.*.values_from_keys",),
        has_field("values_from_keys"),
    ),
    Term(
        "fixed factors",
        "Constant factors within attention: of values (MiMo), of MLA's queries and latent "
        "(LongCat).",
        ("value scale",),
        "LongCat: √(hidden_size / rank of the latent)",
        why="Those of LongCat undo how the widths of latents change the size of what passes them.",
        described="LongCat-Flash, arXiv:2509.01322; modelling code of MiMo-V2-Flash",
        facts=("mixers.*.value_scale", "mixers.*.q_scale", "mixers.*.kv_scale"),
        is_in=has_mixer(
            lambda m: any(getattr(m, name, None) for name in ("value_scale", "q_scale", "kv_scale"))
        ),
    ),
    Term(
        "query scaling",
        "Queries are multiplied by a factor that grows slowly with their position.",
        ("attention temperature tuning", "temperature tuning"),
        "q · (1 + β · ln(1 + ⌊position / original_context⌋))",
        "The softmax stays as sharp over a long context as over a short one.",
        "Scalable-Softmax, arXiv:2501.19399; code of Llama 4 (Meta AI, 2025)",
        ("mixers.*.query_scaling.beta",),
        has_field("query_scaling"),
    ),
    Term(
        "linear attention",
        "A token adds to a state of fixed size and reads from it, instead of reading all tokens "
        "before it. Variants differ in how the state decays and is written.",
        ("recurrent state", "state", "hybrid", "linear", "decay"),
        "S ← decay · S + k vᵀ; output = Sᵀ q",
        "Cost grows linearly with the context and the state does not grow at all. Models mix such "
        "layers with some of full attention.",
        "Transformers are RNNs, arXiv:2006.16236",
        ("mixers.*.variant",),
        is_hybrid,
        "linear attention beside attention",
    ),
    Term(
        "Mamba",
        "A selective state space: how fast the state of each channel decays depends on the token.",
        ("selective state space", "S6", "SSM", "mamba1"),
        "h ← exp(Δ A) h + Δ B x; y = C h + D x",
        "It forgets what the content says is not needed, at linear cost.",
        "Mamba, arXiv:2312.00752",
        ("mixers.*.variant", "mixers.*.dt_rank"),
        has_mixer(lambda m: isinstance(m, LinearAttention) and m.variant == "mamba"),
    ),
    Term(
        "Mamba-2",
        "A selective state space with one decay for each head, which makes it a form of linear "
        "attention.",
        ("mamba2", "state space duality", "SSD"),
        "H ← exp(Δ a) H + Δ x Bᵀ; y = H C + D x",
        "One decay for each head turns the recurrence into matrix products, which are fast.",
        "Transformers are SSMs, arXiv:2405.21060",
        ("mixers.*.variant",),
        has_kind("mamba2"),
        "Mamba-2",
    ),
    Term(
        "Gated DeltaNet",
        "Linear attention that first takes out of the state what it returns for a key, then writes "
        "the new value; one learned decay for each head.",
        ("gated_deltanet", "DeltaNet", "GDN"),
        "S ← α S (I − β k kᵀ) + β v kᵀ; output = S q",
        "The delta rule overwrites instead of adding up, the gate forgets: both help recall.",
        "Gated Delta Networks, arXiv:2412.06464",
        ("mixers.*.variant",),
        has_kind("gated_deltanet"),
        "gated DeltaNet",
    ),
    Term(
        "delta rule",
        "What linear attention writes is the difference between the new value and what its state "
        "returns for the key already.",
        (),
        "S ← S (I − β k kᵀ) + β v kᵀ",
        "It replaces what is stored under a key, where plain linear attention adds to it.",
        "Linear Transformers Are Secretly Fast Weight Programmers, arXiv:2102.11174",
        ("mixers.*.variant",),
        has_mixer(lambda m: isinstance(m, LinearAttention) and m.variant in DELTA_RULE),
    ),
    Term(
        "Kimi Delta Attention (KDA)",
        "Gated DeltaNet with a decay for each channel of the keys, not one for each head.",
        ("KDA", "Kimi Delta Attention"),
        "S ← (I − β k kᵀ) Diag(α) S + β k vᵀ; output = Sᵀ q",
        "Each channel forgets at its own pace, which also does the work of positions: attention "
        "beside it has none (NoPE).",
        "Kimi Linear, arXiv:2510.26692",
        ("mixers.*.variant",),
        has_kind("kda"),
        "Kimi Delta Attention",
    ),
    Term(
        "lightning attention",
        "Linear attention with a fixed decay for each head, computed in blocks.",
        ("lightning",),
        "S ← λ S + k vᵀ; output = qᵀ S",
        "It is the simplest linear attention with a decay, and runs at a constant speed for any "
        "length.",
        "Lightning Attention-2, arXiv:2401.04658; MiniMax-01, arXiv:2501.08313",
        ("mixers.*.variant",),
        has_kind("lightning"),
        "lightning attention",
    ),
    Term(
        "RG-LRU",
        "A gated linear recurrence over channels (Griffin, RecurrentGemma).",
        ("rg_lru", "real-gated linear recurrent unit", "Griffin"),
        "h ← a ⊙ h + √(1 − a²) ⊙ (i ⊙ x), with a = σ(Λ)^(c · r)",
        "Beside local attention it reads a long context with a small state.",
        "Griffin, arXiv:2402.19427",
        ("mixers.*.variant",),
        has_kind("rg_lru"),
    ),
    Term(
        "RWKV",
        "A recurrent mixer with a learned decay for each channel, and a feed-forward block that "
        "mixes in the token before (channel mix).",
        ("rwkv4", "RWKV-4", "rwkv7", "RWKV-7", "channel mix", "time mix"),
        "wkv = Σ e^(k − w · distance) v / Σ e^(k − w · distance), the token itself with e^(k + u)  "
        "(RWKV-4)",
        "It trains like a transformer and runs like a recurrent network.",
        "RWKV, arXiv:2305.13048; RWKV-7, arXiv:2503.14456",
        ("mixers.*.variant", "ffns.*.channel_mix"),
        has_mixer(lambda m: isinstance(m, LinearAttention) and m.variant.startswith("rwkv")),
    ),
    Term(
        "mLSTM",
        "A matrix memory with an exponential input gate and a forget gate for each head (xLSTM).",
        ("xLSTM",),
        "C ← f C + i v kᵀ; n ← f n + i k; output = C q / max(|n · q|, 1)",
        "It gives the LSTM a memory as large as that of linear attention.",
        "xLSTM, arXiv:2405.04517",
        ("mixers.*.variant",),
        has_mixer(lambda m: isinstance(m, LinearAttention) and m.variant == "mlstm"),
    ),
    Term(
        "short convolution",
        "A causal convolution over a few tokens, channel by channel: beside linear attention, or "
        "with two gates as a mixer of its own (LFM2).",
        ("short conv", "short_conv", "gated short convolution", "conv_kernel", "LIV convolution"),
        "y_t = Σ w_i ⊙ x_{t−i} for i < conv_kernel",
        "It mixes neighbours at almost no cost, and its state is a few tokens.",
        "Hungry Hungry Hippos, arXiv:2212.14052 (as a shift SSM); LFM2, arXiv:2511.23404",
        ("mixers.*.conv_kernel",),
        has_mixer(lambda m: isinstance(m, LinearAttention) and m.conv_kernel),
    ),
    Term(
        "cross attention",
        "Tokens attend to the outputs of an encoder, whose keys and values are computed once.",
        ("cross-attention",),
        "softmax(q_text · k_image / √head_dim) · v_image",
        "Images reach the decoder without taking places in its context.",
        "Flamingo, arXiv:2204.14198; Llama 3.2 Vision",
        ("mixers.*.cross_tokens",),
        has_attention(lambda m: m.cross_tokens is not None),
    ),
    Term(
        "attention bias",
        "Query, key and value projections, or the output projection, add a learned vector.",
        ("bias", "qkv bias", "no bias"),
        "q = W_q x + b_q",
        "Qwen has it on queries, keys and values to go on beyond the context of training; Llama "
        "has none.",
        "Qwen, arXiv:2309.16609",
        ("mixers.*.qkv_bias", "mixers.*.output_bias"),
        has_attention(lambda m: m.qkv_bias),
    ),
    Term(
        "both directions",
        "Tokens of one image, or all of the prompt, attend to each other in both directions.",
        ("image tokens", "sees", "prefix attention", "sees ahead"),
        why="A picture has no order in which its parts would have to be read.",
        described="PaliGemma, arXiv:2407.07726",
        facts=("mixers.*.sees_ahead",),
        is_in=has_mixer(lambda m: isinstance(m, Attention) and m.sees_ahead),
    ),
    Term(
        "KV cache",
        "What attention keeps of each token, so that the next one need not compute it again: keys "
        "and values, or a latent. llmarch counts it per token in bf16 over all layers; windows and "
        "recurrent states do not grow with it.",
        ("cache", "KV cache", "per token", "cache per token"),
        "GQA: 2 · layers · kv_heads · head_dim · bytes; MLA: layers · (kv_lora_rank + rope) · "
        "bytes",
        "For long contexts and many users it takes more memory than the weights.",
        "docs/cache.md",
    ),
)
