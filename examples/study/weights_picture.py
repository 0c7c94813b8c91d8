# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Where the weights are: wrong responses token by token, by the residual and by interference, beside a right one.

It draws what `resrl eval --token-weights N` left in its folder. A mark stands below the first token that no right
response has there.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib
import study_settings  # noqa: F401 (puts the quickstart's folder on the path)
from matplotlib.figure import Figure

# isort: split
from localise import FIRST_WRONG_CHARACTER

from verl_resrl.evaluation.finished import read_finished
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.evaluation.token_view import BOTH_WEIGHTINGS, TOKENS_FILE
from verl_resrl.report.token_lines import Page

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt

COLUMNS, NAMES, INCHES_WIDE, INCHES_OF_LINE = 110, 22, 9.6, 0.2
SPECIAL = re.compile(r"<[^ >]+>")


def first_wrong_token(tokens: Sequence[str], source: str, ground_truth: str) -> int | None:
    """Tell where a response goes wrong.

    Args:
        tokens: texts; that of the end of the response is empty.
        source: data source of the problem.
        ground_truth: of the problem.

    Returns:
        None for right responses, for those that were cut off before anything was wrong, and for other problems than
        the study's.
    """
    find = FIRST_WRONG_CHARACTER.get(source)
    wrong_from = None if find is None else find("".join(tokens), ground_truth)
    if wrong_from is None:
        return None
    ended_too_early = len(tokens) - 1 if tokens[-1] == "" else None
    return next((i for i, end in enumerate(accumulate(map(len, tokens))) if wrong_from < end), ended_too_early)


def draw(views: Sequence[dict[str, Any]], problems: Sequence[dict[str, Any]], file: Path) -> None:
    """Write the picture.

    Args:
        views: rows of ``tokens.jsonl``.
        problems: row of the data of each.
        file: PNG to write.
    """
    figure = plt.figure(figsize=(INCHES_WIDE, 1.0))
    lines = _write(figure, views, problems, 1)  # to see how many there are
    figure.clear()
    figure.set_figheight(lines * INCHES_OF_LINE)
    _write(figure, views, problems, lines)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def read_views(folder: Path) -> list[dict[str, Any]]:
    """What ``resrl eval --token-weights`` has written.

    Args:
        folder: of the evaluation.

    Raises:
        EvaluationError: it has written nothing.
    """
    file = folder / TOKENS_FILE
    if not file.exists():
        raise EvaluationError(f"{folder} has no {TOKENS_FILE}: evaluate with --token-weights")
    views = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not views:
        raise EvaluationError(f"{file} is empty: no problem has right and wrong responses")
    return views


def _write(figure: Figure, views: Sequence[dict[str, Any]], problems: Sequence[dict[str, Any]], lines: float) -> float:
    page = Page(figure.add_axes((0.01, 0.0, 0.98, 1.0)), COLUMNS, lines, NAMES)
    for view, problem in zip(views, problems, strict=True):
        page.text("problem", problem["prompt"][-1]["content"])
        page.response("right", _shown(view["positive"]["tokens"]))
        tokens = _shown(view["negative"]["tokens"])
        mark = first_wrong_token(tokens, problem["data_source"], problem["reward_model"]["ground_truth"])
        for name in BOTH_WEIGHTINGS:
            page.response(f"wrong, {name}", tokens, view["negative"]["weights_by"][name], mark)
        page.skip()
    return page.lines


def _shown(tokens: Sequence[str]) -> list[str]:
    """Without the texts of special tokens, such as that of the end."""
    return [SPECIAL.sub("", token) for token in tokens]


def main() -> int:
    """Read the command line and draw; 0, or 1 with one line if there is nothing to draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", metavar="EVALUATION", type=Path, help="folder that resrl eval wrote")
    parser.add_argument("--examples", type=int, default=3, help="the first of the folder's (3)")
    parser.add_argument("--out", type=Path, default=Path("weights.png"), help="image to write (%(default)s)")
    options = parser.parse_args()
    try:
        problems = read_finished(options.evaluation).problems
        views = read_views(options.evaluation)[: options.examples]
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    draw(views, [problems[view["problem"]].row for view in views], options.out)
    print(f"{options.out}: problems {', '.join(str(view['problem']) for view in views)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
