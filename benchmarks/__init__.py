"""Speed as ratios against the plain twin, measured in one process on one machine."""
