"""Which layers of a definition a phase, a level and stages pick."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from prototxt.errors import FormatError, UsageError, within
from prototxt.net import Net
from prototxt.spelling import nearest

PHASES = {"TRAIN": 0, "TEST": 1}


def filter_net(
    net: Net,
    phase: Literal["TRAIN", "TEST"] = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
) -> Net:
    """Return the network of the layers whose include and exclude rules allow this state.

    The file's own `state` counts only with its stages, to which `stages` are added. A layer with
    both kinds of rules is a FormatError.

    Caffe: src/caffe/net.cpp, FilterNet and StateMeetsRule
    """
    header: Any = net.header
    state = (PHASES[phase], level, {*header.state.stage, *stages})
    kept, left_out = [], []
    for index, layer in enumerate(net.layers):
        with within(net.place(index)):
            if allows(layer, *state):
                kept.append(index)
            else:
                left_out.append(layer)
    return replace(net.keeping(kept), phase=phase, left_out=(*net.left_out, *left_out))


def stages_of(net: Net) -> list[str]:
    """Return the stages that the layers' rules name."""
    named = (stage for rule in _rules(net) for stage in (*rule.stage, *rule.not_stage))
    return list(dict.fromkeys(named))


def has_levels(net: Net) -> bool:
    """Tell whether a layer's rule asks for a level."""
    return any(rule.HasField("min_level") or rule.HasField("max_level") for rule in _rules(net))


def refuse_idle(net: Net, level: int, stages: Iterable[str]) -> None:
    """Raise UsageError for a level or a stage that no layer's rule asks for: it picks nothing."""
    named = stages_of(net)
    for stage in stages:
        if stage not in named:
            fix = nearest(stage, named) if named else "no rule names any: leave out --stage"
            raise UsageError(f"{net.source}: no layer's rule names stage {stage!r}", fix=fix)
    if level and not has_levels(net):
        raise UsageError(f"{net.source}: no layer's rule asks for a level", fix="leave out --level")


def _rules(net: Net) -> Iterator[Any]:
    return (rule for layer in net.layers for rule in (*layer.include, *layer.exclude))


def rules_of(layer: Any) -> str:
    """Return a layer's rules as its file has them: `include { phase: TRAIN }`."""
    rules = [("include", rule) for rule in layer.include]
    rules += [("exclude", rule) for rule in layer.exclude]
    texts = (" ".join(str(rule).split()) for _, rule in rules)
    return ", ".join(f"{kind} {{ {text} }}" for (kind, _), text in zip(rules, texts, strict=True))


def allows(layer: Any, phase: int, level: int, stages: Collection[str]) -> bool:
    if layer.include and layer.exclude:
        raise FormatError(
            "include and exclude rules, wants one kind", fix="turn one into the other"
        )
    if layer.include:
        return any(meets(rule, phase, level, stages) for rule in layer.include)
    return not any(meets(rule, phase, level, stages) for rule in layer.exclude)


def meets(rule: Any, phase: int, level: int, stages: Collection[str]) -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == phase)
        and (not rule.HasField("min_level") or level >= rule.min_level)
        and (not rule.HasField("max_level") or level <= rule.max_level)
        and all(stage in stages for stage in rule.stage)
        and all(stage not in stages for stage in rule.not_stage)
    )
