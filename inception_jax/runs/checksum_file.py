"""Checksums of the records and the verdict of a run, in checksums.txt beside them.

Each line has a CRC-32 in hexadecimal digits and the name of a file. Those of
metrics.jsonl are running checksums, one for each record, so that a changed, missing or
moved record is noticed. Runs of older versions have no such file.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import open_no_link, write_text

CHECKSUMS = 'checksums.txt'
METRICS = 'metrics.jsonl'
ADVICE = f'restore the file from a copy, or accept it by removing {CHECKSUMS}'


def running_checksum(line: str, before: int = 0) -> int:
    """Returns the checksum of all records up to `line`, from that of those before."""
    return zlib.crc32(line.encode(), before)


def start_checksums(folder: Path, lines: Iterable[str], files: Sequence[str]) -> int:
    """Writes the checksums of records and of other files of a run anew.

    Args:
      lines: the lines of metrics.jsonl.
      files: names of files; those that do not exist are left out.

    Returns:
      The running checksum of all records.
    """
    content, last = [], 0
    for line in lines:
        last = running_checksum(line, last)
        content.append(_entry(last, METRICS))
    for name in files:
        if (folder / name).is_file():
            content.append(_entry(zlib.crc32((folder / name).read_bytes()), name))
    write_text(folder / CHECKSUMS, ''.join(content))
    return last


def add_checksum(folder: Path, checksum: int, name: str = METRICS) -> None:
    """Adds the checksum of one more record, or of another file."""
    with open_no_link(folder / CHECKSUMS, 'a') as file:
        file.write(_entry(checksum, name))


def add_file_checksum(folder: Path, name: str) -> None:
    """Adds the checksum of a file that was written."""
    add_checksum(folder, zlib.crc32((folder / name).read_bytes()), name)


def read_checksums(folder: Path, name: str) -> list[int]:
    """Returns the checksums of a file in their order; none in an older run.

    Raises:
      ValueError: checksums.txt is damaged.
    """
    try:
        content = (folder / CHECKSUMS).read_bytes().decode('ascii', 'replace')
    except (FileNotFoundError, NotADirectoryError):
        return []
    checksums = []
    # The last line of a killed run may be cut short.
    for line in content.splitlines(keepends=True):
        match = re.fullmatch(r'([0-9a-f]{8}) ([\w.]+)\n', line)
        if match and match[2] == name:
            checksums.append(int(match[1], 16))
        elif not match and line.endswith('\n'):
            raise ValueError(
                f'{folder / CHECKSUMS} is damaged; restore it from a copy, or remove it'
            )
    return checksums


def check_content(folder: Path, name: str, content: bytes) -> None:
    """Raises ValueError if the content of a file is not what the run wrote."""
    checksums = read_checksums(folder, name)
    if checksums and zlib.crc32(content) != checksums[-1]:
        raise ValueError(f'{folder / name} is not what the run wrote; {ADVICE}')


def check_records(folder: Path, lines: Sequence[bytes], checksums: list[int]) -> None:
    """Raises ValueError unless the records are those that the run wrote.

    More records than checksums are accepted: a run may be writing, or was killed.
    """
    last = 0
    for number, (line, checksum) in enumerate(
        zip(lines, checksums, strict=False), start=1
    ):
        last = zlib.crc32(line, last)
        if last != checksum:
            raise ValueError(
                f'{folder}: line {number} of {METRICS} is not what the run wrote; '
                f'{ADVICE}'
            )
    if len(lines) < len(checksums):
        raise ValueError(
            f'{folder}: {METRICS} has {counted(len(lines), "line")}, and the run '
            f'wrote {len(checksums):,}; {ADVICE}'
        )


def _entry(checksum: int, name: str) -> str:
    return f'{checksum:08x} {name}\n'
