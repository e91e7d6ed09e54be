"""Compiled kernels never outlive a source they were compiled from."""

from qdt_emu.kernels import _drop_stale_caches


def test_a_changed_source_drops_every_compiled_kernel(tmp_path):
    source, cache = tmp_path / "a.py", tmp_path / "__pycache__"
    source.write_text("x = 1")
    _drop_stale_caches(tmp_path)
    compiled = cache / "b.f-1.py311.nbi"
    compiled.write_text("machine code of another file")
    _drop_stale_caches(tmp_path)
    assert compiled.exists()
    source.write_text("x = 22")
    _drop_stale_caches(tmp_path)
    assert not compiled.exists()
