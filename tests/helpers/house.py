"""The package as a house: rooms, floors and arrows, counted from the imports.

A room is a folder of the package or a file beside them. An arrow leads from a room to
one that it imports from; imports inside a function count too. A room stands one floor
above the highest room that it imports from. `make house` prints the result.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / 'inception_jax'

Arrows = dict[str, set[str]]


def imported_names(source: str) -> Iterator[str]:
    """Yields the dotted names that Python source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def source_files(package: Path = PACKAGE) -> list[Path]:
    """Lists the Python files of a package in order."""
    return sorted(package.rglob('*.py'))


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """Returns the folder, or the file beside the folders, that a path lies in."""
    return path.relative_to(package).parts[0].removesuffix('.py')


def arrows_between_rooms(package: Path = PACKAGE) -> Arrows:
    """Maps each room to the rooms that it imports from."""
    arrows: Arrows = {room_of(path, package): set() for path in source_files(package)}
    for path in source_files(package):
        room = room_of(path, package)
        for name in imported_names(path.read_text()):
            head, *rest = name.split('.')
            if head == package.name and rest and rest[0] in arrows:
                arrows[room] |= {rest[0]} - {room}
    return arrows


def arrows_between_files(package: Path = PACKAGE) -> Arrows:
    """Maps each module to the modules that it imports when it is itself imported."""
    modules = {_module_of(path, package): path for path in source_files(package)}
    arrows = {}
    for module, path in modules.items():
        top = ast.Module(_run_at_import(ast.parse(path.read_text()).body), [])
        names = imported_names(ast.unparse(top))
        targets = (n if n in modules else n.rpartition('.')[0] for n in names)
        arrows[module] = {target for target in targets if target in modules} - {module}
    return arrows


def _run_at_import(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Returns the statements without functions, methods and imports for types alone."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    typing_only = "If(test=Name(id='TYPE_CHECKING'"
    kept = []
    for statement in statements:
        if isinstance(statement, functions):
            continue
        if ast.dump(statement).startswith(typing_only):
            continue
        if isinstance(statement, ast.ClassDef):
            statement.body = _run_at_import(statement.body) or [ast.Pass()]
        kept.append(statement)
    return kept


def _module_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def floors(arrows: Arrows) -> dict[str, int]:
    """Returns the floor of each room, from 1.

    Raises:
      graphlib.CycleError: two rooms import from each other, directly or not.
    """
    floor: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(arrows).static_order():
        floor[room] = 1 + max((floor[other] for other in arrows[room]), default=0)
    return floor


def main(package: Path = PACKAGE) -> None:
    """Prints each floor with its rooms, and the three counts."""
    arrows = arrows_between_rooms(package)
    count = sum(map(len, arrows.values()))
    try:
        floor = floors(arrows)
    except graphlib.CycleError as error:
        print(
            f'{len(arrows)} rooms, {count} arrows; cycle: {" > ".join(error.args[1])}'
        )
        return
    for number in sorted(set(floor.values())):
        rooms = sorted(room for room in floor if floor[room] == number)
        print(f'floor {number:2}  {"  ".join(rooms)}')
    print(f'{len(arrows)} rooms, {max(floor.values())} floors, {count} arrows')


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
