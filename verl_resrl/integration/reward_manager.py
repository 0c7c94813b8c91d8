# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Reward manager that scales down the reward of correct but long responses, in training only."""

from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from verl_resrl.tasks.length_reward import LengthScale


@register("resrl_length")
class LengthScaledRewardManager(NaiveRewardManager):
    """verl's ``naive`` manager with the length-scaled reward of ResRL (arXiv 2605.00380).

    verl scores training and validation through one path and does not say which is which, so the row's
    ``extra_info.split`` decides: "train" is scaled, anything else is left untouched. Settings:
    ``reward.reward_kwargs.length_scale`` with the fields of ``LengthScale``.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **kwargs: Any) -> None:
        super().__init__(config, tokenizer, compute_score, **kwargs)
        settings = (config.reward.get("reward_kwargs") or {}).get("length_scale") or {}
        self.length_scale = LengthScale(**settings)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score one response; see ``NaiveRewardManager.run_single``.

        Raises:
            ValueError: the row does not say to which split it belongs.
        """
        last = data[-1:][0]
        split = (last.non_tensor_batch.get("extra_info") or {}).get("split")
        if split is None:
            raise ValueError(
                "ResRL: the length-scaled reward needs extra_info.split in every row ('train' in training files, "
                "anything else in validation files, whose scores stay untouched); add it to the parquet files"
            )
        result = await super().run_single(data)
        if split == "train":
            num_tokens = int(last.batch["attention_mask"][-last.batch["responses"].shape[-1] :].sum())
            result["reward_score"] = self.length_scale.scale(result["reward_score"], num_tokens)
        return result
