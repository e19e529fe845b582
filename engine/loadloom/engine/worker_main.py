"""The worker's command: python -m loadloom.engine.worker_main --database-url postgresql://...

It solves jobs of the servers on the same database, takes their settings, and logs on stderr. Told
to stop, it gives back what it cannot finish within the grace.

Processes of solves load this file too, so it loads nothing before it is needed.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when told to stop, 1 if there is no database, 2 for bad settings."""
    from loadloom.engine.settings import BadSettings, load

    try:
        settings = load(sys.argv[1:] if arguments is None else arguments)
        from loadloom.engine.job_table import JOBS
        from loadloom.engine.run.job_worker import run
        from loadloom.engine.store.migrate import prepared

        prepared(settings.database_url).close()
        run(settings, JOBS)
    except BadSettings as error:
        print(f"bad settings:\n{error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
