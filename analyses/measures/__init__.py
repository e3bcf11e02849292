"""What the analyses measure with: pure functions on arrays, each with its definition and source."""
