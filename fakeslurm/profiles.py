"""What differs between the releases of Slurm that the fake can be."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

__all__ = ["PROFILES", "Profile"]


@frozen(kw_only=True)
class Profile:
    """What differs between releases of Slurm (facts: 5.1 and 5.10)."""

    release: str
    """``YY.MM``."""
    version: str
    """What ``--version`` prints after ``slurm ``."""
    refuses_unknown_dependency: bool
    """``afterok`` of a job that is not known: refused since 23.02, before that simply satisfied."""
    raised_signal_reason: bool
    """A job killed by a signal has the reason ``RaisedSignal:9(Killed)`` since 23.02, before that JobLaunchFailure."""
    job_times_in_environment: bool
    """SLURM_JOB_START_TIME and SLURM_JOB_END_TIME."""
    node_aliases_in_environment: bool
    """SLURM_NODE_ALIASES."""
    oom_killed: str
    """What slurmstepd says at the end of a step of which the kernel has killed processes."""
    oom_kill_step_in_environment: bool
    """SLURM_OOM_KILL_STEP."""
    tres_per_task_in_environment: bool
    """SLURM_TRES_PER_TASK beside SLURM_CPUS_PER_TASK, where the job asked for it."""
    counts_tasks_of_components: bool
    """A component of a heterogeneous job has SLURM_NTASKS also when only --ntasks-per-node says how many tasks it has."""
    sacct_cuts_dates: bool
    """sacct cuts dates at the width of their field between delimiters, too (``-P -o Submit%4``)."""
    tasks_per_node_limit_nodes: bool
    """``-N1-4 --ntasks-per-node=2`` gets no more nodes than the tasks that ``-N1`` would have."""
    tasks_per_node_fill_nodes: bool
    """With ``--ntasks-per-node`` each node gets CPUs for so many tasks; since 24.11 for those only that ``--ntasks`` has for it."""
    nodelist_offers_nodes: bool
    """``--nodelist`` of more nodes than ``--nodes`` are those to choose from; before that it had to fit, and raised the minimum."""
    tasks_fit_nodes: bool
    """With ``--ntasks`` and ``--cpus-per-task`` only nodes that have room for whole tasks count; and waiting jobs show fewer nodes."""
    features_need_no_id: bool
    """A submission that is refused for its features uses up no job id."""
    counted_tasks_in_blocks: bool
    """The tasks of a step that has as many as CPUs allow (``srun -c``) are in blocks, however few they are."""
    counts_tasks_of_own_nodes: bool
    """How many these are is counted on the step's own nodes; before that on all of its job."""
    names_kept_nodes: bool
    """The reason ReqNodeNotAvail of a job names the nodes that jobs ahead keep for themselves."""
    steps_go_round: bool
    """The nodes of a step smaller than its job are looked for from behind those of the step before; before that from the job's first."""
    refuses_unlimited_with_deadline: bool
    """``--time=UNLIMITED`` together with ``--deadline`` is refused."""
    refuses_more_than_there_is: bool
    """A job for more nodes or CPUs than its partition has is refused; before that it was queued for ever."""
    makes_output_directories: bool
    """The missing directory of an output file is made; before that a job FAILED with 0:53, and srun made no step."""
    pack_group_in_environment: bool
    """SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0 in steps."""
    nil_needs_no_login: bool
    """With ``--export=NIL`` a job has nothing of its user's login; before that it was as NONE."""
    slurmd_debug_in_environment: bool
    """SLURMD_DEBUG in steps."""
    launchers_in_environment: bool
    """Variables for the launchers of MPI libraries (``I_MPI_HYDRA_BOOTSTRAP=slurm``...)."""
    nameless_name_in_environment: bool
    """SLURM_JOB_NAME is ``sbatch`` for a script from stdin without --job-name; before that it was not set."""
    allocation_in_step_environment: bool
    """Steps of srun outside a job have SLURM_JOB_GROUP, SLURM_MEM_PER_* and SLURM_TRES_PER_TASK."""
    working_cluster_suffix: str | None
    """The end of SLURM_WORKING_CLUSTER: protocol version and the number of the select plugin; None when it is not set."""
    hostlist_suffixes: bool
    """``n[1-3]-ib`` is a hostlist."""
    licenses_in_environment: bool
    """SLURM_JOB_LICENSES."""
    explains_step_gres: bool
    """srun says in a line of its own which gres its job has not."""
    update_adds_no_error: bool
    """scontrol update says ``slurm_update error: No error`` after a complaint of its own about a partition."""
    node_fail_exit_code: int
    """The exit code that accounting has of a job that ended NODE_FAIL (measured)."""
    accounts_at_submission: bool
    """Accounting is told of a new job at once; before that some seconds later, by when Slurm knows what the job waits for."""
    accounting_restarts: bool
    """sacct knows the field Restarts."""
    looks_at_deadlines_early: bool
    """A job that cannot end before its deadline is refused, and one that is held is looked at as well; before that neither."""
    updates_count_tasks: bool
    """scontrol update, hold and release of a job that waits count its tasks anew: ``--ntasks-per-node`` on each node, whatever ``--ntasks``."""
    updates_name_all: bool
    """scontrol update of an array names those of its elements that it has changed, where it could not change others."""
    keeps_first_name: bool
    """SLURM_JOB_NAME and ``%x`` in files are the name that a job was submitted with, though scontrol update has changed it."""
    excludes_first: bool
    """scontrol update changes the nodes that a job excludes before it looks at required ones, and these before gres and licenses."""
    throttles_arrays_only: bool
    """scontrol update ArrayTaskThrottle is refused for elements and other jobs; before that it does nothing."""
    derived_counts_last_steps: bool
    """sacct's DerivedExitCode is that of all steps so far; before that it is told when the job ends, and not of steps that end later."""
    requeue_frees_nodes: bool
    """Of a job that ran and waits to run again no nodes are allocated in accounting; before that those that it had."""
    accounting_hears_of_requeue_hold: bool
    """``scontrol requeuehold`` takes the priority of the attempt that is over as well, for sacct."""
    requeue_renews_priority: bool
    """A requeued job gets the next priority; before that it kept its own."""
    memory_makes_mixed: bool
    """A node of which nothing but memory is allocated is MIXED; before that it was IDLE."""
    grace_time_ends_in_preemption: bool
    """A job that ends in its grace time by itself is PREEMPTED, or requeued; before that it was what it ended as."""
    accounting_hears_of_eligible_misfits: bool
    """sacct has an Eligible of jobs that are refused as no node has what they need."""
    tells_of_last_element: bool
    """Accounting hears that one element of an array is left as soon as the one before starts; before that when itself starts, or is changed."""


