"""May it go now? The gate and the buckets, pure."""
