"""How the processes of a training come about: what torchrun or srun started counts, and nothing may contradict it."""

from __future__ import annotations

import pytest

from folkrnn.errors import UserError
from folkrnn.training.processes import arrange

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch):
    for name in (*TORCHRUN, "SLURM_NTASKS", "SLURM_PROCID", "SLURM_NNODES", "SLURM_NTASKS_PER_NODE", "GROUP_RANK"):
        monkeypatch.delenv(name, raising=False)

    def start(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return start


@pytest.mark.parametrize("devices", ["auto", 1, 4, [0, 2]])
def test_a_command_by_itself_trains_on_one_node_on_the_devices_asked_for(started, devices):
    found = arrange(devices, "auto", "auto")
    assert (found.devices, found.nodes, found.rank) == (devices, 1, 0)
    assert arrange(devices, 1, "auto").devices == devices


def test_a_command_by_itself_trains_on_no_second_node(started):
    with pytest.raises(UserError, match="one command trains on one node"):
        arrange("auto", 2, "ddp")


@pytest.mark.parametrize("devices", ["auto", -1, 2])
@pytest.mark.parametrize("nodes", ["auto", 2])
def test_what_torchrun_started_is_what_trains(started, devices, nodes):
    started(**TORCHRUN)
    found = arrange(devices, nodes, "ddp")
    assert (found.devices, found.nodes, found.rank) == (2, 2, 3)


@pytest.mark.parametrize(
    ("devices", "nodes", "strategy", "says"),
    [
        (1, "auto", "ddp", "trainer.devices=1, but"),
        (4, "auto", "ddp", "trainer.devices=4, but"),
        ("auto", 1, "ddp", "trainer.nodes=1, but"),
        ("auto", 3, "ddp", "trainer.nodes=3, but"),
        ("auto", "auto", "auto", "add trainer=ddp"),
    ],
)
def test_settings_that_contradict_what_was_started_are_refused(started, devices, nodes, strategy, says):
    started(**TORCHRUN)
    with pytest.raises(UserError, match=says):
        arrange(devices, nodes, strategy)


@pytest.mark.parametrize("devices", ["auto", 1])
def test_one_process_that_torchrun_started_may_be_given_its_one_device(started, devices):
    started(**TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"})
    assert arrange(devices, "auto", "auto").devices == 1
    with pytest.raises(UserError, match=r"trainer\.devices=2"):
        arrange(2, "auto", "auto")
