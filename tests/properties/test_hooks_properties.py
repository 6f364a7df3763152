"""Every hook is called as often, on the side and in the order that docs/callbacks.md says, for any callbacks and any end of a job."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import OUTCOMES, SECONDS, Outcome, Writes, act, until

import slurmkit
from fakeslurm import FakeSlurm, strategies
from slurmkit import Cluster, ExecutionLocus

CLIENT_ORDER = (
    *("on_begin_package_ctx", "on_end_package_ctx", "on_begin_submit_job_ctx", "on_end_submit_job_ctx"),
    *("on_job_status_update_ctx", "on_completed_ctx"),
)
RUNNER_ORDER = ("on_begin_run_job_ctx", "on_end_run_job_ctx", "on_completed_ctx")
Line = dict[str, Any]


def play(outcome: Outcome, plans: Sequence[strategies.CallbackPlan], nodes: int, ntasks: int) -> list[Line]:
    """What the callbacks have written when the job is over and the cluster is closed."""
    with tempfile.TemporaryDirectory() as ground, FakeSlurm(nodes=nodes, clock="virtual") as slurm:
        path = Path(ground, "calls")
        callbacks = [plan.make(Writes(number, str(path))) for number, plan in enumerate(plans)]
        with Cluster(slurm.backend(), callbacks=callbacks, job_root=Path(ground, "jobs")) as cluster:
            task = slurmkit.task(act).with_options(nodes=nodes, ntasks=ntasks, **outcome.options)
            job = cluster.submit(task, outcome.how, ground)
            if outcome.interfere is not None:
                inside = [Path(ground, f"inside.{rank}.0") for rank in range(ntasks)]
                if not outcome.pending:
                    until(lambda: all(sign.exists() for sign in inside), "every rank is in its function")
                outcome.interfere(slurm, job)
            assert job.wait(timeout=7200.0), (job.state, slurm.history)
            assert job.state == outcome.state, (job.state, job.stderr(), slurm.history)
        slurm.wait_idle(timeout=SECONDS)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def expected(outcome: Outcome, plan: strategies.CallbackPlan, nodes: int, ntasks: int) -> Counter[tuple[str, str, Any]]:
    """(hook, side, attempt) of every call but status updates, whose number is the poller's business."""
    calls: Counter[tuple[str, str, Any]] = Counter()
    for hook in CLIENT_ORDER:
        if ExecutionLocus.CLIENT in plan.sides(hook) and hook != "on_job_status_update_ctx":
            calls[hook, "client", None] += 1
    ranks = {"all": ntasks, "node": nodes, "first": 1}[plan.run_hooks_on]
    for attempt, (begun, ended, reported) in enumerate(outcome.attempts):
        times = {
            "on_begin_run_job_ctx": begun * ranks,
            "on_end_run_job_ctx": ended * ranks,
            "on_completed_ctx": int(reported),
        }
        for hook, number in times.items():
            if ExecutionLocus.RUNNER in plan.sides(hook) and number:
                calls[hook, "runner", attempt] += number
    return calls


def check(outcome: Outcome, plans: Sequence[strategies.CallbackPlan], nodes: int, ntasks: int) -> None:
    lines = play(outcome, plans, nodes, ntasks)
    for number, plan in enumerate(plans):
        mine = [line for line in lines if line["callback"] == number]
        counted = Counter(
            (line["hook"], line["side"], line["attempt"]) for line in mine if line["hook"] != "on_job_status_update_ctx"
        )
        assert counted == expected(outcome, plan, nodes, ntasks)
        follows = plan.poll_interval_secs is not None and "on_job_status_update_ctx" in plan.hooks
        assert ("on_job_status_update_ctx" in {line["hook"] for line in mine}) == follows
        client = [line["hook"] for line in mine if line["side"] == "client"]
        assert client == sorted(client, key=CLIENT_ORDER.index)
        for attempt, rank in itertools.product(range(len(outcome.attempts)), range(ntasks)):
            hooks = [
                line["hook"]
                for line in mine
                if line["side"] == "runner"
                and line["attempt"] == attempt
                and (line["rank"] == rank or line["hook"] == "on_completed_ctx")
            ]
            assert hooks == sorted(hooks, key=RUNNER_ORDER.index), "the batch script's report comes after every rank"
        for line in mine:
            assert line["emitted_by"] in (None, line["side"])
        completed = [line["side"] for line in mine if line["hook"] == "on_completed_ctx"]
        assert completed == sorted(completed, reverse=True), "in the job first"
    for _, calls in itertools.groupby(
        (line for line in lines if line["side"] == "client" and line["hook"] != "on_job_status_update_ctx"),
        key=lambda line: line["hook"],
    ):
        numbers = [line["callback"] for line in calls]
        assert numbers == sorted(numbers), "in the order of the callbacks"


EVERYTHING = strategies.CallbackPlan(hooks=dict.fromkeys([*CLIENT_ORDER, *RUNNER_ORDER]), poll_interval_secs=60.0)


@pytest.mark.parametrize(("nodes", "ntasks"), [(1, 1), (2, 3)])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_end(outcome: str, nodes: int, ntasks: int) -> None:
    check(OUTCOMES[outcome], [EVERYTHING], nodes, ntasks)


@settings(max_examples=max(1, settings.default.max_examples // 10))  # of a second each
@given(
    outcome=st.sampled_from(list(OUTCOMES)),
    plans=st.lists(strategies.callbacks(intervals=st.sampled_from([60.0, 1000.0])), min_size=1, max_size=3),
    size=st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 3)]),
)
def test_any_callbacks_and_any_end(outcome: str, plans: list[strategies.CallbackPlan], size: tuple[int, int]) -> None:
    check(OUTCOMES[outcome], plans, *size)
