"""Results to leaderboards: pure functions of a store."""
