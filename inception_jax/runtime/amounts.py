"""Counts, bytes and operations in words."""


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """Returns a number and its noun, which is plural for every number but 1.

    >>> counted(1, 'image'), counted(1200, 'image'), counted(0.5, 'epoch')
    ('1 image', '1,200 images', '0.5 epochs')
    >>> counted(2, 'class', 'classes')
    '2 classes'
    """
    figure = f'{int(number):,}' if number == int(number) else f'{number:g}'
    return f'{figure} {noun if number == 1 else plural or f"{noun}s"}'


def memory_text(size: float) -> str:
    """Returns a number of bytes in the largest unit that gives at least 1.

    >>> memory_text(3 * 2**29), memory_text(5000), memory_text(0)
    ('1.50 GiB', '4.88 KiB', '0 bytes')
    """
    for unit, power in (('GiB', 30), ('MiB', 20), ('KiB', 10)):
        if size >= 2**power:
            return f'{size / 2**power:,.2f} {unit}'
    return f'{size:.0f} bytes'


def decimal_text(amount: float, unit: str) -> str:
    """Returns an amount with the largest prefix that gives at least 1.

    >>> decimal_text(2.287e12, 'FLOP'), decimal_text(15_000, 'B')
    ('2.287 TFLOP', '15.000 kB')
    """
    for prefix, power in (('T', 12), ('G', 9), ('M', 6), ('k', 3)):
        if amount >= 10**power:
            return f'{amount / 10**power:,.3f} {prefix}{unit}'
    return f'{amount:.0f} {unit}'
