# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the study trains: each variant is a ``+method=`` and what differs from that method's defaults."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: of its runs in the report, as ``trainer.experiment_name``.
        method: what follows ``+method=``.
        settings: more overrides for verl; in braces what ``overrides`` fills in.
        lr: learning rate, or None for the study's.
        lr_times: that rate is multiplied by it.
    """

    name: str
    method: str
    settings: tuple[str, ...] = ()
    lr: float | None = None
    lr_times: float = 1

    def overrides(self, **numbers: int) -> list[str]:
        """The settings as verl reads them.

        Args:
            **numbers: ``prompts``, ``mini_batch`` and ``rollouts`` of the study's other trainings.
        """
        paths = {"actor": "actor_rollout_ref.actor", "rollout": "actor_rollout_ref.rollout"}
        half = {f"half_{name}": number // 2 for name, number in numbers.items()}
        double = {f"double_{name}": 2 * number for name, number in numbers.items()}
        return [setting.format(**paths, **half, **double) for setting in self.settings]

    def rate(self, of_the_study: float) -> float:
        """Learning rate.

        Args:
            of_the_study: the rate of its other trainings.
        """
        return float(f"{self.lr_times * (of_the_study if self.lr is None else self.lr):g}")


def _plain(*methods: str) -> tuple[Variant, ...]:
    return tuple(Variant(method, method) for method in methods)


def _resrl(name: str, *settings: str) -> Variant:
    return Variant(f"resrl {name}", "resrl", settings)


MEASURED = "resrl.measure_lld=True"
RESRL = Variant("resrl", "resrl", (MEASURED,))
GRPO = Variant("grpo", "grpo")
BASELINES = _plain("psr", "nsr", "w_reinforce", "dapo")
SHUFFLED = Variant("resrl_shuffled", "resrl_shuffled")
CONTROLS = (*_plain("grpo_pos", "resrl_uniform"), SHUFFLED, *_plain("resrl_entropy"))

METHODS = (GRPO, RESRL, *BASELINES, *CONTROLS)

# the method's weights in GRPO's balance of right and wrong, and the control that isolates where they are
FULL = "resrl.lambda_pos=1"
RESRL_FULL = Variant("resrl lambda_pos 1", "resrl", (FULL,))
SHUFFLED_FULL = Variant("resrl_shuffled lambda_pos 1", "resrl_shuffled", (FULL,))

# both again at half the learning rate, where every method keeps more Pass@k (suite sensitivity), GRPO too
SLOW = 1e-4
GRPO_SLOW, RESRL_SLOW = Variant(f"grpo lr {SLOW:g}", "grpo", lr=SLOW), Variant(f"resrl lr {SLOW:g}", "resrl", lr=SLOW)
RESRL_FULL_SLOW = Variant(f"resrl lambda_pos 1 lr {SLOW:g}", "resrl", (FULL,), SLOW)
SHUFFLED_FULL_SLOW = Variant(f"resrl_shuffled lambda_pos 1 lr {SLOW:g}", "resrl_shuffled", (FULL,), SLOW)

# does it pay to know whom a penalty hurts? Interference and NTHR's threshold on it beside the residual, and its
# controls; with few and with all of the right responses' weight, at both learning rates
REVERSED = "resrl.weighting=interference_reversed"
RESRL_AT = {(0.1, None): RESRL, (0.1, SLOW): RESRL_SLOW, (1, None): RESRL_FULL, (1, SLOW): RESRL_FULL_SLOW}


def _by_interference(lambda_pos: float, lr: float | None) -> tuple[Variant, ...]:
    """The shuffled control first."""
    end = f" lambda_pos {lambda_pos:g}" + ("" if lr is None else f" lr {lr:g}")
    # the default: the study's small model has fewer for the residual
    own = (f"resrl.lambda_pos={lambda_pos:g}", "resrl.rank=64")
    return (
        Variant("resrl_interference shuffled" + end, "resrl_interference", (*own, "resrl.shuffle=True"), lr),
        Variant("resrl_interference" + end, "resrl_interference", own, lr),
        Variant("interference_reversed" + end, "resrl_interference", (*own, REVERSED), lr),
        Variant("nthr" + end, "nthr", own, lr),
        RESRL_AT[lambda_pos, lr],
    )


INTERFERENCE = {
    "few-positives": _by_interference(0.1, None),
    "full-positives": _by_interference(1, None),
    "few-positives-half-rate": _by_interference(0.1, SLOW),
    "full-positives-half-rate": _by_interference(1, SLOW),
}

CONSUMING = _resrl("consuming", "resrl.hidden_state_at=consuming")
CONSUMING_FULL = _resrl("consuming lambda_pos 1", "resrl.hidden_state_at=consuming", "resrl.lambda_pos=1")

# on a pretrained model. A learning rate for each method, chosen among these multiples of the study's for all alike by
# Avg at the end, under a seed that the comparison does not use; positives at full weight, at which the methods' other
# settings are compared
RATES = (0.3, 1, 3)
W_REINFORCE, RESRL_FEW = _plain("w_reinforce", "resrl")
SHUFFLED_INTERFERENCE_FULL, INTERFERENCE_FULL, _, NTHR_FULL, _ = INTERFERENCE["full-positives"]
SHUFFLED_INTERFERENCE, INTERFERENCE_FEW, _, NTHR_FEW, _ = INTERFERENCE["few-positives"]


def _at_rate(variant: Variant, times: float) -> Variant:
    return replace(variant, name=f"{variant.name} lr x{times:g}", lr_times=times)


RATED = tuple(
    _at_rate(one, times) for one in (GRPO, W_REINFORCE, RESRL_FULL, INTERFERENCE_FULL, NTHR_FULL) for times in RATES
)
# what came out of it on SmolLM2-135M, the one with the highest Avg of each method; the controls have that of their
# method, so that nothing but the places of the weights differs
CHOSEN_RATES = {"grpo": 1, "w_reinforce": 0.3, "resrl": 1, "resrl_interference": 1, "nthr": 1}


def _at_chosen_rate(*variants: Variant) -> tuple[Variant, ...]:
    return tuple(_at_rate(one, CHOSEN_RATES[one.method.removesuffix("_shuffled")]) for one in variants)


def _measured(*variants: Variant) -> tuple[Variant, ...]:
    """With the displacement measured in each step, beside what foresees it."""
    return tuple(replace(one, settings=(*one.settings, MEASURED)) for one in variants)


PRETRAINED_GRPO, *FIRST_LOOK = _at_chosen_rate(
    GRPO,
    W_REINFORCE,
    RESRL_FEW,
    RESRL_FULL,
    SHUFFLED,
    SHUFFLED_FULL,
    CONSUMING,
    CONSUMING_FULL,
    SHUFFLED_INTERFERENCE,
    INTERFERENCE_FEW,
    SHUFFLED_INTERFERENCE_FULL,
    INTERFERENCE_FULL,
    NTHR_FEW,
    NTHR_FULL,
)
# and what matters most of it: the methods in GRPO's balance of right and wrong, and the controls that tell whether the
# places of the weights do it; apart from them NTHR, which led the first look, and its control
MOST = _at_chosen_rate(*_measured(RESRL_FULL, SHUFFLED_FULL, INTERFERENCE_FULL, SHUFFLED_INTERFERENCE_FULL))
SHUFFLED_NTHR_FULL = replace(
    NTHR_FULL, name="nthr shuffled lambda_pos 1", settings=(*NTHR_FULL.settings, "resrl.shuffle=True")
)
PRETRAINED_NTHR = _at_chosen_rate(*_measured(NTHR_FULL, SHUFFLED_NTHR_FULL))

# one setting at a time, from the study's rank and the defaults of +method=resrl
SENSITIVITY = (
    _resrl("rank 4", "resrl.rank=4"),
    _resrl("rank 64", "resrl.rank=64"),
    _resrl("xi 0", "resrl.xi=0"),
    _resrl("xi 0.5", "resrl.xi=0.5"),
    _resrl("quantiles 0 1", "resrl.q_low=0", "resrl.q_high=1"),
    _resrl("lambda_pos 0", "resrl.lambda_pos=0"),
    RESRL_FULL,
    CONSUMING,
    _resrl("layer penultimate", "resrl.layer=penultimate"),
    _resrl("layer middle", "resrl.layer=middle"),
    # as many responses a step, in groups of another size
    _resrl(
        "half groups",
        "data.train_batch_size={double_prompts}",
        "{actor}.ppo_mini_batch_size={double_mini_batch}",
        "{rollout}.n={half_rollouts}",
    ),
    _resrl(
        "double groups",
        "data.train_batch_size={half_prompts}",
        "{actor}.ppo_mini_batch_size={half_mini_batch}",
        "{rollout}.n={double_rollouts}",
    ),
    *(
        Variant(f"{method} lr {lr:g}", method, lr=lr)
        for method in ("grpo", "resrl", *(baseline.name for baseline in BASELINES))
        for lr in (SLOW, 4e-4)
    ),
)

HELD_OUT_SEED = 100  # of no training that is compared
# suites that are trained under these seeds only: what is chosen by them is then compared under others
OWN_SEEDS = {"sensitivity": (0,), **dict.fromkeys(("pretrained-rates", "pretrained-first"), (HELD_OUT_SEED,))}


@dataclass(frozen=True)
class Report:
    """One page.

    Attributes:
        name: of its folder.
        suite: name that asks for it, and for all trainings that it shows.
        baseline: which the others are compared with.
        others: variants beside the baseline.
    """

    name: str
    suite: str
    baseline: Variant
    others: tuple[Variant, ...]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All of them, the baseline first."""
        return (self.baseline, *(variant for variant in self.others if variant != self.baseline))


