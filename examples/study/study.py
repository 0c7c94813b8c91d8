# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The whole study: puzzles, warm start and its evaluation, then every variant under every seed, then the reports."""

import json
import os
import signal
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from origin import origin_of_runs
from study_settings import EVAL_PROBLEMS, EVAL_SAMPLES, LR, RANK, ROOT, StudySettings, help_text
from variants import GRPO, ONE_SEED, REPORTS, RESRL, Report, Variant

# isort: split
from process import only_one  # of the quickstart, whose folder study_settings puts on the path
from rich.console import Console
from settings import COUNTDOWN, SMALL, QuickstartError, Settings, source_fingerprint
from starts import STARTS, TEST_FILE, TRAIN_FILE

from verl_resrl.evaluation.progress import Phases
from verl_resrl.evaluation.settings import EvaluationError, write_json
from verl_resrl.runs.files import ORIGIN

if TYPE_CHECKING:
    from trainings import Training

SEED_OF_THE_START = 0


class Study:
    """One study with its folders.

    Args:
        settings: validated knobs.
        gpu: whether to train on a GPU.
        console: where to print.
    """

    def __init__(self, settings: StudySettings, gpu: bool, console: Console) -> None:
        self.settings, self.gpu, self.console = settings, gpu, console
        self.reports = [report for report in REPORTS if report.suite in settings.suites]
        self.phases = Phases(4 + len(self.reports), console)  # the trainings count for themselves
        self.data, self.start = settings.out / "data", settings.out / "start"
        self._code = _code()

    def run(self) -> list[str]:
        """Do what has not been done yet, then report; one line for each training that failed."""
        from trainings import run_trainings

        self._claim()
        origin = origin_of_runs(self._code)
        self._make_data()
        self._make_start()
        self._evaluate_start()
        trainings = self._trainings()
        for training in trainings:
            if not (training.folder / ORIGIN).exists():
                training.folder.mkdir(parents=True, exist_ok=True)
                write_json(training.folder / ORIGIN, origin)
        what = f"{len(trainings)} trainings, {self.settings.jobs} at a time; logs and results in {self._runs}"
        self.console.print(what, highlight=False, markup=False, soft_wrap=True)
        failures = run_trainings(trainings, self.settings.jobs, self.console)
        done = {training.folder for training in trainings if training.is_evaluated()}
        self._localise(done)
        for report in self.reports:
            try:
                self._report(report, done)
            except QuickstartError as error:
                failures.append(str(error))
        return failures

    @property
    def _runs(self) -> Path:
        return self.settings.out / "runs"

    def _claim(self) -> None:
        """Runs of other settings or of other code must not mix."""
        file = self.settings.out / "settings.json"
        new = asdict(self.settings.size) | {"lr": LR, "rank": RANK, "gpu": self.gpu, "code": self._code}
        del new["meaning"], new["seeds"], new["jobs"]
        old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else new
        if old != new:
            changed = [name for name in new if old.get(name) != new[name]]
            differ = ", ".join(f"{name} {old.get(name)} there and {new[name]} now" for name in changed)
            raise QuickstartError(f"OUT: {self.settings.out} holds another study ({differ}); set another OUT")
        write_json(file, new)

    def _make_data(self) -> None:
        with self.phases.phase("puzzles"):
            self.data.mkdir(exist_ok=True)
            start = STARTS[SMALL]
            start.write_data(start.sizes, SEED_OF_THE_START, self.data)

    def _make_start(self) -> None:
        model = self.start / "model"
        if model.exists():
            self.phases.cached("warm start", str(model))
            return
        self.start.mkdir(exist_ok=True)
        STARTS[SMALL].make_model(self.data, self.settings.out, model, SEED_OF_THE_START, self.phases)

    def _evaluate_start(self) -> None:
        from trainings import call

        with self.phases.phase("evaluation of the start") as phase:
            command = [
                *_evaluation(self.data),
                "--model",
                str(self.start / "model"),
                "--out",
                str(self.start / "step_0"),
            ]
            call(command, self.start / "evaluation.log", lambda: phase.waiting("sampling"))

    def _trainings(self) -> list["Training"]:
        """Every seed of every variant, seed after seed, so that a study cut short has something of everything."""
        from trainings import Training

        size, found = self.settings.size, {}
        for seed in range(self.settings.seeds):
            shown = [report for report in self.reports if seed == 0 or report.suite not in ONE_SEED]
            for variant in dict.fromkeys(variant for report in shown for variant in report.variants):
                folder = self._folder(variant, seed)
                found[folder] = Training(
                    name=f"{variant.name} seed {seed}",
                    folder=folder,
                    command=self._verl_command(variant, seed, folder),
                    evaluation=[*_evaluation(self.data), "--token-weights", "2", "--run", str(folder)],
                    start_evaluation=self.start / "step_0",
                    steps=size.steps,
                    save_every=size.save_every,
                )
        return list(found.values())

    def _folder(self, variant: Variant, seed: int) -> Path:
        return self._runs / f"{variant.name.replace(' ', '-')}-seed{seed}"

    def _verl_command(self, variant: Variant, seed: int, folder: Path) -> list[str]:
        from training import verl_command

        size = self.settings.size
        knobs = {
            "METHODS": "resrl",  # verl_command is given the method
            "STEPS": size.steps,
            "ROLLOUTS": size.rollouts,
            "SAVE_EVERY": size.save_every,
            "SEED": seed,
            "LR": variant.lr or LR,
            "RANK": RANK,
            "OUT": self.settings.out,
        }
        settings = Settings.from_environment({name: str(value) for name, value in knobs.items()})
        train, test = self.data / TRAIN_FILE, self.data / TEST_FILE
        more = variant.overrides(size.rollouts)
        command = verl_command(variant.method, settings, str(self.start / "model"), [train], [test], folder, self.gpu)
        # the report tells runs apart by their names
        return [*command, f"trainer.experiment_name='{variant.name}'", "trainer.max_actor_ckpt_to_keep=null", *more]

    def _localise(self, done: Collection[Path]) -> None:
        """Where the weights of the start, and of what became of it, are high."""
        from localise import measure
        from tables import localisation_table

        models = {"start": (self.start / "step_0", self.start / "model")}
        for variant in (GRPO, RESRL):
            folder, step = self._folder(variant, 0), self.settings.size.steps
            model = folder / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface"
            if folder in done:
                models[variant.name] = folder / "evaluations" / f"step_{step}", model
        with self.phases.phase("places of the first wrong tokens") as phase:
            found = {}
            for name, (evaluation, model) in models.items():
                phase.waiting(name)
                found[name] = measure(evaluation, str(model), self.data / "test.parquet")
            phase.note = str(self.settings.out / "localisation.json")
            write_json(self.settings.out / "localisation.json", found)
            (self.settings.out / "localisation.md").write_text(localisation_table(found), encoding="utf-8")

    def _report(self, report: Report, done: Collection[Path]) -> None:
        from tables import results_table
        from trainings import call

        name = f"report-{report.name}"
        out = self.settings.out / name
        seeds = 1 if report.suite in ONE_SEED else self.settings.seeds
        folders = [self._folder(variant, seed) for variant in report.variants for seed in range(seeds)]
        whole = [str(folder) for folder in folders if folder in done]
        if len(whole) < len(folders):
            left_out = ", ".join(folder.name for folder in folders if folder not in done)
            self.console.print(f"{name} is without {left_out}", highlight=False, markup=False, soft_wrap=True)
        with self.phases.phase(name) as phase:
            command = ["compare", *whole, "--out", str(out), "--baseline", report.baseline.name]
            call(command, self.settings.out / f"{name}.log", lambda: phase.waiting("comparing"))
            phase.note = str(out / "report.html")
        numbers = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
        table = results_table(numbers, [variant.name for variant in report.variants])
        (out / "results.md").write_text(table, encoding="utf-8")


