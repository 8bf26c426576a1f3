"""`genlab report RUN... [out=report.html]`: writes runs as one self-contained HTML page that needs no network."""

from pathlib import Path

from genlab.config.arguments import folders_and_options
from genlab.errors import UserError
from genlab.runs.files import write_atomically

LARGEST = 100  # runs on a page


def report(arguments: list[str]) -> None:
    """Write a page on the given runs, or all runs in the given folders.

    Raises:
        UserError: no run, too many, a damaged file, a wrong option, or a page that cannot be written.
    """
    folders, options = folders_and_options("genlab report", arguments, {"out": "report.html"})
    if not folders:
        raise UserError("genlab report needs run folders, or a folder that contains some: genlab report outputs/RUN")
    out = Path(str(options["out"]))
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"out: '{out}' does not end in .html")

    from genlab.report import comparison
    from genlab.report.page import page

    runs = comparison.find_runs(folders)
    if len(runs) > LARGEST:
        raise UserError(
            f"{len(runs)} runs are too many for one page (at most {LARGEST}); genlab compare takes any number"
        )
    text = page(runs)
    try:
        write_atomically(out, text.encode(errors="replace"))  # a folder's name may not be valid text
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
    print(f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {out} ({len(text) / 2**20:.1f} MiB)")
