"""How many faults a test file has caused, and how many the server survived: for the summary of all the tests."""

import atexit
import contextlib
import pathlib
import sys

import summary

_tried = {}
_survived = {}


@contextlib.contextmanager
def fault(identifier, count=1):
    """Around what proves that `count` faults of that kind ("X9") were survived: it counts as so unless it raises."""
    _tried[identifier] = _tried.get(identifier, 0) + count
    yield
    _survived[identifier] = _survived.get(identifier, 0) + count


@atexit.register
def _record():
    if _tried:
        part = pathlib.Path(sys.argv[0]).stem.removesuffix("_test")
        kinds = " ".join(sorted(_tried, key=lambda each: int(each[1:])))
        summary.record(part, **{f"faults, {part.replace('_', ' ')}": {
            "faults": sum(_tried.values()), "survived": sum(_survived.values()), "of": kinds}})
