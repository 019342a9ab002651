"""What agents call: models, differences, plans and explanations as short JSON documents.

Each method of `AgentTools` is a tool of the MCP server (mcp_server.py), and its docstring is what
an agent reads. Strings in the answers come from the files of models, so answers are cleaned of
control characters and of characters that hide or turn text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, cast

from ..checkpoint.reading import Observation, Reading
from ..errors import LlmarchError, UnknownFamily, UnknownReference
from ..renderers.cleaning import clean_lines

ToolAnswer = dict[str, Any]
"""A JSON document."""
LoadModel = Callable[[str], Reading | Observation]
"""Reads the model that a reference names."""
NEAREST = 8
"""Models of `like`."""
MOST_LISTED = 50
"""Models of `list`, if no other number is asked for."""
LONGEST_STRING = 2000
"""Characters of a string in an answer."""


class AgentTools:
    """The tools, over what reads models."""

    def __init__(self, load: LoadModel) -> None:
        self._load = load
        self._bundled: list[Reading] = []

    def show(self, model: str) -> ToolAnswer:
        """Tell what a model's architecture is, exactly, from its config and tensor headers.

        The answer has facts without those at their default, a summary, the layers kind by kind,
        figures with their unit in the name (parameters, cache bytes, context), and findings: where
        the checkpoint contradicts its config.

        Args:
            model: a bundled alias such as "qwen3-8b" (see the tool list), a repository on the
                Hugging Face Hub such as "org/name@revision", or a path on the server's machine.
        """
        from ..views.brief import brief_document

        return brief_document(self._read(model))

    def diff(self, old: str, new: str) -> ToolAnswer:
        """Tell how two models differ: each fact with its rule, and what the change breaks.

        Severities, from worst: "weights" (the tensors of one do not load into the other),
        "behaviour" (it loads and answers differently), "capacity", "quantization", "info".

        Args:
            old: the model that is compared with, as the tool show takes it.
            new: the other model.
        """
        from ..compare.unstated import with_unstated_facts
        from ..renderers.json import brief_comparison

        readings = with_unstated_facts([self._read(old), self._read(new)])
        return brief_comparison(readings)

    def fit(
        self,
        model: str,
        gpus: str,
        context: str | None = None,
        batch: int = 1,
        engine: str = "vllm",
        weights: str | None = None,
    ) -> ToolAnswer:
        """Find the fewest GPUs and the layout in which a model fits, and the command to start it.

        Args:
            model: as the tool show takes it.
            gpus: kind of GPU such as "H100", or number and kind such as "8xH100".
            context: tokens of each sequence, such as "32k"; by default the model's own, at most
                128k.
            batch: sequences at a time.
            engine: "vllm", "sglang", "transformers", "llama.cpp", "trtllm" or "mlx".
            weights: format of the weights such as "fp8" or "int4"; by default as stored.
        """
        from ..analyses.advice import advise
        from ..analyses.planning import PlanOptions
        from ..analyses.scenarios import Scenario
        from ..architecture.documents import document_head
        from ..sources.gpus import parse_gpus
        from ..views.scenarios import scenario_row
        from .plans import check_batch, context_tokens

        reading = self._read_whole(model)
        number, gpu = parse_gpus(gpus)
        check_batch(batch)
        options = PlanOptions(
            context=context_tokens(context), batch=batch, engine=engine, weights=weights, gpu=gpu
        )
        counts = (number,) if gpus.strip()[:1].isdigit() else ()
        advice = advise(reading, options, counts)
        request = advice.plan.request
        planned = replace(options, context=request.context, gpus=request.parallel.gpus)
        scenario = Scenario(reading.name, planned, advice.planned, 0, status=reading.status)
        found = advice.to_dict()
        return {
            **document_head("brief_fit"),
            "fits": found["fits"],
            "launch": found["launch"],
            "formats_that_fit": found["formats_that_fit"],
            "layouts": found["layouts"],
            "plan": scenario_row(scenario, reading),
        }

    def explain(self, term: str) -> ToolAnswer:
        """Explain a term, a fact, a rule, or a line of an architecture: what it is and why.

        The answer has the formula, why models have it, where it is described, and which bundled
        models have it, the newest first.

        Args:
            term: such as "mla", "qk-norm", "rope.theta" or "rope-theta-changed".
        """
        from ..views.explained import explain_words, explanations_document

        return explanations_document(explain_words(term, self._bundled_models))

    def like(self, model: str) -> ToolAnswer:
        """Name the bundled models with the nearest design, how they differ, and what is new.

        Size does not count. "ancestor" is the nearest older model.

        Args:
            model: as the tool show takes it.
        """
        from ..views.likeness import likeness, likeness_document

        found = likeness(self._read_whole(model), self._bundled_models())
        document = likeness_document(found)
        return {**document, "nearest": document["nearest"][:NEAREST]}

    def list_models(
        self,
        text: str | None = None,
        condition: str | None = None,
        sort: str | None = None,
        limit: int = MOST_LISTED,
    ) -> ToolAnswer:
        """List the bundled models with their main facts, a row for each.

        Args:
            text: only models with this text in alias, name, family or repository.
            condition: only models that meet a condition over facts, such as
                "moe.experts >= 128 and attention == mla and context >= 128k".
            sort: facts to order by, such as "-total" for the largest first or "-released".
            limit: number of models at most.
        """
        from ..sources.aliases import bundled_models
        from ..views import model_list

        def architecture_of(alias: str) -> Any:
            return self._read_whole(alias).architecture

        known = model_list.BundledModels(bundled_models(), architecture_of)
        chosen = model_list.select_models(known, text, condition=condition)
        if sort is not None:
            chosen = model_list.sort_models(known, chosen, sort)
        return model_list.list_document(known, chosen[: max(0, limit)], None)

    def _read(self, model: str) -> Reading | Observation:
        """Return the model that is named. Raises UnknownReference for standard input."""
        if model.strip() == "-":
            raise UnknownReference("standard input is the protocol's", "name a model or a path")
        return self._load(model)

    def _read_whole(self, model: str) -> Reading:
        """Return a model of which all facts are known. Raises UnknownFamily for another."""
        reading = self._read(model)
        if isinstance(reading, Observation):
            raise UnknownFamily(reading.why, "the tool show tells what its tensors prove")
        return reading

    def _bundled_models(self) -> list[Reading]:
        """Return all bundled models, which are read once."""
        from ..sources.aliases import bundled_models

        if not self._bundled:
            self._bundled = [self._read_whole(alias) for alias in bundled_models()]
        return self._bundled


def clean_answer(value: Any) -> Any:
    """Return a document without characters that hide text, and without NaN and infinities.

    Control characters, surrogates and marks of direction are escaped; endless strings are cut.
    """
    match value:
        case Mapping():
            members = cast("Mapping[str, Any]", value)
            return {clean_string(key): clean_answer(inner) for key, inner in members.items()}
        case list() | tuple():
            return [clean_answer(inner) for inner in cast("list[Any]", value)]
        case str():
            return clean_string(value)
        case float() if not isfinite(value):
            return None
        case _:
            return value


def clean_string(text: str) -> str:
    """Return a string with its lines, escaped, cut where it is endless."""
    cleaned = clean_lines(text)
    if len(cleaned) > LONGEST_STRING:
        return cleaned[: LONGEST_STRING - 1] + "…"
    return cleaned


def error_text(error: LlmarchError) -> str:
    """Return what went wrong and what to do about it."""
    lines = filter(None, (error.message, error.hint))
    return clean_string("\n".join(lines))
