"""Processes that train together under torchrun; a team of one is a training on its own.

Every process draws its share of the joint batch of (seed, step), losses are means over the joint batch, and
batch normalisation takes the joint batch's statistics: the result is that of one process, but for rounding.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks.iedn import IEDN
from SynthCBVLib.networks.synchronised import synchronised

#: The first process prepares cases, perhaps for hours, while the others wait.
_PATIENCE = timedelta(hours=48)


@dataclass(frozen=True)
class Team:
    """The processes that train together.

    Attributes
    ----------
    rank : int
        Of this process; 0 writes and speaks for all.
    size : int
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Give the mean of a value over the processes; no gradient flows."""
        value = value.detach().clone()
        if self.size > 1:
            distributed.all_reduce(value)
        return value / self.size

    def gather(self, own: Sequence[float], length: int) -> list[float]:
        """Give the values of all, where this process has those at rank, rank + size, ..."""
        if self.size == 1:
            return list(own)
        values = torch.zeros(length, dtype=torch.float64)
        values[self.rank :: self.size] = torch.tensor(list(own), dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            values = values.to(torch.cuda.current_device())
        distributed.all_reduce(values)
        return values.tolist()

    def share(self, batch: int) -> range:
        """Give this process's members of a joint batch.

        Raises
        ------
        InputError
            If the batch cannot be shared evenly.
        """
        if batch % self.size:
            raise InputError("batch", str(batch), f"a multiple of the {self.size} processes")
        own = batch // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Give the network to train: gradients are averaged over the processes."""
        if self.size == 1:
            return network
        synchronised(network)
        # Encoders of inputs that no process has in a step get no gradient, as in one process.
        unused = isinstance(network, IEDN)
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=unused)

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()


ALONE = Team()


@contextlib.contextmanager
def team() -> Iterator[Team]:
    """Join the processes that torchrun started, or be a team of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Team(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()
