# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Public data set -> parquet file in verl's format, with a note beside it that says what is in it."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from verl_resrl.tasks.data import convert
from verl_resrl.tasks.data.convert import SchemaError
from verl_resrl.tasks.data.sources import Source

BATCH_ROWS = 64  # tests of a programming problem may have many megabytes
READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
# the same for all sources: verl puts several files together
SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "ability": pa.string(),
        "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.large_string()}),
        "extra_info": pa.struct({"index": pa.int64(), "split": pa.string(), "id": pa.string(), "rating": pa.int64()}),
    }
)


class DataError(Exception):
    """Something the user can put right; the message is one line."""


def prepare(
    source: Source,
    folder: Path,
    local: Path | None = None,
    limit: int | None = None,
    revision: str | None = None,
    force: bool = False,
) -> str:
    """Make ``folder/NAME.parquet``, unless it is there, whole, and was made from the same.

    Args:
        source: the data set.
        folder: of the result.
        local: file or folder to read in place of the hub.
        limit: only so many problems, the first ones.
        revision: commit on the hub in place of the source's; it means nothing with ``local``.
        force: make it again.

    Returns:
        One line about the result.

    Raises:
        DataError: the source cannot be read, a row does not fit its schema, or count or checksum are not as recorded.
    """
    target, note = folder / f"{source.name}.parquet", folder / f"{source.name}.json"
    files = None if local is None else _local_files(source, local)
    commit = (revision or source.revision) if files is None else None
    wanted: dict[str, Any] = {
        "source": source.hub if files is None else _state(files),
        "limit": limit,
        "revision": commit,
    }
    # other prompts or ground truths of the same source
    wanted |= {"converter": _file_sha256(Path(convert.__file__)), "parts": list(source.configs)}
    if not force and _is_done(target, note, wanted):
        return f"{target}: there already, checksum verified"
    rows = _hub_rows(source, revision or source.revision) if files is None else _local_rows(source, files)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".tmp")
    try:
        count, checksum = _write(islice(_converted(source, rows), limit), unfinished)
        if limit is None:
            _verify(source, count, checksum)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    known = wanted | {"rows": count, "sha256": checksum, "file_sha256": _file_sha256(unfinished)}
    os.replace(unfinished, target)
    _write_text(note, json.dumps(known, indent=1) + "\n")
    expected = "" if limit is not None or source.rows else ", how many it should have is not on record"
    return f"{target}: {count} problems{expected}, sha256 {checksum}"


def _converted(source: Source, rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[bytes] = set()
    index = 0
    for number, row in enumerate(rows):
        try:
            task = source.convert(row)
        except SchemaError as error:
            raise DataError(f"{source.name}: row {number}: {error}") from error
        if task is None:
            continue
        key = hashlib.sha256(task.prompt.encode()).digest()
        if source.unique and key in seen:
            continue
        seen.add(key)
        yield {
            "data_source": source.name,
            "prompt": [{"role": "user", "content": task.prompt}],
            "ability": source.ability,
            "reward_model": {"style": "rule", "ground_truth": task.ground_truth},
            "extra_info": {
                "index": index,
                "split": "train" if source.train else "test",
                "id": task.id,
                "rating": task.rating,
            },
        }
        index += 1


def _write(rows: Iterator[dict[str, Any]], path: Path) -> tuple[int, str]:
    """Write rows; returns how many and their checksum."""
    count, checksum = 0, hashlib.sha256()
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for batch in iter(lambda: list(islice(rows, BATCH_ROWS)), []):
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
            for row in batch:
                checksum.update(digest(row))
            count += len(batch)
    if count == 0:
        raise DataError("no problem is left: the source has no rows, or none that can be used")
    return count, checksum.hexdigest()


def digest(row: Mapping[str, Any]) -> bytes:
    """What a row adds to the checksum: its content, whatever the version of parquet."""
    return json.dumps(row, sort_keys=True).encode() + b"\n"


def _verify(source: Source, count: int, checksum: str) -> None:
    if source.rows is not None and count != source.rows:
        raise DataError(f"{source.name}: {count} problems, {source.rows} expected: is the source complete?")
    if source.sha256 is not None and checksum != source.sha256:
        raise DataError(f"{source.name}: sha256 {checksum}, {source.sha256} expected: the source has changed")


def _is_done(target: Path, note: Path, wanted: dict[str, Any]) -> bool:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        same = all(known.get(key) == value for key, value in wanted.items())
        return same and known["file_sha256"] == _file_sha256(target)
    except (OSError, ValueError, KeyError):
        return False


def _local_files(source: Source, path: Path) -> list[Path]:
    """The files of a copy; of a clone of the whole repository, those of the source's part."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.suffix in READERS)
    names = {Path(name).name for name in source.files}
    for belongs in (
        lambda file: any(config in file.parts for config in source.configs),
        lambda file: file.name in names if names else file.name.startswith(source.split),
    ):
        files = [file for file in files if belongs(file)] or files
    if not files:
        raise DataError(f"{path}: no file that ends in {', '.join(READERS)}")
    kinds = {READERS[file.suffix] for file in files}
    if len(kinds) > 1:
        raise DataError(f"{path}: files of several kinds ({', '.join(sorted(kinds))}): name one")
    return files


def _state(files: list[Path]) -> list[list[Any]]:
    """What tells one state of local files from another."""
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _local_rows(source: Source, files: list[Path]) -> Iterator[Mapping[str, Any]]:
    import datasets

    for file in files:
        try:
            rows = datasets.load_dataset(READERS[file.suffix], data_files=str(file), split="train")
        except Exception as error:
            raise DataError(f"{file}: cannot be read: {_one_line(error)}") from error
        yield from tqdm(rows, desc=f"{source.name} {file.name}", unit=" rows")


def _hub_rows(source: Source, commit: str) -> Iterator[Mapping[str, Any]]:
    import datasets

    if source.files:
        files = [_downloaded(source, commit, name) for name in source.files]
        yield from _local_rows(source, files)
        return
    for name in source.configs:
        try:
            rows = datasets.load_dataset(source.hub, name, revision=commit, split=source.split)
        except Exception as error:
            raise _unreachable(source, error) from error
        yield from tqdm(rows, desc=source.name, unit=" rows")


def _downloaded(source: Source, commit: str, name: str) -> Path:
    """A file of the hub, whose content is the published one."""
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(source.hub, name, repo_type="dataset", revision=commit))
    except Exception as error:
        raise _unreachable(source, error) from error
    checksum = _file_sha256(file)
    if commit == source.revision and checksum != source.files[name]:
        raise DataError(
            f"{source.name}: {file.resolve()} has sha256 {checksum}, {source.files[name]} expected: "
            "delete it and try again"
        )
    return file


def _unreachable(source: Source, error: BaseException) -> DataError:
    return DataError(
        f"{source.name}: {source.hub} cannot be loaded from the Hugging Face hub ({_one_line(error)}); "
        "with a copy on disk: --from FILE_OR_FOLDER"
    )


def _one_line(error: BaseException) -> str:
    error = error.__cause__ or error  # the library's own error often says only that there was one
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _file_sha256(path: Path) -> str:
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            checksum.update(chunk)
    return checksum.hexdigest()


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
