# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What verl's asynchronous trainers ask of the CPU rollout: aborting, resuming, weights over gloo, replay buffers."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from transformers import AutoModelForCausalLM
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from tests.integration.engines import save_model
from verl_resrl.cpu.checkpoint_engine import GlooCheckpointEngine
from verl_resrl.cpu.generate import Request, generate
from verl_resrl.cpu.sampler import OrderedReplayBuffer, OrderedReplayBufferAsync, replay_buffer
from verl_resrl.cpu.server import QUIET_SECONDS, HFServer

LONG = 300  # tokens, which take seconds: no end of sequence among them
PROMPT = [5, 6, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Llama", tmp_path_factory.mktemp("llama"), max_position_embeddings=2 * LONG)


@pytest.fixture(scope="module")
def config(folder: Path) -> Any:
    with initialize_config_module("verl.trainer.config", version_base=None):
        overrides = ["+device=cpu", f"actor_rollout_ref.model.path={folder}", "algorithm.filter_groups.enable=True"]
        return compose("ppo_trainer", overrides=overrides)


def test_stopped_completions_are_the_beginnings_of_whole_ones(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    requests = [Request(PROMPT, 20, seed=1), Request([9], 3, seed=2)]
    whole = generate(model, requests, eos_ids=(), pad_id=0)
    asked = iter(range(100))
    stopped = generate(model, requests, eos_ids=(), pad_id=0, should_stop=lambda: next(asked) == 6)
    assert [completion.finished for completion in whole] == [True, True]
    assert [completion.finished for completion in stopped] == [False, True]
    assert stopped[0].token_ids == whole[0].token_ids[:7]
    assert stopped[1].token_ids == whole[1].token_ids


def with_server(config: Any, scenario: Callable[[HFServer], Coroutine[Any, Any, None]], replica_rank: int = 0) -> None:
    rollout = config.actor_rollout_ref.rollout

    async def run() -> None:
        server = HFServer(rollout, config.actor_rollout_ref.model, replica_rank)
        server._eos_ids = set()
        await scenario(server)

    asyncio.run(run())


def ask(server: HFServer, max_tokens: int) -> "asyncio.Task[Any]":
    params = {"temperature": 1.0, "max_tokens": max_tokens, "logprobs": True}
    return asyncio.create_task(server.generate("id", prompt_ids=PROMPT, sampling_params=params))


def test_servers_answer_differently(config: Any) -> None:
    """Verl gives a server any of the requests for a prompt: what two of them answer must not be the same twice."""
    answers: list[tuple[int, ...]] = []

    async def scenario(server: HFServer) -> None:
        await server.update_weights(server._model.state_dict(), global_steps=4)
        answers.extend([tuple((await ask(server, 20)).token_ids), tuple((await ask(server, 20)).token_ids)])

    for replica_rank in (0, 1, 0):
        with_server(config, scenario, replica_rank)
    assert answers[:2] == answers[4:]
    assert len(set(answers)) == 4


def test_abort_answers_with_what_there_is_and_holds_new_requests_back(config: Any) -> None:
    async def scenario(server: HFServer) -> None:
        await server.update_weights(server._model.state_dict(), global_steps=4)
        request = ask(server, LONG)
        while server._idle.is_set():  # until it is being generated
            await asyncio.sleep(0.001)
        held = ask(server, 3)
        await asyncio.sleep(0)
        await server.abort_all_requests()
        first = await request
        assert first.stop_reason == "aborted"
        assert 0 < len(first.token_ids) == len(first.log_probs) < LONG
        assert first.extra_fields["global_steps"] == 4
        assert ((await held).stop_reason, (await held).token_ids) == ("aborted", [])

        await server.update_weights(server._model.state_dict(), global_steps=5)
        later = ask(server, 3)
        done, _ = await asyncio.wait({later}, timeout=6 * QUIET_SECONDS)  # an open server would answer by then
        assert not done
        await server.resume_generation()
        answer = await later
        assert (answer.stop_reason, len(answer.token_ids)) == ("completed", 3)
        assert answer.extra_fields["global_steps"] == 5

    with_server(config, scenario)


def test_memory_is_given_back_once_the_answers_are_there(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[bool] = []

    async def scenario(server: HFServer) -> None:
        answers = [ask(server, 3), ask(server, 5)]
        monkeypatch.setattr("verl_resrl.cpu.server.return_memory", lambda: given_back.append(True))
        await asyncio.gather(*answers)
        await server._idle.wait()

    with_server(config, scenario)
    assert len(given_back) == 1


def test_server_that_leaves_rejects_requests(config: Any) -> None:
    async def scenario(server: HFServer) -> None:
        await server.abort_all_requests(reject_request=True)
        answer = await ask(server, 3)
        assert (answer.stop_reason, answer.token_ids) == ("aborted", [])
        await server.resume_generation()
        assert (await ask(server, 3)).stop_reason == "completed"

    with_server(config, scenario)


def test_weights_arrive_at_every_rollout_worker() -> None:
    actors = [GlooCheckpointEngine(is_master=True), GlooCheckpointEngine()]
    rollouts = [GlooCheckpointEngine(), GlooCheckpointEngine()]
    metadata = [engine.prepare() for engine in (*actors, *rollouts)]
    for_actors, for_rollouts = GlooCheckpointEngine.build_topology(2, 2, metadata)
    weights = [
        ("a", torch.randn(3, 4)),
        ("b", torch.randn(5).bfloat16()),
        ("c", torch.randn(4, 2).T),
        ("d", torch.tensor(7)),
    ]

    def work(engine: GlooCheckpointEngine, arguments: dict[str, Any], sends: bool) -> dict[str, torch.Tensor]:
        engine.init_process_group(**arguments)

        async def receive() -> dict[str, torch.Tensor]:
            return {name: tensor async for name, tensor in engine.receive_weights()}

        received = asyncio.run(engine.send_weights(iter(weights))) if sends else asyncio.run(receive())
        engine.finalize()
        return received or {}

    jobs = [
        (engine, {name: values[i] for name, values in arguments.items()}, sends)
        for engines, arguments, sends in ((actors, for_actors, True), (rollouts, for_rollouts, False))
        for i, engine in enumerate(engines)
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        results = list(pool.map(lambda job: work(*job), jobs))
    for received in results[2:]:
        assert list(received) == [name for name, _ in weights]
        assert all(
            torch.equal(received[name], tensor) and received[name].dtype == tensor.dtype for name, tensor in weights
        )


@pytest.mark.parametrize(
    ("mode", "kind", "base"),
    [
        ("sync", OrderedReplayBuffer, ReplayBuffer),
        ("colocate_async", OrderedReplayBufferAsync, ReplayBufferAsync),
        ("separate_async", OrderedReplayBufferAsync, ReplayBufferAsync),
    ],
)
def test_replay_buffer_is_that_of_the_trainer_mode_and_filters_groups(
    mode: str, kind: type, base: type, config: Any
) -> None:
    sampler = config.trainer.v1.sampler
    buffer = replay_buffer(
        trainer_mode=mode,
        trainer_config={},
        max_off_policy_threshold=sampler.max_off_policy_threshold,
        max_off_policy_strategy=sampler.max_off_policy_strategy,
        sampler_kwargs=sampler.sampler_kwargs,
        refill_fn=print,
    )
    assert type(buffer) is kind
    assert isinstance(buffer, base)
    assert buffer.filter_groups_metric == "reward"
    if mode == "sync":
        assert (buffer.train_batch_size, buffer.gen_batch_size) == (config.data.train_batch_size, 1)
