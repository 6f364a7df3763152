"""``scontrol update`` of jobs, for the controller's machine."""

from __future__ import annotations

from typing import Any

from controller_inputs import numbers
from controller_machine import Machine
from hypothesis import strategies as st
from hypothesis.stateful import rule

from fakeslurm.messages import SlurmError
from fakeslurm.slurmctld.jobupdate import JobUpdate

__all__ = ["Updates"]


class Updates(Machine):
    """Changes what jobs, arrays and elements have asked for."""

    @rule(
        number=numbers,
        changes=st.sampled_from(
            [
                *({"time_limit": 1}, {"time_limit": 5}, {"time_limit": 2**32 - 1}, {"end_time": 40.0}, {"priority": 0}),
                *(
                    {"priority": 7},
                    {"nice": 3},
                    {"name": "n"},
                    {"partition": "short"},
                    {"partition": "debug"},
                    {"begin": 30.0},
                ),
                *(
                    {"exclude": "n1"},
                    {"exclude": ""},
                    {"nodelist": "n2"},
                    {"nodelist": ""},
                    {"dependency": ""},
                    {"throttle": 1},
                ),
                *({"mem_per_node": 10}, {"mem_per_node": 10**6}, {"comment": "c", "time_limit": 3, "dependency": "x"}),
            ]
        ),
    )
    def update_job(self, number: int, changes: dict[str, Any]) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is None:
            return
        self.disturb(job)
        if "dependency" in changes:
            self.fates.freed(job)
        finished, phase = job.finished, self.phase(job)
        moments = {name: self.now + value for name, value in changes.items() if name in ("begin", "end_time")}
        try:
            self.controller.update_job(job.job_id, JobUpdate(**(changes | moments)), self.now, uid=0)
        except SlurmError:
            pass
        else:
            assert not finished or "throttle" in changes
        if finished:
            assert self.phase(job) == phase
        self.carry_out()
