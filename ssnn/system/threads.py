"""Threads of a process that may have no more of them: told before a library that needs them ends the process."""

import threading

FEWER = "a higher limit (ulimit -u), or 1 thread (--threads 1)"


def no_threads(count: int) -> str | None:
    """Why this many more threads cannot run at once, found by starting them; they end with the call."""
    done, started = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        return f"{error}: the system lets this process have no {count} more"
    finally:
        done.set()
        for thread in started:
            thread.join()
    return None
