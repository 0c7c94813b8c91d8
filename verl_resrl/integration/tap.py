# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden-state tap: the input of one decoder layer, taken from the forward pass that verl makes anyway."""

from typing import Any

import torch
from torch import Tensor, nn

from verl_resrl.algorithm.memory import hidden_bytes, waits_on_device

# towers of other modalities may have as many layers as the language model
_OTHER_TOWERS = ("visual", "vision", "audio", "image", "talker", "mtp")


def find_decoder_layers(module: nn.Module, num_layers: int) -> nn.ModuleList:
    """Find the decoder layers under whatever FSDP, PEFT or multi-modal wrappers there are.

    Args:
        module: the (wrapped) causal language model.
        num_layers: number of decoder layers that its configuration states.

    Returns:
        The one ``ModuleList`` of ``num_layers`` layers outside other towers.

    Raises:
        ValueError: there is no such list, or more than one.
    """
    candidates = {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, nn.ModuleList)
        and len(child) == num_layers
        and not any(tower in part for part in name.split(".") for tower in _OTHER_TOWERS)
    }
    # a list inside a layer (experts, say) may have the same length: the decoder's is the outermost
    outermost = [
        name for name in candidates if not any(name.startswith(other + ".") for other in candidates if other != name)
    ]
    if len(outermost) != 1:
        found = ", ".join(outermost) or "none"
        raise ValueError(
            f"ResRL: cannot tell which modules of {type(module).__name__} are its {num_layers} decoder layers "
            f"(ModuleLists of that length: {found}); this architecture is not supported yet, "
            "please open an issue with its config.json"
        )
    return candidates[outermost[0]]


def num_decoder_layers(hf_config: Any) -> int:
    """Tell how many decoder layers a model has, from its configuration alone.

    Args:
        hf_config: of Hugging Face.

    Raises:
        ValueError: the model has none, or its layers pass on something else than one state for each token.
    """
    config = hf_config.get_text_config()
    name = getattr(config, "model_type", type(config).__name__)
    if hasattr(config, "altup_num_inputs"):
        raise ValueError(
            f"ResRL: {name} is not supported: its layers pass on {config.altup_num_inputs} states a token (AltUp)"
        )
    # LongCat-Flash counts the two attentions of each layer
    layers = config.num_layers if name == "longcat_flash" else getattr(config, "num_hidden_layers", None)
    if not isinstance(layers, int):
        raise ValueError(f"ResRL: {name} is not supported: its configuration names no number of decoder layers")
    return layers


