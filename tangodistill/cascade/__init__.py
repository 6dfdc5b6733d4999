"""What a two-tier cascade gains and costs at every threshold: pure functions on arrays."""
