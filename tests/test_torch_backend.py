import pytest
from support import import_or_skip

from ssnn import backends


@pytest.mark.torch
def test_threads_of_torch_are_held_only_while_it_computes_for_us():
    torch = import_or_skip("torch")
    before = torch.get_num_threads()
    backend = backends.open_backend("torch", device="cpu", threads=before + 1)
    assert backend.describe().threads == before + 1
    assert backend.program(torch.get_num_threads)() == before + 1
    assert torch.get_num_threads() == before
