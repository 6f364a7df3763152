"""The environment of the batch script, of a step, and of each of its ranks.

Sources: src/common/env.c (``env_array_for_batch_job``, ``env_array_for_step``, ``setup_env``), and complete dumps of 22.05.8 and
24.11.5 with which the tests compare every name and value. SLURM_TASK_PID is left to whoever starts the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakeslurm.exports import exported, exports_all, login_environment
from fakeslurm.gres import device_indices, node_gres
from fakeslurm.model import Job, Settings, Step
from slurmkit.slurm import hostlist, layout

__all__ = [
    "allocation_environment",
    "batch_environment",
    "step_environment",
    "task_environment",
]

_DEFAULT_TMPDIR = "/tmp"
_YEAR = 365 * 24 * 3600
"""Length of a job without a limit, in SLURM_JOB_END_TIME (job_mgr.c)."""
_NOT_OF_ALLOCATION = (
    *("JOB_END_TIME", "JOB_GID", "JOB_START_TIME", "JOB_UID", "JOB_USER", "OOM_KILL_STEP", "PRIO_PROCESS"),
    *("TOPOLOGY_ADDR_PATTERN", "WORKING_CLUSTER"),
)
"""What a batch script has and the command of salloc has not."""
_PRESERVED = ("SLURM_NNODES", "SLURM_NPROCS", "SLURM_NTASKS", "SLURM_TASKS_PER_NODE")
"""What --preserve-env keeps (measured)."""
_BOOTSTRAPS = {
    "HYDRA_BOOTSTRAP": "HYDRA_LAUNCHER_EXTRA_ARGS",
    "I_MPI_HYDRA_BOOTSTRAP": "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS",
}
"""The launchers of MPI libraries that may be others than Slurm, and where their options for Slurm are."""
_LAUNCHERS = ("OMPI_MCA_plm_slurm_args", "PRTE_MCA_plm_slurm_args")
_LAUNCHER_OPTIONS = "--external-launcher"
_OF_COMPONENT = frozenset(
    f"SLURM_JOB_{name}"
    for name in ("ACCOUNT", "CPUS_PER_NODE", "ID", "NAME", "NODELIST", "NUM_NODES", "PARTITION", "QOS")
)
_TASKS = frozenset({"SLURM_NPROCS", "SLURM_NTASKS"})
_NOT_OF_HET_JOB = frozenset(
    f"SLURM_{name}"
    for name in (
        *("CPUS_PER_TASK", "DISTRIBUTION", "DIST_PLANESIZE", "GPUS", "GPUS_PER_NODE", "NTASKS_PER_CORE"),
        *("NTASKS_PER_NODE", "NTASKS_PER_SOCKET", "THREADS_PER_CORE", "TRES_PER_TASK"),
    )
)
_DEVICE_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ROCR_VISIBLE_DEVICES",
    "SLURM_GPUS_ON_NODE",
    "ZE_AFFINITY_MASK",
)
"""Of GPUs that gres.conf says nothing more about than their files (gpu/generic)."""
_PORTS = (32768, 28000)
"""Where srun's ports are taken from: the first, and how many. Nobody listens there."""


