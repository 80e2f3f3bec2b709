"""Telling linear from quadratic by processor time, on a machine that is busy with other work."""

import gc
import math
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

ROUNDS = 10
#: Seconds that every run may take besides.
SLACK = 0.02


def assert_linear(work: Callable[[T], object], make: Callable[[int], T]) -> None:
    """Fail where `work` takes ten times as long for `make(8)` as for `make(2)`; quadratic is sixteen times.

    The least of some runs is compared: what else the machine does only ever adds.
    """
    inputs = make(2), make(8)
    least = [math.inf, math.inf]
    for _ in range(ROUNDS):
        least = [min(seconds, _processor(work, given)) for seconds, given in zip(least, inputs, strict=True)]
        if least[1] < 10 * least[0] + SLACK:
            return
    pytest.fail(f"four times the input took {least[1] / least[0]:.1f} times as long")


def _processor(work: Callable[[T], object], given: T) -> float:
    """Seconds of this thread alone, without those of a collection of all that tests before this one left."""
    gc.disable()
    try:
        begun = time.thread_time()
        work(given)
        return time.thread_time() - begun
    finally:
        gc.enable()
