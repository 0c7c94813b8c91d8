# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of ``resrl eval``. What it needs is imported when it runs, so that ``--help`` is quick."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from verl_resrl.evaluation.settings import EvaluationError

HELP = """Sample many responses to each problem, verify them with the reward function of training, and summarise.

Writes settings.json, samples.jsonl (one row for each response, as they come) and summary.json (Avg@n, unbiased
Pass@k with 95% bootstrap intervals over problems, majority vote, length, distinct right answers, self-BLEU; overall
and for each data source). Stop it at any time, even with kill -9: the same command continues, and the result is that
of a run that was never stopped.

A model, with verl's own reward function for the data source:

    resrl eval --model Qwen/Qwen3-0.6B --data test.parquet --n 128 --k 1,2,4,8,16,32,64,128

Every checkpoint of two training runs, and the model that they started from as step 0, into RUN/evaluations/step_N.
Reward function, threshold and ResRL's settings are those of the training (RUN/hydra/.hydra/config.yaml) unless given:

    resrl eval --run outputs/resrl --run outputs/grpo --data test.parquet

Checkpoints need Hugging Face weights: train with
actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model], as the scripts in examples/ do.

A benchmark of the paper with the paper's protocol (options beside it win), prepared by scripts/prepare_data.py aime24;
aime24, aime25, amc23, math500, minerva, olympiadbench, livecodebench, codeforces, humaneval-plus. The results of a run
go to RUN/benchmarks/NAME/step_N, which resrl compare --benchmark NAME reads:

    resrl eval --run outputs/resrl --benchmark aime24 --steps 0,500

A benchmark of agents (bfcl, alfworld, webshop, textworld): verl's validation plays the episodes, from the start if it
was stopped, and agent_summary.json holds the success rates:

    resrl eval --model Qwen/Qwen3-1.7B --benchmark bfcl

Two checkpoints, and three problems shown token by token with the weights of ResRL:

    resrl eval --run outputs/resrl --steps 10,50 --data test.parquet --token-weights 3
"""


def evaluate(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option(help="Hugging Face model: a folder, or a name on the hub.", show_default=False)
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a training run: evaluates its checkpoints/global_step_N, in order. May be repeated.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Parquet file in verl's format. May be repeated.", show_default=False)
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="Take data, reward and sampling from the protocol of this benchmark.", show_default=False),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(help="With --run: only these steps, such as 10,20; 0 is the start.", show_default="all"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --model: folder of the results.", show_default="below evaluations/"),
    ] = None,
    n: Annotated[int, typer.Option(help="Responses to each problem.")] = 128,
    k: Annotated[
        str | None, typer.Option(help="For which Pass@k is reported.", show_default="1,2,4,... up to n")
    ] = None,
    averaged: Annotated[
        int | None, typer.Option(help="Also report Avg over the first so many responses.", show_default=False)
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of the sampling; 0 takes the most likely token.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Sample among the tokens that have this probability together.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Longest response, in tokens.")] = 1024,
    max_prompt_tokens: Annotated[
        int, typer.Option(help="Longest prompt; problems with a longer one are left out.")
    ] = 1024,
    seed: Annotated[int, typer.Option(help="Of all samples: every response has a seed of its own, made of it.")] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.", show_default="all")] = None,
    reward_file: Annotated[
        str | None,
        typer.Option(
            help="Python file with compute_score(), or pkg://MODULE such as pkg://verl_resrl.tasks.math_reward, as in "
            "verl's reward.custom_reward_function.path; it may also define answer_of(text, ground_truth), which "
            "names answers.",
            show_default="that of the training with --run, else verl's choice by data_source",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            help="A response is right when its score is above; as resrl.positive_threshold.",
            show_default="that of the training with --run, else 0",
        ),
    ] = 0.0,
    token_weights: Annotated[
        int, typer.Option(help="Write tokens.jsonl: so many problems token by token with their ResRL weights.")
    ] = 0,
    codeforces_users: Annotated[
        Path | None,
        typer.Option(
            help="For a percentile beside the rating: JSON of codeforces.com/api/user.ratedList?activeOnly=true.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="vllm, hf (Hugging Face), or auto: vllm where a GPU and vLLM are.")
    ] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 on a GPU and float32 on a CPU.")
    ] = "auto",
    tensor_parallel_size: Annotated[int, typer.Option(help="GPUs that share a model, with vllm.")] = 1,
    verl_args: Annotated[
        str,
        typer.Option(
            help="With a --benchmark of agents: more settings for verl, as 'trainer.n_gpus_per_node=4'.",
            show_default=False,
        ),
    ] = "",
    chat_template_kwargs: Annotated[
        str | None,
        typer.Option(
            help="JSON, as verl's data.apply_chat_template_kwargs, such as '{\"enable_thinking\": false}'.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """See HELP."""
    # threads that spin for long while they wait take the cores from whatever else runs; read when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from verl_resrl.evaluation.command_settings import settings_of_targets

    sys.path.append(os.getcwd())  # where python -m, by which verl is started, looks for pkg://MODULE
    try:
        if benchmark is not None and _is_of_agents(benchmark):
            from verl_resrl.evaluation.agent_command import evaluate_on_command

            evaluate_on_command(benchmark, {name: context.params[name] for name in _given(context)})
            return
        if verl_args:
            raise EvaluationError("--verl-args means nothing without a --benchmark of agents")
        # read by tasks.code_reward: here one process judges, not verl's eight
        os.environ.setdefault("RESRL_REWARD_PROCESSES", "1")
        settings = settings_of_targets(context.params, _given(context))
        # the cheapest checks come first: loading torch takes seconds
        from verl_resrl.evaluation.evaluate_targets import evaluate_targets

        evaluate_targets(settings, backend, dtype, Console(markup=False))
    except EvaluationError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        again = "plays again" if benchmark is not None and _is_of_agents(benchmark) else "continues from here"
        typer.echo(f"stopped; the same command {again}", err=True)
        if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
            sys.stdout.flush()
            os._exit(130)  # calls of a slow reward function would hold the process for as long as they last
        raise typer.Exit(130) from None


def _given(context: typer.Context) -> set[str]:
    """Names of the options that were given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _is_of_agents(benchmark: str) -> bool:
    from verl_resrl.tasks.benchmarks import AGENT_BENCHMARKS

    return benchmark in AGENT_BENCHMARKS
