"""sstat and sprio, as far as they do not depend on the machine. Measured: docs/measured/other-commands.md."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

NO_FACTORS = (
    "You are not running a supported priority plugin\n(priority/basic).\nOnly 'priority/multifactor' is supported.\n"
)


def sstat(slurm: SlurmUnderTest, *words: str) -> tuple[int, str, str]:
    done = slurm.run("sstat", *words)
    return done.returncode, done.stdout, done.stderr


def test_running_steps(slurm: SlurmUnderTest) -> None:
    """Without a step the first of srun is meant."""
    body = "srun -n3 sleep 100 &\nuntil [ -e go ]; do sleep 0.05; done\nsrun -n1 -N1 --overlap sleep 100 &\nwait"
    job_id = slurm.sbatch(body, "-N2", "-n4", "-w", "n[1-2]")
    fields = "JobID,NTasks,Nodelist"
    first = f"{job_id}.0|3|n[1-2]\n"

    def lists(expected: str, *words: str) -> None:
        until(lambda: sstat(slurm, "-nPo", fields, *words) == (0, expected, ""), what=f"{words}: {expected}")

    lists(first, "-j", job_id)
    (slurm.workdir / "go").touch()
    batch, second = f"{job_id}.batch|1|n1\n", f"{job_id}.1|1|n1\n"
    lists(batch + first + second, "-a", "-j", job_id)
    lists(first, "-j", job_id)
    lists(first, job_id)
    lists(second + batch, "-j", f"{job_id}.1,{job_id}.batch")
    header = "JobID          NTasks             Nodelist \n------------ -------- -------------------- \n"
    assert sstat(slurm, "-j", job_id, "-o", "jobid,nt,nodel") == (
        0,
        f"{header}{job_id + '.0':<12}        3               n[1-2] \n",
        "",
    )
    assert sstat(slurm, "-p", "--fields=JobID", "-j", job_id) == (0, f"JobID|\n{job_id}.0|\n", "")
    missing = f"sstat: error: StepId={job_id}.7 not found running.\n"
    assert sstat(slurm, "-Po", "JobID", "-j", f"{job_id}.7") == (0, "JobID\n", missing)
    slurm.run("scancel", job_id)


def test_jobs_without_running_steps(slurm: SlurmUnderTest) -> None:
    held = slurm.sbatch("true", "--hold")
    none = f"sstat: error: No steps running for job {held}\n"
    assert sstat(slurm, "-Po", "JobID", "-j", held) == (0, "JobID\n", none)
    lost = "sstat: error: couldn't get steps for job 2000000000\n"
    assert sstat(slurm, "-nPo", "JobID", "-a", "-j", "2000000000") == (0, "", lost)
    only_batch = slurm.sbatch("sleep 100")
    expected = (0, f"{only_batch}.batch\n", "")
    until(lambda: sstat(slurm, "-anPo", "JobID", "-j", only_batch) == expected, what="the batch step runs")
    assert sstat(slurm, "-nPo", "JobID", "-j", only_batch) == (0, "", "")
    slurm.run("scancel", only_batch)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "JobID"], "sstat: error: You didn't give me any jobs to stat.\n"),
        (["-j", ",", "-o", "JobID"], "sstat: error: You didn't give me any jobs to stat.\n"),
        (["-j", "abc", "-o", "JobID"], "sstat: fatal: Bad job/step specified: abc\n"),
        (["-j", "3.", "-o", "JobID"], "sstat: fatal: Bad step specified: 3\n"),
        (["-j", "3", "-o", "bogus"], 'sstat: error: Invalid field requested: "bogus"\n'),
        (["--bogus"], "sstat: unrecognized option '--bogus'\n"),
        (["-j"], "sstat: option requires an argument -- 'j'\n"),
    ],
)
def test_what_sstat_does_not_understand(slurm: SlurmUnderTest, words: list[str], said: str) -> None:
    code, _, stderr = sstat(slurm, *words)
    assert (code, stderr) == (1, said)


def test_fields_of_sstat(slurm: SlurmUnderTest) -> None:
    code, out, _ = sstat(slurm, "--helpformat")
    assert (code, len(out.split())) == (0, 51)
    assert out.startswith("AveCPU              AveCPUFreq          AveDiskRead         AveDiskWrite       \nAvePages")
    assert out.endswith("TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot    \n")


@pytest.mark.parametrize(
    "words", [[], ["-l"], ["-w"], ["-h", "-n"], ["-j", "1"], ["-u", "root"], ["-p", "nope"], ["-S", "i"]]
)
def test_sprio_has_no_factors(slurm: SlurmUnderTest, words: list[str]) -> None:
    done = slurm.run("sprio", *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", NO_FACTORS)


def test_what_sprio_does_not_understand(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sprio", "-j", "abc")
    assert (done.returncode, done.stderr) == (1, "sprio: error: Invalid job id: abc\n")
    done = slurm.run("sprio", "-u", "nosuchuser")
    assert (done.returncode, done.stderr) == (1, f"sprio: error: Invalid user: nosuchuser\n\n{NO_FACTORS}")
    done = slurm.run("sprio", "x")
    assert (done.returncode, done.stderr) == (1, "sprio: error: Unrecognized option: x\n")
    assert done.stdout.startswith("Usage: sprio [-j jid[s]] [-u user_name[s]] [-o format] [-p partitions]\n")
    done = slurm.run("sprio", "--bogus")
    assert done.stderr == "sprio: unrecognized option '--bogus'\nTry \"sprio --help\" for more information\n"


@pytest.mark.parametrize("name", ["sstat", "sprio", "sshare", "sdiag", "sreport", "sattach", "sbcast", "strigger"])
def test_versions(slurm: SlurmUnderTest, name: str) -> None:
    assert slurm.run(name, "--version").stdout == slurm.run("squeue", "--version").stdout
