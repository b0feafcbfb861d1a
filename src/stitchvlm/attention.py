"""SDPA attention that can be listened to, and the tap that turns what it hears into a guide map.

The guide map needs the attention of a few dozen text rows only, so the model runs on fused SDPA kernels as always and the
tap computes just those rows beside it. The N x N map of eager attention never exists.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stitchvlm.maps import MapForm
from stitchvlm.reduction import TokenStream
from stitchvlm.shapes import Bool, Float, Int

TAPPED_SDPA = "stitch_tapped_sdpa"
"""Name under which transformers knows the tapped attention; without a tap it is plain SDPA."""

_CHUNK_ELEMENTS = 1 << 22  # 16 MiB of float32 probabilities at a time


def register_tapped_attention() -> None:
    """Make :data:`TAPPED_SDPA` known to transformers; the mask function must bear the same name or masks vanish silently."""
    AttentionInterface.register(TAPPED_SDPA, _tapped_sdpa)
    AttentionMaskInterface.register(TAPPED_SDPA, sdpa_mask)


def _tapped_sdpa(module, query, key, value, attention_mask, tap: "Tap | None" = None, **kwargs):
    if tap is not None:
        tap.hear(module.layer_idx, query, key, kwargs["scaling"])
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


def visible_mask(
    query_index: Int[Tensor, "batch queries"], key_index: Int[Tensor, "batch keys"], window: int | None = None
) -> Bool[Tensor, "batch 1 queries keys"]:
    """Which keys each query may see: real ones, not later than itself, within the sliding window if the layer has one.

    Indices are those of the unpruned prompt, so that a window spans the same text whatever left in between; padding has
    index -1. A padding query sees everything: its result is never used and must only not be NaN.
    """
    query_index, key_index = query_index[:, :, None], key_index[:, None, :]
    seen = (key_index <= query_index) & (key_index >= 0)
    if window is not None:
        seen &= key_index > query_index - window
    return (seen | (query_index < 0))[:, None]


def weighted_mask(
    mask: Bool[Tensor, "batch 1 queries keys"], size: Float[Tensor, "batch some_keys"]
) -> Float[Tensor, "batch 1 queries keys"]:
    """A mask to be added to the logits: the logarithm of a key's size where it may be seen (arXiv 2210.09461, equation 1)."""
    bias = nn.functional.pad(size.log(), (0, mask.shape[-1] - size.shape[-1]))
    return torch.where(mask, bias[:, None, None].to(mask.device), float("-inf"))


