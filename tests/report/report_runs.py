# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Run folders for the tests of the report, in the formats that training and ``resrl eval`` leave."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from verl_resrl.statistics.passk import pass_at_k


def write_run(
    folder: Path, method: str, seed: int, metrics: Mapping[int, Mapping[str, float]] | None = None, **settings: object
) -> Path:
    """Write configuration and training log of a run.

    Args:
        folder: of the run.
        method: its ``trainer.experiment_name``.
        seed: its ``data.seed``.
        metrics: by step.
        settings: further lines ``key: value`` below ``resrl:``.
    """
    config = folder / "hydra" / ".hydra" / "config.yaml"
    config.parent.mkdir(parents=True)
    lines = [f"data: {{seed: {seed}, train_batch_size: 8}}", f"trainer: {{experiment_name: {method},"]
    lines += [f"  default_local_dir: {folder}/checkpoints}}", f"algorithm: {{adv_estimator: {method}}}"]
    lines += [f"actor_rollout_ref: {{rollout: {{seed: {seed}}}}}"]
    lines += ["resrl:", *(f"  {key}: {value}" for key, value in settings.items())] if settings else []
    config.write_text("\n".join(lines) + "\n")
    if metrics is not None:
        (folder / "metrics").mkdir()
        entries = (json.dumps({"step": step, "data": dict(data)}) for step, data in metrics.items())
        (folder / "metrics" / "0000.jsonl").write_text("\n".join(entries) + "\n")
    return folder


