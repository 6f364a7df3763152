"""What type checkers make of tasks, jobs and submitting. They refuse the lines that end with "# E", and no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from slurmkit import Cluster, Job, JobArray, JobContext, Task, task


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task(time=3)
def train(cfg: dict[str, float], *, job: JobContext) -> float:
    return job.rank


@task
def where(job: JobContext) -> str:
    return job.hostname


def plain(text: str) -> bytes:
    return text.encode()


def good(cluster: Cluster) -> None:
    one = cluster.submit(add, 1, b=2)
    assert_type(one, Job[int])
    assert_type(cluster.submit(train, {"lr": 1.0}), Job[float])
    assert_type(cluster.submit(where.with_options(nodes=2).after(one)), Job[str])
    assert_type(cluster.submit(plain, "x"), Job[bytes])
    assert_type(one.result(timeout=3) + add(1), int)
    assert_type(one.results(), list[int])
    again: Task[[str], bytes] = task(plain)
    assert_type(again("x"), bytes)
    assert_type(train({"lr": 1.0}).hex() + where(), str)
    anything: list[Job[object]] = [one, cluster.submit(plain, "x")]
    assert_type(anything[0].result(), object)


async def awaited(job: Job[int]) -> int:
    return await job


def bad(cluster: Cluster) -> None:
    cluster.submit(add, "x")  # E
    cluster.submit(add, 1, c=2)  # E
    cluster.submit(plain, 3)  # E
    wrong: Job[str] = cluster.submit(add, 1)  # E
    text: str = cluster.submit(add, 1).result()  # E
    print(wrong, text)
    add("x")  # E
    Cluster("slrum")  # E
    task(callbacks=[3])  # E


# --- jobs to wait for -------------------------------------------------------------------------------------------------


def good_after(job: Job[str], other: Job[Any]) -> None:
    waits: Task[..., int] = add.after(job, other, 12, "13_1", when="any").after(job, when="not_ok")
    assert_type(waits(1), int)


def bad_after(job: Job[int]) -> None:
    add.after(1, when="sometimes")  # E
    add.after(3.0)  # E
    add.after([job])  # E


# --- jobs as arguments ------------------------------------------------------------------------------------------------


@task
def total(numbers: Sequence[int]) -> int:
    return sum(numbers)


@task
def mix(a: int, b: str, c: list[float], d: int | None = None, *, scale: float = 1.0) -> float:
    return scale


def several(*numbers: int) -> int:
    return sum(numbers)


def good_arguments(
    cluster: Cluster, number: Job[int], flag: Job[bool], text: Job[str], numbers: Job[list[float]], unknown: Job[Any]
) -> None:
    assert_type(cluster.submit(add, number), Job[int])
    assert_type(cluster.submit(add, number, 2), Job[int])
    assert_type(cluster.submit(add, number, b=2), Job[int])
    assert_type(cluster.submit(add, 1, number), Job[int])
    assert_type(cluster.submit(add, number, number), Job[int])
    assert_type(cluster.submit(add.after(text), flag, unknown), Job[int])
    assert_type(cluster.submit(plain, text), Job[bytes])
    assert_type(cluster.submit(mix, number, text, numbers), Job[float])
    assert_type(cluster.submit(mix, 1, text, [1.0]), Job[float])
    assert_type(cluster.submit(mix, 1, "", numbers, scale=2.0), Job[float])
    assert_type(cluster.submit(mix, 1, text, [1.0], number, scale=2.0), Job[float])
    assert_type(cluster.submit(several, 1, number), Job[int])
    assert_type(cluster.submit(train, unknown), Job[float])
    # By keyword and inside of other values a checker has to be told.
    assert_type(cluster.submit(add, 1, b=number.as_argument()), Job[int])
    assert_type(cluster.submit(total, [number.as_argument(), 3]), Job[int])


def bad_arguments(
    cluster: Cluster, number: Job[int], text: Job[str], nothing: Job[int | None], numbers: Job[list[float]]
) -> None:
    cluster.submit(add, text)  # E
    cluster.submit(add, 1, text)  # E
    cluster.submit(add, number, text)  # E
    cluster.submit(add, number, "x")  # E
    cluster.submit(add, "x", number)  # E
    cluster.submit(add, number, c=2)  # E
    cluster.submit(add, nothing)  # E
    cluster.submit(plain, number)  # E
    cluster.submit(mix, number, number, numbers)  # E
    cluster.submit(mix, number)  # E
    cluster.submit(mix, number, text, numbers, scale="x")  # E
    cluster.submit(total, [text.as_argument()])  # E
    cluster.submit(add, 1, b=text.as_argument())  # E
    add(number)  # E
    wrong: Job[str] = cluster.submit(add, number)  # E
    print(wrong)


def good_arrays(cluster: Cluster, numbers: JobArray[int], text: Job[str], number: Job[float]) -> None:
    assert_type(cluster.submit(total, numbers), Job[int])
    assert_type(cluster.submit(add, numbers[0], numbers[1]), Job[int])
    assert_type(cluster.submit(both, number, numbers), Job[str])
    assert_type(cluster.submit(both, 1.0, numbers=numbers.as_argument()), Job[str])
    assert_type(cluster.submit(add.after(numbers, text, when="any"), 1), Job[int])
    assert_type(cluster.map(add.after(numbers, when="corr"), [1, 2]), JobArray[int])


def bad_arrays(cluster: Cluster, numbers: JobArray[int], texts: JobArray[str], number: Job[int]) -> None:
    cluster.submit(total, texts)  # E
    cluster.submit(add, numbers)  # E
    cluster.submit(total, number)  # E
    cluster.submit(both, 1.0, texts)  # E


def both(a: float, numbers: list[int]) -> str:
    return f"{a}: {numbers}"
