"""PyTorch with its autograd, eager and compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from benchmarks.peers.peer import Peer, Problem, unusable

MAX_COMPILED = 64  # networks of different shapes or dtypes in one process


class TorchPeer(Peer):
    """PyTorch's modules, autograd and optimizer."""

    name = "PyTorch"
    library = "torch"
    dtypes = ("float32", "float64")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import torch
        from torch import nn

        device = "cpu"
        if torch.cuda.is_available():
            device = "cuda:0"
            self.device = f"{device} ({torch.cuda.get_device_name(device)})"
        else:
            # A mini-batch is too little work for two: they wait for each other longer than one takes.
            self.threads = torch.get_num_threads() if self.settings.batch_size is None else 1
        self.inputs = torch.tensor(self.X, device=device)
        self.classes = torch.tensor(self.y[:, None], dtype=self.inputs.dtype, device=device)
        modules: list[nn.Module] = []
        for W, _ in self.start:
            n_out, n_in = W.shape
            # `reset` sets the parameters; drawing them would advance PyTorch's global generator.
            linear = nn.utils.skip_init(nn.Linear, n_in, n_out, device=device, dtype=self.inputs.dtype)
            modules += [linear, nn.ReLU()]
        self.model = nn.Sequential(*modules[:-1])
        self.criterion = nn.BCEWithLogitsLoss()
        self.batches = list(zip(self.inputs.split(self.batch_size), self.classes.split(self.batch_size), strict=True))
        self.reset()

    def reset(self) -> None:
        import torch

        with torch.no_grad():
            for linear, (W, b) in zip(self.model[::2], self.start, strict=True):
                linear.weight.copy_(torch.from_numpy(W))
                linear.bias.copy_(torch.from_numpy(b[:, 0]))
        self.optimizer = self.make_optimizer()

    @contextmanager
    def config(self) -> Iterator[None]:
        """The number of threads on the CPU."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def make_optimizer(self) -> Any:
        from torch import optim

        parameters, settings = self.model.parameters(), self.settings
        if settings.optimizer == "adam":
            betas = settings.beta_1, settings.beta_2
            return optim.Adam(parameters, lr=settings.learning_rate, betas=betas, eps=settings.epsilon)
        return optim.SGD(parameters, lr=settings.learning_rate)

    def loss(self, inputs: Any, classes: Any) -> Any:
        """The cost, on the device."""
        return self.criterion(self.model(inputs), classes)

    def run(self, k: int) -> list[float]:
        import torch

        costs = []
        with self.config():
            for _ in range(k):
                for inputs, classes in self.batches:
                    self.optimizer.zero_grad()
                    cost = self.loss(inputs, classes)
                    cost.backward()
                    self.optimizer.step()
                    costs.append(cost.detach())
        return torch.stack(costs).tolist()  # waits for the device

    def parameters(self) -> list[npt.NDArray[Any]]:
        parameters = (parameters.detach().cpu().numpy() for parameters in self.model.parameters())
        return [each.T for each in parameters]


class CompiledTorchPeer(TorchPeer):
    """The same with forward and backward pass compiled."""

    name = "PyTorch, torch.compile"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import torch

        # dynamic=False: every shape is compiled for itself. fullgraph: nothing is left uncompiled.
        self.loss = torch.compile(self.loss, dynamic=False, fullgraph=True)

    def run(self, k: int) -> list[float]:
        import torch
        from torch._dynamo.exc import BackendCompilerFailed

        try:
            with torch._dynamo.config.patch(recompile_limit=MAX_COMPILED):
                return super().run(k)
        except BackendCompilerFailed as error:
            reason = str(error.inner_exception).splitlines()[0]
            raise unusable(type(self), reason, "a C++ compiler, for instance g++") from error