def write_evaluation(
    run: Path, step: int, correct: Sequence[int], n: int, ks: Sequence[int], sources: Sequence[str] = ("countdown",)
) -> Path:
    """Write settings, samples and summary of a checkpoint.

    Args:
        run: folder of the run.
        step: of the checkpoint.
        correct: how many of the n responses to each problem are right.
        n: responses to each problem.
        ks: of Pass@k.
        sources: data sources, dealt to the problems in turn.
    """
    folder = run / "evaluations" / f"step_{step}"
    folder.mkdir(parents=True)
    model = f"{run}/checkpoints/global_step_{step}/actor/huggingface"
    (folder / "settings.json").write_text(json.dumps({"model": model, "n": n, "temperature": 1.0}))
    of_problem = [sources[problem % len(sources)] for problem in range(len(correct))]
    with (folder / "samples.jsonl").open("w") as file:
        for problem, right in enumerate(correct):
            for sample in range(n):
                row = {"problem": problem, "sample": sample, "data_source": of_problem[problem]}
                row |= {"prompt": f"problem {problem}", "response": "1+1=2", "score": float(sample < right)}
                row |= {"correct": sample < right, "answer": "2", "num_tokens": 10 + problem + sample, "finished": True}
                file.write(json.dumps(row) + "\n")
    counts = np.asarray(correct)
    parts = {source: counts[[name == source for name in of_problem]] for source in sources}
    summary = {
        "overall": _summary(counts, n, ks),
        "data_sources": {source: _summary(part, n, ks) for source, part in parts.items()},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def write_tokens(
    evaluation: Path, problems: Sequence[tuple[str, Sequence[str], Sequence[float], str]], of_training: bool = True
) -> None:
    """Write token weights.

    Args:
        evaluation: folder of the evaluation.
        problems: of each its prompt, the tokens of a wrong response, their weights, and a right response.
        of_training: whether the training weighed tokens.
    """
    with (evaluation / "tokens.jsonl").open("w") as file:
        for problem, (prompt, tokens, weights, right) in enumerate(problems):
            residuals = [math.nan if index == 0 else weight / 2 for index, weight in enumerate(weights)]
            negative = {"tokens": list(tokens), "weights": list(weights), "residuals": residuals}
            if problem:  # the first one is of an evaluation that had only these
                by = {"residual": list(weights), "interference": list(weights)[::-1]}
                negative |= {"interferences": [0.5 - weight for weight in weights], "weights_by": by}
            row = {"problem": problem, "prompt": prompt, "negative": negative, "positive": {"tokens": list(right)}}
            row |= {"weighed": {"of_training": of_training, "responses": 16, "rank": 8}}
            file.write(json.dumps(row) + "\n")


def write_study(root: Path, num_problems: int = 40, n: int = 16, num_steps: int = 60) -> list[Path]:
    """Write runs that look like a study: 3 methods x 2 seeds x 5 checkpoints, two data sources.

    Every problem has a difficulty; training raises the skill of a method and, at its own pace, the spread of
    difficulties, which costs Pass@k.

    Args:
        root: where to.
        num_problems: evaluated.
        n: samples of each.
        num_steps: of training.
    """
    paces = {"grpo": (1.2, 1.6), "resrl": (0.9, 0.5), "w_reinforce": (0.7, 0.4)}  # of skill, of spread
    folders = []
    for method, (skill, spread) in paces.items():
        for seed in (0, 1):
            rng = np.random.default_rng([seed, len(method)])
            metrics = {step: _metrics(method, step / num_steps, rng) for step in range(1, num_steps + 1)}
            settings = {} if method == "grpo" else {"lambda_pos": 0.1}
            run = write_run(root / f"{method}-{seed}", method, seed, metrics, **settings)
            difficulty = np.random.default_rng(0).normal(1.5, 1.0, num_problems)
            for step in range(0, num_steps + 1, num_steps // 4):
                luck = np.random.default_rng([seed, step, len(method) if step else 0])
                done = step / num_steps
                logits = skill * done * 1.2 - difficulty * (1 + spread * done * 0.6)
                correct = luck.binomial(n, 1 / (1 + np.exp(-logits)))
                ks = [2**i for i in range(n.bit_length())]
                evaluation = write_evaluation(run, step, correct.tolist(), n, ks, ("countdown", "arithmetic"))
            if method == "resrl":
                write_tokens(evaluation, _responses(rng))
            folders.append(run)
    return folders


def _summary(correct: np.ndarray, n: int, ks: Sequence[int]) -> dict:
    def share(values: np.ndarray) -> dict[str, float]:
        mean, error = values.mean(), 1.96 * values.std() / math.sqrt(len(values))
        return {"mean": mean, "low": max(0.0, mean - error), "high": min(1.0, mean + error)}

    return {
        "num_problems": len(correct),
        "num_samples": n,
        "avg_at_n": share(correct / n),
        "pass_at_k": {str(k): share(pass_at_k(n, correct, k)) for k in ks},
        "majority_vote": share((correct * 2 > n).astype(float)),
        "mean_length": 20.5,
        "distinct_correct": float(np.minimum(correct, 5).mean()),
        "self_bleu": 0.4,
    }


def _metrics(method: str, done: float, rng: np.random.Generator) -> dict[str, float]:
    noise = rng.normal(0, 0.02, 4)
    metrics = {
        "critic/score/mean": 0.2 + 0.2 * done + noise[0],
        "actor/entropy": 0.4 - 0.2 * done + noise[1] / 2,
        "response_length/mean": 20 + 3 * done + 20 * noise[2],
    }
    if method != "resrl":
        return metrics
    shares = np.array([0.2, *[0.05] * 8, 0.4]) + np.abs(rng.normal(0, 0.02, 10))
    alignment = 80 - 20 * done + 100 * noise[3]
    return metrics | {
        "actor/resrl/active_group_frac": 0.6 + noise[0],
        "actor/resrl/weight_mean": 0.55 + noise[1],
        "actor/resrl/residual_q20": 0.1 + noise[2] / 4,
        "actor/resrl/residual_q80": 0.5 + noise[3],
        "actor/resrl/alignment_mean": alignment,
        "actor/resrl/coverage": 0.9 - 0.1 * done,
        "actor/resrl/positive_logp_shift": 0.002 + noise[2] / 10,
        "actor/resrl/lld_proxy": alignment,
        "actor/resrl/lld_measured": 0.1 - alignment / 1000 + noise[0] / 4,
        "actor/resrl/lld_rank_correlation": -0.3 + noise[1],
        "actor/resrl/lld_predicted": -alignment / 50 + noise[2],
        **{f"actor/resrl/weight_bin_{i}": share for i, share in enumerate(shares / shares.sum())},
    }


def _responses(rng: np.random.Generator) -> list[tuple[str, list[str], list[float], str]]:
    # by character but for the last, which must not end the page's script
    wrong = [
        list("3*8=24,24+5=29,29-2=27"),
        list("2*5=10,10+8=18,\n18*3=54"),
        ["</script>", "<b>", "8-3=6", " & ", "so"],
    ]
    problems = []
    for index, text in enumerate(wrong):
        weights = np.round(rng.uniform(0.1, 1.0, len(text)), 2).tolist()
        problems.append((f"8 5 3 2>{index + 40}:", text, weights, f"8*5=40,{index + 40}-0={index + 40}"))
    return problems
