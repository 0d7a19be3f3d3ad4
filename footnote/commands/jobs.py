"""`footnote jobs`: what is being done, and how it goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import AsJson, examples, say
from knowledge.models import JobState
from knowledge.settings import load_settings

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

JobId = Annotated[str, typer.Argument(help="The job's id.")]


@app.callback()
def jobs(context: typer.Context) -> None:
    """List jobs, newest first."""
    if context.invoked_subcommand is None:
        jobs_list()


@app.command("list", epilog=examples("footnote jobs", "footnote jobs list --state dead"))
def jobs_list(
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only these; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first: id, kind, state, documents done, name, reason."""
    from footnote.jobs import list_jobs

    states = [each.value for each in state or ()]
    list_jobs(load_settings(), states=states, limit=limit, as_json=as_json, say=say)


@app.command("show", epilog=examples("footnote jobs show 0b1f6e0a-… --wait"))
def jobs_show(
    job_id: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one job.

    Exit code 1 when it failed, died or was cancelled.
    """
    from footnote.jobs import show_job

    raise typer.Exit(show_job(load_settings(), job_id, wait=wait, as_json=as_json, say=say))


@app.command("pause", epilog=examples("footnote jobs pause 0b1f6e0a-…"))
def jobs_pause(job_id: JobId, as_json: AsJson = False) -> None:
    """Hold a job; the document that is under way is finished."""
    _change(job_id, "pause", as_json=as_json)


@app.command("resume", epilog=examples("footnote jobs resume 0b1f6e0a-…"))
def jobs_resume(job_id: JobId, as_json: AsJson = False) -> None:
    """Let a paused job go on."""
    _change(job_id, "resume", as_json=as_json)


@app.command("retry", epilog=examples("footnote jobs retry 0b1f6e0a-…"))
def jobs_retry(job_id: JobId, as_json: AsJson = False) -> None:
    """Try a dead, failed or retrying job now."""
    _change(job_id, "retry", as_json=as_json)


@app.command("cancel", epilog=examples("footnote jobs cancel 0b1f6e0a-…"))
def jobs_cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job; one that has ended stays as it is."""
    _change(job_id, "cancel", as_json=as_json)


def _change(job_id: str, change: str, *, as_json: bool) -> None:
    from footnote.jobs import change_job

    change_job(load_settings(), job_id, change, as_json=as_json, say=say)
