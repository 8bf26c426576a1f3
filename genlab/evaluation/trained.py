"""What a run's own log says of its training: how steady its losses were, and where its games ended.

Each figure is of one phase and bears its name: `critic_roughness`. The losses are means over windows of
`trainer.log_every` steps, which are steadier than losses of single batches; a report says how long the windows were.
"""

from genlab.evaluation.report import Report
from genlab.metrics.measure import Measure
from genlab.metrics.training import volatility
from genlab.runs.history import History

LAST = 0.1  # share of the log, at its end, that `final` values are means of
FINAL = {  # of what phases log beside their loss
    "accuracy": Measure("accuracy", "share of samples that the discriminator tells apart, at the end", ""),
    "wasserstein": Measure("wasserstein", "the critic's estimate of the Wasserstein distance, at the end", ""),
    "penalty": Measure("penalty", "gradient penalty at the end: 0 where the critic is 1-Lipschitz to the letter", ""),
    "grad_norm": Measure("grad_norm", "norm of the gradient before clipping, at the end", ""),
}


def training(run: History, report: Report) -> None:
    """Add the figures to a report; a log that is too short is left out with a word."""
    window = run.settings.get("trainer.log_every")
    for tag, curve in run.metrics.items():
        parts = tag.split("/")
        if len(parts) != 3 or parts[0] != "train":
            continue
        phase, key = parts[1:]
        if key == "loss":
            try:
                found = volatility(curve)
            except ValueError as error:
                report.left_out[f"{phase}_roughness"] = str(error)
                continue
            texts = {
                "std": f"spread of the {phase} loss around its trend after warm-up, windows of {window} steps",
                "roughness": "its jitter over its spread, free of scale: 1 unrelated values, 0 a slow swing",
            }
            table = {f"{phase}_{name}": Measure(f"{phase}_{name}", text, "") for name, text in texts.items()}
            report.add(table, {f"{phase}_std": found.residual, f"{phase}_roughness": found.roughness})
        elif key in FINAL:
            name, last = f"{phase}_{key}", curve[-max(1, round(LAST * len(curve))) :]
            report.add({name: FINAL[key]}, {name: sum(value for _, value in last) / len(last)})
