"""Train small transformers on iterative tasks, find their iteration heads, and test by intervention what they do.

    import iterhead as ih

    run = ih.train(ih.RunConfig(task="parity", seed=3))    # into a folder of runs/; resumes an interrupted run
    run.scores.second_peakiness                            # how clearly the iteration head looks at x_t, 0 .. 1
    ih.attention_map(run, layer=1, head=0)                 # draws where that head looks

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so `import iterhead` loads no
torch. The command line is `iterhead --help`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
