"""What a processor says of itself."""

import pytest

from shared.training.processor import computes_bfloat16


@pytest.mark.parametrize(("text", "can"), [
    ("model name\t: old\nflags\t\t: fpu avx2 avx512f\n", False),
    ("flags\t\t: fpu avx512_bf16 vaes\n", True),
    ("flags\t\t: fpu amx_bf16\nbugs\t\t: none\n", True),
    ("Features\t: fp asimd\n", True)])
def test_bfloat16_is_read_from_the_flags(tmp_path, text, can):
    (tmp_path / "cpuinfo").write_text(text)
    assert computes_bfloat16(tmp_path / "cpuinfo") is can


def test_nothing_known_is_taken_as_able(tmp_path):
    assert computes_bfloat16(tmp_path / "none")
