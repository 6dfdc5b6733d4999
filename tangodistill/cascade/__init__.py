"""What K tiers of a cascade gain and cost at every threshold: pure functions on arrays."""
