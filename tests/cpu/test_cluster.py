# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A CPU run and a Ray cluster: joined when it is asked for, refused in one line when it is in the way."""

import os

import psutil
import pytest
from omegaconf import OmegaConf

from verl_resrl.cpu.hydra_callback import SelectCPU
from verl_resrl.cpu.process import interface_of

OWN = {"num_gpus": 3, "num_cpus": 12}
JOINED = {"address": "auto", "num_gpus": None, "num_cpus": None}


def start(ray_init: dict[str, object]) -> None:
    SelectCPU().on_job_start(OmegaConf.create({"ray_kwargs": {"ray_init": ray_init}}))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which the callback sets, and monkeypatch then brings back
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_cluster_in_the_way_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(SystemExit) as error:
        start(OWN)
    assert error.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("error: +device=cpu starts a Ray of its own, and there is the cluster 10.0.0.1:6379")
    assert "+device=cpu_cluster" in line
    start(JOINED)
    monkeypatch.setenv("RAY_ADDRESS", "local")  # Ray's word for one of its own
    start(OWN)


def test_cuda_is_hidden_from_each_process() -> None:
    start(OWN)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1,-1,-1"
    start(JOINED)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_interface_of_an_address_is_found() -> None:
    loopback = next(name for name, all_of in psutil.net_if_addrs().items() if all_of[0].address == "127.0.0.1")
    assert interface_of("127.0.0.1") == loopback
    assert interface_of("192.0.2.77") is None
