"""The configuration: what its settings may be, what its options become, and what of it makes a run what it is."""
