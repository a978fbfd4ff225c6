"""What depends on the JAX version or backend."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import pytest

from fxtrade.core import compat


def test_float64_is_local():
    if not compat.has_float64():
        pytest.skip("the backend has no float64")
    assert jnp.zeros(2).dtype == jnp.float32
    with compat.float64() as widest:
        assert widest is jnp.float64
        assert jnp.zeros(2).dtype == jnp.float64
        assert float(jax.jit(lambda x: x + 1e-12)(jnp.ones(()))) > 1
    assert jnp.zeros(2).dtype == jnp.float32


def test_float64_is_switched_back_after_an_error():
    with pytest.raises(RuntimeError, match="inside"):
        with compat.float64():
            raise RuntimeError("inside")
    assert jnp.zeros(2).dtype == jnp.float32


def test_a_backend_without_float64_gets_float32(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "sycl")
    assert not compat.has_float64()
    with compat.float64() as widest:
        assert widest is jnp.float32
        assert jnp.zeros(2).dtype == jnp.float32


def test_small_loops_are_asked_for_once_and_beside_other_flags(monkeypatch):
    option = f"--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold={compat.SMALL_LOOP}"
    for before, after in (
        ("", option),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {option}"),
        ("--xla_backend_extra_options=a=1", "--xla_backend_extra_options=a=1"),
    ):
        monkeypatch.setenv("XLA_FLAGS", before)
        for _ in range(2):
            compat.compile_small_loops()
            assert os.environ["XLA_FLAGS"] == after


def test_every_core_becomes_a_device_and_flags_of_the_user_stay(monkeypatch):
    wide = "xla_cpu_small_while_loop_byte_threshold=100000000,xla_cpu_use_multi_output_fusion=true"
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    compat.compile_small_loops()
    for _ in range(2):
        compat.use_cores()
        assert sorted(os.environ["XLA_FLAGS"].split()) == [
            f"--xla_backend_extra_options={wide}",
            "--xla_cpu_prefer_vector_width=512",
            "--xla_force_host_platform_device_count=6",
        ]
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_extra_options=a=1")
    compat.use_cores()
    assert "device_count=2" in os.environ["XLA_FLAGS"] and wide not in os.environ["XLA_FLAGS"]


def test_the_compilation_cache_goes_where_it_is_told(tmp_path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    try:
        assert compat.use_compilation_cache(tmp_path) == tmp_path
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        monkeypatch.setenv(compat.CACHE_VARIABLE, str(tmp_path / "other"))
        assert compat.use_compilation_cache() == tmp_path / "other"
        monkeypatch.delenv(compat.CACHE_VARIABLE)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert compat.use_compilation_cache() == tmp_path / ".cache" / "fxtrade" / "xla"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_bytes_of_a_program_and_of_the_machine():
    program = jax.jit(lambda x: jnp.sort(jnp.sin(x)[::-1]).sum()).lower(jnp.zeros(100_000)).compile()
    needed, free = compat.needed_bytes(program), compat.free_bytes()
    assert needed is None or needed >= 400_000
    assert free is None or free > 1 << 20