def _code() -> str:
    """Name the sources that the results depend on, reports aside."""
    package = [*(ROOT / "verl_resrl").rglob("*.py"), *(ROOT / "verl_resrl").rglob("*.yaml")]
    examples = [*Path(__file__).parent.glob("variants.py"), *(ROOT / "examples" / "quickstart").glob("*.py")]
    aside = [ROOT / "verl_resrl" / name for name in ("report", "doctor")]
    return source_fingerprint(sorted(f for f in (*package, *examples) if not set(aside) & set(f.parents)))


def _evaluation(data: Path) -> list[str]:
    numbers = {"n": EVAL_SAMPLES, "limit": EVAL_PROBLEMS, "max-tokens": 32, "max-prompt-tokens": 16}
    options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    # on a GPU too: vLLM would take longer to start for each checkpoint than so small a model takes to answer
    options += ["--backend", "hf"]
    return ["eval", "--data", str(data / TEST_FILE), "--reward-file", str(COUNTDOWN), *options]


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the study; 0 if everything was trained and reported, 1 on an error, 130 when stopped."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_text())
        return 0
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see quickstart.py
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        settings = StudySettings.from_environment(os.environ)
        with only_one(settings.out):
            import torch
            from transformers.utils import logging

            logging.disable_progress_bar()
            failures = Study(settings, torch.cuda.is_available(), Console()).run()
    except (QuickstartError, EvaluationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues from here", file=sys.stderr)
        return 130
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
