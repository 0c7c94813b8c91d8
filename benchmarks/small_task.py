# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The quickstart's task, for what trains only to see whether it works: puzzles, the small model, verl's command.

``examples/quickstart`` must be on the import path.
"""

from dataclasses import dataclass
from pathlib import Path

from knobs import COUNTDOWN, SMALL
from settings import Settings
from starts import STARTS, TEST_FILE, TRAIN_FILE
from training import verl_command

from verl_resrl.evaluation.progress import Phases


@dataclass(frozen=True)
class Task:
    """Data, a model, and how to train it.

    Attributes:
        data: folder of the puzzles.
        model: folder of the model.
        settings: of the training.
    """

    data: Path
    model: Path
    settings: Settings

    def command(self, run: Path) -> list[str]:
        """Verl's command for this machine's CPU.

        Args:
            run: folder of the training.
        """
        files = [self.data / TRAIN_FILE], [self.data / TEST_FILE]
        return verl_command("resrl", self.settings, str(self.model), *files, run, gpu=False)

    def launch(self, out: Path) -> tuple[dict[str, str], list[str]]:
        """What makes a launch script of ``examples/`` train this task on two nodes without accelerators.

        Args:
            out: folder of the training.

        Returns:
            Its knobs, and its arguments.
        """
        settings = self.settings
        knobs = {
            "MODEL": str(self.model),
            "TRAIN_FILES": str(self.data / TRAIN_FILE),
            "VAL_FILES": str(self.data / TEST_FILE),
            "OUT": str(out),
            "NNODES": "2",
            "GPUS_PER_NODE": "1",
            "STEPS": str(settings.steps),
            "SAVE_EVERY": str(settings.save_every),
            "EVAL_EVERY": "-1",
            "PROMPTS": str(settings.prompts),
            "ROLLOUTS": str(settings.rollouts),
            "MINI_BATCH": str(settings.mini_batch),
            "MAX_PROMPT": str(settings.max_prompt),
            "MAX_RESPONSE": str(settings.max_response),
            "LR": str(settings.lr),
            "LOGGER": "console,file",
            "SEED": str(settings.seed),
        }
        return knobs, [
            "+device=cpu_cluster",
            "actor_rollout_ref.rollout.name=hf",
            "actor_rollout_ref.rollout.full_determinism=True",
            "actor_rollout_ref.model.use_remove_padding=False",
            f"reward.custom_reward_function.path={COUNTDOWN}",
            f"resrl.rank={settings.rank}",
            "trainer.val_before_train=False",
        ]


def make_task(settings: Settings, phases: Phases) -> Task:
    """Make in ``settings.out`` what is not there: puzzles, and the model of the warm start.

    Args:
        settings: of the training.
        phases: says what is done; there are two.
    """
    data, model, start = settings.out / "data", settings.out / "model", STARTS[SMALL]
    if (data / TEST_FILE).exists():
        phases.cached("puzzles", str(data))
    else:
        with phases.phase("puzzles"):
            data.mkdir(exist_ok=True)
            start.write_data(start.sizes, settings.seed, data)
    if model.exists():
        phases.cached("warm start", str(model))
    else:
        start.make_model(data, settings.out, model, settings.seed, phases)
    return Task(data, model, settings)
