"""What the inspector reads out of a disassembly, on text made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serving.moe.gates import Loop, faults_of
from serving.moe.sass import Report, main_loop, resources

LISTING = """
.text._kernel:
.L_x_9:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
.L_x_2:
        /*0020*/                   LOP3.LUT R5, R4, 0x8e008e00, RZ, 0xc0, !PT ;
        /*0030*/                   HMMA.16816.F32 R8, R4, R6, R8 ;
        /*0040*/               @P0 BRA `(.L_x_2) ;
.L_x_3:
        /*0050*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0060*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0070*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0080*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0090*/              @!P1 BRA `(.L_x_3) ;
        /*00a0*/               @P2 BRA `(.L_x_1) ;
        /*00b0*/                   EXIT ;
.L_x_4:
        /*00c0*/                   BRA `(.L_x_4);
        /*00d0*/                   NOP ;
"""

GOOD = Report(
    name="good",
    warps=4,
    registers=44,
    stack=0,
    local=0,
    shared=0,
    grid=1,
    loop={"LDG.E.128": 3, "HMMA.16816.F32": 4, "LOP3.LUT": 60},
    program={"LDG.E.128": 3},
)
PLANNED = Loop(loads=3, weights=4096, most=19)


def test_the_main_loop_is_the_innermost_one_that_multiplies() -> None:
    loop, program = main_loop(LISTING)
    assert loop == ["LOP3.LUT", "HMMA.16816.F32", "BRA"]
    assert len(program) == 14


def test_a_program_that_only_ends_has_no_loop() -> None:
    ending = LISTING[LISTING.index(".L_x_4") :]
    assert main_loop(ending) == ([], ["BRA", "NOP"])


def test_resources_are_read_and_their_absence_is_an_error() -> None:
    usage = " Function k:\n  REG:44 STACK:8 SHARED:0 LOCAL:16 CONSTANT[0]:600 TEXTURE:0"
    assert resources(usage) == (44, 8, 0, 16)
    with pytest.raises(ValueError, match="no resource usage"):
        resources("nothing")


@pytest.mark.parametrize(
    ("registers", "warps", "shared", "programs"),
    [
        pytest.param(128, 8, 68_608, 2, id="registers"),
        pytest.param(129, 8, 68_608, 1, id="one-register-more"),
        pytest.param(32, 8, 100_000, 2, id="shared-memory"),
        pytest.param(16, 8, 0, 8, id="warps"),
    ],
)
def test_programs_per_multiprocessor_are_the_least_of_three_bounds(
    registers: int, warps: int, shared: int, programs: int
) -> None:
    report = replace(GOOD, registers=registers, warps=warps, shared=shared)
    assert report.programs_per_sm() == programs


def test_instructions_are_counted_per_eight_weights_of_a_lane() -> None:
    assert GOOD.per_eight_weights(4 * 1024) == pytest.approx(67 / 4)


def test_a_name_counts_with_its_suffixes_but_not_another_name() -> None:
    counted = {"LDG.E.128": 2, "LDG.E": 3, "LDGSTS.E": 4}
    assert Report.count("LDG", counted) == 5
    assert Report.count("LDG.E.128", counted) == 2


def test_a_good_kernel_has_no_fault() -> None:
    assert faults_of(GOOD, PLANNED, least_warps=16) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param({"stack": 8}, "spilled", id="stack"),
        pytest.param({"program": {"STL": 1}}, "spilled", id="local-store"),
        pytest.param({"registers": 200, "warps": 8}, "8 warps", id="occupancy"),
        pytest.param({"shared": 232_449}, "shared memory", id="shared"),
        pytest.param({"loop": {"LDG.E.128": 1}}, "tensor-core", id="no-mma"),
        pytest.param({"loop": {"LDG.E": 1, "HMMA": 1}}, "16 bytes", id="narrow-loads"),
        pytest.param({"loop": {**GOOD.loop, "LDG.E.128": 2, "LDG.E": 4}}, "16 bytes", id="some"),
        pytest.param({"loop": {"LDGSTS.E.BYPASS.128": 9, "HMMA": 1}}, "16 bytes", id="tokens"),
        pytest.param({"loop": {**GOOD.loop, "NOP": 20}}, "21.8 instructions", id="too-long"),
    ],
)
def test_each_gate_closes(change: dict[str, object], fault: str) -> None:
    faults = faults_of(replace(GOOD, **change), PLANNED, least_warps=16)  # type: ignore[arg-type]
    assert any(fault in each for each in faults), faults
