"""A workflow engine that strips every SLURM_* variable: sbatch --wrap with a comment, sacct by the run's name, an srun in each job."""

import json
import subprocess
from pathlib import Path
from typing import Any

CLIENT = "snakemake-executor-plugin-slurm"
EXPECTED: dict[str, Any] = {
    "return code": 1,
    "all": "a\n",
    "cpus of join": "2",
    "jobs": [
        "COMPLETED|0:0|1|100M",
        "COMPLETED|0:0|2|100M",
        "FAILED|1:0|1|100M",
    ],
}
SNAKEFILE = """
rule all:
    input: "all.txt", "failed.txt"
rule word:
    output: "{word}.word"
    shell: "echo {wildcards.word} > {output}"
rule join:
    input: "a.word"
    output: "all.txt"
    threads: 2
    shell: "cat {input} > {output}; echo $SLURM_CPUS_ON_NODE > cpus"
rule fail:
    output: "failed.txt"
    shell: "exit 3"
"""
OPTIONS = (
    "--executor=slurm --jobs=4 --keep-going --latency-wait=20 --seconds-between-status-checks=1 --cores=4"
    " --slurm-init-seconds-before-status-checks=5 --default-resources slurm_account=root slurm_partition=debug mem_mb=100 runtime=2"
)


def drive() -> dict[str, Any]:
    Path("Snakefile").write_text(SNAKEFILE)
    done = subprocess.run(["snakemake", *OPTIONS.split()], capture_output=True, text=True, check=False)
    Path("log").write_text(done.stdout + done.stderr)
    if not Path("all.txt").exists():
        raise AssertionError(done.stdout + done.stderr)
    command = ["sacct", "-XPn", "-o", "WorkDir,State,ExitCode,AllocCPUS,ReqMem"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    mine = f"{Path.cwd()}|"  # other clients have run on this Slurm before
    states = [row.removeprefix(mine) for row in rows if row.startswith(mine)]
    return {
        "return code": done.returncode,
        "all": Path("all.txt").read_text(),
        "cpus of join": Path("cpus").read_text().strip(),
        "jobs": sorted(states),
    }


if __name__ == "__main__":
    print(json.dumps(drive()))
