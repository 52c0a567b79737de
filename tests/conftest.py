"""Settings and fixtures that the tests share."""

import pytest
from hypothesis import settings

from problems import DTYPES, SHAPES

# Derandomized, because a gate that fails on Tuesdays teaches nothing; no deadline, because the
# machines are shared.
settings.register_profile("gate", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("gate")


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param
