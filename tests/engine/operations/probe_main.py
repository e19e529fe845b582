"""Processes with the jobs of `probes`.

    python -m tests.engine.operations.probe_main --port=0 --database-url=...         a server
    python -m tests.engine.operations.probe_main worker --database-url=...           a worker

Processes of solves load this file too, so it loads nothing before it is needed.
"""

import sys


def main(arguments: list[str]) -> None:
    from loadloom.engine.settings import load
    from tests.engine.operations.probes import PROBES, services

    if arguments[:1] == ["worker"]:
        from loadloom.engine.run.job_worker import run
        from loadloom.engine.store.migrate import prepared

        settings = load(arguments[1:])
        prepared(settings.database_url).close()
        run(settings, PROBES)
    else:
        from loadloom.engine.run import lanes
        from loadloom.engine.server import Offer, serve_until_told

        lanes.LEISURE_S = 3600.0  # workers of calls load for seconds what no probe needs
        serve_until_told(load(arguments), Offer(jobs=PROBES, services=services))


if __name__ == "__main__":
    main(sys.argv[1:])