class AttentionTap:
    """Sums, over layers and heads, the attention that the prompt's tokens receive from chosen rows.

    During prefill the rows are the ``counted`` tokens of each prompt; then every decoded token adds its row. Softmax runs
    over all keys that a row may see and is summed in float32 (arXiv 2412.03324, equations 1 to 3). Queries of decoded
    tokens are only kept while decoding goes on; their rows are computed once, in :meth:`finish`.

    Args:
        prompt: the stream that enters layer 0.
        counted: True for the tokens of the padded prompt whose rows count; on the CPU, so that no device has to be asked.
        windows: per layer the sliding window in tokens, or None.
        form: which attention counts.
    """

    def __init__(
        self,
        prompt: TokenStream,
        counted: Bool[Tensor, "batch prompt"],
        windows: tuple[int | None, ...],
        form: MapForm = MapForm(),  # noqa: B008 (it is frozen)
    ):
        self._form, self._layers = form, form.counted_layers(len(windows))
        self._visual_mask = prompt.ordinal >= 0
        self._index = prompt.index
        self._n_prompt = prompt.index.shape[1]
        self._rows = _columns(counted.any(0))
        self._row_index = self._index[:, self._rows]
        self._row_counts = counted[:, self._rows]
        self._windows = windows
        self._scaling: dict[int, float] = {}
        self._queries: dict[int, list[Tensor]] = {}
        self.prefill_layers: dict[int, Float[Tensor, "batch prompt"]] = {}

    def hear(
        self,
        layer: int,
        query: Float[Tensor, "batch heads queries dim"],
        key: Float[Tensor, "batch kv_heads keys dim"],
        scaling: float,
    ) -> None:
        """Called by the attention function of ``layer`` with queries and keys after the rotary embedding."""
        if layer not in self._layers:
            return
        self._scaling[layer] = scaling
        if key.shape[2] > self._n_prompt:
            if self._form.counts_generated:
                self._queries.setdefault(layer, []).append(query)
            return
        seen = visible_mask(self._row_index, self._index, self._windows[layer]).to(query.device)
        counts = self._row_counts.to(query.device)
        total = query.new_zeros(query.shape[0], self._n_prompt, dtype=torch.float32)
        for rows, probabilities in _row_probabilities(query[:, :, self._rows], key, seen, scaling, self._pool):
            total += torch.einsum("brk,br->bk", probabilities, counts[:, rows].float())
        self.prefill_layers[layer] = total * self._weight(layer)

    @property
    def decoded_layers(self) -> range:
        """The layers whose decoded tokens count."""
        return self._layers if self._form.counts_generated else range(0)

    def take(self, queries: Mapping[int, Float[Tensor, "batch heads steps dim"]]) -> None:
        """Queries of decoded tokens that a :class:`QueryTap` has kept for this one, by layer."""
        for layer in self.decoded_layers:
            self._queries.setdefault(layer, []).append(queries[layer])

    def finish(
        self, cache: Cache, n_decode_rows: tuple[int, ...]
    ) -> tuple[Float[Tensor, "batch prompt"], Float[Tensor, "batch steps prompt"]]:
        """The prefill map, and one map per decoded token that was fed back, both over the tokens of the padded prompt.

        Args:
            cache: the model's cache, whose layers hold the keys of the whole prompt and of the decoded tokens.
            n_decode_rows: per row how many decoded tokens count; rows beyond are zero.
        """
        device = self._index.device
        prefill = torch.stack([rows.to(device) for rows in self.prefill_layers.values()]).sum(0)
        n_steps = max(n_decode_rows)
        decode = torch.zeros(*prefill.shape[:1], n_steps, self._n_prompt, device=device)
        steps = torch.arange(n_steps, device=device)
        query_index = self._index[:, -1:] + 1 + steps
        key_index = torch.cat([self._index, query_index], dim=1)
        for layer, queries in self._queries.items():
            if not n_steps:
                break
            keys = cache.layers[layer].keys[:, :, : key_index.shape[1]]
            query = torch.cat(queries, dim=2)[:, :, :n_steps]
            seen = visible_mask(query_index, key_index, self._windows[layer]).to(query.device)
            for rows, probabilities in _row_probabilities(query, keys, seen, self._scaling[layer], self._pool):
                decode[:, rows] += probabilities[..., : self._n_prompt].to(device) * self._weight(layer)
        counts = steps < torch.tensor(n_decode_rows, device=device)[:, None]
        return prefill, decode * counts[..., None]

    @property
    def _pool(self) -> "Pool | None":
        return None if self._form.plain_sum else self._pooled

    def _weight(self, layer: int) -> float:
        return self._form.weight(layer, len(self._windows))

    def _pooled(self, probabilities: Float[Tensor, "batch heads rows keys"]) -> Float[Tensor, "batch rows keys"]:
        """One number per row and key from those of all heads."""
        if self._form.heads == "normalised":
            visual = self._visual_mask[:, None, None].to(probabilities.device)
            given = (probabilities[..., : self._n_prompt] * visual).sum(-1, keepdim=True)
            probabilities = probabilities / given.masked_fill(given == 0, 1.0)
        pooled = probabilities.amax(1) if self._form.heads == "max" else probabilities.sum(1)
        return pooled.sqrt() if self._form.sinks == "damp" else pooled


class QueryTap:
    """Keeps queries of decoded tokens in tensors that never move, for an :class:`AttentionTap` to take.

    Args:
        layers: which layers' queries; of the others nothing is kept.
        n_steps: most tokens that can be kept.
        step: the number of the token that is heard now, in a tensor that others write.

    Attributes:
        queries: by layer, once it was heard.
    """

    def __init__(self, layers: range, n_steps: int, step: Int[Tensor, "1"]):
        self._layers, self._n_steps, self._step = layers, n_steps, step
        self.queries: dict[int, Float[Tensor, "batch heads n_steps dim"]] = {}

    def hear(
        self,
        layer: int,
        query: Float[Tensor, "batch heads 1 dim"],
        key: Float[Tensor, "batch kv_heads keys dim"],
        scaling: float,
    ) -> None:
        """Called by the attention function of ``layer`` with queries and keys after the rotary embedding."""
        if layer not in self._layers:
            return
        if layer not in self.queries:
            self.queries[layer] = query.new_zeros(*query.shape[:2], self._n_steps, query.shape[3])
        self.queries[layer].index_copy_(2, self._step, query)


