# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Every name of verl that this package relies on; ``upstream`` looks for them in the installed verl.

Configuration keys are not listed here: they are those that our YAML files set, but for ``OUR_KEYS`` and ``PASSED_ON``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """One thing of verl.

    Attributes:
        path: ``module:attribute.attribute``.
        parts: what of it we use: parameters of a function or method (that we pass, or that verl passes to our
            override), fields or methods of a class, keys of a registry, or field names that a module writes.
        used_by: rooms or modules of this package.
    """

    path: str
    parts: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()


ENGINE, FSDP, MEGATRON = "integration.engine", "integration.fsdp", "integration.megatron"
FAULTS, CPU_ENGINE = "integration.faults", "cpu.engine"
AGENTS, PASS_AT_K, DRY_RUN = "integration.agent_loops", "integration.pass_at_k", "integration.dry_run"
REGISTERED, DEFAULT_REWARD = "integration.registered", "integration.default_reward"
SANDBOX_FUSION, BATCH_WEIGHTS = "integration.sandbox_fusion", "integration.batch_weights"
ROLLOUT, BACKEND, SAMPLER, TRANSFER = "cpu.rollout", "cpu.backend", "cpu.sampler", "cpu.checkpoint_engine"
VLLM_WORKER, SERVER = "cpu.vllm_worker", "cpu.server"
ESTIMATORS, REWARD = "integration.estimators", "integration.reward_manager"
ADVANTAGES = "integration.advantages"
BATCH, PLATFORM, CALLBACK = "integration.batch", "cpu.platform", "cpu.hydra_callback"
QUICKSTART = "examples/quickstart"
_FSDP = "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead"
_MEGATRON = "verl.workers.engine.megatron.transformer_impl:MegatronEngineWithLMHead"
_AGENT = "verl.experimental.agent_loop.agent_loop"
_VLLM = "verl.workers.rollout.vllm_rollout"
_V1 = "verl.trainer.ppo.v1"

