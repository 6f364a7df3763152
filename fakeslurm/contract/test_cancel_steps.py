"""scancel of steps: what it ends, what it says, and what srun says then."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

_LOADED = """\
scancel: select/cons_tres: common_init: select/cons_tres loaded
scancel: select/cray_aries: init: Cray/Aries node selection plugin loaded
scancel: select/linear: init: Linear node selection plugin loaded with argument 4
scancel: select/cons_res: common_init: select/cons_res loaded
"""
"""Before everything else that 22.05 says with --verbose."""
_INVALID = "Invalid job id specified"
_UNKNOWN = "scancel: error: Kill job error on job step id {job}: Invalid job id specified\n"
_NO_JOB = "scancel: error: Kill job error on job step id {job}.{step}: Invalid job id specified\n"
_NO_MATCH = "scancel: error: No active jobs match ALL job filters, including: "
_SLEEPER = "srun sh -c ': > up{up}; exec sleep 60'; echo rc $?"


def _says(slurm: SlurmUnderTest, job_id: str, words: str, returncode: int, stderr: str) -> None:
    done = slurm.run("scancel", *words.replace("JOB", job_id).split())
    loaded = _LOADED if "-v" in words.split() and not slurm.at_least("24.11") else ""
    expected = loaded + stderr.replace("{job}", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (returncode, "", expected), words


def _step_up(slurm: SlurmUnderTest, job_id: str, step: str, up: str = "up") -> None:
    """Wait until the step's task runs, and srun has heard of it."""
    until((slurm.workdir / up).exists, what=f"step {step} runs")

    def running() -> bool:
        return "State=RUNNING" in slurm.run("scontrol", "show", "step", f"{job_id}.{step}").stdout

    until(running, what=f"step {step} is shown")


def test_of_a_job_that_waits(slurm: SlurmUnderTest) -> None:
    """Nothing is said, and nothing happens to the job."""
    job_id = slurm.sbatch("true", "-H")
    for words in ("JOB.0", "JOB.7", "-v JOB.0", "-Q JOB.0", "-b JOB.0", "-s USR1 JOB.0", "-t R JOB.0", "JOB.0,JOB.1"):
        _says(slurm, job_id, words, 0, _NO_MATCH + "state=RUNNING \n" if words == "-v -t R" else "")
    assert slurm.wait(job_id, ["PENDING"])["JobState"] == "PENDING"
    _says(slurm, job_id, "JOB.0 JOB", 0, "")
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


def test_of_a_job_that_is_over(slurm: SlurmUnderTest) -> None:
    """Steps and jobs are looked for before anything is done: also the jobs of the call are known or not then."""
    job_id = slurm.sbatch("srun true")
    slurm.wait(job_id)
    no_step, no_job = _NO_JOB.replace("{step}", "0"), f"scancel: error: Kill job error on job id {job_id}: {_INVALID}\n"
    for words in ("JOB.0", "JOB.", "JOB.00", "-v JOB.0", "-s USR1 JOB.0", "-b JOB.0", "-f JOB.0", "-n nope JOB.0"):
        _says(
            slurm, job_id, words, 1, no_step + (_NO_MATCH + "job_name=nope \n" if words == "-v -n nope JOB.0" else "")
        )
    _says(slurm, job_id, "-Q JOB.0", 1, "")
    _says(slurm, job_id, "JOB.0 JOB", 1, no_step + no_job)
    _says(slurm, job_id, "JOB JOB.0,999999.2", 1, no_job + no_step + _NO_JOB.format(job=999999, step=2))


@pytest.mark.parametrize("text", ["x", "batch", "extern", "-1", "0x", "0.0", "1-2", "[0-1]", "0_1"])
def test_no_step(slurm: SlurmUnderTest, text: str) -> None:
    done = slurm.run("scancel", f"1.{text}")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"scancel: error: Invalid job id 1.{text}\n")


