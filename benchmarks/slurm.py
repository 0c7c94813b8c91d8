# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""SLURM on two machines: munge and slurmd on each, slurmctld on the first, a "GPU" each that stands for a process."""

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machines import Machine

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel")
_CONFIG = """\
ClusterName=two
SlurmctldHost={head}({address})
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
GresTypes=gpu
ReturnToService=2
JobRequeue=1
MinJobAge=3600
KillWait=10
SlurmUser=root
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmdSpoolDir={folder}/spool_%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd_%n.log
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# of a job that will not run again by itself
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
_SECONDS_TO_START = 60


class Slurm:
    """Starts it; it ends with the machines.

    Args:
        machines: both; the controller runs on the first.
        folder: for its configuration, state and logs.
    """

    def __init__(self, machines: Sequence[Machine], folder: Path) -> None:
        self.head = machines[0]
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "state").mkdir(parents=True)
        folder.chmod(0o755)
        cpus = os.cpu_count()
        nodes = "\n".join(f"NodeName={m.name} NodeAddr={m.address} CPUs={cpus} Gres=gpu:1" for m in machines)
        config = folder / "slurm.conf"
        text = _CONFIG.format(head=self.head.name, address=self.head.address, folder=folder, nodes=nodes)
        config.write_text(text)
        (folder / "gres.conf").write_text("Name=gpu File=/dev/zero\n")
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        os.environ["SLURM_CONF"] = str(config)
        for machine in machines:
            machine.run("mkdir", "-p", "/run/munge")
            machine.run("munged", "--force", f"--key-file={key}", f"--log-file={folder}/munged_{machine.name}.log")
        self.head.run("slurmctld")
        for machine in machines:
            machine.run("slurmd", "-N", machine.name)
        self._wait_for_nodes(len(machines))

    def _wait_for_nodes(self, count: int) -> None:
        end = time.monotonic() + _SECONDS_TO_START
        while self.head.run("sinfo", "--noheader", "--format=%t %D").split() != ["idle", str(count)]:
            if time.monotonic() > end:
                raise RuntimeError(f"SLURM's nodes are not idle: {self.head.run('sinfo', '--long')}")
            time.sleep(0.5)

    def submit(self, *arguments: str) -> int:
        """Submit a job.

        Args:
            arguments: of sbatch.

        Returns:
            Its number.
        """
        return int(self.head.run("sbatch", "--parsable", *arguments))

    def state(self, job: int) -> str:
        """Tell a job's state, such as RUNNING.

        Args:
            job: its number.
        """
        return self._field(job, "JobState")

    def exit_code(self, job: int) -> str:
        """Tell a job's exit code and the signal that ended it, such as 0:0.

        Args:
            job: its number.
        """
        return self._field(job, "ExitCode")

    def _field(self, job: int, name: str) -> str:
        shown = self.head.run("scontrol", "show", "job", str(job)).split()
        return next(word.split("=", 1)[1] for word in shown if word.startswith(f"{name}="))
