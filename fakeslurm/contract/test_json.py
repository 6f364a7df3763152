"""``--json`` of squeue, sacct and scontrol, in the shape of each release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

OPTIONS = ("-N2", "-n3", "-t", "10", "--comment=a b", "-J", "j/son", "--mem=100", "-x", "n4", "--no-requeue")


def plain(value: Any) -> Any:
    """Without 24.11's wrappings: a number that is an object, a word that is a list."""
    if isinstance(value, dict):
        if value.keys() == {"set", "infinite", "number"}:
            return value["number"] if value["set"] else "infinite" if value["infinite"] else None
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return value[0] if len(value) == 1 and isinstance(value[0], str) else [plain(one) for one in value]
    return value


def jobs(slurm: SlurmUnderTest, *argv: str) -> dict[str, dict[str, Any]]:
    """The jobs of a document, by id."""
    done = slurm.run(*argv)
    assert (done.returncode, done.stderr) == (0, ""), done
    document = json.loads(done.stdout)
    assert document["errors"] == []
    return {str(job["job_id"]): plain(job) for job in document["jobs"]}


def test_squeue_of_a_pending_job(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", *OPTIONS)
    user = slurm.run("squeue", "-h", "-j", job_id, "-o", "%u").stdout.strip()
    job = jobs(slurm, "squeue", "--json")[job_id]
    expected = {
        "array_job_id": 0, "array_task_id": None, "batch_flag": True, "batch_host": "", "comment": "a b", "cpus": 3,
        "current_working_directory": str(slurm.workdir), "dependency": "", "end_time": 0, "excluded_nodes": "n4",
        "exit_code": job["exit_code"], "job_state": "PENDING", "max_nodes": 2, "memory_per_cpu": None, "memory_per_node": 100,
        "minimum_cpus_per_node": 1, "name": "j/son", "node_count": 2, "nodes": "", "priority": 0, "requeue": False,
        "start_time": 0, "state_reason": "JobHeldUser", "tasks": 3, "time_limit": 10, "tres_alloc_str": "",
        "tres_req_str": "cpu=3,mem=200M,node=2,billing=3", "user_name": user,
    }  # fmt: skip
    assert {name: job[name] for name in expected} == expected
    assert job["exit_code"] == 0 if not slurm.at_least("24.11") else job["exit_code"]["status"] == "SUCCESS"
    slurm.run("scancel", job_id)


def test_squeue_of_a_job_that_has_failed(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("exit 3", "-N2", "-n3", "--output=out.txt")
    slurm.wait(job_id)
    slurm.wait_idle()
    job = jobs(slurm, "squeue", "--json", "--states=all")[job_id]
    assert (job["job_state"], job["state_reason"], job["nodes"]) == ("FAILED", "NonZeroExitCode", "n[1-2]")
    assert job["tres_alloc_str"] == "cpu=3,node=2,billing=3"
    assert job["standard_output"] == str(slurm.workdir / "out.txt")
    held = job["job_resources"]
    if slurm.at_least("24.11"):
        assert (job["exit_code"]["status"], job["exit_code"]["return_code"]) == ("ERROR", 3)
        first = held["nodes"]["allocation"][0]
        assert (first["name"], first["cpus"]) == ("n1", {"count": 2, "used": 0})
        assert [one["cores"][0]["status"] for one in first["sockets"]] == ["ALLOCATED"] * 2 + ["UNALLOCATED"] * 2
    else:
        assert job["exit_code"] == 768
        assert (held["nodes"], held["allocated_cores"], held["allocated_hosts"]) == ("n[1-2]", 3, 2)
        allocated = {"cores": {"0": "allocated"}}
        assert held["allocated_nodes"][0] == {
            "sockets": {"0": allocated, "1": allocated},
            **{"nodename": "n1", "cpus_used": 0, "memory_used": 0, "memory_allocated": 0},
        }


@pytest.mark.parametrize(
    ("options", "cpus"),
    [
        ("-n3 -c2 --ntasks-per-node=2", 8),
        ("-n5 --ntasks-per-node=4", 8),
        ("-n1 --ntasks-per-node=2", 2),
        ("-N2 -n2 --ntasks-per-node=3", 6),
        ("-N1-4 --ntasks-per-node=2", 8),
        ("-n3 --ntasks-per-node=2 --exclusive", 4),
        ("-n3 --ntasks-per-node=2 -O", 2),
        ("-n1 --mincpus=3", 3),
        ("-N2-3 -n5 --ntasks-per-node=2", 6),
        ("-N1-3", 3),
        ("-N2-3 -n5", 5),
        ("-n3 --exclusive", 3),
        ("-n3 -c2", 6),
    ],
)
def test_cpus_for_tasks(slurm: SlurmUnderTest, options: str, cpus: int) -> None:
    """24.11 tells how many all nodes would need for --ntasks-per-node, whatever the job has got."""
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 100", *options.split())
    slurm.wait(job_id, ["RUNNING"])
    held = jobs(slurm, "squeue", "--json", "-j", job_id)[job_id]["job_resources"]
    assert held.get("cpus") == (cpus if slurm.at_least("24.11") else None)


def test_sacct(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun true\nsrun sh -c 'exit 4'\nexit 0", "-N2", "-n2", "-J", "steps")
    slurm.wait(job_id)
    slurm.accounted(job_id, "State")
    # slurmdbd calls a job "allocation" until it has heard of its submission.
    job = until(lambda: _named(slurm, job_id, "steps"), what="the record of the job")
    assert (job["nodes"], job["allocation_nodes"], job["state"]["current"]) == ("n[1-2]", 2, "COMPLETED")
    amounts = [(one["type"], one["count"]) for one in job["tres"]["allocated"]]
    assert amounts == [("cpu", 2), ("node", 2), ("billing", 2)]
    shown = [(step["step"]["id"], step["step"]["name"], step["state"], step["tasks"]["count"]) for step in job["steps"]]
    ids: list[str | int] = ["batch", 0, 1]
    if slurm.at_least("24.11"):
        ids = [f"{job_id}.{step}" for step in ids]
        assert job["steps"][2]["exit_code"]["return_code"] == 4
        assert job["submit_line"] == f"sbatch --parsable -N2 -n2 -J steps {slurm.workdir}/script1.sh"
    names, states, tasks = ("batch", "true", "sh"), ("COMPLETED", "COMPLETED", "FAILED"), (1, 2, 2)
    assert shown == list(zip(ids, names, states, tasks, strict=True))
    assert jobs(slurm, "sacct", "--json", "-X", "-j", job_id)[job_id]["steps"] == []


def test_array(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--array=1-7:2%2")
    record = jobs(slurm, "squeue", "--json")[job_id]
    fields = ("array_job_id", "array_task_id", "array_task_string", "array_max_tasks")
    assert [record[name] for name in fields] == [int(job_id), None, "1,3,5,7%2", 2]
    slurm.run("scancel", job_id)
    job_id = slurm.sbatch("true", "--array=4", "-J", "one")
    slurm.wait(job_id)
    element = jobs(slurm, "squeue", "--json", "-t", "all")[job_id]
    assert [element[name] for name in fields] == [int(job_id), 4, "", 0]
    slurm.accounted(job_id, "State")
    recorded = until(lambda: _named(slurm, job_id, "one"), what="the record of the element")
    assert recorded["array"] == {
        **{"job_id": int(job_id), "task_id": 4, "task": "" if slurm.at_least("24.11") else None},
        "limits": {"max": {"running": {"tasks": 0}}},
    }


def _named(slurm: SlurmUnderTest, job_id: str, name: str) -> dict[str, Any] | None:
    job = jobs(slurm, "sacct", "--json", "-j", job_id)[job_id]
    return job if job["name"] == name else None


def test_what_squeue_selects(slurm: SlurmUnderTest) -> None:
    """22.05 prints all jobs whatever is asked for."""
    one, two = slurm.sbatch("true", "--hold"), slurm.sbatch("true", "--hold")
    found = jobs(slurm, "squeue", "--json", "-j", one)
    assert (one in found, two in found) == (True, not slurm.at_least("24.11"))
    unknown = slurm.run("squeue", "--json", "-j", "99999999")
    if slurm.at_least("24.11"):
        error = "slurm_load_jobs error: Invalid job id specified\n"
        assert (unknown.returncode, unknown.stdout, unknown.stderr) == (1, "", error)
    else:
        assert one in {str(job["job_id"]) for job in json.loads(unknown.stdout)["jobs"]}
    slurm.run("scancel", one, two)


def test_scontrol(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", *OPTIONS)
    if slurm.at_least("24.11"):
        of_squeue = jobs(slurm, "squeue", "--json", "-j", job_id)
        assert jobs(slurm, "scontrol", "--json", "show", "job", job_id) == of_squeue
        assert jobs(slurm, "scontrol", "show", "job", job_id, "--json") == of_squeue
    else:
        done = slurm.run("scontrol", "--json", "show", "job", job_id)
        text = "scontrol: unrecognized option '--json'\nTry \"scontrol --help\" for more information\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", text)
    slurm.run("scancel", job_id)


def test_names_of_parsers(slurm: SlurmUnderTest) -> None:
    listed = slurm.run("squeue", "--json=list")
    if not slurm.at_least("24.11"):
        text = "squeue: option '--json' doesn't allow an argument\nTry \"squeue --help\" for more information\n"
        assert (listed.returncode, listed.stdout, listed.stderr) == (1, "", text)
        return
    assert (listed.returncode, listed.stderr) == (0, "Possible data_parser plugins:\n")
    assert set(listed.stdout.split()) == {f"data_parser/v0.0.{number}" for number in (40, 41, 42)}
    unknown = slurm.run("squeue", "--json=v0.0.39")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("squeue: error: load_plugins: unable to find plugin: data_parser/v0.0.39\n")
    assert jobs(slurm, "squeue", "--json=v0.0.42", "--me") == jobs(slurm, "squeue", "--json", "--me")


@pytest.mark.slurm_conf("GresTypes=gpu", "NodeName=n[1-2] Gres=gpu:2 Feature=fast", "Licenses=foo:3")
def test_gres_features_and_licenses(slurm: SlurmUnderTest) -> None:
    options = ("--gres=gpu:2", "-C", "fast", "-L", "foo:1", "-J", "all")
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", *options)
    slurm.wait(job_id, ["RUNNING"])
    job = jobs(slurm, "squeue", "--json")[job_id]
    asked = "gres/gpu:2" if slurm.at_least("24.11") else "gres:gpu:2"
    found = [job[name] for name in ("features", "licenses", "tres_per_node", "tres_per_job", "gres_detail")]
    assert found == ["fast", "foo:1", asked, "", "gpu:2(IDX:0-1)"]
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)
    slurm.accounted(job_id, "State")
    recorded = until(lambda: _named(slurm, job_id, "all"), what="the record of the job")
    assert (recorded["constraints"], recorded.get("licenses", "foo:1")) == ("fast", "foo:1")
    assert slurm.accounted(job_id, "Constraints", "-X") == [{"Constraints": "fast"}]
