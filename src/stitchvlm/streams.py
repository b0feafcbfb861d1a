"""Work on a GPU beside other work."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor


class SideStream:
    """A CUDA stream beside the one in use: what is launched on it and what is launched after it do not wait for each other."""

    def __init__(self, device: torch.device):
        self._device, self._stream = device, torch.cuda.Stream(device)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """What is launched in the block goes on the stream, behind all that was launched before."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            yield

    def join(self, results: Iterable[Tensor]) -> None:
        """Let the stream in use wait for the block, whose results live on it from now on."""
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        for result in results:
            if result.is_cuda:
                result.record_stream(current)


@cache
def side_stream(device: torch.device) -> SideStream | None:
    """The one of a device, always the same so that its memory is used again; None where there are no streams."""
    return SideStream(device) if device.type == "cuda" else None
