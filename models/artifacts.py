"""What the training scripts share: reproducible PyTorch, the version folder, samples with their answers."""

import json
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent


def make_reproducible(seed: int) -> None:
    """One thread, one seed, deterministic kernels: a second run on such a processor gives the same bits."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def accuracy(model: torch.nn.Module, inputs: np.ndarray, classes: np.ndarray) -> float:
    """Part of the inputs whose most probable class is the true one."""
    with torch.no_grad():
        predicted = model(torch.from_numpy(inputs)).argmax(dim=1).numpy()
    return float((predicted == classes).mean())


def save_version(name: str, model: torch.nn.Module) -> None:
    """Writes the state_dict to repository/NAME/1/model.pth; the model.yaml beside it is written by hand.

    torch.save sets no time stamps in its zip file, so equal weights give an equal file.
    """
    torch.save(model.state_dict(), ROOT / "repository" / name / "1" / "model.pth")


def reference(layers: list[torch.nn.Linear], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and softmax probabilities in double precision by numpy alone: ReLU between the layers."""
    values = inputs.astype(np.float64)
    for index, layer in enumerate(layers):
        if index > 0:
            values = np.maximum(values, 0)
        weight = layer.weight.detach().numpy().astype(np.float64)
        bias = layer.bias.detach().numpy().astype(np.float64)
        values = values @ weight.T + bias
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return values, exponentials / exponentials.sum(axis=1, keepdims=True)


def save_samples(
    name: str,
    single: str,
    batch: str,
    inputs: np.ndarray,
    classes: np.ndarray,
    labels: list[str],
    layers: list[torch.nn.Linear],
) -> None:
    """Writes samples/BATCH.npy, its first row as SINGLE.npy, and the answers as BATCH.expected.json."""
    samples = ROOT / "samples"
    samples.mkdir(exist_ok=True)
    np.save(samples / f"{single}.npy", inputs[0])
    np.save(samples / f"{batch}.npy", inputs)
    scores, probabilities = reference(layers, inputs)
    expected = {
        "model": name,
        "inputs": f"{batch}.npy",
        "labels": labels,
        "true_classes": classes.tolist(),
        "probabilities": probabilities.tolist(),
        "scores": scores.tolist(),
    }
    (samples / f"{batch}.expected.json").write_text(json.dumps(expected, indent=1) + "\n")
