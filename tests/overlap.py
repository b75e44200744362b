"""What tests of overlapping calls share: threads that stay inside a context until they are told to leave it."""

import threading

DEADLINE = 60  # seconds, for what takes none


class Inside:
    """A thread inside a context. `seen` has what it found there and, once it has left, what it found afterwards."""

    def __init__(self, context, look=lambda: None):
        self.seen = []
        self._entered, self._leaves = threading.Event(), threading.Event()
        self._error = self._failure = None
        self._thread = threading.Thread(target=self._run, args=(context, look))
        self._thread.start()
        assert self._entered.wait(DEADLINE)

    def _run(self, context, look):
        try:
            with context():
                self.seen.append(look())
                self._entered.set()
                assert self._leaves.wait(DEADLINE)
                if self._error:
                    raise self._error
        except BaseException as error:
            self._failure = error
        finally:
            self.seen.append(look())
            self._entered.set()

    def leave(self, error=None):
        """Let it leave its context, by this error or without one."""
        self._error = error
        self._leaves.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        assert self._failure is error
