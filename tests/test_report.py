"""The page of a report: whole in itself, harmless whatever it shows, and true to the files it is made from."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlab.report.chart import POINTS, chart, limits, thin, ticks
from genlab.report.html import Markup, join, table, tag
from genlab.report.page import duration, labels, page
from genlab.report.pictures import SMALL, picture, spaced
from genlab.runs.history import History

HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x>'
VOID = {"meta", "img", "wbr"}


class Reader(HTMLParser):
    """Checks that elements close in order; collects tags, attributes, text."""

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
        return [attributes for each, attributes in self.tags if each == name]


def make_run(folder: Path, name: str = "vae_mnist", seed: int = 0, model: str = "a.VAE", **config) -> Path:
    """A run folder with all that a report reads, five pictures among it."""
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


def test_a_page_needs_nothing_from_outside(tmp_path):
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


def test_all_pictures_and_charts_have_words_and_tables_have_heads(tmp_path):
    read = Reader(page([History(make_run(tmp_path / "a")), History(make_run(tmp_path / "b", seed=1))]))
    assert read.all("img")
    assert all(a.get("alt") and a.get("width") and a.get("height") for a in read.all("img"))
    assert all(a.get("role") == "img" for a in read.all("svg"))
    assert len(read.all("caption")) == len(read.all("table")) == len(read.all("thead"))
    assert {a.get("scope") for a in read.all("th")} == {"row", "col"}


def test_what_a_run_is_called_and_set_to_stays_text(tmp_path):
    run = make_run(tmp_path / "a&b<i>", name=HOSTILE, hostile=HOSTILE)
    evaluate(run, **{HOSTILE: {"value": 1.0, "text": HOSTILE, "unit": HOSTILE}})
    (run / "status.json").write_text(json.dumps({"status": HOSTILE, "reason": HOSTILE}))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, f"train/model/{HOSTILE}": 1.0, "train/model/loss": 1.0}))
    Image.new("RGB", (4, 4)).save(run / "samples" / "<b>_00000010.png")
    read = Reader(page([History(run)]))
    assert {name for name, _ in read.tags} & {"script", "i", "b"} <= {"i", "b"}  # the legend's own
    assert not [a for a in read.all("img") if not (a["src"] or "").startswith("data:")]
    assert read.text.count(HOSTILE) >= 5  # title, heading, setting, measure, unit, status, curve
    assert all(not key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_the_page_shows_measures_between_floor_and_noise_the_film_and_the_settings(tmp_path):
    run = make_run(tmp_path / "a")
    evaluate(run, fid={"value": 12.345, "error": 0.4, "floor": 1.5, "noise": 333.0, "unit": "", "text": "Fréchet"})
    read = Reader(page([History(run)]))
    for shown in ("12.35 ± 0.4", "1.5", "333", "1000 samples against 900 of the test split", "nll: needs a density"):
        assert shown in read.text
    for shown in ("step 10", "step 50", "1 min 15 s", "vae_mnist", "finished", "2.5, 50", "beta"):
        assert shown in read.text
    assert [a["alt"] for a in read.all("img")][1:] == [f"samples at step {step}" for step in range(10, 60, 10)]
    assert "Comparison" not in read.text


def test_several_runs_are_compared_and_losses_of_different_models_are_not(tmp_path):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", name="gan", model="a.GAN")]
    titles = re.findall(r"<title>(\S+) over training steps", page([History(run) for run in runs]))
    assert "eval/sliced_w2" in titles
    assert not {"train/model/loss", "eval/loss"} & set(titles)
    same = [History(run) for run in (runs[0], make_run(tmp_path / "c", seed=1))]
    assert {"train/model/loss", "eval/loss"} <= set(re.findall(r"<title>(\S+) over training steps", page(same)))


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [History(make_run(tmp_path / str(seed), seed=seed)) for seed in (0, 1)]
    assert labels(runs) == ["vae_mnist seed=0", "vae_mnist seed=1"]
    again = [runs[0], History(make_run(tmp_path / "twin"))]
    assert labels(again) == ["vae_mnist (0)", "vae_mnist (twin)"]


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
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


def test_the_command_writes_the_page_of_all_runs_in_a_folder(cli, tmp_path):
    make_run(tmp_path / "sweep" / "lr=1,seed=0")
    make_run(tmp_path / "sweep" / "lr=1,seed=1", seed=1)
    code, out, _ = cli("report", "sweep/lr=1,seed=0", "sweep", "out=page.html")
    assert code == 0
    assert "2 runs: page.html" in out
    Reader((tmp_path / "page.html").read_text())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs run folders"),
        (["nowhere"], "no folder nowhere"),
        (["run", "uot=x.html"], "did you mean 'out'"),
        (["run", "out=x.png"], "does not end in .html"),
        (["run", "out=no/such/x.html"], "cannot write no/such/x.html"),
    ],
)
def test_a_wrong_word_is_one_line(cli, tmp_path, arguments, said):
    make_run(tmp_path / "run")
    code, _, err = cli("report", *arguments)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_markup_is_kept_and_text_escaped():
    assert tag("p", "a < b", tag("b", "&"), None, class_="x", hidden=False) == '<p class="x">a &lt; b<b>&amp;</b></p>'
    assert tag("img", alt='"', aria_hidden="true") == '<img alt="&quot;" aria-hidden="true">'
    assert join([1, Markup("<i>")], "<") == "1<i>&lt;"
    assert '<td class="num">2</td><td>x</td>' in table(["a", "b", "c"], [["1", "2", "x"]], "t", words=1)


def test_a_chart_is_drawn_to_scale_and_says_its_last_values():
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


def test_ticks_are_round_and_within():
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.13, 0.11, 5) == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1])
    assert ticks(5, 5, 5) == [5]


def test_thinning_keeps_the_outline():
    curve = [(i, float(i == 5000)) for i in range(10_000)]
    short = thin(curve)
    assert len(short) <= POINTS
    assert max(short, key=lambda point: point[1]) == (5000, 1.0)
    assert short == sorted(short)


def test_pictures_are_small_and_film_strips_keep_both_ends(tmp_path):
    history = History(make_run(tmp_path))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1800, 3), np.uint8)).save(
        tmp_path / "samples" / "samples_00000050.png"
    )
    film = history.pictures["samples"]
    text = picture(film[-1], "a", SMALL)
    assert f'width="{SMALL}" height="{SMALL // 2}"' in text
    assert len(text) < SMALL * SMALL // 2 * 3 * 1.5
    assert [each.step for each in spaced(film, 3)] == [10, 30, 50]
    assert spaced(film, 9) == film


def test_durations():
    assert [duration(s) for s in (None, 12.4, 75, 3720)] == ["", "12 s", "1 min 15 s", "1 h 02 min"]


def test_many_runs_have_a_short_title(tmp_path):
    models = ("a.DDPM", "a.GAN", "a.VAE")
    runs = [History(make_run(tmp_path / str(i), f"run_number_{i}", model=models[i % 2])) for i in range(9)]
    assert "<title>9 runs of DDPM, GAN on MNIST</title>" in page(runs)
    assert "<title>2 runs: run_number_0, run_number_1</title>" in page(runs[:2])
    many = [History(make_run(tmp_path / f"m{i}", f"run_number_{i}", model=f"a.Model{i}")) for i in range(9)]
    assert "<title>9 runs of 9 models on MNIST</title>" in page(many)
