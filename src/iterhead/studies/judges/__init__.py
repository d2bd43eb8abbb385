"""The claims of the paper about many networks, each a function from a study's tables to findings.

They read tables and nothing else, so hand-made tables test them, and a claim is checked again without training.
"""
