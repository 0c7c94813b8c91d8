# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden states and weights of responses that are looked at again."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.evaluation.evaluations import samples_in
from tests.integration.engines import last_layer_inputs, make_batch
from verl_resrl import ResRLConfig, interference, token_weights
from verl_resrl.evaluation.settings import EvaluationError, Settings
from verl_resrl.evaluation.states import response_states


def test_settings_are_frozen_and_validated() -> None:
    with pytest.raises(EvaluationError, match="--token-weights compares right and wrong"):
        Settings(model="m", data=("d",), n=1, k=(1,), token_weights=1)


def test_states_are_hugging_faces_one_sequence_at_a_time(task: Path) -> None:
    data = make_batch([("a", 3, 5, 1.0), ("a", 3, 2, 0.0), ("a", 3, 7, 0.0)])
    prompt = data["prompts"].unbind()[0]
    responses = [response.tolist() for response in data["responses"].unbind()]
    ids = [torch.cat([prompt, torch.tensor(response)]) for response in responses]
    data["input_ids"] = torch.nested.as_nested_tensor(ids, layout=torch.jagged)
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    states = response_states(model, prompt.tolist(), responses).hidden["last", "predicting"]
    torch.testing.assert_close(states, torch.cat(last_layer_inputs(task / "model", data)), atol=1e-5, rtol=1e-5)


def test_other_states_and_entropy_are_hugging_faces(task: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    prompt, responses = [3, 4], [[5, 6, 7], [8]]
    wanted = [("middle", "consuming"), (1, "predicting")]
    states = response_states(model, prompt, responses, wanted, with_entropy=True)
    middle, first, entropy = [], [], []
    with torch.no_grad():
        for response in responses:
            out = model(torch.tensor([prompt + response]), output_hidden_states=True)
            middle.append(out.hidden_states[model.config.num_hidden_layers // 2][0, 2:])
            first.append(out.hidden_states[1][0, 1:-1])
            log_probs = out.logits[0, 1:-1].log_softmax(-1)
            entropy.append(-(log_probs.exp() * log_probs).sum(-1))
    for found, expected in zip([*states.hidden.values(), states.entropy], (middle, first, entropy), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_token_view_shows_the_weights_of_a_wrong_response(task: Path, evaluated: Path) -> None:
    views = [json.loads(line) for line in (evaluated / "tokens.jsonl").read_text().splitlines()]
    samples = samples_in(evaluated)
    assert len(views) == 2
    assert len({weight for view in views for weight in view["negative"]["weights"]}) > 1
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    for view in views:
        group = [s for s in samples if s["problem"] == view["problem"]]
        wrong = next(s for s in group if not s["correct"])
        right = next(s for s in group if s["correct"])
        for shown, chosen in ((view["negative"], wrong), (view["positive"], right)):
            assert shown["tokens"] == chosen["response"].split() + ["<|im_end|>"] * chosen["finished"]
        ids = [[int(word[1:]) for word in s["response"].split()] + [1] * s["finished"] for s in group]
        hidden = response_states(model, [3 + view["problem"]], ids).hidden["last", "predicting"]
        sequence = torch.tensor([i for i, response in enumerate(ids) for _ in response])
        correct = torch.tensor([s["correct"] for s in group])
        out = token_weights(hidden, sequence, torch.zeros(len(group), dtype=torch.int64), correct)
        own = sequence == group.index(wrong)
        assert view["negative"]["weights"] == pytest.approx(out.weights[own].tolist(), abs=1e-5)
        given = response_states(model, [3 + view["problem"]], ids, top_tokens=32).predictions
        assert given is not None
        groups = (sequence, torch.zeros(len(group), dtype=torch.int64), correct)
        score = interference(given.inputs, given.token_ids, given.top_ids, given.top_probs, *groups)
        assert view["negative"]["interferences"] == pytest.approx(score[own].tolist(), rel=1e-3, abs=1e-3)
        config = ResRLConfig(weighting="interference")
        by = token_weights(hidden, *groups, config, interference=score).weights[own].tolist()
        assert view["negative"]["weights_by"]["interference"] == pytest.approx(by, abs=1e-3)
        assert view["negative"]["weights_by"]["residual"] == view["negative"]["weights"]
        assert view["negative"]["residuals"] == pytest.approx(out.residual[own].tolist(), rel=1e-3)