class LayerTap:
    """Listens to one layer while the large model's prompt goes through it, for methods that judge by what happens there.

    Args:
        stream: the tokens that go through the layer.
        layer: its number; other layers are not listened to.
        window: its sliding window in tokens, or None.
        rows: the tokens whose attention is asked for; None for none.

    Attributes:
        received: attention that every token receives from the asked rows: their mean over rows and heads, after softmax.
        keys: the layer's keys after the rotary embedding, heads joined.
    """

    received: Float[Tensor, "batch length"]
    keys: Float[Tensor, "batch length width"]

    def __init__(
        self, stream: TokenStream, layer: int, window: int | None, rows: Bool[Tensor, "batch length"] | None = None
    ):
        self._index, self._layer, self._window, self._asked = stream.index, layer, window, rows

    def hear(
        self,
        layer: int,
        query: Float[Tensor, "batch heads queries dim"],
        key: Float[Tensor, "batch kv_heads keys dim"],
        scaling: float,
    ) -> None:
        """Called by the attention function of ``layer`` with queries and keys after the rotary embedding."""
        if layer != self._layer:
            return
        self.keys = key.transpose(1, 2).flatten(2)
        if self._asked is not None:
            self.received = self._received(self._asked, query, key, scaling)

    def _received(
        self,
        asked: Bool[Tensor, "batch length"],
        query: Float[Tensor, "batch heads length dim"],
        key: Float[Tensor, "batch kv_heads length dim"],
        scaling: float,
    ) -> Float[Tensor, "batch length"]:
        columns = _columns(asked.any(0))
        share = (asked / asked.sum(1, keepdim=True))[:, columns].to(query.device)
        seen = visible_mask(self._index[:, columns], self._index, self._window).to(query.device)
        total = query.new_zeros(query.shape[0], key.shape[2], dtype=torch.float32)
        for rows, probabilities in _row_probabilities(query[:, :, columns], key, seen, scaling):
            total += torch.einsum("brk,br->bk", probabilities, share[:, rows])
        return total / query.shape[1]


Tap = AttentionTap | QueryTap | LayerTap
Pool = Callable[[Tensor], Tensor]


def _columns(chosen: Bool[Tensor, " n"]) -> slice | Int[Tensor, " n_chosen"]:
    """The places that are True: a slice, which costs no copy, where they lie side by side."""
    places = chosen.nonzero()[:, 0]
    if not len(places):
        return places
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places


def _row_probabilities(
    query: Float[Tensor, "batch heads rows dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    seen: Bool[Tensor, "batch 1 rows keys"],
    scaling: float,
    pool: Pool | None = None,
) -> Iterator[tuple[slice, Float[Tensor, "batch some_rows keys"]]]:
    """Attention probabilities summed over heads, or pooled in another way, a chunk of rows at a time.

    Grouped heads share keys without copies.
    """
    batch, heads, n_rows, dim = query.shape
    kv_heads, n_keys = key.shape[1], key.shape[2]
    chunk = max(1, _CHUNK_ELEMENTS // (batch * heads * n_keys))
    for start in range(0, n_rows, chunk):
        rows = slice(start, min(start + chunk, n_rows))
        some = query[:, :, rows].reshape(batch, kv_heads, -1, dim)
        # Scaled before the product, as fused kernels do: in float16 the bare product overflows on some models.
        logits = ((some * scaling) @ key.transpose(2, 3)).float().view(batch, heads, -1, n_keys)
        logits.masked_fill_(~seen[:, :, rows], float("-inf"))
        probabilities = logits.softmax(-1)
        yield rows, probabilities.sum(1) if pool is None else pool(probabilities)
