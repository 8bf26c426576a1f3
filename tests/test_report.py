"""The report page: self-contained, harmless whatever it shows, and true to the files it is made from."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlab.report.chart import POINTS, chart, limits, thin, ticks
from genlab.report.html import Markup, join, table, tag
from genlab.report.page import page
from genlab.report.section import duration
from genlab.runs.history import History

HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x>'
VOID = {"meta", "img", "wbr"}


class Reader(HTMLParser):
    """A parser that checks that elements close in order, and collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def make_run(folder: Path, name: str = "vae_mnist", seed: int = 0, model: str = "a.VAE", **config) -> Path:
    """Writes a run folder with everything that a report reads, including five pictures."""
    (folder / "samples").mkdir(parents=True)
    node = {"_target_": model, "beta": 1.0, **config}
    rest = {"data": {"_target_": "d.MNIST"}, "trainer": {"steps": 50}, "optimizer": {"model": {"lr": 0.001}}}
    (folder / "config.yaml").write_text(json.dumps({"name": name, "seed": seed, "model": node, **rest}))
    lines = [
        {"step": s, "train/model/loss": 100 / s, "train/model/kl": s / 10, "lr/model": 0.001} for s in range(1, 51)
    ]
    lines += [{"step": 50, "eval/loss": 2.5, "eval/sliced_w2": 0.125 + seed, "time/samples_per_s": 1000.0}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "status.json").write_text(json.dumps({"status": "finished", "reason": "steps", "step": 50}))
    result = {
        "step": 50,
        "reason": "steps",
        "seconds": 75.0,
        "samples_per_s": 1000.0,
        "best": {"value": 2.5, "step": 50},
    }
    (folder / "result.json").write_text(json.dumps({**result, "measures": {"eval/sliced_w2": 0.125 + seed}}))
    for step in range(10, 60, 10):
        Image.fromarray(np.full((30, 40, 3), step, np.uint8)).save(folder / "samples" / f"samples_{step:08d}.png")
    return folder


def evaluate(folder: Path, **measures) -> None:
    report = {"checkpoint": "last", "step": 50, "data": "MNIST", "split": "test", "samples": 1000, "reference": 900}
    report |= {"net": None, "seconds": {}, "measures": measures, "left_out": {"nll": "needs a density"}}
    (folder / "evaluation.json").write_text(json.dumps(report))


def test_a_page_loads_nothing_external(tmp_path):
    text = page([History(make_run(tmp_path / "a")), History(make_run(tmp_path / "b", seed=1))])
    assert "//" not in text.replace("<!doctype html>", "") or not re.search(r"https?://|url\(|@import", text)
    read = Reader(text)
    for name, attributes in read.tags:
        assert name not in ("script", "link", "iframe", "object")
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")
    targets = {attributes.get("id") for _, attributes in read.tags}
    assert {(a["href"] or "")[1:] for a in read.all("a")} <= targets


def test_pictures_and_charts_have_descriptions_and_tables_have_headers(tmp_path):
    read = Reader(page([History(make_run(tmp_path / "a")), History(make_run(tmp_path / "b", seed=1))]))
    assert read.all("img")
    assert all(a.get("alt") and a.get("width") and a.get("height") for a in read.all("img"))
    assert all(a.get("role") == "img" for a in read.all("svg"))
    assert len(read.all("caption")) == len(read.all("table")) == len(read.all("thead"))
    assert {a.get("scope") for a in read.all("th")} == {"row", "col"}


