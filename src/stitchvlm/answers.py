"""Answers and the accounts of how they came about, put together from what the models did."""

from dataclasses import replace

from stitchvlm.engine import Engine
from stitchvlm.families.base import Inputs
from stitchvlm.layout import VisualLayout
from stitchvlm.passes import Generated, Prefilled
from stitchvlm.records import Answer, Draft, Trace, Verdict


def small_answer(draft: Draft, layout: VisualLayout, verdict: Verdict | None, seconds: dict[str, float]) -> Answer:
    """The draft as the answer: the large model was not called."""
    trace = Trace(
        seconds=seconds,
        n_visual=layout.n_visual,
        n_kept=0,
        average_retention=0.0,
        verdict=replace(verdict, exit=True) if verdict else None,
        small_answer=draft.text,
        draft_complete=draft.complete,
        layout=layout,
    )
    return Answer(draft.text, "small", trace, draft.looked_at)


def large_answers(
    large: Engine, inputs: Inputs, prefilled: Prefilled, generated: Generated, seconds: dict[str, float]
) -> list[Answer]:
    """What the large model said to each question, and what it computed for that."""
    answers = []
    for row, (layout, n_visual) in enumerate(zip(inputs.layouts, inputs.n_unshrunk, strict=True)):
        text, kept = large.text(generated.tokens[row]), tuple(prefilled.kept[row].tolist())
        per_layer, present = prefilled.kept_per_layer(row), prefilled.prompt.present[row]
        trace = Trace(
            seconds=seconds,
            n_visual=n_visual,
            n_kept=len(kept),
            average_retention=sum(per_layer) / (len(per_layer) * n_visual) if n_visual else 1.0,
            kept_per_layer=per_layer,
            large_answer=text,
            kept=kept,
            layout=layout,
            n_tiles=layout.n_tiles,
            n_tiles_encoded=layout.n_tiles_shown(present),
            encoded=tuple(present.tolist()),
            n_proposed=len(prefilled.proposed[row]),
            n_accepted=generated.n_accepted[row],
        )
        answers.append(Answer(text, "large", trace))
    return answers


def with_draft(reply: Answer, draft: Draft | None, verdict: Verdict | None) -> Answer:
    """A large answer with the account of the draft that went before it."""
    if draft is None:
        return reply
    trace = replace(reply.trace, verdict=verdict, small_answer=draft.text, draft_complete=draft.complete)
    return replace(reply, trace=trace, guide=draft.looked_at)
