"""Examples of our crates, which show what they do."""

import os
import pathlib


def example(name):
    """The built program."""
    default = pathlib.Path(__file__).resolve().parents[3] / "target/debug/examples"
    return pathlib.Path(os.environ.get("TREFOIL_EXAMPLES", default)) / name
