# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark asks. Needs nothing but Python, so that --help is quick."""

# name, as in the CSV and on the command line: what it asks
QUESTIONS = {
    "weights": "token weights against the eager method: time, peak memory, error against float64",
    "interference": "interference beside the token weights: time and peak memory of the other score",
    "residual": "the residual kernel alone, as a share of the copy bandwidth",
    "step": "what ResRL adds to log-prob pass and training step of Qwen3-1.7B and 4B with random weights",
    "exchange": "what data-parallel ranks send each other for the weights of a step, and how long it takes",
    "generation": "the rollout of +device=cpu beside transformers' own sampling, 135M parameters (CPU only)",
    "growth": "how time and memory of the weights grow with tokens, groups, hidden size and rank",
}
# why a question is skipped without a GPU
NEEDS_GPU = {
    "residual": "it asks for the bandwidth of a GPU kernel",
    "step": "models of billions of parameters would take hours on a CPU",
}
