"""The conversations of `fakeslurm.contract.options`: what is said to Slurm for each option and variable.

A line is a command as in a shell; ``J1`` is the id of the first job of the conversation. Every job is submitted held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["ALLOCATIONS", "CASES", "DIFFERENT", "QUERIES", "STEPS", "SUBMISSIONS"]

_SHOW = "scontrol show job J1"


def _table(text: str) -> list[tuple[str, str]]:
    """Lines of a name and, after the first blank, the rest."""
    pairs = (line.strip().partition(" ") for line in text.strip().splitlines())
    return [(name, rest.strip()) for name, _, rest in pairs]


_OPTIONS_OF_SBATCH = """
    --account physics
    --array 1-3
    --clusters nowhere
    --comment 'a comment'
    --constraint fast
    --contiguous
    --cores-per-socket 2
    --cpus-per-task 2
    --deadline now+1day
    --distribution cyclic
    --error err.%j
    --exclude n1
    --exclusive
    --export NONE
    --extra-node-info 1:2
    --gres none
    --gpus 1
    --gpus-per-node 1
    --gpus-per-socket 1
    --gpus-per-task 1
    --hint nomultithread
    --hold
    --ignore-pbs
    --input input
    --job-name named
    --kill-on-invalid-dep yes
    --licenses matlab
    --mail-type NONE
    --mail-user somebody
    --mem 100
    --mem-per-cpu 50
    --mincpus 2
    --nice 5
    --no-kill
    --no-requeue
    --nodelist n2
    --nodes 2
    --ntasks 5
    --ntasks-per-core 1
    --ntasks-per-node 2
    --ntasks-per-socket 1
    --open-mode append
    --output out.%j
    --overcommit
    --oversubscribe
    --parsable
    --partition debug
    --priority 7
    --propagate ALL
    --qos normal
    --requeue
    --reservation nope
    --signal USR1@60
    --sockets-per-node 1
    --spread-job
    --threads-per-core 1
    --time 10
    --tmp 0
    --use-min-nodes
    --wait-all-nodes 1
"""

_VARIABLES_OF_SBATCH = """
    SBATCH_ACCOUNT physics
    SBATCH_ARRAY_INX 1-3
    SBATCH_CLUSTERS nowhere
    SLURM_CLUSTERS nowhere
    SBATCH_CONSTRAINT fast
    SBATCH_DISTRIBUTION cyclic
    SBATCH_ERROR err.%j
    SBATCH_EXCLUSIVE exclusive
    SBATCH_EXPORT NONE
    SBATCH_GPUS 1
    SBATCH_GPUS_PER_NODE 1
    SBATCH_GPUS_PER_TASK 1
    SBATCH_GRES none
    SBATCH_HINT nomultithread
    SLURM_HINT nomultithread
    SBATCH_IGNORE_PBS 1
    SBATCH_INPUT input
    SBATCH_JOB_NAME named
    SBATCH_MEM_PER_CPU 50
    SBATCH_MEM_PER_NODE 100
    SBATCH_NO_KILL off
    SBATCH_NO_REQUEUE 1
    SBATCH_OPEN_MODE append
    SBATCH_OUTPUT out.%j
    SBATCH_OVERCOMMIT 1
    SBATCH_PARTITION debug
    SBATCH_QOS normal
    SBATCH_REQUEUE 1
    SBATCH_RESERVATION nope
    SBATCH_SIGNAL USR1@60
    SBATCH_SPREAD_JOB 1
    SBATCH_THREADS_PER_CORE 1
    SBATCH_TIMELIMIT 10
    SBATCH_USE_MIN_NODES 1
    SBATCH_WAIT_ALL_NODES 1
