"""What a worker loads at leisure is all that calls about response ask of compiled kernels."""

import subprocess
import sys
from textwrap import dedent

CALLS = """
    import sys
    from datetime import date, timedelta

    import numpy as np
    from numba.core.dispatcher import Dispatcher

    from benchmarks.response_instances import nested
    from loadloom.engine.run.lanes import KERNELS
    from loadloom.engine.run.worker import load_and_hold

    def signatures():
        modules = [its for name, its in sys.modules.items() if ".solvers.kernels." in name]
        kernels = [one for module in modules for one in vars(module).values()]
        return {
            (kernel.py_func.__name__, str(signature))
            for kernel in kernels
            if isinstance(kernel, Dispatcher)
            for signature in kernel.signatures
        }

    load_and_hold(0.0, 0, KERNELS)
    known = signatures()
    assert {'recent_means', 'predict'} <= {name for name, _ in known}

    from loadloom.models.response.baseline import baselines
    from loadloom.models.response.baseline_rule import BaselineRule, Event, Method
    from loadloom.models.response.events import Answers, retargeted
    from loadloom.models.response.similar_days import Readings, Span
    from loadloom.models.response.solution import PlanOptions
    from loadloom.models.response.solve import plan

    for problem in (nested(4), nested(60)):
        found = plan(problem, PlanOptions(relative_gap=0.01))
        state = (np.arange(problem.customers.count) % 3 == 0).astype(np.int8)
        state[found.offer < 0] = 0
        answers = Answers(state=state, accepted_kw=np.full(state.size, np.nan))
        left = retargeted(problem, found.offer, answers)
        plan(left.problem, PlanOptions(relative_gap=0.01), start=left.start(found.offer))
    dates = tuple(date(2026, 1, 1) + timedelta(days=day) for day in range(40))
    for kind in (np.float32, np.float64):
        load_kw = np.random.default_rng(0).random((20, 40, 24)).astype(kind)
        readings = Readings(load_kw=load_kw, dates=dates, temperature_c=np.full((40, 24), 25.0))
        event = Event(day=39, window=Span(first=18, count=3), after_count=2)
        for method in Method:
            baselines(readings, event, BaselineRule(method=method), controls=readings)
    print(sorted(signatures() - known))
"""


def test_plans_and_baselines_compile_nothing_once_a_worker_has_loaded():
    command = [sys.executable, "-c", dedent(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
