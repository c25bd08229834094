"""Talking heads from one photo and speech.

The packages follow the DAG: corpus → features → models → training → synthesis → evaluation → report. As a library they are
`pipeline.talking`, which is loaded when one of its names is asked for here: stages do without.
"""

__all__ = ["Frame", "UserError", "Video", "compare", "load_system", "talk"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from pipeline import talking

        return getattr(talking, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
