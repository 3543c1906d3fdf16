"""Tensors and modules through put, get, arguments and results: what they are and whose they are."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import Convolutional, Measured, OwnWay, Tied
from torch import nn

import sundog

MB = 1 << 20
DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]


def round_trip(value: Any) -> Any:
    """Through the store; a warning is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*TypedStorage")  # torch's own way of pickling
        return sundog.get(sundog.put(value))


def storage_of(tensor: torch.Tensor) -> Any:
    """The bytes below a tensor, in every version of torch."""
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage()
    return tensor.storage().untyped()


def mapping_at(address: int) -> str:
    """The line of /proc/self/maps that the address lies in."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if begin <= address < end:
            return line
    return ""


pytestmark = [
    pytest.mark.usefixtures("session"),
    pytest.mark.filterwarnings("ignore:.*(TypedStorage|quantize_per_tensor|Sparse CSR)"),
]


@sundog.remote
def echo(value: Any) -> Any:
    return value


@sundog.remote
def describe(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], float]:
    return str(tensor.dtype), tuple(tensor.shape), float(tensor.sum())


@sundog.remote
def add_one_in_place(tensors: list[torch.Tensor]) -> float:
    for tensor in tensors:
        tensor += 1
    return float(sum(t.sum() for t in tensors))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [5, 5_000, 50_000])
def test_every_dtype_comes_back_in_small_and_large(dtype: torch.dtype, count: int) -> None:
    tensor = (torch.arange(count) % 120).to(dtype)
    for back in (round_trip(tensor), sundog.get(echo.remote(tensor))):
        assert type(back) is torch.Tensor and back.dtype is dtype
        assert torch.equal(back, tensor) and not back.requires_grad
        back[0] = 1  # writable, without a warning


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(0),
        torch.zeros(3, 0, 2, dtype=torch.bfloat16),
        torch.empty_strided((0, 4), (7, 1)),
        torch.tensor(7.5),
        torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
        torch.arange(24.0)[::2],
        torch.arange(10_000.0)[5:9],
        torch.ones(1).expand(3, 4),
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(6, dtype=torch.uint8)[:4].view(torch.float32),
        torch.arange(10.0).as_strided((4, 4), (2, 1)),
        torch.arange(1024.0).reshape([2] * 10),
        torch.arange(24.0).reshape(2, 1, 12).as_strided((2, 1, 12), (12, 5, 1)),
    ],
    ids=lambda t: f"{tuple(t.shape)}-{t.stride()}",
)
def test_shape_and_strides_are_kept(tensor: torch.Tensor) -> None:
    back = round_trip(tensor)
    assert back.shape == tensor.shape and back.stride() == tensor.stride()
    assert back.dtype is tensor.dtype and torch.equal(back, tensor)
    assert not back._is_view()


def test_of_a_slice_only_the_slice_is_stored() -> None:
    whole = torch.arange(4 * MB, dtype=torch.float32)
    back = round_trip(whole[1000:1100])
    assert torch.equal(back, whole[1000:1100])
    assert storage_of(back).nbytes() < 4096
    first, second = round_trip([whole[100:200], whole[150:250]])
    assert storage_of(first).data_ptr() == storage_of(second).data_ptr()
    assert storage_of(first).nbytes() < 4096
    first[60] = -1
    assert second[10] == -1


def test_views_and_other_dtypes_of_one_storage_stay_one() -> None:
    whole = torch.zeros(20_000)
    back, row, bits = round_trip([whole, whole.view(100, 200)[3], whole.view(torch.int32)])
    back[600:800] = 1
    assert bool((row == 1).all()) and bits[600] == 0x3F800000 and bits[599] == 0
    row, back = round_trip((whole[5:10], whole))
    row += 2
    assert back[5:10].tolist() == [2] * 5 and back.sum() == 10


def test_each_tensor_has_a_storage_of_its_own() -> None:
    state = round_trip(Convolutional().state_dict())
    for tensor in state.values():
        assert storage_of(tensor).nbytes() == tensor.numel() * tensor.element_size()


def test_parameters_and_gradients_flags_are_kept() -> None:
    frozen = nn.Parameter(torch.ones(3), requires_grad=False)
    leaf = torch.ones(4, requires_grad=True)
    a, b, c = round_trip([nn.Parameter(torch.zeros(9_000)), frozen, leaf])
    assert type(a) is nn.Parameter and a.requires_grad and a.is_leaf
    assert type(b) is nn.Parameter and not b.requires_grad
    assert type(c) is torch.Tensor and c.requires_grad and c.is_leaf
    (a.sum() + c.sum()).backward()
    assert a.grad is not None and bool((a.grad == 1).all())


def test_attributes_of_tensors_travel_and_their_memory_is_shared_as_well() -> None:
    weight = nn.Parameter(torch.arange(9_000.0), requires_grad=False)
    weight._is_hf_initialized = True  # type: ignore[attr-defined]
    view = weight.data[:100]
    view.of, view.itself = weight, view  # type: ignore[attr-defined]
    back, part = round_trip([weight, view])
    assert type(back) is nn.Parameter and not back.requires_grad and back._is_hf_initialized
    assert list(back.__dict__) == ["_is_hf_initialized"] and part.of is back and part.itself is part
    assert "memfd" in mapping_at(back.data_ptr()) and torch.equal(back, weight)
    part += 1
    assert torch.equal(back[:100], weight[:100] + 1)
    line = nn.Linear(90, 100)
    line.weight.origin = "a pruned one"  # type: ignore[attr-defined]
    tensor = round_trip(line).weight
    assert tensor.origin == "a pruned one" and tensor.requires_grad and tensor.is_leaf


def test_subclasses_are_pickled_their_own_way() -> None:
    measured = torch.arange(9_000.0).as_subclass(Measured)
    measured.unit = "km"
    back = round_trip(measured)
    assert type(back) is Measured and back.unit == "km" and torch.equal(back, measured)
    assert "memfd" in mapping_at(back.data_ptr()), "a subclass's storage is shared as well"
    own = round_trip(torch.arange(9_000.0).as_subclass(OwnWay))
    assert type(own) is OwnWay and own.note == "made by make_own_way" and own[8] == 8
    assert "memfd" in mapping_at(own.data_ptr())


def test_kinds_without_plain_storage_come_back() -> None:
    sparse = torch.eye(200).to_sparse()
    assert torch.equal(round_trip(sparse).to_dense(), sparse.to_dense())
    csr = torch.eye(20).to_sparse_csr()
    assert torch.equal(round_trip(csr).to_dense(), torch.eye(20))
    quantized = torch.quantize_per_tensor(torch.linspace(0, 1, 9_000), 0.01, 3, torch.quint8)
    assert torch.equal(round_trip(quantized).int_repr(), quantized.int_repr())
    meta = round_trip(torch.empty(3, 4, device="meta"))
    assert meta.device.type == "meta" and meta.shape == (3, 4)
    conjugate = torch.tensor([1 + 2j, 3j]).conj()
    assert torch.equal(round_trip(conjugate).resolve_conj(), conjugate.resolve_conj())
    storage = torch.arange(9_000).storage()
    assert round_trip(storage).tolist()[:3] == [0, 1, 2]


def test_a_module_is_whole_and_equal() -> None:
    model = Convolutional().eval()
    images = torch.rand(2, 3, 16, 16)
    back = round_trip(model)
    assert torch.equal(back(images), model(images))
    assert [n for n, _ in back.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert [n for n, _ in back.named_buffers()] == [n for n, _ in model.named_buffers()]
    assert all(type(p) is nn.Parameter and p.requires_grad for p in back.parameters())
    assert "scale" not in back.state_dict() and not back.training
    optimizer = torch.optim.SGD(back.parameters(), lr=0.1)
    back.train()(images).sum().backward()
    optimizer.step()
    assert not torch.equal(back.head.bias, model.head.bias)
    assert torch.equal(sundog.get(echo.remote(model)).head.weight, model.head.weight)


def test_tied_weights_stay_tied() -> None:
    back = round_trip(Tied())
    assert back.output.weight is back.embedding.weight
    weight = nn.Parameter(torch.zeros(100, 100))
    first, second = round_trip([weight, nn.Parameter(weight.data)])
    with torch.no_grad():
        first[0, 0] = 5
    assert first is not second and second[0, 0] == 5


def test_a_class_of_the_main_program_travels_with_its_code() -> None:
    program = """
