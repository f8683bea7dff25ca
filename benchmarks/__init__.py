"""Compare this hub with its peers, side by side in one run: ``python -m benchmarks``."""

__all__: list[str] = []