def batch_environment(
    job: Job, settings: Settings, login: Mapping[str, str] | None = None, components: Sequence[Job] = ()
) -> dict[str, str]:
    """Of the batch script of a job that has started: what it asked to be exported, and Slurm's own on top.

    `components` are those of a heterogeneous job, of which `job` is the first. `login` is the environment of a fresh login of
    the user, which jobs get that have SLURM_GET_USER_ENV=1, of ``--get-user-env`` or of the job that submitted them, and those with
    an ``--export`` other than ALL, and in 24.11 than NIL; by default `login_environment`.
    """
    description = job.description
    export = description.export
    environment = exported(description.environment, export)
    if not exports_all(export):
        environment["SLURM_EXPORT_ENV"] = export or ""
        if (export or "").upper() != "NIL" or not settings.profile.nil_needs_no_login:
            environment["SLURM_GET_USER_ENV"] = "1"
    if environment.get("SLURM_GET_USER_ENV") == "1":
        environment = {**(login_environment(description.user) if login is None else login), **environment}
    node = job.nodes[0]
    environment |= _of_job(job, settings)
    environment |= _asked_for(job, "SLURM_CPUS_PER_TASK" in environment)
    environment |= {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": node,
        "SLURM_TASKS_PER_NODE": layout.format(job.tasks_per_node),
        "SLURM_NNODES": str(len(job.nodes)),
        **_of_task(node, node_id=0, local_id=0, rank=0, ranks=(0,), cpus=job.cpus_per_node[0]),
        **_devices(node, job.gres_on(node), settings, "SLURM_JOB_GPUS"),
    }
    environment |= _licenses(job, settings)
    if settings.profile.node_aliases_in_environment:
        environment["SLURM_NODE_ALIASES"] = "(null)"
    if settings.profile.tres_per_task_in_environment and description.cpus_per_task is not None:
        environment["SLURM_TRES_PER_TASK"] = f"cpu={description.cpus_per_task}"
    if job.array is not None:
        if job.array_task_id is not None:  # it is no record of elements that were cancelled and requeued
            environment |= {
                "SLURM_ARRAY_JOB_ID": str(job.array.job_id),
                "SLURM_ARRAY_TASK_ID": str(job.array_task_id),
            }
        environment |= {
            "SLURM_ARRAY_TASK_COUNT": str(job.array.count),
            "SLURM_ARRAY_TASK_MAX": str(job.array.highest),
            "SLURM_ARRAY_TASK_MIN": str(job.array.lowest),
            "SLURM_ARRAY_TASK_STEP": str(job.array.step),
        }
    if description.dependency:
        environment["SLURM_JOB_DEPENDENCY"] = description.dependency
    if job.restart_count:
        environment["SLURM_RESTART_COUNT"] = str(job.restart_count)
    if description.open_mode:
        environment["SLURM_OPEN_MODE"] = description.open_mode[0]
    if settings.profile.launchers_in_environment:
        environment = _launchers(environment) | environment
    environment.setdefault("TMPDIR", _DEFAULT_TMPDIR)
    return _with_components(environment, components, settings) if components else environment


def _with_components(environment: Mapping[str, str], components: Sequence[Job], settings: Settings) -> dict[str, str]:
    """A batch script's `environment` when its job is heterogeneous: every component's variables with its number (measured).

    Without number there are fewer of the first component's than a job of its own has.
    """
    uncounted = [
        not settings.profile.counts_tasks_of_components and job.description.ntasks is None for job in components
    ]
    dropped = _NOT_OF_HET_JOB | (_TASKS if uncounted[0] else frozenset())
    found = {name: value for name, value in environment.items() if name not in dropped}
    found["SLURM_HET_SIZE"] = found["SLURM_PACK_SIZE"] = f"{len(components)}"
    for number, job in enumerate(components):
        values = {
            **{name: value for name, value in _of_job(job, settings).items() if name in _OF_COMPONENT},
            **_asked_for(job, has_cpus_per_task=False),
            "SLURM_TASKS_PER_NODE": layout.format(job.tasks_per_node),
        }
        if settings.profile.tres_per_task_in_environment and job.description.cpus_per_task is not None:
            values["SLURM_TRES_PER_TASK"] = f"cpu={job.description.cpus_per_task}"
        for name, value in values.items():
            if name in _TASKS and uncounted[number]:
                continue
            found[f"{name}_HET_GROUP_{number}"] = found[f"{name}_PACK_GROUP_{number}"] = value
    return found


