"""Formats figures and tables."""
import statistics
import time

import kernel


def number(value, digits=None):
    """A number with this many decimals; by default with about three digits in total."""
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    return f"{value:,.{digits}f}"


def spread(values, digits=None):
    """The median of some values, with their minimum and maximum."""
    if digits is None:  # all three get the decimals of the median
        middle = statistics.median(values)
        digits = len(number(middle).partition(".")[2]) if middle else 0
    low, middle, high = (number(value, digits) for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} [{low}, {high}]"


def ratio(ours, theirs):
    """The median of the other's values divided by ours, each in the same round."""
    return number(statistics.median(other / our for our, other in zip(ours, theirs)), 2) if min(ours) > 0 else "-"


def table(head, rows):
    """Prints an aligned table in Markdown."""
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]

    def line(cells):
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |")
    line(head)
    line(["-" * width for width in widths])
    for row in rows:
        line(row)


def footer(how):
    """Prints the date, the machine, its load, and how the figures were measured."""
    print(f"{time.strftime('%Y-%m-%d')}, {kernel.machine()}, {kernel.load()}: {how}", flush=True)