def test_names_and_settings_of_a_run_are_escaped(tmp_path):
    run = make_run(tmp_path / "a&b<i>", name=HOSTILE, hostile=HOSTILE)
    evaluate(run, **{HOSTILE: {"value": 1.0, "text": HOSTILE, "unit": HOSTILE}})
    (run / "status.json").write_text(json.dumps({"status": HOSTILE, "reason": HOSTILE}))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, f"train/model/{HOSTILE}": 1.0, "train/model/loss": 1.0}))
    Image.new("RGB", (4, 4)).save(run / "samples" / "<b>_00000010.png")
    read = Reader(page([History(run)]))
    assert {name for name, _ in read.tags} & {"script", "i", "b"} <= {"i", "b"}  # tags of the legend
    assert not [a for a in read.all("img") if not (a["src"] or "").startswith("data:")]
    assert read.text.count(HOSTILE) >= 5  # title, heading, setting, measure, unit, status, curve
    assert all(not key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_the_page_shows_measures_pictures_and_settings(tmp_path):
    run = make_run(tmp_path / "a")
    evaluate(run, fid={"value": 12.345, "error": 0.4, "floor": 1.5, "noise": 333.0, "unit": "", "text": "Fréchet"})
    read = Reader(page([History(run)]))
    for shown in ("12.35 ± 0.4", "1.5", "333", "1000 samples against 900 of the test split", "nll: needs a density"):
        assert shown in read.text
    for shown in ("step 10", "step 50", "1 min 15 s", "vae_mnist", "finished", "2.5, 50", "beta"):
        assert shown in read.text
    assert [a["alt"] for a in read.all("img")][1:] == [f"samples at step {step}" for step in range(10, 60, 10)]
    assert "Comparison" not in read.text


def test_runs_are_compared_but_losses_only_of_the_same_model(tmp_path):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", name="gan", model="a.GAN")]
    titles = re.findall(r"<title>(\S+) over training steps", page([History(run) for run in runs]))
    assert "eval/sliced_w2" in titles
    assert not {"train/model/loss", "eval/loss"} & set(titles)
    same = [History(run) for run in (runs[0], make_run(tmp_path / "c", seed=1))]
    assert {"train/model/loss", "eval/loss"} <= set(re.findall(r"<title>(\S+) over training steps", page(same)))


def test_a_run_that_has_just_started_has_a_page(tmp_path):
    run = make_run(tmp_path / "a")
    for name in ("metrics.jsonl", "status.json", "result.json"):
        (run / name).unlink()
    for path in (run / "samples").iterdir():
        path.unlink()
    assert "not begun" in Reader(page([History(run)])).text


@pytest.mark.parametrize("name", ["metrics.jsonl", "result.json", "samples/samples_00000050.png"])
def test_a_damaged_file_is_named_and_no_page_is_written(cli, tmp_path, name):
    run = make_run(tmp_path / "run")
    (run / name).write_text("{\n{}\n")
    code, _, err = cli("report", str(run))
    assert code == 2
    assert name.split("/")[-1] in err
    assert err.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_report_writes_one_page_for_all_runs_in_a_folder(cli, tmp_path):
    make_run(tmp_path / "sweep" / "lr=1,seed=0")
    make_run(tmp_path / "sweep" / "lr=1,seed=1", seed=1)
    code, out, _ = cli("report", "sweep/lr=1,seed=0", "sweep", "out=page.html")
    assert code == 0
    assert "2 runs: page.html" in out
    Reader((tmp_path / "page.html").read_text())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs run folders"),
        (["nowhere"], "no folder nowhere"),
        (["run", "uot=x.html"], "did you mean 'out'"),
        (["run", "out=x.png"], "does not end in .html"),
        (["run", "out=no/such/x.html"], "cannot write no/such/x.html"),
    ],
)
def test_a_wrong_argument_gives_a_one_line_error(cli, tmp_path, arguments, message):
    make_run(tmp_path / "run")
    code, _, err = cli("report", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_markup_is_kept_and_text_escaped():
    assert tag("p", "a < b", tag("b", "&"), None, class_="x", hidden=False) == '<p class="x">a &lt; b<b>&amp;</b></p>'
    assert tag("img", alt='"', aria_hidden="true") == '<img alt="&quot;" aria-hidden="true">'
    assert join([1, Markup("<i>")], "<") == "1<i>&lt;"
    assert '<td class="num">2</td><td>x</td>' in table(["a", "b", "c"], [["1", "2", "x"]], "t", words=1)


def test_a_chart_is_drawn_to_scale_and_states_its_last_values():
    text = chart("loss", {"train": [(0, 0.0), (10, 1.0)], "empty": []})
    points = re.findall(r'points="([^"]+)"', text)[0].split()
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points)
    assert (x0, x1) == (52, 392)
    assert y0 - y1 == pytest.approx((210 - 10 - 26) / 1.08, abs=0.1)  # 4 % of margin above and below
    assert "train ends at 1" in text
    assert "empty" not in text
    assert chart("none", {"a": []}) == ""


def test_a_spike_is_cut_off_and_counted():
    low, high, beyond = limits([1e6] + [i / 100 for i in range(100)])
    assert -0.1 < low < 0.1
    assert 0.9 < high < 1.1
    assert beyond == 1
    assert limits([1.0, 5.0])[2] == 0
    assert limits([3.0])[:2] == pytest.approx((2.85, 3.15))


def test_ticks_are_round_and_within_the_limits():
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.13, 0.11, 5) == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1])
    assert ticks(5, 5, 5) == [5]


def test_thinning_a_curve_keeps_its_peak():
    curve = [(i, float(i == 5000)) for i in range(10_000)]
    short = thin(curve)
    assert len(short) <= POINTS
    assert max(short, key=lambda point: point[1]) == (5000, 1.0)
    assert short == sorted(short)


def test_durations_are_readable():
    assert [duration(s) for s in (None, 12.4, 75, 3720)] == ["", "12 s", "1 min 15 s", "1 h 02 min"]