"""


def _option(name: str, value: str) -> str:
    return f"{name}={value}" if value else name


SUBMISSIONS: Mapping[str, Sequence[str]] = {
    **{
        f"sbatch {name}": (f"sbatch {_option(name, value)} job.sh", _SHOW) for name, value in _table(_OPTIONS_OF_SBATCH)
    },
    **{f"sbatch {name}": (f"{name}={value} sbatch job.sh", _SHOW) for name, value in _table(_VARIABLES_OF_SBATCH)},
    "sbatch --wrap": ("sbatch --hold --wrap 'echo wrapped'", _SHOW),
    "sbatch --quiet": ("sbatch --quiet --job-name=quiet job.sh", "scancel --name=quiet"),
    "sbatch --test-only": ("sbatch --test-only -N9 job.sh",),
}

_OPTIONS_OF_SALLOC = """
    --account physics
    --bell
    --chdir /
    --clusters nowhere
    --comment 'a comment'
    --constraint fast
    --contiguous
    --cores-per-socket 2
    --cpus-per-task 2
    --dependency afterok:4000000
    --distribution cyclic
    --exclude n1
    --exclusive
    --extra-node-info 1:2
    --gpus 1
    --gpus-per-node 1
    --gpus-per-socket 1
    --gpus-per-task 1
    --gres none
    --immediate 5
    --job-name named
    --kill-command USR1
    --licenses matlab
    --mail-type NONE
    --mail-user somebody
    --mem 100
    --mem-per-cpu 50
    --mincpus 2
    --nice 5
    --no-bell
    --no-kill
    --nodelist n2
    --nodes 2
    --ntasks 5
    --ntasks-per-core 1
    --ntasks-per-node 2
    --ntasks-per-socket 1
    --overcommit
    --oversubscribe
    --partition debug
    --priority 7
    --qos normal
    --reservation nope
    --signal USR1@60
    --sockets-per-node 1
    --spread-job
    --threads-per-core 1
    --time 10
    --tmp 0
    --use-min-nodes
    --wait-all-nodes 1
    --wckey key
"""

_VARIABLES_OF_SALLOC = """
    SALLOC_ACCOUNT physics
    SALLOC_BELL 1
    SALLOC_IMMEDIATE 5
    SALLOC_KILL_CMD USR1
    SALLOC_NO_BELL 1
    SALLOC_CLUSTERS nowhere
    SLURM_CLUSTERS nowhere
    SALLOC_CONSTRAINT fast
    SALLOC_EXCLUSIVE exclusive
    SALLOC_GPUS 1
    SALLOC_GPUS_PER_NODE 1
    SALLOC_GPUS_PER_TASK 1
    SALLOC_GRES none
    SALLOC_MEM_PER_CPU 50
    SALLOC_MEM_PER_NODE 100
    SALLOC_NO_KILL off
    SALLOC_OVERCOMMIT 1
    SALLOC_PARTITION debug
    SALLOC_QOS normal
    SALLOC_RESERVATION nope
    SALLOC_SIGNAL USR1@60
    SALLOC_SPREAD_JOB 1
    SALLOC_THREADS_PER_CORE 1
    SALLOC_TIMELIMIT 10
    SALLOC_USE_MIN_NODES 1
    SALLOC_WAIT_ALL_NODES 1
    SALLOC_WCKEY key
"""

_IN_ALLOCATIONS = ("sh -c 'scontrol show job $SLURM_JOB_ID'", "/usr/bin/env -0")

ALLOCATIONS: Mapping[str, Sequence[str]] = {
    **{
        f"salloc {name}": tuple(f"salloc {_option(name, value)} {command}" for command in _IN_ALLOCATIONS)
        for name, value in _table(_OPTIONS_OF_SALLOC)
    },
    **{
        f"salloc {name}": tuple(f"{name}={value} salloc {command}" for command in _IN_ALLOCATIONS)
        for name, value in _table(_VARIABLES_OF_SALLOC)
    },
    "salloc --no-shell": ("salloc --no-shell", _SHOW, "scancel J1"),
    "salloc --quiet": ("salloc --quiet echo quiet",),
    "salloc --version": ("salloc --version",),
}
"""Of salloc: its job, and what a command in it has in its environment."""

_OPTIONS_OF_SRUN = """
    --account physics
    --begin now
    --chdir /
    --clusters nowhere
    --comment 'a comment'
    --contiguous
    --cores-per-socket 1
    --cpu-bind cores
    --cpus-per-task 2
    --disable-status
    --distribution cyclic
    --exact
    --exclude n1
    --exclusive
    --export NONE
    --extra-node-info 1
    --gres none
    --gpus 1
    --gpus-per-node 1
    --gpus-per-socket 1
    --gpus-per-task 1
    --immediate 5
    --input none
    --job-name named
    --kill-on-bad-exit
    --licenses matlab
    --mail-type NONE
    --mail-user somebody
    --mem 100
    --mem-bind local
    --mem-per-cpu 50
    --mincpus 2
    --mpi none
    --nice 5
    --no-kill
    --nodelist n2
    --nodes 1
    --ntasks 1
    --ntasks-per-core 1
    --ntasks-per-node 1
    --ntasks-per-socket 1
    --open-mode append
    --overcommit
    --overlap
    --oversubscribe
    --partition debug
    --preserve-env
    --priority 7
    --propagate ALL
    --qos normal
    --quit-on-interrupt
    --relative 0
    --reservation nope
    --signal USR1@60
    --sockets-per-node 1
    --spread-job
    --threads 4
    --threads-per-core 1
    --time 10
    --tmp 0
    --unbuffered
    --use-min-nodes
    --wait 5
    --wait-all-nodes 1
    --whole
