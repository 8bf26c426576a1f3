"""Data-parallel training: each rank takes its own slice of every batch, and all hold bitwise identical weights.

With N ranks and `accumulate` = A, every batch is cut into N A parts; rank r runs parts r A ... r A + A - 1, and the
loop seeds each part separately. So N ranks give the same samples and the same noise as one rank with `accumulate=N`;
only the order of summation differs. For losses without noise and without BatchNorm, the result also equals that of one
rank without accumulation. It differs slightly for losses that read a buffer they have just written (a full pool, the
first batch of an ActNorm, the scale of points): accumulated parts see what earlier parts wrote, ranks only what they
wrote themselves.

One all-reduce of one flat buffer per update carries everything:

    gradients           averaged over the ranks
    BatchNorm           normalises each slice by itself, as with accumulation; running statistics are averaged
    all other buffers   taken from rank 0 (as in DistributedDataParallel): past samples in a pool, the first batch of
                        an ActNorm, the scale and the range of the data, vectors of spectral norms
    the stop request    one number from rank 0, set by a signal, the time limit or a monitor; takes effect one step
                        later, on a GPU at the next multiple of 16 steps, because reading it waits for the device

So after each update all ranks have the same state, whatever their number, and a checkpoint of rank 0 serves all. Logs
are averaged only when they are read. Each rank holds the whole data set.

Synchronous data-parallel SGD: J. Chen et al., "Revisiting Distributed Synchronous SGD", 2016,
https://arxiv.org/abs/1604.00981. Gradients in flat buckets, buffers from rank 0: S. Li et al., "PyTorch Distributed:
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

PATIENCE = timedelta(days=1)  # the others wait while rank 0 evaluates and writes; the launcher notices dead ranks
LOOK_EVERY = 16  # steps between checks for a request to stop, on devices where a check means waiting for the device
T = TypeVar("T")


def join(options: Options, rank: int, size: int, local_rank: int, local_size: int, store: str = "") -> None:
    """Make this process one of `size` ranks: gloo on the CPU, NCCL with local rank i on cuda:i.

    Args:
        local_rank, local_size: among the ranks on this machine.
        store: file through which the ranks find one another; "": torchrun's environment variables are used.

    Raises:
        UserError: the options do not fit `size` ranks, or this machine has too few GPUs for its local ranks.
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
            raise UserError(f"trainer.devices: {local_size} requested, but this machine has {gpus} GPU(s)")
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
    """The group of ranks in torch.distributed that this process belongs to; with a single rank, it changes nothing."""

    def __init__(self) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if joined else 0
        self.size = dist.get_world_size() if joined else 1
        self._wish = False
        self._heard: Tensor | None = None  # (1,): above 0 if rank 0 requested a stop

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the only one that evaluates, draws pictures and writes."""
        return self.rank == 0

    @torch.no_grad()
    def align(self, family: nn.Module) -> None:
        """Copy the parameters and buffers of rank 0 to all ranks."""
        if self.size > 1:
            for tensor in (*family.parameters(), *family.buffers()):
                dist.broadcast(tensor, 0)

    def mean(self, values: Tensor) -> Tensor:
        """Average `values` over the ranks, elementwise and in place."""
        dist.all_reduce(values)
        return values.div_(self.size)

    def share(self, make: Callable[[], T]) -> T:
        """Call `make` on rank 0 only and return its result on all ranks."""
        if self.size == 1:
            return make()
        box = [make() if self.first else None]
        dist.broadcast_object_list(box, 0)
        return box[0]  # type: ignore[return-value]

    def ends(self, wish: bool, step: int) -> bool:
        """Returns whether all ranks stop now, as rank 0 requested at an earlier call; does not communicate itself."""
        if self.size == 1:
            return wish
        self._wish = wish
        check = self._heard is not None and (self._heard.device.type == "cpu" or step % LOOK_EVERY == 0)
        return check and bool(self._heard)

    def reducer(self, family: nn.Module) -> Callable[[Sequence[Tensor]], list[Tensor]] | None:
        """Returns a function that averages the gradients of a phase over the ranks; None with a single rank."""
        return Reducer(self, family) if self.size > 1 else None


class Reducer:
    """Averages gradients over the ranks; also synchronises the family's buffers and passes on the stop request."""

    def __init__(self, group: Group, family: nn.Module) -> None:
        self.group = group
        norms = [module for module in family.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        statistics = {id(buffer) for norm in norms for buffer in (norm.running_mean, norm.running_var)}
        # All buffers, because we cannot know which ones a module writes; except tables in fp64, which are constants
        # that fp32 would round.
        dtype = next(family.parameters()).dtype
        buffers = [buffer for buffer in family.buffers() if buffer.dtype == dtype or not buffer.is_floating_point()]
        self.averaged = [buffer for buffer in buffers if id(buffer) in statistics]
        self.given = [buffer for buffer in buffers if id(buffer) not in statistics]

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Returns the mean of each gradient over the ranks, bitwise identical on all of them."""
        group = self.group
        wish = gradients[0].new_full((1,), group._wish)
        tensors = [*gradients, *self.averaged, wish, *self.given]
        flat = torch.cat([tensor.flatten().to(gradients[0].dtype) for tensor in tensors])  # exact for integers <= 2^24
        middle = sum(tensor.numel() for tensor in (*gradients, *self.averaged))
        if not group.first:
            flat[middle:].zero_()  # so that the sum is rank 0's value
        dist.all_reduce(flat)
        flat[:middle].div_(group.size)

        means = [torch.empty_like(gradient) for gradient in gradients]  # a gradient may be an expanded view
        group._heard = wish
        targets = [*means, *self.averaged, wish, *self.given]
        pieces = flat.split([target.numel() for target in targets])
        torch._foreach_copy_(targets, [piece.view_as(target) for target, piece in zip(targets, pieces, strict=True)])
        return means
