"""What files of --benchmark-json say beside times."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from contenders import processors


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json):
    """Which dsmfast it was, on how many threads, and which peers, for compare.py.

    A part of its own, beside machine_info: files whose machine_info differs are not of one
    machine to pytest-benchmark, and an earlier version of dsmfast is to be compared.
    """
    import dsmfast

    peers = {}
    for name in ("numpy", "torch", "jax"):
        try:
            peers[name] = version(name)
        except PackageNotFoundError:
            continue
    output_json["dsmfast"] = {**dsmfast.build_info(), "threads": processors(), "peers": peers}
