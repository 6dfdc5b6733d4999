"""The one exception whose message is meant for the person at the keyboard."""


class UserError(ValueError):
    """Bad input, told in a line or two: what was found, where, what is allowed, what to do.

    The command line prints the message without a traceback and exits with 2.
    """
