"""Run the command `unpool-xp` as `python -m unpool_xp`."""

from unpool_xp.cli.main import main

if __name__ == "__main__":
    main(program="python -m unpool_xp")
