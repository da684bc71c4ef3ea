"""`jfilters formats`: list the formats that can be read."""

from typing import Annotated

from ._answers import Form, answer, form_option


def formats(form: Annotated[Form, form_option("format")] = Form.table) -> None:
    """List the formats that can be read, and the extras that some of them need.

    Example: jfilters formats
    """
    from jfilters.report import Formats

    answer(form, Formats())
