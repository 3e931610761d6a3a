"""The `striate` command as people and scripts meet it: real processes on a handful of images."""

import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rich")
pytest.importorskip("safetensors")
Image = pytest.importorskip("PIL.Image")

import striate  # noqa: E402
from striate.cli import main, recipe, train  # noqa: E402
from striate.cli.images import read_image  # noqa: E402
from striate.data import FASHION_MNIST_CLASSES, fashion_mnist_sample  # noqa: E402
from striate.models import ARCHITECTURES  # noqa: E402
from striate.training import load_checkpoint  # noqa: E402

SMALL = ("train", "--limit", "60", "--epochs", "2", "--batch-size", "16")
LONG = ("train", "--epochs", "500")


def command(*arguments, without=()):
    """Command line of a fresh interpreter; imports of the modules in `without` fail there."""
    if without:
        code = (
            f"import sys; sys.modules.update(dict.fromkeys({list(without)!r})); "
            "from striate.cli import main; sys.exit(main())"
        )
        return [sys.executable, "-c", code, *map(str, arguments)]
    return [sys.executable, "-m", "striate", *map(str, arguments)]


def surroundings(**changes):
    """This process's environment, from which the same striate is found in any folder."""
    package = Path(striate.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": str(package), **changes}


def call(*arguments, without=(), cwd=None, **environment):
    return subprocess.run(
        command(*arguments, without=without),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=surroundings(**environment),
        check=False,
    )


def test_a_reader_that_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            command("info"), stdout=pipe, stderr=subprocess.PIPE, env=surroundings(), check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_trainable_parameters_are_told_from_all(tmp_path):
    small = ("--limit", "8", "--epochs", "1", "--batch-size", "8", "--output", tmp_path)
    done = call("train", "--model", "lecture003_cnn", *small)
    assert "lecture003_cnn, 1,679,082 parameters, of which 1,677,674 trainable;" in " ".join(
        (done.stdout + done.stderr).split()
    )


def failure(done, code=1):
    """The one line that a failed command says on stderr."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("striate: ")
    return done.stderr


def failure_after_text(done):
    """As `failure`, where lines of progress came first."""
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One small training run: (its completed process, its output folder)."""
    folder = tmp_path_factory.mktemp("trained")
    return call(*SMALL, cwd=folder), folder / "striate-output"


# ---- usage -------------------------------------------------------------------------------------


def test_version_and_help(capsys):
    for arguments, expected in ((["--version"], striate.__version__), (["--help"], "train")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--epochs", "0"], "must be at least 1, got 0"),
        (["train", "--epochs", "x"], "invalid positive_int value: 'x'"),
        (["train", "--lr", "nan"], "must be positive and finite, got nan"),
        (["train", "--lr", "-1"], "must be positive"),
        (["train", "--seed", "-1"], "must not be negative"),
        (["train", "--data", "cifar"], "invalid choice: 'cifar'"),
        (["train", "--data-dir", "."], "--data-dir goes with --data fashion-mnist"),
        (["predict", "x.png"], "--checkpoint"),
        (["predict", "--checkpoint", "c"], "IMAGE"),
        (["predict", "x.png", "--checkpoint", "c", "--invert", "perhaps"], "invalid choice"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


# ---- train -------------------------------------------------------------------------------------


def test_every_architecture_can_be_trained():
    assert set(train.MODELS) == set(recipe.PRESETS) == set(ARCHITECTURES)
    assert all(set(preset.epochs) == set(train.DATA) for preset in recipe.PRESETS.values())


def test_train_reports_in_plain_lines(trained):
    done, folder = trained
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert re.search(r"60 training and 60 test images", lines[0])
    epoch = r"epoch {}/2  loss \d\.\d+  accuracy +\d+\.\d%  test loss \d\.\d+  test accuracy +\d"
    assert re.match(epoch.format(1), lines[1])
    assert re.match(epoch.format(2), lines[2])
    for name in FASHION_MNIST_CLASSES:
        assert re.search(rf"^ *{name} .* \d+%", done.stdout, re.MULTILINE)
    assert re.search(r"^test accuracy  \d+\.\d% after \d+ s$", done.stdout, re.MULTILINE)
    assert f"checkpoint     {folder.name}/checkpoint.safetensors" in done.stdout
    assert f"picture        {folder.name}/training-curve.png" in done.stdout


def test_train_leaves_a_checkpoint_and_a_picture(trained):
    _, folder = trained
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "log.jsonl",
        "training-curve.png",
    ]
    checkpoint = load_checkpoint(folder / "checkpoint.safetensors")
    assert checkpoint.epoch == 2
    assert checkpoint.classes == FASHION_MNIST_CLASSES
    assert checkpoint.training["settings"]["seed"] == 0
    settings, *epochs = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    assert settings == checkpoint.training["settings"]
    assert epochs == checkpoint.training["history"]
    with Image.open(folder / "training-curve.png") as picture:
        assert picture.format == "PNG"


def test_train_as_json(tmp_path):
    done = call(*SMALL, "--json", "--seed", "5", "--threads", "1", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["command"] == "train"
    assert result["version"] == striate.__version__
    assert (result["data"], result["seed"], result["threads"]) == ("sample", 5, 1)
    assert (result["train_images"], result["test_images"]) == (60, 60)
    assert [record["epoch"] for record in result["epochs"]] == [1, 2]
    keys = {"epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds"}
    assert all(keys <= set(record) for record in result["epochs"])
    assert result["test_accuracy"] == result["epochs"][-1]["test_accuracy"]
    confusion = np.array(result["confusion"])
    assert confusion.shape == (10, 10) and confusion.sum() == 60
    assert result["test_accuracy"] == np.trace(confusion) / 60
    assert result["classes"] == list(FASHION_MNIST_CLASSES)
    assert result["checkpoint"] == str(tmp_path / "checkpoint.safetensors")
    assert result["picture"] == str(tmp_path / "training-curve.png")
    assert result["seconds"] > 0
    assert "epoch 2/2" in done.stderr  # people may watch while a script reads


def test_quiet_leaves_only_the_result(tmp_path):
    done = call(*SMALL, "--quiet", "--output", tmp_path)
    assert "epoch" not in done.stdout and "test accuracy" in done.stdout
    done = call(*SMALL, "--quiet", "--json", "--output", tmp_path)
    assert json.loads(done.stdout) and done.stderr == ""


def without_the_clock(path):
    """A checkpoint but for the seconds that training took."""
    checkpoint = load_checkpoint(path)
    training = dict(checkpoint.training)
    training["running"] = {**training["running"], "seconds": 0.0}
    training["history"] = [{**record, "seconds": 0.0} for record in training["history"]]
    return {**checkpoint.state, "training": training}


def same(one, other):
    try:
        np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return True


def test_the_seed_decides_everything_and_the_threads_nothing(trained, tmp_path):
    first = without_the_clock(trained[1] / "checkpoint.safetensors")
    for name, options in (("same", ["--threads", 1]), ("other", ["--seed", 1])):
        assert call(*SMALL, *options, "--output", tmp_path / name).returncode == 0
        again = without_the_clock(tmp_path / name / "checkpoint.safetensors")
        assert same(again, first) is (name == "same")


def test_resume_goes_on_where_a_killed_run_was(trained, tmp_path):
    """Killed once a save in mid-epoch is there; then resumed to the same weights."""
    options = (*SMALL, "--save-every", "1", "--output", tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with subprocess.Popen(command(*options), stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            time.sleep(0.01)
        process.kill()
    left = load_checkpoint(path)
    done = call(*options, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"resumed: {path} holds epoch {left.epoch}" in done.stdout
    first = without_the_clock(trained[1] / "checkpoint.safetensors")
    assert same(without_the_clock(path), first)
    again = call(*options, "--resume", "--seed", "1")
    assert f"error: {path} is of another run: it has seed 0, not 1" in failure_after_text(again)


def test_train_on_a_folder_that_lacks_the_data(tmp_path):
    done = call("train", "--data", "fashion-mnist", "--data-dir", tmp_path, cwd=tmp_path)
    assert f"error: {tmp_path} lacks train-images" in failure(done)


def test_train_into_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    assert "file" in failure(call(*SMALL, "--output", tmp_path / "file"))


def test_train_that_diverges_says_so(tmp_path):
    done = call(*SMALL, "--quiet", "--lr", "1e30", "--output", tmp_path)
    assert "try a lower learning rate" in failure(done)


def test_a_full_disk_is_one_line_and_the_old_checkpoint_survives(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"the previous one")
    done = subprocess.run(
        command(*SMALL, "--quiet", "--output", tmp_path),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999)),
        check=False,
    )
    assert "File too large" in failure(done)
    assert path.read_bytes() == b"the previous one"
    assert {path.name for path in tmp_path.iterdir()} == {path.name, "log.jsonl"}


# ---- terminal ----------------------------------------------------------------------------------


def on_terminal(*arguments, **environment):
    """Run with stdout on a pseudo-terminal and return what a terminal would get."""
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm-256color", "COLUMNS": "120", **environment}
    inherited = {k: v for k, v in surroundings().items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        command(*arguments), stdout=theirs, stderr=theirs, env={**inherited, **environment}
    ) as process:
        os.close(theirs)
        received = b""
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal as EIO
            while chunk := os.read(ours, 4096):
                received += chunk
    os.close(ours)
    assert process.returncode == 0, received.decode()
    return received.decode()


COLOR = re.compile(r"\x1b\[[\d;]*(?:3[0-8]|9[0-7])[\d;]*m")


def test_a_terminal_gets_a_bar_and_colour(tmp_path):
    shown = on_terminal(*SMALL, "--output", tmp_path)
    assert re.search(r"\d/6.*batches", shown)
    assert COLOR.search(shown)


def test_no_color_is_honoured(tmp_path):
    shown = on_terminal(*SMALL, "--output", tmp_path, NO_COLOR="1")
    assert "batches" in shown
    assert not COLOR.search(shown)


# ---- Ctrl-C ------------------------------------------------------------------------------------


def interrupted(folder, after):
    """Start a long training, press Ctrl-C once a line with `after` has come; the process's end."""
    with subprocess.Popen(
        command(*LONG, "--output", folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if after in line:
                break
        time.sleep(0.2)  # into the next epoch
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - pressed < 2  # a second, and one for a machine under load
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.count("\n") == 1
    return errors


def test_ctrl_c_leaves_the_last_finished_epoch(tmp_path):
    errors = interrupted(tmp_path, "epoch ")
    epoch = load_checkpoint(tmp_path / "checkpoint.safetensors").epoch
    assert epoch >= 1
    expected = f"striate: interrupted; {tmp_path}/checkpoint.safetensors holds epoch {epoch}\n"
    assert errors == expected
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors", "log.jsonl"}


def test_ctrl_c_in_the_first_epoch_leaves_nothing(tmp_path):
    errors = interrupted(tmp_path, "parameters")
    assert errors == "striate: interrupted; no epoch was finished\n"
    assert list(tmp_path.iterdir()) == []


# ---- missing extras ----------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["rich", "safetensors"])
def test_train_names_the_extra_that_it_lacks(tmp_path, module):
    done = call(*SMALL, "--quiet", "--output", tmp_path, without=[module, f"{module}.numpy"])
    assert f"needs {module}: pip install 'striate[cli]'" in failure(done)


def test_train_does_without_matplotlib(tmp_path):
    done = call(*SMALL, "--output", tmp_path, without=["matplotlib"])
    assert done.returncode == 0, done.stderr
    assert "picture        none: " in done.stdout
    assert "pip install 'striate[viz]'" in done.stdout


def test_predict_names_the_extra_that_it_lacks(trained, tmp_path):
    checkpoint = trained[1] / "checkpoint.safetensors"
    done = call("predict", tmp_path / "x.png", "--checkpoint", checkpoint, without=["PIL"])
    assert "needs PIL: pip install 'striate[cli]'" in failure(done)


def test_version_and_info_need_no_extra():
    missing = ["rich", "safetensors", "PIL", "matplotlib"]
    assert striate.__version__ in call("--version", without=missing).stdout
    assert call("info", without=missing).returncode == 0


# ---- predict -----------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(trained):
    return trained[1] / "checkpoint.safetensors"


@pytest.fixture
def pictures(tmp_path):
    """The first three test images as PNG files, and as arrays."""
    images = fashion_mnist_sample()[1].arrays[0][:3, 0]
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, images


def test_predict_agrees_with_the_library(checkpoint, pictures):
    paths, images = pictures
    done = call("predict", *paths, "--checkpoint", checkpoint, "--json", "--top", "10")
    assert done.returncode == 0, done.stderr
    loaded = load_checkpoint(checkpoint)
    scores = loaded.model()(loaded.normalize(images[:, None])).numpy()
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    predictions = json.loads(done.stdout)["predictions"]
    assert [prediction["image"] for prediction in predictions] == [str(path) for path in paths]
    for prediction, expected in zip(predictions, chances, strict=True):
        found = [item["probability"] for item in prediction["top"]]
        assert found == sorted(found, reverse=True)
        assert sum(found) == pytest.approx(1, abs=1e-5)
        for item in prediction["top"]:
            assert item["class"] == FASHION_MNIST_CLASSES[item["index"]]
            assert item["probability"] == pytest.approx(expected[item["index"]], abs=1e-5)


def test_predict_prints_a_line_an_image(checkpoint, pictures):
    paths, _ = pictures
    done = call("predict", *paths, "--checkpoint", checkpoint, "--top", "2")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for path, line in zip(paths, lines, strict=True):
        assert re.fullmatch(rf"{path}: [A-Z][^,]* \d+\.\d%, [A-Z][^,]* \d+\.\d%", line)


def test_predict_refuses_a_damaged_checkpoint(checkpoint, pictures, tmp_path):
    damaged = bytearray(checkpoint.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    done = call("predict", pictures[0][0], "--checkpoint", tmp_path / "damaged")
    assert f"{tmp_path}/damaged is damaged" in failure(done)


def test_predict_names_a_file_that_is_no_image(checkpoint, pictures, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    done = call("predict", pictures[0][0], tmp_path / "text.png", "--checkpoint", checkpoint)
    assert f"{tmp_path}/text.png is not an image" in failure(done)
    done = call("predict", tmp_path / "nothing.png", "--checkpoint", checkpoint)
    assert "nothing.png" in failure(done)


# ---- images ------------------------------------------------------------------------------------


@pytest.fixture
def boot():
    """A garment as the data set shows it: light on black."""
    return fashion_mnist_sample()[1].arrays[0][0, 0]


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp"])
def test_lossless_formats_give_the_very_pixels(tmp_path, boot, suffix):
    path = tmp_path / f"boot.{suffix}"
    Image.fromarray(boot).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image(path, "no"), boot)
    assert np.array_equal(read_image(path, "auto"), boot)
    assert np.array_equal(read_image(path, "yes"), 255 - boot)


def test_jpeg_gives_nearly_the_pixels(tmp_path, boot):
    Image.fromarray(boot).save(tmp_path / "boot.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "boot.jpg", "no").astype(int) - boot).mean() < 3


def test_dark_on_light_is_inverted_by_itself(tmp_path, boot):
    Image.fromarray(255 - boot).save(tmp_path / "boot.png")
    assert np.array_equal(read_image(tmp_path / "boot.png", "auto"), boot)
    assert np.array_equal(read_image(tmp_path / "boot.png", "no"), 255 - boot)


def test_a_photograph_is_fitted_into_a_square_of_its_background(tmp_path):
    photo = np.full((80, 160, 3), 250, np.uint8)  # white paper
    photo[20:60, 40:120] = 10  # something dark in the middle
    Image.fromarray(photo).save(tmp_path / "photo.png")
    result = read_image(tmp_path / "photo.png", "auto")
    assert result.shape == (28, 28) and result.dtype == np.uint8
    assert (result[:7] == 5).all() and (result[-7:] == 5).all()  # paper above and below, inverted
    assert (result[12:16, 8:20] == 245).all()


def test_transparency_is_white_paper_and_16_bits_are_scaled(tmp_path, boot):
    clear = np.dstack([np.zeros((28, 28, 3), np.uint8), boot])  # black ink, the boot's opacity
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert np.array_equal(read_image(tmp_path / "clear.png", "auto"), boot)
    Image.fromarray(boot.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read_image(tmp_path / "deep.png", "no"), boot)


def png_chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def huge_png(side):
    """A PNG of 100 bytes that claims side x side pixels."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    parts = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(b"")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_100, 10_000, 60_000])  # above our limit, Pillow's, twice that
def test_pixel_bombs_are_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(huge_png(side))
    with pytest.raises(ValueError, match=r"allowed|exceeds limit") as caught:
        read_image(path, "auto")
    assert str(path) in str(caught.value)


def test_other_formats_and_damaged_files_are_refused(tmp_path, boot):
    Image.fromarray(boot).save(tmp_path / "boot.tiff")
    with pytest.raises(ValueError, match=r"boot\.tiff is not an image \(PNG, JPEG, BMP, GIF"):
        read_image(tmp_path / "boot.tiff", "auto")
    Image.fromarray(boot).save(tmp_path / "boot.png")
    data = (tmp_path / "boot.png").read_bytes()
    (tmp_path / "boot.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"boot\.png cannot be decoded"):
        read_image(tmp_path / "boot.png", "auto")


# ---- info --------------------------------------------------------------------------------------


def test_info_as_json():
    done = call("info", "--json")
    facts = json.loads(done.stdout)
    assert facts["striate"] == striate.__version__
    assert facts["numpy"] == np.__version__
    assert facts["cpu"] == json.loads(json.dumps(striate.cpu_info()))
    assert facts["cpu"]["threads"] >= 1
    assert facts["extras"]["rich (cli)"]
    assert facts["data"]["sample"].endswith("fashion_mnist_sample")


def test_info_in_lines(tmp_path):
    done = call("info", STRIATE_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == 0
    assert f"striate   {striate.__version__}" in done.stdout
    assert f"problem: STRIATE_DATA={tmp_path}/nowhere is not a folder" in done.stdout