def allocation_environment(job: Job, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Of the command that salloc runs: salloc's own `environ`, and what the job is on top (measured)."""
    of_job = _of_job(job, settings)
    for name in _NOT_OF_ALLOCATION:
        of_job.pop(f"SLURM_{name}", None)
    values = {
        **environ,
        **of_job,
        **_asked_for(job, has_cpus_per_task=False),
        "SLURM_NNODES": str(len(job.nodes)),
        "SLURM_TASKS_PER_NODE": layout.format(job.tasks_per_node),
    }
    if settings.profile.node_aliases_in_environment:
        values["SLURM_NODE_ALIASES"] = "(null)"
    if settings.profile.tres_per_task_in_environment and job.description.cpus_per_task is not None:
        values["SLURM_TRES_PER_TASK"] = f"cpu={job.description.cpus_per_task}"
    if settings.profile.launchers_in_environment:
        values |= _launchers(values)
    return values


def step_environment(
    job: Job,
    step: Step,
    settings: Settings,
    environ: Mapping[str, str],
    export: str | None = None,
    *,
    umask: int = 0o022,
    niceness: int = 0,
    debug: int = 3,
    variables: Mapping[str, str] | None = None,
    preserve: bool = False,
) -> dict[str, str]:
    """Common to all ranks of a step: srun's own environment `environ`, reduced as `export` says, and the step's on top.

    `debug` is SRUN_DEBUG: 3, one more for each -v and one less for -Q. `variables` are those that srun sets for options that
    the step's request does not have (SLURM_LABELIO=1 for -l). With `preserve` (-E) the numbers of nodes and tasks are srun's own.
    """
    request = step.request
    inside = environ.get("SLURM_JOB_ID") == str(job.job_id)
    mine = dict(environ)
    mine["SRUN_DEBUG"] = str(debug)
    if settings.profile.launchers_in_environment:
        mine |= _launchers(mine)
    environment = exported(mine, export)
    first, count = _PORTS
    port = str(first + (job.job_id * 64 + (step.step_id if isinstance(step.step_id, int) else 0)) % count)
    counts = layout.format(step.tasks_per_node)
    nodes = hostlist.compress(step.nodes)
    if any(job.gres):  # a step without GPUs does not see its job's
        for name in _DEVICE_VARIABLES:
            environment.pop(name, None)
    if not inside:
        environment |= _of_job(job, settings) | _licenses(job, settings)
        if settings.profile.allocation_in_step_environment:
            environment |= _of_own_allocation(job)
    if inside or (request is not None and request.distribution) or _asks_for_memory(job):
        environment["SLURM_DISTRIBUTION"] = step.distribution
    if inside and settings.profile.pack_group_in_environment:
        environment["SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0"] = layout.format(job.cpus_per_node)
    if inside:
        environment |= _of_start(job, settings)
    if settings.profile.slurmd_debug_in_environment:
        environment["SLURMD_DEBUG"] = "2"
    environment |= {
        **_of_allocation(job, settings),
        "SLURM_PRIO_PROCESS": str(niceness),
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "SLURM_NNODES": str(len(step.nodes)),
        "SLURM_NPROCS": str(step.ntasks),
        "SLURM_NTASKS": str(step.ntasks),
        "SLURM_SRUN_COMM_HOST": "127.0.0.1",
        "SLURM_SRUN_COMM_PORT": port,
        "SLURM_STEPID": str(step.step_id),
        "SLURM_STEP_ID": str(step.step_id),
        "SLURM_STEP_LAUNCHER_PORT": port,
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_NUM_NODES": str(len(step.nodes)),
        "SLURM_STEP_NUM_TASKS": str(step.ntasks),
        "SLURM_STEP_TASKS_PER_NODE": counts,
        "SLURM_TASKS_PER_NODE": counts,
        "SLURM_UMASK": f"{umask:04o}",
    }
    if preserve:
        environment = {name: value for name, value in environment.items() if name not in _PRESERVED}
        environment |= {name: environ[name] for name in _PRESERVED if name in environ}
    environment.setdefault("SLURM_JOB_NAME", step.name)
    if request is not None:
        if request.cpus_per_task is not None:
            environment["SLURM_CPUS_PER_TASK"] = str(request.cpus_per_task)
            if settings.profile.tres_per_task_in_environment:
                environment["SLURM_TRES_PER_TASK"] = f"cpu={request.cpus_per_task}"
        if request.ntasks_per_node is not None:
            environment["SLURM_NTASKS_PER_NODE"] = str(request.ntasks_per_node)
        if request.overcommit:
            environment["SLURM_OVERCOMMIT"] = "1"
        if request.distribution is not None:
            environment |= _distribution(request.distribution)
    environment |= variables or {}
    environment.setdefault("TMPDIR", _DEFAULT_TMPDIR)
    return environment


def _launchers(environ: Mapping[str, str]) -> dict[str, str]:
    """What tells the launchers of MPI libraries to start their daemons by srun, unless `environ` has them use something else.

    In batch scripts what the user has set stays; srun and salloc replace it (measured).
    """
    found = dict.fromkeys(_LAUNCHERS, _LAUNCHER_OPTIONS)
    for bootstrap, options in _BOOTSTRAPS.items():
        if environ.get(bootstrap, "slurm") == "slurm":
            found |= {bootstrap: "slurm", options: _LAUNCHER_OPTIONS}
    return found


def _of_own_allocation(job: Job) -> dict[str, str]:
    """What srun outside a job has asked for, in its step."""
    asked = job.description
    values = {"SLURM_JOB_GROUP": asked.group}
    if asked.cpus_per_task is not None:
        values["SLURM_TRES_PER_TASK"] = f"cpu={asked.cpus_per_task}"
    if asked.mem_per_node:
        values["SLURM_MEM_PER_NODE"] = str(asked.mem_per_node)
    if asked.mem_per_cpu:
        values["SLURM_MEM_PER_CPU"] = str(asked.mem_per_cpu)
    return values


def task_environment(job: Job, step: Step, settings: Settings, rank: int) -> dict[str, str]:
    """What one rank has besides `step_environment`."""
    for node_id, ranks in enumerate(step.tasks):
        if rank in ranks:
            node = step.nodes[node_id]
            own = _of_task(
                node,
                node_id=node_id,
                local_id=ranks.index(rank),
                rank=rank,
                ranks=ranks,
                cpus=step.cpus_per_node[node_id],
            )
            return own | (_devices(node, step.gres[node_id], settings, "SLURM_STEP_GPUS") if step.gres else {})
    raise ValueError(f"step {job.job_id}.{step.step_id} has {step.ntasks} tasks, no rank {rank}")


def _of_allocation(job: Job, settings: Settings) -> dict[str, str]:
    """What srun sets in every step, also when it has been deleted from its environment."""
    description = job.description
    profile = settings.profile
    nodes = hostlist.compress(job.nodes)
    values = {
        "SLURM_JOBID": str(job.job_id),
        "SLURM_JOB_GID": str(description.gid),
        "SLURM_JOB_ID": str(job.job_id),
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_UID": str(description.uid),
        "SLURM_JOB_USER": description.user,
        "SLURM_NODELIST": nodes,
        "SLURM_PRIO_PROCESS": str(description.niceness),
        "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
    }
    if settings.conf is not None:
        values["SLURM_CONF"] = settings.conf
    if profile.working_cluster_suffix is not None:
        address = f"{settings.control_host}:{settings.control_port}:{profile.working_cluster_suffix}"
        values["SLURM_WORKING_CLUSTER"] = f"{settings.cluster_name}:{address}"
    return values


def _of_job(job: Job, settings: Settings) -> dict[str, str]:
    description = job.description
    values = {
        **_of_allocation(job, settings),
        "SLURM_CLUSTER_NAME": settings.cluster_name,
        "SLURM_JOB_CPUS_PER_NODE": layout.format(job.cpus_per_node),
        "SLURM_JOB_NUM_NODES": str(len(job.nodes)),
        "SLURM_SUBMIT_DIR": description.submit_dir or description.work_dir,
        "SLURM_SUBMIT_HOST": description.submit_host,
    }
    if description.name_in_environment or settings.profile.nameless_name_in_environment:
        values["SLURM_JOB_NAME"] = description.lasting_name
    if job.account is not None:
        values["SLURM_JOB_ACCOUNT"] = job.account
    if job.qos is not None:
        values["SLURM_JOB_QOS"] = job.qos
    return values | _of_start(job, settings)


def _of_start(job: Job, settings: Settings) -> dict[str, str]:
    """What batch scripts and steps have of a job that runs, but not the command of salloc."""
    values: dict[str, str] = {}
    profile = settings.profile
    if profile.job_times_in_environment and job.start_time is not None:
        end = job.start_time + _YEAR if job.latest_end is None else job.latest_end
        values["SLURM_JOB_START_TIME"] = str(int(job.start_time))
        values["SLURM_JOB_END_TIME"] = str(int(end))
    if profile.oom_kill_step_in_environment:
        values["SLURM_OOM_KILL_STEP"] = "0"
    return values


def _asked_for(job: Job, has_cpus_per_task: bool) -> dict[str, str]:
    """The variables that are there only when their option was given."""
    description = job.description
    values: dict[str, str] = {}
    if description.cpus_per_task is not None or has_cpus_per_task:
        values["SLURM_CPUS_PER_TASK"] = str(description.cpus_per_task or 1)
    if description.asks_for_tasks:
        values["SLURM_NTASKS"] = values["SLURM_NPROCS"] = str(job.num_tasks)
    if description.overcommit:
        values["SLURM_OVERCOMMIT"] = "1"
    numbers = {
        "SLURM_MEM_PER_CPU": description.mem_per_cpu or None,
        "SLURM_MEM_PER_NODE": description.mem_per_node or None,
        "SLURM_NTASKS_PER_CORE": description.ntasks_per_core,
        "SLURM_NTASKS_PER_NODE": description.ntasks_per_node,
        "SLURM_NTASKS_PER_SOCKET": description.ntasks_per_socket,
        "SLURM_THREADS_PER_CORE": description.threads_per_core,
    }
    values |= {name: str(number) for name, number in numbers.items() if number is not None}
    if description.gpus:
        values["SLURM_GPUS"] = description.gpus
    if description.gpus_per_node:
        values["SLURM_GPUS_PER_NODE"] = description.gpus_per_node
    if description.distribution is not None:
        values |= _distribution(description.distribution)
    return values


def _licenses(job: Job, settings: Settings) -> dict[str, str]:
    licenses = job.description.licenses if settings.profile.licenses_in_environment else ""
    return {"SLURM_JOB_LICENSES": licenses} if licenses else {}


def _distribution(text: str) -> dict[str, str]:
    kind, _, size = text.partition("=")
    return {"SLURM_DISTRIBUTION": kind, **({"SLURM_DIST_PLANESIZE": size} if size else {})}


def _asks_for_memory(job: Job) -> bool:
    """srun outside a job sets SLURM_DISTRIBUTION only with -m and, for whatever reason, with --mem (measured)."""
    return bool(job.description.mem_per_node or job.description.mem_per_cpu)


def _devices(node: str, units: int, settings: Settings, numbers: str) -> dict[str, str]:
    """What the GPUs among a node's gres set; their indices are also in the variable `numbers`."""
    if not units:
        return {}
    lines = next(node_gres(one.gres) for one in settings.nodes if one.name == node)
    indices = device_indices(lines, units)
    if not indices:
        return {}
    text = ",".join(map(str, indices))
    return {**dict.fromkeys(_DEVICE_VARIABLES, text), numbers: text, "SLURM_GPUS_ON_NODE": str(len(indices))}


def _of_task(node: str, *, node_id: int, local_id: int, rank: int, ranks: tuple[int, ...], cpus: int) -> dict[str, str]:
    return {
        "SLURMD_NODENAME": node,
        "SLURM_CPUS_ON_NODE": str(cpus),
        "SLURM_GTIDS": ",".join(map(str, ranks)),
        "SLURM_LOCALID": str(local_id),
        "SLURM_NODEID": str(node_id),
        "SLURM_PROCID": str(rank),
        "SLURM_TOPOLOGY_ADDR": node,
    }
