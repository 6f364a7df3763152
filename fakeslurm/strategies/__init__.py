"""[Hypothesis](https://hypothesis.readthedocs.io) strategies for tests of code that talks to Slurm.

>>> @given(strategies.sbatch_arguments(nodes=4))                                           # doctest: +SKIP
... def test_my_code(arguments): ...

- text: `hostnames`, `hosts`, `hostlists`
- numbers: `task_counts`, `distributions`, `layouts` -> `Layout`
- jobs: `job_options` (of slurmkit), `sbatch_arguments`, `scripts`
- processes: `environments`, `job_processes` -> `JobProcesses`
- clusters in virtual time: `outcomes` -> `fakeslurm.Simulated`, `workloads` -> `Workload` of `Arrival`
- clients: `status_histories` -> `StatusHistory` of `Moment`, `sightings` of one -> `Sighting`
- what goes wrong: `fault_plans`, `fault_plans_of_calls` -> `FaultPlan` of `PlannedFault`
- slurmkit's callbacks: `callbacks` -> `CallbackPlan`, `poll_intervals`

All of them shrink to what is smallest and simplest. Needs the extra ``slurmkit[testing]``; nothing else in this package imports hypothesis.
"""

from __future__ import annotations

from fakeslurm.strategies.callbacks import CallbackPlan, callbacks, poll_intervals
from fakeslurm.strategies.faultplans import FaultPlan, PlannedFault, fault_plans, fault_plans_of_calls
from fakeslurm.strategies.histories import Moment, Sighting, StatusHistory, sightings, status_histories
from fakeslurm.strategies.hostlists import hostlists, hostnames, hosts
from fakeslurm.strategies.joboptions import job_options, sbatch_arguments, scripts
from fakeslurm.strategies.layouts import Layout, distributions, layouts, task_counts
from fakeslurm.strategies.processes import JobProcesses, environments, job_processes
from fakeslurm.strategies.warmup import warm_up
from fakeslurm.strategies.workloads import Arrival, Workload, outcomes, workloads

__all__ = [
    "Arrival",
    "CallbackPlan",
    "FaultPlan",
    "JobProcesses",
    "Layout",
    "Moment",
    "PlannedFault",
    "Sighting",
    "StatusHistory",
    "Workload",
    "callbacks",
    "distributions",
    "environments",
    "fault_plans",
    "fault_plans_of_calls",
    "hostlists",
    "hostnames",
    "hosts",
    "job_options",
    "job_processes",
    "layouts",
    "outcomes",
    "poll_intervals",
    "sbatch_arguments",
    "scripts",
    "sightings",
    "status_histories",
    "task_counts",
    "workloads",
]

warm_up()
