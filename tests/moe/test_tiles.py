"""The kernel that says who goes where against its twin in torch, under Triton's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from serving.moe import routing
from serving.moe.routing import Tiles

pytestmark = [
    pytest.mark.moe,
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # Triton's
]


def draw(tokens: int, experts: int, routing: str) -> torch.Tensor:
    draw = torch.Generator().manual_seed(tokens)
    if routing == "same":
        return torch.tensor([[5, 1, 3, 2]] * tokens, dtype=torch.int32).reshape(-1, 4)
    orders = [torch.randperm(experts, generator=draw)[:4] for _ in range(tokens)]
    return torch.stack(orders).int() if orders else torch.zeros(0, 4, dtype=torch.int32)


@pytest.mark.parametrize("tokens", [0, 1, 3, 17, 64, 65])
@pytest.mark.parametrize(("experts", "block"), [(6, 8), (32, 8), (128, 16)])
@pytest.mark.parametrize("how", ["drawn", "same"])
def test_tiles_are_those_of_the_twin(tokens: int, experts: int, block: int, how: str) -> None:
    from serving.moe.kernels.tiles import make_tiles

    ids = draw(tokens, experts, how)
    got = make_tiles(ids, experts=experts, block=block)
    wanted = routing.make_tiles(ids, experts=experts, block=block)
    for field in fields(Tiles):
        mine, theirs = getattr(got, field.name), getattr(wanted, field.name)
        assert mine.dtype == torch.int32
        assert torch.equal(mine, theirs), field.name


COUNT = """
import json, torch
from torch.utils._python_dispatch import TorchDispatchMode
from serving.moe import routing
from serving.moe.kernels import decode_sm90, tiles, wgmma_sm90
from serving.moe.layout import pack
from serving.moe.reference import draw_weights
from serving.moe.sass import compiled_by, fake_hopper
from serving.moe.spec import MoESpec

class Listening(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        heard.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))

fake_hopper()
spec = MoESpec("small", experts=32, hidden=320, intermediate=320, layers=1)
weights, plan = pack(draw_weights(spec, seed=0)), decode_sm90.Plan(u13=5, u2=5, nw13=4, nw2=4)
told = {}
for tokens in (1, 64):
    x, heard = torch.zeros(tokens, spec.hidden).bfloat16(), []
    with Listening():
        reports = compiled_by(lambda: decode_sm90.moe(x, weights, spec, plan))
    told[tokens] = {
        "kernels": [report.name for report in reports],
        "spills": [report.name for report in reports if report.spills],
        "torch": sorted(set(heard)),
    }
for tokens in (64, 512):
    x, heard = torch.zeros(tokens, spec.hidden).bfloat16(), []
    with Listening():
        compiled_by(lambda: wgmma_sm90.moe(x, weights, spec, wgmma_sm90.Plan(bm=32, stages=5)))
    told[f"wgmma {tokens}"] = sorted(set(heard))
heard = []
with Listening():
    torch.zeros(1).sum().item()
told["a wait"] = heard
heard = []
with Listening():
    routing.make_tiles(torch.zeros(1, 4, dtype=torch.int32), experts=32, block=8)
told["control"] = len([name for name in heard if name not in ("detach", "empty", "view")])
print(json.dumps(told))
"""


@pytest.mark.timeout(300)
def test_a_layer_is_six_launches_and_nothing_else_of_the_device() -> None:
    """Compiled only: what torch is asked for besides makes or views tensors, no more."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={"PYTHONPATH": str(root), "PATH": os.defpath, "HOME": "/tmp"},  # noqa: S108
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    for tokens in ("1", "64"):
        assert told[tokens]["kernels"] == [
            "_route", "_make_tiles", "_prepare", "_decode_gate_up", "_decode_down", "_combine",
        ]  # fmt: skip
        assert told[tokens]["spills"] == []
        assert set(told[tokens]["torch"]) <= {"detach", "empty", "view"}
    for many in (64, 512):
        assert "_local_scalar_dense" not in told[f"wgmma {many}"]
    assert "_local_scalar_dense" in told["a wait"]
    assert told["control"] > 15
    print(f"6 launches per layer; cutting tiles by torch asks it for {told['control']} operations")
