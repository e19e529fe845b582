"""An engine with a job that sleeps: python -m benchmarks.operations_server [--port 0] ...

It takes the settings of the engine. Processes of solves load this file too, so it loads nothing
before it is needed.
"""

import sys


def main() -> None:
    """Serves until told to stop."""
    from benchmarks.operations_job import SLEEP, services
    from loadloom.engine.server import Offer, serve_until_told
    from loadloom.engine.settings import load

    serve_until_told(load(sys.argv[1:]), Offer(jobs=(SLEEP,), services=services))


if __name__ == "__main__":
    main()