def test_of_a_job_that_runs(slurm: SlurmUnderTest) -> None:
    """A step that is not there, or is over, is no error with a signal. It is the job that filters are about."""
    job_id = slurm.sbatch("srun true; " + _SLEEPER.format(up=""), "-n1", "-o", "o.txt")
    _step_up(slurm, job_id, "1")
    unknown = _UNKNOWN
    for words in (
        "JOB.0",
        "JOB.7",
        "JOB.99999999999",
        "-Q JOB.7",
        "-b JOB.7",
        "-f JOB.0",
        "-u root JOB.7",
        "-t R JOB.7",
    ):
        _says(slurm, job_id, words, 225, unknown)
    _says(slurm, job_id, "-v JOB.7", 225, "scancel: Terminating step {job}.7\n" + unknown)
    for words in ("-s USR1 JOB.7", "-s KILL JOB.0", "-t PD JOB.1", "-n nope JOB.1", "-w n9 JOB.1", "-p nope JOB.7"):
        _says(slurm, job_id, words, 0, "")
    _says(slurm, job_id, "-v -s TERM JOB.7", 0, "scancel: Signal 15 to step {job}.7\n")
    _says(slurm, job_id, "-v -n nope JOB.1", 0, _NO_MATCH + "job_name=nope \n")
    filters = "account=nope job_name=nope nodelist=n3 partition=nope qos=nope reservation=nope state=PENDING"
    _says(slurm, job_id, "-v -w n3 -q nope -R nope -A nope -n nope -p nope -t PD JOB", 0, f"{_NO_MATCH}{filters} \n")
    _says(
        slurm, job_id, "JOB.7 999999", 225, f"scancel: error: Kill job error on job id 999999: {_INVALID}\n" + unknown
    )
    _says(slurm, job_id, "-v JOB.1", 0, "scancel: Terminating step {job}.1\n")
    node = slurm.wait(job_id)["NodeList"]
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    said = slurm.output_of_steps("o.txt").splitlines()
    aborted = [line for line in said if "aborted" in line]  # in another order, and sometimes with a second line
    assert "srun: Job step aborted: Waiting up to 7 seconds for job step to finish." in aborted
    cancelled = [line for line in said if "CANCELLED AT" in line]
    pattern = rf"slurmstepd(-{node})?: error: \*\*\* STEP {job_id}\.1 ON {node} CANCELLED AT \S+ \*\*\*"
    assert all(re.fullmatch(pattern, line) for line in cancelled)
    # slurmstepd says it once for each time that it is told, which srun may see twice, or no more.
    assert len(cancelled) == 1 or (slurm.kind == "real" and len(cancelled) in (0, 2))
    assert [line for line in said if line not in aborted + cancelled] == [
        f"srun: error: {node}: task 0: Killed",
        "rc 137",
    ]
    rows = [
        {"JobID": f"{job_id}.0", "State": "COMPLETED", "ExitCode": "0:0"},
        {"JobID": f"{job_id}.1", "State": "CANCELLED by 0", "ExitCode": "0:9"},
    ]
    until(lambda: slurm.accounted(job_id, "JobID,State,ExitCode")[2:] == rows, what=f"sacct shows {rows}")


@pytest.mark.parametrize(
    ("name", "number", "words", "state", "last"),
    [
        ("USR1", 10, "User defined signal 1", "CANCELLED", []),
        ("KILL", 9, "Killed", "CANCELLED", ["srun: Force Terminated StepId={job}.0"]),
        ("TERM", 15, "Terminated", "CANCELLED", ["srun: Force Terminated StepId={job}.0"]),
    ],
)
def test_a_signal(slurm: SlurmUnderTest, name: str, number: int, words: str, state: str, last: list[str]) -> None:
    """Of which a step dies: nobody is said to have cancelled it."""
    job_id = slurm.sbatch(_SLEEPER.format(up=""), "-n1", "-o", "o.txt")
    _step_up(slurm, job_id, "0")
    what = "Terminating" if name == "KILL" else f"Signal {number} to"
    plugin = ("route/default: init: route default", "topology/default: init: topology Default")[slurm.at_least("24.11")]
    said = f"scancel: {what} step {{job}}.0\nscancel: {plugin} plugin loaded\n"
    _says(slurm, job_id, f"-v -s {name} JOB.0", 0, said)
    node = slurm.wait(job_id)["NodeList"]
    lines = [line for line in slurm.output("o.txt").splitlines() if "CANCELLED AT" not in line]
    last = [line.format(job=job_id) for line in last]
    assert lines == [f"srun: error: {node}: task 0: {words}", *last, f"rc {128 + number}"]
    row = {"State": state, "ExitCode": f"0:{number}"}
    until(lambda: slurm.accounted(job_id, "State,ExitCode")[-1] == row, what=f"sacct shows {row}")


