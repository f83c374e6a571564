"""The traffic of a TPU program, by hand."""

import runpy
import sys

import pytest
from helpers.paths import ROOT

from inception_jax.speed import traffic

SCRIPT = ROOT / 'benchmarks' / 'traffic.py'

# 2 x 5 x 7 x 32 values of bfloat16, with whole tiles of 8 x 128: 2 x 5 x 8 x 128.
GRID = 'bf16[2,5,7,32]{3,2,1,0:T(8,128)(2,1)}'
BYTES = 2 * 2 * 5 * 8 * 128
ON_CHIP = 'bf16[2,5,7,32]{3,2,1,0:T(8,128)(2,1)S(1)}'
PROGRAM = f"""HloModule step
%fused (a: bf16[2]) -> bf16[2] {{
  %a = {GRID} parameter(0)
  ROOT %b = {GRID} negate(%a)
}}

ENTRY %main (x: bf16[2,5,7,32]) -> f32[] {{
  %x = {GRID} parameter(0)
  %near = {ON_CHIP} fusion(%x), kind=kLoop, calls=%fused
  %far = {GRID} fusion(%x, %x, %near), kind=kLoop, metadata={{op_name="jit(step)/mul"}}
  %begun = ({ON_CHIP}, {GRID}, u32[]{{:S(2)}}) copy-start(%far)
  %come = {ON_CHIP} copy-done(%begun)
  %piece = (({GRID}), {ON_CHIP.replace('2,5', '1,5')}, s32[]{{:S(2)}}) slice-start(%far)
  %part = {ON_CHIP.replace('2,5', '1,5')} slice-done(%piece)
  %number = (f32[]{{:T(128)S(6)}}, f32[]{{:T(128)}}, u32[]{{:S(2)}}) copy-start(%far)
  %same = {GRID} bitcast(%far)
  ROOT %sum = f32[]{{:T(128)}} reduce(%same, %come), dimensions={{0,1,2,3}}
}}
"""


def test_an_array_counts_with_its_tiles_where_it_is_in_main_memory():
    transfers = {
        operation.name: operation.bytes
        for operation in traffic.memory_transfers(PROGRAM)
    }
    assert transfers == {
        'near': BYTES,  # reads x; what it writes stays on the chip
        'far': 2 * BYTES,  # x once
        'begun': BYTES,
        'piece': BYTES // 2,
        'number': 4,
        'sum': BYTES + 4,
    }
    assert traffic.main_memory(PROGRAM) == sum(transfers.values())


def test_an_operation_names_its_source():
    sources = [operation.source for operation in traffic.memory_transfers(PROGRAM)]
    assert sources == ['', 'jit(step)/mul', '', '', '', '']


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        (['inception_v5'], 'inception_v5'),
        (['inception_v4', '--execution=fest'], "execution is 'fest'"),
        (['inception_v4', '--topology=v5e:3x2'], 'no topology v5e:3x2'),
    ],
)
def test_mistakes_of_a_user_are_one_line(monkeypatch, capsys, flags, said):
    monkeypatch.setattr(sys, 'argv', ['traffic.py', *flags])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(str(SCRIPT), run_name='__main__')
    assert said in capsys.readouterr().err
