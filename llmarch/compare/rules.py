"""What a difference breaks: the rules of changes and of findings, and their look-up by id.

Rules of changes come from the catalogue of facts (architecture/catalogue), each with the paths
that it covers. The rules here are those of findings: statements about a checkpoint and its files,
which have no path in an architecture. What makes a finding chooses its severity, at most that of
its rule. Ids are never reused (tests/fixtures/rule_ids.txt).

Severities, from worst:

- `weights`: tensor names or shapes differ, weights of the one do not load into the other
- `behaviour`: it loads and computes something else
- `capacity`: cache, context or memory differ
- `quantization`: the same architecture is stored differently
- `info`: nothing breaks

What a change breaks is computed (severity.py); a rule has what it breaks at worst as a rule. Where
that is not `weights` and no tensor differs, it is the severity of the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from ..architecture.catalogue import CATALOGUE, facts_at
from ..architecture.schema import Severity
from ..errors import similar_names

SEVERITIES: tuple[Severity, ...] = ("weights", "behaviour", "capacity", "quantization", "info")

CONSEQUENCES: dict[Severity, str] = {
    "weights": "tensors differ, so that weights of the one do not load into the other",
    "behaviour": "it loads, and answers differently",
    "capacity": "the size of the cache or the context differs",
    "quantization": "the same architecture is stored differently",
    "info": "nothing breaks",
}
"""What a severity means for who runs the model, in a few words."""


class Rule(NamedTuple):
    """One rule of the table."""

    id: str
    pattern: str | None
    """Paths that it covers: `*` is one part, `**` any number, `{a,b}` one of several endings.

    None for findings.
    """
    severity: Severity
    title: str
    """What changed or was found, without a final period."""
    explanation: str
    """What breaks and for whom."""
    since: str = "0.1.0"
    """Version of llmarch that introduced it."""


FINDING_RULES = (
    # The checkpoint against its config
    Rule(
        "fact-contradicted",
        None,
        "weights",
        "tensors contradict the config",
        "Config and checkpoint do not belong together. Loaders fail on the shapes, or use values "
        "that the weights were not trained with.",
    ),
    Rule(
        "tensor-missing",
        None,
        "weights",
        "tensors are missing",
        "The config implies tensors that the checkpoint does not have. Loaders fail, or fill them "
        "with random numbers and print a warning.",
    ),
    Rule(
        "tensor-unexpected",
        None,
        "weights",
        "tensors are stored that the config does not explain",
        "Loaders ignore them or fail. They belong to a layer or block that the config does not "
        "have, or are stored twice.",
    ),
    Rule(
        "tensor-shape",
        None,
        "weights",
        "tensor shapes differ from the config",
        "Loaders fail on these tensors.",
    ),
    Rule(
        "untied-head-missing",
        None,
        "weights",
        "an untied head is not stored",
        "The config says that the head is a matrix of its own, but the checkpoint has none. "
        "Loaders start it with random numbers.",
    ),
    Rule(
        "tower-missing",
        None,
        "weights",
        "an encoder is not stored",
        "The config announces an encoder. Without its weights the model cannot read images or "
        "sounds. Conversions of the text model alone look like this.",
    ),
    Rule(
        "tensor-unrecognised",
        None,
        "info",
        "tensors were not recognised",
        "llmarch counts these tensors, but does not know what they do.",
    ),
    Rule(
        "mtp-missing",
        None,
        "info",
        "announced multi-token prediction modules are not stored",
        "Speculative decoding with these modules is not possible. The main model is whole.",
    ),
    Rule(
        "mtp-stored",
        None,
        "info",
        "multi-token prediction modules are stored that the config does not announce",
        "Loaders ignore them.",
    ),
    Rule(
        "tied-copy-stored",
        None,
        "info",
        "a tied head is stored",
        "The config ties the head to the token embedding, and the checkpoint has a tensor of the "
        "same shape for it. If it is a copy, it only takes room on disk. If it is not, loaders "
        "differ: transformers 5 loads it, vLLM and SGLang compute with the embedding.",
    ),
    Rule(
        "buffers-stored",
        None,
        "info",
        "computed tables are stored",
        "Old library versions saved tables that every loader computes again. Loaders ignore them.",
    ),
    Rule(
        "unused-stored",
        None,
        "info",
        "tensors are stored that the model does not use",
        "The implementation skips them on purpose. They take room on disk.",
    ),
    Rule(
        "tensor-dtype",
        None,
        "weights",
        "tensor dtypes differ from the config",
        "Loaders build the modules that the config declares. They fail on tensors of another "
        "format, or use packed values without their scales.",
    ),
    Rule(
        "packed-without-scales",
        None,
        "weights",
        "scales of quantised tensors are missing",
        "The values cannot be unpacked. Loaders fail or produce noise.",
    ),
    Rule(
        "quantization-beside-config",
        None,
        "info",
        "the quantisation is declared beside the config",
        "vLLM reads the file that declares it. transformers reads config.json alone, and takes the "
        "packed tensors for a model that is not quantised.",
    ),
    Rule(
        "quantization-files-differ",
        None,
        "behaviour",
        "two files declare the quantisation differently",
        "transformers and vLLM read the declaration in config.json, other tools the file beside "
        "it, so that the same weights are unpacked in different ways.",
    ),
    Rule(
        "quantization-word-unknown",
        None,
        "weights",
        "the declared quantisation has a word that loaders do not know",
        "Loaders do not know the method, or a word of one of its keys. They refuse the checkpoint, "
        "or load it in a way that was not meant.",
    ),
    Rule(
        "declaration-not-obeyed",
        None,
        "info",
        "the declared quantisation differs from what loaders read in the file",
        "The checkpoint says by itself how it is packed, and loaders go by that. What the config "
        "says of it has no effect.",
    ),
    Rule(
        "experts-unquantised",
        None,
        "info",
        "experts are stored unquantised, which not all engines load",
        "transformers leaves experts that are one parameter as they are, where a method quantises "
        "linear modules. vLLM and SGLang build quantised experts, and find no scales.",
    ),
    Rule(
        "not-comparable",
        None,
        "info",
        "tensors could not be compared",
        "llmarch cannot unpack their packing or layout. Whether they fit is not known.",
    ),
    Rule(
        "reading-changed",
        None,
        "info",
        "this version of llmarch reads the same files differently",
        "The model did not change: another version of llmarch reads another fact from the same "
        "config and tensors. `llmarch check --update` adopts it.",
    ),
    Rule(
        "stored-tensors-changed",
        None,
        "quantization",
        "stored tensors changed",
        "The architecture is the same and its tensors are there. The checkpoint stores them under "
        "other names or in other dtypes.",
    ),
    # Files and index
    Rule(
        "shard-missing",
        None,
        "weights",
        "a file of the checkpoint is missing",
        "The index or the names of the other files announce it, and it is not there. Loaders fail.",
    ),
    Rule(
        "shard-unreadable",
        None,
        "info",
        "a file of the checkpoint could not be read",
        "The file may be there. Its tensors were not checked. Try again.",
    ),
    Rule(
        "single-shard",
        None,
        "info",
        "only one file of a sharded checkpoint was read",
        "The other files hold the other tensors, which were not checked. Give the folder instead "
        "of the file.",
    ),
    Rule(
        "index-unreadable",
        None,
        "info",
        "the index could not be read",
        "llmarch does not know which file holds which tensor. Try again.",
    ),
    Rule(
        "index-tensor-missing",
        None,
        "weights",
        "the index lists tensors that no file holds",
        "Engines read the files that the index names, not the tensors: where the architecture has"
        " such a tensor it is missing (tensor-missing), else they load without a word. Weights"
        " where no family tells whether it is needed.",
    ),
    Rule(
        "index-wrong-shard",
        None,
        "info",
        "the index names the wrong file for a tensor",
        "Engines read all files that the index lists and find the tensor. Tools that look up single"
        " tensors in the index fail.",
    ),
    Rule(
        "index-tensor-unlisted",
        None,
        "info",
        "tensors are stored that the index does not list",
        "Engines read all files that the index lists and find them. Tools that look up single "
        "tensors in the index do not.",
    ),
    Rule(
        "index-total-size",
        None,
        "info",
        "total size in the index is wrong",
        "Tools that plan memory by it are wrong. Loaders do not use it.",
    ),
    Rule(
        "tensor-in-two-shards",
        None,
        "weights",
        "a tensor is stored in two files",
        "Loaders differ in which copy they load. Often a file of an older upload was left behind."
        " Copies in one form load; whether they hold the same values no header tells (info).",
    ),
    Rule(
        "headers-not-cached",
        None,
        "info",
        "tensor headers were not read",
        "llmarch is offline, and only the config was downloaded before. The tensors were not "
        "checked.",
    ),
    Rule(
        "repo-moved",
        None,
        "info",
        "the repository was renamed",
        "The Hub forwards the old name until somebody else takes it. Use the new name.",
    ),
    Rule(
        "pattern-not-compared",
        None,
        "info",
        "an entry of the quantization could not be compared",
        "The modules that it names were not compared with the declaration: whether they are stored "
        "as declared is not known, so that the checkpoint is verified in part.",
    ),
    Rule(
        "other-weights",
        None,
        "info",
        "other weights are stored beside those that were read",
        "The repository also holds another format, an adapter, another variant, or files that its "
        "index does not list. Loaders do not read them, and llmarch did not either.",
    ),
    # Findings: the config itself
    Rule(
        "config-contradiction",
        None,
        "behaviour",
        "the config says two different things about one fact",
        "Some readers use one of the two values, some the other, so that the same files compute "
        "different things in different engines.",
    ),
    Rule(
        "key-stated-twice",
        None,
        "behaviour",
        "a file states one key twice, with different values",
        "Python's parser, and with it transformers and vLLM, reads the last value. Other parsers "
        "read the first or refuse the file.",
    ),
    Rule(
        "newer-spelling",
        None,
        "info",
        "the config has a spelling that older readers do not know",
        "transformers 4, and what is built on it, looks for other keys and uses its defaults "
        "where it does not find them.",
    ),
    Rule(
        "layer-list-length",
        None,
        "weights",
        "a list with an entry for each layer has the wrong length",
        "The model was cut, or a part of its config is another model's. transformers refuses most "
        "such lists, and which entries the layers should have is not known.",
    ),
    Rule(
        "remote-code",
        None,
        "info",
        "the config names model code of its own",
        "Loaders that trust remote code compute with it in place of their own class. llmarch reads "
        "a config as the library's class does.",
    ),
    Rule(
        "token-ids-changed",
        None,
        "info",
        "token ids of the config changed",
        "Engines end generation at other tokens, begin and fill inputs with others, or put images "
        "in other places. What the model computes is the same.",
    ),
    Rule(
        "remote-code-changed",
        None,
        "behaviour",
        "code of the repository changed",
        "Loaders that trust remote code run it: another class, or another file of it, may compute "
        "anything. llmarch does not read it.",
    ),
    Rule(
        "files-changed",
        None,
        "info",
        "other files of the repository changed",
        "Generation settings, the chat template, the tokenizer, the processor or the values of the "
        "weights changed. llmarch compares their hashes and reads none of them.",
    ),
    Rule(
        "value-not-described",
        None,
        "weights",
        "the config has a value that llmarch does not describe",
        "The model's code obeys the key, but no fact says what it does there. The model has other "
        "tensors than llmarch expects, or computes something else.",
    ),
    Rule(
        "unread-key",
        None,
        "info",
        "a config key or its value was not read",
        "llmarch does not know what the key does. It may change the computation. A newer llmarch "
        "may read it.",
    ),
    Rule(
        "weights-by-reader",
        None,
        "info",
        "loaders read different files",
        "The same repository is one model in transformers and may be another in vLLM, or loads in "
        "one of them only. Keep one set of weights.",
    ),
    Rule(
        "names-not-loaded",
        None,
        "weights",
        "tensors have names that no loader of the model finds",
        "The tensors are there under names of another class. transformers does not find them, "
        "starts the weights at random and prints a warning. Other loaders fail.",
    ),
    Rule(
        "layout-not-loaded",
        None,
        "weights",
        "experts or convolutions have swapped dimensions",
        "Loaders of the model fail on the shapes, or read inputs as outputs where both are of one "
        "size.",
    ),
    Rule(
        "names-mixed",
        None,
        "info",
        "tensors are named in several ways",
        "Loaders of the model find all of them. Parts of several checkpoints may have been put "
        "together, and other tools expect one way.",
    ),
    Rule(
        "head-unknown",
        None,
        "info",
        "the class has a head that llmarch does not know",
        "`architectures` names a class of the repository's own code. Its head is read as that of a "
        "language model, unless stored tensors show another one.",
    ),
    Rule(
        "head-from-tensors",
        None,
        "info",
        "the stored head differs from that of the class",
        "A value head beside a language model, or an embedding model without a head. Loaders that "
        "know neither leave out what they do not know, or stop.",
    ),
    Rule(
        "name-not-exact",
        None,
        "info",
        "the name is not exactly that of the model",
        "There is no bundled spec under that name. Another model's was taken, whose name differs "
        "by a suffix such as -Base or -Instruct, or is longer. As a rule its architecture is the "
        "same; its context may not be.",
    ),
    Rule(
        "class-of-another-type",
        None,
        "behaviour",
        "the config names a class of another model_type",
        "vLLM and SGLang pick the model by `architectures` and build the other class; "
        "transformers' Auto classes go by model_type. The same files make two models, one of which "
        "does not load or computes something else.",
    ),
    Rule(
        "config-refused",
        None,
        "weights",
        "transformers refuses a value of the config",
        "A value is of another type than the class declares, or does not go with others: more "
        "experts a token than there are, factors for another number of frequencies. transformers "
        "builds no model, or fails in the first forward pass; other engines may read the value "
        "differently.",
    ),
    Rule(
        "list-by-reader",
        None,
        "info",
        "engines read a list of modules differently",
        "transformers, vLLM and SGLang match the list of unquantised modules in ways of their own: "
        "some load the checkpoint, others look for scales that are not there. Write whole names.",
    ),
    Rule(
        "pattern-refused",
        None,
        "weights",
        "an entry of the quantization is not a regular expression",
        "Loaders compile the entries of these lists, and fail on one that Python does not compile.",
    ),
    Rule(
        "tied-head-alone",
        None,
        "info",
        "a tied embedding is stored as the head alone",
        "transformers 5 ties the embedding to the stored head. vLLM, SGLang and mlx-lm leave out a "
        "tied head that is stored, and find no embedding. Store the embedding instead.",
    ),
    # Adapters against their base
    Rule(
        "adapter-shape",
        None,
        "weights",
        "shapes of an adapter do not fit its base",
        "PEFT and engines refuse to load the adapter: it was trained on a model with other "
        "sizes, or with another rank than its config says.",
    ),
    Rule(
        "adapter-module-unknown",
        None,
        "weights",
        "an adapter has tensors for modules that its base does not have",
        "PEFT leaves these tensors out and warns; vLLM refuses the adapter. What was trained "
        "there has no effect.",
    ),
    Rule(
        "adapter-tensor-unexpected",
        None,
        "weights",
        "an adapter has tensors that its config does not make",
        "PEFT leaves them out and warns, so that what was trained there has no effect.",
    ),
    Rule(
        "adapter-tensor-missing",
        None,
        "weights",
        "tensors of an adapter are missing",
        "The config makes tensors that the file does not have. PEFT leaves them as it begins "
        "them, which for LoRA adds nothing, and warns.",
    ),
    Rule(
        "adapter-target-missing",
        None,
        "weights",
        "an adapter targets modules that its base does not have",
        "PEFT leaves such a target out without a word where another one is found, and refuses "
        "the adapter where none is.",
    ),
    Rule(
        "adapter-vocabulary",
        None,
        "weights",
        "an adapter was trained with another vocabulary than its base has",
        "The embedding was resized before training. Loading fails on its shape unless the "
        "embedding of the base is resized first.",
    ),
    Rule(
        "adapter-method-unknown",
        None,
        "weights",
        "the method of an adapter is not known",
        "PEFT has no class for the method and refuses to load the adapter.",
    ),
    Rule(
        "adapter-value",
        None,
        "weights",
        "a value of an adapter's config is refused",
        "PEFT raises an error when it loads the adapter.",
    ),
    Rule(
        "adapter-other-base",
        None,
        "info",
        "an adapter is compared with another base than it names",
        "What is said holds for the model that was given. The adapter was trained on the one "
        "that it names.",
    ),
    # Files of torch.save
    Rule(
        "pickle-unreadable",
        None,
        "info",
        "a file of torch.save was not read",
        "It is not one that torch.save writes, or is truncated. What is said of the model is said "
        "without its tensors, or by the names in the index alone.",
    ),
    Rule(
        "pickle-globals",
        None,
        "weights",
        "a file of torch.save names more than tensors need",
        "Loading it without weights_only imports and calls what it names, which may be any code. "
        "transformers and vLLM load with weights_only, and refuse the file.",
    ),
)

UNKNOWN_FACT = Rule(
    "fact-changed",
    "**",
    "weights",
    "unknown fact changed",
    "This version has no rule for the fact. No fact of the schema should come here.",
)
"""The rule of paths that no entry of the catalogue covers."""


def change_rules() -> list[Rule]:
    """Return the rules of changes in the order of the catalogue, each with all its paths."""
    patterns: dict[str, list[str]] = {}
    for fact in CATALOGUE:
        covered = patterns.setdefault(fact.rule.id, [])
        if fact.path not in covered:
            covered.append(fact.path)
    rules = {fact.rule.id: fact.rule for fact in CATALOGUE}
    return [
        Rule(
            id,
            joined_patterns(patterns[id]),
            rule.severity,
            rule.title,
            rule.explanation,
            rule.since,
        )
        for id, rule in rules.items()
    ]


def joined_patterns(patterns: Sequence[str]) -> str:
    """Return one pattern for several: `a.b`, `a.{c,d}` -> `a.{b,c,d}`."""
    if len(patterns) == 1:
        return patterns[0]
    prefix = ""
    for names in zip(*(pattern.split(".") for pattern in patterns), strict=False):
        if len(set(names)) > 1 or "{" in names[0]:
            break
        prefix += f"{names[0]}."
    ends: dict[str, None] = {}
    for pattern in patterns:
        end = pattern.removeprefix(prefix)
        choices = [end]
        if end.startswith("{") and end.index("}") == len(end) - 1:
            choices = end[1:-1].split(",")
        ends |= dict.fromkeys(choices)
    listed = ",".join(ends)
    return f"{prefix}{{{listed}}}"


RULES: tuple[Rule, ...] = (*change_rules(), UNKNOWN_FACT, *FINDING_RULES)
"""The whole table: rules of changes, then of findings."""


def rule_for(path: str) -> Rule:
    """Return the rule of a change at a path."""
    facts = facts_at(path)
    if not facts:
        return UNKNOWN_FACT
    return rules_by_id()[facts[0].rule.id]


def find(id: str) -> Rule | None:
    """Return the rule with an id."""
    return rules_by_id().get(id)


def is_about_facts(id: str) -> bool:
    """Return whether a rule is about facts of an architecture, not about what was found."""
    rule = find(id)
    return rule is not None and rule.pattern is not None


def nearest(id: str) -> list[str]:
    """Return known ids that look like an unknown one, or contain it."""
    similar = similar_names(id, rules_by_id())
    if similar or not id:
        return similar
    return [known for known in rules_by_id() if id in known][:5]


@cache
def rules_by_id() -> dict[str, Rule]:
    """Return the table by id."""
    return {rule.id: rule for rule in RULES}
