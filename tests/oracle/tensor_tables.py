"""Tables of tensors, and the settings that are tried, for the scripts that build model types (model_types.py, published_code.py)."""
import collections, math, re

DEPTH = 8
DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth", "encoder_layers", "vt_num_hidden_layers")
# Keys that name tokens, dropout, training or output; they shape nothing (a row of each would only cost time).
PASS = re.compile(r"(_token_id|_token_index|_ids?$|dropout|_pdrop|initializer|output_|use_cache|return_dict|chunk_size_feed|id2label|label2id|problem_type|"
                  r"transformers_version|architectures|dtype|_name_or_path|is_encoder_decoder|is_decoder|torchscript|pruned_heads|use_bfloat16|"
                  r"gradient|_coef$|jitter|z_loss|model_type|auto_map|_attn_implementation)")
WHEN_NONE = {"head_dim": [64], "num_key_value_heads": [2], "sliding_window": [128], "q_lora_rank": [96], "kv_lora_rank": [64], "n_inner": [256],
             "intermediate_size": [256], "layer_types": [], "rope_scaling": [], "rope_parameters": []}


def spans(numbers):
    out = []
    for n in sorted(set(numbers)):
        if out and out[-1][1] == n - 1: out[-1][1] = n
        else: out.append([n, n])
    return out


def folded(named):
    """[[folded name, shape, [[first, last], ...] for each number, how many], ...] of {name: tensor}."""
    table = collections.defaultdict(list)
    for name, x in named.items():
        numbers = [int(n) for n in re.findall(r"(?<=\.)\d+(?=\.|$)", name)]
        table[re.sub(r"(?<=\.)\d+(?=\.|$)", "{}", name), tuple(x.shape)].append(numbers)
    return sorted([p, list(s), [spans(column) for column in zip(*part)], len(part)] for (p, s), rows in table.items() for part in grids(rows))


def grids(rows):
    """Rows of numbers in parts that are grids each, so that their spans tell them."""
    columns = [len(set(column)) for column in zip(*rows)]
    if math.prod(columns) == len(rows): return [rows]
    return [part for first in sorted({row[0] for row in rows}) for part in grids([row for row in rows if row[0] == first])]


def candidates(key, value):
    name = key.rpartition(".")[2]
    if PASS.search(name): return []
    if isinstance(value, bool): return [not value]
    if isinstance(value, int): return [value * 2, value // 2, value + 1] if value > 1 else [value + 1]
    if value is None: return WHEN_NONE.get(name, [True, 64])
    return []
