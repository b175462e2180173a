"""Pin equation 10 of the VSF paper: p <- p + lambda (p - p0), p0 the mean of the empty prompt's tokens."""

import pytest
import torch
from avert.guidance.text.amplify import amplify

from tensors import close, normal, relative_error


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("amount", [0.0, 1.0, 8.0, -0.5])
def test_equation_10(amount, rows):
    embedding, empty = normal(2, 5, 8, dtype=torch.float32), normal(rows, 7, 8, seed=1, dtype=torch.float32)
    null = empty.double().mean(1, keepdim=True)
    close(amplify(embedding, empty, amount), embedding.double() + amount * (embedding.double() - null), rtol=1e-5, atol=1e-5)


def test_amount_zero_is_the_prompt_itself():
    embedding = normal(2, 5, 8, dtype=torch.float16)
    assert torch.equal(amplify(embedding, normal(1, 7, 8, dtype=torch.float16), 0.0), embedding)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_in_float32(dtype):
    embedding, empty = normal(1, 5, 8, dtype=dtype, scale=30), normal(1, 77, 8, seed=1, dtype=dtype, scale=30)
    result = amplify(embedding, empty, 8.0)
    null = empty.double().mean(1, keepdim=True)
    assert result.dtype == dtype
    assert relative_error(result, 9.0 * embedding.double() - 8.0 * null) < {torch.float16: 5e-4, torch.bfloat16: 4e-3}[dtype]
