# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The whole run: data, warm start, evaluation of the start, then each method's training and evaluation, and a report.

Each phase leaves its result under a name that carries a fingerprint of all settings and sources it depends on. A
phase whose result is there is skipped, so that the same command continues after a stop and other settings never mix.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from identities import candidates_id, data_id, evaluation_id, start_id, training_id
from inputs import check_inputs
from knobs import help_text
from lock import only_one
from rich.console import Console
from settings import QuickstartError, Settings
from starts import STARTS, TEST_FILE, TRAIN_FILE

from verl_resrl.evaluation.progress import Phases
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.runs.files import RunError, read_metrics

LEAST_ESTIMATED = 10_000_000  # parameters


class Quickstart:
    """One run with its folders.

    Args:
        settings: validated knobs.
        gpu: whether to train on a GPU.
        console: where to print.
    """

    def __init__(self, settings: Settings, gpu: bool, console: Console) -> None:
        self.settings, self.gpu, self.console = settings, gpu, console
        self.start = STARTS[settings.start]
        self.candidates_id = candidates_id(settings, gpu)
        ours = 1 + self.start.num_phases + (self.candidates_id is not None) if settings.model is None else 0
        self.phases = Phases(ours + 1 + 2 * len(settings.methods), console)

    def run(self) -> None:
        """Do what has not been done yet, then report."""
        from evaluate import share_evaluation
        from report import write_report
        from training import REWARD

        self._estimate()
        train, val = self._data()
        start_folder = self.settings.out / f"start-{start_id(self.settings)}"
        start = self._start(start_folder)
        evaluations = {"start": self._evaluation("start", start, val, start_folder, 0)}
        if self.candidates_id is not None:
            train = (self._sometimes_solved(start, train, start_folder),)
        rewards, folders = {}, []
        for method in self.settings.methods:
            folder, model = self._training(method, start, train, val)
            evaluations[method] = self._evaluation(method, model, val, folder, self.settings.steps)
            share_evaluation(start_folder, folder, 0)
            rewards[method] = {step: metrics[REWARD] for step, metrics in read_metrics(folder).items()}
            folders.append(folder)
        write_report(self.settings.out, _as_json(asdict(self.settings)), evaluations, rewards, folders, self.console)

    def _estimate(self) -> None:
        """Say how long it will take; the small model's steps are too short for an estimate by FLOP."""
        import torch
        from estimate import flop_per_second, parameters_of, sentence
        from precision import device_group

        parameters = parameters_of(self.settings.model) if self.settings.model else self.start.parameters
        if parameters > LEAST_ESTIMATED:
            device = "cuda" if self.gpu else "cpu"
            half = self.gpu or device_group(self.settings) == "cpu_bf16"
            start_rate = flop_per_second(device, torch.float32)
            rate = flop_per_second(device, torch.bfloat16) if half else start_rate
            line = sentence(self.settings, parameters, rate, start_rate)
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _data(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Files of training and held-out problems."""
        if self.settings.train_files:
            return self.settings.train_files, self.settings.val_files
        folder = self._data_folder
        if (folder / TEST_FILE).exists():
            self.phases.cached(self.start.problems, str(folder))
        else:
            with self.phases.phase(self.start.problems):
                folder.mkdir(exist_ok=True)
                self.start.write_data(self.start.sizes, self.settings.seed, folder)
        return (folder / TRAIN_FILE,), (folder / TEST_FILE,)

    @property
    def _data_folder(self) -> Path:
        return self.settings.out / f"data-{data_id(self.settings)}"

    def _start(self, folder: Path) -> str:
        """The model to start from, which is made unless the user brings one."""
        folder.mkdir(exist_ok=True)
        if self.settings.model is not None:
            return self.settings.model
        model = folder / "model"
        if model.exists():
            for _ in range(self.start.num_phases):
                self.phases.cached("start", str(model))
        else:
            self.start.make_model(self._data_folder, self.settings.out, model, self.settings.seed, self.phases)
        return str(model)

    def _sometimes_solved(self, model: str, train: tuple[Path, ...], folder: Path) -> Path:
        """Those of the first training problems that the start sometimes solves."""
        from evaluate import sample
        from sometimes import ATTEMPTS, keep_sometimes_solved, num_kept

        s, candidates = self.settings, self.start.candidates
        found = folder / f"candidates-{self.candidates_id}"
        chosen, name = found / "sometimes_solved.parquet", "training problems that it sometimes solves"
        if not chosen.exists():
            with self.phases.phase(name) as phase:
                sample(model, train, s, found, ATTEMPTS, candidates, phase.update)
                keep_sometimes_solved(found, chosen)
                phase.note = f"{num_kept(chosen, s.prompts)} of {candidates}"
        else:
            num_kept(chosen, s.prompts)
            self.phases.cached(name, str(chosen))
        return chosen

    def _training(
        self, method: str, start: str, train_files: tuple[Path, ...], val_files: tuple[Path, ...]
    ) -> tuple[Path, str]:
        """Train one method, or what is left of it; its folder and its model."""
        from checkpoints import finished_step, trained_model
        from training import train, verl_command

        settings = self.settings
        folder = settings.out / f"{method}-{training_id(method, settings, self.gpu)}"
        done = finished_step(folder)
        if done > settings.steps:
            raise QuickstartError(
                f"STEPS={settings.steps}: {folder} already holds {done} steps; set STEPS={done} or another OUT"
            )
        if done == settings.steps:
            self.phases.cached(f"training {method}", f"{done} steps")
        else:
            folder.mkdir(exist_ok=True)
            self.console.print(f"verl's log of {method}: {folder / 'verl.log'}", highlight=False, soft_wrap=True)
            command = verl_command(method, settings, start, train_files, val_files, folder, self.gpu)
            with self.phases.phase(f"training {method}") as phase:
                train(command, folder, settings.steps, phase)
        return folder, str(trained_model(folder))

    def _evaluation(self, name: str, model: str, val: tuple[Path, ...], folder: Path, steps: int) -> dict[str, Any]:
        """Evaluate one model on the held-out problems."""
        from evaluate import evaluate, finished_evaluation

        s = self.settings
        identity = evaluation_id(s, self.gpu)
        result = finished_evaluation(folder, steps, identity)
        if result is not None:
            self.phases.cached(f"evaluation {name}", _average(result))
            return result
        with self.phases.phase(f"evaluation {name}") as phase:
            result = evaluate(model, val, s, folder, steps, identity, phase.update)
            phase.note = _average(result)
        return result


def _average(result: Mapping[str, Any]) -> str:
    return f"Avg@16 {result['avg_at_first']['16']['mean']:.3f}"


def _as_json(values: dict) -> dict:
    return json.loads(json.dumps(values, default=str))


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the quickstart; 0 if it finished, 1 on an error, 130 when stopped."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_text())
        return 0
    # threads that spin while they wait take the cores from whatever else runs: with it, steps of 0.1 s take 5 s; a
    # moment is allowed, without which the warm start takes half as long again. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        settings = Settings.from_environment(os.environ)
        check_inputs(settings)
        with only_one(settings.out):
            import torch
            from transformers.utils import logging

            logging.disable_progress_bar()
            Quickstart(settings, torch.cuda.is_available(), console).run()
    except (QuickstartError, EvaluationError, RunError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
