"""Figures as text."""
import statistics
import time

import kernel


def spread(values, digits=2):
    """The median of some values, and between which they lie."""
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} [{low}, {high}]"


def table(head, rows):
    """Prints an aligned table, which is one in Markdown too."""
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]

    def line(cells):
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + " |")
    line(head)
    line(["-" * width for width in widths])
    for row in rows:
        line(row)


def footer(how):
    """When, where and how."""
    print(f"{time.strftime('%Y-%m-%d')}, {kernel.machine()}, {kernel.load()}: {how}", flush=True)
