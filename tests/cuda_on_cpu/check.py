"""Hold CuPy on the stand-in against NumPy: python tests/cuda_on_cpu/run.py python tests/cuda_on_cpu/check.py.

For who changes the C++: it goes through what the project's own tests do not all use.
"""

import itertools
import threading

import cupy as cp
import numpy as np

TOLERANCE = {"e": 2e-3, "f": 2e-5, "F": 2e-5, "d": 1e-11, "D": 1e-11}
UNARY = ["tanh", "exp", "log1p", "sqrt", "abs", "negative", "floor", "isnan", "sin", "argmax", "cumsum", "ravel"]
BINARY = ["add", "divide", "maximum", "minimum", "logaddexp", "power", "less", "equal"]
REDUCTIONS = ["sum", "mean", "max", "min", "any", "all", "std", "prod"]

random = np.random.default_rng(0)


def both(function, *arrays):
    """Compute with either library, and compare to what rounding explains."""
    got, wanted = cp.asnumpy(function(cp, *map(cp.asarray, arrays))), np.asarray(function(np, *arrays))
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    tolerance = TOLERANCE.get(wanted.dtype.char, 0)
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def elementwise_and_reductions():
    for dtype, shape in itertools.product((np.float32, np.float64), ((), (1,), (10, 617), (3, 1, 2000))):
        a, b = random.random((2, *shape), dtype)
        for name in UNARY:
            both(lambda xp, a, name=name: getattr(xp, name)(a), a)
        for name in BINARY:
            both(lambda xp, a, b, name=name: getattr(xp, name)(a, b), a, b)
        for name, axis in itertools.product(REDUCTIONS, (None, *range(len(shape)))):
            both(lambda xp, a, name=name, axis=axis: getattr(xp, name)(a, axis=axis), a**0.1)
    nan = np.array([np.nan, 1.0, -0.0, np.inf, -np.inf])
    both(lambda xp, a, b: xp.maximum(a, b), nan, nan[::-1].copy())
    both(lambda xp, a: a[a > 0.5], random.random(3000))
    both(lambda xp, i: xp.bincount(i), random.integers(0, 9, 5000))


def products():
    for dtype in (np.float16, np.float32, np.float64, np.complex64, np.complex128):
        for m, k, n in ((1, 1, 1), (2, 3, 4), (10, 61, 1), (1, 61, 10), (10, 617, 126)):
            a, b = ((random.random(shape) / k).astype(dtype) for shape in ((m, k), (k, n)))
            for left, right in itertools.product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
                both(lambda xp, a, b: a @ b, left, right)
    for dtype in (np.float32, np.float64):
        a, b = random.random((7, 5, 30), dtype), random.random((7, 30, 4), dtype)
        both(lambda xp, a, b: a @ b, a, b)
        both(lambda xp, a, b: b.mT @ a.mT, a, b)
        both(lambda xp, a, b: a[0] @ b, a, b)
        both(lambda xp, a, b: xp.dot(a[0, 0], b[0, :, 0]), a, b)
        both(lambda xp, a, b: a[0] @ b[0, :, 0], a, b)
        both(lambda xp, a, b: xp.einsum("bij,bjk->ik", a, b), a, b)


def kernels():
    source = r"""
    extern "C" __global__ void sum(const float* x, float* y) {
        extern __shared__ float parts[];
        float v = x[blockIdx.x * blockDim.x + threadIdx.x];
        for (int offset = 16; offset; offset /= 2) v += __shfl_down_sync(~0u, v, offset);
        if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
        __syncthreads();
        if (threadIdx.x == 0) for (int i = 1; i < blockDim.x / 32; i++) v += parts[i];
        if (threadIdx.x == 0) atomicAdd(y, v);
    }
    template<class T> __global__ void square(T* x) { x[threadIdx.x] *= x[threadIdx.x]; }
    extern "C" __global__ void place(int* x) {
        int i = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        x[i] = 100 * threadIdx.z + 10 * threadIdx.y + threadIdx.x;
    }
    extern "C" __global__ void vote(int* x) { x[threadIdx.x] = __all_sync(~0u, threadIdx.x < 5); }
    """
    module = cp.RawModule(code=source, name_expressions=("square<double>",))
    ones, total = cp.ones(1024, cp.float32), cp.zeros(1, cp.float32)
    module.get_function("sum")((4,), (256,), (ones, total), shared_mem=4 * 8)
    assert total[0] == 1024
    three = cp.full(4, 3.0)
    module.get_function("square<double>")((1,), (4,), (three,))
    assert (three == 9).all()
    places = cp.empty((2, 3, 4), cp.int32)
    module.get_function("place")((1,), (4, 3, 2), (places,))
    z, y, x = np.indices(places.shape)
    np.testing.assert_array_equal(cp.asnumpy(places), 100 * z + 10 * y + x)
    for threads, votes in ((5, 1), (6, 0)):
        vote = cp.empty(threads, cp.int32)
        module.get_function("vote")((1,), (threads,), (vote,))
        assert (vote == votes).all()


def threads():
    failures = []

    def work(seed):
        a = np.random.default_rng(seed).standard_normal((50, 60))
        try:
            for _ in range(20):
                both(lambda xp, a: (a @ a.T).sum(axis=0), a)
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


def streams_and_memory():
    start, end = cp.cuda.Event(), cp.cuda.Event()
    with cp.cuda.Stream() as stream:
        start.record()
        assert cp.ones((1000, 1000)).sum() == 1e6
        end.record()
        cp.ones(3)
        assert not stream.done
        stream.synchronize()
        assert stream.done
    assert cp.cuda.get_elapsed_time(start, end) >= 0
    try:
        cp.empty(1 << 50)
    except MemoryError:
        return
    raise AssertionError("there was memory for 8 PiB")


for check in (elementwise_and_reductions, products, kernels, threads, streams_and_memory):
    check()
    print(f"{check.__name__}: as in NumPy")