PROFILES: Mapping[str, Profile] = {
    "22.05": Profile(
        release="22.05",
        version="22.05.8",
        refuses_unknown_dependency=False,
        raised_signal_reason=False,
        job_times_in_environment=False,
        node_aliases_in_environment=True,
        oom_killed=(
            "Detected {count} oom-kill event(s) in StepId={step}. "
            "Some of your processes may have been killed by the cgroup out-of-memory handler."
        ),
        oom_kill_step_in_environment=False,
        tres_per_task_in_environment=False,
        counts_tasks_of_components=True,
        sacct_cuts_dates=True,
        tasks_per_node_limit_nodes=True,
        tasks_per_node_fill_nodes=True,
        nodelist_offers_nodes=False,
        tasks_fit_nodes=False,
        counted_tasks_in_blocks=False,
        counts_tasks_of_own_nodes=False,
        names_kept_nodes=True,
        steps_go_round=False,
        features_need_no_id=False,
        refuses_unlimited_with_deadline=False,
        refuses_more_than_there_is=False,
        makes_output_directories=False,
        pack_group_in_environment=True,
        nil_needs_no_login=False,
        slurmd_debug_in_environment=False,
        launchers_in_environment=False,
        nameless_name_in_environment=False,
        allocation_in_step_environment=False,
        working_cluster_suffix="9728:109",
        hostlist_suffixes=False,
        licenses_in_environment=False,
        explains_step_gres=True,
        update_adds_no_error=True,
        node_fail_exit_code=0,
        accounts_at_submission=False,
        accounting_restarts=False,
        looks_at_deadlines_early=False,
        updates_count_tasks=False,
        updates_name_all=True,
        keeps_first_name=True,
        excludes_first=False,
        throttles_arrays_only=False,
        derived_counts_last_steps=False,
        requeue_frees_nodes=False,
        accounting_hears_of_requeue_hold=True,
        requeue_renews_priority=False,
        memory_makes_mixed=False,
        grace_time_ends_in_preemption=False,
        accounting_hears_of_eligible_misfits=False,
        tells_of_last_element=False,
    ),
    "24.11": Profile(
        release="24.11",
        version="24.11.5",
        refuses_unknown_dependency=True,
        raised_signal_reason=True,
        job_times_in_environment=True,
        node_aliases_in_environment=False,
        oom_killed="Detected {count} oom_kill event{s} in StepId={step}. Some of the step tasks have been OOM Killed.",
        oom_kill_step_in_environment=True,
        tres_per_task_in_environment=True,
        counts_tasks_of_components=False,
        sacct_cuts_dates=False,
        tasks_per_node_limit_nodes=False,
        tasks_per_node_fill_nodes=False,
        nodelist_offers_nodes=True,
        tasks_fit_nodes=True,
        counted_tasks_in_blocks=True,
        counts_tasks_of_own_nodes=True,
        names_kept_nodes=False,
        steps_go_round=True,
        features_need_no_id=True,
        refuses_unlimited_with_deadline=True,
        refuses_more_than_there_is=True,
        makes_output_directories=True,
        pack_group_in_environment=False,
        nil_needs_no_login=True,
        slurmd_debug_in_environment=True,
        launchers_in_environment=True,
        nameless_name_in_environment=True,
        allocation_in_step_environment=True,
        working_cluster_suffix=None,
        hostlist_suffixes=True,
        licenses_in_environment=True,
        explains_step_gres=False,
        update_adds_no_error=False,
        node_fail_exit_code=1,
        accounts_at_submission=True,
        accounting_restarts=True,
        looks_at_deadlines_early=True,
        updates_count_tasks=True,
        updates_name_all=False,
        keeps_first_name=False,
        excludes_first=True,
        throttles_arrays_only=True,
        derived_counts_last_steps=True,
        requeue_frees_nodes=True,
        accounting_hears_of_requeue_hold=False,
        requeue_renews_priority=True,
        memory_makes_mixed=True,
        grace_time_ends_in_preemption=True,
        accounting_hears_of_eligible_misfits=True,
        tells_of_last_element=True,
    ),
}
"""Every release that can be asked for."""
