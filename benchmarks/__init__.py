"""What the project measures, each file one question; run with `python -m benchmarks.bench_X`."""
