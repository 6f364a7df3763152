"""`JobContext` in every process of any job that either release of Slurm starts."""

from __future__ import annotations

from hypothesis import given

from fakeslurm import strategies
from slurmkit.runtime import JobContext


@given(strategies.job_processes())
def test_the_ranks_of_a_step_complete_each_other(processes: strategies.JobProcesses) -> None:
    contexts = [JobContext.from_env(environment) for environment in processes.ranks]
    assert [context.rank for context in contexts] == list(range(len(contexts)))
    for context in contexts:
        ranks = processes.tasks[context.node_rank]
        assert ranks[context.local_rank] == context.rank, "local ranks are dense, and in the order of the ranks"
        assert context.local_world_size == len(ranks)
        assert context.world_size == len(contexts)
        assert context.tasks_per_node == tuple(map(len, processes.tasks))
        assert context.hostnames == processes.nodes
        assert context.hostname == processes.nodes[context.node_rank]
        assert context.num_nodes == len(processes.nodes)
        assert (context.job_id, context.restart_count) == (f"{processes.job_id}", processes.restart_count)
        assert context.array_task_id == processes.array_task_id
    assert len({(context.master_addr, context.master_port, context.step_id) for context in contexts}) == 1
    assert len({tuple(context.torch_distributed_env().items()) for context in contexts}) == len(contexts)


@given(processes=strategies.job_processes())
def test_the_batch_script_knows_the_step_of_a_bare_srun(processes: strategies.JobProcesses) -> None:
    context = JobContext.from_env(processes.batch)
    assert (context.rank, context.local_rank, context.node_rank, context.step_id) == (0, 0, 0, None)
    assert context.hostnames == processes.job_nodes
    assert (context.job_id, context.array_task_id) == (f"{processes.job_id}", processes.array_task_id)
    first = JobContext.from_env(processes.ranks[0])
    assert context.master_port == first.master_port
    # Without a number of tasks, srun may fill the CPUs of a job that says how many each task has, or of a component; slurmkit's own is told it.
    names = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE")
    tasks_are_counted = any(f"{name}{suffix}" in processes.batch for name in names for suffix in ("", "_HET_GROUP_0"))
    says_cpus = any(name.startswith("SLURM_CPUS_PER_TASK") for name in processes.batch)
    if processes.is_bare and (tasks_are_counted or not (says_cpus or processes.kind == "het")):
        assert context.world_size == first.world_size
        # A node with half of a task's CPUs left counts for one more in the batch script; srun puts that elsewhere (-n4 -c2 on 5 and 4 CPUs).
        assert says_cpus or context.tasks_per_node == first.tasks_per_node
        assert context.master_addr == first.master_addr
