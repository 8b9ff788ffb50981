"""The two ends a command can come to that are nobody's bug."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence that says what and how; exit status 2."""


class GateFailed(Exception):
    """The work was done and what came out is not good enough; exit status 1."""
