"""A test runner: rendered scripts, `sacct -S DAY -P` for all jobs at once, hostlists resolved by scontrol, checks of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

CLIENT = "reframe-hpc"
EXPECTED = {
    "return code": 1,
    "cases": [
        ["Ranks %ranks=1", "pass", None, 0, "slurm"],
        ["Ranks %ranks=4", "pass", None, 0, "slurm"],
        ["Wrong", "fail", "sanity", 2, "slurm"],
    ],
}
CHECKS = """
import reframe as rfm
import reframe.utility.sanity as sn

@rfm.simple_test
class Ranks(rfm.RunOnlyRegressionTest):
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "sh"
    executable_opts = ["-c", "'echo rank $SLURM_PROCID of $SLURM_NTASKS'"]
    ranks = parameter([1, 4])
    time_limit = "2m"

    @run_before("run")
    def size(self):
        self.num_tasks = self.ranks
        self.num_tasks_per_node = 2 if self.ranks > 1 else 1

    @sanity_function
    def every_rank(self):
        return sn.assert_eq(sn.count(sn.findall(r"rank \\d of", self.stdout)), self.num_tasks)

@rfm.simple_test
class Wrong(rfm.RunOnlyRegressionTest):
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "exit 3"
    time_limit = "2m"

    @sanity_function
    def ends_well(self):
        return sn.assert_eq(self.job.exitcode, 0)
"""
SITE = """
site_configuration = {
    "systems": [{
        "name": "throwaway", "descr": "4 nodes", "hostnames": [".*"],
        "partitions": [{
            "name": "debug", "scheduler": "slurm", "launcher": "srun", "access": ["-p debug"], "environs": ["builtin"], "max_jobs": 4,
        }],
    }],
    "environments": [{"name": "builtin", "cc": "cc"}],
    "general": [{"report_file": "report.json", "save_log_files": True}],
}
"""


def drive() -> dict[str, Any]:
    Path("checks.py").write_text(CHECKS)
    Path("site.py").write_text(SITE)
    command = ["reframe", "-C", "site.py", "-c", "checks.py", "-r", "--nocolor", "--exec-policy=serial"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not Path("report.json").exists():
        raise AssertionError(done.stdout + done.stderr)
    report = json.loads(Path("report.json").read_text())
    cases = report["runs"][0]["testcases"]
    # not the nodes: in the first second after a job slurmdbd may know only the first of them
    names = ("name", "result", "fail_phase", "job_exitcode", "scheduler")
    return {
        "return code": done.returncode,
        "cases": sorted([[case[name] for name in names] for case in cases], key=str),
    }


if __name__ == "__main__":
    print(json.dumps(drive()))
