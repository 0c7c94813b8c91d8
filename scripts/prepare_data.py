#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Turn public data sets and environments into parquet files that verl reads. See --help and --list."""

import argparse
import re
import sys
from pathlib import Path

from verl_resrl.tasks.data.environments import ENVIRONMENTS
from verl_resrl.tasks.data.prepare import DataError, prepare
from verl_resrl.tasks.data.sources import SOURCES


def table() -> str:
    """All sources, one line each and their notes."""
    lines = [f"{'name':15} {'kind':5} {'use':5} {'problems':>8}  {'license':12} Hugging Face hub, or what has it"]
    for source in SOURCES.values():
        rows, terms = source.rows or "?", source.license or "see the hub"
        use = "train" if source.train else "test"
        lines.append(f"{source.name:15} {source.ability:5} {use:5} {rows:>8}  {terms:12} {source.hub}")
        lines += [f"{'':15} {source.note}"] if source.note else []
    for environment in ENVIRONMENTS.values():
        terms = environment.license or "see there"
        columns = f"{environment.name:15} {'agent':5} {'both':5} {environment.problems:>8}  {terms:12}"
        lines.append(f"{columns} {environment.source}")
        lines += [f"{'':15} {environment.note}"] if environment.note else []
    return "\n".join(lines)


def main() -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Finished files are verified and left alone; downloads go on where they stopped (cache of `datasets`).",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to make; --list shows the names")
    parser.add_argument("--list", action="store_true", help="show what there is: size, license, source")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder of the files [data]")
    parser.add_argument("--from", dest="local", type=Path, help="copy of the data set on disk: a file or a folder")
    parser.add_argument("--limit", type=int, help="only the first so many problems")
    parser.add_argument("--revision", help="another commit on the hub than the one on record")
    parser.add_argument("--force", action="store_true", help="make files again that are there")
    options = parser.parse_args()
    if options.list:
        print(table())
        return 0
    unknown = [name for name in options.names if name not in (*SOURCES, *ENVIRONMENTS)]
    if unknown:
        parser.error(f"unknown name {unknown[0]!r}; there are {', '.join((*SOURCES, *ENVIRONMENTS))}")
    if not options.names:
        parser.error("name at least one data set; --list shows them")
    if options.local and len(options.names) > 1:
        parser.error("--from goes with one name")
    if options.revision is not None and not re.fullmatch("[0-9a-f]{40}", options.revision):
        parser.error("--revision must be a commit, 40 hexadecimal digits: a branch moves on")
    for name in (name for name in options.names if name in ENVIRONMENTS):
        unused = {"--revision": options.revision, "--force": options.force}
        unused |= {"--from": options.local} if not ENVIRONMENTS[name].takes_copy else {}
        for option in (option for option, value in unused.items() if value):
            parser.error(f"{option} means nothing for {name}")
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be 1 or more")
    for name in options.names:
        try:
            if name in ENVIRONMENTS:
                print(ENVIRONMENTS[name].make(options.out, options.local, options.limit))
                continue
            print(prepare(SOURCES[name], options.out, options.local, options.limit, options.revision, options.force))
        except (DataError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
