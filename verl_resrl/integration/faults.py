# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a step, in one line that says where: numbers that are not finite, and checkpoints not written.

verl leaves out an update whose gradient is not finite, prints a word about it and goes on. Here the run stops, or, with
``resrl.on_failure=fallback``, the update is tried again without weights, and is counted.
"""

import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from tensordict import TensorDict
from torch.distributed.checkpoint import CheckpointException
from verl.utils.device import get_device_name
from verl.workers.engine import BaseEngine

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import NonFiniteError
from verl_resrl.integration.positive_shift import PositiveShift

MOST_PROMPTS, MOST_CHARACTERS = 3, 60  # of a rank in a message of one line
FAILED_WRITE = ("PytorchStreamWriter", "inline_container", "No space left")  # in what torch.save raises on a full disk
if TYPE_CHECKING:
    _Engine = BaseEngine
else:
    _Engine = object  # mixed into one


class NonFiniteUpdateError(ValueError):
    """The loss or the gradient of an update is NaN or infinite; the parameters are those before the update."""


class CheckpointError(OSError):
    """A checkpoint could not be written."""


class LossWatch:
    """verl's loss function, with a note of the sequences whose loss is not finite, and of how far positive ones moved.

    Args:
        loss_function: of verl, called with ``model_output``, ``data`` and ``dp_group``.
        describe: turns a micro-batch and some of its rows into text for a message.
        positive_threshold: see ``PositiveShift``.
    """

    def __init__(
        self, loss_function: Callable, describe: Callable[[TensorDict, Sequence[int]], str], positive_threshold: float
    ) -> None:
        self._loss_function, self._describe = loss_function, describe
        self.failed: list[str] = []
        self.shift = PositiveShift(positive_threshold)

    def __call__(
        self, model_output: dict[str, Any] | None = None, data: Any = None, dp_group: Any = None, **kwargs: Any
    ) -> Any:
        """Compute the loss of a micro-batch; see ``verl.workers.utils.losses.ppo_loss``.

        verl's distillation also calls it on logits, which has nothing to do with us.
        """
        if model_output is None:
            return self._loss_function(data=data, **kwargs)
        loss, metrics = self._loss_function(model_output=model_output, data=data, dp_group=dp_group)
        if not torch.isfinite(loss):
            fields = [model_output["log_probs"], data["old_log_probs"], data["advantages"]]
            rows = zip(*(field.unbind() for field in fields), strict=True)
            finite = [all(bool(torch.isfinite(values).all()) for values in row) for row in rows]
            self.failed.append(self._describe(data, [i for i, f in enumerate(finite) if not f] or range(len(finite))))
        self.shift.add(model_output["log_probs"], data)
        return loss, metrics


class GuardedEngineMixin(_Engine):
    """An engine of verl that says when and where something went wrong."""

    model_config: Any
    _watch: LossWatch | None = None
    _failure: str | None = None  # what was not finite in the last update: loss, gradient or nothing
    _failed: list[str]
    _shift: PositiveShift  # of the last update

    # -- numbers that are not finite ---------------------------------------------------------------------------------

    def non_finite_hidden_states(self, error: NonFiniteError, data: TensorDict) -> NonFiniteError:
        """Add step, rank and prompts to an error that was raised on every rank.

        Args:
            error: of ``token_weights``.
            data: batch of the error.
        """
        rows = error.sequences.tolist()
        prompts = self._describe(data, rows) if rows else ""
        message = _one_line(str(error), prompts, data, self.get_data_parallel_group())
        return NonFiniteError(error.sequences, message)

    def guarded_train_batch(
        self, weighted: TensorDict, plain: TensorDict, loss_function: Callable, config: ResRLConfig
    ) -> tuple[Any, str | None]:
        """Update on a mini-batch; if that fails, on the one without weights, or not at all.

        Args:
            weighted: mini-batch with ResRL's weights in its advantages.
            plain: the same without.
            loss_function: of verl.
            config: settings; with ``on_failure`` "stop", it is not tried again.

        Returns:
            verl's output, and what was not finite with the weights: ``loss``, ``gradient`` or None.

        Raises:
            NonFiniteUpdateError: the loss or the gradient is not finite and ``on_failure`` is "stop"; on every rank.
        """
        outputs = self._watched_train_batch(weighted, loss_function, config.positive_threshold)
        failure = self._failure
        if failure is None:
            return outputs, None
        # a gradient belongs to all sequences of the mini-batch
        prompts = self._failed if failure == "loss" else [self._describe(weighted, range(len(weighted)))]
        what = f"ResRL: the {failure} of an update is NaN or infinite"
        message = _one_line(what, ", ".join(prompts), weighted, dist.group.WORLD)
        if config.on_failure == "stop":
            raise NonFiniteUpdateError(message)
        if dist.get_rank() == 0:
            print(f"WARNING: {message}; trying this update again with weights 1", flush=True)
        return self._watched_train_batch(plain, loss_function, config.positive_threshold), failure

    def _watched_train_batch(self, data: TensorDict, loss_function: Callable, positive_threshold: float) -> Any:
        self._watch = LossWatch(loss_function, self._describe, positive_threshold)
        try:
            return super().train_batch(data, self._watch)
        finally:
            self._failed, self._shift, self._watch = self._watch.failed, self._watch.shift, None

    def optimizer_step(self) -> Any:
        """Make the update as verl does, or leave it out if the loss of any rank is not finite."""
        if self._watch is None:
            return super().optimizer_step()
        exchange = Exchange(dist.group.WORLD, get_device_name())  # a pipeline has the loss in its last stage alone
        if exchange.sum(torch.tensor([len(self._watch.failed)])).item():
            self._failure = "loss"
            self.optimizer_zero_grad()
            return float("nan")
        if not self._gradient_is_finite():
            self._failure = "gradient"
            self.optimizer_zero_grad()
            return float("nan")
        norm = super().optimizer_step()  # FSDP engines leave the update out themselves if the norm is not finite
        # to scale a loss for float16, verl tries scales until the gradient overflows no more
        scaled = getattr(self, "scaler", None) is not None
        self._failure = None if scaled or torch.isfinite(torch.as_tensor(norm)).all() else "gradient"
        return norm

    def _gradient_is_finite(self) -> bool:
        """Look before the update, on engines that would make it with whatever gradient there is; on all ranks alike."""
        return True

    def _describe(self, data: TensorDict, rows: Sequence[int]) -> str:
        return describe_prompts(data, rows, getattr(self.model_config, "tokenizer", None))

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def save_checkpoint(
        self,
        local_path: str,
        hdfs_path: str | None = None,
        global_step: int = 0,
        max_ckpt_to_keep: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Save as verl does; of a checkpoint that cannot be written, leave nothing that fills the disk.

        verl notes a checkpoint for resuming after all of it is written: the one before stays the newest.

        Raises:
            CheckpointError: a file could not be written, such as on a full disk.
        """
        try:
            super().save_checkpoint(local_path, hdfs_path, global_step, max_ckpt_to_keep, **kwargs)
        except (OSError, RuntimeError, CheckpointException, SafetensorError) as error:
            if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in FAILED_WRITE):
                raise  # of a collective, say, after all has been written: what is there may be whole
            shutil.rmtree(local_path, ignore_errors=True)
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"ResRL: step {global_step}, rank {dist.get_rank()}: the checkpoint {local_path} could not be written "
                f"({reason}); the one before stays valid: make room and start the same command again"
            ) from error


