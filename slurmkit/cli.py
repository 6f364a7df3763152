"""The ``slurmkit`` command. It needs the extra ``slurmkit[cli]``; the library itself does not."""

from __future__ import annotations

import datetime
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slurmkit import __version__

if TYPE_CHECKING:
    import typer

    from slurmkit.housekeeping import Entry

__all__ = ["build", "main"]


def build() -> typer.Typer:
    """The command line. Raises ImportError where typer is not installed."""
    import typer

    app = typer.Typer(help="Run Python functions on Slurm.", add_completion=False, no_args_is_help=True)

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"slurmkit {__version__}")
            raise typer.Exit

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", help="Show the version and exit.", callback=show_version, is_eager=True
        ),
    ) -> None:
        pass

    root_option = typer.Option(None, help="Where job directories go. Default: $SLURMKIT_JOB_ROOT or ~/.slurmkit/jobs.")
    sbatch_option = typer.Option(
        [], "--option", "-o", metavar="NAME=VALUE", help="An sbatch option of the small job, such as partition=debug."
    )

    state_option = typer.Option(
        [],
        metavar="STATE",
        help="Only jobs in this state, such as COMPLETED; more than once for several.",
        callback=_states,
    )

    @app.command()
    def doctor(
        job_root: Path | None = root_option,
        option: list[str] = sbatch_option,
        submit: bool = typer.Option(True, help="Submit a small job to see what its node sees."),
        wait: float = typer.Option(120.0, min=0.0, metavar="SECONDS", help="How long that job may wait and run."),
    ) -> None:
        """Look whether what slurmkit needs works here. Exits with 1 when something does not."""
        from slurmkit.doctor import examine
        from slurmkit.errors import OptionError

        options = dict(_name_and_value(text) for text in option)
        is_well = True
        try:
            for finding in examine(job_root=job_root, options=options, submit=submit, patience=wait):
                typer.echo(f"{finding.level:8}{finding.about}: {finding.says}")
                if finding.advice:
                    typer.echo(f"{'':8}-> {finding.advice}")
                is_well = is_well and finding.level != "error"
        except OptionError as error:
            raise typer.BadParameter(str(error), param_hint="--option") from error
        raise typer.Exit(0 if is_well else 1)

    @app.command()
    def jobs(
        job_root: Path | None = root_option,
        state: list[str] = state_option,
        as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
    ) -> None:
        """List the jobs of a job root, whoever submitted them, and how they stand."""
        for entry in _survey(job_root):
            if state and not set(entry.states) & set(state):
                continue
            if as_json:
                typer.echo(json.dumps({**_plain(entry), "states": dict(entry.states), "is_over": entry.is_over}))
            else:
                shown = _plain(entry)
                typer.echo(
                    "  ".join(
                        [
                            shown["job_id"] or "-",
                            entry.state,
                            *(shown[name] for name in ("created", "function", "job_dir")),
                        ]
                    )
                )

    @app.command()
    def clean(
        job_root: Path | None = root_option,
        older_than: str = typer.Option(
            "30d", metavar="AGE", help="Only what has not changed for so long: 45s, 90m, 12h, 30d, 2w."
        ),
        state: list[str] = state_option,
        dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be removed."),
    ) -> None:
        """Remove the directories of jobs that are over, with their results. A job that Slurm knows and that is not over is never touched."""
        from slurmkit import jobdir
        from slurmkit.errors import OptionError
        from slurmkit.housekeeping import age_in_seconds, removable

        try:
            seconds = age_in_seconds(older_than)
        except OptionError as error:
            raise typer.BadParameter(str(error), param_hint="--older-than") from error
        entries = _survey(job_root)
        removed = 0
        for entry in removable(entries, time.time(), older_than=seconds, states=state):
            if not dry_run:
                jobdir.remove(entry.job_dir)
            removed += 1
            typer.echo(f"{'would remove' if dry_run else 'removed'} {entry.job_dir} ({entry.state})")
        typer.echo(f"{removed} of {len(entries)} job directories {'would be ' if dry_run else ''}removed")

    def _survey(job_root: Path | None) -> list[Entry]:
        from slurmkit.backends.cli import CliBackend
        from slurmkit.cluster import Cluster
        from slurmkit.errors import SchedulerError
        from slurmkit.housekeeping import survey

        try:
            with Cluster("slurm", job_root=job_root) as cluster:
                return survey(cluster.job_root, CliBackend(), time.time())
        except SchedulerError as error:
            typer.echo(f"slurmkit: {error}", err=True)
            raise typer.Exit(1) from error

    def _plain(entry: Entry) -> dict[str, str]:
        when = datetime.datetime.fromtimestamp(entry.created, datetime.UTC).isoformat(timespec="seconds")
        return {
            "job_id": ",".join(entry.job_ids),
            "created": when,
            "function": entry.function,
            "job_dir": str(entry.job_dir),
        }

    def _name_and_value(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as partition=debug", param_hint="--option")
        return name, value

    return app


def _states(given: list[str]) -> list[str]:
    import typer

    from slurmkit.housekeeping import STATES

    states = [text.upper() for text in given]
    for text, state in zip(given, states, strict=True):
        if state not in STATES:
            raise typer.BadParameter(f"{text!r} is no state; valid: {', '.join(sorted(STATES))}", param_hint="--state")
    return states


def main() -> None:
    """Entry point of the console script."""
    try:
        app = build()
    except ImportError as error:
        sys.exit(f"slurmkit: the command line needs the extra 'cli' ({error}): pip install 'slurmkit[cli]'")
    app(prog_name="slurmkit")
