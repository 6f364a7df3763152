"""The options of sbatch, srun and salloc as the controller takes them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from fakeslurm import messages
from fakeslurm.commands.base import Invocation
from fakeslurm.commands.job_options import Wishes
from fakeslurm.messages import SlurmError
from fakeslurm.model import JobDescription

__all__ = ["check_lengths", "describe", "work_dir"]

_LONGEST_TEXT = 1024
"""Bytes of a job's name, comment and the like (MAX_STR_LEN in job_mgr.c; measured: 1024 pass, 1025 do not)."""
_LARGEST_16 = 0xFFFF
_NO_VAL_16 = 0xFFFE
_LONGEST_SCRIPT = 4 << 20
"""SchedulerParameters=max_script_size, by default 4 MB."""


def describe(
    wishes: Wishes,
    invocation: Invocation,
    *,
    name: str,
    script: bytes | None = None,
    argv: tuple[str, ...] = (),
    submit_line: str = "",
    name_in_environment: bool = True,
) -> JobDescription:
    """The options as the controller takes them; `name` is that of a job that was not given one. The rest is `JobDescription`'s."""
    directory = work_dir(invocation.cwd, wishes.chdir)
    return JobDescription(
        script=script,
        argv=argv,
        submit_line=submit_line,
        name_in_environment=name_in_environment,
        name=name if wishes.job_name is None else wishes.job_name,
        user=invocation.user,
        uid=invocation.uid,
        group=invocation.group,
        gid=invocation.gid,
        account=wishes.account,
        qos=wishes.qos,
        partition=wishes.partition,
        min_nodes=wishes.min_nodes,
        max_nodes=wishes.max_nodes,
        ntasks=wishes.ntasks,
        ntasks_per_node=wishes.ntasks_per_node,
        ntasks_per_core=wishes.ntasks_per_core,
        ntasks_per_socket=wishes.ntasks_per_socket,
        cpus_per_task=wishes.cpus_per_task,
        mincpus=_sixteen_bits(wishes.mincpus),
        sockets_per_node=wishes.sockets_per_node,
        cores_per_socket=wishes.cores_per_socket,
        threads_per_core=wishes.threads_per_core,
        mem_per_node=wishes.mem,
        mem_per_cpu=wishes.mem_per_cpu,
        tmp_disk=wishes.tmp,
        time_limit=wishes.time,
        nodelist=_nodes(wishes.nodelist),
        exclude=_nodes(wishes.exclude),
        exclusive=wishes.exclusive,
        oversubscribe=wishes.oversubscribe,
        overcommit=wishes.overcommit,
        contiguous=wishes.contiguous,
        spread_job=wishes.spread_job,
        use_min_nodes=wishes.use_min_nodes,
        hold=wishes.hold,
        requeue=wishes.requeue,
        priority=wishes.priority,
        nice=wishes.nice,
        begin=wishes.begin,
        deadline=wishes.deadline,
        dependency=wishes.dependency or "",
        kill_on_invalid_dep=wishes.kill_on_invalid_dep,
        array=wishes.array or "",
        constraint=wishes.constraint,
        gres=wishes.gres or "",
        gpus=wishes.gpus or "",
        gpus_per_node=wishes.gpus_per_node or "",
        other_gpus=wishes.other_gpus or "",
        licenses=wishes.licenses or "",
        reservation=wishes.reservation or "",
        output=_file(wishes.output, directory),
        error=_file(wishes.error, directory),
        input=_file(wishes.input, directory),
        open_mode=wishes.open_mode,
        work_dir=directory,
        submit_dir=invocation.cwd,
        environment=_environment(
            (*invocation.environ.items(), *([("SLURM_GET_USER_ENV", "1")] if wishes.get_user_env else []))
        ),
        export=wishes.export,
        comment=wishes.comment,
        mail_type=wishes.mail_type,
        mail_user=wishes.mail_user or "",
        wckey=wishes.wckey,
        signal=wishes.signal,
        distribution=wishes.distribution,
        no_kill=wishes.no_kill,
        umask=invocation.umask,
        niceness=invocation.niceness,
        submit_host=invocation.host,
    )


@functools.lru_cache(256)
def _environment(variables: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all jobs that are submitted in the same environment: else it would be most of what is kept of a job."""
    return dict(variables)


def _sixteen_bits(number: int | None) -> int | None:
    """slurmctld keeps so many of ``--mincpus`` (measured): of what is none of them, or NO_VAL16, nothing is asked for."""
    kept = None if number is None else number & _LARGEST_16
    return None if kept in (0, _NO_VAL_16) else kept


def work_dir(cwd: str, chdir: str | None) -> str:
    """As ``--chdir`` says it, behind where the command was called, with its dots and slashes (measured)."""
    if chdir is None:
        return cwd
    return chdir if chdir.startswith("/") else f"{cwd}/{chdir}"


def _nodes(text: str | None) -> str:
    """An empty list is one, too: it is shown, and says that there are no nodes (measured)."""
    return "" if text is None else text or ","


def _file(name: str | None, directory: str) -> str | None:
    """A standard file's name: absolute from the start, so that it stays when the job gets another directory (measured)."""
    if name is None or name.startswith("/"):
        return name
    return "/dev/null" if name.lower() == "none" else f"{directory}/{name}"


def check_lengths(description: JobDescription) -> None:
    """Raises SlurmError for what no job may say."""
    texts = (
        description.name,
        description.comment,
        description.wckey,
        description.account,
        description.partition,
        description.dependency,
    )
    script = description.script or b""
    if len(script) > _LONGEST_SCRIPT or any(len(text or "") > _LONGEST_TEXT for text in texts):
        raise SlurmError(messages.PATHNAME_TOO_LONG)
