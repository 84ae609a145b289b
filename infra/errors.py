"""Failures that whoever runs the platform can mend.

OperatorError
├── SettingsError       a setting is missing, misspelt or malformed
├── ServerAwayError     a server named in the settings does not answer
├── DemoDataError       the demo's data cannot be had
└── ConfigsError        a command about tracking configs failed    (infra/configs/errors.py)
    ├── ConfigFilesError    files hold no tracking configs
    ├── ConfigApiError      the platform refused the call
    ├── NeedsLeaveError     the plan holds a breaking change that nobody allowed
    └── ApplyError          the plan could not be carried out whole
"""


class OperatorError(Exception):
    """An expected failure. Its message is one sentence that says what to do; the CLI prints it, and no traceback."""


class SettingsError(OperatorError):
    """A setting is missing, misspelt or malformed. Names the variable, never its value."""


class ServerAwayError(OperatorError):
    """A server does not answer where the settings say it is."""


class DemoDataError(OperatorError):
    """The demo's data cannot be downloaded, or is not what it should be."""
