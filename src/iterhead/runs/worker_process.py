"""A worker process: how it is started, what it does and when it ends.

Ctrl-C, `timeout` and a terminal that is closed send a signal to all processes of a group at once. Only the first
process handles it, and ends the others. These block such signals from their first instruction on, so that none of them
ends halfway through its start, with a traceback.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from iterhead.explain import in_one_line
from iterhead.runs.training import train_population

_CAN_BLOCK = hasattr(signal, "pthread_sigmask")  # not on Windows
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if _CAN_BLOCK else ()))


def process_context() -> ForkServerContext | SpawnContext:
    """Return how processes are started: from a server that has PyTorch loaded, on systems that have such."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "iterhead.runs.worker_process"])
    return context


def start_server() -> None:
    """Start the server of worker processes, unless it runs. It takes seconds until it can start one."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        _in_thread(_start_server, daemon=False)  # so that Python waits for the end of it, however short its own life


def start_process(process: BaseProcess) -> None:
    """Start a process, so that an interrupted wait for that leaves nothing half done."""
    _in_thread(process.start, daemon=True)


def _start_server() -> None:
    # The server inherits the mask of this thread. Starting the tracker, which the server needs, would undo it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    forkserver.ensure_running()


def _in_thread(function: Callable[[], None], *, daemon: bool) -> None:
    """Call a function in a thread, where no signal can interrupt it, and wait for its end, which a signal can."""
    errors: list[BaseException] = []
    is_done = threading.Event()

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)
        finally:
            is_done.set()

    threading.Thread(target=call, daemon=daemon).start()
    # In short waits, because polars lets the system resume a wait after Ctrl-C, so Python's handler would not be called.
    while not is_done.wait(0.05):
        pass
    if errors:
        raise errors[0]


def work(connection: Connection) -> None:
    """Receive a job, train it, and send what failed in one line, if anything, and whether a person can mend it.

    The entry point of a worker process, which ends when its parent does. SIGTERM ends it; it ignores the other signals.
    Without a job, which a parent that was interrupted never sends, it does nothing.

    Args:
        connection: to the parent. A job is the settings of each run, and the options.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if _CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        configs, options = connection.recv()
    except (EOFError, OSError):
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train_population(configs, **vars(options))
        connection.send(("", False))
    except (ValueError, RuntimeError, MemoryError, OverflowError, OSError) as error:
        line = in_one_line(error)
        connection.send((line or str(error).partition("\n")[0] or repr(error), line is not None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
