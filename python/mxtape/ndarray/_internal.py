"""Operators that MXNet keeps out of ``mx.nd``: scalar forms, assignment, samplers."""

from . import register

register.publish_internal(globals())


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))
