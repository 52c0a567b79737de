"""Types of the compiled kernels."""

import enum
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

_Triple = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]

class Quantity(enum.Enum):
    hidden = 0
    energy = 1
    score = 2
    denoise = 3
    decode = 4

class Stream(enum.Enum):
    noise = 0
    initial = 1
    shuffle = 2
    validation = 3
    scale = 4
    chain = 5

class Target(enum.Enum):
    clean = 0
    itself = 1
    given = 2
    posterior = 3

class Path(enum.Enum):
    explicit = 0
    gram = 1

class Rule(enum.Enum):
    sgd = 0
    adam = 1

class Transition(enum.Enum):
    gibbs = 0
    shifted = 1
    mala = 2
    langevin = 3

class Noise:
    def __init__(
        self,
        *,
        sigma: float,
        coarse: int = 0,
        log_ratio: float = 0.0,
        exponent: float = 0.0,
        given: npt.NDArray[Any] | None = None,
        chance: int = 0,
        low: float = 0.0,
        high: float = 0.0,
        seed: int = 0,
        step: int = 0,
        stream: Stream = Stream.noise,
        draws: int = 1,
        antithetic: bool = False,
        first_row: int = 0,
    ) -> None: ...

class Regression:
    def __init__(
        self,
        *,
        points: npt.NDArray[Any],
        noise: Noise,
        target: Target = Target.clean,
        coarse_target: Target = Target.clean,
        targets: npt.NDArray[Any] | None = None,
        sample: npt.NDArray[Any] | None = None,
        sample_weights: npt.NDArray[Any] | None = None,
        reference: int = 0,
        weights: npt.NDArray[Any] | None = None,
        variance: float = 0.0,
        penalty: float = 0.0,
        path: Path = Path.explicit,
    ) -> None: ...

class Optimizer:
    def __init__(
        self,
        *,
        rule: Rule,
        momentum: float = 0.0,
        nesterov: bool = False,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
        steps_taken: int = 0,
    ) -> None: ...

class WorkingMemory:
    def __init__(self, timed: bool = False) -> None: ...
    def seconds(self) -> dict[str, float]: ...
    def free(self) -> None: ...

def evaluate(
    quantity: Quantity,
    W: npt.NDArray[Any],
    b: npt.NDArray[Any],
    c: npt.NDArray[Any],
    sigma: float,
    x: npt.NDArray[Any],
    threads: int,
) -> tuple[npt.NDArray[Any] | None, int]: ...
def root(W: npt.NDArray[Any], threads: int) -> npt.NDArray[Any]: ...
def product(A: npt.NDArray[Any], B: npt.NDArray[Any], threads: int) -> npt.NDArray[Any]: ...
def first_bad_row(x: npt.NDArray[Any], threads: int) -> int: ...
def chains(
    W: npt.NDArray[Any],
    b: npt.NDArray[Any],
    c: npt.NDArray[Any],
    x: npt.NDArray[Any],
    *,
    transition: Transition,
    trials: int,
    excess: float,
    step_size: float,
    lower: bool,
    seed: int,
    first_row: int,
    first_step: int,
    steps: int,
    thin: int,
    beta: npt.NDArray[np.float64] | None,
    b0: npt.NDArray[Any] | None,
    c0: npt.NDArray[Any] | None,
    log_weight: npt.NDArray[np.float64] | None,
    observed: npt.NDArray[np.bool_] | None,
    accepted: npt.NDArray[np.float64],
    threads: int,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]: ...
def lift(
    Q: npt.NDArray[Any],
    rest: npt.NDArray[Any],
    y: npt.NDArray[Any],
    sigma: float,
    seed: int,
    draw: int,
    rows: npt.NDArray[np.int64],
    steps: npt.NDArray[np.uint32],
    threads: int,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]: ...
def counts_float32(
    seed: int, step: int, row: int, trials: int, a: npt.NDArray[Any], threads: int
) -> npt.NDArray[np.float32]: ...
def counts_float64(
    seed: int, step: int, row: int, trials: int, a: npt.NDArray[Any], threads: int
) -> npt.NDArray[np.float64]: ...
def parzen(
    x: npt.NDArray[Any],
    sample: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None,
    sigma: float,
    wanted: Literal["mean", "score", ""],
    own: npt.NDArray[np.int64] | None,
    threads: int,
) -> tuple[
    npt.NDArray[Any] | None,
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
]: ...
def normals_float32(
    seed: int,
    step: int,
    draw: int,
    rows: npt.NDArray[np.int64],
    columns: int,
    stream: Stream,
    threads: int,
    steps: npt.NDArray[np.uint32] | None = None,
) -> npt.NDArray[np.float32]: ...
def normals_float64(
    seed: int,
    step: int,
    draw: int,
    rows: npt.NDArray[np.int64],
    columns: int,
    stream: Stream,
    threads: int,
    steps: npt.NDArray[np.uint32] | None = None,
) -> npt.NDArray[np.float64]: ...
def scales_float32(
    seed: int,
    step: int,
    draw: int,
    rows: npt.NDArray[np.int64],
    sigma: float,
    coarse: int,
    log_ratio: float,
    threads: int,
) -> npt.NDArray[np.float32]: ...
def scales_float64(
    seed: int,
    step: int,
    draw: int,
    rows: npt.NDArray[np.int64],
    sigma: float,
    coarse: int,
    log_ratio: float,
    threads: int,
) -> npt.NDArray[np.float64]: ...
def shuffled_rows(seed: int, epoch: int, rows: int, window: int = 0) -> npt.NDArray[np.int64]: ...
@overload
def regression(
    W: npt.NDArray[Any],
    b: npt.NDArray[Any],
    c: npt.NDArray[Any],
    regression: Regression,
    scale: float,
    gradient: Literal[False],
    threads: int,
    order: npt.NDArray[np.int64] | None = None,
    first: int = 0,
    rows: int | None = None,
) -> float: ...
@overload
def regression(
    W: npt.NDArray[Any],
    b: npt.NDArray[Any],
    c: npt.NDArray[Any],
    regression: Regression,
    scale: float,
    gradient: Literal[True],
    threads: int,
    order: npt.NDArray[np.int64] | None = None,
    first: int = 0,
    rows: int | None = None,
) -> tuple[float, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]: ...

class Share:
    def __init__(
        self,
        *,
        begins: npt.NDArray[np.int64],
        rows: int,
        sum: Callable[[npt.NDArray[Any]], None],
    ) -> None: ...

def train(
    state: list[_Triple],
    optimizer: Optimizer,
    regression: Regression,
    order: npt.NDArray[np.int64],
    first: int,
    rows: int,
    batch_size: int,
    rates: npt.NDArray[np.float64],
    sums: npt.NDArray[np.float64],
    landed: npt.NDArray[np.int64],
    memory: WorkingMemory,
    threads: int,
    share: Share | None = None,
) -> None: ...
def build_info() -> dict[str, Any]: ...
def choose_instruction_set(name: str) -> None: ...
