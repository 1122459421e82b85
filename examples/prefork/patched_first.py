"""
What gunicorn needs for workers of gevent.

    gunicorn --workers 4 -k gevent --preload -c python:patched_first wsgi:app

gunicorn itself patches in its workers; with ``--preload`` that is too late for
what was imported before.
"""

from gevent import monkey

monkey.patch_all()
