"""Hostile folder trees, with the images that they hold."""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Tree(NamedTuple):
    """Paths to build, and the images with their classes, or the words of a refusal.

    A path that ends in / is a folder, `a -> b` is a link, `a |` a named pipe and `a =`
    a socket; all others are files.
    """

    paths: tuple[str, ...]
    images: Sequence[tuple[str, str]] = ()
    ignored: Mapping[str, int] = MappingProxyType({})
    refusal: str = ''


def build(root: Path, paths: Iterable[str]) -> None:
    """Creates the files, folders, links and pipes of a tree."""
    for path in paths:
        name, _, target = path.partition(' -> ')
        place = root / name.removesuffix(' |').removesuffix(' =')
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            place.symlink_to(target.replace('ROOT', str(root)))
        elif name.endswith(' |'):
            os.mkfifo(place)
        elif name.endswith(' ='):
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.relpath(place))
        elif name.endswith('/'):
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(name.encode())


BOTH = ('ant/1.png', 'bee/2.png')
IMAGES = [('ant/1.png', 'ant'), ('bee/2.png', 'bee')]
LINK = 'link to a folder that was already read'
ENDINGS = (
    *('apng', 'avif', 'bmp', 'dib', 'gif', 'j2c', 'j2k', 'jfif', 'JP2', 'jpc', 'jpe'),
    *('JPEG', 'jpf', 'jpg', 'jpx', 'mpo', 'pbm', 'pgm', 'png', 'pnm', 'ppm', 'TIF'),
    *('tiff', 'webp'),
)
OTHERS = ('heic', 'HEIF', 'jxl', 'svg', 'npy', 'txt', 'zip')

TREES = {
    'plain': Tree(BOTH, IMAGES),
    'hidden and system folders': Tree(
        (
            *BOTH,
            *(f'{name}/1.png' for name in ('.git', '@eaDir', '__MACOSX')),
            *(f'ant/{name}/1.png' for name in ('.thumbnails', 'lost+found', '@eaDir')),
            *('ant/.ipynb_checkpoints/1-checkpoint.png', 'bee/.Trash-1000/files/1.png'),
            *('ant/deep/__MACOSX/._1.png', 'ant/._1.png', 'bee/Thumbs.db'),
        ),
        IMAGES,
    ),
    'every ending': Tree(
        ('ant/README', *(f'ant/1.{ending}' for ending in ENDINGS + OTHERS)),
        sorted((f'ant/1.{ending}', 'ant') for ending in ENDINGS),
        {'no extension': 1} | {f'.{ending.lower()}': 1 for ending in OTHERS},
    ),
    'a link to the folder above': Tree((*BOTH, 'ant/up -> ..'), IMAGES, {LINK: 1}),
    'a link to the top': Tree((*BOTH, 'ant/deep/up -> /'), IMAGES, {LINK: 1}),
    'a link to itself': Tree((*BOTH, 'ant/here -> here'), IMAGES, {'broken link': 1}),
    'two links in a circle': Tree(
        (*BOTH, 'ant/a/x -> ../b', 'ant/b/y -> ../a'), IMAGES, {LINK: 2}
    ),
    'a link to another class': Tree((*BOTH, 'ant/friend -> ../bee'), IMAGES, {LINK: 1}),
    'a class that is a link to the split': Tree((*BOTH, 'cat -> .'), IMAGES),
    'classes that are links': Tree(
        (
            '../store/a/1.png',
            '../store/b/2.png',
            'ant -> ../store/a',
            'bee -> ../store/b',
        ),
        IMAGES,
    ),
    'two classes that are one folder': Tree(
        (*BOTH, 'cat -> ant'), refusal="'ant' and 'cat' of .* are the same folder"
    ),
    'a folder beside a link to it': Tree(
        ('ant/a -> b', 'ant/b/1.png', 'bee/2.png'),
        [('ant/b/1.png', 'ant'), ('bee/2.png', 'bee')],
        {LINK: 1},
    ),
    'two links to one folder': Tree(
        ('../store/1.png', 'ant/y -> ../../store', 'ant/x -> ../../store', 'bee/2.png'),
        [('ant/x/1.png', 'ant'), ('bee/2.png', 'bee')],
        {LINK: 1},
    ),
    'pipes, sockets and broken links': Tree(
        (*BOTH, 'ant/3.png |', 'ant/4.png =', 'bee/5.png -> nowhere'),
        IMAGES,
        {'pipe, socket or device': 2, 'broken link': 1},
    ),
    'a link to a device': Tree(
        (*BOTH, 'ant/3.png -> /dev/zero'), IMAGES, {'pipe, socket or device': 1}
    ),
    'a folder with the name of an image': Tree(
        (*BOTH, 'ant/3.png/4.png'),
        [('ant/1.png', 'ant'), ('ant/3.png/4.png', 'ant'), ('bee/2.png', 'bee')],
    ),
    'odd names': Tree(
        ('a b/1 [2].png', 'a*/?.png', 'a\nb/\x1b[31m.png', 'caf\u00e9/\u65e5.png'),
        [
            ('a\nb/\x1b[31m.png', 'a\nb'),
            ('a b/1 [2].png', 'a b'),
            ('a*/?.png', 'a*'),
            ('caf\u00e9/\u65e5.png', 'caf\u00e9'),
        ],
    ),
    'composed and decomposed names': Tree(
        ('caf\u00e9/1.png', 'cafe\u0301/2.png'),
        refusal='have names that differ only in their Unicode form',
    ),
    'an empty class': Tree((*BOTH, 'cat/'), IMAGES),
    'no image': Tree(('ant/', 'bee/x.heic'), refusal='no image in a class folder'),
    'deep': Tree(
        ('ant/' + 200 * 'd/' + '1.png', 'bee/2.png'),
        [('ant/' + 200 * 'd/' + '1.png', 'ant'), ('bee/2.png', 'bee')],
    ),
}
