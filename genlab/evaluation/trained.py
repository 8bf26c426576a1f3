"""Figures about training from the log of a run: how steady the losses were, and the final values of other quantities.

Each figure belongs to one phase and carries its name: `critic_roughness`. The logged losses are means over windows of
`trainer.log_every` steps, which are steadier than losses of single batches; a report states the length of the windows.
"""

from genlab.evaluation.report import Report
from genlab.metrics.measure import Measure
from genlab.metrics.training import volatility
from genlab.runs.history import History

LAST = 0.1  # final values are means over this last share of the log
FINAL = {  # quantities that phases log beside their loss
    "accuracy": Measure("accuracy", "share of samples that the discriminator classifies correctly, at the end", ""),
    "wasserstein": Measure("wasserstein", "the critic's estimate of the Wasserstein distance, at the end", ""),
    "penalty": Measure("penalty", "gradient penalty at the end; for a WGAN-GP 0 if the gradient has norm 1", ""),
    "grad_norm": Measure("grad_norm", "norm of the gradient before clipping, at the end", ""),
}


def training(run: History, report: Report) -> None:
    """Adds the figures to a report; if a log is too short, records that as the reason."""
    window = run.settings.get("trainer.log_every")
    for tag, curve in run.metrics.items():
        parts = tag.split("/")
        if len(parts) != 3 or parts[0] != "train":
            continue
        phase, key = parts[1:]
        if key == "loss":
            try:
                result = volatility(curve)
            except ValueError as error:
                report.left_out[f"{phase}_roughness"] = str(error)
                continue
            texts = {
                "std": f"spread of the {phase} loss around its trend after warm-up, in windows of {window} steps",
                "roughness": "jitter of the loss relative to its spread: 1 for unrelated values, 0 for a slow swing",
            }
            table = {f"{phase}_{name}": Measure(f"{phase}_{name}", text, "") for name, text in texts.items()}
            report.add(table, {f"{phase}_std": result.residual, f"{phase}_roughness": result.roughness})
        elif key in FINAL:
            name, last = f"{phase}_{key}", curve[-max(1, round(LAST * len(curve))) :]
            report.add({name: FINAL[key]}, {name: sum(value for _, value in last) / len(last)})