REPORTS = (
    Report("methods", "methods", GRPO, METHODS),
    Report("methods-against-shuffled", "methods", SHUFFLED, METHODS),
    Report("full-positives", "full-positives", GRPO, (RESRL, SHUFFLED, RESRL_FULL, SHUFFLED_FULL)),
    Report("full-positives-against-shuffled", "full-positives", SHUFFLED_FULL, (GRPO, RESRL_FULL)),
    Report("half-rate", "half-rate", GRPO_SLOW, (RESRL_SLOW, RESRL_FULL_SLOW, SHUFFLED_FULL_SLOW)),
    Report("half-rate-against-shuffled", "half-rate", SHUFFLED_FULL_SLOW, (GRPO_SLOW, RESRL_FULL_SLOW)),
    Report("learning-rate", "half-rate", GRPO, (GRPO_SLOW,)),
    *(
        Report(f"interference-{name}", "interference", GRPO_SLOW if "half" in name else GRPO, own)
        for name, own in INTERFERENCE.items()
    ),
    *(
        Report(f"interference-{name}-against-shuffled", "interference", own[0], own[1:])
        for name, own in INTERFERENCE.items()
    ),
    Report("pretrained-first", "pretrained-first", PRETRAINED_GRPO, tuple(FIRST_LOOK)),
    Report("pretrained", "pretrained", PRETRAINED_GRPO, MOST),
    Report("pretrained-against-shuffled", "pretrained", MOST[1], (PRETRAINED_GRPO, MOST[0])),
    Report("pretrained-interference-against-shuffled", "pretrained", MOST[3], (PRETRAINED_GRPO, MOST[2])),
    Report("pretrained-nthr", "pretrained-nthr", PRETRAINED_GRPO, PRETRAINED_NTHR),
    Report("pretrained-nthr-against-shuffled", "pretrained-nthr", PRETRAINED_NTHR[1], (PRETRAINED_NTHR[0],)),
    Report("pretrained-rates", "pretrained-rates", RATED[0], RATED),
    Report("sensitivity", "sensitivity", GRPO, (RESRL, *BASELINES, *SENSITIVITY)),
)
SUITES = tuple(dict.fromkeys(report.suite for report in REPORTS))
# with rates for the small model, where those of the others are multiples of what suits the model
FIXED_RATES = {report.suite for report in REPORTS if any(variant.lr is not None for variant in report.variants)}