"""

_VARIABLES_OF_SRUN = """
    SLURM_ACCOUNT physics
    SLURM_CLUSTERS nowhere
    SLURM_CONSTRAINT fast
    SLURM_CPU_BIND cores
    SLURM_DEPENDENCY afterok:4000000
    SLURM_DISABLE_STATUS 1
    SLURM_DISTRIBUTION cyclic
    SLURM_EXACT 1
    SLURM_EXCLUSIVE exclusive
    SLURM_EXPORT_ENV NONE
    SLURM_GPUS 1
    SLURM_GPUS_PER_NODE 1
    SLURM_GPUS_PER_TASK 1
    SLURM_GRES none
    SLURM_IMMEDIATE 5
    SLURM_JOB_ID 4000000
    SLURM_JOB_NAME named
    SLURM_KILL_BAD_EXIT 1
    SLURM_MEM_BIND local
    SLURM_MEM_PER_CPU 50
    SLURM_MEM_PER_NODE 100
    SLURM_MPI_TYPE none
    SLURM_NPROCS 1
    SLURM_NO_KILL off
    SLURM_NTASKS 1
    SLURM_NTASKS_PER_NODE 1
    SLURM_NNODES 1
    SLURM_OPEN_MODE a
    SLURM_OVERCOMMIT 1
    SLURM_OVERLAP 1
    SLURM_PARTITION debug
    SLURM_QOS normal
    SLURM_RESERVATION nope
    SLURM_SIGNAL USR1@60
    SLURM_SPREAD_JOB 1
    SLURM_THREADS 4
    SLURM_TIMELIMIT 10
    SLURM_UNBUFFEREDIO 1
    SLURM_USE_MIN_NODES 1
    SLURM_WAIT 5
    SLURM_WHOLE 1
    SLURM_WORKING_DIR /
    SRUN_EXPORT_ENV NONE
"""

STEPS: Mapping[str, Sequence[str]] = {
    **{f"srun {name}": (f"srun {_option(name, value)} /usr/bin/env -0",) for name, value in _table(_OPTIONS_OF_SRUN)},
    **{f"srun {name}": (f"{name}={value} srun /usr/bin/env -0",) for name, value in _table(_VARIABLES_OF_SRUN)},
    "srun --error": ("srun --error=err.txt sh -c 'echo failed >&2; exit 1'", "cat err.txt"),
    "srun --input": ("srun --input=input cat",),
    "srun --jobid": ("srun --jobid=4000000 true",),
    "srun --label": ("srun --label echo one",),
    "srun --output": ("srun --output=out.txt echo one", "cat out.txt"),
    "srun --test-only": ("srun --test-only -N9 true",),
    "srun --version": ("srun --version",),
    "srun SLURM_LABELIO": ("SLURM_LABELIO=1 srun echo one",),
    "srun SLURM_REMOTE_CWD": ("SLURM_REMOTE_CWD=/ srun pwd",),
    "srun SRUN_ERROR": ("SRUN_ERROR=err.txt srun sh -c 'echo said >&2'",),
    "srun SRUN_INPUT": ("SRUN_INPUT=input srun cat",),
    "srun SRUN_OUTPUT": ("SRUN_OUTPUT=out.txt srun echo one",),
    "srun SLURM_STDERRMODE": ("SLURM_STDERRMODE=err.txt srun sh -c 'echo failed >&2; exit 1'", "cat err.txt"),
    "srun SLURM_STDINMODE": ("SLURM_STDINMODE=input srun cat",),
    "srun SLURM_STDOUTMODE": ("SLURM_STDOUTMODE=out.txt srun echo one", "cat out.txt"),
}
"""Of srun outside a job, on one node: what a task has in its environment."""

_JOBS = ("sbatch --job-name=one job.sh", "sbatch --job-name=two --nodes=2 --comment=c --time=10 job.sh")

_OPTIONS_OF_SQUEUE = """
    --account root
    --all
    --array
    --clusters nowhere
    --federation
    --format '%i %j %T'
    --Format jobid:10,name:10,state
    --hide
    --iterate 0
    --jobs J1
    --licenses matlab
    --local
    --me
    --name two
    --noconvert
    --nodelist n1
    --noheader
    --partition debug
    --qos normal
    --reservation nope
    --sibling
    --sort i
    --start
    --states PENDING
    --steps
    --user root
    --version
