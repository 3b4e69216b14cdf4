"""Speed and memory, measured: ``python -m benchmarks.meta_step`` and ``python -m benchmarks.world_speed``."""
