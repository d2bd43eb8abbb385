"""Iteration heads in any causal language model: behaviour, scores, causal tests, verdict."""