"""
_VARIABLES_OF_SQUEUE = """
    SLURM_CLUSTERS nowhere
    SLURM_TIME_FORMAT %Y
    SQUEUE_ACCOUNT root
    SQUEUE_ALL 1
    SQUEUE_ARRAY 1
    SQUEUE_FEDERATION 1
    SQUEUE_FORMAT '%i %j %T'
    SQUEUE_FORMAT2 jobid:10,name:10,state
    SQUEUE_LICENSES matlab
    SQUEUE_LOCAL 1
    SQUEUE_NAMES two
    SQUEUE_PARTITION debug
    SQUEUE_QOS normal
    SQUEUE_SIBLING 1
    SQUEUE_SORT i
    SQUEUE_STATES PENDING
    SQUEUE_USERS root
"""
_OPTIONS_OF_SACCT = """
    --allclusters
    --allocations
    --allusers
    --accounts root
    --associations 2
    --brief
    --clusters all
    --delimiter '; --parsable'
    --duplicates
    --endtime now
    --federation
    --flags SchedMain
    --format jobname,state
    --gid root
    --group root
    --helpformat
    --jobs J2
    --local
    --long
    --name two
    --ncpus 1
    --nnodes 1
    --noconvert
    --nodelist n1
    --noheader
    --parsable
    --parsable2
    --partition debug
    --qos normal
    --starttime now-1hour
    --state PENDING
    --timelimit-max 10
    --timelimit-min 10
    --uid root
    --units M
    --usage
    --use-local-uid
    --user root
    --version
    --wckeys nope
    --whole-hetjob
"""
_OPTIONS_OF_SCANCEL = """
    --account root
    --batch
    --clusters nowhere
    --full
    --me
    --name one
    --jobname one
    --nodelist n1
    --partition debug
    --qos normal
    --quiet
    --reservation nope
    --state PENDING
    --user root
    --verbose
    --version
"""
_VARIABLES_OF_SCANCEL = """
    SCANCEL_ACCOUNT root
    SCANCEL_BATCH 1
    SCANCEL_FULL 1
    SCANCEL_NAME one
    SCANCEL_PARTITION debug
    SCANCEL_QOS normal
    SCANCEL_STATE PENDING
    SCANCEL_USER root
    SLURM_CLUSTERS nowhere
"""
_OPTIONS_OF_SINFO = """
    --all
    --clusters nowhere
    --federation
    --format '%P %D %t'
    --Format partition,statelong
    --future
    --hide
    --list-reasons
    --local
    --long
    --Node
    --nodes n1
    --noconvert
    --noheader
    --partition debug
    --reservation
    --responding
    --states idle
    --summarize
    --version
"""
_VARIABLES_OF_SINFO = """
    SINFO_ALL 1
    SINFO_FEDERATION 1
    SINFO_FORMAT '%P %D %t'
    SINFO_LOCAL 1
    SINFO_PARTITION debug
    SLURM_CLUSTERS nowhere
    SLURM_TIME_FORMAT %Y
