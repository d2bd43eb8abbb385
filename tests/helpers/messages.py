"""What a UserError says."""

import pytest

from iterhead.errors import UserError


def message(call, *args) -> str:
    """Return the one line of the UserError that a call raises."""
    with pytest.raises(UserError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text
    return text
