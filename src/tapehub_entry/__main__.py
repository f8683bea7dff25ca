"""Run the `main` of a module: `python -m tapehub_entry tapehub.app.demo ARGUMENTS`."""

import sys

from tapehub_entry import run

if __name__ == "__main__":
    del sys.argv[0]  # the module stands for the program, as it does with `python -m`
    run(sys.argv[0])
