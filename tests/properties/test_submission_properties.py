"""No submission is carried out twice and none is lost, whatever goes wrong: counted at the controller."""

from __future__ import annotations

import tempfile
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

import slurmkit
from fakeslurm import FakeSlurm, Simulated, strategies
from fakeslurm.history import JobSubmitted
from slurmkit import Cluster, SchedulerError, SchedulerTimeout

DAY = 86400.0


@slurmkit.task(time=5)
def nothing() -> None:
    raise NotImplementedError("it is simulated")


@settings(max_examples=max(1, settings.default.max_examples // 2))
@given(
    faults=strategies.fault_plans_of_calls(
        commands=["sbatch", "squeue", "sacct", "scontrol"], max_size=6, version="24.11"
    ),
    gaps=st.lists(st.sampled_from([0.0, 1.0, 30.0, 200.0]), min_size=1, max_size=4),
)
def test_exactly_once(faults: strategies.FaultPlan, gaps: list[float]) -> None:
    accepted, uncertain = set[str](), set[str]()
    with FakeSlurm(clock="virtual", version="24.11") as slurm, tempfile.TemporaryDirectory() as root:
        slurm.simulate(Simulated(30.0))
        with Cluster(slurm.backend(), job_root=root) as cluster:
            faults.begin(slurm)
            jobs = []
            for number, gap in enumerate(gaps):
                slurm.advance(gap)
                name = f"job{number}"
                try:
                    jobs.append(cluster.submit(nothing.with_options(job_name=name)))
                except SchedulerTimeout:
                    uncertain.add(name)
                except SchedulerError:
                    continue
                else:
                    accepted.add(name)
            slurm.advance(max(faults.end, DAY))
            for job in jobs:
                assert job.wait(timeout=DAY)
                assert job.state == "COMPLETED", "each is followed to its own end"
        submitted = Counter(event.name for event in slurm.history if isinstance(event, JobSubmitted))
    assert {name for name, times in submitted.items() if times > 1} == set(), "nothing runs twice"
    assert accepted <= submitted.keys(), "nothing is lost"
    assert submitted.keys() <= accepted | uncertain, "what is said to be refused is not there"
