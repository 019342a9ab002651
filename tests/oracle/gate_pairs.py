"""What one changed key of a config does, by transformers: names or shapes of tensors differ, logits differ, or nothing.

    ORACLE/bin/python tests/oracle/gate_pairs.py SECONDS SPEC|TYPE...     -> tests/fixtures/gate_pairs.json.gz

ORACLE is a scratch environment with torch 2.13.0 and transformers 5.23.0, as for make_fixtures.py; never a dependency of llmarch. Published
configs are shrunk (shrink.py), and one key at a time is set, added, spelled out or removed. `weights`: names or shapes of parameters differ;
`behaviour`: with weights of the same seed the logits differ by `delta` (more than 1e-5); `none`: neither. Towers are built, but not run. SECONDS
is the time for each model; models that the fixture has already are replaced, the others stay. A TYPE (a model_type) is the defaults of its
class. With --text a wrapper's text part is taken alone.
"""
import gzip
import os, sys, json, copy, zlib, time, warnings, re, pathlib
os.environ["HF_HUB_OFFLINE"]="1"; warnings.filterwarnings("ignore")
import torch, transformers
torch.set_num_threads(1)
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
transformers.logging.set_verbosity_error()
from shrink import shrink, load, W
REN={"kimi_k2":"deepseek_v3","minimax_m1":"minimax","minimax_text_01":"minimax","RefinedWeb":"falcon","RefinedWebModel":"falcon"}

def config(raw):
    raw=copy.deepcopy(raw)
    for k in("quantization_config","auto_map"): raw.pop(k,None)
    for s in ("text_config","vision_config"):
        if isinstance(raw.get(s),dict): raw[s].pop("quantization_config",None); raw[s].pop("auto_map",None)
    raw["model_type"]=REN.get(raw["model_type"],raw["model_type"])
    if "attn_type_list" in raw: raw["layer_types"]=["full_attention" if t else "linear_attention" for t in raw["attn_type_list"]]
    return AutoConfig.for_model(**raw)

def build(cfg):
    autos=[AutoModelForCausalLM,AutoModelForImageTextToText]
    if getattr(cfg,"vision_config",None) is not None: autos.reverse()
    err=None
    for a in autos:
        try: 
            m=a.from_config(cfg,attn_implementation="eager",dtype=torch.float32); break
        except ValueError as e: err=e
    else: raise err
    m=m.float().eval()
    seen=set()
    with torch.no_grad():
        for n,p in m.state_dict(keep_vars=True).items():
            if p.data_ptr() in seen and isinstance(p,torch.nn.Parameter): continue
            seen.add(p.data_ptr())
            if not p.is_floating_point(): continue
            g=torch.Generator().manual_seed(zlib.crc32(n.encode()))
            r=torch.randn(p.shape,generator=g)
            if p.ndim<=1 and ("norm" in n.lower() or "ln" in n.lower()) and n.endswith("weight"): p.copy_(1+0.2*r)
            elif n.endswith("A_log"): p.copy_(0.5*r)
            elif p.ndim<=1: p.copy_(0.2*r)
            else: p.copy_(r*(1.0/max(1,p.shape[-1])**0.5))
    return m

from transformers import PreTrainedModel
PreTrainedModel.initialize_weights=lambda self,*a,**k: None
def metashapes(cfg):
    autos=[AutoModelForCausalLM,AutoModelForImageTextToText]
    if getattr(cfg,"vision_config",None) is not None: autos.reverse()
    err=None
    with torch.device("meta"):
        for a in autos:
            try: m=a.from_config(cfg,attn_implementation="eager",dtype=torch.float32); break
            except ValueError as e: err=e
        else: raise err
    return shapes(m)
def shapes(m):
    P={n:tuple(p.shape) for n,p in m.named_parameters()}
    B={n:tuple(b.shape) for n,b in m.named_buffers() if n in m.state_dict() and n not in P}
    return {**P,**B}
IDS=None
def logits(m):
    g=torch.Generator().manual_seed(7)
    out=[]
    for T in (11,40):
        ids=torch.randint(4,96,(1,T),generator=g)
        with torch.no_grad(): o=m(input_ids=ids,use_cache=False)
        out.append(o.logits[0,:,:64].float())
    return out

