"""The one exception for a user's mistake."""


class UserError(ValueError):
    """Says what is wrong, what was expected, what was found and what to do, in one line.

    The command line prints the message alone and exits with code 2.
    """
