"""Print fixtures with their tensor names folded: python tests/oracle/show_names.py tests/fixtures/headers/NAME.json.gz ...

One line a name pattern (numbers folded to #), its shape and dtype, and the values of each # that occur.
"""
import gzip, json, pathlib, re, sys


def spans(numbers):
    out, numbers = [], sorted(set(numbers))
    for i in numbers:
        if out and out[-1][1] == i - 1: out[-1][1] = i
        else: out.append([i, i])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in out)


def folded(name, fx):
    """Markdown: one line a name pattern (numbers folded to #), its shape, dtype and the layers it occurs in."""
    a, groups = fx["about"], {}
    for t, (d, s) in fx["tensors"].items():
        nums = re.findall(r"(?<=\.)\d+(?=\.)", "." + t)
        groups.setdefault((re.sub(r"(?<=\.)\d+(?=\.)", "#", "." + t)[1:], d, tuple(s)), []).append([int(x) for x in nums])
    extra = {k: a[k] for k in ("set", "unset", "build_only", "quant", "mtp", "tied_copy", "buffers") if a[k]}
    if "set" in extra: extra["set"] = {k: v if len(str(v)) < 60 else "..." for k, v in extra["set"].items()}
    out = [f"### {name}", f"{a['class']}; {a['source']}; {json.dumps(extra)}; names: {a['names']}; tensors {len(fx['tensors'])}, "
           f"params {fx['params']:,}, stored {fx['stored']:,}, router_bias {a['router_bias']:,}", "```"]
    for (pat, d, s), nums in groups.items():
        where = " ".join(f"#{i + 1}={spans(n[i] for n in nums)}" for i in range(len(nums[0])))
        out.append(f"{pat}  {list(s)} {d}  {where}".rstrip())
    return "\n".join(out + ["```", ""])


if __name__ == "__main__":
    for path in sys.argv[1:]: print(folded(pathlib.Path(path).name.removesuffix(".json.gz"), json.loads(gzip.open(path).read())))
