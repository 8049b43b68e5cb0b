"""Two processes that train together give what one process gives with the joint batch."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.training.cases import save_case
from SynthCBVLib.training.loop import train
from SynthCBVLib.training.losses import loss_of
from SynthCBVLib.training.parallel import ALONE, Team
from SynthCBVLib.training.presets import preset
from SynthCBVLib.training.sampling import Batch

CARD = dataclasses.replace(preset("asl").card, network_arguments={"modalities": 6, "width": 2, "levels": 2})
CONFIG = dataclasses.replace(
    preset("asl").config, steps=2, batch=4, patch=(4, 16, 16), bf16=False, ssim_weight=0.5, drop=0.7, warmup=0
)
#: No process has all inputs, no two the same, and nobody the last three.
PRESENT = torch.tensor(
    [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]]
).float()

WORKER = """
import dataclasses, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
import torch
torch.set_num_threads(1)
from SynthCBVLib.networks import build
from SynthCBVLib.training.cases import load_case
from SynthCBVLib.training.config import TrainingConfig
from SynthCBVLib.training.losses import loss_of
from SynthCBVLib.training.loop import train
from SynthCBVLib.training.parallel import team
from SynthCBVLib.training.presets import preset
from SynthCBVLib.training.sampling import Batch
import json
folder = Path(sys.argv[1])
settings = json.loads((folder / "settings.json").read_text())
card = dataclasses.replace(preset("asl").card, network_arguments=settings["arguments"])
config = TrainingConfig(**settings["config"])
with team() as together:
    arrays = load_file(folder / "batch.safetensors")
    own = together.share(config.batch)
    batch = Batch(**{name: value[own.start : own.stop] for name, value in arrays.items()})
    torch.manual_seed(0)
    network = build(card.network, card.network_arguments)
    wrapped = together.wrap(network)
    loss = loss_of(wrapped(batch.images, batch.present), batch, config, 0, None, together)
    loss.total.backward()
    joint = together.mean(loss.total)
    if together.first:
        found = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
        buffers = {f"buffer.{key}": value for key, value in network.named_buffers()}
        save_file({**found, **buffers, "loss": joint}, folder / "joint.safetensors")
    cases = [load_case(path) for path in sorted((folder / "cases").iterdir())]
    train(cases[:3], cases[3:], card, config, folder / f"run", team=together)
"""


@pytest.fixture(scope="module")
def batch() -> Batch:
    generator = torch.Generator().manual_seed(3)
    shape = (4, 1, 4, 16, 16)
    images = torch.randn(4, 6, *shape[2:], generator=generator) * PRESENT[..., None, None, None]
    target = torch.rand(shape, generator=generator)
    # Shares with very different numbers of voxels: means of means would not do.
    mask = (torch.arange(16) < torch.tensor([4, 6, 14, 16]).reshape(4, 1, 1, 1, 1)).float().expand(shape)
    return Batch(images, PRESENT, target * mask, mask.contiguous(), torch.ones(shape), torch.ones(4))


def test_two_processes_are_one(tmp_path, make_case, batch):
    for seed in range(5):
        save_case(make_case(seed), tmp_path / "cases" / f"{seed}")
    save_file(
        {f.name: getattr(batch, f.name) for f in dataclasses.fields(Batch)}, tmp_path / "batch.safetensors"
    )
    settings = {"arguments": CARD.network_arguments, "config": dataclasses.asdict(CONFIG)}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(Path(__file__).resolve().parents[3])
    processes = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "worker.py"), str(tmp_path)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": root,
                 "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()

    torch.manual_seed(0)
    network = build(CARD.network, CARD.network_arguments)
    loss = loss_of(network(batch.images, batch.present), batch, CONFIG, 0)
    loss.total.backward()
    joint = load_file(tmp_path / "joint.safetensors")
    torch.testing.assert_close(joint.pop("loss"), loss.total.detach(), rtol=1e-5, atol=1e-6)
    buffers = {key: joint.pop(key) for key in list(joint) if key.startswith("buffer.")}
    own = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
    assert own.keys() == joint.keys()  # encoders that nobody ran have no gradient, not a gradient of zero
    assert not any(key.startswith("encoders.5") for key in own)
    for key, gradient in own.items():
        torch.testing.assert_close(joint[key], gradient, rtol=1e-4, atol=1e-6)
    for key, value in network.named_buffers():
        torch.testing.assert_close(buffers[f"buffer.{key}"], value, rtol=1e-5, atol=1e-6)

    alone = train(
        [make_case(seed) for seed in range(3)], [make_case(3), make_case(4)], CARD, CONFIG, tmp_path / "alone"
    )
    rows = [json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("alone", "run")]
    assert rows[1]["loss"] == pytest.approx(rows[0]["loss"], rel=1e-3)
    assert rows[1]["ssim"] == pytest.approx(alone.ssim, abs=0.01)


def test_a_batch_that_cannot_be_shared_is_refused():
    assert [list(Team(rank, 2).share(4)) for rank in (0, 1)] == [[0, 1], [2, 3]]
    assert list(ALONE.share(3)) == [0, 1, 2]
    with pytest.raises(InputError, match="multiple of the 2 processes"):
        Team(0, 2).share(3)
