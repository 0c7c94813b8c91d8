# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a Ray worker loads our plugin too: that is where training happens."""

import logging
import os
from typing import Any

from verl_resrl.doctor.finding import Problem

ADVICE = "install verl_resrl into the Python of every node, and set VERL_USE_EXTERNAL_PLUGINS nowhere"


def check_ray_worker() -> str:
    """Start Ray (or connect to the cluster in RAY_ADDRESS) and look into a worker process."""
    import ray

    already = ray.is_initialized()
    cluster = os.environ.get("RAY_ADDRESS")
    if not already:
        # without "local", Ray would join what another program has started on this machine
        local: dict[str, Any] = {} if cluster else {"address": "local", "num_cpus": 1, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
    try:
        python, loaded, estimators = ray.get(ray.remote(num_cpus=1)(_look).remote())
    except ray.exceptions.RayTaskError as error:
        last = str(error).strip().splitlines()[-1]
        raise Problem(f"a worker{f' of the cluster {cluster}' if cluster else ''} fails: {last}", ADVICE) from None
    finally:
        if not already:
            ray.shutdown()
    where = f"a worker of the cluster {cluster}" if cluster else "a worker"
    if not loaded or "resrl" not in estimators:
        raise Problem(f"{where} ({python}) does not load it", ADVICE)
    return f"loaded in {where}"


def _look() -> tuple[str, bool, set[str]]:
    """Runs in the worker, which may lack this package: then the import fails there."""
    import sys

    from verl_resrl.integration.registered import estimators_after_import

    return sys.executable, *estimators_after_import()
