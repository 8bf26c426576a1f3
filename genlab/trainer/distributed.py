"""Several ranks train as one: each takes its own slice of every batch, and all hold the same weights to the bit.

Rank r of N with `accumulate` = A runs the parts r A ... r A + A - 1 of the N A parts that every batch is cut into, and
each part draws from its own seed (the loop). So N ranks are one rank with `accumulate=N`, up to the order of the sum:
the same samples, the same noise. For losses without noise and without BatchNorm that is the plain one rank as well.
Where a loss reads a buffer that it has just written (a pool that is full, the first batch of an ActNorm, the scale of
points) the two differ a little: accumulated parts see what earlier parts wrote, ranks what they wrote themselves.

One all-reduce an update, of one flat buffer, carries everything:

    gradients           their mean over the ranks
    BatchNorm           normalizes each slice by itself, as with accumulation; running statistics become their mean
    all other buffers   those of rank 0 (as in DistributedDataParallel): past samples in a pool, the first batch of
                        an ActNorm, the scale and the range of the data, vectors of spectral norms
    the wish to stop    one number, of rank 0: a signal, the time, a monitor. Heard one step later; on a GPU at the
                        next of every 16 steps, since to look at it is to wait for the device

So every rank holds the state of every other after each update, whatever the number of ranks, and a checkpoint of rank 0
is a checkpoint of all. Logs are averaged when they are read, not before. Each rank holds the whole data set.

Synchronous data-parallel SGD: J. Chen et al., "Revisiting Distributed Synchronous SGD", 2016,
https://arxiv.org/abs/1604.00981. Gradients in flat buckets, buffers of rank 0: S. Li et al., "PyTorch Distributed:
Experiences on Accelerating Data Parallel Training", 2020, https://arxiv.org/abs/2006.15704.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.trainer.options import Options

PATIENCE = timedelta(days=1)  # other ranks wait while rank 0 measures and writes; the launcher notices dead ranks
LOOK_EVERY = 16  # steps between checks for a request to stop, on devices where a check means waiting for the device
T = TypeVar("T")


def join(options: Options, rank: int, size: int, local_rank: int, local_size: int, store: str = "") -> None:
    """Make this process one of `size` ranks: gloo on the CPU, NCCL with local rank i on cuda:i.

    Args:
        local_rank, local_size: among the ranks on this machine.
        store: a file through which the ranks find one another; "": by torchrun's environment.

    Raises:
        UserError: the options do not fit so many ranks, or this machine has too few GPUs for its own.
    """
    if options.devices not in (1, size):
        raise UserError(f"trainer.devices: {options.devices}, but {size} processes were started; leave it at 1")
    options.check_ranks(size)
    if dist.is_initialized():  # an earlier job of a sweep
        return
    torch.set_num_threads(max(1, torch.get_num_threads() // local_size))
    gpus = torch.cuda.device_count()
    where = None
    if options.device.startswith("cuda") or (options.device == "auto" and gpus):
        if gpus < local_size:
            raise UserError(f"trainer.devices: {local_size} asked for; GPUs on this machine: {gpus}")
        where = torch.device("cuda", local_rank)
        torch.cuda.set_device(where)
    dist.init_process_group(
        "nccl" if where else "gloo",
        store=dist.FileStore(store, size) if store else None,
        init_method=None if store else "env://",
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
        device_id=where,
    )


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


class Group:
    """The ranks that this process is one of, as torch.distributed has them; alone, it changes nothing."""

    def __init__(self) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if joined else 0
        self.size = dist.get_world_size() if joined else 1
        self._wish = False
        self._heard: Tensor | None = None  # (1,): above 0 where rank 0 wished to stop

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the only one that measures, draws and writes."""
        return self.rank == 0

    @torch.no_grad()
    def align(self, family: nn.Module) -> None:
        """Give all ranks the parameters and buffers of rank 0."""
        if self.size > 1:
            for tensor in (*family.parameters(), *family.buffers()):
                dist.broadcast(tensor, 0)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the ranks, elementwise, in place."""
        dist.all_reduce(values)
        return values.div_(self.size)

    def share(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0; the others wait for it."""
        if self.size == 1:
            return make()
        box = [make() if self.first else None]
        dist.broadcast_object_list(box, 0)
        return box[0]  # type: ignore[return-value]

    def ends(self, wish: bool, step: int) -> bool:
        """Whether all stop after this step: what rank 0 wished at an earlier call. No communication of its own."""
        if self.size == 1:
            return wish
        self._wish = wish
        looks = self._heard is not None and (self._heard.device.type == "cpu" or step % LOOK_EVERY == 0)
        return looks and bool(self._heard)

    def reducer(self, family: nn.Module) -> Callable[[Sequence[Tensor]], list[Tensor]] | None:
        """What turns the gradients of a phase into their mean over the ranks; None where there is one rank."""
        return Reducer(self, family) if self.size > 1 else None


class Reducer:
    """The mean of gradients over the ranks; brings the family's buffers together and passes on the wish to stop."""

    def __init__(self, group: Group, family: nn.Module) -> None:
        self.group = group
        norms = [module for module in family.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        statistics = {id(each) for norm in norms for each in (norm.running_mean, norm.running_var)}
        # All of them, whether written or not: only they know. Tables in fp64 are constants, which fp32 would round.
        kind = next(family.parameters()).dtype
        buffers = [each for each in family.buffers() if each.dtype == kind or not each.is_floating_point()]
        self.averaged = [each for each in buffers if id(each) in statistics]
        self.given = [each for each in buffers if id(each) not in statistics]

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each gradient over the ranks, the same to the bit on all of them."""
        group = self.group
        wish = gradients[0].new_full((1,), group._wish)
        tensors = [*gradients, *self.averaged, wish, *self.given]
        flat = torch.cat([each.flatten().to(gradients[0].dtype) for each in tensors])  # integers to 2^24 are exact
        middle = sum(each.numel() for each in (*gradients, *self.averaged))
        if not group.first:
            flat[middle:].zero_()  # the sum is then rank 0's
        dist.all_reduce(flat)
        flat[:middle].div_(group.size)

        means = [torch.empty_like(gradient) for gradient in gradients]  # a gradient may be an expanded view
        group._heard = wish
        targets = [*means, *self.averaged, wish, *self.given]
        pieces = flat.split([each.numel() for each in targets])
        torch._foreach_copy_(targets, [piece.view_as(target) for target, piece in zip(targets, pieces, strict=True)])
        return means
