import json

import numpy as np
import pytest
from magenta_samples import FLAT, HIERARCHICAL, drawn, rounding

from folkrnn.errors import UserError
from folkrnn.weights.magenta import load, to_magenta


def manifest(folder, variables, kind=None, shard=1000, config=None):
    """Writes a Magenta.js checkpoint, quantised to `kind` if given; returns what each variable then is."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, octets, stored = [], b"", {}
    for name, value in variables.items():
        weight = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if kind is not None and name.endswith("kernel"):
            low, scale = float(value.min()), float(np.ptp(value)) / np.iinfo(kind).max
            steps = np.round((value - low) / scale).astype(kind)
            weight["quantization"] = {"min": low, "scale": scale, "dtype": kind}
            octets, stored[name] = octets + steps.tobytes(), (steps * scale + low).astype(np.float32)
        else:
            octets, stored[name] = octets + value.tobytes(), value
        weights.append(weight)
    paths = []
    for count, start in enumerate(range(0, len(octets), shard)):
        paths.append(f"group1-shard{count + 1}")
        (folder / paths[-1]).write_bytes(octets[start : start + shard])
    (folder / "weights_manifest.json").write_text(json.dumps([{"paths": paths, "weights": weights}]))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return stored


@pytest.mark.parametrize("kind", [None, "uint8", "uint16"])
def test_magenta_js_checkpoints_are_loaded_quantised_or_not(tmp_path, kind):
    stored = manifest(tmp_path / "js", drawn(FLAT), kind)
    for place in (tmp_path / "js", tmp_path / "js" / "weights_manifest.json"):
        found = to_magenta(load(place).model)
        assert found.keys() == stored.keys()
        for name, value in stored.items():
            assert np.abs(found[name] - value).max() <= rounding(name), name


def test_magenta_js_says_how_long_melodies_are(tmp_path):
    config = {"type": "MusicVAE", "dataConverter": {"type": "MelodyConverter", "args": {"numSteps": 64}}}
    manifest(tmp_path / "four", drawn(FLAT), config=config)
    four = load(tmp_path / "four")
    assert (four.model.sizes.max_seq_len, four.assumed) == (64, "")
    config["dataConverter"]["args"] = {"numSteps": 48, "numSegments": 3}
    manifest(tmp_path / "segments", drawn(HIERARCHICAL), config=config)
    assert load(tmp_path / "segments").model.sizes == HIERARCHICAL


def changed(folder, change):
    file = folder / "weights_manifest.json"
    groups = json.loads(file.read_text())
    change(groups[0])
    file.write_text(json.dumps(groups))
    return folder


def set_to(key, value, name=None):
    def change(group):
        (group if name is None else group["weights"][0] if name == 0 else group["weights"][0][name])[key] = value

    return change


ODD = {
    "a shard above": (set_to("paths", ["../secret"]), "does not lie beside it"),
    "an absolute shard": (set_to("paths", ["/etc/passwd"]), "does not lie beside it"),
    "the folder itself": (set_to("paths", [".."]), "does not lie beside it"),
    "a shard that is missing": (set_to("paths", ["group9"]), "missing"),
    "a shard that is no name": (set_to("paths", [7]), "does not lie beside it"),
    "fewer bytes": (set_to("paths", []), "past the end of its shards"),
    "ten gigabytes": (set_to("shape", [2_500_000_000 // 2, 2], 0), "past the end of its shards"),
    "a negative shape": (set_to("shape", [-1], 0), "which no weight can have"),
    "a shape in words": (set_to("shape", ["3"], 0), "which no weight can have"),
    "an odd type": (set_to("dtype", "string", 0), "float32, int32"),
    "an odd quantisation": (set_to("quantization", {"dtype": "uint4"}, 0), "uint8, uint16"),
    "no scale": (set_to("quantization", {"dtype": "uint8", "min": 0}, 0), "finite"),
    "no list": (set_to("weights", {}), "list of weights"),
    "a name twice": (set_to("name", "encoder/mu/bias", 0), "twice"),
    "no name": (set_to("name", None, 0), "no name"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_manifests_are_refused_in_one_line(tmp_path, kind):
    change, says = ODD[kind]
    manifest(tmp_path / "js", drawn(FLAT))
    (tmp_path / "secret").write_bytes(bytes(100_000))
    with pytest.raises(UserError, match=says) as refusal:
        load(changed(tmp_path / "js", change))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "{}", "[7]", "null"])
def test_files_that_are_no_manifest_are_refused(tmp_path, text):
    manifest(tmp_path / "js", drawn(FLAT))
    (tmp_path / "js" / "weights_manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"weights_manifest\.json"):
        load(tmp_path / "js")


@pytest.mark.parametrize(
    ("config", "says"), [({"type": "MusicRNN"}, "MusicVAE"), ({"chordEncoder": "Major"}, "chords")]
)
def test_models_of_another_kind_in_magenta_js_are_refused(tmp_path, config, says):
    manifest(tmp_path / "js", drawn(FLAT), config=config)
    with pytest.raises(UserError, match=says):
        load(tmp_path / "js")
