# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The process that vLLM runs in, started by ``vllm_generator`` as ``python -m verl_resrl.evaluation.vllm_process PID``.

vLLM's engine would otherwise be a child of the evaluation that lives on, with the GPU's memory, when the evaluation is
killed. Here it is no child but part of this process, which the kernel kills with its parent; workers of tensor
parallelism end with this process by vLLM's own pipe.

Lines of JSON on standard input: the settings of the engine, then requests, and null for the end. On standard output:
``{"ready": true}``, a response to each request as it ends, or ``{"error": "..."}`` as the last line. All else that is
printed goes to standard error, which is the log.
"""

import ctypes
import json
import os
import queue
import re
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

LONGEST_REASON = 400  # characters
CPU_CACHE_GIB = "4"  # on a CPU, of keys and values; vLLM would take most of the memory
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; at once, if it has ended already.

    Elsewhere than on Linux, the end of standard input ends this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def start_engine(settings: Mapping[str, Any]) -> Any:
    """Start vLLM's engine inside this process.

    Args:
        settings: ``model``, ``max_model_len``, ``tensor_parallel_size`` and ``dtype``.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # read when vllm is imported
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIB)
    from vllm import EngineArgs, LLMEngine
    from vllm.platforms import current_platform  # asked in place of torch, which might wake CUDA before vLLM forks

    cpu = current_platform.is_cpu()
    return LLMEngine.from_engine_args(
        EngineArgs(
            **settings,
            enforce_eager=cpu,  # compiling for a CPU takes minutes
            # after a part of a prompt, vLLM 0.30.0 sets an offset that a generator of a CPU has not
            enable_chunked_prefill=False if cpu else None,
            enable_prefix_caching=True,  # the responses to a problem share its prompt
            disable_log_stats=True,
        )
    )


def serve(engine: Any, requests: "queue.SimpleQueue[Any]", answer: Callable[[Any], None]) -> None:
    """Generate until the queue says None.

    Args:
        engine: of vLLM.
        requests: a name, the tokens of the prompt and arguments of vLLM's ``SamplingParams`` each.
        answer: called with the name, the tokens, and whether the response ended by itself.
    """
    from vllm import SamplingParams
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind

    while True:
        while not requests.empty() or not engine.has_unfinished_requests():
            request = requests.get()
            if request is None:
                return
            name, prompt_ids, sampling = request
            # the end-of-sequence ids of generation_config.json count, its other defaults do not, as in verl's rollouts
            params = SamplingParams(**sampling, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
            engine.add_request(name, tokens_input(prompt_ids), params)
        for output in engine.step():
            if output.finished:
                only = output.outputs[0]
                answer([output.request_id, list(only.token_ids), only.finish_reason == "stop"])


def reason_of(error: BaseException) -> str:
    """An exception in one line, without what pydantic writes around it."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\d+ validation errors? for \w+ (Value error|Assertion failed), ", "", text)
    text = re.sub(r" \[type=\w+, input_value=.*", "", text)
    return f"{type(error).__name__}: {textwrap.shorten(text, LONGEST_REASON, placeholder=' ...')}"


def _read(requests: "queue.SimpleQueue[Any]") -> None:
    """Pass on what arrives, up to the null or the end, so that the other side never waits for the engine."""
    for line in sys.stdin.buffer:
        requests.put(request := json.loads(line))
        if request is None:
            return
    requests.put(None)


def main() -> None:
    """Run the engine; see the module."""
    end_with(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        engine = start_engine(json.loads(sys.stdin.buffer.readline()))
        answer({"ready": True})
        threading.Thread(target=_read, args=[requests], daemon=True).start()  # the engine may fail before the end
        serve(engine, requests, answer)
    except BrokenPipeError:  # the evaluation was stopped and does not want the rest
        pass
    except Exception as error:
        traceback.print_exc()
        answer({"error": reason_of(error)})
        os._exit(1)  # without waiting for the thread that reads
    engine.engine_core.shutdown()


if __name__ == "__main__":
    main()
