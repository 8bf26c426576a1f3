"""`genlab dashboard [FOLDER] [port=N]`: TensorBoard on this machine alone, over the runs in a folder, until Ctrl-C.

Its server listens on the loopback interface, so nothing on the network sees it. From another machine: `ssh -L`.
"""

import io
import signal
import threading
from contextlib import redirect_stderr
from pathlib import Path

from genlab.config.arguments import folders_and_options
from genlab.errors import UserError

HOST = "127.0.0.1"
KEPT = "images=100,text=100,histograms=100"  # of each tag; TensorBoard's own choice is 10 pictures


def dashboard(arguments: list[str]) -> None:
    """Serve the folder (outputs) and print the address; without a port the first free one from 6006 on.

    Raises:
        UserError: no such folder, or a port that is wrong or taken.
    """
    folders, options = folders_and_options("genlab dashboard", arguments, {"port": None})
    if len(folders) > 1 or any(each.startswith("-") for each in folders):
        raise UserError("genlab dashboard takes one folder and port=N: genlab dashboard outputs port=6006")
    folder = Path(folders[0] if folders else "outputs")
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; runs are in outputs/ unless hydra.run.dir says otherwise")
    address = serve(folder, options["port"])
    # Set anew: a shell without job control starts what is in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        print(f"TensorBoard over {folder}: {address}\nCtrl-C ends it", flush=True)
        if not any(folder.rglob("events.out.tfevents.*")):
            print("there is no run yet; runs show up as they begin")
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def serve(folder: Path, port: str | None = None) -> str:
    """Start TensorBoard in a thread of this process, which ends with it; return its address.

    Raises:
        UserError: the port is no number in 1..65535, or in use.
    """
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"port: '{port}' is no number from 1 to 65535")
    import logging

    from tensorboard import program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    board = program.TensorBoard()
    choice = ["--port", port] if port else []
    board.configure([None, "--logdir", str(folder), "--host", HOST, "--samples_per_plugin", KEPT, *choice])
    try:
        with redirect_stderr(io.StringIO()):  # a note on how TensorBoard loads data
            return board.launch()
    except (program.TensorBoardServerException, OSError) as error:
        raise UserError(f"port: {' '.join(str(error).split())}; leave it out to get a free one") from error
