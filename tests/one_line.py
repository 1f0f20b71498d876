"""What a refusal must be: one line that says what is wrong."""

import pytest

from humalign.errors import HumalignError


def refused(said, call, *arguments, **options):
    """Return the line of the error that a call must raise, which must match ``said``."""
    with pytest.raises(HumalignError, match=said) as caught:
        call(*arguments, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line
