"""Prints the README's table of settings, so that it is never written by hand.

`python -m deploy.settings_table` prints it; a test compares the README with it.
"""

from shared.settings import PREFIX, Settings


def settings_table() -> str:
    """Return every setting as a Markdown table."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = field.default
        if isinstance(value, tuple):
            value = ",".join(f"{item:g}" for item in value)
        shown = "" if value in (None, "") else f"`{value}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(settings_table())
