"""The layout of report pages: names on one line, one colour for each run, pages of many runs that stay small."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import Reader, make_run

from genlab.plots.shorten import shorten
from genlab.report import page as page_module
from genlab.report.chart import chart
from genlab.report.html import SHORT, TAIL, one_line
from genlab.report.page import page
from genlab.report.pictures import LARGE, SMALL, picture, spaced
from genlab.report.styles import COLOURS, REST, foremost, of_run, run_styles
from genlab.report.titles import LINE, labels, telling
from genlab.runs.history import History

LONG = "a_run_with_" + "a_very_" * 20 + "long_name_of_the_second_try"
STYLE = Path(page_module.__file__).with_name("style.css").read_text()


def names_of(text: str) -> list[str]:
    """Returns the text of each name on a page, its parts joined."""
    return [re.sub("<[^>]+>", "", inner) for inner in re.findall(r'<span class="name"[^>]*>(.*?</span>)</span>', text)]


def keys_of(text: str) -> dict[str, set[str]]:
    """Returns the colour classes of the keys beside each name, by name."""
    found: dict[str, set[str]] = {}
    for style, name in re.findall(r'<i class="key ([^"]+)"[^>]*></i><span class="name" title="([^"]*)"', text):
        found.setdefault(name, set()).add(style.split()[0])
    return found


def many(tmp_path: Path, count: int, **config) -> list[History]:
    """Returns runs of two models with a seed each; the later ones have lower values."""
    return [
        History(make_run(tmp_path / str(i), f"run{i}", seed=count - i, model=f"a.{'AB'[i % 2]}", **config))
        for i in range(count)
    ]


@pytest.mark.parametrize("length", [1, 10, 30, LINE])
def test_long_titles_and_names_are_shortened_in_the_middle(length):
    short = shorten(LONG, length)
    assert len(short) == length
    assert "…" in short
    start, end = short.split("…")
    assert LONG.startswith(start)
    assert LONG.endswith(end)
    assert abs(len(start) - len(end)) <= 1
    assert shorten("two\nlines  here", 20) == "two lines here"


@pytest.mark.parametrize(
    "name", [LONG, "short", "x" * SHORT, "x" * 50, "gan lr=0.01 seed=0", 'Käthe\'s <b>"run"</b> & ünter']
)
def test_a_name_on_one_line_keeps_its_full_text_and_title(name):
    text = one_line(name)
    read = Reader(text)
    assert read.text == name
    assert read.all("span")[0] == {"class": "name", "title": name}
    parts = re.findall(r"<span>([^<]*)</span>", text)
    assert len(parts) == (1 if len(name) <= SHORT else 2)
    assert all(len(part) <= TAIL + 15 for part in parts[1:])  # escaped


def test_the_end_of_a_name_that_stays_visible_begins_with_a_word():
    assert re.findall(r"<span>([^<]*)</span>", one_line("wgan_gp_gaussian2d lr=0.001 seed=10"))[1] == "lr=0.001 seed=10"
    assert re.findall(r"<span>([^<]*)</span>", one_line(LONG))[1] == "the_second_try"


def test_a_long_name_stays_on_one_line_wherever_it_appears(tmp_path):
    runs = [History(make_run(tmp_path / "a", LONG)), History(make_run(tmp_path / "b"))]
    text = page(runs)
    assert len(re.findall("<title>(.*?)</title>", text)[0]) <= LINE
    assert f"<h1>{one_line('2 runs of VAE on MNIST')}</h1>" in text
    line = str(one_line(LONG))
    for before, after in (
        ('<th scope="row"><a[^>]*><i[^>]*></i>', "</a>"),
        ("<h2><i[^>]*></i>", " "),
        ("<li><i[^>]*></i>", "<b>"),
    ):
        assert re.search(before + re.escape(line) + after, text), before
    assert re.search("<figcaption><i[^>]*></i>" + re.escape(line), text)
    without = re.sub(r"<title>.*?</title>|(title|alt)=\"[^\"]*\"", "", text.replace(line, ""))
    assert without.count(LONG) == 1  # among the settings, where it may take several lines
    alone = page(runs[:1])
    assert f"<title>{shorten(LONG, LINE)}</title>" in alone
    assert f"<h1>{line}</h1>" in alone


def test_the_style_sheet_cuts_names_and_keeps_the_first_column_in_view():
    rules = {key.strip(): value for key, value in re.findall(r"(?m)^(?:  )?([^{}@/]+)\{([^{}]*)\}", STYLE)}
    assert "white-space: pre" in rules[".name"]
    assert "text-overflow: ellipsis" in rules[".name > span:first-child"]
    assert "overflow: hidden" in rules[".name > span"]
    screen, _, paper = STYLE.partition("@media print")
    assert "th:first-child { position: sticky; left: 0;" in screen
    assert "size: A4" in paper
    assert "break-inside: avoid" in paper
    assert "break-after: avoid" in paper


def test_each_run_has_the_same_colour_everywhere(tmp_path):
    runs = many(tmp_path, 12)
    text = page(runs)
    keys = keys_of(text)
    assert {name: keys[name] for name in labels(runs)} == {f"run{i}": {f"s{i % COLOURS}"} for i in range(12)}
    styles = run_styles(runs)
    assert len(set(styles)) == 12
    articles = text.split("<article")[1:]
    for style, article in zip(styles, articles, strict=True):
        drawn = re.findall(r'<(?:polyline|circle) class="(s\d)', article)
        assert drawn
        assert set(drawn) == {style[:2]}


def test_curves_of_one_run_differ_in_their_dashes():
    assert [of_run("s3 d1", i) for i in range(4)] == ["s3", "s3 d1", "s3 d2", "s3 faint"]
    text = chart(
        "loss", {"training": [(0, 1.0), (1, 2.0)], "validation": [(0, 1.0)]}, {"training": "s3", "validation": "s3 d1"}
    )
    assert '<polyline class="s3"' in text
    assert '<circle class="s3 d1"' in text


def test_of_forty_runs_the_best_have_a_colour_and_the_others_are_grey(tmp_path):
    runs = many(tmp_path, 40)
    styles = run_styles(runs)
    assert [i for i, style in enumerate(styles) if style != REST] == list(range(32, 40))
    assert len(set(styles)) == COLOURS + 1
    text = page(runs)
    charts = re.findall(r'<figure class="chart">.*?</figure>', text.split("<article")[0])
    assert charts
    for figure in charts:
        classes = re.findall(r'<(?:polyline|circle) class="([^"]+)"', figure)
        greys = classes.count(REST)
        assert classes[:greys] == [REST] * greys  # drawn first, so below
        assert figure.count("<li>") == len(classes) - greys <= COLOURS
        assert f"{greys} more runs in grey" in figure
    assert "8 of 40 runs have a colour" in text


def test_the_best_runs_are_chosen_in_turn_from_each_model(tmp_path):
    runs = [
        History(make_run(tmp_path / str(i), f"run{i}", seed=seed, model=f"a.{model}"))
        for i, (model, seed) in enumerate([("A", 3), ("A", 1), ("A", 2), ("B", 9), ("A", 0), ("B", 8)])
    ]
    assert foremost(runs, 2) == [4, 5]
    assert foremost(runs, 3) == [1, 4, 5]
    (runs[4].run.folder / "result.json").write_text(json.dumps({"measures": {"eval/other": 1.0}}))
    again = [History(run.run.folder) for run in runs]
    assert foremost(again, 2) == [1, 5]


def test_a_page_of_forty_runs_is_folded_and_small(tmp_path):
    few, forty = (page(many(tmp_path / str(count), count)) for count in (3, 40))
    read = Reader(forty)
    assert len([a for a in read.all("details") if a.get("class") == "run"]) == 40
    assert "samples over training" not in forty.lower()
    targets = [attributes["id"] for name, attributes in read.tags if name == "div" and attributes.get("id")]
    assert targets == [f"run{i}" for i in range(40)]  # inside the folded part, so that links open it
    assert len(forty) / 40 < len(few) / 3
    assert "only open ones are printed" in forty
    assert "folded" not in few
    assert "only open ones are printed" not in page(many(tmp_path / "12", 12))


def test_settings_that_repeat_another_one_are_not_in_labels(tmp_path):
    runs = [
        History(make_run(tmp_path / f"{lr}{seed}", seed=seed, width=10 * lr, lr=lr)) for lr in (1, 2) for seed in (0, 1)
    ]
    assert len(telling(runs)) == 2
    assert labels(runs) == [f"vae_mnist width={10 * lr} seed={seed}" for lr in (1, 2) for seed in (0, 1)]
    twins = [History(make_run(tmp_path / side / "run")) for side in "ab"]
    assert labels(twins) == [f"vae_mnist (run) ({tmp_path / side / 'run'})" for side in "ab"]


def test_pictures_are_enlarged_by_whole_factors_only(tmp_path):
    film = History(make_run(tmp_path)).pictures["samples"]  # 40 x 30
    assert f'width="{40 * 18}" height="{30 * 18}"' in picture(film[0], "a", LARGE)
    assert 'width="240" height="180"' in picture(film[0], "a", SMALL)
    assert 'width="40" height="30"' in picture(film[0], "a", 79)
    assert re.findall(r"(?m)^[^{}]*\bimg\b[^{}]*\{[^{}]*\bmax-width: 100%", STYLE)
    assert not re.findall(r"(?m)^[^{}]*\bimg\b[^{}]*\{[^{}]*(?<!-)width: 100%", STYLE)


def test_runs_with_the_same_name_get_different_labels(tmp_path):
    runs = [History(make_run(tmp_path / str(seed), seed=seed)) for seed in (0, 1)]
    assert labels(runs) == ["vae_mnist seed=0", "vae_mnist seed=1"]
    again = [runs[0], History(make_run(tmp_path / "twin"))]
    assert labels(again) == ["vae_mnist (0)", "vae_mnist (twin)"]


def test_many_runs_have_a_short_title(tmp_path):
    models = ("a.DDPM", "a.GAN", "a.VAE")
    runs = [History(make_run(tmp_path / str(i), f"run_number_{i}", model=models[i % 2])) for i in range(9)]
    assert "<title>9 runs of DDPM, GAN on MNIST</title>" in page(runs)
    assert "<title>2 runs: run_number_0, run_number_1</title>" in page(runs[:2])
    many = [History(make_run(tmp_path / f"m{i}", f"run_number_{i}", model=f"a.Model{i}")) for i in range(9)]
    assert "<title>9 runs of 9 models on MNIST</title>" in page(many)


def test_pictures_are_shrunk_and_film_strips_keep_both_ends(tmp_path):
    history = History(make_run(tmp_path))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1800, 3), np.uint8)).save(
        tmp_path / "samples" / "samples_00000050.png"
    )
    film = history.pictures["samples"]
    text = picture(film[-1], "a", SMALL)
    assert f'width="{SMALL}" height="{SMALL // 2}"' in text
    assert len(text) < SMALL * SMALL // 2 * 3 * 1.5
    assert [shown.step for shown in spaced(film, 3)] == [10, 30, 50]
    assert spaced(film, 9) == film