def layer_index(layer: str | int, num_layers: int) -> int:
    """Tell which decoder layer has the wanted hidden states as its input.

    Args:
        layer: as in ``ResRLConfig``: "last", "penultimate", "middle" or an index into the ``num_layers + 1`` entries
            of Hugging Face's ``hidden_states``.
        num_layers: number of decoder layers.

    Returns:
        i in [0, num_layers): the input of layer i is ``hidden_states[i]``.

    Raises:
        ValueError: the model has no such layer.
    """
    named = {"last": num_layers - 1, "penultimate": num_layers - 2, "middle": num_layers // 2}
    index = named[layer] if isinstance(layer, str) else layer
    if isinstance(layer, int) and layer < 0:
        index += num_layers + 1
    if not 0 <= index < num_layers:
        raise ValueError(
            f"ResRL: resrl.layer={layer} does not fit this model of {num_layers} decoder layers: take an index into "
            f"hidden_states from 0 to {num_layers - 1}, or from -2 down to {-num_layers - 1}"
        )
    return index


class HiddenStateTap:
    """Takes the input of one layer while recording, and costs nothing otherwise.

    Args:
        layer: the layer whose input is wanted.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._recording = False
        self._captured: Tensor | None = None
        layer.register_forward_pre_hook(self._capture, with_kwargs=True)

    def _capture(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._recording:
            self._captured = args[0] if args else kwargs["hidden_states"]

    def start(self) -> None:
        """Record from the next forward on."""
        self._recording = True

    def stop(self) -> None:
        """Stop recording and let go of what was captured."""
        self._recording, self._captured = False, None

    def take(self) -> Tensor:
        """Return the input of the layer in the last forward, (1, tokens, d) or (batch, length, d), and forget it.

        Raises:
            RuntimeError: the layer did not run since the last call.
        """
        if self._captured is None:
            raise RuntimeError("ResRL: the forward pass did not go through the tapped decoder layer")
        captured, self._captured = self._captured, None
        return captured.detach()


class ResponseStates:
    """Hidden states of selected response tokens of a batch, gathered micro-batch by micro-batch.

    Every state is copied once, from where the forward pass left it into its place in one buffer. Tokens are
    numbered sequence after sequence in the order of the batch, whatever the order of the micro-batches.

    Args:
        prompt_lengths: (num_sequences,) int64.
        response_mask: (num_response_tokens,) bool over all sequences one after the other: tokens wanted.
        response_lengths: (num_sequences,) int64.
        hidden_state_at: "predicting" or "consuming", as in ``ResRLConfig``.
        offload: where the buffer is, ``ResRLConfig.hidden_offload``.
    """

    def __init__(
        self,
        prompt_lengths: Tensor,
        response_mask: Tensor,
        response_lengths: Tensor,
        hidden_state_at: str = "predicting",
        offload: str = "device",
    ) -> None:
        sequence = torch.repeat_interleave(torch.arange(len(response_lengths)), response_lengths)
        first = response_lengths.cumsum(0) - response_lengths
        position = torch.arange(len(sequence)) - first[sequence]
        self.sequence_ids = sequence[response_mask]  # (num_tokens,) int64
        self.positions = position[response_mask]  # (num_tokens,) int64, place of the token in its response
        self._count = torch.bincount(self.sequence_ids, minlength=len(response_lengths))
        self._first = self._count.cumsum(0) - self._count
        # logits at one position before the token predict it; the model runs on the last token too
        ahead = {"predicting": 1, "consuming": 0}[hidden_state_at]
        self._source = prompt_lengths[self.sequence_ids] + self.positions - ahead
        self._offload = offload
        self._buffer: Tensor | None = None
        self._missing = len(self.sequence_ids)

    def store(self, hidden: Tensor, sequences: Tensor, starts: Tensor, more_bytes: int = 0) -> None:
        """Copy what is wanted of one micro-batch.

        Args:
            hidden: (n, d) hidden states of all positions of the micro-batch.
            sequences: (m,) int64 on the CPU, sequences of the micro-batch, numbered as in the whole batch.
            starts: (m,) int64 on the CPU, row of ``hidden`` at which each of them begins.
            more_bytes: that will be kept of each token besides, and for which there must be room on the device too.
        """
        if self._buffer is None:
            self._buffer = _allocate(len(self.sequence_ids), hidden, self._offload, more_bytes)
        count = self._count[sequences]
        within = torch.arange(int(count.sum())) - (count.cumsum(0) - count).repeat_interleave(count)
        target = self._first[sequences].repeat_interleave(count) + within
        source = starts.repeat_interleave(count) + self._source[target]
        if self._buffer.device == hidden.device:
            self._buffer[target.to(hidden.device)] = hidden[source.to(hidden.device)]
        else:  # gathered first: rows go to host memory a sequence at a time
            parts = hidden[source.to(hidden.device)].split(count.tolist())
            for part, first in zip(parts, self._first[sequences].tolist(), strict=True):
                self._buffer[first : first + len(part)].copy_(part, non_blocking=True)
        self._missing -= len(target)

    def hidden(self) -> Tensor:
        """Return the (num_tokens, d) hidden states, in the dtype of the forward pass.

        Raises:
            RuntimeError: some sequences have not been stored.
        """
        if self._missing or self._buffer is None:
            raise RuntimeError(f"ResRL: the hidden states of {self._missing} response tokens were not captured")
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()  # copies to host memory go on beside the forward pass
        return self._buffer


def _allocate(num_tokens: int, like: Tensor, offload: str, more_bytes: int) -> Tensor:
    """(num_tokens, d) buffer for hidden states like those given, on their device or in pinned host memory."""
    shape = (num_tokens, like.shape[1])
    if like.device.type == "cpu":
        return like.new_empty(shape)
    device = torch.get_device_module(like.device)
    # what the allocator holds without using it is as good as free
    free = device.mem_get_info()[0] + device.memory_reserved() - device.memory_allocated()
    wanted = hidden_bytes(*shape, like.element_size()) + num_tokens * more_bytes
    if waits_on_device(offload, wanted, free):
        return like.new_empty(shape)
    return torch.empty(shape, dtype=like.dtype, pin_memory=True)