def _one_line(what: str, prompts: str, data: TensorDict, group: dist.ProcessGroup | None) -> str:
    """Make a message with step, ranks and prompts, the same on all ranks of the group, which call this together."""
    own = f"rank {dist.get_rank()}: {prompts}" if prompts else ""
    everyone = [own] * (1 if group is None else dist.get_world_size(group))
    if len(everyone) > 1:
        dist.all_gather_object(everyone, own, group=group)
    return f"{what}; step {step_of(data)}, {'; '.join(filter(None, everyone))}"


def step_of(data: TensorDict) -> str:
    """Tell the training step for which the prompts of a batch were issued; the newest of several.

    Args:
        data: has the field global_steps, one number for each sequence, unless it does not come from verl's trainer.
    """
    steps = data.get("global_steps", None)
    if steps is None:
        return "unknown"
    return str(max(int(step) for step in steps.tolist()))


def describe_prompts(data: TensorDict, rows: Sequence[int], tokenizer: Any = None) -> str:
    """Name the prompts of some sequences, briefly and in one line.

    Args:
        data: has the fields uid and prompts (jagged).
        rows: of the sequences.
        tokenizer: turns the tokens into text; without one they stay numbers.
    """
    uids, prompts = [str(uid) for uid in data["uid"]], data["prompts"].unbind()
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(uids[row], row)
    names = []
    for uid, row in list(first.items())[:MOST_PROMPTS]:
        tokens = prompts[row].tolist()
        text = str(tokens) if tokenizer is None else " ".join(tokenizer.decode(tokens).split())
        names.append(f"prompt {text[:MOST_CHARACTERS]!r} (uid {uid})")
    more = len(first) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