NAMES = (
    # estimators, policy loss, reward
    Name("verl.trainer.ppo.core_algos:register_adv_est", ("name_or_enum",), (ESTIMATORS,)),
    Name(
        "verl.trainer.ppo.core_algos:compute_grpo_outcome_advantage",
        ("token_level_rewards", "response_mask", "index", "norm_adv_by_std_in_grpo"),
        (ESTIMATORS,),
    ),
    Name("verl.trainer.ppo.core_algos:POLICY_LOSS_REGISTRY", ("vanilla",), ("integration.registered",)),
    Name("verl.utils.metric:Metric", ("values",), (ENGINE,)),
    Name("verl:DataProto", ("batch", "non_tensor_batch"), (REWARD,)),
    Name("verl.experimental.reward_loop.reward_manager:register", ("name",), (REWARD,)),
    Name(
        "verl.experimental.reward_loop.reward_manager.naive:NaiveRewardManager",
        ("config", "tokenizer", "compute_score"),
        (REWARD,),
    ),
    Name(
        "verl.experimental.reward_loop.reward_manager.naive:NaiveRewardManager.run_single",
        ("data",),
        (REWARD,),
    ),
    # training engine
    Name(
        "verl.workers.engine:EngineRegistry.register", ("model_type", "backend", "device"), (FSDP, MEGATRON, CPU_ENGINE)
    ),
    Name("verl.workers.engine:BaseEngine.train_batch", ("data", "loss_function"), (ENGINE, FAULTS)),
    Name("verl.workers.engine:BaseEngine.infer_batch", ("data", "loss_function"), (ENGINE,)),
    Name("verl.workers.engine:BaseEngine.optimizer_step", (), (FAULTS,)),
    Name("verl.workers.engine:BaseEngine.optimizer_zero_grad", (), (FAULTS,)),
    Name("verl.workers.engine:BaseEngine.get_data_parallel_group", (), (ENGINE, FAULTS)),
    Name(
        "verl.workers.engine:BaseEngine.save_checkpoint",
        ("local_path", "hdfs_path", "global_step", "max_ckpt_to_keep"),
        (FAULTS,),
    ),
    Name(_FSDP, ("model_config", "engine_config"), (FSDP, CPU_ENGINE)),
    Name(f"{_FSDP}.initialize", (), (FSDP, CPU_ENGINE)),
    Name(f"{_FSDP}.prepare_model_outputs", ("output", "output_args", "micro_batch", "logits_processor_func"), (FSDP,)),
    Name(f"{_FSDP}._gather_and_unpad_packed", ("tensor", "pad_size"), (FSDP,)),
    Name(f"{_FSDP}._build_fsdp_module", ("module",), (CPU_ENGINE,)),
    Name(
        "verl.workers.config:FSDPEngineConfig",
        ("strategy", "seed", "forward_only", "offload_policy", "model_dtype", "mixed_precision", "use_torch_compile"),
        (FSDP, CPU_ENGINE),
    ),
    Name("verl.workers.config:HFModelConfig", ("model_type", "hf_config", "tokenizer"), (ENGINE, FAULTS, SERVER)),
    Name(
        "verl.workers.utils.losses:ppo_loss", ("model_output", "data", "dp_group"), (FAULTS,)
    ),  # called by an engine, and so by LossWatch
    Name("verl.utils.tensordict_utils:get_non_tensor_data", ("data", "key", "default"), (ENGINE,)),
    Name("verl.utils.device:get_device_name", (), (ENGINE, FAULTS)),
    Name("verl.utils.device:get_device_id", (), (BATCH_WEIGHTS,)),
    # agent loops, Pass@k in validation
    Name(f"{_AGENT}:AgentLoopBase.run", ("sampling_params",), (AGENTS,)),
    Name(f"{_AGENT}:AgentLoopBase", ("continuous_token_builder", "server_manager", "rollout_config"), (AGENTS,)),
    Name(f"{_AGENT}:AgentLoopBase.ct_merge_assistant_token", (), (AGENTS,)),
    Name(f"{_AGENT}:AgentLoopMetrics", (), (AGENTS,)),
    Name(f"{_AGENT}:AgentLoopOutput", ("prompt_ids", "response_ids", "response_mask", "reward_score"), (AGENTS,)),
    Name(f"{_AGENT}:register", ("agent_name",), (AGENTS,)),
    Name("verl.experimental.agent_loop.tool_parser:ToolParser.get_tool_parser", (), (AGENTS,)),
    Name("verl.workers.config.rollout:AgentLoopConfig", (), (AGENTS,)),
    Name("verl.utils.profiler:simple_timer", ("name", "timing_raw"), (AGENTS,)),
    Name(f"{_V1}:AgentLoopManagerTQ", (), (PASS_AT_K,)),
    Name("verl.utils.tensordict_utils:list_of_dict_to_tensordict", (), (PASS_AT_K,)),
    # fields of a batch, by the module that writes them
    Name(
        "verl.experimental.agent_loop.agent_loop",
        ("prompts", "responses", "response_mask", "rm_scores"),
        (BATCH, SAMPLER),
    ),
    Name(f"{_V1}.agent_loop_tq", ("uid", "session_id", "input_ids", "global_steps"), (BATCH, FAULTS, ADVANTAGES)),
    Name(f"{_V1}.trainer_base", ("old_log_probs", "advantages"), (ENGINE, FAULTS)),
    Name("verl.trainer.ppo.padding_utils", ("uid",), (BATCH,)),
    # a CPU in place of an accelerator
    Name("verl.plugin.platform.platform_base:PlatformBase", (), (PLATFORM,)),
    Name("verl.plugin.platform.platform_manager:PlatformRegistry.register", ("platform",), (PLATFORM,)),
    Name("verl.plugin.platform.platform_manager:set_platform", ("platform",), (CALLBACK,)),
    Name("verl.workers.rollout:base._ROLLOUT_REGISTRY", (), (BACKEND,)),
    Name("verl.workers.rollout.base:BaseRollout", ("config", "model_config", "device_mesh"), (ROLLOUT,)),
    Name("verl.workers.rollout.base:BaseRollout.update_weights", ("weights", "wire_format"), (ROLLOUT,)),
    Name("verl.workers.rollout.base:BaseRollout.resume", ("tags",), (ROLLOUT,)),
    Name("verl.workers.rollout.base:BaseRollout.release", (), (ROLLOUT,)),
    Name(
        "verl.workers.rollout.replica:RolloutReplica",
        ("launch_servers", "max_concurrency", "abort_all_requests", "resume_generation", "sleep", "wake_up"),
        (ROLLOUT, BACKEND),
    ),
    Name("verl.workers.rollout.replica:RolloutReplicaRegistry.register", ("name", "loader"), (BACKEND,)),
    Name(
        "verl.workers.rollout.replica:TokenOutput",
        ("token_ids", "log_probs", "stop_reason", "extra_fields"),
        (SERVER,),
    ),
    Name("verl.workers.rollout.utils:ensure_async_iterator", (), (ROLLOUT,)),
    Name("verl.utils.config:omega_conf_to_dataclass", ("config",), (SERVER,)),
    Name("verl.checkpoint_engine.base:CheckpointEngine", ("prepare", "finalize", "send_weights"), (TRANSFER,)),
    Name("verl.checkpoint_engine.base:CheckpointEngine.build_topology", ("metadata",), (TRANSFER,)),
    Name("verl.checkpoint_engine.base:CheckpointEngine.receive_weights", ("global_steps",), (TRANSFER,)),
    Name("verl.checkpoint_engine.base:CheckpointEngineRegistry.register", ("backend",), (TRANSFER,)),
    Name(
        f"{_V1}.replay_buffer:ReplayBuffer",
        (
            "trainer_mode",
            "sampler_kwargs",
            "poll_interval",
            "filter_groups_metric",
            "sync_refill_failed_groups",
            "train_batch_size",
            "gen_batch_size",
            "max_inflight_gen_batches",
        ),
        (SAMPLER,),
    ),
    Name(f"{_V1}.replay_buffer:ReplayBuffer.sample", (), (SAMPLER,)),
    Name(f"{_V1}.replay_buffer:ReplayBufferAsync", (), (SAMPLER,)),
    Name("transfer_queue:kv_batch_get", ("keys", "partition_id", "select_fields"), (SAMPLER,)),
    # checks of an installation and of a configuration, evaluation
    Name("verl.trainer.ppo.core_algos:ADV_ESTIMATOR_REGISTRY", ("grpo",), (REGISTERED,)),
    Name("verl.trainer.ppo.core_algos:get_adv_estimator_fn", ("name_or_enum",), (DRY_RUN,)),
    Name("verl.trainer.ppo.reward:get_custom_reward_fn", ("config",), (DRY_RUN, "integration.last_words")),
    Name("verl.trainer.ppo.reward:resolve_reward_manager_cls", ("config",), (DRY_RUN,)),
    Name("verl.trainer.ppo.utils:need_critic", ("config",), (DRY_RUN,)),
    Name("verl.trainer.ppo.utils:need_reference_policy", ("config",), (DRY_RUN,)),
    Name("verl.utils.config:validate_config", ("config", "use_reference_policy", "use_critic"), (DRY_RUN,)),
    Name("verl.utils.import_utils:load_class_from_fqn", (), (REGISTERED,)),
    Name("verl.utils.import_utils:load_extern_object", (), (REGISTERED, "integration.start_data")),
    Name(
        "verl.utils.reward_score:default_compute_score",
        ("data_source", "solution_str", "ground_truth"),
        (DEFAULT_REWARD, "integration.last_words"),
    ),
    Name(
        "verl.utils.reward_score.sandbox_fusion.utils:call_sandbox_api",
        ("sandbox_fusion_url", "code", "stdin", "compile_timeout", "run_timeout", "memory_limit_mb"),
        (SANDBOX_FUSION,),
    ),
    # the command
    Name("verl.trainer.main_ppo:main", (), (QUICKSTART,)),
    Name(
        "verl.utils.checkpoint.checkpoint_manager", ("latest_checkpointed_iteration.txt", "global_step_"), (QUICKSTART,)
    ),
    Name(f"{_V1}.trainer_base:TRAINER_REGISTRY", ("sync", "colocate_async", "separate_async"), (ROLLOUT, SAMPLER)),
)