import sys, torch, sundog
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(300, 300)
    def forward(self, x):
        return self.layer(x) + 1
sundog.init(num_cpus=1, logging_level="error")
net, x = Net(), torch.rand(2, 300)
@sundog.remote
def run(net, x):
    address = net.layer.weight.data_ptr()
    for line in open("/proc/self/maps"):
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if begin <= address < end:
            return net(x), line
got, line = sundog.get(run.remote(sundog.put(net), x))
assert torch.equal(got, net(x)) and "memfd" in line, line
print("equal")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout == "equal\n", done.stderr


def test_large_tensors_are_not_copied_when_read() -> None:
    ref = sundog.put(torch.ones(16 * MB, dtype=torch.uint8))
    back = sundog.get(ref)
    line = mapping_at(back.data_ptr())
    assert "memfd" in line and line.split()[1] == "rw-p", line


def test_what_one_get_writes_no_other_sees() -> None:
    for count in (10, 3_000, 6_000, 100_000):  # in a message, copied, mapped
        ref = sundog.put(torch.zeros(count))
        mine = sundog.get(ref)
        mine += 7
        assert float(sundog.get(ref).sum()) == 0
        others = [sundog.get(ref), *sundog.get([ref, ref])]
        assert [float(t.sum()) for t in others] == [0, 0, 0]
        sums = [add_one_in_place.remote([ref_value]) for ref_value in others]
        assert sundog.get(sums) == [count] * 3
        assert sundog.get(add_one_in_place.remote([mine])) == 8 * count
        assert float(sundog.get(ref).sum()) == 0 and float(mine.sum()) == 7 * count


