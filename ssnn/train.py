"""`python -m ssnn.train` is the same as `ssnn train`."""

from ssnn.__main__ import run

if __name__ == "__main__":
    run("train")
