"""Names of classes in a text file, one a line."""

from pathlib import Path


def read(option: str, path: Path | None) -> list[str] | None:
    """Returns the names in the file of an option, None without one.

    Raises:
      ValueError: it cannot be read, or names a class twice.
    """
    if path is None:
        return None
    try:
        names = path.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{option} {path} cannot be read; name a text file with a class a line'
        ) from error
    names = [name.strip() for name in names if name.strip()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{option} {path} names {twice} twice; classes are different')
    return names