# which need Megatron-Core
MEGATRON_NAMES = (
    Name("verl.workers.config:McoreEngineConfig", ("tensor_model_parallel_size", "sequence_parallel"), (MEGATRON,)),
    Name("verl.utils.megatron_utils:unwrap_model", (), (MEGATRON,)),
    Name(_MEGATRON, ("model_config", "engine_config"), (MEGATRON,)),
    Name(f"{_MEGATRON}._lm_head_logits_processor", ("logits", "label", "temperature"), (MEGATRON,)),
    Name(f"{_MEGATRON}.prepare_model_outputs", ("output", "data"), (MEGATRON,)),
)

# which need vLLM
VLLM_NAMES = (
    Name(f"{_VLLM}.bucketed_weight_transfer:BucketedWeightReceiver", ("receive_weights",), (VLLM_WORKER,)),
    Name(f"{_VLLM}.utils:vLLMColocateWorkerExtension", ("_get_zmq_handle",), (VLLM_WORKER,)),
    Name(
        f"{_VLLM}.utils:vLLMColocateWorkerExtension.update_weights_from_ipc",
        ("peft_config", "base_sync_done", "use_shm"),
        (VLLM_WORKER,),
    ),
)

# set by our YAML files and known to this package alone
OUR_KEYS = (
    "resrl",
    "algorithm.resrl",
    "algorithm.resrl_rollouts",
    "actor_rollout_ref.actor.fsdp_config.resrl",
    "actor_rollout_ref.actor.fsdp_config.bypass_mode",
    "actor_rollout_ref.actor.fsdp_config.adv_estimator",
    "actor_rollout_ref.actor.fsdp_config.rollouts",
    "actor_rollout_ref.actor.fsdp_config.prompts",
    "actor_rollout_ref.actor.fsdp_config.trainer_mode",
    "actor_rollout_ref.actor.fsdp_config.actor_strategy",
    "actor_rollout_ref.actor.megatron",  # there is none before model_engine=megatron
    "actor_rollout_ref.rollout.agent.environment",
    "actor_rollout_ref.rollout.agent.max_tokens_per_turn",
    "actor_rollout_ref.rollout.agent.environment_settings",
    "actor_rollout_ref.rollout.agent.max_steps",
    "reward.reward_kwargs.max_resp_len",  # of verl's DAPO reward manager
    "reward.reward_kwargs.overlong_buffer_cfg",
    "defaults",
    "reward.reward_kwargs.length_scale",
    "trainer.v1.sampler.sampler_kwargs",  # verl's, but empty there
    "hydra",
)
# set by our YAML files in dictionaries of verl without a schema: for ray.init, the model's configuration and FSDP
PASSED_ON = (
    "ray_kwargs.ray_init",
    "actor_rollout_ref.model.override_config",
    "actor_rollout_ref.rollout.engine_kwargs.vllm",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision",
)