def test_a_signal_to_a_step_of_some_nodes(slurm: SlurmUnderTest) -> None:
    """22.05 sends it to all nodes of the job, and those without the step do not know it."""
    job_id = slurm.sbatch(_SLEEPER.format(up=""), "-N2", "-n2")
    _step_up(slurm, job_id, "0")
    for words in ("-s CONT JOB.0", "-s KILL JOB.0"):
        _says(slurm, job_id, words, 0, "")
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    job_id = slurm.sbatch(_SLEEPER.replace("srun", "srun -N1 -n1").format(up="3"), "-N2", "-n2", "-o", "o.txt")
    _step_up(slurm, job_id, "0", "up3")
    new = slurm.at_least("24.11")
    for words in ("-s CONT JOB.0", "-Q -s CONT JOB.0"):
        _says(slurm, job_id, words, 0 if new else 225, "" if new else _UNKNOWN)
    _says(slurm, job_id, "-s KILL JOB.0", 0, "" if new else _UNKNOWN.replace(_INVALID, "No error"))
    slurm.wait(job_id)
    assert "rc 137\n" in slurm.output("o.txt")


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 3"])
def test_steps_of_a_script_that_ends_badly(slurm: SlurmUnderTest, end: str) -> None:
    """24.11 says of which signal the script died."""
    script = f"srun sh -c ': > up; exec sleep 60' & until [ -e go ]; do sleep 0.05; done; {end}"
    job_id = slurm.sbatch(script, "-n1", "-o", "o.txt")
    _step_up(slurm, job_id, "0")
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)
    failed = f"*** STEP {job_id}.0 ON N FAILED (non-zero exit code or other failure mode) ***"
    reason = ["*** REASON: RaisedSignal:9(Killed) ***"] if end != "exit 3" and slurm.at_least("24.11") else []

    def said() -> list[str]:
        lines = re.findall(r"slurmstepd-\S+: error: (.*)", slurm.output("o.txt"))
        return [re.sub(r" ON \S+ ", " ON N ", line) for line in lines]

    until(lambda: said() == [failed, *reason], what=f"slurmstepd says {[failed, *reason]}")


def test_elements_of_an_array(slurm: SlurmUnderTest) -> None:
    """They are named by their own ids; the array's id means the one job that has it."""
    body = _SLEEPER.format(up="$SLURM_ARRAY_TASK_ID")
    array = slurm.sbatch(body.replace("'", '"'), "-a", "1-2", "-n1", "-o", "%a.txt")
    first, last = ((slurm.wait(f"{array}_{task}", ["RUNNING"])["JobId"]) for task in (1, 2))
    assert last == array
    for task, job_id in ((1, first), (2, last)):
        _step_up(slurm, job_id, "0", f"up{task}")
    for words in ("JOB_[1-2].0", "JOB_[1].0"):
        _says(slurm, array, words, 1, f"scancel: error: Invalid job id {words.replace('JOB', array)}\n")
    _says(slurm, array, "JOB_1.7", 225, _UNKNOWN.format(job=first))
    _says(slurm, array, "JOB_3.0", 1, f"scancel: error: Kill job error on job step id {array}_3.0: {_INVALID}\n")
    _says(slurm, array, "-v JOB.0", 0, f"scancel: Terminating step {array}.0\n")
    slurm.wait(f"{array}_2")
    _says(slurm, array, "JOB.0", 1, _NO_JOB.replace("{step}", "0"))
    _says(slurm, array, "-v JOB_1.0", 0, f"scancel: Terminating step {first}.0\n")
    slurm.wait(f"{array}_1")
    assert all(slurm.output(f"{task}.txt").endswith("rc 137\n") for task in (1, 2))


def test_elements_that_wait(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "-a", "1-3", "-H")
    for words in ("JOB.0", "JOB_1.0", "-s USR1 JOB_2.0"):
        _says(slurm, array, words, 0, "")
    _says(slurm, array, "JOB_4.0", 1, f"scancel: error: Kill job error on job step id {array}_4.0: {_INVALID}\n")
    assert slurm.run("squeue", "-h", "-j", array, "-o", "%i").stdout == f"{array}_[1-3]\n"
    slurm.run("scancel", array)


def test_of_a_job_that_is_suspended(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun sh -c 'trap \"\" USR1; : > up; exec sleep 60'", "-n1")
    _step_up(slurm, job_id, "0")
    assert slurm.run("scontrol", "suspend", job_id).returncode == 0
    signal = ("scancel", "-s", "USR1", f"{job_id}.0")
    until(lambda: slurm.run(*signal).returncode != 0, what="slurmd has heard of it, too")
    _says(
        slurm,
        job_id,
        "-s USR1 JOB.0",
        187,
        "scancel: error: Kill job error on job step id {job}: Job step not running\n",
    )
    _says(slurm, job_id, "-s USR1 JOB.7", 0, "")
    slurm.run("scontrol", "resume", job_id)
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
