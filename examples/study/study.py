# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The whole study: puzzles, warm start and its evaluation, then every variant under every seed, then the reports."""

import json
import os
import signal
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from common import num_phases
from origin import code_of_results
from study_settings import StudySettings, help_text
from variants import OWN_SEEDS, REPORTS, Report, Variant

# isort: split
from identities import data_id, reward_id, start_id
from inputs import check_inputs
from lock import only_one
from precision import device_group  # of the quickstart, whose folder study_settings puts on the path
from rich.console import Console
from settings import QuickstartError

from verl_resrl.evaluation.progress import Phases
from verl_resrl.evaluation.settings import EvaluationError, write_json

if TYPE_CHECKING:
    from common import Common
    from trainings import Training


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
        # the trainings count for themselves
        self.phases = Phases(num_phases(settings) + 1 + len(self.reports), console)
        self._code = code_of_results()

    def run(self) -> list[str]:
        """Do what has not been done yet, then report; one line for each training that failed."""
        from common import prepare
        from trainings import run_trainings

        self._claim()
        common = prepare(self.settings, self.phases)
        trainings = self._trainings(common)
        what = f"{len(trainings)} trainings, {self.settings.jobs} at a time; logs and results in {self._runs}"
        self.console.print(what, highlight=False, markup=False, soft_wrap=True)
        failures = run_trainings(trainings, self.settings.jobs, self.console)
        done = {training.folder for training in trainings if training.is_evaluated()}
        for show in (partial(self._localise, common), *(partial(self._report, report) for report in self.reports)):
            try:
                show(done)
            except (QuickstartError, EvaluationError, ValueError) as error:
                failures.append(str(error))
        return failures

    @property
    def _runs(self) -> Path:
        return self.settings.out / "runs"

    def _claim(self) -> None:
        """Runs of other settings or of other code must not mix."""
        file = self.settings.out / "settings.json"
        shared = self.settings.common()
        device = "gpu" if self.gpu else device_group(shared)
        new = asdict(self.settings.size) | {"device": device, "code": self._code, "reward": reward_id(shared)}
        if shared.model is not None:  # ours are made by the code
            new |= {"data": data_id(shared), "model": start_id(shared)}
        del new["meaning"], new["seeds"], new["jobs"], new["suite"]
        old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else new
        if old != new:
            changed = [name for name in new if old.get(name) != new[name]]
            differ = ", ".join(f"{name} {old.get(name)} there and {new[name]} now" for name in changed)
            raise QuickstartError(f"OUT: {self.settings.out} holds another study ({differ}); set another OUT")
        write_json(file, new)

    def _trainings(self, common: "Common") -> list["Training"]:
        """Every seed of every variant, seed after seed, so that a study cut short has something of everything.

        Raises:
            QuickstartError: two of them would share a folder.
        """
        from common import evaluation
        from trainings import Training

        shared = self.settings.common()
        found: dict[Path, Training] = {}
        options = evaluation(shared, common.test)
        for seed in sorted({seed for report in self.reports for seed in self._seeds(report)}):
            shown = [report for report in self.reports if seed in self._seeds(report)]
            for variant in dict.fromkeys(variant for report in shown for variant in report.variants):
                folder = self._folder(variant, seed)
                training = Training(
                    name=f"{variant.name} seed {seed}",
                    folder=folder,
                    command=self._verl_command(common, variant, seed, folder),
                    evaluation=[*options, "--token-weights", "3", "--run", str(folder)],
                    start_evaluation=common.evaluation,
                    steps=shared.steps,
                    save_every=shared.save_every,
                    code=self._code,
                )
                if found.setdefault(folder, training) != training:
                    raise QuickstartError(f"SEEDS: {folder.name} would be two trainings, of different suites")
        return list(found.values())

    def _seeds(self, report: Report) -> Iterable[int]:
        return OWN_SEEDS.get(report.suite, range(self.settings.seeds))

    def _folder(self, variant: Variant, seed: int) -> Path:
        return self._runs / f"{variant.name.replace(' ', '-')}-seed{seed}"

    def _verl_command(self, common: "Common", variant: Variant, seed: int, folder: Path) -> list[str]:
        from training import verl_command

        settings = self.settings.common(METHODS="resrl", SEED=seed)  # verl_command is given the method
        settings = replace(settings, lr=variant.rate(settings.lr))
        numbers = {name: getattr(settings, name) for name in ("prompts", "mini_batch", "rollouts")}
        more = variant.overrides(**numbers)
        command = verl_command(variant.method, settings, common.model, common.train, common.test, folder, self.gpu)
        # the report tells runs apart by their names
        return [*command, f"trainer.experiment_name='{variant.name}'", "trainer.max_actor_ckpt_to_keep=null", *more]

    def _localise(self, common: "Common", done: Collection[Path]) -> None:
        """Where the weights of the start, and of what became of it, are high."""
        from localise import measure, unknown_sources
        from tables import localisation_table

        evaluations = {"start": common.evaluation}
        trained = [
            (variant, folder)
            for report in self.reports
            for variant in report.variants
            if (folder := self._folder(variant, min(self._seeds(report)))) in done
        ]
        for method in ("grpo", "resrl"):
            first = next(((variant.name, folder) for variant, folder in trained if variant.method == method), None)
            if first is not None:
                evaluations[first[0]] = first[1] / "evaluations" / f"step_{self.settings.size.steps}"
        with self.phases.phase("places of the first wrong tokens") as phase:
            unknown = unknown_sources(common.test)
            if unknown:
                phase.note = f"no verifier knows them for {', '.join(unknown)}"
                return
            found = {}
            for name, evaluation in evaluations.items():
                phase.waiting(name)
                found[name] = measure(evaluation, self.settings.common().rank)
            phase.note = f"{', '.join(found)}: {self.settings.out / 'localisation.json'}"
            write_json(self.settings.out / "localisation.json", found)
            (self.settings.out / "localisation.md").write_text(localisation_table(found), encoding="utf-8")

    def _report(self, report: Report, done: Collection[Path]) -> None:
        from tables import displacement_table, paired_table, results_table
        from trainings import call

        name = f"report-{report.name}"
        out = self.settings.out / name
        folders = [self._folder(variant, seed) for variant in report.variants for seed in self._seeds(report)]
        whole = [str(folder) for folder in folders if folder in done]
        if not whole:
            raise QuickstartError(f"{name}: none of its trainings is finished")
        if len(whole) < len(folders):
            left_out = ", ".join(folder.name for folder in folders if folder not in done)
            self.console.print(f"{name} is without {left_out}", highlight=False, markup=False, soft_wrap=True)
        with self.phases.phase(name) as phase:
            command = ["compare", *whole, "--out", str(out), "--baseline", report.baseline.name]
            call(command, self.settings.out / f"{name}.log", lambda: phase.waiting("comparing"))
            phase.note = str(out / "report.html")
        numbers = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
        order = [variant.name for variant in report.variants]
        tables = [results_table(numbers, order), paired_table(numbers, order)]
        if numbers["lld_rank_correlations"]:
            tables.append(displacement_table(numbers))
        (out / "results.md").write_text("\n".join(tables), encoding="utf-8")


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
        check_inputs(settings.common())
        with only_one(settings.out):
            import torch
            from transformers.utils import logging

            logging.disable_progress_bar()
            if settings.size.gpu and not torch.cuda.is_available():
                raise QuickstartError("SIZE: this one needs an NVIDIA GPU, and PyTorch sees none; SIZE=135m takes CPUs")
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