ACT={"silu":"gelu_pytorch_tanh","gelu":"relu","gelu_pytorch_tanh":"gelu","gelu_new":"gelu","swish":"gelu","relu2":"silu","gelu_fast":"relu","gelu_python":"relu"}
NONES={"rope_scaling":[{"rope_type":"linear","factor":2.0},{"type":"yarn","factor":4.0,"original_max_position_embeddings":16}],
 "sliding_window":[8],"head_dim":[32],"q_lora_rank":[24],"num_key_value_heads":[2],"routed_scaling_factor":[2.5],"final_logit_softcapping":[20.0],"attn_logit_softcapping":[20.0],"use_sliding_window":[True],"layer_types":[],"attention_multiplier":[0.5],"logits_scaling":[2.0],"n_group":[2],"topk_group":[1],"swiglu_limit":[3.0],"scale_qk_by_inverse_layer_idx":[True],"clip_qkv":[0.05],"mlp_only_layers":[[0]],"rope_parameters":[{"rope_type":"linear","rope_theta":10000.0,"factor":2.0}],"mm_tokens_per_image":[4],"n_inner":[80],"num_kv_shared_layers":[2],"kv_lora_rank":[16],"shared_expert_intermediate_size":[32],"max_window_layers":[2], "attn_temperature_tuning":[True],"no_rope_layers":[],"qk_norm":[True],"dt_rank":[4]}
STR={"scoring_func":{"sigmoid":"softmax","softmax":"sigmoid","sqrtsoftplus":"sigmoid"},"topk_method":{"noaux_tc":"greedy","greedy":"group_limited_greedy","group_limited_greedy":"greedy"},
 "rope_type":{"yarn":"linear","llama3":"linear","linear":"yarn","default":"linear","longrope":"linear","dynamic":"linear","proportional":"default"},
 "type":{"yarn":"linear","llama3":"linear","linear":"yarn","longrope":"linear","su":"linear","dynamic":"linear","mrope":"linear","default":"linear"},
 "dtype":{"bfloat16":"float16","float32":"bfloat16","float16":"bfloat16"},"torch_dtype":{"bfloat16":"float16","float32":"bfloat16","float16":"bfloat16"},
 "moe_router_activation_func":{"sigmoid":"softmax"},"score_func":{"sigmoid":"softmax","softmax":"sigmoid"},"position_embedding_type":{"rope":"nope","nope":"rope","absolute":"absolute"},"norm_type":{},
 "attention_type":{}, "transformers_version":None,"_name_or_path":None,"use_bidirectional_attention":{"vision":"all"},"moe_router_score_function":{"sigmoid":"softmax"},"normalization_function":{"rmsnorm":"layernorm"},"moe_router_use_sigmoid":{}, "router_score_func":{"sigmoid":"softmax"}}