def test_arrays_wrapped_by_torch_are_private_as_well() -> None:
    for count in (10, 3_000, 6_000, 100_000):
        ref = sundog.put({"a": np.zeros(count)})
        array = sundog.get(ref)["a"]
        assert not array.flags.writeable
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that it ignores the flag
            torch.as_tensor(array).add_(1)
        assert array.sum() == count
        assert sundog.get(ref)["a"].sum() == 0
        bare = sundog.put(np.zeros(count))
        first = sundog.get(bare)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.from_numpy(first).add_(1)
        assert sundog.get(bare).sum() == 0


def test_arguments_and_results_are_tensors_too() -> None:
    small, large = torch.arange(10), torch.ones(1 * MB)
    assert sundog.get(describe.remote(small)) == ("torch.int64", (10,), 45.0)
    assert sundog.get(describe.remote(large)) == ("torch.float32", (MB,), float(MB))
    assert sundog.get(describe.remote(sundog.put(large))) == ("torch.float32", (MB,), float(MB))
    assert torch.equal(sundog.get(echo.remote(large)), large)


def test_a_tensor_of_a_get_can_be_put_again() -> None:
    ref = sundog.put(sundog.get(sundog.put(torch.full((100_000,), 3.0))))
    assert float(sundog.get(ref).sum()) == 300_000


def test_a_hundred_loads_leave_memory_flat() -> None:
    ref = sundog.put(nn.Sequential(*[nn.Linear(512, 512) for _ in range(8)]))
    x = torch.rand(1, 512)

    def load() -> None:
        for _ in range(100):
            sundog.get(ref)(x)

    def resident() -> tuple[int, int]:
        gc.collect()
        maps = Path("/proc/self/maps").read_text().count("\n")
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), maps

    load()
    before, maps_before = resident()
    load()
    after, maps_after = resident()
    assert after - before < 4 * MB and abs(maps_after - maps_before) < 10


def test_tensors_live_past_shutdown() -> None:
    program = """
import torch, sundog
sundog.init(num_cpus=1, logging_level="error")
model = torch.nn.Linear(2000, 2000)
back = sundog.get(sundog.put(model))
small = sundog.get(sundog.put(torch.arange(10)))
sundog.shutdown()
x = torch.rand(1, 2000)
assert torch.equal(back(x), model(x)) and int(small.sum()) == 45
with torch.no_grad():
    back.weight.zero_()
assert not back.weight.any()
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout == "alive\n" and done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_tensors_of_a_gpu_arrive_on_the_host() -> None:
    model = nn.Linear(100, 100).cuda()
    back = round_trip(model)
    assert back.weight.device.type == "cpu"
    assert torch.equal(back.weight, model.weight.cpu())
