"""What `fakeslurm.strategies` draws is valid, reaches what it is for, and shrinks."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from fakeslurm import FakeSlurm, Simulated, strategies
from fakeslurm.faults import KINDS
from fakeslurm.history import JobEnded, JobSubmitted
from slurmkit.callbacks.base import ExecutionLocus
from slurmkit.callbacks.dispatch import plan
from slurmkit.errors import CallbackError
from slurmkit.polling.arbitration import Belief, arbitrate
from slurmkit.runtime import JobContext
from slurmkit.slurm import hostlist, layout
from slurmkit.slurm.options import normalize
from slurmkit.slurm.states import TERMINAL_STATES, JobState

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def smallest(strategy: st.SearchStrategy[Any], wanted: Any = lambda value: True) -> Any:
    """Always the same one, since what hypothesis ends with depends on where it begins."""
    return find(strategy, wanted, settings=settings(max_examples=500, deadline=None, database=None, derandomize=True))


@pytest.fixture(scope="module", params=["22.05", "24.11"])
def slurm(request: pytest.FixtureRequest) -> Any:
    with FakeSlurm(version=request.param, clock="virtual") as slurm:
        slurm.simulate(Simulated(1))
        yield slurm


def test_names_are_the_documented_ones() -> None:
    documented = strategies.__doc__ or ""
    for name in strategies.__all__:
        assert f"`{name}`" in documented, name
        assert getattr(strategies, name).__doc__, name


@given(strategies.hosts(), strategies.hosts(unique=True, max_size=5), strategies.hostlists())
def test_hosts_and_hostlists_are_what_slurm_reads(hosts: list[str], unique: list[str], text: str) -> None:
    assert hostlist.expand(hostlist.compress(hosts)) == hosts
    assert len(set(unique)) == len(unique) <= 5
    assert hostlist.expand(text, suffixes=False)


@given(strategies.layouts(), strategies.task_counts())
def test_layouts_put_every_rank_on_one_node(drawn: strategies.Layout, counts: list[int]) -> None:
    assert sorted(rank for ranks in drawn.tasks for rank in ranks) == list(range(drawn.ntasks))
    assert all(drawn.tasks_per_node)
    assert len(drawn.cpus_per_node) == len(drawn.tasks)
    assert layout.parse(layout.format(counts)) == counts


@given(strategies.job_options())
def test_options_are_slurmkits(options: dict[str, Any]) -> None:
    normalize(options, where="test")


@few
@given(arguments=strategies.sbatch_arguments(), script=strategies.scripts())
def test_sbatch_accepts_arguments_and_scripts(slurm: FakeSlurm, arguments: list[str], script: str) -> None:
    with tempfile.TemporaryDirectory() as cwd:
        for argv, text in ((["sbatch", *arguments, "--wrap=true"], None), (["sbatch"], script)):
            answer = slurm.execute(argv, cwd=cwd, input=text)
            assert answer.returncode == 0, answer.stderr
        slurm.wait_idle(timeout=86400)
    assert {job.state for job in slurm.jobs()} <= {JobState.COMPLETED}


@few
@given(strategies.scripts())
def test_scripts_are_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr


@given(strategies.environments())
def test_environments_are_read(environment: dict[str, str]) -> None:
    assert JobContext.from_env(environment).num_nodes >= 1


@pytest.mark.parametrize("kind", ["single", "array", "het"])
def test_processes_of_every_kind_are_drawn(kind: Any) -> None:
    wanted = set(itertools.product(["22.05", "24.11"], [True, False]))

    @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    @given(strategies.job_processes(kinds=[kind]))
    def draw(processes: strategies.JobProcesses) -> None:
        assert processes.kind == kind
        wanted.discard((processes.version, processes.is_bare))

    draw()
    assert not wanted


@few
@given(strategies.workloads())
def test_every_job_of_a_workload_is_over_some_day(workload: strategies.Workload) -> None:
    with FakeSlurm(clock="virtual") as slurm, tempfile.TemporaryDirectory() as cwd:
        job_ids = workload.play(slurm, cwd=cwd)
        slurm.wait_idle(timeout=30 * 86400)
        submitted = [event.time for event in slurm.history if isinstance(event, JobSubmitted)]
        ended = [event.job_id for event in slurm.history if isinstance(event, JobEnded)]
    assert sorted(ended) == sorted(job_ids)
    assert [when - submitted[0] for when in submitted] == [arrival.at for arrival in workload.arrivals]


def test_a_workload_that_is_refused(tmp_path: Path) -> None:
    wrong = strategies.Workload((strategies.Arrival(0.0, ("--nodes=0",), Simulated()),))
    with (
        FakeSlurm(clock="virtual") as slurm,
        pytest.raises(RuntimeError, match="arrival 0 of the workload was refused"),
    ):
        wrong.play(slurm, cwd=tmp_path)


@given(strategies.status_histories())
def test_histories_are_legal(history: strategies.StatusHistory) -> None:
    moments = history.moments
    assert {moment.state for moment in moments} <= set(JobState)
    assert history.last.state in TERMINAL_STATES
    assert moments[0].state == "PENDING"
    for before, after in itertools.pairwise(moments):
        assert after.at >= before.at + 1
        assert after.attempt - before.attempt in (0, 1)
        if after.attempt == before.attempt:
            assert before.state not in TERMINAL_STATES
        else:
            assert after.state == "PENDING"
    assert history.ends()


@given(st.data())
def test_arbitration_takes_any_sightings(data: st.DataObject) -> None:
    history = data.draw(strategies.status_histories())
    belief = Belief("7", token=history.token)
    for sighting in data.draw(strategies.sightings(history)):
        belief = arbitrate(belief, sighting.answers, sighting.at)


@given(strategies.callbacks(), strategies.callbacks(valid=False))
def test_callbacks_are_planned(good: strategies.CallbackPlan, any_one: strategies.CallbackPlan) -> None:
    heard: list[str] = []
    assert good.is_valid
    assert plan([good.make(lambda hook, ctx: heard.append(hook))]).callbacks
    assume(not any_one.is_valid)
    with pytest.raises(CallbackError, match="would never be called"):
        plan([any_one.make(lambda hook, ctx: None)])


@pytest.mark.parametrize(
    ("strategy", "wanted", "expected"),
    [
        (strategies.hostnames(), None, "n0"),
        (strategies.task_counts(), None, [1]),
        (strategies.layouts(), None, strategies.Layout((1,), "block", ((0,),))),
        (strategies.job_options(), None, {}),
        (strategies.scripts(), None, "#!/bin/sh\n\n"),
        (strategies.outcomes(), lambda one: one.exit_code, Simulated(0.0, exit_code=1)),
        (strategies.workloads(), None, strategies.Workload(())),
    ],
)
def test_what_is_smallest(strategy: st.SearchStrategy[Any], wanted: Any, expected: Any) -> None:
    assert smallest(strategy, wanted or (lambda value: True)) == expected


def test_what_is_irrelevant_goes_away() -> None:
    assert len(smallest(strategies.hosts(), lambda names: len(names) > 1)) == 2
    assert len(smallest(strategies.sbatch_arguments(), lambda words: "--exclusive" in words)) <= 3
    runner = smallest(strategies.callbacks(), lambda one: ExecutionLocus.RUNNER in one.sides("on_completed_ctx"))
    assert len(runner.hooks) <= 2


def test_the_smallest_history() -> None:
    history = smallest(strategies.status_histories())
    assert [(one.state, one.attempt) for one in history.moments] == [("PENDING", 0), ("CANCELLED", 0)]
    requeued = smallest(strategies.status_histories(), lambda one: one.last.attempt == 1)
    assert len(requeued.moments) <= 4


def test_what_is_never_drawn() -> None:
    with pytest.raises(NoSuchExample):
        smallest(strategies.outcomes(endless=False), lambda one: one.duration == float("inf"))


@few
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS.keys() - {"client_killed"})))
def test_any_fault_can_be_planned(data: st.DataObject, kind: str) -> None:
    plan = data.draw(strategies.fault_plans(kinds=[kind], longest=60.0))
    assert plan.end <= 120.0
    with FakeSlurm(clock="virtual", version="24.11") as slurm:
        slurm.simulate(Simulated(1))
        faults = plan.begin(slurm)
        slurm.advance(plan.end + 1)
        assert [fault.name for fault in faults] == [kind] * len(plan.faults)
        assert not any(fault.active for fault in faults)


@pytest.mark.parametrize("kind", ["client_killed", "nothing"])
def test_a_fault_that_cannot_be_planned(kind: str) -> None:
    with pytest.raises(ValueError, match=rf"kind '{kind}'; valid are .*controller_down"):
        smallest(strategies.fault_plans(kinds=[kind]))


def test_faults_of_calls_hit_the_commands_that_they_are_for() -> None:
    plan = smallest(strategies.fault_plans_of_calls(commands=["squeue"]), lambda plan: plan.faults)
    (fault,) = plan.faults
    assert fault.commands == ("squeue",)
