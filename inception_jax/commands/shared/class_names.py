"""Class names in a text file, one name a line."""

from pathlib import Path


def load_class_names(option: str, path: Path | None) -> list[str] | None:
    """Returns the names in the file of an option, or None without a file.

    Raises:
      ValueError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        names = path.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{option} {path} cannot be read; name a text file with one class a line'
        ) from error
    return [name.strip() for name in names if name.strip()]


def load_distinct_class_names(option: str, path: Path | None) -> list[str] | None:
    """Returns the names in the file of an option, or None without a file.

    Raises:
      ValueError: the file cannot be read, or has a name twice.
    """
    names = load_class_names(option, path)
    if duplicates := [name for name in names or () if names.count(name) > 1]:
        raise ValueError(
            f'{option} {path} names {duplicates[0]} twice; classes need distinct '
            'names, and predict --class-names prints any names'
        )
    return names
