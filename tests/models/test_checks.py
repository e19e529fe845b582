import pickle

from loadloom.models.checks import InvalidProblem, Violation


def test_an_invalid_problem_survives_a_trip_to_another_process():
    error = InvalidProblem([Violation("a[3]", "is nan"), Violation("b", "is negative")])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InvalidProblem
    assert copy.violations == error.violations
    assert str(copy) == str(error) == "a[3]: is nan; b: is negative"
