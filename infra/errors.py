"""Failures that whoever runs the platform can mend.

OperatorError
├── SettingsError       a setting is missing, misspelt or malformed
├── ServerAwayError     a server named in the settings does not answer
├── DemoDataError       the demo's data cannot be had
├── ConfigFilesError    files hold no tracking configs             (infra/configs/files.py)
├── ConfigApiError      the platform refused a call about configs  (infra/configs/client.py)
└── ApplyError          a plan could not be carried out whole      (infra/configs/apply.py)
"""


class OperatorError(Exception):
    """An expected failure. Its message is one sentence that says what to do; the CLI prints it, and no traceback."""


class SettingsError(OperatorError):
    """A setting is missing, misspelt or malformed. Names the variable, never its value."""


class ServerAwayError(OperatorError):
    """A server does not answer where the settings say it is."""


class DemoDataError(OperatorError):
    """The demo's data cannot be downloaded, or is not what it should be."""
