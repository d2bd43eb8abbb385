"""The transformer, its hooks, greedy generation, hand-set weights, and weights from elsewhere."""