"""
_OPTIONS_OF_SCONTROL = """
    --all
    --clusters nowhere
    --details
    --federation
    --future
    --hide
    --local
    --oneliner
    --quiet
    --sibling
    --version
"""
_VARIABLES_OF_SCONTROL = """
    SCONTROL_ALL 1
    SCONTROL_FEDERATION 1
    SCONTROL_FUTURE 1
    SCONTROL_LOCAL 1
    SCONTROL_SIBLING 1
    SLURM_CLUSTERS nowhere
    SLURM_TIME_FORMAT %Y
"""
_LEFT = "squeue -h -t all -S i -j J1,J2 -o '%i %T'"


def _queries(
    command: str, options: str, variables: str, before: Sequence[str], rest: str, *after: str
) -> Mapping[str, Sequence[str]]:
    said = {
        f"{command} {name}": (*before, f"{command} {_option(name, value)} {rest}".rstrip(), *after)
        for name, value in _table(options)
    }
    return said | {
        f"{command} {name}": (*before, f"{name}={value} {command} {rest}".rstrip(), *after)
        for name, value in _table(variables)
    }


QUERIES: Mapping[str, Sequence[str]] = {
    **_queries("squeue", _OPTIONS_OF_SQUEUE, _VARIABLES_OF_SQUEUE, _JOBS, ""),
    "squeue --long": (*_JOBS, "squeue --long --noheader"),
    # One conversation for all: slurmdbd hears of a job up to five seconds late.
    "sacct": (
        *_JOBS,
        *(f"sacct {_option(name, value)} -j J1,J2" for name, value in _table(_OPTIONS_OF_SACCT)),
        "SLURM_TIME_FORMAT=%Y sacct -j J1,J2 -o submit",
    ),
    **_queries("scancel", _OPTIONS_OF_SCANCEL, _VARIABLES_OF_SCANCEL, _JOBS, "J1", _LEFT),
    **_queries("sinfo", _OPTIONS_OF_SINFO, _VARIABLES_OF_SINFO, (), ""),
    **_queries("scontrol", _OPTIONS_OF_SCONTROL, _VARIABLES_OF_SCONTROL, _JOBS[:1], "show job J1"),
    "scontrol hold": ("sbatch --job-name=one job.sh", "scontrol hold J1", "squeue -h -o '%i %r'"),
    "scontrol uhold": ("sbatch --job-name=one job.sh", "scontrol uhold J1", "squeue -h -o '%i %r'"),
    "scontrol version": ("scontrol version",),
    "scontrol show hostlist": ("scontrol show hostlist n1,n2,m3",),
    "scontrol show hostlistsorted": ("scontrol show hostlistsorted n2,n1,m3",),
    "scontrol show hostnames": ("scontrol show hostnames n[1-2]",),
    "scontrol show job": (*_JOBS, "scontrol show job J2"),
    "scontrol show partition": ("scontrol show partition debug",),
    "scontrol show step": ("sbatch --job-name=one job.sh", "scontrol show step 4000000.0"),
}

DIFFERENT: Mapping[str, tuple[str, str]] = {
    "srun --exclusive": ("22.05 24.11", "SLURM_CPUS_ON_NODE counts the step's CPUs, not the node's"),
    "srun --extra-node-info": ("22.05 24.11", "nothing is bound: SLURM_CPU_BIND* are not set"),
    "srun SLURM_DEPENDENCY": ("22.05", "SLURM_JOB_DEPENDENCY is not set"),
    "srun SLURM_EXCLUSIVE": ("22.05 24.11", "SLURM_CPUS_ON_NODE counts the step's CPUs, not the node's"),
    "srun SLURM_MPI_TYPE": ("22.05 24.11", "it stays in the environment of the tasks"),
    "scancel SCANCEL_BATCH": ("22.05 24.11", "it is not read"),
    "scancel SCANCEL_FULL": ("22.05 24.11", "it is not read"),
}
"""Where the fake does not say what Slurm says: in which releases, and how it differs."""

CASES: Mapping[str, Sequence[str]] = {**SUBMISSIONS, **ALLOCATIONS, **STEPS, **QUERIES}
