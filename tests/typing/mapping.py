"""What type checkers make of `Cluster.map` and `JobArray`. They refuse the lines that end with "# E", and no other."""

from __future__ import annotations

import concurrent.futures
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_type

from slurmkit import Cluster, Job, JobArray, JobContext, Outcomes, task


@task
def square(a: int) -> int:
    return a * a


@task
def more(a: int, b: str = "") -> float:
    return float(a) + len(b)


@task
def area(width: float, height: float) -> float:
    return width * height


@task
def placed(item: str, *, job: JobContext) -> bytes:
    return f"{item}{job.rank}".encode()


def plain(text: str) -> bytes:
    return text.encode()


def good(cluster: Cluster) -> None:
    array = cluster.map(square, range(3), max_concurrent=2)
    assert_type(array, JobArray[int])
    assert_type(cluster.map(more, [1, 2]), JobArray[float])
    assert_type(cluster.map(placed.with_options(nodes=2), ["a"]), JobArray[bytes])
    assert_type(cluster.map(plain, iter(["a", "b"])), JobArray[bytes])
    assert_type(cluster.starmap(area, [(1.0, 2.0)]), JobArray[float])
    assert_type(array[0], Job[int])
    assert_type(array[1:], Sequence[Job[int]])
    assert_type(array.results(timeout=3), list[int])
    assert_type(array.outcomes(), Outcomes[int])
    assert_type(array.outcomes().results, Mapping[int, int])
    assert_type(array.failed(), list[Job[int]])
    assert_type(array.as_completed(), Iterator[Job[int]])
    assert_type(array.states(), Counter[str])
    assert_type(array.retry_failed().wait(), JobArray[int])
    assert_type(array[0].future(), concurrent.futures.Future[int])
    anything: JobArray[object] = array
    jobs: Sequence[Job[object]] = array
    print(anything, jobs, cluster.attach("12").results())


async def awaited(array: JobArray[str]) -> list[str]:
    return await array


def bad(cluster: Cluster, array: JobArray[int]) -> None:
    cluster.map(square, ["x"])  # E
    cluster.map(square, 3)  # E
    cluster.map(square, [1], max_concurrent="2")  # E
    cluster.map(area, [1.0])  # E
    cluster.starmap(area, [(1.0, "x")])  # E
    cluster.starmap(area, [(1.0,)])  # E
    wrong: JobArray[str] = cluster.map(square, [1])  # E
    text: list[str] = array.results()  # E
    array.cancel("all")  # E
    array[0] = array[1]  # E
    print(wrong, text)
