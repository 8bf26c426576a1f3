"""`genlab dashboard [FOLDER] [port=N]`: runs TensorBoard on the runs in a folder until Ctrl-C.

The server listens only on the loopback interface, so the network cannot reach it. From another machine: `ssh -L`.
"""

import io
import signal
import threading
from contextlib import redirect_stderr
from pathlib import Path

from genlab.config.arguments import folders_and_options
from genlab.errors import UserError

HOST = "127.0.0.1"
KEPT = "images=100,text=100,histograms=100"  # per tag; TensorBoard's default is 10 pictures


def dashboard(arguments: list[str]) -> None:
    """Serve the folder (default: outputs) and print the address; the default port is the first free one from 6006 on.

    Raises:
        UserError: no such folder, or a port that is wrong or taken.
    """
    folders, options = folders_and_options("genlab dashboard", arguments, {"port": None})
    if len(folders) > 1 or any(word.startswith("-") for word in folders):
        raise UserError("genlab dashboard takes one folder and port=N: genlab dashboard outputs port=6006")
    folder = Path(folders[0] if folders else "outputs")
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; runs are in outputs/ unless hydra.run.dir says otherwise")
    address = serve(folder, options["port"])
    # Set explicitly, because a shell without job control starts background processes with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        print(f"TensorBoard over {folder}: {address}\nCtrl-C ends it", flush=True)
        if not any(folder.rglob("events.out.tfevents.*")):
            print("there is no run yet; runs appear when they start")
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def serve(folder: Path, port: str | None = None) -> str:
    """Start TensorBoard in a thread of this process, with which it ends; returns its address.

    Raises:
        UserError: the port is not a number from 1 to 65535, or is in use.
    """
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"port: must be a number from 1 to 65535, got '{port}'")
    import logging

    from tensorboard import program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    board = program.TensorBoard()
    choice = ["--port", port] if port else []
    board.configure([None, "--logdir", str(folder), "--host", HOST, "--samples_per_plugin", KEPT, *choice])
    try:
        with redirect_stderr(io.StringIO()):  # hides a note on how TensorBoard loads data
            return board.launch()
    except (program.TensorBoardServerException, OSError) as error:
        raise UserError(f"port: {' '.join(str(error).split())}; leave it out to get a free one") from error
