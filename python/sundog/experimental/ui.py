"""What a person looks at: the task timeline."""

from __future__ import annotations


def task_timeline() -> object:
    """Shows the session's tasks; see ``sundog.task_timeline``.

    Raises:
        RuntimeError: there is no session.
    """
    import sundog

    return sundog.task_timeline()
