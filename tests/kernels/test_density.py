import numpy as np
import pytest

from qdt_emu.kernels.density import contract, multiply, overlap


def versions(kernel):
    return pytest.param(kernel, id="compiled"), pytest.param(kernel.py_func, id="python")


def case(rng):
    """A (3, 4, 2, 4, 5) array with a matrix on axes 1 and 3: two blocks axes, five lanes."""
    axes, strides = (3, 4, 2, 4, 5), np.array([160, 40, 20, 5, 1])
    x = rng.normal(size=np.prod(axes))
    cols = (40 * np.arange(4)[:, None] + 5 * np.arange(4)).ravel()
    outer = (160 * np.arange(3)[:, None] + 20 * np.arange(2)).ravel()
    assert strides[0] == 160
    return axes, x, cols, np.stack([outer, outer]), np.stack([np.arange(5)] * 2)


@pytest.mark.parametrize("kernel", versions(multiply))
def test_multiply_is_a_matrix_product(kernel):
    rng = np.random.default_rng(0)
    matrix, lanes, out = rng.normal(size=(8, 12)), rng.normal(size=(12, 7)), np.empty((8, 7))
    kernel(matrix, lanes, out)
    assert np.allclose(out, matrix @ lanes, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kernel", versions(contract))
@pytest.mark.parametrize("spread", [False, True])
def test_contract_is_an_einsum(kernel, spread):
    rng = np.random.default_rng(1)
    axes, x, cols, outer, lanes = case(rng)
    matrix = rng.normal(size=(16, 16))
    if spread:  # lanes along the first axis instead of the last
        outer = np.stack([(20 * np.arange(2)[:, None] + np.arange(5)).ravel()] * 2)
        lanes = np.stack([160 * np.arange(3)] * 2)
    want = np.einsum("xyab,paqbr->pxqyr", matrix.reshape(4, 4, 4, 4), x.reshape(axes)).ravel()
    y = np.empty_like(x)
    kernel(x, y, matrix, outer, cols, cols, lanes, 0, outer.shape[1])
    assert np.allclose(y, want, rtol=0, atol=1e-13)
    kernel(x, x, matrix, outer, cols, cols, lanes, 0, outer.shape[1])
    assert np.array_equal(x, y)


@pytest.mark.parametrize("kernel", versions(overlap))
def test_overlap_is_an_einsum(kernel):
    rng = np.random.default_rng(2)
    axes, x, cols, outer, lanes = case(rng)
    y = rng.normal(size=x.size)
    want = np.einsum("pxqyr,paqbr->xyab", y.reshape(axes), x.reshape(axes)).reshape(16, 16)
    got = kernel(x, y, outer, cols, cols, lanes, 0, outer.shape[1])
    assert np.allclose(got, want, rtol=0, atol=1e-12)