def edits(k,v,path):
    E=[]
    if isinstance(v,bool): E=[not v]
    elif isinstance(v,int):
        if re.search(r"token_id|token_index",k): E=[v+1]
        elif v==0: E=[1]
        else: E=[v*2]+([v//2] if v>=2 else [])
    elif isinstance(v,float): E=[v*2] if v else [0.5]
        
    elif isinstance(v,str):
        if k in("hidden_act","activation_function","hidden_activation","act_fn","mlp_hidden_act","mamba_hidden_act","feed_forward_proj","expert_act"): E=[ACT.get(v,"gelu")]
        elif k in STR: E=[STR[k][v]] if STR[k] and v in STR[k] else ["9.9.9"] if STR[k] is None else []
    elif v is None: E=list(NONES.get(k,[]))
    elif isinstance(v,list) and v:
        if k=="architectures": E=[["OtherForCausalLM"]]
        elif k in("layer_types","mlp_layer_types","layers_block_type"):
            for i in range(len(v)-1):
                if v[i]!=v[i+1]: w=list(v); w[i],w[i+1]=w[i+1],w[i]; E=[w]; break
            else:
                alt={"full_attention":"sliding_attention","sliding_attention":"full_attention","sparse":"dense","dense":"sparse"}.get(v[-1])
                if alt: E=[v[:-1]+[alt]]
        elif all(isinstance(x,bool) for x in v): E=[[not v[0]]+v[1:]]
        elif all(isinstance(x,int) for x in v):
            if re.search(r"token_id",k): E=[v[:-1]] 
            elif len(set(v))==2 and set(v)<={0,1}: E=[[1-v[0]]+v[1:]]
            else: E=[v[:-1], [v[0]+1]+v[1:]]
        elif all(isinstance(x,(int,float)) for x in v): E=[[x*2 for x in v]]
        else: E=[]
    elif isinstance(v,dict) and k in("rope_scaling",): E=[None]
    return E
SKIP={"model_type","auto_map","quantization_config","compression_config","id2label","label2id","architectures_"}
def walk(c,pre=()):
    for k,v in c.items():
        if k in SKIP: continue
        p=(*pre,k)
        for e in edits(k,v,p): yield p,"set",e
        if k not in W or not isinstance(v,int) or k in ('sliding_window','head_dim','max_position_embeddings','num_key_value_heads','n_group','topk_group','num_experts_per_tok','initializer_range'): yield p,"del",None
        if isinstance(v,dict) and k not in SKIP: yield from walk(v,p)
def absent(c,cfg,pre=()):
    """fields of the config class that the config does not name"""
    sub={}
    d=cfg.to_dict()
    base=set(transformers.PreTrainedConfig().to_dict())
    keep={"tie_word_embeddings","use_cache","chunk_size_feed_forward","is_decoder","output_attentions"}
    am=getattr(type(cfg),"attribute_map",{})
    have=set(c)|{am[k] for k in c if k in am}|{k for k,v in am.items() if v in c}
    for k,v in d.items():
        if k in have or (k in base and k not in keep) or isinstance(v,dict) or k in SKIP or k.startswith("_"): continue
        es=edits(k,v,pre)
        if k=="rope_scaling" : es=NONES["rope_scaling"]
        for e in es[:1]: yield (*pre,k),"add",e
        if v is not None: yield (*pre,k),"spell",v
    if "rope_scaling" not in c and "rope_parameters" not in c:
        yield (*pre,"rope_scaling"),"add",NONES["rope_scaling"][0]
    for s in ("text_config",):
        if isinstance(c.get(s),dict) and hasattr(cfg,s): yield from absent(c[s],getattr(cfg,s),(*pre,s))
    yield (*pre,"x_unknown_key"),"add",1 
def apply(c,p,how,e):
    c=copy.deepcopy(c); d=c
    for k in p[:-1]: d=d[k]
    if how=="del": d.pop(p[-1],None)
    else: d[p[-1]]=e
    return c

FIXTURE = pathlib.Path(__file__).parent.parent / "fixtures" / "gate_pairs.json.gz"


# What a class needs beyond its own defaults once they are shrunk, by dotted key.
GIVEN = {
    "dots1": {"n_shared_experts": 1, "n_routed_experts": 8, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "num_experts_per_tok": 2,
              "n_group": 1, "topk_group": 1},
    "mamba2": {"num_heads": 8}, "nemotron": {"num_key_value_heads": 2}, "hunyuan_v1_dense": {"head_dim": 16}, "ministral": {"head_dim": 16},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention"] * 2, "num_hidden_layers": 6}, "youtu": {"num_key_value_heads": 4},
    "axk1": {"num_key_value_heads": 4}, "qwen2_vl": {"text_config.rope_parameters.mrope_section": [4, 2, 2], "vision_config.hidden_size": 64},
    "qwen2_5_vl": {"text_config.rope_parameters.mrope_section": [4, 2, 2]}, "glm4v": {"text_config.rope_parameters.mrope_section": [4, 2, 2]},
    "paddleocr_vl": {"text_config.rope_parameters.mrope_section": [4, 2, 2]},
    "qwen2_5_omni_thinker": {"text_config.rope_parameters.mrope_section": [4, 2, 2]},
    "qwen3_omni_moe_thinker": {"text_config.rope_parameters.mrope_section": [4, 2, 2], "text_config.head_dim": 16},
    "deepseek_ocr2": {"text_config.mlp_layer_types": ["dense"] + ["sparse"] * 5, "text_config.num_experts_per_tok": 2},
    "xlstm": {"embedding_dim": 64, "hidden_size": 64},
    "glm4v_moe": {"text_config.rope_parameters.mrope_section": [2, 1, 1]},
    "gemma4_unified": {"text_config.per_layer_config": {"5": {"head_dim": 32}}, "vision_config": {"patch_size": 2, "mm_embed_dim": 64, "output_proj_dims": 64, "mm_posemb_size": 8},
                       "audio_config": {"audio_embed_dim": 32}},
    "zaya": {"num_experts_per_tok": 1},
    "zamba2": {"num_hidden_layers": 6, "layers_block_type": (["linear_attention"] * 2 + ["hybrid"]) * 2, "n_mamba_heads": 8,
               "mamba_headdim": 16, "hidden_size": 64, "attention_hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "attention_head_dim": 32,
               "kv_channels": 16, "num_query_groups": 4, "hybrid_layer_ids": [2, 5]},
    "zamba": {"num_hidden_layers": 6, "layers_block_type": (["linear_attention"] * 2 + ["hybrid"]) * 2, "n_mamba_heads": 2,
              "hidden_size": 64, "attention_hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "attention_head_dim": 32, "mamba_dt_rank": 4},
    "dbrx": {"attn_config.rope_theta": 500000.0, "attn_config.clip_qkv": 0.5},
    "cohere_compass_text": {"rope_parameters": {"full_attention": None, "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default", "mrope_section": [2, 1, 1]}},
                            "logit_scale": 0.25},
}


def model_pairs(name, raw, budget):
    """The shrunk config, and a row for each edit of it."""
    t0 = time.time()
    base = shrink(raw)
    for path, value in GIVEN.get(base["model_type"], {}).items() if name.startswith("class:") else (): base = apply(base, path.split("."), "set", value)
    for key in ("quantization_config", "compression_config"): base.pop(key, None)
    shapes0, logits0 = metashapes(config(base)), logits(build(config(base)))
    assert all(torch.isfinite(x).all() for x in logits0), "nan"
    order = {"set": 0, "add": 1, "spell": 2, "del": 3}
    seen, rows = set(), []
    for path, how, value in sorted([*walk(base), *absent(base, config(base))], key=lambda edit: order[edit[1]]):
        key = json.dumps([path, how, value])
        if key in seen: continue
        seen.add(key)
        if time.time() - t0 > budget: print("BUDGET", name, flush=True); break
        row = {"model": name, "key": ".".join(path), "how": how}
        if how != "del": row["value"] = value
        new = apply(base, path, how, value)
        try:
            if metashapes(config(new)) != shapes0: row["oracle"] = "weights"
            else:
                found = logits(build(config(new)))
                delta = max(float((a - b).abs().max()) for a, b in zip(logits0, found))
                finite = all(torch.isfinite(x).all() for x in found)
                row |= {"oracle": "behaviour" if not finite or delta > 1e-5 else "none", "delta": float(f"{delta:.3g}") if finite else None}
        except Exception: continue  # transformers cannot build or run it: nothing to hold llmarch against
        rows.append(row)
    return base, rows


def class_config(model_type):
    """The defaults of a class, as a published config would have them."""
    usual = transformers.PreTrainedConfig().to_dict()
    full = AutoConfig.for_model(model_type).to_dict()
    kept = {k: v for k, v in full.items() if k not in usual or k == "tie_word_embeddings"}
    return {k: v for k, v in kept.items() if not k.startswith("_")} | {"model_type": model_type}


def main(budget, files):
    document = json.loads(gzip.decompress(FIXTURE.read_bytes()))
    for path in files:
        is_spec = path.endswith(".json")
        name = "spec:" + pathlib.Path(path).stem if is_spec else "class:" + path
        raw = json.loads(pathlib.Path(path).read_text())["config"] if is_spec else class_config(path)
        if "vision_config" in raw and "--text" in sys.argv: raw = raw["text_config"]
        t0 = time.time()
        try: base, rows = model_pairs(name, raw, budget)
        except Exception as error: print("no base", name, type(error).__name__, str(error)[:200], flush=True); continue
        document["bases"][name] = base
        document["pairs"] = [row for row in document["pairs"] if row["model"] != name] + rows
        print(name, len(rows), f"{time.time() - t0:.0f} s", flush=True)
        document["_about"] = {"by": "tests/oracle/gate_pairs.py", "transformers": transformers.__version__}
        FIXTURE.write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 9, mtime=0))


if __name__ == "__main__": main(float(sys.argv[1]), [path for path in sys.argv[2:] if not path.startswith("--")])
