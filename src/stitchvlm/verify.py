"""Checks on weights that the user owns: does Stitch compute with them what transformers computes?

Every check compares the engine with something that does not share its path: transformers' own forward and ``generate``,
eager attention maps, and a full-length forward in which dropped tokens are masked rather than removed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from stitchvlm.crossing import carry
from stitchvlm.engine import Engine, Plan
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.families import check_checkpoint, check_device_map, load_vlm, usable_device
from stitchvlm.families.base import Prompt
from stitchvlm.guide import run_guide
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Guided, Random
from stitchvlm.plural import counted
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule
from stitchvlm.timing import wait_for_devices

_N_ANSWER = 6


@dataclass(frozen=True)
class CheckResult:
    """One line of the pass/fail table."""

    name: str
    passed: bool
    detail: str
    seconds: float


def run_checks(
    small: str,
    large: str,
    *,
    device: str | None = None,
    small_device: str | None = None,
    device_map: str | dict | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[CheckResult]:
    """Load both checkpoints and check them one after the other, then as a pair; yields each result as soon as it is known.

    A check that breaks counts as failed and the rest still runs; a checkpoint that cannot be loaded ends the list.

    Args:
        device_map: accelerate's placement for the large model, instead of ``device``.

    Raises:
        ValueError: before any check, if a checkpoint or a device is not there.
    """
    for source, place in ((small, small_device or device), (large, device)):
        check_checkpoint(source)
        usable_device(place)
    if device_map is not None:
        check_device_map(device_map)
    return _all_checks({"small": (small, small_device or device, None), "large": (large, device, device_map)}, dtype)


def _all_checks(
    places: dict[str, tuple[str, str | None, str | dict | None]], dtype: torch.dtype | None
) -> Iterator[CheckResult]:
    engines: dict[str, Engine] = {}
    for which, (source, device, device_map) in places.items():

        def load(which=which, source=source, device=device, device_map=device_map) -> tuple[bool, str]:
            engines[which] = Engine(load_vlm(source, dtype, device, device_map))
            model = engines[which].vlm.model
            n_parameters = sum(parameter.numel() for parameter in model.parameters())
            return (
                True,
                f"{n_parameters / 1e9:.3f} B parameters, {model.dtype}, {counted(engines[which].n_layers, 'layer')}",
            )

        loaded = _check(f"{which}: weights load, none missing", load)
        yield loaded
        if not loaded.passed:
            return
        yield from _model_checks(which, engines[which])
    yield _check("pair: token grids", lambda: _grids(engines["small"], engines["large"]))
    yield _check("pair: timing, large alone against guided at 9 %", lambda: _timing(engines["small"], engines["large"]))


def _model_checks(which: str, engine: Engine) -> Iterator[CheckResult]:
    prompt = _one_tile_prompt(engine)
    yield _check(f"{which}: unpruned logits equal transformers'", lambda: _identity(engine, prompt))
    yield _check(f"{which}: greedy tokens equal generate's", lambda: _tokens(engine, prompt))
    yield _check(f"{which}: guide map equals eager attentions", lambda: _guide_map(engine, prompt))
    yield _check(f"{which}: pruned decode equals a masked forward", lambda: _pruning(engine, prompt))


def _check(name: str, run: Callable[[], tuple[bool, str]]) -> CheckResult:
    start = time.perf_counter()
    try:
        with torch.inference_mode():
            passed, detail = run()
    except Exception as error:  # the table must say what broke and go on
        passed, detail = False, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckResult(name, passed, detail, time.perf_counter() - start)


def _drawing(width: int = 640, height: int = 480) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((0.1 * width, 0.2 * height, 0.45 * width, 0.8 * height), fill="red")
    draw.rectangle((0.55 * width, 0.3 * height, 0.9 * width, 0.75 * height), fill="blue")
    draw.text((0.62 * width, 0.5 * height), "STITCH", fill="white")
    return image


_QUESTION = "What is written on the blue rectangle?"


def _one_tile_prompt(engine: Engine) -> Prompt:
    """A prompt short enough for eager attention maps on the largest models."""
    return engine.embed(engine.prepare([Question(_QUESTION, (_drawing(),))], max_tiles=1))


def _forward_inputs(engine: Engine, ids: Tensor) -> dict[str, Tensor | None]:
    inputs = engine.prepare([Question(_QUESTION, (_drawing(),))], max_tiles=1)
    return engine.vlm.family.forward_inputs(engine.vlm, ids, inputs)


def _close(ours: Tensor, expected: Tensor, dtype: torch.dtype) -> tuple[bool, str]:
    """fp32 must agree to rounding; in half precision other kernels round differently, so the mean error is bounded."""
    difference, spread = (ours.float() - expected.float()).abs(), expected.float().std()
    if dtype == torch.float32:
        return bool(difference.max() <= 1e-4 * expected.abs().max()), f"largest difference {difference.max():.1e}"
    return bool(
        difference.mean() <= 0.05 * spread
    ), f"mean difference {difference.mean() / spread:.1%} of the spread ({dtype})"


def _identity(engine: Engine, prompt: Prompt) -> tuple[bool, str]:
    expected = engine.vlm.model(**_forward_inputs(engine, prompt.token_ids)).logits[:, -1]
    return _close(engine.prefill(prompt).logits, expected, engine.vlm.model.dtype)


def _tokens(engine: Engine, prompt: Prompt) -> tuple[bool, str]:
    expected = engine.vlm.model.generate(
        **_forward_inputs(engine, prompt.token_ids),
        attention_mask=torch.ones_like(prompt.token_ids),
        eos_token_id=list(engine.vlm.stop_ids),
        do_sample=False,
        max_new_tokens=_N_ANSWER,
    )[0, prompt.token_ids.shape[1] :].tolist()
    ours = list(engine.decode(engine.prefill(prompt), Sampling(_N_ANSWER)).tokens[0])
    return (
        ours == expected,
        f"{ours} against {expected}" if ours != expected else f"{counted(len(ours), 'token')}: {engine.text(ours)!r}",
    )


def _guide_map(engine: Engine, prompt: Prompt) -> tuple[bool, str]:
    guide = run_guide(engine, prompt, Sampling(_N_ANSWER)).drafts[0]
    layout, model = prompt.layouts[0], engine.vlm.model
    if engine.vlm.placeholder_id in guide.tokens:
        return True, "its answer names a picture, which transformers' forward does not take: not compared"
    answer = torch.tensor([guide.tokens[:-1]], dtype=torch.long, device=prompt.token_ids.device)
    ids = torch.cat([prompt.token_ids, answer], dim=1)
    tapped = model.config.text_config._attn_implementation
    model.set_attn_implementation({"text_config": "eager"})
    try:
        maps = model(**_forward_inputs(engine, ids), output_attentions=True).attentions
    finally:
        model.set_attn_implementation({"text_config": tapped})
    rows = range(layout.first_text_after_visual, ids.shape[1])
    expected = torch.stack([layer[0, :, rows][..., layout.index].float().sum((0, 1)).cpu() for layer in maps]).sum(0)
    error = (guide.guide.scores - expected).abs().sum() / expected.sum()
    bound = 1e-4 if model.dtype == torch.float32 else 0.03
    return bool(error <= bound), f"relative difference {error:.1e}, bound {bound:g}"


def _pruning(engine: Engine, prompt: Prompt) -> tuple[bool, str]:
    """Half the visual tokens leave a third of the way down; the reference keeps them all and hides them as keys."""
    layer = engine.n_layers // 3
    prefilled = engine.prefill(prompt, Plan(Schedule.single(0.5, layer), Random()))
    kept = set(prefilled.kept[0].tolist())
    generated = engine.decode(prefilled, Sampling(_N_ANSWER), keep_logits=True)
    assert generated.logits is not None
    answer = generated.tokens[0][:-1]
    stream = engine.continued(prompt, [answer])
    n_tokens = stream.hidden.shape[1]
    place = torch.arange(n_tokens, device=stream.index.device)
    causal = place[None] <= place[:, None]
    visible = causal.clone()
    dropped = [at for ordinal, at in enumerate(prompt.layouts[0].index.tolist()) if ordinal not in kept]
    visible[:, dropped] = False
    visible |= torch.eye(n_tokens, dtype=torch.bool, device=visible.device)
    hidden = stream.hidden
    for layers, mask in ((range(layer), causal), (range(layer, engine.n_layers), visible)):
        masks = dict.fromkeys(engine.decoder.windows, mask[None, None])
        hidden = engine.decoder.run(stream.with_hidden(hidden), None, layers, masks)
    expected = engine.decoder.logits(hidden[:, prompt.token_ids.shape[1] - 1 :])
    return _close(generated.logits, expected, engine.vlm.model.dtype)


def _grids(small: Engine, large: Engine) -> tuple[bool, str]:
    question = [Question(_QUESTION, (_drawing(),))]
    ours, theirs = (engine.prepare(question).layouts[0] for engine in (small, large))
    counts = f"{counted(ours.n_visual, 'visual token')} in the small model, {theirs.n_visual} in the large one"
    way = "on the same grid" if ours.matches(theirs) else "on different grids: maps are carried over the picture"
    shown = ours.shows_mask.nonzero().squeeze(1)
    passed = all(_lands(ours, theirs, int(shown[at])) for at in (0, len(shown) // 2, -1))
    return passed, f"{counts}, for a 640x480 picture, {way}"


def _lands(ours: VisualLayout, theirs: VisualLayout, token: int) -> bool:
    """Whether a map of one token alone is carried to tokens that show some of what it shows, and to no other."""
    received = carry(torch.eye(ours.n_visual)[token], ours, theirs) > 0
    low = torch.maximum(theirs.box[received, :2], ours.box[token, :2])
    high = torch.minimum(theirs.box[received, 2:], ours.box[token, 2:])
    return bool(received.any()) and bool((high > low).all())


def _timing(small: Engine, large: Engine) -> tuple[bool, str]:
    """Seconds of one question each way; informative, it fails only if something breaks."""
    question = [Question(_QUESTION, (_drawing(),))]

    def seconds(run: Callable[[], object]) -> float:
        run()
        wait_for_devices()
        start = time.perf_counter()
        run()
        wait_for_devices()
        return time.perf_counter() - start

    def look():
        guide = run_guide(small, small.embed(small.prepare(question)), Sampling(_N_ANSWER))
        SmallEarlyExit().judge(guide)
        return guide.drafts[0].guide

    prompt, guide = large.embed(large.prepare(question)), look()
    scores = carry(guide.scores, guide.layout, prompt.layouts[0])
    plan = Plan(Schedule.for_average(0.09, large.n_layers), Guided(), [scores])
    guide_s, whole_s = seconds(look), seconds(lambda: large.prefill(prompt))
    pruned_s = seconds(lambda: large.prefill(prompt, plan))
    return True, f"small pass {guide_s:.3f} s; large prefill {whole_s:.3f} s, pruned {pruned_s:.3f} s"
