from __future__ import annotations

from scripts import moe_env
from tests.moe.test_gates import TRITONS
from tests.moe.test_vllm_contract import VERSIONS


def test_what_is_fetched_is_what_the_tests_of_the_kernels_read_and_compile_with() -> None:
    assert moe_env.VLLMS == VERSIONS
    assert TRITONS == ["3.6.0", moe_env.SECOND]
    assert f"triton=={TRITONS[0]}" in moe_env.PACKAGES
